"""All that knows Prefect and is neither flow nor task."""
