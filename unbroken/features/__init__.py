"""Columns as what a model sees: numbers in 0 .. 1 and category codes, fitted on training rows only. No torch."""
