"""What the ranks of a training told the process that waits for them, and what it came to."""

import logging
from typing import Any

from unbroken.engines.messages import ERROR, LOG, OS_ERROR, PROGRESS, RESULT
from unbroken.errors import UnbrokenError, error_of
from unbroken.stages.results import Checkpoint
from unbroken.training.progress import Progress, Report


class Outcome:
    """The checkpoint that a training ended with, or the errors by which it ended."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.errors: list[Exception] = []

    def take(self, message: dict[str, Any], report: Report) -> None:
        """Take up a message of a rank."""
        kind = message.pop("kind")
        if kind == LOG:
            logging.getLogger(message["name"]).log(message["level"], "%s", message["message"])
        elif kind == PROGRESS:
            report(Progress(**message))
        elif kind == RESULT:
            self.checkpoint = Checkpoint(**message)
        elif kind == OS_ERROR:
            self.errors.append(OSError(message["number"], message["message"], message["path"]))
        elif kind == ERROR:
            error = error_of(message["name"], message["message"])
            self.errors.append(error or UnbrokenError(message["message"]))

    def require_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint, None if there is none; raise the first error if there is one."""
        for error in self.errors:
            raise error
        return self.checkpoint
