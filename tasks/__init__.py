"""The six stages and those of a retraining as Prefect tasks, one file each."""
