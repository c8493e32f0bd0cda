"""Predictions and trainings in the threads of one process: the same bits, and torch as it was."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from tests.contract import run_stages, write_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import LockedError
from unbroken.reproducibility.determinism import deterministic, reproducible
from unbroken.serving.computing import InOrder
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.stages.results import Restored
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

OWN = ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8})


def configured(folder: Path, label: str = "binary", **training: Any) -> Config:
    settings = replace(TrainingConfig(epochs=3, batch_size=32), **training)
    return Config(
        data=DataConfig(source=write_rows(folder / f"{label}.parquet", label)),
        model=ModelConfig(options={"hidden": [16, 8], "dropout": 0.3}),
        training=settings,
        runs_folder=str(folder / "runs"),
    )


@pytest.fixture(autouse=True)
def pings_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # A connection to a server that an earlier test started draws for its pings, from Python's own generator.
    monkeypatch.setattr("websockets.asyncio.connection.random", random.Random(0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Restored]:
    config = configured(tmp_path_factory.mktemp("trained"))
    return config, run_stages(config)


def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def process_settings() -> tuple[Any, ...]:
    """Return what torch keeps for all threads, and for this one."""
    shared = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory
    smallest = (torch.tensor(torch.finfo(torch.float32).tiny) / 2).item()
    return *shared, torch.get_num_threads(), in_thread(torch.get_num_threads), smallest


def generators() -> tuple[Any, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.mark.parametrize("threads", [1, 2])
def test_predictions_from_many_threads_have_the_same_bits_and_leave_torch_as_it_was(threads: int, tmp_path: Path):
    config = configured(tmp_path, threads=threads)
    path, rows = run_stages(config).path, pq.read_table(config.data.source)
    before = process_settings(), generators()
    predictor = load_predictor(path)
    expected = predictor.predict(rows)
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            seen.append(torch.get_deterministic_debug_mode())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: [load_predictor(path).predict(rows), predictor.predict(rows)], range(12)))
    ended.set()
    watcher.join()

    assert all(table.equals(expected) for tables in results for table in tables)
    assert set(seen) == {0}
    assert (process_settings(), generators()) == before


def test_a_prediction_computes_with_the_threads_of_its_training_whatever_the_process_has_set(
    trained: tuple[Config, Restored],
):
    predictor = load_predictor(trained[1].path)
    rows = pq.read_table(trained[0].data.source)
    used: list[tuple[int, bool]] = []
    predictor.model.register_forward_hook(
        lambda *_: used.append((torch.get_num_threads(), torch.is_autocast_enabled("cpu")))
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            predictor.predict(rows)
        assert (torch.get_num_threads(), in_thread(torch.get_num_threads)) == (2, 2)
    finally:
        torch.set_num_threads(before)

    assert set(used) == {(1, False)}


def test_a_model_that_asks_another_model_does_not_wait_for_itself(trained: tuple[Config, Restored]):
    outer, inner = (load_predictor(trained[1].path) for _ in range(2))
    rows = pq.read_table(trained[0].data.source)
    inside: list[pa.Table] = []
    outer.model.register_forward_hook(lambda *_: inside.append(inner.predict(rows)))

    assert outer.predict(rows).equals(inside[0])


def test_an_error_of_a_model_reaches_who_asked_for_the_prediction(trained: tuple[Config, Restored]):
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    predictor = load_predictor(trained[1].path)
    handle = predictor.model.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        predictor.predict(pq.read_table(trained[0].data.source))
    handle.remove()

    assert predictor.predict(pq.read_table(trained[0].data.source)).num_rows == 240


FORKED = """
import os, sys
import pyarrow.parquet as pq
from unbroken.serving.prediction import load_predictor
predictor, rows = load_predictor(sys.argv[1]), pq.read_table(sys.argv[2])
expected = predictor.predict(rows)
child = os.fork()
if not child:
    os._exit(0 if predictor.predict(rows).equals(expected) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_was_forked_after_a_prediction_predicts_too(trained: tuple[Config, Restored]):
    command = [sys.executable, "-c", FORKED, trained[1].path, trained[0].data.source]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert finished.stdout.split() == ["0"]


class Meanwhile(TrainHook):
    """Does something in another thread during the training, and goes on when it is done or waits for the training."""

    def __init__(self, work: Callable[[], Any], at: int = 4) -> None:
        self.work, self.at, self.results = work, at, []
        self.thread: threading.Thread | None = None

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        if state.step == self.at:
            self.thread = threading.Thread(target=lambda: self.results.append(self.work()))
            self.thread.start()
            self.thread.join(2)


def test_loading_and_predicting_beside_a_training_changes_no_bit_of_it(
    trained: tuple[Config, Restored], tmp_path: Path
):
    config, restored = trained
    rows = pq.read_table(config.data.source)
    before = process_settings(), generators()
    beside = Meanwhile(lambda: load_predictor(restored.path).predict(rows))

    again = run_stages(replace(config, runs_folder=str(tmp_path)), [beside])

    assert Path(again.path).read_bytes() == Path(restored.path).read_bytes()
    assert beside.results[0].equals(load_predictor(restored.path).predict(rows))
    assert (process_settings(), generators()) == before


def test_two_trainings_in_threads_of_one_process_end_with_the_bytes_that_each_has_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    configs = [
        configured(tmp_path / "a"),
        replace(configured(tmp_path / "b", "multiclass", seed=5), model=replace(OWN)),
        configured(tmp_path / "c", "regression", threads=2),
    ]
    alone = [run_stages(replace(config, runs_folder=str(tmp_path / "alone"))) for config in configs]
    before = process_settings(), generators()

    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(run_stages, configs))

    assert [run.digest for run in together] == [run.digest for run in alone]
    assert "another thread of this process is training; waiting for it to end" in caplog.text
    assert (process_settings(), generators()) == before


def test_a_second_training_that_is_not_to_wait_is_refused_and_the_first_ends_with_its_bytes(
    trained: tuple[Config, Restored], tmp_path: Path
):
    config, restored = trained
    second = replace(configured(tmp_path / "second"), checkpoint=CheckpointConfig(wait=False))
    errors: list[LockedError] = []

    def train_too() -> None:
        with pytest.raises(
            LockedError, match=r"another thread of this process is training.*set checkpoint\.wait"
        ) as error:
            run_stages(second)
        errors.append(error.value)

    first = run_stages(replace(config, runs_folder=str(tmp_path / "first")), [Meanwhile(train_too)])

    assert Path(first.path).read_bytes() == Path(restored.path).read_bytes()
    assert len(errors) == 1
    assert run_stages(second).epoch == 3


def test_a_training_inside_another_is_refused_and_the_outer_one_ends_with_its_bytes(
    trained: tuple[Config, Restored], tmp_path: Path
):
    config, restored = trained
    inner = configured(tmp_path / "inner")

    class Nested(TrainHook):
        def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
            with pytest.raises(LockedError, match="found one inside another"):
                run_stages(inner)

    outer = run_stages(replace(config, runs_folder=str(tmp_path / "outer")), [Nested()])

    assert Path(outer.path).read_bytes() == Path(restored.path).read_bytes()


def test_a_factorys_model_is_loaded_while_nothing_trains_or_by_the_training_itself(
    trained: tuple[Config, Restored], tmp_path: Path
):
    own = replace(configured(tmp_path / "own"), model=OWN)
    path = run_stages(own).path
    load: Callable[[], Predictor] = lambda: load_predictor(path, factory=OWN.factory)  # noqa: E731 (it is handed over)
    rows = pq.read_table(own.data.source)
    expected = load().predict(rows)

    def refused() -> bool:
        with pytest.raises(
            LockedError, match=r"checkpoint\.pth: model\.factory .*another thread of this process is training"
        ):
            load()
        return True

    class Itself(TrainHook):
        def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
            assert load().predict(rows).equals(expected)

    config, restored = trained
    beside = Meanwhile(refused)
    again = run_stages(replace(config, runs_folder=str(tmp_path / "again")), [beside, Itself()])

    assert beside.results == [True]
    assert Path(again.path).read_bytes() == Path(restored.path).read_bytes()
    before = generators()
    with ThreadPoolExecutor(3) as pool:
        assert all(predictor.predict(rows).equals(expected) for predictor in pool.map(lambda _: load(), range(6)))
    assert generators() == before


def test_what_a_factory_draws_beside_its_weights_is_the_same_in_training_and_prediction(tmp_path: Path):
    model = ModelConfig(factory="tests.unit.own_model:RandomFeatures", options={"width": 8})
    restored = run_stages(replace(configured(tmp_path), model=model))
    predictor = load_predictor(restored.path, factory=model.factory)
    rows = pq.read_table(tmp_path / "binary.parquet")

    random.seed(1)
    torch.manual_seed(1)
    again = load_predictor(restored.path, factory=model.factory)

    assert again.predict(rows).equals(predictor.predict(rows))
    assert torch.equal(again.model.get_buffer("directions"), predictor.model.get_buffer("directions"))


def test_a_process_forked_while_a_thread_trains_can_train(tmp_path: Path):
    entered, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with reproducible(1):
            entered.set()
            ended.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    child = os.fork()
    if not child:
        with reproducible(1, wait=False):
            os._exit(0)
    ended.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's compiler imports such
@pytest.mark.filterwarnings(
    "ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"
)  # that compiler pickles a path
@pytest.mark.parametrize("factory", ["SumsInPlaces", pytest.param("compiled", marks=pytest.mark.slow)])
def test_an_own_model_predicts_the_bits_of_torchs_deterministic_mode_which_is_not_set(factory: str, tmp_path: Path):
    model = ModelConfig(factory=f"tests.unit.own_model:{factory}", options={"width": 256})
    restored = run_stages(replace(configured(tmp_path, epochs=1, threads=2), model=model))
    predictor = load_predictor(restored.path, factory=model.factory)
    rows = pq.read_table(tmp_path / "binary.parquet")
    with reproducible(2):
        expected = predictor.predict(rows)
    assert process_settings()[0] == 0

    assert all(predictor.predict(rows).equals(expected) for _ in range(30))


def test_the_sums_that_torch_computes_in_another_way_are_known():
    values, places = torch.rand(1 << 16) - 0.5, torch.arange(1 << 16) % 8

    def sums(method: str) -> bytes:
        place = (places,) if "index" in method else places
        return getattr(torch.zeros(8), method)(place, values, accumulate=True).numpy().tobytes()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for method in ("index_put", "index_put_", "put", "put_"):
            with reproducible(2):
                expected = sums(method)
            with InOrder():
                assert {sums(method) for _ in range(20)} == {expected}
            assert len({sums(method) for _ in range(200)}) > 1, f"{method} is the same in any order by now"
    finally:
        torch.set_num_threads(before)
