"""What a model should beat: scikit-learn's gradient boosting at its defaults, on the same rows and features."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from unbroken.batches.rows import read_rows
from unbroken.data.dataset import Dataset
from unbroken.features.spec import FeatureSpec

LEAST_ROWS, MOST_CELLS = 500, 10_000_000
"""Of fewer rows its leaves of 20 rows say little; more cells take longer than half a minute."""
MOST_CODES = 255
"""Of a category it takes so many codes; those beyond share the last one."""
SMALLEST = 1e-7


class BoostedTrees(nn.Module):
    """Gives what a fitted estimator predicts as logits."""

    def __init__(self, estimator: Any, features: FeatureSpec) -> None:
        super().__init__()
        self.estimator, self.features = estimator, features

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return the logits of some rows."""
        inputs = _matrix(numbers.numpy(force=True), codes.numpy(force=True))
        return torch.from_numpy(self._logits(inputs).astype(np.float32)).to(numbers.device)

    def _logits(self, inputs: NDArray[Any]) -> NDArray[Any]:
        if self.features.task == "regression":
            return self.estimator.predict(inputs)[:, None]
        known = self.estimator.predict_proba(inputs)
        shares = np.zeros((len(inputs), len(self.features.classes)))
        shares[:, self.estimator.classes_.astype(int)] = known  # a class may be in none of the rows that train
        logits = np.log(np.clip(shares, SMALLEST, 1))
        return logits if self.features.task == "multiclass" else logits[:, 1:] - logits[:, :1]


def why_no_trees(train: Dataset) -> str | None:
    """Return why gradient boosting is not fitted to some rows; None if it is."""
    if importlib.util.find_spec("sklearn") is None:
        return "scikit-learn is not installed: pip install 'unbroken[sklearn]'"
    if train.rows < LEAST_ROWS:
        return f"{train.rows:,} rows train, fewer than {LEAST_ROWS:,}"
    cells = train.rows * train.columns
    return f"{cells:,} values train, more than {MOST_CELLS:,}" if cells > MOST_CELLS else None


def fit_trees(train: Dataset, features: FeatureSpec, seed: int) -> BoostedTrees:
    """Fit it to the rows that train.

    Args:
        train: The preprocessed rows that train.
        features: Which columns are numbers, which are categories, and what is predicted.
        seed: Draws what scikit-learn draws.
    """
    from sklearn.ensemble import (  # noqa: PLC0415 (an extra)
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    kind = HistGradientBoostingRegressor if features.task == "regression" else HistGradientBoostingClassifier
    rows = read_rows(train, features)
    inputs = _matrix(rows.numbers.numpy(), rows.codes.numpy())
    is_category = np.arange(inputs.shape[1]) >= len(features.numbers)
    estimator = kind(random_state=seed, categorical_features=is_category if features.categories else None)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="trees") as pool:
        return BoostedTrees(pool.submit(_fit, estimator, inputs, rows.labels.numpy()).result(), features)


def _fit(estimator: Any, inputs: NDArray[Any], labels: NDArray[Any]) -> Any:
    """Fit on one core: OpenMP's threads wait for each other in loops, which costs tenfold where others use the cores too.

    Its number of threads is set for this thread alone.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 (scikit-learn brings it)

    with threadpool_limits(1, user_api="openmp"):
        return estimator.fit(inputs, labels)


def _matrix(numbers: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.float64]:
    return np.hstack([numbers, np.minimum(codes, MOST_CODES - 1)]).astype(np.float64)
