"""The gate: a worse challenger never wins, a better one does, a tie keeps the champion."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.contract import run_stages
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, SplitConfig, TrainingConfig
from unbroken.data.dataset import Dataset
from unbroken.data.parquet import Writer
from unbroken.errors import ConfigError, DataError
from unbroken.features.encoder import Encoder
from unbroken.retraining import gate
from unbroken.retraining.comparison import compare_models, score_rows
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import judge, metric_function
from unbroken.retraining.new_data import Cycle
from unbroken.serving.prediction import load_predictor
from unbroken.serving.registry import NOTHING_SEEN, Version
from unbroken.stages.results import Restored

GATE = GateConfig(resamples=300)
SEEDS = 20


def draws(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def rows_of(count: int, seed: int, *, flipped: float = 0.0, outliers: int = 0) -> pa.RecordBatch:
    """Return rows of a logistic model, a share of the labels flipped, some values of one column a thousandfold."""
    draw = draws(seed)
    numbers = draw.standard_normal((count, 4))
    label = draw.random(count) < 1 / (1 + np.exp(-2 * numbers @ [1.0, -1.0, 0.5, 0.0]))
    label ^= draw.random(count) < flipped
    numbers[:outliers, 0] *= 1000
    columns = {f"number_{index}": numbers[:, index] for index in range(4)}
    return pa.RecordBatch.from_pydict({**columns, "late": label.astype(int)})


def written(path: Path, rows: pa.RecordBatch) -> Dataset:
    with Writer(path, rows.schema) as writer:
        writer.write(rows)
    return writer.dataset()


def trained(folder: Path, rows: pa.RecordBatch, epochs: int) -> tuple[Dataset, Restored]:
    dataset = written(folder / "rows.parquet", rows)
    config = Config(
        data=DataConfig(source=dataset.path),
        split=SplitConfig(validation_fraction=0.0),
        model=ModelConfig(options={"hidden": [8]}),
        training=TrainingConfig(epochs=epochs, batch_size=64, learning_rate=0.02),
        runs_folder=str(folder / "runs"),
    )
    return dataset, run_stages(config)


def contest(
    folder: Path, seed: int, challenger_rows: pa.RecordBatch, epochs: int, outliers: int
) -> tuple[Cycle, CycleDatasets, Restored]:
    """Train a decent champion and the challenger, and hold out fresh rows."""
    _, champion = trained(folder / "champion", rows_of(500, seed), epochs=4)
    train, challenger = trained(folder / "challenger", challenger_rows, epochs)
    test = written(folder / "test.parquet", rows_of(600, seed + 2000, outliers=outliers))
    version = Version(path=champion.path, digest=champion.digest, profile="")
    cycle = Cycle(
        folder=str(folder), new=(), older=(), champion=version, watermark=NOTHING_SEEN, next_watermark=NOTHING_SEEN
    )
    schema = Encoder.of_published(Path(champion.path), champion.digest).schema
    datasets = CycleDatasets(new=test, test=test, train=train, replay=None, schema=schema, config=Config())
    return cycle, datasets, challenger


def true_auroc(path: str, seed: int, folder: Path) -> float:
    rows = written(folder / "many.parquet", rows_of(5_000, seed + 3000))
    labels = rows_of(5_000, seed + 3000).column("late").to_numpy()
    predicted = score_rows(load_predictor(path), rows, (0, 1))
    return metric_function("auroc", predicted, labels)(np.ones(len(labels), np.int64))


@pytest.mark.parametrize("seeds", [range(4, 8), pytest.param([*range(4), *range(8, SEEDS)], marks=pytest.mark.slow)])
@pytest.mark.parametrize(("flipped", "epochs", "outliers"), [(0.3, 1, 0), (0.0, 8, 1)])
def test_a_worse_challenger_is_promoted_for_none_of_20_seeds(
    tmp_path: Path, flipped: float, epochs: int, outliers: int, seeds: Sequence[int]
):
    promoted, under_the_challengers_encoder = [], []
    for seed in seeds:
        folder = tmp_path / str(seed)
        rows = rows_of(500, seed + 1000, flipped=flipped, outliers=outliers)
        cycle, datasets, challenger = contest(folder, seed, rows, epochs, outliers)
        assert cycle.champion is not None
        assert true_auroc(challenger.path, seed, folder) < true_auroc(cycle.champion.path, seed, folder)

        verdict = compare_models(cycle, datasets, challenger, RetrainConfig(gate=GATE))

        promoted.append(verdict.promote)
        champion, challenger_model = load_predictor(cycle.champion.path), load_predictor(challenger.path)
        labels = rows_of(600, seed + 2000).column("late").to_numpy()
        wrong_predictions = score_rows(replace(champion, encoder=challenger_model.encoder), datasets.test, (0, 1))
        under_the_challengers_encoder.append(
            judge(
                wrong_predictions, score_rows(challenger_model, datasets.test, (0, 1)), labels, "binary", GATE
            ).promote
        )
    assert sum(promoted) == 0
    if outliers:
        assert sum(under_the_challengers_encoder) > 0, (
            "the mistake that the comparison avoids would have shown nothing here"
        )


def test_a_better_challenger_is_promoted(tmp_path: Path):
    for seed in range(3):
        folder = tmp_path / str(seed)
        cycle, datasets, challenger = contest(folder, seed, rows_of(500, seed), 1, 0)
        better = replace(cycle, champion=Version(path=challenger.path, digest=challenger.digest, profile=""))
        assert cycle.champion is not None
        strong = Restored(path=cycle.champion.path, digest=cycle.champion.digest, epoch=0, step=0, metrics={})

        verdict = compare_models(better, datasets, strong, RetrainConfig(gate=GATE))

        assert verdict.promote
        assert verdict.low > 0


def test_the_first_challenger_has_to_beat_the_shares_of_the_classes(tmp_path: Path):
    cycle, datasets, challenger = contest(tmp_path, 0, rows_of(500, 1), 3, 0)

    learnt = compare_models(replace(cycle, champion=None), datasets, challenger, RetrainConfig(gate=GATE))
    assert learnt.promote
    assert learnt.champion == 0.5

    _, nothing = trained(tmp_path / "nothing", rows_of(500, 1, flipped=0.5), epochs=30)
    guessed = compare_models(
        replace(cycle, champion=None), datasets, nothing, RetrainConfig(gate=replace(GATE, metric="loss"))
    )
    assert not guessed.promote


def test_slices_are_the_values_of_raw_columns_that_need_be_no_features(tmp_path: Path):
    cycle, datasets, challenger = contest(tmp_path, 0, rows_of(500, 1), 3, 0)
    rows = rows_of(600, 2000)
    origin = pa.array(["EWR"] * 300 + ["LGA"] * 250 + [None] * 50)
    test = written(tmp_path / "sliced.parquet", rows.append_column("origin", origin))
    config = RetrainConfig(gate=replace(GATE, slices=("origin",), slice_rows=50))

    verdict = compare_models(cycle, replace(datasets, test=test), challenger, config)

    assert {part.name: part.rows for part in verdict.slices} == {
        "origin=EWR": 300,
        "origin=LGA": 250,
        "origin=missing": 50,
    }
    assert verdict.rows == 600


def test_a_class_that_a_model_does_not_know_has_probability_0(tmp_path: Path):
    _, datasets, challenger = contest(tmp_path, 0, rows_of(500, 1), 1, 0)
    model = load_predictor(challenger.path)

    scores = score_rows(model, datasets.test, (0, 1, 2))

    assert scores[:, :2].tolist() == score_rows(model, datasets.test, (0, 1)).tolist()
    assert scores[:, 2].tolist() == [0.0] * 600


def probabilities(ones: np.ndarray) -> np.ndarray:
    return np.stack([1 - ones, ones], axis=1)


def test_the_area_under_the_curve_counts_pairs_with_ties_as_halves():
    draw = draws(0)
    scores, labels = draw.integers(0, 6, 80) / 6, draw.integers(0, 2, 80)
    pairs = [
        (1.0 if high > low else 0.5 if high == low else 0.0)
        for high in scores[labels == 1]
        for low in scores[labels == 0]
    ]

    area = metric_function("auroc", probabilities(scores), labels)

    assert area(np.ones(80, np.int64)) == pytest.approx(np.mean(pairs))


def test_rows_that_count_often_are_rows_repeated():
    draw = draws(1)
    scores, labels, counts = draw.random(50), draw.integers(0, 2, 50), draw.integers(0, 4, 50)
    often = np.repeat(np.arange(50), counts)
    for metric in ("auroc", "loss", "accuracy"):
        weighted = metric_function(metric, probabilities(scores), labels)(counts)
        repeated = metric_function(metric, probabilities(scores[often]), labels[often])(np.ones(len(often), np.int64))
        assert weighted == pytest.approx(repeated)
    values = draw.random(50)
    for metric in ("rmse", "mae", "loss"):
        weighted = metric_function(metric, scores, values)(counts)
        assert weighted == pytest.approx(
            metric_function(metric, scores[often], values[often])(np.ones(len(often), np.int64))
        )


def test_a_tie_keeps_the_champion():
    draw = draws(2)
    scores, labels = probabilities(draw.random(300)), draw.integers(0, 2, 300)

    verdict = judge(scores, scores.copy(), labels, "binary", GATE)

    assert not verdict.promote
    assert (verdict.gain, verdict.low, verdict.high) == (0.0, 0.0, 0.0)


def test_a_gain_has_to_exceed_the_margin_with_its_whole_interval():
    draw = draws(3)
    labels = draw.integers(0, 2, 2000)
    before, after = (np.clip(labels * 0.2 + draw.normal(0.4, spread, 2000), 0, 1) for spread in (0.3, 0.1))

    free = judge(probabilities(before), probabilities(after), labels, "binary", GATE)
    above = judge(probabilities(before), probabilities(after), labels, "binary", replace(GATE, margin=free.low + 1e-6))

    assert free.promote
    assert free.low < free.gain < free.high
    assert not above.promote
    assert "is not above" in above.reason


def test_the_interval_is_wider_for_fewer_rows_and_the_same_each_time():
    draw = draws(4)
    labels = draw.integers(0, 2, 4000)
    before, after = (probabilities(np.clip(labels * 0.2 + draw.normal(0.4, 0.3, 4000), 0, 1)) for _ in range(2))

    many = judge(before, after, labels, "binary", GATE)
    few = judge(before[:200], after[:200], labels[:200], "binary", GATE)

    assert few.high - few.low > 2 * (many.high - many.low)
    assert judge(before, after, labels, "binary", GATE) == many


def test_a_slice_that_falls_past_the_bound_keeps_the_champion():
    draw = draws(5)
    labels = draw.integers(0, 2, 3000)
    origin = np.where(np.arange(3000) % 4, "EWR", "LGA")
    before = np.clip(labels * 0.2 + draw.normal(0.4, 0.2, 3000), 0, 1)
    after = np.where(origin == "EWR", labels * 0.8 + 0.1, 1 - before)

    verdict = judge(probabilities(before), probabilities(after), labels, "binary", GATE, {"origin": origin})
    small = judge(
        probabilities(before),
        probabilities(after),
        labels,
        "binary",
        replace(GATE, slice_rows=2000),
        {"origin": origin},
    )

    assert verdict.gain > 0
    assert not verdict.promote
    assert verdict.reason.startswith("origin=LGA falls by")
    assert {part.name: part.rows for part in verdict.slices} == {"origin=EWR": 2250, "origin=LGA": 750}
    assert small.promote


def test_smaller_errors_are_a_gain():
    draw = draws(6)
    values = draw.normal(100, 20, 500)

    verdict = judge(values + draw.normal(0, 9, 500), values + draw.normal(0, 3, 500), values, "regression", GATE)

    assert verdict.metric == "rmse"
    assert verdict.champion == pytest.approx(9, rel=0.1)
    assert verdict.promote
    assert verdict.gain == pytest.approx(verdict.champion - verdict.challenger)


def test_several_classes_are_judged_by_their_mean_area():
    labels = np.array([0, 1, 2] * 50)
    sure, unsure = np.eye(3)[labels] * 0.9 + 1 / 30, np.full((150, 3), 1 / 3)

    verdict = judge(unsure, sure, labels, "multiclass", GATE)

    assert (verdict.champion, verdict.challenger) == (0.5, 1.0)
    assert verdict.promote


def test_rows_of_one_class_cannot_judge():
    scores = probabilities(draws(7).random(50))

    with pytest.raises(DataError, match="50 rows that judge, which do not define auroc"):
        judge(scores, scores, np.ones(50, int), "binary", GATE)


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(
        ConfigError, match=r"gate\.metric: found 'rmse', expected one of auroc, loss, accuracy for binary"
    ):
        gate.metric_for("binary", replace(GATE, metric="rmse"))
