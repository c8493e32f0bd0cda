"""Server, work pool, worker, automations and deployments."""
