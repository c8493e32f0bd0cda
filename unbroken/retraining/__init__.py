"""A champion and its challengers: what is new, whether it looks right, and who wins."""
