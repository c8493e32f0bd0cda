"""One script per claim about speed: `python -m benchmarks.training`, and so on."""
