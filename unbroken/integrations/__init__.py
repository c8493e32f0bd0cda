"""Other systems that runs and champions are logged to."""
