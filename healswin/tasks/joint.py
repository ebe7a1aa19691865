"""Classes and depth of every pixel from one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from healswin.metrics.depth import SKY_DEPTH
from healswin.models import HealSwin
from healswin.tasks.base import NetworkFactory, OptimizerFactory, SchedulerFactory, Task
from healswin.tasks.depth import DepthTask
from healswin.tasks.depth_losses import DepthLoss
from healswin.tasks.segmentation import SegmentationTask


class JointTask(Task):
    """Segmentation and depth together: the last layer has a head for each.

    The first channels of the network's answer are scores of the classes, the last one or two depth
    and the logarithm of its variance: two linear heads on one encoder and decoder. What each head
    is told and how it is scored are those of `SegmentationTask` and `DepthTask`, which this task
    holds as ``segmentation`` and ``depth``; the names of their scores begin with these words.

    The losses are weighted by what the task learns of their noise (Kendall, Gal, Cipolla 2018,
    CVPR, arXiv 1705.07115, equations 7 and 10): with s the logarithms of two variances,

        exp(-s1) L_segmentation + s1 / 2  +  exp(-s2) L_depth / 2 + s2 / 2,

    unless `depth_weight` says L_segmentation + depth_weight L_depth.

    Args:
        grid: The pixels of the maps as plain values; linked from the data.
        in_chans: Channels of the images; linked from the data.
        class_names: One for each class; linked from the data.
        depth_statistics: Of the data set's depth in metres; linked from the data.
        balanced_weights: A weight for each class; linked from the data.
        ignore_index: Label of pixels without truth; linked from the data.
        pole: What the grid's north pole is; linked from the data.
        network: The network's class, with the arguments that the data do not decide.
        class_weights: As `SegmentationTask` takes them.
        loss: Of depth, as `DepthTask` takes it.
        transform: Of depth, likewise.
        log_variance_from: Likewise.
        learn_sky: Likewise.
        sky_depth: Likewise.
        depth_weight: Fixed weight of the depth's loss; learned if None.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a schedule of the learning rate from the optimizer.
        lr_interval: Whether the schedule is stepped every "epoch" or every "step".

    Raises:
        ValueError: If `depth_weight` is not above 0, or either of the tasks refuses its arguments.
    """

    kind = "joint"
    truths = ("semantic", "depth")

    def __init__(
        self,
        grid: dict[str, Any],
        in_chans: int,
        class_names: Sequence[str],
        depth_statistics: dict[str, Any] | None,
        balanced_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
        pole: str = "camera",
        network: NetworkFactory = HealSwin,
        class_weights: Literal["balanced", "none"] | list[float] = "balanced",
        loss: DepthLoss | None = None,
        transform: Literal["none", "log", "inverse"] = "none",
        log_variance_from: int | None = None,
        learn_sky: bool = False,
        sky_depth: float = SKY_DEPTH,
        depth_weight: float | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        lr_scheduler: SchedulerFactory | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        if depth_weight is not None and not depth_weight > 0:
            raise ValueError(f"depth_weight={depth_weight} must be above 0, or null to learn it")
        depth_channels = 1 if log_variance_from is None else 2
        super().__init__(
            network,
            grid,
            pole,
            in_chans,
            len(class_names) + depth_channels,
            optimizer,
            lr_scheduler,
            lr_interval,
        )
        self.keep_plain_hyperparameters()
        self.segmentation = SegmentationTask(
            grid,
            in_chans,
            class_names,
            balanced_weights,
            ignore_index,
            pole,
            _no_network,
            class_weights,
        )
        self.depth = DepthTask(
            grid,
            in_chans,
            depth_statistics,
            pole,
            _no_network,
            loss,
            transform,
            log_variance_from,
            learn_sky,
            sky_depth,
        )
        self.depth_weight = depth_weight
        self.log_variances = None if depth_weight else nn.Parameter(torch.zeros(2))
        self.val_scores = _both(self.segmentation.val_scores, self.depth.val_scores)
        self.test_scores = _both(self.segmentation.test_scores, self.depth.test_scores)

    @classmethod
    def headline(cls, class_names: Sequence[str]) -> str:
        """That of the segmentation; ``--checkpoint.monitor val/depth/rmse`` chooses by depth."""
        return f"segmentation/{SegmentationTask.headline(class_names)}"

    def loss(self, answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The weighted sum of both losses of (batch, classes + 1 or 2, pixels)."""
        classes, depth = self._heads(answer)
        of_classes = self.segmentation.loss(classes, batch)
        of_depth = self.depth.loss(depth, batch)
        if self.log_variances is None:
            return of_classes + self.depth_weight * of_depth
        one, other = (-self.log_variances).exp()
        return one * of_classes + other * of_depth / 2 + self.log_variances.sum() / 2

    def predicted(self, answer: Tensor) -> dict[str, Tensor]:
        """What both heads say.

        Returns:
            ``prediction`` and ``confidence`` of the classes as `SegmentationTask` names them,
            ``depth`` (batch, pixels) in metres and, if a variance is predicted, ``deviation``.
        """
        classes, depth = self._heads(answer)
        said = self.depth.predicted(depth)
        return {
            **self.segmentation.predicted(classes),
            "depth": said.pop("prediction"),
            **said,
        }

    def tally(
        self, scores: MetricCollection, predicted: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> None:
        """Add what `predicted` says of a batch, and its truths, to both metrics."""
        self.segmentation.count(scores["segmentation"], predicted["prediction"], batch["semantic"])
        self.depth.count(scores["depth"], predicted["depth"], batch["depth"])

    def scores(self, metric: MetricCollection) -> dict[str, Tensor]:
        """The scores of both, as "segmentation/miou" and "depth/rmse".

        Raises:
            ValueError: If there was no labelled pixel, or none with a depth.
        """
        return {
            f"{name}/{key}": value
            for name, task in (("segmentation", self.segmentation), ("depth", self.depth))
            for key, value in task.scores(metric[name]).items()
        }

    def _heads(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        classes = len(self.segmentation.class_names)
        wanted = classes + self.depth.out_chans
        if answer.ndim != 3 or answer.shape[1] != wanted:
            raise ValueError(
                f"network: its answer has the shape {tuple(answer.shape)}, (batch, {wanted}, "
                f"pixels) is needed: {classes} classes, then depth"
            )
        return answer[:, :classes], answer[:, classes:]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """State grid, classes and the scale of the depth, which no parameter depends on."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["healswin"].update(self.depth.learned())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the scale of the depth that the weights belong to.

        Raises:
            ValueError: If the weights are of other data, or have learned something else.
        """
        self.depth.take_over(checkpoint)
        super().on_load_checkpoint(checkpoint)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "class_names": self.segmentation.class_names}


def heads_of(outputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What `JointTask` predicted, as `SegmentationTask` and `DepthTask` would have said it."""
    shared = {"sample": outputs["sample"]}
    classes = {name: outputs[name] for name in ("prediction", "confidence") if name in outputs}
    depth = {"prediction": outputs["depth"]}
    if "deviation" in outputs:
        depth["deviation"] = outputs["deviation"]
    return {**shared, **classes}, {**shared, **depth}


def _both(segmentation: nn.Module, depth: nn.Module) -> MetricCollection:
    # Each counts for itself: the collection would look for metrics with equal states.
    return MetricCollection({"segmentation": segmentation, "depth": depth}, compute_groups=False)


def _no_network(*_: object) -> nn.Module:
    """The heads see a part of the one network's answer."""
    return nn.Identity()
