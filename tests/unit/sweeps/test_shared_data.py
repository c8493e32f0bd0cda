"""The rows of a sweep are prepared once, and each trial has them under names of its own."""

from pathlib import Path

from tests.unit.sweeps.sweeps import configure, with_source, write_source
from unbroken.stages.load_data import read_manifest
from unbroken.storage import atomic
from unbroken.storage.artifact import verify
from unbroken.sweeps.shared_data import FOLDER, SharedData
from unbroken.sweeps.sweep import Sweep

SETTINGS = ({"training.learning_rate": 0.1}, {"training.learning_rate": 0.2})


def test_the_second_trial_and_the_next_process_prepare_nothing(tmp_path: Path):
    write_source(tmp_path)
    sweep = Sweep.open(configure(tmp_path))
    configs = [sweep.trial_config(settings) for settings in SETTINGS]
    data = SharedData(sweep)
    first = data.share(configs[0], sweep.run_of(configs[0]))
    (folder,) = (path for path in (sweep.path / FOLDER).iterdir() if path.is_dir())
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    second = data.share(configs[1], sweep.run_of(configs[1]))
    third = SharedData(sweep).share(configs[1], sweep.run_of(configs[1]))

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == made
    assert first.run.key != second.run.key
    assert second.run.path in Path(second.splits.train.path).parents
    assert Path(second.splits.train.path).samefile(first.splits.train.path)
    assert second == third
    for prepared in (first, second, third):
        verify((prepared.dataset, prepared.preprocessed, prepared.splits))


def test_trials_that_differ_in_preprocessing_have_rows_of_their_own(tmp_path: Path):
    write_source(tmp_path)
    sweep = Sweep.open(configure(tmp_path))
    configs = [sweep.trial_config({"preprocess.clip_quantile": value}) for value in (0.0, 0.1)]
    plain, clipped = (SharedData(sweep).share(config, sweep.run_of(config)) for config in configs)

    assert plain.preprocessed.encoder.digest != clipped.preprocessed.encoder.digest


def test_rows_that_were_damaged_are_prepared_again(tmp_path: Path):
    write_source(tmp_path)
    sweep = Sweep.open(configure(tmp_path))
    config = sweep.trial_config(SETTINGS[0])
    run = sweep.run_of(config)
    before = SharedData(sweep).share(config, run)
    (whole,) = (sweep.path / FOLDER).glob("*/data/train.parquet")
    whole.write_bytes(whole.read_bytes()[:-1])

    assert SharedData(sweep).share(config, run) == before
    verify(before.splits)


def test_the_manifest_of_a_trial_names_the_copies_of_csv_in_its_own_folder(tmp_path: Path):
    write_source(tmp_path)
    source = tmp_path / "source.csv"
    source.write_text("a,b,label\n" + "".join(f"{row % 7},{row % 5},{row % 2}\n" for row in range(60)))
    sweep = Sweep.open(with_source(configure(tmp_path), str(source)))
    config = sweep.trial_config(SETTINGS[0])
    run = sweep.run_of(config)

    prepared = SharedData(sweep).share(config, run)

    (file,) = read_manifest(prepared.dataset).files
    assert run.path in Path(file.url).parents
    assert atomic.digest_as(Path(file.url), str(file.digest)) == file.digest
