"""The page of a retraining's decision: both models on the same rows, for a person who decides whether it was right."""
