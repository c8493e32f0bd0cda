"""What both estimators are: settings that scikit-learn can get, set and clone, and a fit that is a run."""

import numbers
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TaskName, TrainingConfig
from unbroken.config.data import MAX_COLUMNS
from unbroken.config.training import DEFAULT_BATCH_SIZE
from unbroken.data.split import Sizes
from unbroken.errors import ConfigError
from unbroken.estimators.fitted import FittedModel
from unbroken.estimators.rows import column_names, is_frame, label_name, to_table, with_values, write_rows
from unbroken.pipeline import train

FEWEST_ROWS = 3
"""One that trains, one that validates, one that tests."""
LARGEST_SEED = np.iinfo(np.int32).max


@dataclass(kw_only=True, eq=False, repr=False)
class UnbrokenEstimator(BaseEstimator):
    """The settings and the fit of both estimators."""

    model: str = "mlp"
    """`mlp`, `plr`, `realmlp`, `tabm`, or `package.module:function` of your own."""
    hidden: Sequence[int] | None = None
    """Sizes of the hidden layers; those of the model when None."""
    dropout: float | None = None
    """Share of hidden units left out in training; that of the model when None."""
    model_options: Mapping[str, Any] | None = None
    """Further options of the model."""
    epochs: int | Literal["auto"] = "auto"
    """The most epochs; `auto` is up to 200 and fewer by `patience`, 20 where no rows validate."""
    patience: int | Literal["auto"] | None = "auto"
    """Stop after so many epochs in which the validation rows fare no better; `auto` is 20 where rows validate."""
    batch_size: int = DEFAULT_BATCH_SIZE
    """Rows a batch; all that train where these are fewer, as in a fold of a cross-validation."""
    learning_rate: float = 3e-3
    """The optimizer's `lr`."""
    optimizer: str = "Adam"
    """Name of a class in `torch.optim`."""
    optimizer_options: Mapping[str, Any] | None = None
    """Further keyword arguments of the optimizer."""
    scheduler: str | None = None
    """Name of a class in `torch.optim.lr_scheduler`."""
    scheduler_options: Mapping[str, Any] | None = None
    """Keyword arguments of the scheduler."""
    validation_fraction: float = 0.1
    """Share of the rows that do not train but choose the best epoch, at least one row; 0 for none."""
    test_fraction: float = 0.01
    """Share of the rows that neither train nor choose, at least one row: a run is always scored on rows that it never saw."""
    categorical_features: Sequence[str | int] | None = None
    """Names or positions of columns of whole numbers that are names, not amounts; text is categorical without being named."""
    run_dir: str | Path | None = None
    """A folder that keeps the runs: a fit that was killed goes on from its last checkpoint when it is called again with the same
    settings and rows, and one that ended is not trained again. A temporary folder when None."""
    random_state: int | np.random.RandomState | None = 0
    """Seed of the weights, the order of the rows, dropout and which rows validate; with `run_dir` a whole number."""
    device: str = "cpu"
    """Torch device."""
    threads: int = 1
    """Torch threads."""

    def _fit(self, table: pa.Table, label: pa.Array, task: TaskName, **settings: Any) -> Self:
        """Train on the rows of a table with a label each; `settings` are further ones of data and training."""
        names, target = with_values(table), label_name(table.column_names)
        if not names:
            raise ValueError(f"X: found no value in any of {table.num_columns} columns, expected at least one")
        with self._folder() as folder:
            source = write_rows(folder, table.append_column(target, label))
            model = train(self._config(folder, source, names, table, target, task, **settings))
            self.model_ = FittedModel.of(model, kept=self.run_dir is not None)
        self.n_iter_ = len(model.history)
        return self

    def _predict(self, rows: Any) -> pa.Table:
        """Return the predictions for rows, one each."""
        check_is_fitted(self)
        return self.model_.predictor.predict(self._table(rows, reset=False))

    def _table(self, rows: Any, *, reset: bool) -> pa.Table:
        """Return rows as a table, after scikit-learn's checks; `reset` learns the columns, else they have to be those learnt."""
        if is_frame(rows):
            validate_data(self, rows, skip_check_array=True, reset=reset)
        else:
            fewest = FEWEST_ROWS if reset else 1
            rows = validate_data(
                self, rows, reset=reset, ensure_all_finite="allow-nan", ensure_min_samples=fewest, dtype="numeric"
            )
        return to_table(rows, column_names(getattr(self, "feature_names_in_", None), rows.shape[1]))

    def _labelled(self, rows: Any, labels: Any, *, numeric: bool) -> tuple[pa.Table, NDArray[Any]]:
        """Return rows as a table, and their labels, of which none may be missing."""
        if labels is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        table = self._table(rows, reset=True)
        labels = column_or_1d(labels, warn=True)
        labels = check_array(labels, ensure_2d=False, dtype=np.float64 if numeric else None, input_name="y")
        check_consistent_length(table, labels)
        return table, labels

    @contextmanager
    def _folder(self) -> Generator[Path]:
        """Yield the folder of the runs, a temporary one if the settings name none."""
        if self.run_dir is not None:
            yield Path(self.run_dir).absolute()
            return
        with TemporaryDirectory(prefix="unbroken-") as folder:
            yield Path(folder)

    def _config(
        self,
        folder: Path,
        source: Path,
        names: list[str],
        table: pa.Table,
        target: str,
        task: TaskName,
        *,
        positive: str | None = None,
        class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none",
    ) -> Config:
        """Return the settings of the run; numbers of NumPy, as searches draw them, are plain ones."""
        seed = self._seed()
        options = {"hidden": self.hidden, "dropout": self.dropout, **(self.model_options or {})}
        split = SplitConfig(
            test_fraction=_at_least_one(self.test_fraction, table.num_rows),
            validation_fraction=_at_least_one(self.validation_fraction, table.num_rows),
            seed=seed,
        )
        return Config(
            data=DataConfig(
                source=str(source),
                label=target,
                include=tuple(names),
                categories=self._categories(table.column_names),
                task=task,
                positive=positive,
                null_labels="refuse",
                max_columns=max(MAX_COLUMNS, table.num_columns + 1),
            ),
            split=split,
            model=ModelConfig(
                factory=self.model,
                options={name: _plain(value) for name, value in options.items() if value is not None},
            ),
            training=TrainingConfig(
                epochs=_plain(self.epochs),
                patience=_plain(self.patience),
                batch_size=_at_most(_plain(self.batch_size), table.num_rows, split),
                learning_rate=_plain(self.learning_rate),
                optimizer=self.optimizer,
                optimizer_options=_plain(self.optimizer_options or {}),
                scheduler=self.scheduler,
                scheduler_options=_plain(self.scheduler_options or {}),
                class_weights=class_weights,
                seed=seed,
                device=self.device,
                threads=_plain(self.threads),
            ),
            checkpoint=CheckpointConfig(baseline="constant"),  # nobody sees another here
            runs_folder=str(folder),
        )

    def _categories(self, names: list[str]) -> tuple[str, ...]:
        """Return the names of the columns that are categorical by the settings."""
        chosen = _plain(self.categorical_features or ())
        return tuple(names[column] if isinstance(column, int) else column for column in chosen)

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        if self.run_dir is not None:
            raise ConfigError(
                f"random_state: found {self.random_state!r}, expected a whole number where run_dir keeps the run: with "
                f"another seed each time no fit could go on from where it was"
            )
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def __sklearn_tags__(self) -> Tags:
        """Say what it takes: missing values, and categories in frames; weights of rows it does not, since its loss has none."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _at_least_one(share: float, rows: int) -> float:
    """Return a share of some rows, that of one row if it is less; none stays none."""
    return max(float(share), 1 / rows) if share else 0.0


def _at_most(batch_size: int, rows: int, split: SplitConfig) -> int:
    """Return the size of a batch of rows, or all that train where these are fewer."""
    sizes = Sizes.of(rows, split)
    return min(batch_size, max(1, rows - sizes.test - sizes.validation))


def _plain(value: Any) -> Any:
    """Return a setting with the numbers of NumPy in it as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
