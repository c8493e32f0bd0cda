"""The six stages as Prefect tasks, one file each."""
