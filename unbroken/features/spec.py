"""What the model sees: the names and sizes of its inputs and outputs."""

from dataclasses import dataclass

from unbroken.config import TaskName
from unbroken.data.schema import ClassValue


@dataclass(frozen=True, kw_only=True)
class CategoryFeature:
    """A category input; its codes are 0 .. codes-1."""

    name: str
    codes: int


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """The inputs and outputs of a model: what a model factory is given.

    `numbers` are the columns of a float input in 0 .. 1, `categories` those of an integer input.
    `outputs` is the number of logits: 1 for binary and regression, else one a class.
    """

    numbers: tuple[str, ...]
    categories: tuple[CategoryFeature, ...]
    label: str
    task: TaskName
    classes: tuple[ClassValue, ...]

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def category_names(self) -> list[str]:
        """The columns of the integer input, in order."""
        return [category.name for category in self.categories]

    @property
    def columns(self) -> list[str]:
        """The columns of a preprocessed dataset, in order."""
        return [*self.numbers, *self.category_names, self.label]
