"""Reports for a person, as text: of a run, of a retraining."""
