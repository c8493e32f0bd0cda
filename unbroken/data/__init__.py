"""Rows as Arrow tables: where they come from, what their columns are, which of them train. No torch."""
