"""Crash-proof PyTorch training on tabular data. Free of Prefect: usable from torchrun, Ray or a notebook."""
