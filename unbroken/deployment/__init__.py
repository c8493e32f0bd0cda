"""Deployed flows: what starts them on this machine or another, and heals them."""
