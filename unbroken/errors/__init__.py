"""Every error a user can cause or meet, in one tree.

UnbrokenError
├── ConfigError                  a setting is out of range or contradicts another
├── DataError                    a file, column or value does not fit
│   ├── UnfitLabelError          a column cannot be predicted, whatever else is asked for
│   └── BlockedError             new rows do not fit the champion, which stays
├── TrainingError                the training diverged: a loss is NaN or infinite
├── RanksDifferError             processes of one training came to different weights
├── LockedError                  another process is training this run, or another thread of this process any run
├── StoppedError                 a signal ended the training, its checkpoint is saved
├── ExportError                  a model cannot be written in another format
├── RegistryError                no such version or champion, or another one reigns by now
├── ServerError                  the Prefect server of a process at a terminal cannot be used
└── CheckpointError              a checkpoint cannot be used
    ├── CorruptCheckpointError   its bytes are not those that were saved
    └── CheckpointMismatchError  whole, but it belongs to another training
        └── CodeChangedError     whole and of this training, but other code made it

A message names the subject and path first, then found against expected, then the way out.
An OSError may pass and is retried; an UnbrokenError never is.
"""

from unbroken.errors.escaping import escape_controls, shorten


class UnbrokenError(Exception):
    """The root: everything below is a clear answer to the user, not a defect of the program."""

    def __str__(self) -> str:
        """Return the message as one paragraph in which names and values from outside are text and nothing else, cut where long."""
        return shorten(escape_controls(super().__str__()))


class ConfigError(UnbrokenError, ValueError):
    """A setting is out of range or contradicts another; a ValueError, so that pydantic reports it with its path."""


class DataError(UnbrokenError):
    """A file, column or value does not fit."""


class BlockedError(DataError):
    """New rows do not fit the champion, which stays; nothing is trained.

    Attributes:
        data: The new files, for a person.
        rule: What they have to be.
        report: The path of what was measured of them, if that was done.
    """

    def __init__(self, message: str, *, data: str, rule: str, report: str | None = None) -> None:
        super().__init__(message)
        self.data, self.rule, self.report = data, rule, report


class UnfitLabelError(DataError):
    """A column cannot be predicted, whatever else is asked for."""


class ChangedSourceError(DataError):
    """The source holds other content than the run is named by, before anything was made of it."""


class TrainingError(UnbrokenError):
    """The training diverged."""


class RanksDifferError(UnbrokenError):
    """Processes of one training came to different weights."""


class LockedError(UnbrokenError):
    """Another process is training this run, or another thread of this process any run."""


class StoppedError(UnbrokenError):
    """A signal ended the training; its checkpoint is saved."""


class ExportError(UnbrokenError):
    """A model cannot be written in another format."""


class RegistryError(UnbrokenError):
    """No such version or champion, or another one reigns by now."""


class ServerError(UnbrokenError):
    """The Prefect server of a process at a terminal did not start, or the one that the settings name cannot be used."""


class CheckpointError(UnbrokenError):
    """A checkpoint cannot be used."""


class CorruptCheckpointError(CheckpointError):
    """The bytes are not those that were saved."""


class SignatureError(CheckpointError):
    """A checkpoint and its manifest are not signed, or not by the owner of the key that is asked for."""


class CheckpointMismatchError(CheckpointError):
    """The checkpoint is whole, but it belongs to another training."""


class CodeChangedError(CheckpointMismatchError):
    """The checkpoint is whole and of this training, but other code made it, or code that nothing is known of."""


def error_of(name: str, message: str) -> UnbrokenError | None:
    """Return the error by which another process ended (the root where its kind has more to say); None if it is none."""
    kind = globals().get(name)
    if not (isinstance(kind, type) and issubclass(kind, UnbrokenError)):
        return None
    return (UnbrokenError if "__init__" in vars(kind) else kind)(message)
