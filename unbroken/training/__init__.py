"""The epochs of a run: what they start from, how they resume, and what each step does."""
