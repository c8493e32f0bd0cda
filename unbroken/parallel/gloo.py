"""Ranks in processes of their own: a store in which they meet and talk, and gloo for what each step adds up."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any, NoReturn, TypeVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, distributed

from unbroken.errors import UnbrokenError, error_of
from unbroken.parallel.group import LostRankError, Requests
from unbroken.parallel.place import Place

Value = TypeVar("Value")
ROOT = 0
MEETING, LOST, PULSE, PARTING = 300.0, 60.0, 5.0, 10.0
"""Seconds: to meet, after which a silent rank counts as lost, between two signs of life, and to take leave."""
SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between two looks into the store."""
FAILURE, LEFT, LIFE = "failure", "left", "life"


class ProcessGroup:
    """The ranks of a training, each a process."""

    def __init__(self, place: Place) -> None:
        """Meet the other ranks; raise LostRankError if they do not come."""
        self.rank, self.size, self.neighbours = place.rank, place.size, place.neighbours
        self.requests, self.values = Requests(), 0
        limit = timedelta(seconds=MEETING)
        self.keeps_store = place.rank == ROOT and not place.hosted
        with _losses_told():
            store = distributed.TCPStore(
                place.host, place.port, is_master=self.keeps_store, timeout=limit, wait_for_workers=False
            )
            self.store = distributed.PrefixStore(f"unbroken/{place.attempt}", store)
            # Not the process's one default group, which belongs to the user's code.
            self.gloo: Any = distributed.ProcessGroupGloo(self.store, self.rank, self.size, timedelta(seconds=MEETING))
            self.gloo.barrier().wait(limit)
            self.gloo.set_timeout(timedelta(seconds=LOST))

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == ROOT

    def from_first(self, compute: Callable[[], Value], kind: type[Value], /) -> Value:
        """Return on all ranks what rank 0 computes."""
        self.values += 1
        key = f"value/{self.values}"
        if not self.first:
            self._wait_until(lambda: self.store.check([key]))
            with _losses_told():
                return _adapter(kind).validate_python(json.loads(self.store.get(key)))
        value = compute()
        with _losses_told():
            self.store.set(key, json.dumps(_adapter(kind).dump_python(value, mode="json")))
        return value

    def meet(self) -> None:
        """Wait for all ranks."""
        self.values += 1
        key = f"met/{self.values}"
        with _losses_told():
            self.store.add(key, 1)
        self._wait_until(lambda: self.store.add(key, 0) == self.size)

    def gather(self, content: Tensor, /) -> list[Tensor]:
        """Return the bytes of all ranks."""
        contents = [torch.empty_like(content) for _ in range(self.size)]
        with self._failure_of_another(), _losses_told():
            self.gloo.allgather([contents], [content]).wait()
        return contents

    def broadcast(self, content: bytes, /) -> bytes:
        """Return what rank 0 has."""
        size = torch.tensor([len(content)])
        with self._failure_of_another(), _losses_told():
            self.gloo.broadcast(size, ROOT).wait()
            buffer = torch.empty(int(size), dtype=torch.uint8)
            if self.first:
                buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            self.gloo.broadcast(buffer, ROOT).wait()
        return buffer.numpy().tobytes()

    def tell_failure(self, error: BaseException) -> None:
        """Let the other ranks know by what this one ends."""
        known = isinstance(error, UnbrokenError)
        failure = {
            "rank": self.rank,
            "kind": type(error).__name__ if known else "",
            "message": str(error) or repr(error),
        }
        self.store.set(FAILURE, json.dumps(failure))

    def part(self) -> None:
        """Keep the store until all ranks have read what is there for them, or are gone."""
        self.store.add(LEFT, 1)
        ended = time.monotonic() + PARTING
        while self.keeps_store and self.store.add(LEFT, 0) < self.size and time.monotonic() < ended:
            time.sleep(LONGEST)

    @contextmanager
    def alive(self) -> Generator[None]:
        """Give signs of life while the block runs."""
        ended = threading.Event()

        def beat() -> None:
            with suppress(distributed.DistError, RuntimeError):  # the store is gone, which the others know by then
                while not ended.wait(PULSE):
                    self.store.add(f"{LIFE}/{self.rank}", 1)

        thread = threading.Thread(target=beat, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _wait_until(self, done: Callable[[], bool]) -> None:
        """Look into the store again and again; raise LostRankError once a rank gives no sign of life."""
        watch, pause = _Watch(self), SHORTEST
        with _losses_told():
            while not done():
                self._raise_failure()
                watch.look()
                time.sleep(pause)
                pause = min(LONGEST, pause * 1.5)

    @contextmanager
    def _failure_of_another(self) -> Generator[None]:
        """Where another rank is gone, raise by what it ended, if it told so."""
        try:
            yield
        except LostRankError as lost:
            with _losses_told():
                self._raise_failure(lost)
            raise

    def _raise_failure(self, lost: LostRankError | None = None) -> None:
        if self.store.check([FAILURE]):
            _raise(json.loads(self.store.get(FAILURE)), lost)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what makes plain values of a kind and back; as text by `json`, which keeps NaN and infinity."""
    return TypeAdapter(kind)


class _Watch:
    """What was seen of the other ranks' signs of life, and when."""

    def __init__(self, group: ProcessGroup) -> None:
        self.group, self.next_look = group, 0.0
        self.seen = dict.fromkeys(range(group.size), (-1, time.monotonic()))

    def look(self) -> None:
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + PULSE
        for rank, (count, moment) in self.seen.items():
            if (current := self.group.store.add(f"{LIFE}/{rank}", 0)) != count:
                self.seen[rank] = current, now
            elif now - moment > LOST:
                raise LostRankError(f"rank {rank} gave no sign of life for {LOST:.0f} s")


def _raise(failure: dict[str, Any], lost: LostRankError | None) -> NoReturn:
    error = error_of(failure["kind"], failure["message"])
    raise (error or LostRankError(f"rank {failure['rank']} ended: {failure['message']}")) from lost


@contextmanager
def _losses_told() -> Generator[None]:
    """Raise what gloo or the store says of a connection that ended as LostRankError."""
    try:
        yield
    except (distributed.DistError, RuntimeError) as error:
        if isinstance(error, NotImplementedError | RecursionError):
            raise
        words = str(error).partition("\n")[0].partition("This is typically")[0].strip()
        raise LostRankError(
            f"another rank of the training is gone, or cannot be reached: {words}. Started again, with as many ranks or with "
            f"others, the training goes on from its newest checkpoint"
        ) from error


@contextmanager
def joined(place: Place) -> Generator[ProcessGroup]:
    """Yield the group of a rank; by what ends one of them, all are told.

    Raises:
        LostRankError: Another rank is gone, or did not come within five minutes.
    """
    group = ProcessGroup(place)
    try:
        with group.alive():
            yield group
    except BaseException as error:
        with suppress(distributed.DistError, RuntimeError):  # where the store is gone, the others know
            group.tell_failure(error)
        raise
    finally:
        with suppress(distributed.DistError, RuntimeError):
            group.part()
