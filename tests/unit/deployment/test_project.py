"""The name of a project: set, remembered, or its folder's; and what a name cannot be."""

import json
from pathlib import Path

import pytest

from unbroken.config.project import NAME, Project, safe_name
from unbroken.errors import ConfigError


def project_in(folder: Path, settings: str = "", environment: dict[str, str] | None = None) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.toml").write_text(settings)
    return Project.of(folder, environment or {})


def test_a_project_is_called_as_its_folder(tmp_path: Path):
    assert project_in(tmp_path / "mine").name == "mine"


def test_the_settings_name_it_and_the_environment_comes_first(tmp_path: Path):
    assert project_in(tmp_path / "mine", "project = 'churn'").name == "churn"
    assert project_in(tmp_path / "mine", "project = 'churn'", {"UNBROKEN_PROJECT": "late"}).name == "late"


def test_a_folder_that_was_renamed_is_the_same_project(tmp_path: Path):
    project = project_in(tmp_path / "mine")
    project.state.mkdir()
    project.record_file.write_text(json.dumps({"project": project.name}))
    (tmp_path / "mine").rename(tmp_path / "yours")

    assert project_in(tmp_path / "yours").name == "mine"
    assert project_in(tmp_path / "yours", "project = 'other'").name == "other"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my project", "my-project"),
        ("Ärger & Verdruß/", "rger-Verdru"),
        ("a%b>c", "a-b-c"),
        (".hidden", "hidden"),
        ("prefect-flows", "project-prefect-flows"),
        ("日本", "project"),
        ("", "project"),
        ("x" * 200, "x" * 40),
        ("unbroken", "unbroken"),
    ],
)
def test_any_folder_has_a_name_that_prefect_takes(folder: str, name: str):
    assert safe_name(folder) == name
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["a b", "a/b", "prefect", "Prefect-x", "-a", "a\nb", "x" * 41, "a&b"])
def test_a_name_that_is_set_is_taken_as_it_is_or_refused(name: str, tmp_path: Path):
    with pytest.raises(ConfigError, match="UNBROKEN_PROJECT: found "):
        Project.of(tmp_path, {"UNBROKEN_PROJECT": name})


def test_a_name_that_is_no_text_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"run\.toml: project: found 3, expected up to 40 letters"):
        project_in(tmp_path, "project = 3")


def test_a_record_that_cannot_be_read_names_its_file(tmp_path: Path):
    project = project_in(tmp_path / "mine")
    project.state.mkdir()
    project.record_file.write_text("{")

    with pytest.raises(ConfigError, match=r"project\.json: found no JSON object"):
        Project.of(project.folder, {})
