"""Some rows train with a category as if its value were unseen, for that code to learn what to expect.

They are the same rows in every epoch and every attempt, drawn by their numbers alone.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.permutation import Permutation, derive
from unbroken.data.split import TRAIN, Parts
from unbroken.features.encoder import FIRST_CODE, UNSEEN, Encoder

SHARE = 0.01
"""Of the rows that train, for each category on its own."""


def drop_categories(inputs: pa.RecordBatch, encoder: Encoder, start: int, parts: Parts, rows: int) -> pa.RecordBatch:
    """Return some rows of a dataset with the code of unseen values in place of a few codes of rows that train.

    Args:
        inputs: What the encoder made of the rows.
        encoder: Which columns are codes.
        start: The number of the first of the rows in the dataset.
        parts: The part of each.
        rows: How many there are in all.
    """
    numbers = np.arange(start, start + inputs.num_rows)
    for category in encoder.categories:
        order = Permutation(rows, derive(0, "category dropout", category.name))
        dropped = (parts == TRAIN) & (order.of(numbers) < round(rows * SHARE))
        codes = inputs.column(category.name)
        known = pc.and_(pa.array(dropped), pc.greater_equal(codes, FIRST_CODE))
        index = inputs.schema.get_field_index(category.name)
        inputs = inputs.set_column(index, category.name, pc.if_else(known, pa.scalar(UNSEEN, codes.type), codes))
    return inputs
