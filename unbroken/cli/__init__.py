"""The command `unbroken`, and what a person at a terminal sees."""
