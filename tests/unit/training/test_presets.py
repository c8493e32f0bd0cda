"""Each network that comes with the library, through all that a model goes through."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.contract import assert_resumes_identically, run_stages, stopping_after, write_rows
from tests.unit.presets import NEW
from tests.unit.training.test_streaming import MEMORY, STREAMED
from tests.unit.training.test_streaming import configured as of_many_rows
from unbroken import load
from unbroken.checkpoints.format import read_checkpoint
from unbroken.config import CheckpointConfig, Config, DataConfig, StartConfig, TrainingConfig
from unbroken.errors import CheckpointMismatchError

presets = pytest.mark.parametrize("preset", NEW)


def configured(folder: Path, preset: str, label: str = "multiclass") -> Config:
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", label)),
        model=NEW[preset],
        training=TrainingConfig(epochs=2, batch_size=32),
        runs_folder=str(folder / "runs"),
    )


@presets
@pytest.mark.parametrize("label", ["binary", "multiclass", "regression"])
def test_a_preset_is_loaded_and_predicts_without_being_named(preset: str, label: str, tmp_path: Path):
    config = configured(tmp_path, preset, label)
    path = run_stages(config).path
    rows = pq.read_table(config.data.source)

    predicted = load(path).predict(rows)

    assert predicted.num_rows == rows.num_rows
    assert predicted.slice(7, 1).equals(load(path).predict(rows.slice(7, 1)))


@presets
def test_a_preset_trains_on_streamed_rows_to_the_bytes_of_rows_in_memory(preset: str, tmp_path: Path):
    paths = []
    for limit in (MEMORY, STREAMED):
        config = replace(of_many_rows(tmp_path, "binary", limit, epochs=1), model=NEW[preset])
        if limit == STREAMED:
            with stopping_after(10) as stop:
                run_stages(config, [stop])
        paths.append(Path(run_stages(config).path))

    assert paths[0].read_bytes() == paths[1].read_bytes()


@presets
def test_a_warm_start_of_a_preset_begins_with_its_weights_and_resumes_identically(preset: str, tmp_path: Path):
    config = configured(tmp_path, preset)
    champion = run_stages(config).path
    newer = replace(
        config,
        data=DataConfig(source=write_rows(tmp_path / "newer.parquet", "multiclass", seed=1)),
        start=StartConfig(warm_from=champion, learning_rate_factor=1e-9),
        checkpoint=CheckpointConfig(every_steps=1),
    )

    assert_resumes_identically(newer, (1, 7), tmp_path)
    weights = read_checkpoint(Path(run_stages(replace(newer, runs_folder=str(tmp_path / "disturbed"))).path))
    for name, value in read_checkpoint(Path(champion))["model_state_dict"].items():
        assert value.allclose(weights["model_state_dict"][name], atol=1e-5)


@presets
def test_a_refitted_encoder_is_not_folded_into_a_preset(preset: str, tmp_path: Path):
    config = configured(tmp_path, preset)
    start = StartConfig(warm_from=run_stages(config).path, scaler="refit")
    newer = DataConfig(source=write_rows(tmp_path / "newer.parquet", "multiclass", seed=1))

    with pytest.raises(CheckpointMismatchError, match=r"found refit, .* use start\.scaler keep"):
        run_stages(replace(config, data=newer, start=start))
