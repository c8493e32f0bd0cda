"""What passes between who started the ranks and each of them: a job goes in, lines of JSON come out."""

import json
import logging
import os
from dataclasses import asdict, dataclass
from typing import Any

from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.run import Run
from unbroken.storage.artifact import Artifact
from unbroken.training.progress import Progress

LOG, PROGRESS, RESULT, ERROR, OS_ERROR = "log", "progress", "result", "error", "os_error"
STARTED, CLOSED = "started", "closed"
"""What is told of a rank and not by it: that it was started, and that it will tell nothing more."""
LOST = os.EX_TEMPFAIL
"""Exit code of a rank that lost another one."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What each rank trains, and where it finds modules.

    Attributes:
        config: The settings.
        splits: The preprocessed parts.
        encoder: The encoder that preprocessed them.
        run: Where checkpoints and the journal are.
        paths: Where Python looks for modules.
        saves_alone: Whether a rank whose starter is gone may save, and then end; else it ends at once, since an engine may have
            started others by then.
        wait: Seconds that rank 0 waits for the process that had the run before, which may still be dying.
    """

    config: Config
    splits: SplitDatasets
    encoder: Artifact
    run: Run
    paths: tuple[str, ...]
    saves_alone: bool = True
    wait: float = 0.0


class Channel:
    """The pipe on which a rank tells."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: str, **content: Any) -> None:
        """Tell something, in one write, so that lines of two threads never mix; nothing if nobody listens any more."""
        line = json.dumps({"kind": kind, **content}).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self.descriptor, line) :]
        except BrokenPipeError:
            return

    def report(self, progress: Progress) -> None:
        """Tell how far the training is."""
        self.send(PROGRESS, **asdict(progress))


class ChannelHandler(logging.Handler):
    """Tells what is logged."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        self.channel.send(LOG, name=record.name, level=record.levelno, message=record.getMessage())
