"""What happened, for a person, as text."""
