"""A regressor for scikit-learn."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from unbroken.estimators.base import UnbrokenEstimator
from unbroken.serving.prediction import VALUE


@dataclass(kw_only=True, eq=False, repr=False)
class UnbrokenRegressor(RegressorMixin, UnbrokenEstimator):
    """A neural network for numbers, trained by the stages of `unbroken.train`.

    Arrays of numbers, or frames whose columns are numbers, booleans, text, categories, dates and times; values may be missing.

        UnbrokenRegressor(epochs=20, run_dir="runs").fit(X, y).predict(X)

    Attributes:
        n_features_in_: The number of columns in `fit`.
        feature_names_in_: Their names, where all are text.
        n_iter_: The number of epochs that were trained.
        model_: The published model: `model_.digest`, `model_.path` where `run_dir` keeps it, `model_.save(folder)`.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 (scikit-learn's names)
        """Train on rows and their values; the same call after any end goes on from where it was if `run_dir` is set."""
        table, labels = self._labelled(X, y, numeric=True)
        if np.all(labels == labels[0]):
            raise ValueError(f"y: found the value {labels[0]} in every row, expected at least two to learn from")
        return self._fit(table, pa.array(labels), "regression")

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the value of each row."""
        return self._predict(X)[VALUE].to_numpy()
