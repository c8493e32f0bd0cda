"""The classic job on Metaflow: `python -m benchmarks.metaflow_job run --folder FOLDER`, a process for each of its six steps."""

from pathlib import Path

from metaflow import FlowSpec, Parameter, step

from benchmarks.classic import stages_in


class Classic(FlowSpec):
    """One step a stage."""

    folder = Parameter("folder")

    def _run(self, stage: str) -> None:
        stages_in(Path(str(self.folder)))[stage]()

    @step
    def start(self) -> None:
        """Load data."""
        self._run("load_data")
        self.next(self.preprocess)

    @step
    def preprocess(self) -> None:
        """Scale."""
        self._run("preprocess")
        self.next(self.split)

    @step
    def split(self) -> None:
        """Split."""
        self._run("split")
        self.next(self.train)

    @step
    def train(self) -> None:
        """Train."""
        self._run("train")
        self.next(self.save_checkpoint)

    @step
    def save_checkpoint(self) -> None:
        """Publish."""
        self._run("save_checkpoint")
        self.next(self.end)

    @step
    def end(self) -> None:
        """Load the checkpoint."""
        self._run("load_checkpoint")


if __name__ == "__main__":
    Classic()
