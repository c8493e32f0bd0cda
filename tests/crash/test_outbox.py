"""Effects on the world outside: killed before, in and after every file operation of a decision and its outbox, each is had once."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks
from tests.crash.decisions import (
    ASKED,
    UNASKED,
    World,
    complete_round,
    killed_round,
    operations_of_a_round,
    registry_in,
)
from tests.crash.disk import Fault, Faults


@pytest.mark.slow
def test_a_round_killed_at_any_file_operation_has_each_effect_once(new_folder: Callable[[], Path]):
    operations = forks.value(operations_of_a_round, new_folder())
    entries = [index for index, operation in enumerate(operations) if "outbox.jsonl" in operation.path]
    assert sum(operations[index].kind == "write" for index in entries) == 4  # two intents, two that are done
    keys = set[str]()

    def counts(index: int, when: str) -> tuple[int, str, dict[str, int]]:
        folder = new_folder()
        assert forks.run(killed_round, folder, Faults(index, Fault(when))).killed  # ty: ignore[invalid-argument-type]
        forks.value(complete_round, folder)
        assert registry_in(folder).outbox().pending() == []
        assert [event["event"] for event in registry_in(folder).history()] == ["promoted"]
        told = Counter(World(folder).lines())
        keys.update(told)
        return index, when, {key.rpartition("-")[2]: count for key, count in told.items()}

    halves = [(index, "half") for index, operation in enumerate(operations) if operation.kind == "write"]
    cases = [*itertools.product(range(len(operations)), ("before", "after")), *halves]
    outcomes = forks.run_all(counts, cases)

    assert {count[ASKED] for _, _, count in outcomes} == {1}
    again = [(operations[index], when) for index, when, count in outcomes if count[UNASKED] != 1]
    # Told, and killed before that was written down for good: only then a receiver that cannot be asked is told again.
    assert {operation.path.rpartition("/")[2] for operation, _ in again} <= {"outbox.jsonl"}
    assert len(keys) == 2


def test_a_winner_that_awaits_approval_survives_a_kill_at_any_entry_and_is_promoted_once(
    new_folder: Callable[[], Path],
):
    operations = forks.value(operations_of_a_round, new_folder(), True)
    names = ("champion.json", "audit.jsonl", "outbox.jsonl")
    entries = [index for index, operation in enumerate(operations) if operation.path.endswith(names)]
    moves = [index for index, operation in enumerate(operations) if operation.target.endswith("champion.json")]
    assert len(moves) == 2  # it awaits, it reigns

    def events(index: int, when: str) -> list[str]:
        folder = new_folder()
        assert forks.run(killed_round, folder, Faults(index, Fault(when)), True).killed  # ty: ignore[invalid-argument-type]
        forks.value(complete_round, folder, True)
        assert set(Counter(World(folder).lines()).values()) <= {1, 2}
        assert len(set(World(folder).lines())) == 2
        return [event["event"] for event in registry_in(folder).history()]

    cases = [*itertools.product([*entries[::5], *moves], ("before", "after"))]
    assert {tuple(outcome) for outcome in forks.run_all(events, cases)} == {("awaits approval", "promoted")}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_before_and_after_each_entry_of_the_outbox_leaves_one_key_an_effect(
    when: str, new_folder: Callable[[], Path]
):
    operations = forks.value(operations_of_a_round, new_folder())
    entries = [
        index
        for index, operation in enumerate(operations)
        if operation.path.endswith("outbox.jsonl") and operation.kind == "write"
    ]
    for number, index in enumerate(entries):
        folder = new_folder()
        assert forks.run(killed_round, folder, Faults(index, Fault(when))).killed  # ty: ignore[invalid-argument-type]
        forks.value(complete_round, folder)
        told = Counter(World(folder).lines())
        expected = 2 if (number, when) == (3, "before") else 1
        assert sorted(told.values()) == [1, expected], f"entry {number}, {when}"
