"""Stage 6: prove that the published checkpoint can be restored."""

import logging
import struct
from pathlib import Path

from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.code.record import CodeRecord, naming_change, present_code
from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import CheckpointMismatchError, CodeChangedError, CorruptCheckpointError
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import Run
from unbroken.stages.results import Published, Restored
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.publication import read_manifest
from unbroken.training.inputs import EvaluationInputs

log = logging.getLogger(__name__)

WAY_OUT = "Restore it with that version, or train it anew in another runs_folder"


def load_checkpoint(
    published: Published, splits: SplitDatasets, encoder: Artifact, config: Config, run: Run
) -> Restored:
    """Restore model and optimizer into new objects and demand the recorded metrics of the epoch, to the bit.

    Where other code trained it, that is said: the metrics prove that both give the same.

    Raises:
        CorruptCheckpointError: The file is not whole, or the metrics differ.
        CheckpointMismatchError: It is of another run, or another machine gives other metrics.
        CodeChangedError: Other code trained it, and gives other metrics.
    """
    path = Path(published.path)
    tree = read_checkpoint(path, published.digest)
    with reproducible(config.training.threads):  # even where a training would not wait: this one is over soon
        inputs = EvaluationInputs.read(config, splits, encoder, run)
        state = inputs.fresh_state()
        change = CodeRecord.read(run.code, Journal(run.journal)).change(present_code(config.chosen.model.factory))
        with naming_change(change, WAY_OUT):
            inputs.restore(state, tree, path)
        metrics = inputs.evaluate(state.model)
    scored = read_manifest(Path(published.manifest.path)).get("test_metrics", {})
    recorded = {name: (state.history[-1] | scored)[name] for name in metrics}
    for name, value in metrics.items():
        if struct.pack("d", value) != struct.pack("d", recorded[name]):
            if change is not None:
                raise CodeChangedError(
                    f"{path}: {name}: found {value!r}, recorded {recorded[name]!r}: {change}. {WAY_OUT}"
                )
            _reject(path, name, value, recorded[name], tree["numerics"], inputs.header["numerics"])
    if change is not None:
        log.warning("%s: %s. Its metrics are equal to the bit", path, change)
    return Restored(path=str(path), digest=published.digest, epoch=state.epoch, step=state.step, metrics=recorded)


def _reject(path: Path, name: str, value: float, recorded: float, previous: Tree, current: Tree) -> None:
    if previous != current:
        raise CheckpointMismatchError(
            f"{path}: {name}: found {value!r}, recorded {recorded!r}: it was trained with {previous}, this is {current}. "
            f"Load it where it was trained"
        )
    raise CorruptCheckpointError(
        f"{path}: {name}: found {value!r} after restoring, recorded {recorded!r}. "
        f"The model's factory draws random numbers when evaluated, or the test data changed"
    )
