"""Runs that are not as they should be, found by looking and mended: `unbroken heal`."""
