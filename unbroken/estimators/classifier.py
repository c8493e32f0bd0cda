"""A classifier for scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from unbroken.estimators.base import UnbrokenEstimator
from unbroken.serving.prediction import PROBABILITY

BINARY = 2


@dataclass(kw_only=True, eq=False, repr=False)
class UnbrokenClassifier(ClassifierMixin, UnbrokenEstimator):
    """A neural network for classes, trained by the stages of `unbroken.train`.

    Arrays of numbers, or frames whose columns are numbers, booleans, text, categories, dates and times; values may be missing.

        UnbrokenClassifier(epochs=20, run_dir="runs").fit(X, y).predict_proba(X)

    Attributes:
        classes_: The classes, sorted.
        n_features_in_: The number of columns in `fit`.
        feature_names_in_: Their names, where all are text.
        n_iter_: The number of epochs that were trained.
        model_: The published model: `model_.digest`, `model_.path` where `run_dir` keeps it, `model_.save(folder)`.
    """

    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None
    """How much a row of each class counts in the loss: `balanced` by inverse frequency, or a weight by class, 1 for others."""

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 (scikit-learn's names)
        """Train on rows and their classes; the same call after any end goes on from where it was if `run_dir` is set."""
        table, labels = self._labelled(X, y, numeric=False)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < BINARY:
            raise ValueError(f"y: found one class, {self.classes_.tolist()[0]!r}, expected at least two")
        values = _as_values(self.classes_)
        binary = len(self.classes_) == BINARY
        return self._fit(
            table,
            values.take(pa.array(codes)),
            "binary" if binary else "multiclass",
            positive=str(values[1].as_py()) if binary else None,
            class_weights=self._class_weights(),
        )

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, in the order of `classes_`, for each row."""
        predictions = self._predict(X)
        if len(self.classes_) == BINARY:
            second = predictions[PROBABILITY].to_numpy().astype(np.float64)
            return np.stack([1 - second, second], axis=1)
        names = [f"{PROBABILITY}_{value}" for value in _as_values(self.classes_).to_pylist()]
        shares = np.stack([predictions[name].to_numpy().astype(np.float64) for name in names], axis=1)
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each row."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]

    def _class_weights(self) -> Literal["none", "balanced"] | tuple[float, ...]:
        if isinstance(self.class_weight, Mapping):
            return tuple(float(self.class_weight.get(value, 1.0)) for value in self.classes_.tolist())
        return self.class_weight or "none"


def _as_values(classes: NDArray[Any]) -> pa.Array:
    """Return classes as values that a column can hold; the numbers of those that are neither numbers nor text."""
    if classes.dtype.kind in "biufU" or all(isinstance(value, str) for value in classes):
        return pa.array(classes.tolist())
    return pa.array(np.arange(len(classes)))
