"""Scoring: the values of the evaluation, to the bit, however the rows come."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import unbroken
from tests.contract import encoded, run_stages, write_rows
from unbroken.batches.rows import read_rows
from unbroken.checkpoints.format import read_checkpoint
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.data.split import TEST, assign, with_parts
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError, DataError, RegistryError
from unbroken.features.encoder import Encoder
from unbroken.models.forward import outputs_of
from unbroken.pipeline import prepare
from unbroken.retraining.gate import metric_function
from unbroken.run import open_run
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.scoring import predict_files
from unbroken.stages.load_data import load_data, read_manifest
from unbroken.stages.results import Restored

ROWS = 3000


def config_for(source: str, folder: Path) -> Config:
    return Config(
        data=DataConfig(source=source),
        model=ModelConfig(options={"hidden": [32, 16]}),
        training=TrainingConfig(epochs=1, learning_rate=0.01),
        runs_folder=str(folder / "runs"),
    )


def trained(folder: Path, label: str) -> tuple[Config, Restored]:
    config = config_for(write_rows(folder / f"{label}.parquet", label, rows=ROWS), folder)
    return config, run_stages(config)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Restored]:
    return trained(tmp_path_factory.mktemp("binary"), "binary")


@pytest.fixture
def predictor(binary: tuple[Config, Restored]) -> Predictor:
    return load_predictor(binary[1].path)


@pytest.fixture
def raw(binary: tuple[Config, Restored]) -> pa.Table:
    return pq.read_table(binary[0].data.source)


def raw_test_rows(config: Config) -> pa.Table:
    """Return the rows of the source that the run held out."""
    manifest = read_manifest(load_data(config.data, open_run(config)))
    names = [column.name for column in (*manifest.schema.features, manifest.schema.label)]
    parts = [
        part.rows.filter(pa.array(parts == TEST))
        for part, parts in with_parts(manifest, names, assign(manifest, config.split))
    ]
    return pa.Table.from_batches(parts)


def test_predictions_of_raw_rows_have_the_metrics_that_the_evaluation_recorded(binary: tuple[Config, Restored]):
    config, restored = binary
    rows = raw_test_rows(config)

    predictions = unbroken.load(restored.path).predict(rows)

    label = rows["label"].to_numpy()
    assert (predictions["class"].to_numpy() == label).mean() == pytest.approx(
        restored.metrics["test_accuracy"], abs=1e-7
    )
    probability = predictions["probability"].to_numpy().astype(np.float64)
    area = metric_function("auroc", np.stack([1 - probability, probability], axis=1), label.astype(int))
    assert area(np.ones(len(label), np.int64)) == pytest.approx(restored.metrics["test_auroc"], abs=1e-6)


@pytest.mark.parametrize("label", ["binary", "multiclass", "regression"])
def test_raw_rows_alone_give_the_bits_of_the_evaluation(label: str, tmp_path: Path):
    config, restored = trained(tmp_path, label)
    run = open_run(config)
    prepared = prepare(config, run)
    model = load_predictor(restored.path)
    features = model.encoder.features
    _, evaluated = outputs_of(model.model, read_rows(prepared.splits.test, features), features.task)
    if label == "regression":
        evaluated = evaluated.double() * model.encoder.label.deviation + model.encoder.label.mean
    rows = raw_test_rows(config).combine_chunks().to_batches()[0]

    together = model.outputs(rows, lambda name, _: name)
    alone = np.concatenate([model.outputs(rows.slice(index, 1), lambda name, _: name) for index in range(50)])

    assert torch.equal(torch.from_numpy(together), evaluated)
    assert torch.equal(torch.from_numpy(alone), evaluated[:50])


def test_the_bits_of_a_row_do_not_depend_on_the_rows_around_it(predictor: Predictor, raw: pa.Table):
    order = np.random.Generator(np.random.PCG64(1)).permutation(ROWS)
    expected = predictor.predict(raw)["probability"].to_numpy()

    shuffled = predictor.predict(raw.take(order))["probability"].to_numpy()
    cut = [predictor.predict(raw.slice(start, 7))["probability"].to_numpy() for start in range(0, 700, 7)]

    assert shuffled.tobytes() == expected[order].tobytes()
    assert np.concatenate(cut).tobytes() == expected[:700].tobytes()


def test_files_arrow_tables_and_pandas_frames_give_the_same_bits(predictor: Predictor, raw: pa.Table, tmp_path: Path):
    expected = predictor.predict(raw)
    pq.write_table(raw, tmp_path / "rows.parquet", row_group_size=999)
    pa.csv.write_csv(raw, tmp_path / "rows.csv")
    (tmp_path / "parts").mkdir()
    pq.write_table(raw.slice(0, 1001), tmp_path / "parts" / "a.parquet")
    pq.write_table(raw.slice(1001), tmp_path / "parts" / "b.parquet")

    for source in ("rows.parquet", "rows.csv", "parts"):
        result = predict_files(predictor, str(tmp_path / source), tmp_path / "out.parquet")
        assert result.rows == ROWS
        assert pq.read_table(result.path).equals(expected)
    assert predictor.predict(raw.to_pandas()).equals(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "parts", "rows.csv", "rows.parquet"]


def test_predictions_name_the_class_the_model_and_the_columns_to_keep(
    binary: tuple[Config, Restored], predictor: Predictor, raw: pa.Table, tmp_path: Path
):
    pq.write_table(raw.append_column("id", pa.array(range(ROWS))), tmp_path / "rows.parquet")

    result = predict_files(predictor, str(tmp_path / "rows.parquet"), tmp_path / "out.parquet", keep=("id", "colour"))

    predictions = pq.read_table(result.path)
    assert predictions.column_names == ["id", "colour", "probability", "class", "model"]
    assert predictions["id"].to_pylist() == list(range(ROWS))
    assert predictions["colour"].equals(raw["colour"])
    assert predictions["class"].to_pylist() == [value > 0.5 for value in predictions["probability"].to_pylist()]
    assert set(predictions["model"].to_pylist()) == {hashlib.sha256(Path(binary[1].path).read_bytes()).hexdigest()}


def test_a_multiclass_model_gives_a_probability_for_each_class(tmp_path: Path):
    config, restored = trained(tmp_path, "multiclass")

    predictions = load_predictor(restored.path).predict(pq.read_table(config.data.source))

    names = ["probability_high", "probability_low", "probability_middle"]
    assert predictions.column_names == [*names, "class", "model"]
    values = np.stack([predictions[name].to_numpy() for name in names], axis=1)
    assert values.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert predictions["class"].to_pylist() == [
        names[index].removeprefix("probability_") for index in values.argmax(axis=1)
    ]


def test_a_regression_model_gives_values_in_the_labels_own_unit(tmp_path: Path):
    config, restored = trained(tmp_path, "regression")

    predictions = load_predictor(restored.path).predict(raw_test_rows(config))

    errors = predictions["value"].to_numpy() - raw_test_rows(config)["label"].to_numpy()
    assert np.sqrt((errors**2).mean()) == pytest.approx(restored.metrics["test_rmse"], rel=1e-6)


def test_nulls_and_unseen_categories_are_those_of_training(predictor: Predictor, raw: pa.Table):
    scale = next(scale for scale in predictor.encoder.numbers if scale.name == "number_1")
    assert scale.indicator
    row = raw.slice(0, 1)

    def probability(**values: object) -> float:
        columns = {name: [values.get(name, row[name][0].as_py())] for name in row.column_names if name != "label"}
        schema = pa.schema([row.schema.field(name) for name in columns])
        return predictor.predict(pa.table(columns, schema=schema))["probability"][0].as_py()

    assert probability(number_1=None) == probability(number_1=float("nan"))
    assert probability(number_1=None) != probability(number_1=scale.fill)
    assert probability(colour="never seen") == probability(colour="nor this")
    assert probability(colour="never seen") != probability(colour=None)
    assert probability(number_0=1e9) == probability(number_0=predictor.encoder.numbers[0].high)


def test_a_column_without_any_value_counts_as_missing(predictor: Predictor, raw: pa.Table):
    empty = raw.set_column(1, "number_1", pa.nulls(ROWS))
    nulls = raw.set_column(1, "number_1", pa.nulls(ROWS, pa.float64()))

    assert predictor.predict(empty).equals(predictor.predict(nulls))


def test_no_rows_give_no_predictions(predictor: Predictor, raw: pa.Table):
    assert predictor.predict(raw.slice(0, 0)).equals(predictor.schema.empty_table())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop_columns(["number_2"]), "column number_2: found it 0 times, expected once"),
        (lambda rows: rows.append_column("colour", rows["colour"]), "column colour: found it 2 times, expected once"),
        (
            lambda rows: rows.set_column(0, "number_0", rows["colour"]),
            "column number_0, row 0 or below: found string, expected a number as in training",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused_before_anything_is_written(
    predictor: Predictor, raw: pa.Table, tmp_path: Path, change, message: str
):
    pq.write_table(change(raw), tmp_path / "rows.parquet")
    (tmp_path / "out.parquet").write_bytes(b"before")

    with pytest.raises(DataError, match=rf"rows\.parquet: {message}"):
        predict_files(predictor, str(tmp_path / "rows.parquet"), tmp_path / "out.parquet", overwrite=True)

    assert (tmp_path / "out.parquet").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def test_an_infinite_value_is_refused_by_its_row_and_the_old_predictions_stay(
    predictor: Predictor, raw: pa.Table, tmp_path: Path
):
    values = raw["number_0"].to_numpy().copy()
    values[1234] = np.inf
    pq.write_table(raw.set_column(0, "number_0", pa.array(values)), tmp_path / "rows.parquet")
    (tmp_path / "out.parquet").write_bytes(b"before")

    with pytest.raises(DataError, match="column number_0, row 1234: found inf"):
        predict_files(predictor, str(tmp_path / "rows.parquet"), tmp_path / "out.parquet", overwrite=True)

    assert (tmp_path / "out.parquet").read_bytes() == b"before"


def test_a_name_that_predictions_need_cannot_be_kept(predictor: Predictor, raw: pa.Table, tmp_path: Path):
    pq.write_table(raw.append_column("class", raw["label"]), tmp_path / "rows.parquet")

    with pytest.raises(DataError, match=r"keep: class: a column of the predictions has this name"):
        predict_files(predictor, str(tmp_path / "rows.parquet"), tmp_path / "out.parquet", keep=("class",))


def test_codes_of_digits_stay_text_when_they_come_from_csv(tmp_path: Path):
    codes = [f"{index % 9:02d}" for index in range(400)]
    rows = pa.table({"code": codes, "label": [int(code) % 2 for code in codes]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    pa.csv.write_csv(rows, tmp_path / "rows.csv")
    model = load_predictor(run_stages(config_for(str(tmp_path / "rows.parquet"), tmp_path)).path)

    result = predict_files(model, str(tmp_path / "rows.csv"), tmp_path / "out.parquet")

    assert pq.read_table(result.path).equals(model.predict(rows))


def test_a_flipped_bit_in_the_weights_is_refused(binary: tuple[Config, Restored], tmp_path: Path):
    content = bytearray(Path(binary[1].path).read_bytes())
    weights = read_checkpoint(Path(binary[1].path))["model_state_dict"]["layers.0.weight"]
    content[content.index(weights.numpy().tobytes()) + 5] ^= 1
    (tmp_path / "checkpoint.pth").write_bytes(content)

    with pytest.raises(CorruptCheckpointError, match="the checksum of"):
        load_predictor(tmp_path / "checkpoint.pth")


def test_any_flipped_bit_is_refused_where_the_manifest_lies_beside_the_checkpoint(
    binary: tuple[Config, Restored], tmp_path: Path
):
    published = Path(binary[1].path)
    (tmp_path / "checkpoint.json").write_bytes(published.with_suffix(".json").read_bytes())
    content = bytearray(published.read_bytes())
    for index in range(0, len(content), len(content) // 50):
        content[index] ^= 1
        (tmp_path / "checkpoint.pth").write_bytes(content)
        with pytest.raises(CorruptCheckpointError, match="found SHA-256"):
            load_predictor(tmp_path / "checkpoint.pth")
        content[index] ^= 1


def test_a_checkpoint_that_names_a_function_of_its_own_calls_nothing(binary: tuple[Config, Restored], tmp_path: Path):
    tree = read_checkpoint(Path(binary[1].path))
    tree["config"]["model"] |= {"factory": "os:mkdir", "options": {}}
    (tmp_path / "checkpoint.pth").write_bytes(encoded(tree))

    with pytest.raises(CheckpointMismatchError, match=r"built by 'os:mkdir', expected one of mlp, plr, realmlp, tabm"):
        load_predictor(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"sha256": 3}'])
def test_a_manifest_that_is_not_whole_is_named(binary: tuple[Config, Restored], tmp_path: Path, content: str):
    (tmp_path / "checkpoint.pth").write_bytes(Path(binary[1].path).read_bytes())
    (tmp_path / "checkpoint.json").write_text(content)

    with pytest.raises(DataError, match=r"checkpoint\.json: not a whole manifest"):
        load_predictor(tmp_path / "checkpoint.pth")
    with pytest.raises(DataError, match=r"checkpoint\.json: not a whole manifest"):
        Encoder.of_published(tmp_path / "checkpoint.pth", binary[1].digest)


def test_a_folder_without_a_champion_is_refused(tmp_path: Path):
    with pytest.raises(RegistryError, match=r"found no champion\.json"):
        load_predictor(tmp_path)


def test_loading_leaves_the_random_generators_alone(binary: tuple[Config, Restored]):
    before = torch.get_rng_state()

    load_predictor(binary[1].path)

    assert torch.equal(torch.get_rng_state(), before)


def test_importing_the_package_imports_neither_torch_nor_pyarrow():
    script = "import sys, unbroken; print(sorted({'torch', 'pyarrow', 'pandas'} & set(sys.modules)), callable(unbroken.load))"

    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert process.stdout.strip() == "[] True"
