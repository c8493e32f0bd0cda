"""A frame with columns of all kinds, for estimators."""

import numpy as np
import pandas as pd


def frame(rows: int = 200, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Return numbers with missing ones, text, a pandas category, booleans and dates, and a score that depends on them."""
    draw = np.random.Generator(np.random.PCG64(seed))
    numbers = draw.standard_normal((rows, 2))
    colour = draw.choice(["red", "green", "blue"], rows)
    score = numbers @ [1.0, -2.0] + 2 * (colour == "red")
    numbers[draw.random(rows) < 0.1, 1] = np.nan
    columns = {
        "first": numbers[:, 0],
        "second": numbers[:, 1],
        "colour": colour,
        "size": pd.Categorical(draw.choice(["s", "m", "l"], rows)),
        "flag": draw.random(rows) < 0.5,
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, rows), unit="D"),
        "empty": np.full(rows, np.nan),
    }
    index = draw.permutation(rows) + 1000
    return pd.DataFrame(columns, index=index), pd.Series(score, index=index, name="score")
