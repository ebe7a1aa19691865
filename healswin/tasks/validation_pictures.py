"""Callback that draws the same validation samples again and again while a model learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from healswin.data import PreparedDataModule
from healswin.tasks.base import Task
from healswin.tasks.classification import ClassificationTask
from healswin.tasks.classification_results import cell
from healswin.tasks.depth import DepthTask
from healswin.tasks.depth_evaluation import depth_picture
from healswin.tasks.evaluation import ImageView
from healswin.tasks.joint import JointTask, heads_of
from healswin.tasks.pages import check_pictures, spread
from healswin.tasks.segmentation import SegmentationTask
from healswin.viz import write_png
from healswin.viz.gallery import gallery
from healswin.viz.layout import Picture, blank

# Draws a sample, by its index in the set, with what was predicted of it and its part of the batch.
Drawing = Callable[[int, dict[str, Tensor], dict[str, Tensor]], Picture]


def _segmentation(data: PreparedDataModule, task: SegmentationTask) -> Drawing:
    view = ImageView(data)
    return lambda index, said, _: view.panel(
        index, said["prediction"].to(torch.uint8).cpu().numpy()
    )


def _depth(data: PreparedDataModule, task: DepthTask) -> Drawing:
    view = ImageView(data)
    return lambda index, said, _: depth_picture(
        view, index, said["prediction"].float().cpu().numpy()
    )


def _classification(data: PreparedDataModule, task: ClassificationTask) -> Drawing:
    def draw(index: int, said: dict[str, Tensor], batch: dict[str, Tensor]) -> Picture:
        drawn = cell(data.prepared, task.label_names, index, said, int(batch["label"]))
        return gallery([drawn], data.prepared.sample_names[index])

    return draw


def _joint(data: PreparedDataModule, task: JointTask) -> Drawing:
    parts = (_segmentation(data, task.segmentation), _depth(data, task.depth))

    def draw(index: int, said: dict[str, Tensor], batch: dict[str, Tensor]) -> Picture:
        both = [part(index, head, batch) for part, head in zip(parts, heads_of(said), strict=True)]
        paper = blank(sum(len(picture) for picture in both), max(p.shape[1] for p in both))
        top = 0
        for picture in both:
            paper[top : top + len(picture), : picture.shape[1]] = picture
            top += len(picture)
        return paper

    return draw


# How what is predicted of each kind of task is drawn: as in its report.
_DRAWINGS: dict[str, Callable[[PreparedDataModule, Any], Drawing]] = {
    "segmentation": _segmentation,
    "classification": _classification,
    "depth": _depth,
    "joint": _joint,
}


class ValidationPictures(Callback):
    """Pictures of fixed validation samples, every few epochs of a training.

    They are drawn as in the test report and go to ``validation/epoch_XXXX/NAME.png`` in the run's
    folder (epochs are counted from 0) and, where there is a TensorBoard logger, to it; with several
    processes only the first one's go there.

    Args:
        every: Draw in every n-th epoch; 0 never draws.
        samples: How many, spread evenly over the validation split; -1 draws all.

    Raises:
        ValueError: If every or samples is out of range.
    """

    def __init__(self, every: int = 0, samples: int = 4) -> None:
        if every < 0:
            raise ValueError(f"every={every} must be a number of epochs, or 0 for no pictures")
        self.every = every
        self.samples = check_pictures(samples)
        self._chosen: set[int] = set()

    def on_validation_start(self, trainer: Trainer, pl_module: Task) -> None:
        """Choose the samples, the same each time, if this epoch is to be drawn.

        Raises:
            ValueError: If nothing is known of how to draw what this task predicts.
        """
        self._chosen = set()
        training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not training or not self.every or (trainer.current_epoch + 1) % self.every:
            return
        if pl_module.kind not in _DRAWINGS:
            raise ValueError(
                f"pictures.every={self.every}: {type(pl_module).__name__} has kind "
                f"{pl_module.kind!r}; known is how to draw {sorted(_DRAWINGS)}"
            )
        data = trainer.datamodule
        # With limit_val_batches only the first batches of each process are reached, and the first
        # process may have a batch more than the others.
        batches = torch.tensor(sum(trainer.num_val_batches), device=pl_module.device)
        batches = int(trainer.strategy.reduce(batches, reduce_op="max"))
        reached = batches * trainer.world_size * data.batch_size
        self._chosen = spread(data.split_indices("val")[:reached], self.samples)
        self._draw = _DRAWINGS[pl_module.kind](data, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Task,
        outputs: dict[str, Tensor],
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw those of the batch that are chosen."""
        folder = (
            Path(trainer.default_root_dir) / "validation" / f"epoch_{trainer.current_epoch:04d}"
        )
        for row, index in enumerate(batch["sample"].tolist()):
            if index not in self._chosen:
                continue
            said = {key: values[row] for key, values in outputs.items()}
            picture = self._draw(index, said, {key: values[row] for key, values in batch.items()})
            name = trainer.datamodule.prepared.sample_names[index]
            write_png(folder / f"{name}.png", picture)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(
                        f"validation/{name}", picture, trainer.current_epoch, dataformats="HWC"
                    )
