"""Semantic segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from healswin.grid import EquiangularGrid
from healswin.metrics import SegmentationScores
from healswin.models import HealSwin
from healswin.tasks.base import NetworkFactory, OptimizerFactory, SchedulerFactory, Task
from healswin.tasks.losses import weighted_cross_entropy

VOID = "void"


class SegmentationTask(Task):
    """A class for every pixel: weighted cross-entropy, data-set-level mIoU with and without void.

    Args:
        network: The network's class, with the arguments that the data do not decide.
        grid: The pixels of the maps as plain values (`healswin.grid.grid_from_dict`); linked from
            the data. Where their areas differ the scores count pixels by area.
        in_chans: Channels of the images; linked from the data.
        class_names: One for each class; linked from the data. A class named "void" counts in the
            loss and is left out of ``miou_without_void``.
        balanced_weights: A weight for each class that counts rare ones more; linked from the data.
        class_weights: "balanced" takes the data's weights, "none" counts all classes equally, and
            a list gives one weight for each class.
        ignore_index: Label of pixels without truth; linked from the data.
        pole: What the grid's north pole is; linked from the data.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a learning rate schedule from the optimizer, stepped every epoch.

    Raises:
        ValueError: If there are no classes, or weights and classes differ in number.
    """

    def __init__(
        self,
        grid: dict[str, Any],
        in_chans: int,
        class_names: Sequence[str],
        balanced_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
        pole: str = "camera",
        network: NetworkFactory = HealSwin,
        class_weights: Literal["balanced", "none"] | list[float] = "balanced",
        optimizer: OptimizerFactory = torch.optim.Adam,
        lr_scheduler: SchedulerFactory | None = None,
    ) -> None:
        if not class_names:
            raise ValueError(
                "class_names is empty: the data set holds no classes, so there is nothing to "
                "segment; convert it with --tasks semantic and --classes"
            )
        super().__init__(network, grid, pole, in_chans, len(class_names), optimizer, lr_scheduler)
        self.keep_plain_hyperparameters()
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        self.void_index = self.class_names.index(VOID) if VOID in self.class_names else None
        self.register_buffer(
            "weights",
            _weights(class_weights, balanced_weights, self.class_names),
            persistent=False,
        )
        unlike = isinstance(self.grid, EquiangularGrid)
        self.register_buffer(
            "areas", torch.from_numpy(self.grid.areas()) if unlike else None, persistent=False
        )
        self.val_scores = self.new_scores()
        self.test_scores = self.new_scores()
        # Lightning's own mean over processes is not weighted by how many samples each had.
        self.val_loss = MeanMetric()
        self.test_loss = MeanMetric()

    def new_scores(self, on_grid: bool = True) -> SegmentationScores:
        """An empty metric for the classes of this task.

        Args:
            on_grid: For the grid's pixels, which `count` counts by their area, or for those of an
                image, which all count alike.
        """
        return SegmentationScores(
            len(self.class_names),
            self.class_names,
            self.ignore_index,
            self.void_index,
            weighted=on_grid and self.areas is not None,
        )

    def count(self, scores: SegmentationScores, prediction: Tensor, target: Tensor) -> None:
        """Add pixels of the grid, (..., pixels) each, to a metric of `new_scores`."""
        scores.update(prediction, target, self.areas)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss = self._loss(self(batch["image"]), batch)
        self.log(
            "train/loss",
            loss,
            prog_bar=True,
            on_step=True,
            on_epoch=True,
            batch_size=len(batch["image"]),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Count a batch of the validation split."""
        self._evaluate(batch, self.val_scores, self.val_loss)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Count a batch of the test split and hand the prediction to the callbacks."""
        return self._evaluate(batch, self.test_scores, self.test_loss)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Predict a batch.

        Returns:
            ``sample`` (batch,) int64 as given, ``prediction`` (batch, pixels) int64 classes.
        """
        return {"sample": batch["sample"], "prediction": self(batch["image"]).argmax(dim=1)}

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation split."""
        self._log_scores(self.val_scores, self.val_loss, "val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test split."""
        self._log_scores(self.test_scores, self.test_loss, "test")

    def _loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return weighted_cross_entropy(logits, batch["semantic"], self.weights, self.ignore_index)

    def _evaluate(
        self, batch: dict[str, Tensor], scores: SegmentationScores, mean_loss: MeanMetric
    ) -> dict[str, Tensor]:
        logits = self(batch["image"])
        mean_loss.update(self._loss(logits, batch), weight=len(logits))
        prediction = logits.argmax(dim=1)
        self.count(scores, prediction, batch["semantic"])
        return {"sample": batch["sample"], "prediction": prediction}

    def _log_scores(self, scores: SegmentationScores, loss: MeanMetric, part: str) -> None:
        values = {**with_headline(scores.compute()), "loss": loss.compute()}
        scores.reset()
        loss.reset()
        if values["accuracy"].isnan():
            raise ValueError(
                f"the {part} split has no labelled pixel: every pixel is ignored "
                f"({self.ignore_index})"
            )
        # Scores come in float64, which not every accelerator can reduce.
        logged = {f"{part}/{name}": value.float() for name, value in values.items()}
        self.log_dict(logged, sync_dist=True)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "class_names": self.class_names}


def with_headline(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """The scores with ``miou_without_void`` in any case; without a void class it is the mIoU."""
    return {"miou_without_void": scores["miou"], **scores}


def _weights(
    choice: str | list[float], balanced: Sequence[float] | None, class_names: list[str]
) -> Tensor | None:
    if choice == "none" or (choice == "balanced" and balanced is None):
        return None
    weights = list(balanced) if choice == "balanced" else choice
    if isinstance(weights, str) or len(weights) != len(class_names):
        raise ValueError(
            f"class_weights={weights} must be 'balanced', 'none' or one weight for each of the "
            f"{len(class_names)} classes {class_names}"
        )
    if not all(weight >= 0 for weight in weights):
        raise ValueError(f"class_weights={weights} must not be negative")
    return torch.tensor(weights, dtype=torch.float32)
