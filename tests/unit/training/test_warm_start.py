"""A new run that starts from the weights of a published checkpoint."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.contract import assert_resumes_identically, run_stages, write_rows
from unbroken.batches.rows import Rows
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.config import Config, DataConfig, ModelConfig, StartConfig, TrainingConfig
from unbroken.errors import CheckpointMismatchError, ConfigError, DataError
from unbroken.features.encoder import CategoryCodes, Encoder, NumberScale
from unbroken.models.factory import build_model
from unbroken.models.forward import outputs_of
from unbroken.models.mlp import MLP
from unbroken.run import open_run
from unbroken.stages.results import Restored
from unbroken.training.warm_start import fold


def config_for(source: str, folder: Path, **start: Any) -> Config:
    return Config(
        data=DataConfig(source=source),
        model=ModelConfig(options={"hidden": [8]}),
        start=StartConfig(**start),
        training=TrainingConfig(epochs=2, batch_size=32),
        runs_folder=str(folder / "runs"),
    )


@pytest.fixture
def champion(tmp_path: Path) -> Restored:
    return run_stages(config_for(write_rows(tmp_path / "old.parquet", "binary"), tmp_path))


@pytest.fixture
def newer(tmp_path: Path) -> str:
    """Rows in wider ranges, with a null where the champion saw none, and a category new to it."""
    path = Path(write_rows(tmp_path / "new.parquet", "binary", seed=1))
    table = pq.read_table(path)
    doubled = pa.array([None, *(table["number_0"].to_numpy()[1:] * 2)])
    colours = pa.array(["violet", *table["colour"].to_pylist()[1:]])
    table = table.set_column(0, "number_0", doubled).set_column(3, "colour", colours)
    pq.write_table(table, path)
    return str(path)


def weights_before_training(config: Config) -> Tree:
    """Return the state dict of the run before its first step: a learning rate of nothing leaves it there."""
    still = replace(config, training=replace(config.training, epochs=1, optimizer="SGD", learning_rate=1e-30))
    return read_checkpoint(Path(run_stages(still).path))["model_state_dict"]


def logits_of(model: torch.nn.Module, encoder: Encoder, rows: pa.RecordBatch) -> torch.Tensor:
    batch = encoder.transform_inputs(rows, lambda name, place: f"{name} {place}")
    features = encoder.features
    numbers = torch.tensor(np.stack([batch[name].to_numpy() for name in features.numbers], axis=1))
    codes = torch.tensor(np.stack([batch[c.name].to_numpy() for c in features.categories], axis=1)).long()
    return outputs_of(model, Rows(numbers, codes, torch.zeros(len(numbers))), features.task)[0]


def test_a_warm_start_with_the_kept_encoder_copies_the_weights(champion: Restored, newer: str, tmp_path: Path):
    before = read_checkpoint(Path(champion.path))["model_state_dict"]

    after = weights_before_training(config_for(newer, tmp_path, warm_from=champion.path))

    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_run_of_a_warm_start_is_named_by_the_content_it_starts_from(champion: Restored, newer: str, tmp_path: Path):
    copied = tmp_path / "elsewhere.pth"
    copied.write_bytes(Path(champion.path).read_bytes())
    scratch = open_run(config_for(newer, tmp_path))
    warm = open_run(config_for(newer, tmp_path, warm_from=champion.path))

    assert warm.key != scratch.key
    assert warm.parent == champion.digest
    assert warm.key == open_run(config_for(newer, tmp_path, warm_from=str(copied))).key


@pytest.mark.parametrize(
    "start", [{}, {"optimizer": "keep"}, {"scaler": "refit"}, {"learning_rate_factor": 0.5}], ids=str
)
def test_a_warm_started_run_that_is_stopped_ends_with_the_same_bytes(
    champion: Restored, newer: str, tmp_path: Path, start: dict[str, Any]
):
    assert_resumes_identically(config_for(newer, tmp_path, warm_from=champion.path, **start), [3, 4], tmp_path)


def test_the_optimizer_goes_on_with_its_moments_only_when_they_are_kept(champion: Restored, newer: str, tmp_path: Path):
    def steps(**start: Any) -> float:
        config = config_for(newer, tmp_path, warm_from=champion.path, **start)
        state = read_checkpoint(Path(run_stages(config).path))["optimizer_state_dict"]["state"]
        return float(state[0]["step"])

    assert steps(optimizer="reset") == 12
    assert steps(optimizer="keep") == champion.step + 12


def test_the_learning_rate_factor_multiplies_the_learning_rate(champion: Restored, newer: str, tmp_path: Path):
    config = config_for(newer, tmp_path, warm_from=champion.path, learning_rate_factor=0.25)

    tree = read_checkpoint(Path(run_stages(config).path))

    assert tree["optimizer_state_dict"]["param_groups"][0]["lr"] == config.training.learning_rate * 0.25
    assert tree["history"][-1]["learning_rate"] == config.training.learning_rate * 0.25


def encoder_like(old: Encoder, *, low: float, high: float, fill: float, values: tuple[str, ...]) -> Encoder:
    """Return an encoder fitted to other rows: other ranges and means, an indicator for each number, more categories."""
    numbers = tuple(replace(scale, low=low, high=high, fill=fill, indicator=True) for scale in old.numbers)
    return replace(old, numbers=numbers, categories=(CategoryCodes(name="colour", values=values),))


def test_folding_a_refitted_encoder_into_the_first_layer_leaves_the_function_unchanged(
    champion: Restored, tmp_path: Path
):
    tree = read_checkpoint(Path(champion.path))
    old = Encoder.of_tree(tree["scaler"], Path(champion.path))
    new = encoder_like(
        old, low=-9.0, high=7.5, fill=0.75, values=("blue", "cyan", "green", "red", *map(str, range(60)))
    )
    before, after = (build_model(ModelConfig(options={"hidden": [8]}), encoder.features) for encoder in (old, new))
    assert isinstance(after, MLP)
    before.load_state_dict(tree["model_state_dict"])
    after.load_state_dict(fold(tree["model_state_dict"], after.state_dict(), old, new))
    inside = np.linspace(-1.5, 1.5, 200)
    rows = pa.RecordBatch.from_pydict(
        {
            "number_0": pa.array(inside, mask=np.arange(200) % 7 == 0),
            "number_1": pa.array(inside[::-1], mask=np.arange(200) % 5 == 0),
            "number_2": pa.array(np.roll(inside, 50)),
            "colour": pa.array((["red", "green", "blue", None, "cyan", "7", "never seen"] * 29)[:200]),
        }
    )

    found, expected = logits_of(after, new, rows), logits_of(before, old, rows)

    # The identity is one of real numbers: inputs rounded to 24 bits in other ranges differ in the last of them.
    rounding = 64 * torch.finfo(torch.float32).eps
    assert (found - expected).abs().max() < rounding
    assert expected.std() > 1000 * rounding


def test_a_constant_column_is_folded_whether_it_was_or_becomes_constant():
    old, new = (
        Encoder.of_tree(
            {
                "schema": {
                    "features": [{"name": "x", "kind": "number"}],
                    "label": {"name": "y", "kind": "number"},
                    "task": "regression",
                    "classes": [],
                },
                "numbers": [{"name": "x", "kind": "number", "low": low, "high": high, "fill": 1.0, "indicator": False}],
                "categories": [],
                "label": {"column": {"name": "y", "kind": "number"}, "classes": [], "mean": 0.0, "deviation": 1.0},
            },
            Path("scaler"),
        )
        for low, high in ((0.0, 4.0), (1.0, 1.0))
    )
    model = build_model(ModelConfig(options={"hidden": []}), old.features)
    at_one = torch.tensor([[0.25]])
    constant = torch.tensor([[0.0]])
    none = torch.zeros(1, 0, dtype=torch.long)
    expected, as_constant = model(at_one, none), model(constant, none)

    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(fold(weights, weights, old, new))
    assert model(constant, none).item() == pytest.approx(expected.item(), abs=1e-6)

    model.load_state_dict(fold(weights, weights, new, old))
    assert model(at_one, none).item() == pytest.approx(as_constant.item(), abs=1e-6)


def test_a_refitted_encoder_has_the_new_ranges_and_the_old_categories_too(
    champion: Restored, newer: str, tmp_path: Path
):
    old = Encoder.of_tree(read_checkpoint(Path(champion.path))["scaler"], Path(champion.path))

    tree = read_checkpoint(Path(run_stages(config_for(newer, tmp_path, warm_from=champion.path, scaler="refit")).path))

    new = Encoder.of_tree(tree["scaler"], Path(champion.path))
    assert number(new, "number_0").high > number(old, "number_0").high * 1.3
    assert number(new, "number_1").indicator
    assert set(new.categories[0].values) >= {"blue", "green", "red"}


def number(encoder: Encoder, name: str) -> NumberScale:
    return next(scale for scale in encoder.numbers if scale.name == name)


def test_a_warm_start_from_a_file_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"start\.warm_from: found no file .*gone\.pth"):
        open_run(config_for("sample", tmp_path, warm_from=str(tmp_path / "gone.pth")))


def test_a_champion_that_lost_its_manifest_is_refused(champion: Restored, newer: str, tmp_path: Path):
    Path(champion.path).with_suffix(".json").unlink()
    shutil.rmtree(Path(champion.path).parent / "manifests")

    with pytest.raises(DataError, match=r"checkpoint\.json: found no manifest beside checkpoint\.pth"):
        run_stages(config_for(newer, tmp_path, warm_from=champion.path))


def test_new_rows_without_a_column_of_the_champion_are_refused(champion: Restored, newer: str, tmp_path: Path):
    pq.write_table(pq.read_table(newer).drop_columns(["number_2"]), newer)

    with pytest.raises(DataError, match="column number_2: found no such column, expected number"):
        run_stages(config_for(newer, tmp_path, warm_from=champion.path))


def test_a_champion_of_another_shape_is_refused_by_name(champion: Restored, newer: str, tmp_path: Path):
    config = config_for(newer, tmp_path, warm_from=champion.path)

    with pytest.raises(CheckpointMismatchError, match=r"layers\.0\.weight: found .*\[8, 8\], expected .*\[9, 8\]"):
        run_stages(replace(config, model=ModelConfig(options={"hidden": [9]})))


def test_moments_of_another_optimizer_are_refused(champion: Restored, newer: str, tmp_path: Path):
    config = config_for(newer, tmp_path, warm_from=champion.path, optimizer="keep")

    with pytest.raises(CheckpointMismatchError, match=r"training\.optimizer: found 'Adam', expected 'AdamW'"):
        run_stages(replace(config, training=replace(config.training, optimizer="AdamW")))


def test_kept_moments_with_a_refitted_encoder_are_a_contradiction():
    with pytest.raises(ConfigError, match=r"start\.optimizer: found 'keep'"):
        StartConfig(warm_from="x.pth", scaler="refit", optimizer="keep")


def test_a_refitted_encoder_is_not_folded_into_a_model_that_takes_its_inputs_in_another_way(newer: str, tmp_path: Path):
    def changed(source: str, change: str, **start: Any) -> Config:
        model = ModelConfig(factory="tests.unit.changed_models:changed", options={"change": change})
        return replace(config_for(source, tmp_path, **start), model=model)

    old = write_rows(tmp_path / "old.parquet", "binary")
    for change, folds in {"replaced activation": True, "forward pre hook": False, "changed class": False}.items():
        champion = run_stages(changed(old, change))
        config = changed(newer, change, warm_from=champion.path, scaler="refit")
        if folds:
            assert run_stages(config).epoch == 2
        else:
            with pytest.raises(CheckpointMismatchError, match=r"found refit, .* use start\.scaler keep"):
                run_stages(config)
