"""Semantic segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from healswin.metrics import SegmentationScores
from healswin.models import HealSwin
from healswin.tasks.base import (
    NetworkFactory,
    OptimizerFactory,
    SchedulerFactory,
    Task,
    pixel_areas,
)
from healswin.tasks.losses import weighted_cross_entropy

VOID = "void"
BACKGROUND = "background"


class SegmentationTask(Task):
    """A class for every pixel: weighted cross-entropy, data-set-level mIoU and accuracy.

    On a grid whose pixels have unlike areas the scores count pixels by area; beside them stand
    those that count every pixel once, ``unweighted/<name>``, as they are published.

    Args:
        network: The network's class, with the arguments that the data do not decide.
        grid: The pixels of the maps as plain values (`healswin.grid.grid_from_dict`); linked from
            the data.
        in_chans: Channels of the images; linked from the data.
        class_names: One for each class; linked from the data. A class named "void" counts in the
            loss and is left out of ``miou_without_void``; one named "background" is left out of
            ``miou_without_background`` and ``accuracy_without_background``.
        balanced_weights: A weight for each class that counts rare ones more; linked from the data.
        class_weights: "balanced" takes the data's weights, "none" counts all classes equally, and
            a list gives one weight for each class.
        ignore_index: Label of pixels without truth; linked from the data.
        pole: What the grid's north pole is; linked from the data.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a schedule of the learning rate from the optimizer.
        lr_interval: Whether the schedule is stepped every "epoch" or every "step".

    Raises:
        ValueError: If there are no classes, or weights and classes differ in number.
    """

    kind = "segmentation"
    truths = ("semantic",)

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
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        if not class_names:
            raise ValueError(
                "class_names is empty: the data set holds no classes, so there is nothing to "
                "segment; convert it with --tasks semantic and --classes"
            )
        super().__init__(
            network, grid, pole, in_chans, len(class_names), optimizer, lr_scheduler, lr_interval
        )
        self.keep_plain_hyperparameters()
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        self.void_index = _index_of(VOID, self.class_names)
        self.background_index = _index_of(BACKGROUND, self.class_names)
        self.register_buffer(
            "weights",
            _weights(class_weights, balanced_weights, self.class_names),
            persistent=False,
        )
        self.register_buffer("areas", pixel_areas(self.grid), persistent=False)
        self.val_scores = self.new_scores()
        self.test_scores = self.new_scores()

    @classmethod
    def headline(cls, class_names: Sequence[str]) -> str:
        """The mean IoU without the class that most pixels have and nobody looks for."""
        if BACKGROUND in class_names and VOID not in class_names:
            return "miou_without_background"
        return "miou_without_void"

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
            background_index=self.background_index,
        )

    def count(self, scores: SegmentationScores, prediction: Tensor, target: Tensor) -> None:
        """Add pixels of the grid, (..., pixels) each, to a metric of `new_scores`."""
        scores.update(prediction, target, self.areas)

    def loss(self, answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Weighted cross-entropy of (batch, classes, pixels) logits."""
        self._check_head(answer)
        return weighted_cross_entropy(answer, batch["semantic"], self.weights, self.ignore_index)

    def predicted(self, answer: Tensor) -> dict[str, Tensor]:
        """What (batch, classes, pixels) logits say.

        Returns:
            ``prediction`` (batch, pixels) int64, the likeliest class, and ``confidence``
            (batch, pixels) float32, its probability.
        """
        self._check_head(answer)
        prediction = answer.argmax(dim=1)
        logits = answer.float()
        highest = logits.gather(1, prediction[:, None]).squeeze(1)
        return {
            "prediction": prediction,
            "confidence": (highest - logits.logsumexp(dim=1)).exp().clamp(max=1.0),
        }

    def scores(self, metric: SegmentationScores) -> dict[str, Tensor]:
        """The scores with their headline.

        Raises:
            ValueError: If no pixel was counted.
        """
        values = with_headline(metric.compute())
        if values["accuracy"].isnan():
            raise ValueError(
                f"there is no labelled pixel, every pixel is ignored ({self.ignore_index})"
            )
        return values

    def _check_head(self, answer: Tensor) -> None:
        """Refuse another number of outputs than there are classes."""
        if answer.shape[1] != len(self.class_names):
            raise ValueError(
                f"the network's head has {answer.shape[1]} outputs, class_names has "
                f"{len(self.class_names)}: {self.class_names}"
            )

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "class_names": self.class_names}


def with_headline(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """The scores with ``miou_without_void`` in any case; without a void class it is the mIoU."""
    return {"miou_without_void": scores["miou"], **scores}


def _index_of(name: str, class_names: list[str]) -> int | None:
    return class_names.index(name) if name in class_names else None


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
