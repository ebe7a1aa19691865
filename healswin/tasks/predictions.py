"""Callback that stores what `predict` predicts, and draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from healswin.data.predictions import PredictionFile
from healswin.tasks.evaluation import ImageView
from healswin.viz import write_png


class PredictionWriter(Callback):
    """Writes predicted classes to ``predictions/`` and pictures to ``pictures/`` of the run.

    Args:
        pictures: How many samples are drawn, spread evenly over the split; -1 draws all.
    """

    def __init__(self, pictures: int = 8) -> None:
        if pictures < -1:
            raise ValueError(f"pictures={pictures} must be a number of samples, or -1 for all")
        self.pictures = pictures

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the empty set of predictions."""
        data = trainer.datamodule
        indices = data.split_indices(data.predict_split)
        # With limit_predict_batches only the first batches of each process are predicted.
        batches = sum(trainer.num_predict_batches) * trainer.world_size
        indices = indices[: batches * data.batch_size]
        self._folder = Path(trainer.default_root_dir)
        self._drawn = spread(indices, self.pictures)
        self._file = PredictionFile(
            self._folder / "predictions",
            data.prepared,
            indices,
            data.class_names,
            data.class_colours,
        )
        self._view = ImageView(data)
        if trainer.is_global_zero:
            self._file.create()
            remove_pictures(self._folder / "pictures")
        trainer.strategy.barrier("predictions")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: dict[str, torch.Tensor],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store a batch and draw those of its samples that are to be drawn."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        for index, prediction in zip(outputs["sample"].tolist(), labels, strict=True):
            self._file.write(index, prediction)
            if index in self._drawn:
                name = trainer.datamodule.prepared.sample_names[index]
                picture = self._view.panel(index, prediction)
                write_png(self._folder / "pictures" / f"{name}.png", picture)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the predictions their name."""
        trainer.strategy.barrier("predictions")
        if trainer.is_global_zero:
            self._file.finish()
            rank_zero_info(f"predictions: {self._file.root}")
            rank_zero_info(f"pictures: {self._folder / 'pictures'}")


def remove_pictures(folder: Path) -> None:
    """Remove the pictures of an earlier run, which show other weights."""
    for picture in folder.glob("*.png"):
        picture.unlink()


def spread(indices: list[int], count: int) -> set[int]:
    """`count` of the indices, evenly spread; all of them for -1."""
    if count < 0 or count >= len(indices):
        return set(indices)
    positions = np.linspace(0, len(indices) - 1, count).round().astype(int)
    return {indices[position] for position in positions}
