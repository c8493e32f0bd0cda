"""The task in Unbroken."""

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

import unbroken
from benchmarks.kill import task
from benchmarks.kill.task import Job
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

TEST_FRACTION = 0.2


class Notes(TrainHook):
    """Writes down each step."""

    reads_only = True

    def __init__(self, job: Job) -> None:
        self.job = job

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        """Write it down."""
        self.job.note(state.step, loss.item())


def main(job: Job) -> None:
    """Train, and print the digest of the published weights."""
    source = job.folder / "rows.parquet"
    if not source.exists():
        numbers, labels = task.rows(round(task.ROWS / (1 - TEST_FRACTION)))
        columns = {f"number_{index}": column.numpy() for index, column in enumerate(numbers.T)}
        pq.write_table(pa.table(columns | {"label": labels.long().numpy()}), source)
    model = unbroken.train(
        unbroken.Config(
            data=unbroken.DataConfig(source=str(source)),
            split=unbroken.SplitConfig(kind="random", test_fraction=TEST_FRACTION, validation_fraction=0.0),
            model=unbroken.ModelConfig(factory="mlp", options={"hidden": [task.HIDDEN], "dropout": task.DROPOUT}),
            training=unbroken.TrainingConfig(
                epochs=task.EPOCHS, batch_size=task.BATCH_SIZE, learning_rate=task.LEARNING_RATE, seed=task.SEED
            ),
            checkpoint=unbroken.CheckpointConfig(every_steps=job.every_steps, baseline="constant"),
            runs_folder=str(job.folder / "runs"),
        ),
        hooks=[Notes(job)],
    )
    print(model.digest)


if __name__ == "__main__":
    main(Job.of_arguments())
