"""Other systems that are told of a run."""
