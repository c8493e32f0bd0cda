"""A stored result is read as data of the declared type, whatever its record says of itself."""

import base64
import hashlib
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore

from unbroken.orchestration.records import VerifiedJSON, check_records
from unbroken.stages.results import Restored
from unbroken.storage.artifact import Artifact

KEY = "stage-0123"


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def stage() -> Restored:
    raise AssertionError


def restored() -> Restored:
    return Restored(path="a", digest="b", epoch=1, step=2, metrics={"test_auroc": float("nan"), "test_loss": 0.25})


def behind_digest(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}"


def checked(folder: Path) -> ResultStore:
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(folder)), serializer=VerifiedJSON())
    check_records(store, stage)
    return store


def pickled(record: Any, target: Path) -> None:
    record["metadata"]["serializer"] = {"type": "pickle", "picklelib": "pickle"}
    record["result"] = base64.encodebytes(pickle.dumps(Payload(target))).decode()


def compressed(record: Any, target: Path) -> None:
    blob = base64.encodebytes(pickle.dumps(Payload(target)))
    record["metadata"]["serializer"] = {
        "type": "compressed",
        "compressionlib": "bz2",
        "serializer": {"type": "pickle", "picklelib": "pickle"},
    }
    record["result"] = base64.encodebytes(__import__("bz2").compress(blob)).decode()


def of_old(record: Any, target: Path) -> None:
    pickled(record, target)
    record["serializer"] = record.pop("metadata")["serializer"]
    record["data"] = record.pop("result")


def with_decoder(record: Any, target: Path) -> None:
    record["metadata"]["serializer"] |= {"object_decoder": "os.system", "jsonlib": "planted_module"}


def with_class(record: Any, target: Path) -> None:
    record["result"] = behind_digest(json.dumps({"value": {"__class__": "planted_module.Type", "data": {}}}))


def with_exception(record: Any, target: Path) -> None:
    record["result"] = behind_digest(json.dumps({"__exc_type__": "planted_module.Type", "message": ""}))


def with_prefects_json(record: Any, target: Path) -> None:
    record["metadata"]["serializer"] = {"type": "json"}
    record["result"] = json.dumps({"__class__": "planted_module.Type", "data": {}})


def of_other_type(record: Any, target: Path) -> None:
    record["result"] = behind_digest(json.dumps({"value": {"path": "a", "digest": "b"}}))


def with_more_fields(record: Any, target: Path) -> None:
    value = json.loads(record["result"].partition(" ")[2])
    value["value"]["other"] = 1
    record["result"] = behind_digest(json.dumps(value))


def with_an_error(record: Any, target: Path) -> None:
    record["result"] = behind_digest(json.dumps({"error": "OSError: gone"}))


def too_deep(record: Any, target: Path) -> None:
    record["result"] = behind_digest("[" * 200_000)


def no_text(record: Any, target: Path) -> None:
    record["result"] = {"__class__": "planted_module.Type", "data": {}}


def of_other_bytes(record: Any, target: Path) -> None:
    record["result"] += " "


FORGERIES = [
    *(pickled, compressed, of_old, with_decoder, with_class, with_exception, with_prefects_json),
    *(of_other_type, with_more_fields, with_an_error, too_deep, no_text, of_other_bytes),
]


def test_a_result_comes_back_as_it_was_with_nan(tmp_path: Path):
    checked(tmp_path).write(restored(), key=KEY)

    record = checked(tmp_path).read(KEY)

    assert checked(tmp_path).exists(KEY)
    assert repr(record.result["metrics"]) == "{'test_auroc': nan, 'test_loss': 0.25}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEY]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_record_is_no_result_and_its_file_is_named(
    forge: Callable[[Any, Path], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    target = tmp_path / "executed"
    (tmp_path / "planted_module.py").write_text(f"import pathlib\npathlib.Path({str(target)!r}).touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "results"
    checked(folder).write(restored(), key=KEY)
    record = json.loads((folder / KEY).read_bytes())
    forge(record, target)
    (folder / KEY).write_text(json.dumps(record))

    with caplog.at_level(logging.WARNING):
        assert not checked(folder).exists(KEY)

    assert not target.exists()
    assert f"{folder / KEY}: a stored result is not used" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"[]", b"null", b"{}", b"[" * 200_000])
def test_what_is_no_record_is_no_result(content: bytes, tmp_path: Path):
    (tmp_path / KEY).write_bytes(content)

    assert not checked(tmp_path).exists(KEY)


def test_the_payload_runs_where_prefect_reads_by_itself(tmp_path: Path):
    """Else the tests above would prove nothing."""
    checked(tmp_path).write(restored(), key=KEY)
    record = json.loads((tmp_path / KEY).read_bytes())
    pickled(record, tmp_path / "executed")
    (tmp_path / KEY).write_text(json.dumps(record))

    ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path))).read(KEY)

    assert (tmp_path / "executed").exists()


def test_prefect_takes_the_key_of_a_record_as_it_is(tmp_path: Path):
    """By a path it would read the file past our storage."""
    record = checked(tmp_path).create_result_record(restored(), key=KEY)

    assert record.metadata.storage_key == KEY


def test_an_exception_is_stored_as_its_words():
    blob = VerifiedJSON().dumps(ValueError("wrong"))

    assert blob.endswith(b'{"error": "ValueError: wrong"}')
    assert VerifiedJSON().loads(blob) == "ValueError: wrong"


def test_outside_a_run_a_result_is_plain_data():
    blob = VerifiedJSON().dumps(Artifact(path="a", digest="b"))

    assert VerifiedJSON().loads(blob) == {"path": "a", "digest": "b"}
