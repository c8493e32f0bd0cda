"""How the result of a run is stored: as JSON of the type that its function declares, behind its SHA-256, never as code.

A record as Prefect stores it names its own serializer, Prefect's JSON the classes to import: who edits a record could run
code. Here the function that is to run says what its record holds, and a record that says more is not used.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from prefect.context import FlowRunContext, TaskRunContext
from prefect.filesystems import LocalFileSystem, WritableFileSystem
from prefect.results import ResultStore
from prefect.serializers import Serializer
from pydantic import Field, TypeAdapter, ValidationError

from unbroken.errors import DataError
from unbroken.storage import atomic
from unbroken.storage.artifact import verify

log = logging.getLogger("unbroken.stages")
TYPE = "verified-json"


class VerifiedJSON(Serializer):
    """JSON behind its own SHA-256. A result that is not whole, or names a file that is gone or changed, is not used again."""

    type: str = Field(default=TYPE, frozen=True)  # ty: ignore[incompatible-mutable-override] (as Prefect does)

    def dumps(self, obj: Any) -> bytes:
        """Return a value as JSON behind its digest; of an exception, its words."""
        content = _encode({"error": f"{type(obj).__name__}: {obj}"} if isinstance(obj, BaseException) else _plain(obj))
        return hashlib.sha256(content).hexdigest().encode() + b" " + content

    def loads(self, blob: bytes) -> Any:
        """Return a stored value, of the declared type inside a run and as plain JSON outside.

        Raises:
            DataError: The value does not hold, which makes Prefect run the task again.
        """
        context = TaskRunContext.get() or FlowRunContext.get()
        if context is None:
            return next(iter(_decode(blob).values()))
        run = context.task if isinstance(context, TaskRunContext) else context.flow
        value = _value(blob, declared_type(run.fn) if run is not None else Any)
        try:
            verify(value)
        except DataError as error:
            log.warning("a stored result is not used, its stage runs again: %s", error)
            raise
        return value


@dataclass(frozen=True)
class CheckedStorage:
    """A storage of results as Prefect sees it; it gives Prefect no record but one that was written here.

    Attributes:
        storage: Where the records lie.
        type: What their results are.
    """

    storage: WritableFileSystem
    type: Any

    def read_path(self, path: str, **options: Any) -> bytes:
        """Return a record; raise DataError, after a warning, if it is none of ours."""
        place = self._place(path)
        content = b"a link" if place and place.is_symlink() else self.storage.read_path(path, **options)
        return self._checked(path, content)

    async def aread_path(self, path: str) -> bytes:
        """Return what `read_path` does."""
        return self.read_path(path, _sync=True)

    def write_path(self, path: str, content: bytes, **options: Any) -> Any:
        """Store a record; on this machine whole or not at all, and never through a link."""
        if place := self._place(path):
            atomic.write(place, content)
            return str(place)
        return self.storage.write_path(path, content, **options)

    async def awrite_path(self, path: str, content: bytes) -> Any:
        """Store a record."""
        return self.write_path(path, content, _sync=True)

    def _place(self, path: str) -> Path | None:
        """Return where a record lies on this machine, None if it lies elsewhere."""
        local = isinstance(self.storage, LocalFileSystem) and self.storage.basepath
        return Path(local).expanduser() / path if local and Path(path).name == path else None

    def _resolve_path(self, _: str) -> None:
        """Let a record's key be no path, by which Prefect would read it past this storage."""

    def _checked(self, path: str, content: Any) -> bytes:
        try:
            return _checked_record(path, content, self.type)
        except DataError as error:
            folder = getattr(self.storage, "basepath", None)
            name = f"{folder}/{path}" if folder else path
            log.warning("%s: a stored result is not used, its stage runs again: %s", name, error)
            raise


def check_records(store: ResultStore, function: Callable[..., Any]) -> None:
    """Let a store give no record but of what a function declares to return."""
    assert store.result_storage is not None
    storage: Any = store.result_storage
    if isinstance(storage, CheckedStorage):
        storage = storage.storage
    checked: Any = CheckedStorage(storage, declared_type(function))
    store.result_storage, store.metadata_storage = checked, None


@cache
def declared_type(function: Callable[..., Any]) -> Any:
    """Return the type that a function declares to return."""
    return get_type_hints(function).get("return", Any)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _plain(value: Any) -> dict[str, Any]:
    return {"value": _adapter(type(value)).dump_python(value, mode="json")}


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _json(content: Any, name: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"found {content[:80]!r}, expected {name}") from error
    if not isinstance(document, dict):
        raise DataError(f"found {content[:80]!r}, expected {name}")
    return document


def _decode(blob: bytes) -> dict[str, Any]:
    expected, _, content = blob.partition(b" ")
    if hashlib.sha256(content).hexdigest().encode() != expected:
        raise DataError(f"found other bytes than were stored: {content[:80]!r}")
    document = _json(content, "a result or an error")
    if list(document) not in (["value"], ["error"]):
        raise DataError(f"found {sorted(document)}, expected a result or an error")
    return document


def _value(blob: bytes, kind: Any) -> Any:
    document = _decode(blob)
    if "value" not in document:
        raise DataError("found the words of an error, expected a result")
    try:
        value = _adapter(kind).validate_python(document["value"])
    except (ValidationError, RecursionError) as error:
        raise DataError(f"found no {getattr(kind, '__name__', kind)}") from error
    if _encode(_plain(value)) != _encode(document):
        raise DataError(f"found more than a {getattr(kind, '__name__', kind)}")
    return value


def _checked_record(path: str, content: Any, kind: Any) -> bytes:
    """Return a record anew from nothing but its result and its expiration."""
    record = _json(content, "a record")
    metadata, result = record.get("metadata"), record.get("result")
    if set(record) != {"metadata", "result"} or not isinstance(metadata, dict) or not isinstance(result, str):
        raise DataError(f"found {str(record)[:80]!r}, expected metadata and a result as text")
    serializer = {"type": TYPE}
    if metadata.get("serializer") != serializer:
        raise DataError(f"found the serializer {str(metadata.get('serializer'))[:80]}, expected {serializer}")
    _value(result.encode(errors="replace"), kind)
    checked = {"storage_key": path, "expiration": metadata.get("expiration"), "serializer": serializer}
    return _encode({"metadata": checked, "result": result})
