"""The column contract as a value: the features, the label, and what is predicted."""

from dataclasses import dataclass

from unbroken.config import TaskName
from unbroken.data.kinds import CATEGORY, Kind

ClassValue = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the source."""

    name: str
    kind: Kind

    @property
    def coded(self) -> bool:
        """Whether its values become codes, not floats."""
        return self.kind == CATEGORY


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The features in order, the label, and what is predicted; `classes` is empty for regression."""

    features: tuple[Column, ...]
    label: Column
    task: TaskName
    classes: tuple[ClassValue, ...]
