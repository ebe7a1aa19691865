"""Depth estimation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from healswin.data.depth import DepthScale
from healswin.metrics import DepthScores
from healswin.metrics.depth import RANGES, SKY_DEPTH
from healswin.models import HealSwin
from healswin.tasks.base import (
    NetworkFactory,
    OptimizerFactory,
    SchedulerFactory,
    Task,
    pixel_areas,
)
from healswin.tasks.depth_losses import L2, DepthLoss, gaussian_nll


class DepthTask(Task):
    """The distance along the ray of every pixel, and how sure it is if that is asked for.

    The network learns depth transformed and standardised by the data set's statistics
    (`healswin.data.DepthScale`); scores are in metres whatever the transform. Pixels of unknown
    depth (NaN) count nowhere, and sky (+inf) counts in no loss unless it is learned as a finite
    distance. On a grid whose pixels have unlike areas the scores count pixels by area.

    Args:
        network: The network's class, with the arguments that the data do not decide.
        grid: The pixels of the maps as plain values (`healswin.grid.grid_from_dict`); linked from
            the data.
        in_chans: Channels of the images; linked from the data.
        depth_statistics: How depth is distributed, as the attribute of a prepared set says it;
            linked from the data. A checkpoint brings the scale that its weights belong to.
        pole: What the grid's north pole is; linked from the data.
        loss: Of the standardised depth; the mean square by default, as published.
        transform: What is learned of the metres: themselves, their logarithm or their inverse.
        log_variance_from: The network predicts the logarithm of a variance besides, and from this
            epoch on (0 is the first) learns both by the Gaussian negative log-likelihood; before,
            depth alone by `loss`. None: no variance.
        learn_sky: Whether sky is learned, as something at `sky_depth`.
        sky_depth: Metres for which sky stands where it is learned, and in the scores with sky.
        ranges: Ranges of true distance, low to high in metres, that have scores of their own in
            tests.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a schedule of the learning rate from the optimizer.
        lr_interval: Whether the schedule is stepped every "epoch" or every "step".

    Raises:
        ValueError: If the data have no depth, lack the statistics of the transform, or an argument
            is out of range or does not fit the others.
    """

    kind = "depth"
    truths = ("depth",)
    best = "min"

    def __init__(
        self,
        grid: dict[str, Any],
        in_chans: int,
        depth_statistics: dict[str, Any] | None,
        pole: str = "camera",
        network: NetworkFactory = HealSwin,
        loss: DepthLoss | None = None,
        transform: Literal["none", "log", "inverse"] = "none",
        log_variance_from: int | None = None,
        learn_sky: bool = False,
        sky_depth: float = SKY_DEPTH,
        ranges: Sequence[tuple[float, float]] = RANGES,
        optimizer: OptimizerFactory = torch.optim.Adam,
        lr_scheduler: SchedulerFactory | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        if not 0 < sky_depth < math.inf:
            raise ValueError(f"sky_depth={sky_depth} must be finite metres above 0")
        if log_variance_from is not None and log_variance_from < 0:
            raise ValueError(
                f"log_variance_from={log_variance_from} must be an epoch, 0 or later, or null"
            )
        loss = L2() if loss is None else loss
        if loss.transform not in (None, transform):
            raise ValueError(
                f"loss={type(loss).__name__} with transform={transform!r}: it is defined for "
                f"transform={loss.transform!r}"
            )
        scale = DepthScale.from_statistics(
            depth_statistics, transform, sky_depth if learn_sky else None
        )
        channels = 1 if log_variance_from is None else 2
        super().__init__(
            network, grid, pole, in_chans, channels, optimizer, lr_scheduler, lr_interval
        )
        self.keep_plain_hyperparameters()
        self.scale = scale
        self.depth_loss = loss
        self.log_variance_from = log_variance_from
        self.learn_sky = learn_sky
        self.sky_depth = sky_depth
        self.ranges = ranges
        self.out_chans = channels
        # Of the checkpoint in use, so that a test takes the loss that its training had.
        self._epoch_of_weights = 0
        self.register_buffer("areas", pixel_areas(self.grid), persistent=False)
        # Every epoch logs its scores: those of the ranges are for the test.
        self.val_scores = self.new_scores(ranges=())
        self.test_scores = self.new_scores()

    @classmethod
    def headline(cls, class_names: Sequence[str]) -> str:
        """The root of the mean squared error in metres, without sky."""
        return "rmse"

    def new_scores(self, ranges: Sequence[tuple[float, float]] | None = None) -> DepthScores:
        """An empty metric.

        Args:
            ranges: Of distance, instead of those of this task.
        """
        return DepthScores(self.ranges if ranges is None else ranges, self.sky_depth)

    def count(self, scores: DepthScores, prediction: Tensor, target: Tensor) -> None:
        """Add metres of the grid's pixels, (..., pixels) each, to a metric of `new_scores`."""
        scores.update(prediction, target, self.areas)

    def loss(self, answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss of (batch, 1 or 2, pixels), standardised depth and the log of its variance."""
        self._check_answer(answer)
        metres = batch["depth"]
        if self.learn_sky:
            metres = torch.where(metres.isposinf(), self.sky_depth, metres)
        known = metres.isfinite() & (metres > 0)
        answer = answer.float()  # a sum over half a million pixels needs more than 8 bits
        residual = torch.where(known, answer[:, 0] - self.scale.encode(metres), 0)
        epoch = max(self.current_epoch, self._epoch_of_weights)
        if self.log_variance_from is None or epoch < self.log_variance_from:
            return self.depth_loss(residual, known)
        return gaussian_nll(residual, answer[:, 1], known)

    def predicted(self, answer: Tensor) -> dict[str, Tensor]:
        """What the network says in metres.

        Returns:
            ``prediction`` (batch, pixels) float32 and, if the network predicts a variance,
            ``deviation`` (batch, pixels) float32, to first order.
        """
        self._check_answer(answer)
        value = answer[:, 0].float()
        said = {"prediction": self.scale.decode(value)}
        if self.log_variance_from is not None:
            deviation = (answer[:, 1].float() / 2).exp()
            said["deviation"] = self.scale.deviation(value, deviation)
        return said

    def scores(self, metric: DepthScores) -> dict[str, Tensor]:
        """The scores, see `healswin.metrics.DepthScores`.

        Raises:
            ValueError: If no pixel was counted.
        """
        values = metric.compute()
        if values["pixels"] == 0:
            raise ValueError("there is no pixel with a known depth, every one is unknown or sky")
        return values

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """State the grid and the scale of the depth, which no parameter depends on."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["healswin"].update(self.learned())

    def learned(self) -> dict[str, Any]:
        """What the weights have learned of depth, as plain values of a checkpoint."""
        return {
            "depth_scale": self.scale.to_dict(),
            "log_variance": self.log_variance_from is not None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the scale that the weights belong to, whatever the data's statistics say.

        Raises:
            ValueError: If the weights are of another grid, or have learned something else.
        """
        self.take_over(checkpoint)
        super().on_load_checkpoint(checkpoint)

    def take_over(self, checkpoint: dict[str, Any]) -> None:
        """The scale of the depth that a checkpoint's weights have learned.

        Raises:
            ValueError: If they have learned something else.
        """
        trained = checkpoint.get("healswin", {})
        if "depth_scale" not in trained:
            raise ValueError("the checkpoint is of no depth task: it states no scale of depth")
        scale = DepthScale(**trained["depth_scale"])
        if scale.transform != self.scale.transform:
            raise ValueError(
                f"transform={self.scale.transform!r}: the checkpoint was trained with "
                f"{scale.transform!r}"
            )
        if trained["log_variance"] != (self.log_variance_from is not None):
            raise ValueError(
                f"log_variance_from={self.log_variance_from}: the checkpoint predicts "
                f"{'a' if trained['log_variance'] else 'no'} variance"
            )
        self.scale = scale
        self._epoch_of_weights = checkpoint.get("epoch", 0)

    def _check_answer(self, answer: Tensor) -> None:
        """A network that takes no notice of the channels it is asked for would be read wrongly."""
        shape = (self.out_chans, self.grid.num_pixels)
        if answer.shape[1:] != shape:
            raise ValueError(
                f"network: its answer has the shape {tuple(answer.shape)}, (batch, {shape[0]}, "
                f"{shape[1]}) is needed: depth{' and its log variance' if shape[0] == 2 else ''} "
                "of every pixel"
            )
