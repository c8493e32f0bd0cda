"""What a training learnt of its columns, for reading the next CSV file as it read the first."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from unbroken.config import DataConfig
from unbroken.csv.reading import Known, Reading
from unbroken.features.encoder import Encoder
from unbroken.storage.artifact import from_json


def learnt_reading(encoder: Encoder, data: DataConfig) -> Reading:
    """Return how CSV files are read for a model.

    Args:
        encoder: What was fitted in its training: the kind of each column, the texts that were values.
        data: The settings it was trained with. An encoding that they name is used where a file is no UTF-8.
    """
    texts = {codes.name: codes.values for codes in encoder.categories}
    schema = encoder.schema
    learnt = {
        column.name: Known(
            kind=column.kind,
            values=frozenset(texts.get(column.name, ())),
            format=encoder.formats.get(column.name, ""),
        )
        for column in (*schema.features, schema.label)
        if column.name not in data.categories  # whole numbers in the file, whatever their codes
    }
    reading = Reading.of(data, learnt)
    return replace(reading, csv=replace(data.csv, encoding=None), fallback_encoding=data.csv.encoding)


def data_config(tree: dict[str, Any], path: Path) -> DataConfig:
    """Return the settings of the data that the checkpoint of a path keeps; those at their default may be left out there."""
    return from_json(DataConfig, json.dumps(tree).encode(), str(path))
