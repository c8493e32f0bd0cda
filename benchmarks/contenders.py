"""Who learns a table: the library's presets and its peers, each as its own documentation starts with it."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.tables import Task
from unbroken import Config, train
from unbroken.config import CheckpointConfig, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.data.permutation import Permutation, derive

TEST, VALIDATION = 0.2, 0.1
STOPPING = TrainingConfig(epochs=200, monitor="validation_loss", patience=12)
Outputs = NDArray[Any]
"""[rows, classes] probabilities, or [rows] values."""
Contender = Callable[[pd.DataFrame, NDArray[np.bool_], Task, int], Outputs]
"""Learns the rows of a table that train, and returns outputs for those that test.

Args: the table, which of its rows test, the task, the seed.
"""


def test_rows(rows: int, seed: int) -> NDArray[np.bool_]:
    """Return which rows test: those that the library's own split takes."""
    return Permutation(rows, derive(seed, "split")).of(np.arange(rows)) < round(rows * TEST)


def ours(model: ModelConfig, training: TrainingConfig = STOPPING) -> Contender:
    """Return the library with a model, a validation part, and the epoch that is best there."""

    def learn(frame: pd.DataFrame, test: NDArray[np.bool_], task: Task, seed: int) -> Outputs:
        positive = max(frame["label"]) if task == "binary" else None  # the order of the codes that judge
        with TemporaryDirectory() as folder:
            source = Path(folder) / "rows.parquet"
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), source)
            config = Config(
                data=DataConfig(source=str(source), label="label", positive=positive),
                split=SplitConfig(test_fraction=TEST, validation_fraction=VALIDATION, seed=seed),
                model=model,
                training=replace(training, seed=seed),
                checkpoint=CheckpointConfig(publish="best", every_seconds=None, baseline="constant"),
                runs_folder=str(Path(folder) / "runs"),
            )
            rows = pa.Table.from_pandas(frame[test].drop(columns="label"), preserve_index=False)
            predicted = train(config).predict(rows)
        names = [name for name in predicted.column_names if name.startswith("probability")]
        if not names:
            return predicted.column("value").to_numpy()
        columns = np.column_stack([predicted.column(name).to_numpy() for name in names])
        return columns if len(names) > 1 else np.column_stack([1 - columns, columns])

    return learn


def sklearn_boosting(task: Task, seed: int) -> Any:
    """Return scikit-learn's histogram gradient boosting at its defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: PLC0415

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(random_state=seed, categorical_features="from_dtype")


def lightgbm(task: Task, seed: int) -> Any:
    """Return LightGBM at its defaults."""
    from lightgbm import LGBMClassifier, LGBMRegressor  # noqa: PLC0415

    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return kind(random_state=seed, verbose=-1, n_jobs=1)


def xgboost(task: Task, seed: int) -> Any:
    """Return XGBoost at its defaults."""
    from xgboost import XGBClassifier, XGBRegressor  # noqa: PLC0415

    kind = XGBRegressor if task == "regression" else XGBClassifier
    return kind(random_state=seed, enable_categorical=True, n_jobs=1)


def realmlp(task: Task, seed: int) -> Any:
    """Return pytabkit's RealMLP with its tuned defaults, the small one."""
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor  # noqa: PLC0415

    kind = RealMLP_TD_S_Regressor if task == "regression" else RealMLP_TD_S_Classifier
    return kind(random_state=seed, device="cpu", n_threads=1, verbosity=0)


def sklearn_mlp(task: Task, seed: int) -> Any:
    """Return scikit-learn's multi-layer perceptron with early stopping."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: PLC0415

    kind = MLPRegressor if task == "regression" else MLPClassifier
    return kind(random_state=seed, early_stopping=True, max_iter=500, n_iter_no_change=16)


def linear(task: Task, seed: int) -> Any:
    """Return a ridge or a logistic regression."""
    from sklearn.linear_model import LogisticRegression, RidgeCV  # noqa: PLC0415

    return RidgeCV() if task == "regression" else LogisticRegression(max_iter=2000, random_state=seed)


def of_trees(build: Callable[[Task, int], Any]) -> Contender:
    """Return a contender that takes categories and nulls as they are."""

    def learn(frame: pd.DataFrame, test: NDArray[np.bool_], task: Task, seed: int) -> Outputs:
        inputs, label = _categorical(frame, test), _codes(frame, task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = build(task, seed).fit(inputs[~test], label[~test])
            return model.predict(inputs[test]) if task == "regression" else model.predict_proba(inputs[test])

    return learn


def of_vectors(build: Callable[[Task, int], Any]) -> Contender:
    """Return a contender that takes standardised numbers, categories one-hot, labels of a regression standardised."""
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer  # noqa: PLC0415
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    def learn(frame: pd.DataFrame, test: NDArray[np.bool_], task: Task, seed: int) -> Outputs:
        numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
        words = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
        inputs = make_column_transformer(
            (numbers, make_column_selector(dtype_include="number")),
            (words, make_column_selector(dtype_exclude="number")),
            sparse_threshold=0,
        )
        model = build(task, seed)
        if task == "regression":
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        rows, label = frame.drop(columns="label"), _codes(frame, task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = make_pipeline(inputs, model).fit(rows[~test], label[~test])
            return whole.predict(rows[test]) if task == "regression" else whole.predict_proba(rows[test])

    return learn


def _codes(frame: pd.DataFrame, task: Task) -> NDArray[Any]:
    return frame["label"].to_numpy() if task == "regression" else pd.factorize(frame["label"], sort=True)[0]


def _categorical(frame: pd.DataFrame, test: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the inputs with text as categories, the 250 most frequent ones of the rows that train."""
    inputs = frame.drop(columns="label")
    for name in inputs.select_dtypes(exclude="number"):
        known = inputs[name][~test].value_counts().index[:250]
        inputs[name] = pd.Categorical(inputs[name], categories=sorted(known))
    return inputs.astype(dict.fromkeys(inputs.select_dtypes("number"), float))


CONTENDERS: dict[str, Contender] = {
    "HistGradientBoosting": of_trees(sklearn_boosting),
    "LightGBM": of_trees(lightgbm),
    "XGBoost": of_trees(xgboost),
    "scikit-learn MLP": of_vectors(sklearn_mlp),
    "linear": of_vectors(linear),
    "RealMLP-TD-S": of_trees(realmlp),
    "mlp": ours(ModelConfig(factory="mlp")),
    "plr": ours(ModelConfig(factory="plr")),
    "realmlp": ours(ModelConfig(factory="realmlp")),
    "tabm": ours(ModelConfig(factory="tabm")),
}
