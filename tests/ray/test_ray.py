"""A training by the workers of a Ray cluster: the bytes of one process, whichever of Ray's processes dies on the way."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract import write_rows
from tests.ray.cluster import VARIABLES, Cluster, is_running, kill_if_there, ranks_under, wait_until
from tests.unit.parallel import ranks
from unbroken.storage.journal import Journal

pytest.importorskip("ray", reason="`make test-ray` installs it")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LONG = {"training.epochs": "20", "training.batch_size": "8", "training.patience": "null"}
PATIENCE = 900.0
"""Seconds that Ray may take to notice a death and to start others, on a busy machine."""
KILLS = int(os.environ.get("UNBROKEN_RAY_KILLS", "20"))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    started = Cluster()
    try:
        started.start_head()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("rows") / "binary.parquet", "binary", rows=240)


@pytest.fixture(scope="module")
def expected(rows: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint that one process comes to, without Ray."""
    return ranks.finish(1, {"data.source": rows, "runs_folder": str(tmp_path_factory.mktemp("one")), **LONG})


def settings(rows: str, folder: Path, cluster: Cluster, workers: int) -> dict[str, str]:
    ray = {"compute.engine": "ray", "compute.workers": str(workers), "compute.address": cluster.address}
    return {"data.source": rows, "runs_folder": str(folder), **LONG, **ray}


def start(words: Mapping[str, str]) -> subprocess.Popen[str]:
    return ranks.start(words, **VARIABLES)


def require_end(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def events(folder: Path) -> list[str]:
    (journal,) = folder.glob("*/journal.jsonl")
    return [event["event"] for event in Journal(journal).events()]


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/checkpoints/epoch-*-step-*.pth"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_bytes_of_one_process(
    workers: int, rows: str, expected: bytes, cluster: Cluster, tmp_path: Path
):
    cluster.start_node(4)

    require_end(start(settings(rows, tmp_path, cluster, workers)))

    assert ranks.published(tmp_path) == expected


def test_a_killed_worker_is_started_again_by_ray(rows: str, expected: bytes, cluster: Cluster, tmp_path: Path):
    node = cluster.start_node(2)

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    ranks.kill(max(ranks_under(node.raylet)))
    require_end(process)

    assert ranks.published(tmp_path) == expected
    assert {"rank lost", "resumed"} <= set(events(tmp_path))


def test_the_ranks_of_a_dead_raylet_write_nothing_and_another_node_goes_on(
    rows: str, expected: bytes, cluster: Cluster, tmp_path: Path
):
    node = cluster.start_node(2)

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    orphans = ranks_under(node.raylet)
    node.kill()
    wait_until(lambda: not any(map(is_rank, orphans.values())), "ranks without a raylet end", patience=10)
    outliving = [worker for worker in orphans if is_running(worker, "ray::")]
    left = checkpoints(tmp_path)
    while any(is_running(worker, "ray::") for worker in outliving):
        assert checkpoints(tmp_path) == left
        time.sleep(0.1)
    cluster.start_node(2)
    require_end(process)

    assert outliving, "workers end with their raylet by now: the watch in engines.ray_worker may go"
    assert ranks.published(tmp_path) == expected


def wait_for_progress(process: subprocess.Popen[str], folder: Path, before: list[Path]) -> None:
    wait_until(lambda: process.poll() is not None or checkpoints(folder) != before, "progress", PATIENCE)


def is_rank(number: int) -> bool:
    return is_running(number, "unbroken.engines.rank")


def test_a_node_that_dies_for_good_leaves_the_training_to_fewer_workers(
    rows: str, expected: bytes, cluster: Cluster, tmp_path: Path
):
    nodes = [cluster.start_node(1), cluster.start_node(1)]

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    nodes[1].stop()
    require_end(process)

    assert ranks.published(tmp_path) == expected
    assert {"rank lost", "resumed"} <= set(events(tmp_path))


def test_the_command_of_a_killed_driver_goes_on_with_another_number_of_workers(
    rows: str, expected: bytes, cluster: Cluster, tmp_path: Path
):
    cluster.start_node(4)

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    ranks.kill(process.pid)
    process.communicate()
    require_end(start(settings(rows, tmp_path, cluster, 4)))

    assert ranks.published(tmp_path) == expected


def test_the_command_goes_on_with_a_new_head_after_the_old_one_died(
    rows: str, expected: bytes, cluster: Cluster, tmp_path: Path
):
    cluster.start_node(2)

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    cluster.nodes[0].kill("gcs_server", "raylet/raylet")
    process.communicate(timeout=PATIENCE)  # it ends, or the training did without its head
    cluster.start_head()
    cluster.start_node(2)
    require_end(start(settings(rows, tmp_path, cluster, 2)))

    assert ranks.published(tmp_path) == expected


def test_a_request_to_stop_reaches_all_workers(rows: str, expected: bytes, cluster: Cluster, tmp_path: Path):
    cluster.start_node(2)

    process = start(settings(rows, tmp_path, cluster, 2))
    ranks.wait_for(tmp_path, epoch=1)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    stopped = events(tmp_path)
    require_end(start(settings(rows, tmp_path, cluster, 2)))

    assert process.returncode == -signal.SIGTERM
    assert stopped.count("rank lost") == 0
    assert ranks.published(tmp_path) == expected


def test_what_is_wrong_for_the_user_is_not_started_again(rows: str, cluster: Cluster, tmp_path: Path):
    cluster.start_node(2)

    process = start(
        settings(rows, tmp_path, cluster, 2) | {"training.learning_rate": "1e30", "training.optimizer": "SGD"}
    )
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2, output
    assert "rank lost" not in events(tmp_path)


def test_random_kills_change_no_byte(rows: str, expected: bytes, cluster: Cluster, tmp_path: Path):
    node, chance, words = cluster.start_node(2), random.Random(0), settings(rows, tmp_path, cluster, 2)

    process, done = start(words | {"compute.restarts": "1000"}), 0
    while done < KILLS and process.poll() is None:
        before = checkpoints(tmp_path)
        wait_for_progress(process, tmp_path, before)
        time.sleep(chance.uniform(0, 1))
        workers = ranks_under(node.raylet)
        victims = {"worker": list(workers), "rank": list(workers.values()), "driver": [process.pid]}
        kind = chance.choice(["worker", "rank", "rank", "driver"])
        for victim in victims[kind][:1]:
            kill_if_there(victim)
            done += 1
        if kind == "driver":
            process.communicate(timeout=PATIENCE)
            process = start(words | {"compute.restarts": "1000"})
    require_end(process)

    assert ranks.published(tmp_path) == expected
    assert done == KILLS, "the training ended before so many: give it more epochs"
