"""Rows as tensors, in the order of an epoch, in memory or streamed from disk."""
