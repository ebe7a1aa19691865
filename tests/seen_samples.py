"""A callback for trainings in processes of their own: it notes which samples each step has seen."""

import json
from pathlib import Path

from lightning.pytorch import Callback


class SeenSamples(Callback):
    """A line ``[epoch, samples]`` for every step in a file for every process."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps([trainer.current_epoch, batch["sample"].tolist()]) + "\n")


def seen(folder):
    """The samples of each epoch of all processes together, sorted, and the number of processes."""
    files = sorted(Path(folder).glob("*.jsonl"))
    epochs = {}
    for file in files:
        for epoch, samples in map(json.loads, file.read_text().splitlines()):
            epochs.setdefault(epoch, []).extend(samples)
    return {epoch: sorted(samples) for epoch, samples in epochs.items()}, len(files)


class NonFiniteIn(Callback):
    """Spoils the weights in one process at a step, so that its next loss is NaN."""

    def __init__(self, rank: int, step: int) -> None:
        self._place = (rank, step)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.global_rank, trainer.global_step) == self._place:
            batch["image"].fill_(float("nan"))
