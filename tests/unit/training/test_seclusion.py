"""Python's and NumPy's global generators are one thread's alone while it builds or trains a model."""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from unbroken.reproducibility.seclusion import drawing_alone

MODULES = {"random": random, "numpy.random": np.random}
NO_DRAW = {"default_rng", "get_bit_generator", "set_bit_generator"}
"""Functions that have no generator, or handle the global one as a whole."""


def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def draws() -> list[float]:
    return [random.random(), random.uniform(0, 1), np.random.rand(), np.random.sample(), random.gauss(0, 1)]


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)


def test_other_threads_draw_on_from_where_they_were_and_so_does_the_process_afterwards():
    seed(1)
    expected = [draws(), draws(), draws()]
    seed(2)
    alone = [draws(), draws()]

    seed(1)
    first = draws()
    with drawing_alone():
        seed(2)
        inside, others, inside_again = draws(), in_thread(draws), draws()

    assert [inside, inside_again] == alone
    assert [first, others, draws()] == expected


def test_another_thread_can_seed_only_what_it_draws_from_itself():
    seed(3)
    expected = draws()
    with drawing_alone():
        seed(3)
        in_thread(lambda: seed(4))
        assert draws() == expected


def test_inside_it_the_thread_may_do_so_again():
    seed(5)
    with drawing_alone():
        expected = draws()
        seed(5)
        with drawing_alone():
            seed(6)
            draws()
        in_thread(draws)
        assert draws() == expected


@pytest.mark.parametrize("name", MODULES)
def test_every_function_of_the_module_that_draws_is_another_meanwhile_and_itself_afterwards(name: str):
    module = MODULES[name]
    before = dict(vars(module))
    public = [key for key in module.__all__ if not isinstance(before[key], type) and key not in NO_DRAW]
    with drawing_alone():
        assert [key for key in public if vars(module)[key] is before[key]] == []
    assert vars(module) == before


def test_what_is_taken_out_of_the_modules_meanwhile_works_later_in_any_thread():
    with drawing_alone():
        from random import random as taken  # noqa: PLC0415 (as a model's module does when it is first imported)

    def trained() -> float:
        with drawing_alone():
            seed(7)
            return taken()

    random.seed(7)
    expected = random.random()
    assert trained() == in_thread(trained) == expected


def test_a_process_forked_meanwhile_has_the_global_generators_for_all_its_threads():
    with drawing_alone():
        child = os.fork()
        if not child:
            seed(8)
            expected = draws()
            seed(8)
            os._exit(0 if in_thread(draws) == expected else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
