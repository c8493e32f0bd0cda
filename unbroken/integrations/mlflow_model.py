"""A published checkpoint as a model that MLflow can load and serve, with a signature of its raw columns; nothing is pickled."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from unbroken.data.kinds import KINDS
from unbroken.serving.prediction import Predictor, load_predictor

TYPES: dict[pa.DataType, DataType] = {
    pa.float64(): DataType.double,
    pa.bool_(): DataType.boolean,
    pa.string(): DataType.string,
    pa.timestamp("us"): DataType.datetime,
    pa.date32(): DataType.datetime,
}
"""Those of the plain types; of a type that MLflow lacks it is given whole numbers, in the type's own unit."""


class Model:
    """The model as MLflow calls it: frames in, frames out."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        columns = predictor.encoder.schema.features
        self._schema = pa.schema({column.name: KINDS[column.kind].plain for column in columns})

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions for raw rows as a frame; DataError where a column does not fit."""
        table = pa.Table.from_pandas(rows, schema=self._schema, preserve_index=False)
        return self._predictor.predict(table).to_pandas()


def signature_of(checkpoint: Path, factory: str) -> ModelSignature:
    """Return the raw feature columns, each of which may be missing a value, and the columns of the predictions."""
    predictor = load_predictor(checkpoint, factory=factory)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(TYPES.get(KINDS[column.kind].plain, DataType.long), column.name)
        for column in predictor.encoder.schema.features
    ]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(_output_type(field.type), field.name) for field in predictor.schema]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _output_type(type: pa.DataType) -> DataType:
    if pa.types.is_floating(type):
        return DataType.float if type == pa.float32() else DataType.double
    if pa.types.is_boolean(type):
        return DataType.boolean
    return DataType.long if pa.types.is_integer(type) else DataType.string


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> Any:
    """Return the model; MLflow finds it by this name."""
    return Model(load_predictor(path, factory=model_config["factory"]))
