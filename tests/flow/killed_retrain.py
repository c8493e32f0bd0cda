"""Retrain with a flow, and die at an entry of the outbox: `python -m tests.flow.killed_retrain FOLDER BLOCK ENTRY before|after`."""

import sys
from pathlib import Path
from typing import cast

from flows.retrain import retrain
from tests.crash.disk import Fault, Operation, When, watched
from tests.flow.notified import notified_config


def main(folder: Path, block: str, entry: int, when: When) -> None:
    """Retrain, and die before or after the entry of this number, counted from 0."""
    number = -1

    def judge(operation: Operation) -> Fault | None:
        nonlocal number
        number += operation.kind == "write" and operation.path.endswith("outbox.jsonl")
        return Fault(when) if number == entry else None

    with watched(folder / "models", judge):
        retrain(notified_config(folder, block))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), cast("When", sys.argv[4]))
