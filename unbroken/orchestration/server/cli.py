"""Prefect's command line, whose server waits for SQLite: `python -m unbroken.orchestration.server.cli server start`."""

from prefect.cli import app

from unbroken.orchestration.server.sqlite import wait_for_locks

if __name__ == "__main__":
    wait_for_locks()
    app()
