"""The task as PyTorch's tutorial on general checkpoints has it: a dictionary of state_dicts, by torch.save."""

import torch
from torch.nn import functional

from benchmarks.kill import task
from benchmarks.kill.task import Job


def main(job: Job) -> None:
    """Train, and print the digest of the weights; a tutorial's loop saves at the end of an epoch."""
    torch.manual_seed(task.SEED)
    model, loader, path = task.network(), task.loader(), job.folder / "checkpoint.pt"
    optimizer, first = torch.optim.Adam(model.parameters(), lr=task.LEARNING_RATE), 0
    if path.exists():
        checkpoint = torch.load(path)
        model.load_state_dict(checkpoint["model_state_dict"])
        optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
        first = checkpoint["epoch"]
    for epoch in range(first, task.EPOCHS):
        for step, (numbers, labels) in enumerate(loader, start=epoch * task.STEPS + 1):
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(model(numbers), labels)
            loss.backward()
            optimizer.step()
            job.note(step, loss.item())
        state = {"model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}
        torch.save({"epoch": epoch + 1, **state}, path)
    print(task.digest(model))


if __name__ == "__main__":
    main(Job.of_arguments())
