"""A search for better settings: its space, its trials, its journal, and what came of it."""
