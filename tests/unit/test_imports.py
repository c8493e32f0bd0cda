"""What takes seconds to import is imported where it is needed and nowhere else: torch, its compiler, Prefect."""

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import sys
from tests.contract import run_stages
from unbroken.config import Config, DataConfig, TrainingConfig

training = TrainingConfig(epochs=1, **{settings})
run_stages(Config(data=DataConfig(source="sample"), training=training, runs_folder={folder!r}))
print(*sorted({{"torch._dynamo", "torch._inductor", "sympy", "prefect"}} & sys.modules.keys()))
"""


@pytest.mark.parametrize("settings", [{}, {"precision": "bfloat16", "accumulate": 2, "ema_decay": 0.9}])
def test_a_training_imports_neither_a_compiler_nor_prefect(settings: dict[str, object], tmp_path: Path):
    script = TRAIN.format(settings=settings, folder=str(tmp_path))
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout.split() == []


CATEGORIES = """
import sys
from tests.contract import run_stages, write_rows
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.serving.prediction import load_predictor

source = write_rows({folder!r} / "rows.parquet", "binary")
config = Config(data=DataConfig(source=source), training=TrainingConfig(epochs=1), runs_folder=str({folder!r} / "runs"))
load_predictor(run_stages(config).path).predict({{name: [None] for name in ("number_0", "number_1", "number_2", "colour")}})
print(*sorted({{"torch._dynamo", "torch._inductor", "sympy", "prefect"}} & sys.modules.keys()))
"""


def test_a_training_with_categories_and_a_prediction_import_no_compiler(tmp_path: Path):
    script = "from pathlib import Path, PosixPath" + CATEGORIES.format(folder=tmp_path)
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout.split() == []


@pytest.mark.parametrize("names", ["", "; unbroken.Config, unbroken.UnbrokenError, unbroken.train"])
def test_the_library_and_its_settings_import_neither_torch_nor_prefect(names: str):
    script = f"import sys, unbroken{names}; print(*sorted({{'torch', 'prefect', 'unbroken'}} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["unbroken"]
