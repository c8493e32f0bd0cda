"""Stage 6: prove that the published checkpoint can be restored."""

import struct
from pathlib import Path

from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError
from unbroken.run import Run
from unbroken.stages.results import Published, Restored
from unbroken.storage.artifact import Artifact
from unbroken.training.determinism import reproducible
from unbroken.training.inputs import EvaluationInputs


def load_checkpoint(
    published: Published, splits: SplitDatasets, encoder: Artifact, config: Config, run: Run
) -> Restored:
    """Restore model and optimizer into new objects and demand the recorded metrics of the epoch, to the bit.

    Raise CorruptCheckpointError if the file is not whole or the metrics differ, CheckpointMismatchError if it is of another run.
    """
    path = Path(published.path)
    tree = read_checkpoint(path, published.digest)
    with reproducible(config.training.threads):  # even where a training would not wait: this one is over soon
        inputs = EvaluationInputs.read(config, splits, encoder, run)
        state = inputs.fresh_state()
        inputs.restore(state, tree, path)
        metrics = inputs.evaluate(state.model)
    recorded = {name: state.history[-1][name] for name in metrics}
    for name, value in metrics.items():
        if struct.pack("d", value) != struct.pack("d", recorded[name]):
            _reject(path, name, value, recorded[name], tree["numerics"], inputs.header["numerics"])
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
