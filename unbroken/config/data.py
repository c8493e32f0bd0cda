"""What a user can set of the data: where rows come from, how columns become inputs, which rows train."""

from dataclasses import dataclass, field
from typing import Literal

from unbroken.config.validation import (
    STRICT,
    number,
    require,
    require_named,
    require_no_credentials,
    require_path,
    require_types,
)

SAMPLE = "sample"
"""The source that is the built-in example."""

NULL_WORDS = (
    *("NA", "N/A", "NULL", "null", "NaN", "nan", "None", "<NA>", "n/a", "NaT", "#N/A", "#N/A N/A", "#NA"),
    *("-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
)
"""What stands for a missing value in a CSV file where the settings do not say otherwise; an empty cell always does."""

MAX_COLUMNS = 20_000
MAX_EXPANSION = 100
ColumnType = Literal["number", "text", "boolean", "date", "timestamp", "time", "duration"]


@dataclass(frozen=True, kw_only=True)
class CsvConfig:
    """How CSV files are written; what is not given is found out and said."""

    __pydantic_config__ = STRICT

    delimiter: str | None = None
    """The character between fields, e.g. `;`; by default that of comma, semicolon, tab and `|` which fits."""
    decimal: Literal[".", ","] | None = None
    """The decimal mark of numbers; by default the one that their columns need."""
    encoding: str | None = None
    """A codec of Python, e.g. `utf-16` or `cp1252`; by default that of the byte order mark, else UTF-8 if it is,
    else Windows-1252."""
    header: bool | None = None
    """Whether the first line names the columns; by default it does unless it holds values. Without names they are
    `column_1` and so on."""

    def __post_init__(self) -> None:
        require_types(self, "data.csv.")
        one = self.delimiter is None or (
            len(self.delimiter) == 1 and self.delimiter not in '"\r\n' and ord(self.delimiter) < 128
        )
        require(one, "data.csv.delimiter", self.delimiter, "one ASCII character, neither a quote nor a line break")
        require(
            _is_text_codec(self.encoding), "data.csv.encoding", self.encoding, "a text codec of Python, e.g. cp1252"
        )


def _is_text_codec(name: str | None) -> bool:
    try:
        return name is None or isinstance("".encode(name), bytes)
    except (LookupError, ValueError, UnicodeError):
        return False


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the rows come from and what the columns mean."""

    __pydantic_config__ = STRICT

    source: str = ""
    """Parquet or CSV (also .gz): a file, a folder (also Hive-partitioned), a glob or an fsspec URL;
    or `sample`, the built-in 1000 x 10 example. Needed.
    Credentials for a URL come from the environment as fsspec reads it, e.g. FSSPEC_S3_KEY."""
    label: str | None = None
    """Column to predict; the last column when not given."""
    include: tuple[str, ...] = ()
    """Feature columns to use; all but the label when empty."""
    exclude: tuple[str, ...] = ()
    """Feature columns to leave out."""
    categories: tuple[str, ...] = ()
    """Integer columns that are names, not amounts: each value gets a code and an embedding."""
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    """What is predicted; `auto` decides by the label: 2 values binary, text or up to 20 integers multiclass, else regression."""
    positive: str | None = None
    """The class of two whose probability is predicted, as text, e.g. `yes`; when not given, the rarer of two texts, true, or the
    larger number."""
    keep: tuple[str, ...] = ()
    """Columns to keep as features although they look like row numbers, ids or texts that hardly come twice, hold one value in
    every row, or are a table's index: these are left out by default, and named."""
    null_labels: Literal["drop", "refuse"] = "drop"
    """What follows of rows without a label: `drop` leaves them out and says how many, `refuse` is an error."""
    types: dict[str, ColumnType] = field(default_factory=dict)
    """What CSV columns hold, by name, e.g. `{"zip": "text"}`; by default what more than 95 % of the values of a column are.
    For Parquet, whose columns have types, only `text` for integers."""
    null_words: tuple[str, ...] | None = None
    """Words in CSV files that stand for a missing value, beside empty cells; by default NA, N/A, null, NaN, None and their
    like. In a column that `types` calls text, only those given here."""
    csv: CsvConfig = field(default_factory=CsvConfig)
    max_columns: int = number(MAX_COLUMNS, least=1)
    """A table of more columns than these is refused before it is read."""
    max_expansion: int = number(MAX_EXPANSION, least=1)
    """A compressed CSV file that unpacks to more than 256 MiB and to more than so many times its own size is refused."""

    def __post_init__(self) -> None:
        require_types(self, "data.")
        if self.source:
            require_path("data.source", self.source)
        require_no_credentials("data.source", self.source)
        require("::" not in self.source, "data.source", self.source, "a URL of one file system, without ::")
        require(self.label != "", "data.label", self.label, "the name of a column")
        for name in ("include", "exclude", "keep", "categories"):
            columns = getattr(self, name)
            duplicates = sorted({column for column in columns if columns.count(column) > 1})
            require(not duplicates, f"data.{name}", duplicates, "each column once")
            require(name == "categories" or self.label not in columns, f"data.{name}", self.label, "not the label")
        overlap = sorted(set(self.include) & set(self.exclude))
        require(not overlap, "data.include and data.exclude", overlap, "no column in both")
        overlap = sorted(set(self.keep) & set(self.exclude))
        require(not overlap, "data.keep and data.exclude", overlap, "no column in both")


def require_source(name: str, source: str) -> None:
    """Raise ConfigError if no source of rows is named; only what reads it needs one, a form does not."""
    require_named(name, source, "a path, a glob or a URL of Parquet or CSV files, or `sample`")


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """How columns become numbers in 0 .. 1 and category codes. Everything is fitted on training rows only."""

    __pydantic_config__ = STRICT

    clip_quantile: float = number(0.0, least=0, most=0.25)
    """Share of a numeric column's training values cut off at each end before scaling, 0 .. 0.25; 0 scales by min and max."""
    max_categories: int = number(1000, least=1)
    """Most frequent values of a category column that get a code of their own; the rest share the code of unseen values."""
    min_category_count: int | Literal["auto"] = number("auto", least=1)
    """Rows that train and hold a value of a category column, for it to get a code of its own; rarer ones share the code of unseen
    values, which a hundredth of the other rows train too, unless this is 1. `auto` is 5; 1 for the sample."""

    def __post_init__(self) -> None:
        require_types(self, "preprocess.")

    @property
    def least_count(self) -> int:
        """Rows for a code of its own, as a number: 1 while `auto` has not become one, as in `Config.chosen`."""
        return 1 if self.min_category_count == "auto" else self.min_category_count


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which rows train and which test: a pure function of the rows and the seed."""

    __pydantic_config__ = STRICT

    kind: Literal["auto", "random", "stratified", "group", "time"] = "auto"
    """`stratified` keeps the shares of the classes, `group` keeps rows of one group together, `time` tests on the latest rows;
    `auto` is random, and stratified where a class has so few rows that random could leave it out of a part."""
    test_fraction: float = number(0.2, above=0, below=1)
    """Share of the rows that test, above 0 and below 1."""
    validation_fraction: float | Literal["auto"] = number("auto", least=0.0, below=1)
    """Share of the rows held out to choose the best epoch and to stop early; 0 for none. `auto` is a tenth of the rows that do
    not test; for the sample it is 0, unless a setting needs rows that validate."""
    column: str | None = None
    """Column that groups or dates the rows, for `group` and `time`."""
    seed: int = 0
    """Seed of the assignment."""

    def __post_init__(self) -> None:
        require_types(self, "split.")
        if self.validation_fraction != "auto":
            held_out = self.test_fraction + self.validation_fraction
            require(held_out < 1, "split.test_fraction + split.validation_fraction", held_out, "below 1")
        needs_column = self.kind in ("group", "time")
        require(
            needs_column == (self.column is not None),
            "split.column",
            self.column,
            "a column for group and time, else none",
        )

    @property
    def validation_share(self) -> float:
        """The share of the rows that validate, as a number: none while `auto` has not become one, as in `Config.chosen`."""
        return 0.0 if self.validation_fraction == "auto" else self.validation_fraction
