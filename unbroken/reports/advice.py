"""What training on would do to a finished run: nothing is advised that is another run, does nothing or makes it worse."""

from unbroken.checkpoints.history import History, best_epoch, stopped_early
from unbroken.config import Config, TrainingConfig
from unbroken.config.training import length_from_epochs

FURTHER_EPOCHS = 5
FEWEST_EPOCHS_PAST_BEST, LEAST_SHARE_PAST_BEST = 2, 0.25
"""The best epoch lies long before the end if so many epochs, and such a share of them all, came after it."""
POLYNOMIAL_EPOCHS = 5
"""The default of PolynomialLR's `total_iters`, after which the learning rate is 0."""


def advise(config: Config, history: History, steps_per_epoch: int) -> str:
    """Return in one line how a finished run can be trained on, or why it cannot.

    Args:
        config: Its settings.
        history: One entry per epoch.
        steps_per_epoch: Optimizer steps.
    """
    training, chosen, done = config.training, config.chosen, len(history)
    best, monitor = best_epoch(history, chosen.monitor), chosen.monitor
    if stopped_early(history, chosen):
        since = f"{monitor} has not become better for {chosen.patience} epochs (best: {f'epoch {best}' if best else 'none'})"
        return f"not by more epochs: {since}; another training.patience is another run, from scratch"
    if length_from_epochs(training):
        return f"not as this run: {training.scheduler} takes its length from training.epochs; more epochs start from scratch"
    last = _last_epoch(training, steps_per_epoch)
    if last is not None and last <= done:
        return (
            f"not as this run: its {training.scheduler} has come to its end; another length of it starts from scratch"
        )
    epochs = chosen.epochs + FURTHER_EPOCHS
    words = f"--training.epochs {epochs if last is None else min(epochs, last)}"
    past = done - (best or done)
    if past >= max(FEWEST_EPOCHS_PAST_BEST, LEAST_SHARE_PAST_BEST * done):
        keep = "which is published" if chosen.publish == "best" else "--checkpoint.publish best publishes that"
        return f"{words}, but {monitor} was best in epoch {best} of {done}: {keep}"
    return words


def _last_epoch(training: TrainingConfig, steps_per_epoch: int) -> int | None:
    """Return the epoch with which a schedule of a length of its own ends; None if it goes on for ever."""
    options = training.scheduler_options
    if training.scheduler == "PolynomialLR":
        return options.get("total_iters", POLYNOMIAL_EPOCHS)
    if training.scheduler != "OneCycleLR":
        return None
    steps = options.get("total_steps") or options["epochs"] * options["steps_per_epoch"]
    return steps // steps_per_epoch
