"""Callback that stores what `predict` predicts, and draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from healswin.resample.points import AXES
from healswin.tasks.base import Task
from healswin.tasks.classification_results import ClassificationPredictions
from healswin.tasks.depth_results import DepthPredictions
from healswin.tasks.joint_results import JointPredictions
from healswin.tasks.pages import check_pictures, remove_pictures
from healswin.tasks.segmentation_results import SegmentationPredictions

# What is stored of each kind of task. Each is made from the data module, the task, the samples, the
# folders of predictions and of pictures and their number, and has `file`, `add` and `finish`.
_PREDICTIONS = {
    "segmentation": SegmentationPredictions,
    "classification": ClassificationPredictions,
    "depth": DepthPredictions,
    "joint": JointPredictions,
}


class PredictionWriter(Callback):
    """Writes what is predicted to ``predictions/`` and pictures to ``pictures/`` of the run.

    Args:
        pictures: How many samples are drawn, spread evenly over the split; -1 draws all.
        points: Of depth: "camera" or "vehicle" also writes the point cloud of each drawn sample in
            these axes, ``points/NAME.ply``; "none" does not.

    Raises:
        ValueError: If an argument is not what it must be.
    """

    def __init__(
        self, pictures: int = 8, points: Literal["none", "camera", "vehicle"] = "none"
    ) -> None:
        self.pictures = check_pictures(pictures)
        if points not in ("none", *AXES):
            raise ValueError(f"points={points!r} must be 'none', 'camera' or 'vehicle'")
        self.points = points

    def on_predict_start(self, trainer: Trainer, pl_module: Task) -> None:
        """Make the empty set of predictions.

        Raises:
            ValueError: If nothing is known of how to store what this task predicts, or points are
                wanted of what has none.
        """
        if pl_module.kind not in _PREDICTIONS:
            raise ValueError(
                f"{type(pl_module).__name__} has kind {pl_module.kind!r}; predictions are stored "
                f"of {sorted(_PREDICTIONS)}"
            )
        data = trainer.datamodule
        indices = data.split_indices(data.predict_split)
        # With limit_predict_batches only the first batches of each process are predicted. The first
        # process may have a batch more than the others, which must know the same samples.
        batches = torch.tensor(sum(trainer.num_predict_batches), device=pl_module.device)
        batches = int(trainer.strategy.reduce(batches, reduce_op="max"))
        indices = indices[: batches * trainer.world_size * data.batch_size]
        folder = Path(trainer.default_root_dir)
        self._pictures = folder / "pictures"
        self._predictions = _PREDICTIONS[pl_module.kind](
            data, pl_module, indices, folder / "predictions", self._pictures, self.pictures
        )
        if self.points != "none":
            if not isinstance(self._predictions, DepthPredictions | JointPredictions):
                raise ValueError(f"points={self.points!r}: only a task of depth has points")
            self._predictions.write_points(folder / "points", self.points)
        if trainer.is_global_zero:
            self._predictions.file.create()
            remove_pictures(self._pictures)
            for cloud in (folder / "points").glob("*.ply"):  # of other weights
                cloud.unlink()
        trainer.strategy.barrier("predictions")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: Task,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store a batch."""
        self._predictions.add(outputs)

    def on_predict_end(self, trainer: Trainer, pl_module: Task) -> None:
        """Give the predictions their name."""
        self._predictions.finish(trainer.strategy)
        trainer.strategy.barrier("predictions")
        if trainer.is_global_zero:
            self._predictions.file.finish()
            rank_zero_info(f"predictions: {self._predictions.file.root}")
            for place in sorted(self._pictures.parent.glob(f"{self._pictures.name}*")):
                rank_zero_info(f"pictures: {place}")
            if self.points != "none":
                rank_zero_info(f"points: {self._pictures.with_name('points')}")
