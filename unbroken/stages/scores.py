"""What the rows that do not train say of a model: its test metrics, those that it has to beat, how sure its predictions are."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from unbroken.checkpoints.tree import Tree
from unbroken.config.metrics import CONSTANT, TREES
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import ConfigError
from unbroken.evaluation.baseline import constant_guess
from unbroken.evaluation.boosted_trees import fit_trees, why_no_trees
from unbroken.evaluation.conformal import calibrate, errors_of
from unbroken.training.inputs import TEST, VALIDATION, EvaluationInputs

TEST_METRICS, BASELINES, LEFT_OUT, CALIBRATION = "test_metrics", "baselines", "baselines_left_out", "calibration"
SCORES = (TEST_METRICS, BASELINES, LEFT_OUT, CALIBRATION)
"""What a manifest calls what is scored here."""
SHOWN_SHARE = 0.9
"""The share of the test rows that shows whether intervals keep their word."""


def score(inputs: EvaluationInputs, splits: SplitDatasets, tree: Tree, path: Path) -> dict[str, Any]:
    """Return what a manifest says of the model in a checkpoint, by the names of SCORES.

    Args:
        inputs: The settings and the rows that do not train.
        splits: The preprocessed parts.
        tree: The checkpoint.
        path: Its file, for messages.
    """
    state = inputs.fresh_state()
    inputs.restore(state, tree, path)
    once = inputs.config.chosen.test_scores == "once"
    return {
        **({TEST_METRICS: inputs.evaluate(state.model, TEST)} if once else {}),
        **_baselines(inputs, splits),
        **_calibration(inputs, state.model),
    }


def _baselines(inputs: EvaluationInputs, splits: SplitDatasets) -> dict[str, Any]:
    """Return the test metrics of what a model has to beat, and why some of it is left out."""
    guess = constant_guess(splits.train, inputs.features).to(inputs.device)
    baselines, left_out = {CONSTANT: inputs.evaluate(guess, TEST)}, {}
    if inputs.config.chosen.baseline == "trees":
        if why := why_no_trees(splits.train):
            left_out = {TREES: why}
        else:
            trees = fit_trees(splits.train, inputs.features, inputs.config.training.seed)
            baselines[TREES] = inputs.evaluate(trees, TEST)
    return {BASELINES: baselines, **({LEFT_OUT: left_out} if left_out else {})}


def _calibration(inputs: EvaluationInputs, model: nn.Module) -> dict[str, Any]:
    """Return how far off a model is on the rows that validate, and whether the test rows bear that out; empty without such rows."""
    if VALIDATION not in inputs.held_out:
        return {}
    task, label = inputs.features.task, inputs.encoder.label
    errors = {part: errors_of(model, rows, task, label) for part, rows in inputs.held_out.items()}
    calibration = calibrate(errors[VALIDATION])
    if calibration is None:
        return {}
    shown: dict[str, float] | None = None
    with suppress(ConfigError):  # too few rows for it
        threshold = calibration.threshold(SHOWN_SHARE)
        shown = {"share": SHOWN_SHARE, "threshold": threshold, "covered": float((errors[TEST] <= threshold).mean())}
    return {CALIBRATION: {"errors": dataclasses.asdict(calibration), "shown": shown}}
