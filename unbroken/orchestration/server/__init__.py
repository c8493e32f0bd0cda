"""The Prefect server that a process at a terminal uses: one that is named, or one of its own."""
