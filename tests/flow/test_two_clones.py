"""Two clones on one machine leave each other alone, with a server each and on one."""

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.flow.conftest import ROOT
from tests.flow.served import Served
from tests.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOME = "home of both"


def clone(folder: Path, port: int) -> Served:
    """Copy the project to a folder, to be served at a port."""
    served = Served.copy_of(ROOT, folder)
    environment = served.environment | {
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_HOME": str(folder.parents[1] / HOME),
    }
    return replace(served, environment=environment, api=f"http://127.0.0.1:{port}/api")


@pytest.fixture
def clones(tmp_path: Path) -> Generator[tuple[Served, Served]]:
    """Return two clones of one name, at one port and with one home; whatever runs of them is ended afterwards."""
    port = free_port()
    clones = clone(tmp_path / "first place" / "unbroken", port), clone(tmp_path / "second place" / "unbroken", port)
    try:
        yield clones
    finally:
        for served in clones:
            served.deploy("stop")


def directories(served: Served) -> set[str]:
    """Return where the runs of all deployments of a server begin."""
    deployments = served.ask("POST", "/deployments/filter", {})
    return {step["directory"] for deployment in deployments for step in deployment["pull_steps"][0].values()}


def train(served: Served) -> None:
    """Let a clone train by its worker, and see that it does so in its own folder."""
    run = served.start("train/by-hand", {"data": {"source": "sample"}, "training": {"epochs": 1}})
    assert served.wait_for(run, "Completed", "Crashed", "Failed")["name"] == "Completed"
    assert len(list(served.folder.glob("runs/*/checkpoint.pth"))) == 1


def test_two_clones_with_a_server_each_live_side_by_side(clones: tuple[Served, Served]):
    first, second = clones
    first.deploy("serve")

    refused = second.try_deploy("serve")
    assert refused.returncode == 2
    assert "found a Prefect server there that `unbroken serve` did not start in this folder" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(second.folder.glob(".serve/*")) == []

    port = free_port()
    assert "server   started" in second.deploy("serve", "--port", str(port))
    second = replace(second, api=f"http://127.0.0.1:{port}/api")
    assert (directories(first), directories(second)) == ({str(first.folder)}, {str(second.folder)})
    assert (
        httpx.get(f"{first.api}/admin/version", auth=("unbroken", second.secret.partition(":")[2])).status_code == 401
    )
    train(first)
    train(second)
    second.deploy("stop")
    assert directories(first) == {str(first.folder)}
    assert "server   runs already" in first.deploy("serve")


def test_a_port_that_was_typed_is_that_of_the_next_time(clones: tuple[Served, Served]):
    first, _ = clones
    del first.environment["PREFECT_SERVER_API_PORT"]
    port = free_port()
    first.deploy("serve", "--port", str(port))
    again = first.try_deploy("serve", "--port", str(free_port()))
    first.deploy("stop")

    printed = first.deploy("serve", "--no-auth")

    assert again.returncode == 2
    assert again.stderr.endswith(" with a secret. End the one first: unbroken stop\n")
    assert f"server   started at http://127.0.0.1:{port}/api" in printed
    assert "auth     none: whoever reaches this port may see, start and change all" in printed
    assert "PREFECT_API_AUTH_STRING" not in printed
    assert (
        httpx.post(f"http://127.0.0.1:{port}/api/deployments/filter", json={}).status_code == 403
    )  # a page may not ask
    assert httpx.get(f"http://127.0.0.1:{port}/api/admin/version").is_success
    assert "finished successfully" in first.paste(printed, "sample").stdout


def test_two_clones_on_one_server_do_not_take_each_others_runs(clones: tuple[Served, Served]):
    first, second = clones
    first.deploy("serve")
    second.environment["PREFECT_API_URL"] = first.api
    assert "credentials are missing or wrong" in second.try_deploy("serve").stderr
    second.environment["PREFECT_API_AUTH_STRING"] = first.secret

    refused = second.try_deploy("serve")
    assert refused.returncode == 2
    assert f"found a deployment of that name on the server that runs in {first.folder}, expected" in refused.stderr
    assert "UNBROKEN_PROJECT" in refused.stderr
    assert directories(first) == {str(first.folder)}

    (second.folder / "run.toml").write_text("project = 'another'\n")
    second.environment["UNBROKEN_PROJECT"] = "another"
    printed = second.deploy("serve")
    assert "created  work pool another" in printed
    assert "train/another-by-hand" in printed
    assert directories(first) == {str(first.folder), str(second.folder)}
    train(first)
    shutil.copy(first.folder / ".serve" / "auth", second.folder / ".serve" / "auth")  # what the test asks with
    train(second)
    names = [automation["name"] for automation in first.ask("POST", "/automations/filter", {})]
    assert len(names) == len(set(names))


def test_a_project_that_moved_says_so_until_it_is_applied_anew(clones: tuple[Served, Served]):
    first, _ = clones
    first.deploy("serve")
    first.deploy("stop")
    moved = replace(first, folder=first.folder.with_name("renamed"))
    first.folder.rename(moved.folder)
    try:
        refused = moved.try_deploy("serve")
        reset = moved.deploy("apply", "--reset")
        served = moved.deploy("serve")
    finally:
        moved.deploy("stop")
        moved.folder.rename(first.folder)

    assert refused.returncode == 2
    assert "if the project was moved, point it here: unbroken apply --reset" in refused.stderr
    assert f'directory: "{first.folder}" -> "{moved.folder}"' in reset
    assert "train/unbroken-by-hand" in served
