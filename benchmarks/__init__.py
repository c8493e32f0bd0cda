"""One script per claim of the README: `python -m benchmarks.training`, and so on."""
