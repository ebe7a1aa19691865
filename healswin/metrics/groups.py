"""Scores of groups of pixels: one confusion matrix for each camera, or each ring of the lens.

A fisheye lens shows the border of its field small and distorted. Scores by the angle from the
optical axis say how much a network loses there, and scores by camera which view is hardest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torchmetrics import Metric

from healswin.metrics.iou import broadcast_areas


def grouped_confusion(
    prediction: Num[Tensor, " n"],
    target: Num[Tensor, " n"],
    num_classes: int,
    group: Int64[Tensor, " n"] | None = None,
    num_groups: int = 1,
    areas: Num[Tensor, "#n"] | None = None,
) -> Num[Tensor, "groups classes classes"]:
    """A confusion matrix of each group of pixels, truth in rows and prediction in columns.

    Args:
        prediction: Predicted class of every pixel, an integer type.
        target: True class of every pixel, an integer type. None is ignored: who ignores a class
            leaves its pixels out.
        num_classes: Classes are 0..num_classes-1.
        group: Which group each pixel belongs to; by default all belong to the first.
        num_groups: Groups are 0..num_groups-1.
        areas: What each pixel counts for; 1 by default.

    Returns:
        (groups, classes, classes) int64 counts; float64 sums of areas if there are any.

    Raises:
        ValueError: If something is no class or no group, or an area is negative or not finite.
    """
    for name, ids in (("prediction", prediction), ("target", target)):
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < num_classes:
            wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            raise ValueError(f"{name} holds class {wrong}; expected 0..{num_classes - 1}")
    cells = target.to(torch.int64) * num_classes + prediction
    if group is not None:
        if group.numel() and not 0 <= int(group.min()) <= int(group.max()) < num_groups:
            raise ValueError(
                f"group holds {int(group.min())} to {int(group.max())}; expected "
                f"0..{num_groups - 1}"
            )
        cells += group * num_classes**2
    size = num_groups * num_classes**2
    weights = None if areas is None else broadcast_areas("areas", areas, target.shape)
    sums = torch.bincount(cells, weights=weights, minlength=size)
    return sums.view(num_groups, num_classes, num_classes)


def angle_groups(angle: Float[Tensor, " n"], num_groups: int) -> Int64[Tensor, " n"]:
    """Which of equally wide rings around the optical axis each pixel lies in.

    Args:
        angle: Radians from the axis, in [0, pi].
        num_groups: Number of rings from the axis to the opposite direction, each pi / num_groups
            wide; its inner border belongs to a ring.
    """
    return (angle * (num_groups / math.pi)).to(torch.int64).clamp(0, num_groups - 1)


class GroupedConfusion(Metric):
    """The confusion matrix of every group; `SegmentationScores.scores_of` makes scores of it.

    The matrices are the only state and are summed over processes.

    Args:
        groups: Names of the groups.
        num_classes: Number of classes.
        weighted: Whether pixels count by area: float64 sums instead of int64 counts.

    Raises:
        ValueError: If there are no classes, no groups, or two groups have one name.
    """

    is_differentiable = False
    full_state_update = False

    confusion: Tensor

    def __init__(self, groups: Sequence[str], num_classes: int, weighted: bool = False) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes={num_classes} must be positive")
        if not groups or len(set(groups)) < len(groups):
            raise ValueError(f"groups={list(groups)} must be one or more unlike names")
        self.groups = list(groups)
        shape = (len(groups), num_classes, num_classes)
        dtype = torch.float64 if weighted else torch.int64
        self.add_state("confusion", torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def update(self, confusion: Num[Tensor, "groups classes classes"]) -> None:
        """Add the matrices of some pixels, see `grouped_confusion`.

        Args:
            confusion: One matrix for each group, on any device.

        Raises:
            ValueError: If groups or classes differ in number.
        """
        if confusion.shape != self.confusion.shape:
            raise ValueError(
                f"confusion has shape {tuple(confusion.shape)}; expected "
                f"{tuple(self.confusion.shape)}: groups, classes, classes"
            )
        self.confusion += confusion.to(self.confusion)

    def compute(self) -> dict[str, Num[Tensor, "classes classes"]]:
        """The matrices of the groups in which pixels were counted.

        Returns:
            By the group's name, in the order of the groups.
        """
        counted = self.confusion.sum(dim=(1, 2)) > 0
        return {
            name: matrix
            for name, matrix, some in zip(self.groups, self.confusion, counted, strict=True)
            if some
        }
