"""The image and the manifests say what is there: their own linters run by `make containers`."""

import shlex
from pathlib import Path

import pytest
import yaml

from unbroken.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MANIFESTS = list(yaml.safe_load_all((ROOT / "kubernetes.yaml").read_text()))


def copied_from_the_project() -> list[str]:
    lines = [shlex.split(line) for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return sorted({name for line in lines for name in line[1:-1]})


def containers() -> list[dict]:
    pods = [document["spec"]["template"]["spec"] for document in MANIFESTS if "template" in document["spec"]]
    return [container for pod in pods for part in ("initContainers", "containers") for container in pod.get(part, [])]


@pytest.mark.parametrize("name", copied_from_the_project())
def test_what_the_image_copies_exists_and_reaches_the_build(name: str):
    assert (ROOT / name).exists()
    assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_what_the_wheel_in_the_image_is_built_from_is_copied():
    template = ROOT / "unbroken" / "cli" / "template"
    links = {path.resolve().relative_to(ROOT).parts[0] for path in template.iterdir() if path.is_symlink()}

    assert links | {"pyproject.toml", "README.md", "LICENSE", "unbroken"} <= set(copied_from_the_project())


def test_the_commands_of_the_manifests_exist():
    commands = [container["command"] for container in containers() if container["image"] == "unbroken"]

    assert {command[1] for command in commands if command[0] == "unbroken"} <= set(COMMANDS)
    assert {command[0] for command in commands} == {"unbroken", "prefect"}


def test_the_worker_of_the_manifests_joins_the_pool_of_the_deployments():
    pool = yaml.safe_load((ROOT / "prefect.yaml").read_text())["definitions"]["work_pool"]["name"]
    (project,) = [line.removeprefix("ENV UNBROKEN_PROJECT=") for line in DOCKERFILE.splitlines() if "ENV UNBR" in line]
    (worker,) = [container for container in containers() if container["name"] == "worker"]

    assert worker["command"][worker["command"].index("--pool") + 1] == pool.replace("{{ $UNBROKEN_PROJECT }}", project)


def test_what_a_run_writes_lies_on_the_volume():
    (worker,) = [container for container in containers() if container["name"] == "worker"]

    assert {mount["mountPath"] for mount in worker["volumeMounts"]} >= {"/app/runs", "/app/models", "/app/predictions"}


RAY = ROOT / "examples" / "kubernetes"
RAY_CLUSTER = yaml.safe_load((RAY / "cluster.yaml").read_text())
RAY_DRIVER = yaml.safe_load((RAY / "worker.yaml").read_text())


def ray_pods() -> list[dict]:
    spec = RAY_CLUSTER["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"], RAY_DRIVER["spec"]]
    return [group["template"]["spec"] for group in groups]


def test_the_manifests_for_ray_take_the_image_and_the_version_that_their_dockerfile_makes():
    dockerfile = (RAY / "Dockerfile").read_text()
    images = {container["image"] for pod in ray_pods() for container in pod["containers"]}

    assert images == {"unbroken-ray"}
    assert f'"ray[train]=={RAY_CLUSTER["spec"]["rayVersion"]}"' in dockerfile
    assert f'"ray[train]=={RAY_CLUSTER["spec"]["rayVersion"]}"' in (ROOT / "Makefile").read_text()


def test_ranks_and_driver_see_the_volume_that_the_other_manifests_claim():
    claims = {document["metadata"]["name"] for document in MANIFESTS if document["kind"] == "PersistentVolumeClaim"}
    _, *pods = ray_pods()  # the head trains nothing

    for pod in pods:
        assert {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"][:1]} == claims
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["/app/runs"] == mounts["/app/data"] == "files"


def test_the_driver_for_ray_joins_the_cluster_and_the_pool_of_the_other_manifests():
    driver, raylet = RAY_DRIVER["spec"]["template"]["spec"]["containers"]
    (worker,) = [container for container in containers() if container["name"] == "worker"]
    address = raylet["command"][raylet["command"].index("--address") + 1]

    assert driver["command"] == worker["command"]
    assert address == f"{RAY_CLUSTER['metadata']['name']}-head-svc:6379"
    assert f'address = "{address}"' in (RAY / "README.md").read_text()
