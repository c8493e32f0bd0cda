"""Checkpoints as files: what is in one, whether it fits, where it lies, and when it is written."""
