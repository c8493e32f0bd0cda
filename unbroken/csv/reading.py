"""What is known of CSV columns before they are read: by the settings, and by what a training learnt."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from unbroken.config import CsvConfig, DataConfig
from unbroken.config.data import MAX_COLUMNS, MAX_EXPANSION, NULL_WORDS
from unbroken.data.kinds import KIND_OF_TYPE, Kind


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a column.

    Attributes:
        kind: What its values are.
        values: Texts that are values though they are words for nothing elsewhere; None if no word stands for nothing.
        required: Whether it is of this kind however few of its cells are.
        format: How its numbers or dates were written, by the name of the format; empty where that is not known.
    """

    kind: Kind
    values: Collection[str] | None = ()
    required: bool = False
    format: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How CSV files are to be read."""

    csv: CsvConfig = field(default_factory=CsvConfig)
    null_words: tuple[str, ...] = NULL_WORDS
    columns: Mapping[str, Known] = field(default_factory=dict)
    fallback_encoding: str | None = None
    """The encoding of a file that is no UTF-8 and has no byte order mark."""
    max_columns: int = MAX_COLUMNS
    max_expansion: int = MAX_EXPANSION

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of the columns of which something is known."""
        return {name: known.kind for name, known in self.columns.items()}

    @classmethod
    def of(cls, config: DataConfig, learnt: Mapping[str, Known] | None = None) -> "Reading":
        """Return what the settings say, over what a training learnt of its columns."""
        learnt = learnt or {}
        named = {name: _named(kind, config, learnt.get(name)) for name, kind in config.types.items()}
        words = NULL_WORDS if config.null_words is None else config.null_words
        return cls(
            csv=config.csv,
            null_words=words,
            columns={**learnt, **named},
            max_columns=config.max_columns,
            max_expansion=config.max_expansion,
        )


def _named(type: str, config: DataConfig, learnt: Known | None) -> Known:
    words_are_values = type == "text" and config.null_words is None
    return Known(
        kind=KIND_OF_TYPE.get(type, type),
        values=None if words_are_values else (),
        required=True,
        format=learnt.format if learnt else "",
    )
