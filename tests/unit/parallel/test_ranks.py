"""A training by several processes: the bytes of one, whoever dies on the way and however many go on."""

import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import run_stages, write_rows
from tests.unit.parallel import ranks
from unbroken.config import CheckpointConfig, ComputeConfig, Config, DataConfig, TrainingConfig
from unbroken.errors import ConfigError, DataError, RanksDifferError
from unbroken.parallel import agreement, gloo
from unbroken.parallel.gloo import ProcessGroup, joined
from unbroken.parallel.group import LostRankError
from unbroken.parallel.place import Place
from unbroken.stages.results import Restored
from unbroken.storage.journal import Journal

LONG = {"training.epochs": "20", "training.batch_size": "8", "training.patience": "null"}
"""A training that takes some seconds, to be killed in its midst."""

KINDS: dict[str, dict[str, str]] = {
    "dropout, a clipped gradient, class weights and OneCycleLR": {
        "training.scheduler": "OneCycleLR",
        "training.class_weights": "balanced",
        "training.gradient_clip": "0.5",
    },
    "an own model with a BatchNorm that draws from three generators": {
        "model.factory": "tests.unit.own_model:NoisyNet",
        "model.options": '{"width": 8}',
        "training.ema_decay": "0.9",
    },
    "multiclass, SGD, a plateau, streamed rows and an uneven last batch": {
        "label": "multiclass",
        "training.optimizer": "SGD",
        "training.scheduler": "ReduceLROnPlateau",
        "training.batch_size": "5000",
        "training.shuffle_rows": "2048",
        "training.memory_limit": "1",
    },
}


def configured(
    folder: Path, name: str, settings: Mapping[str, str], label: str = "binary", rows: int = 240
) -> dict[str, str]:
    source = folder / f"{label}.parquet"
    path = str(source) if source.exists() else write_rows(source, label, rows=rows)
    return {"data.source": path, "runs_folder": str(folder / name), **settings}


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_give_the_bytes_of_one(tmp_path: Path):
    config = Config(
        data=DataConfig(source=write_rows(tmp_path / "binary.parquet", "binary")),
        training=TrainingConfig(epochs=20, batch_size=8, micro_batches=4, patience=None),
        checkpoint=CheckpointConfig(every_steps=7),
        runs_folder=str(tmp_path / "one"),
    )
    expected = Path(run_stages(config).path).read_bytes()

    def kill_one() -> None:
        ranks.wait_for(tmp_path / "two", epoch=1)
        ranks.kill(ranks.ranks_of(os.getpid())[-1])

    thread = threading.Thread(target=kill_one)
    thread.start()
    run_stages(replace(config, compute=ComputeConfig(workers=2), runs_folder=str(tmp_path / "two")))
    thread.join()

    assert ranks.published(tmp_path / "two") == expected
    (journal,) = (tmp_path / "two").glob("*/journal.jsonl")
    events = [event["event"] for event in Journal(journal).events()]
    assert events.count("rank lost") == 1
    assert "resumed" in events


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_ranks_gives_the_same_bytes(kind: str, tmp_path: Path):
    settings = dict(KINDS[kind])
    label = settings.pop("label", "binary")
    rows = 60_000 if "training.memory_limit" in settings else 240

    contents = {
        count: ranks.finish(count, configured(tmp_path, str(count), settings, label, rows)) for count in (1, 2, 3, 4)
    }

    assert len(set(contents.values())) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_whose_ranks_are_killed_goes_on_with_another_number_of_ranks(tmp_path: Path):
    expected = ranks.finish(1, configured(tmp_path, "one", LONG))
    settings = configured(tmp_path, "others", LONG)

    for count, victim, epoch in ((2, 1, 1), (3, 0, 5), (4, 2, 10)):
        processes = ranks.start_ranks(count, settings)
        ranks.wait_for(tmp_path / "others", epoch)
        ranks.kill(processes[victim].pid)
        codes, outputs = ranks.end_of(processes)
        assert codes.pop(victim) == -signal.SIGKILL
        assert codes == [2] * (count - 1)
        assert all(
            "another rank of the training is gone" in output for place, output in enumerate(outputs) if place != victim
        )

    assert ranks.finish(3, settings) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_any_rank_lets_all_save_and_stop_at_one_step(told: int, tmp_path: Path):
    expected = ranks.finish(1, configured(tmp_path, "one", LONG))
    settings = configured(tmp_path, "stopped", LONG)

    processes = ranks.start_ranks(2, settings)
    ranks.wait_for(tmp_path / "stopped", epoch=1)
    processes[told].send_signal(signal.SIGTERM)
    codes, _ = ranks.end_of(processes)

    assert codes == [-signal.SIGTERM] * 2
    assert ranks.finish(2, settings) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_starter_takes_its_ranks_along_and_the_command_goes_on(tmp_path: Path):
    expected = ranks.finish(1, configured(tmp_path, "one", LONG))
    settings = configured(tmp_path, "two", LONG) | {"compute.workers": "2"}

    process = ranks.start(settings)
    ranks.wait_for(tmp_path / "two", epoch=1)
    ranks.kill(process.pid)
    process.communicate(timeout=ranks.PATIENCE)  # its ranks print to the same pipe: it ends when they have

    assert ranks.finish(1, settings) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("own_store", ["0", "1"])
def test_torchrun_starts_ranks_again_after_one_was_killed(own_store: str, tmp_path: Path):
    expected = ranks.finish(1, configured(tmp_path, "one", LONG))
    settings = configured(tmp_path, "torchrun", LONG)
    words = ranks.command(settings)[1:]

    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--local-addr",
                "127.0.0.1",
                "--nproc-per-node",
                "2",
            ),
            *("--max-restarts", "3", *words),
        ],
        cwd=ranks.ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": own_store},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ranks.wait_for(tmp_path / "torchrun", epoch=1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks.kill(int(children[-1]))
    output, _ = process.communicate(timeout=ranks.PATIENCE)

    assert process.returncode == 0, output
    assert ranks.published(tmp_path / "torchrun") == expected


def test_more_workers_than_micro_batches_are_refused():
    with pytest.raises(ConfigError, match=r"compute\.workers: found 3, expected at most training\.micro_batches, 2"):
        Config(training=TrainingConfig(micro_batches=2), compute=ComputeConfig(workers=3))


def test_an_address_of_a_cluster_without_an_engine_that_has_one_is_refused():
    with pytest.raises(
        ConfigError, match=r"compute\.address: found 'auto', expected none unless compute\.engine is ray"
    ):
        ComputeConfig(address="auto")


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_an_engine_that_is_not_installed_says_how_it_is():
    with pytest.raises(ConfigError, match=r"pip install 'unbroken\[ray\]'"):
        import_module("unbroken.engines.ray")


def test_a_place_is_read_as_torchrun_says_it():
    place = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node", "MASTER_PORT": "29500", "LOCAL_WORLD_SIZE": "2"}

    read = Place.of(place)

    assert read is not None
    assert (read.rank, read.size, read.neighbours, read.host, read.port, read.hosted) == (1, 4, 2, "node", 29500, False)
    assert Place.of({}) is None
    assert Place.of({"RANK": "0", "WORLD_SIZE": "1"}) is None
    with pytest.raises(ConfigError, match="MASTER_PORT"):
        Place.of({"RANK": "0", "WORLD_SIZE": "2"})


def in_two_threads(call: Any, silent: int | None = None) -> list[Any]:
    """Return what a call gives or raises at each of two ranks, which are threads that meet as processes do.

    Args:
        call: Takes the group of its rank.
        silent: The rank that gives no signs of life.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ended: dict[int, Any] = {}

    def run(rank: int) -> None:
        place = Place(rank=rank, size=2, neighbours=2, host="127.0.0.1", port=port, hosted=False, attempt="0")
        try:
            with nullcontext(ProcessGroup(place)) if rank == silent else joined(place) as group:
                ended[rank] = call(group)
        except Exception as error:
            ended[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ended[0], ended[1]]


def test_ranks_whose_numerics_differ_are_refused_by_name():
    def call(group: ProcessGroup) -> None:
        agreement.require_same_settings(group, {"torch": f"2.1{group.rank}.0", "threads": 1})

    for error in in_two_threads(call):
        assert isinstance(error, ConfigError)
        assert "torch: found '2.11.0' at rank 1, expected '2.10.0'" in str(error)


@pytest.mark.parametrize("faulty", [None, 0, 1])
def test_ranks_that_came_to_other_weights_are_stopped_at_a_save(faulty: int | None):
    def call(group: ProcessGroup) -> None:
        weights = torch.arange(100.0)
        if group.rank == faulty:
            weights.view(torch.uint8)[7] ^= 1
        agreement.require_same_state(group, {"model": {"weight": weights}, "rate": 0.1}, step=3)

    errors = in_two_threads(call)

    assert errors == [None, None] if faulty is None else all(isinstance(error, RanksDifferError) for error in errors)


def test_all_ranks_are_told_what_the_first_computes_to_the_bit():
    metrics = {"test_auroc": math.nan, "test_loss": 0.1 + 0.2, "largest": math.inf}
    restored = Restored(path="a", digest="b", epoch=1, step=2, metrics=metrics)

    def call(group: ProcessGroup) -> tuple[Any, Any]:
        return group.from_first(lambda: metrics, dict[str, float]), group.from_first(lambda: restored, Restored)

    assert [repr(result) for result in in_two_threads(call)] == [repr((metrics, restored))] * 2


@pytest.mark.parametrize("faulty", [0, 1])
def test_what_is_wrong_at_one_rank_is_raised_at_all(faulty: int):
    def call(group: ProcessGroup) -> None:
        if group.rank == faulty:
            raise DataError("rows.parquet: the file is gone")
        group.meet()

    for error in in_two_threads(call):
        assert isinstance(error, DataError)
        assert str(error) == "rows.parquet: the file is gone"


@pytest.mark.parametrize("faulty", [0, 1])
def test_a_rank_that_ends_by_a_defect_is_told_to_the_others(faulty: int):
    def call(group: ProcessGroup) -> None:
        if group.rank == faulty:
            raise ZeroDivisionError("a defect")
        group.meet()

    errors = in_two_threads(call)

    assert isinstance(errors[faulty], ZeroDivisionError)
    assert isinstance(errors[1 - faulty], LostRankError)
    assert f"rank {faulty} ended: a defect" in str(errors[1 - faulty])


def test_a_rank_that_gives_no_sign_of_life_counts_as_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gloo, "LOST", 1.0)
    monkeypatch.setattr(gloo, "PULSE", 0.1)
    ended = threading.Event()

    def call(group: ProcessGroup) -> None:
        if group.rank == 1:
            ended.wait(20)
            group.part()
            return
        try:
            group.meet()
        finally:
            ended.set()

    lost, _ = in_two_threads(call, silent=1)

    assert isinstance(lost, LostRankError)
    assert str(lost) == "rank 1 gave no sign of life for 1 s"
