"""Errors of depth in groups of pixels, such as those of a camera or of a ring of the lens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torchmetrics import Metric

from healswin.metrics.depth import depth_figures, depth_terms
from healswin.metrics.iou import broadcast_areas


class GroupedDepth(Metric):
    """The figures of `healswin.metrics.DepthScores` without sky, of every group.

    The only state are float64 sums, which are summed over processes.

    Args:
        groups: Names of the groups.

    Raises:
        ValueError: If there are no groups, or two have one name.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sums: Tensor

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        if not groups or len(set(groups)) < len(groups):
            raise ValueError(f"groups={list(groups)} must be one or more unlike names")
        self.groups = list(groups)
        nothing = torch.zeros(0, dtype=torch.float64)
        sums = len(depth_terms(nothing, nothing, None))
        self.add_state(
            "sums", torch.zeros(len(groups), sums, dtype=torch.float64), dist_reduce_fx="sum"
        )

    def update(
        self,
        prediction: Float[Tensor, " n"],
        target: Float[Tensor, " n"],
        group: Int64[Tensor, " n"] | int,
        areas: Num[Tensor, " n"] | None = None,
    ) -> None:
        """Count pixels.

        Args:
            prediction: Metres of every pixel.
            target: True metres of every pixel; those that are not finite (sky, unknown) count
                nowhere.
            group: Which group each pixel belongs to; one number for all.
            areas: Of the pixels. All alike by default.

        Raises:
            ValueError: If something is no group, or an area is negative or not finite.
        """
        group = torch.as_tensor(group, device=target.device).expand(target.shape)
        if group.numel() and not 0 <= int(group.min()) <= int(group.max()) < len(self.groups):
            raise ValueError(
                f"group holds {int(group.min())} to {int(group.max())}; expected "
                f"0..{len(self.groups) - 1}"
            )
        known = target.isfinite()
        weight = None
        if areas is not None:
            weight = broadcast_areas("areas", areas, target.shape)[known]
        terms = depth_terms(prediction[known].double(), target[known].double(), weight)
        # One group after the other: sums in a fixed order, whatever the device.
        for number in group[known].unique().tolist():
            self.sums[number] += terms[:, group[known] == number].sum(dim=1).to(self.sums)

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """The figures of the groups in which pixels were counted.

        Returns:
            By the group's name, in the order of the groups; the figures are float64 scalars by the
            names that `healswin.metrics.depth` lists.
        """
        return {
            name: depth_figures(row)
            for name, row in zip(self.groups, self.sums, strict=True)
            if row[0] > 0
        }
