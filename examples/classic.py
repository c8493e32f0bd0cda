"""The classic: 1000 rows x 10 features, 800 train and 200 test, a hidden ReLU layer, five epochs; stopped after two.

python examples/classic.py FOLDER
"""

import sys
from dataclasses import replace
from pathlib import Path

import unbroken


def main(folder: Path) -> None:
    """Train two epochs, go on to five, and compare with five in one go."""
    config = unbroken.Config(data=unbroken.DataConfig(source="sample"), runs_folder=str(folder / "stopped"))
    unbroken.train(replace(config, training=replace(config.training, epochs=2)))
    resumed = unbroken.train(config)
    straight = unbroken.train(replace(config, runs_folder=str(folder / "straight")))

    for entry in resumed.history:
        observation = "training continued after loading checkpoint" if entry["epoch"] == 3 else "checkpoint saved here"
        print(f"{entry['epoch']:.0f}  {entry['loss']:.4f}  {entry['test_accuracy']:.4f}  {observation}")
    print("the same bytes" if resumed.digest == straight.digest else "OTHER BYTES")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
