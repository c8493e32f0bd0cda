"""Annotations checked at every call, shapes of tensors included, in the rooms that hold tensors."""

import random
from collections.abc import Generator
from contextlib import contextmanager

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype._check.code import codemain
from jaxtyping import install_import_hook

ROOMS = ("batches", "checkpoints", "evaluation", "models", "optimization", "training")

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""A whole number may stand for a float, as for a type checker."""


def check_rooms() -> None:
    """Have each call in these rooms checked; before any of them is imported."""
    # Which item of a list is checked is drawn at random: not from the generator that a model may draw from.
    codemain.getrandbits = random.Random(0).getrandbits
    install_import_hook([f"unbroken.{room}" for room in ROOMS], f"{__name__}.checked")


@contextmanager
def unchecked() -> Generator[None]:
    """Run what is inside at the speed of a user's process, where only processes and bytes are in question."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
