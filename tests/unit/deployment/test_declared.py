"""What prefect.yaml declares is read whole, or refused by the place of what cannot be."""

import shutil
from pathlib import Path

import pytest

from unbroken.cli.project import write_project
from unbroken.config.project import Project
from unbroken.deployment import declared
from unbroken.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNBROKEN_PROJECT", "PWD"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was, whoever sets it


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a copy of what this repository declares."""
    (tmp_path / "mine").mkdir()
    shutil.copy(ROOT / "prefect.yaml", tmp_path / "mine")
    return Project.of(tmp_path / "mine", {})


def change(project: Project, old: str, new: str) -> None:
    path = project.folder / "prefect.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_all_that_is_declared_carries_the_name_and_the_folder_of_the_project(project: Project):
    deployments = declared.read(project)

    assert [deployment.full_name for deployment in deployments] == [
        "train/mine-by-hand",
        "retrain/mine-nightly",
        "predict/mine-champion",
    ]
    assert {deployment.fields["work_pool_name"] for deployment in deployments} == {"mine"}
    assert {deployment.directory for deployment in deployments} == {str(project.folder)}
    assert {deployment.fields["job_variables"]["env"]["UNBROKEN_PROJECT"] for deployment in deployments} == {"mine"}


def test_what_events_fill_in_later_is_left_for_them(project: Project):
    (trigger,) = declared.read(project)[2].triggers

    assert trigger.name == "mine: a champion was promoted"
    assert "{{ event.payload.folder }}" in str(trigger.parameters)


def test_a_new_project_declares_its_own(tmp_path: Path):
    write_project(tmp_path / "fresh")

    deployments = declared.read(Project.of(tmp_path / "fresh", {}))

    assert [deployment.name for deployment in deployments] == ["fresh-by-hand", "fresh-nightly", "fresh-champion"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("deployments:", "deployments: [", "cannot be read as YAML: "),
        ("deployments:", "deployment:", "found no deployments, expected one"),
        ("    tags:", "    tag:", "deployment 'mine-by-hand': found tag, expected only name, entrypoint, "),
        ("- cron:", "- crom:", "deployment 'mine-nightly', a schedule: found crom, expected only cron, "),
        ('cron: "0 3', 'cron: "0 99', "deployment 'mine-nightly': cron: "),
        ("flows.train.train", "flows.train.trial", "flows.train.trial cannot be imported: "),
        (
            "flows.train.train",
            "flowers.train",
            "flowers.train cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("    entrypoint: flows.train.train\n", "", "deployment 'mine-by-hand': found no entrypoint, expected one"),
        ("    work_pool: *unbroken\n", "", "deployment 'mine-by-hand': found no work_pool, expected one"),
        ("ENQUEUE\n", "QUEUE\n", "deployment 'mine-nightly': collision_strategy: "),
        ("posture: Reactive", "posture: Lazy", "deployment 'mine-champion': "),
        ('  - name: "{{ $UNBROKEN_PROJECT }}-by-hand"\n    entry', "  - entry", "found a deployment without a name"),
        ("pull:", "build:\n  - a.step: {}\npull:", "found build or push steps, expected none"),
    ],
)
def test_what_cannot_be_declared_is_one_paragraph(old: str, new: str, says: str, project: Project):
    change(project, old, new)

    with pytest.raises(ConfigError) as refused:
        declared.read(project)

    message = str(refused.value)
    assert message.startswith(f"{project.folder}/prefect.yaml: ")
    assert says in message
    assert "\n" not in message
