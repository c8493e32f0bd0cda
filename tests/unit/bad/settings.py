"""Bad settings, also such as are bad for the data at hand alone."""

import math
from pathlib import Path

from tests.unit.bad.cases import (
    GOOD,
    ROWS,
    Case,
    checkpoint,
    data,
    good,
    model,
    scaling,
    split,
    start,
    table,
    tables,
    training,
    with_label,
)
from tests.unit.stages import hundred
from unbroken.config import CheckpointConfig, ModelConfig, SplitConfig, TrainingConfig

FILE = str(Path(__file__))
SMALL = table({"x": [1.0, 2.0, 3.0], "label": [0, 1, 0]})

SPLITS = {
    "no test row": Case(
        SMALL, ("3 rows in all give 2 to train", "0 to test", "split.test_fraction"), split(test_fraction=0.1)
    ),
    "no training row": Case(SMALL, ("give 0 to train",), split(test_fraction=0.9, validation_fraction=0.0)),
    "no row left to train beside those held out": Case(
        SMALL, ("give 0 to train, 1 to validate, 2 to test",), split(test_fraction=0.67, validation_fraction=0.1)
    ),
    "fractions of everything": good(split(test_fraction=0.5, validation_fraction=0.5), "found 1.0, expected below 1"),
    "a test fraction of 0": good(split(test_fraction=0.0), "split.test_fraction: found 0.0"),
    "a test fraction of 1": good(split(test_fraction=1.0), "split.test_fraction: found 1.0"),
    "a test fraction that is no number": good(split(test_fraction=math.nan), "split.test_fraction: found nan"),
    "a negative validation fraction": good(split(validation_fraction=-0.1), "split.validation_fraction: found -0.1"),
    "an unknown kind of split": good(split(kind="rolling"), "split.kind: found 'rolling', expected 'auto', 'random'"),
    "groups without a column": good(split(kind="group"), "split.column: found None"),
    "a random split with a column": good(split(column="x"), "split.column: found 'x'"),
    "a group column that is not there": good(split(kind="group", column="who"), "a.parquet: no column who"),
    "a time column that is not there": good(split(kind="time", column="when"), "a.parquet: no column when"),
    "one group": Case(
        table(hundred(["a"] * 100)), ("split.kind group: found no row",), split(kind="group", column="x")
    ),
    "a group without a name": Case(
        table(hundred(["a"] * 50 + [None] + ["b"] * 49)),
        ("column x, row 50: found no value",),
        split(kind="group", column="x"),
    ),
    "a time without a value": Case(
        table(hundred([*ROWS[:7], None, *ROWS[8:]])),
        ("column x, row 7: found no value",),
        split(kind="time", column="x"),
    ),
    "texts for times": Case(
        table(hundred(["2020"] * 100)), ("split.column x: found type string",), split(kind="time", column="x")
    ),
    "groups of two types": Case(
        tables({**GOOD, "g": ROWS}, {**GOOD, "g": ["a"] * 100}),
        ("2.parquet: column g, row 0: found type string, expected double",),
        lambda: {"split": SplitConfig(kind="group", column="g")},
        {"exclude": ("g",), "label": "label"},
    ),
    "strata of a number to predict": Case(with_label(ROWS), ("has no classes; use random",), split(kind="stratified")),
}

SETTINGS = {
    "no epochs": good(training(epochs=0), "training.epochs: found 0, expected at least 1"),
    "epochs in text": good(training(epochs="5"), "training.epochs: found '5'"),
    "half an epoch": good(training(epochs=2.5), "training.epochs: found 2.5"),
    "no batch": good(training(batch_size=0), "training.batch_size: found 0"),
    "no accumulated batch": good(training(accumulate=0), "training.accumulate: found 0, expected at least 1"),
    "accumulated batches larger than the rows": good(
        training(batch_size=41, accumulate=2),
        "training.batch_size x training.accumulate: found 82, expected at most 72",
    ),
    "an average that keeps all": good(
        training(ema_decay=1.0), "training.ema_decay: found 1.0, expected above 0 and below 1"
    ),
    "an average that keeps nothing": good(training(ema_decay=0.0), "training.ema_decay: found 0.0"),
    "an unknown precision": good(training(precision="float16"), "training.precision: found 'float16'"),
    "a batch larger than the rows": good(training(batch_size=73), "training.batch_size: found 73, expected at most 72"),
    "a learning rate of 0": good(training(learning_rate=0.0), "training.learning_rate: found 0.0"),
    "a negative learning rate": good(training(learning_rate=-1.0), "training.learning_rate: found -1.0"),
    "a learning rate of NaN": good(training(learning_rate=math.nan), "training.learning_rate: found nan"),
    "an infinite learning rate": good(training(learning_rate=math.inf), "training.learning_rate: found inf"),
    "a learning rate among the options": good(
        training(optimizer_options={"lr": 1}), "training.optimizer_options: found {'lr': 1}"
    ),
    "an unknown optimizer": good(
        training(optimizer="Adamm"), "training.optimizer: found 'Adamm', expected one of", "AdamW"
    ),
    "an optimizer that is a module": good(
        training(optimizer="lr_scheduler"), "training.optimizer: found 'lr_scheduler'"
    ),
    "an optimizer that needs a closure": good(training(optimizer="LBFGS"), "training.optimizer: found 'LBFGS'"),
    "an optimizer for sparse gradients": good(
        training(optimizer="SparseAdam"), "training.optimizer: found 'SparseAdam'"
    ),
    "an unknown option of the optimizer": good(
        training(optimizer_options={"speed": 1}), "training.optimizer Adam", "speed"
    ),
    "an option of the optimizer out of range": good(training(optimizer_options={"betas": (2.0, 0.9)}), "beta", "2.0"),
    "options of the optimizer that are a list": good(
        training(optimizer_options=[1]), "training.optimizer_options: found [1]"
    ),
    "an unknown scheduler": good(
        training(scheduler="Warm"), "training.scheduler: found 'Warm', expected one of", "StepLR"
    ),
    "a scheduler without what it needs": good(training(scheduler="StepLR"), "training.scheduler StepLR", "step_size"),
    "an unknown option of the scheduler": good(
        training(scheduler="StepLR", scheduler_options={"step_size": 1, "speed": 2}),
        "training.scheduler StepLR",
        "speed",
    ),
    "an unknown device": good(training(device="abacus"), "training.device: found 'abacus'"),
    "a device that is not here": good(training(device="cuda:77"), "training.device: found 'cuda:77'"),
    "no threads": good(training(threads=0), "training.threads: found 0"),
    "a million threads": good(training(threads=1_000_000), "training.threads: found 1000000, expected 1 .. 1024"),
    "a gradient clip of 0": good(training(gradient_clip=0.0), "training.gradient_clip: found 0.0"),
    "a patience of 0": good(training(patience=0), "training.patience: found 0"),
    "a negative min_delta": good(training(min_delta=-1.0), "training.min_delta: found -1.0"),
    "class weights of another length": good(training(class_weights=(1.0, 1.0, 1.0)), "found 3 weights, expected 2"),
    "a class weight of 0": good(training(class_weights=(0.0, 1.0)), "training.class_weights: found (0.0, 1.0)"),
    "a class weight of NaN": good(training(class_weights=(math.nan, 1.0)), "training.class_weights: found (nan, 1.0)"),
    "class weights in a word": good(training(class_weights="equal"), "training.class_weights: found 'equal'"),
    "class weights for a number": Case(
        with_label(ROWS), ("expected 'none' for regression",), training(class_weights="balanced")
    ),
    "a metric that no one knows": good(training(monitor="test_beauty"), "training.monitor: found 'test_beauty'"),
    "a metric of the training rows": good(training(monitor="train_loss"), "training.monitor: found 'train_loss'"),
    "a metric of another task": good(
        training(monitor="validation_rmse"), "training.monitor: found 'validation_rmse', expected one of"
    ),
    "a metric of no validation part": good(
        lambda: {**split(validation_fraction=0.0)(), **training(monitor="validation_loss")()},
        "split.validation_fraction: found 0.0, expected above 0 for training.monitor",
    ),
    "patience without a validation part": good(
        lambda: {**split(validation_fraction=0.0)(), **training(patience=3)()}, "expected above 0 for training.patience"
    ),
    "a plateau without a validation part": good(
        lambda: {**split(validation_fraction=0.0)(), **training(scheduler="ReduceLROnPlateau")()},
        "expected above 0 for training.scheduler",
    ),
    "the best epoch without a validation part": good(
        lambda: {**split(validation_fraction=0.0)(), "checkpoint": CheckpointConfig(publish="best")},
        "expected above 0 for checkpoint.publish",
    ),
    "test rows that choose": good(
        training(monitor="test_loss"),
        "training.monitor: found 'test_loss', expected validation_ and a metric",
        "a score of rows that chose is not one of unseen rows",
    ),
    "a model that is not there": good(model("nowhere:build"), "model.factory: found no module 'nowhere'"),
    "a function that is not there": good(model("tests.unit.bad_models:nothing"), "model.factory", "nothing"),
    "a model that is no name": good(model("lambda x: x"), "model.factory: found 'lambda x: x'"),
    "a model by a path": good(model("../../etc/passwd:build"), "model.factory: found '../../etc/passwd:build'"),
    "a model without a function": good(model("tests.unit.bad_models"), "model.factory: found 'tests.unit.bad_models'"),
    "a factory that cannot be called": good(
        model("tests.unit.bad_models:NOT_CALLABLE"), "NOT_CALLABLE", "not callable"
    ),
    "a factory that takes nothing": good(model("tests.unit.bad_models:no_arguments"), "no_arguments", "takes 0"),
    "a factory that gives no module": good(
        model("tests.unit.bad_models:no_module"), "found dict, expected a torch.nn.Module"
    ),
    "a model of another shape": good(
        model("tests.unit.bad_models:wrong_shape"), "gives [2, 3], expected a tensor [2, 1]"
    ),
    "a model of one input": good(model("tests.unit.bad_models:one_input"), "one_input", "its model fails"),
    "a model of too many inputs": good(model("tests.unit.bad_models:too_wide"), "too_wide", "its model fails"),
    "a model of two outputs": good(model("tests.unit.bad_models:twofold"), "gives tuple"),
    "a model without weights": good(
        model("tests.unit.bad_models:no_parameters"), "training.optimizer Adam", "empty parameter list"
    ),
    "an unknown option of the model": good(model("mlp", depth=3), "model.factory mlp with options {'depth': 3}"),
    "a hidden layer of text": good(model("mlp", hidden=["wide"]), "model.factory mlp with options"),
    "a dropout of everything": good(
        model("mlp", dropout=1.0), "model.options.dropout: found 1.0, expected a dropout probability"
    ),
    "a dropout of NaN": good(model("mlp", dropout=math.nan), "model.options.dropout: found nan"),
    "a dropout of True": good(model("mlp", dropout=True), "model.options.dropout: found True"),
    "a negative dropout": good(model("mlp", dropout=-0.1), "model.options.dropout: found -0.1"),
    "a hidden layer of no unit": good(model("mlp", hidden=[8, 0]), "hidden: found [8, 0], expected a list of whole"),
    "a hidden layer of half a unit": good(model("mlp", hidden=[0.5]), "hidden: found [0.5]"),
    "a hidden layer of True": good(model("mlp", hidden=[True]), "hidden: found [True]"),
    "hidden layers in one number": good(model("mlp", hidden=8), "hidden: found 8"),
    "an option of the optimizer that is NaN": good(
        training(optimizer_options={"weight_decay": math.nan}), "training.optimizer_options.weight_decay: found nan"
    ),
    "an infinite option inside a pair": good(
        training(optimizer_options={"betas": (0.9, math.inf)}), "training.optimizer_options.betas: found (0.9, inf)"
    ),
    "an option of the optimizer that is True": good(
        training(optimizer_options={"weight_decay": True}), "training.optimizer_options.weight_decay: found True"
    ),
    "a scheduler that divides by zero": good(
        training(scheduler="StepLR", scheduler_options={"step_size": 0}), "training.scheduler StepLR", "zero"
    ),
    "a schedule of no length": good(
        training(scheduler="CosineAnnealingLR", scheduler_options={"T_max": 0}), "training.scheduler CosineAnnealingLR"
    ),
    "a schedule that goes below 0": good(
        training(scheduler="ExponentialLR", scheduler_options={"gamma": -0.5}),
        "found a learning rate of -0.0015 after step 1, expected 0 or more",
    ),
    "a one-cycle schedule shorter than the training": good(
        training(epochs=5, scheduler="OneCycleLR", scheduler_options={"total_steps": 39}),
        "found a OneCycleLR of 39 steps, expected at least 40, those of 5 epochs of 8",
        "Leave its length out",
    ),
    "a one-cycle schedule of fewer epochs": good(
        training(epochs=5, scheduler="OneCycleLR", scheduler_options={"epochs": 4, "steps_per_epoch": 8}),
        "found a OneCycleLR of 32 steps",
    ),
    "a last batch of one row that BatchNorm cannot train on": good(
        lambda: {
            "model": ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 4}),
            "training": TrainingConfig(batch_size=71),
        },
        "training.batch_size: found 71, which cuts the 72 rows that train so that a batch has 1 row",
        "Give another size, e.g. 70",
    ),
    "a last part of one row of an accumulated batch": good(
        lambda: {
            "model": ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 4}),
            "training": TrainingConfig(batch_size=1, accumulate=40),
        },
        "training.batch_size: found 1",
        "e.g. 2",
    ),
    "a model of whole numbers": good(
        model("tests.unit.bad_models:whole"), "gives torch.int64 [2, 1], expected a tensor"
    ),
    "a model that names its outputs": good(model("tests.unit.bad_models:named"), "gives dict, expected a tensor"),
    "a number beyond all bounds": good(training(epochs=10**400), "training.epochs: found 1000"),
    "a rate beyond all bounds": good(training(learning_rate=10**400), "training.learning_rate: found 1000"),
    "a dropout of 2": good(model("mlp", dropout=2.0), "dropout probability", "2.0"),
    "a clip of everything": good(scaling(clip_quantile=0.5), "preprocess.clip_quantile: found 0.5"),
    "no category": good(scaling(max_categories=0), "preprocess.max_categories: found 0"),
    "one checkpoint kept": good(checkpoint(keep_last=1), "checkpoint.keep_last: found 1"),
    "a checkpoint every 0 steps": good(checkpoint(every_steps=0), "checkpoint.every_steps: found 0"),
    "a checkpoint every NaN seconds": good(checkpoint(every_seconds=math.nan), "checkpoint.every_seconds: found nan"),
    "the median epoch": good(checkpoint(publish="median"), "checkpoint.publish: found 'median'"),
    "a start from nothing": good(start(warm_from="nowhere.pth"), "start.warm_from: found no file nowhere.pth"),
    "the label among the features": data("data.include: found 'label'", label="label", include=("x", "label")),
    "the label left out": data("data.exclude: found 'label'", label="label", exclude=("label",)),
    "a column in and out": data("data.include and data.exclude: found ['x']", include=("x", "row"), exclude=("x",)),
    "a column in twice": data("data.include: found ['x']", include=("x", "x")),
    "a label without a name": data("data.label: found ''", label=""),
    "an unknown task": data("data.task: found 'ranking'", task="ranking"),
    "features in one text": data("data.include: found 'x'", include="x"),
}

FOLDERS = {
    "no runs folder": good(lambda: {"runs_folder": ""}, "runs_folder: found ''"),
    "a runs folder on the network": good(
        lambda: {"runs_folder": "s3://bucket/runs"}, "runs_folder: found 's3://bucket/runs'"
    ),
    "a runs folder in a file URL": good(
        lambda: {"runs_folder": "file:///tmp/runs"}, "runs_folder: found 'file:///tmp/runs'"
    ),
    "a runs folder with a null character": good(lambda: {"runs_folder": "a\0b"}, "null character"),
    "a runs folder inside a file": good(lambda: {"runs_folder": FILE + "/runs"}, "settings.py is a file"),
    "a runs folder that is a file": good(lambda: {"runs_folder": FILE}, "settings.py is a file"),
}
