"""A progress bar per epoch, where a person is watching."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.text import Text

from unbroken.training.progress import Progress, Report


class RowsPerSecond(ProgressColumn):
    """The rate of the epoch so far."""

    def render(self, task: Bar) -> Text:
        """Return the rate, or a dash before it is known."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "- rows/s")


@contextmanager
def progress_bar() -> Generator[Report]:
    """Yield what shows the progress of a training on standard error; nothing is shown when that is no terminal."""
    columns = (
        TextColumn("epoch {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RowsPerSecond(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bars = Bars(*columns, console=console, disable=not console.is_terminal)
    shown: dict[int, TaskID] = {}

    def report(progress: Progress) -> None:
        bars.start()  # only now, since an empty display leaves blank lines
        if progress.epoch not in shown:
            for bar in bars.task_ids:
                bars.remove_task(bar)
            shown.clear()  # the trials of a sweep have the same epochs
            shown[progress.epoch] = bars.add_task(f"{progress.epoch}/{progress.epochs}", total=progress.total_rows)
        bars.update(shown[progress.epoch], completed=progress.rows)

    try:
        yield report
    finally:
        bars.stop()
