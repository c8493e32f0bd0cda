"""How settings are read from JSON: unknown keys are refused."""

STRICT = {"extra": "forbid", "hide_input_in_errors": True}
