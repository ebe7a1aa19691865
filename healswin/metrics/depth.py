"""Errors of depth at data-set level.

With p the predicted and t the true distance in metres, and means over all pixels of all samples
that count, by area if areas are given:

| name | figure |
|---|---|
| rmse | sqrt(mean (p - t)^2), metres |
| mae | mean abs(p - t), metres |
| abs_rel | mean abs(p - t) / t |
| sq_rel | mean (p - t)^2 / t, metres |
| rmse_log | sqrt(mean (ln p - ln t)^2) |
| silog | sqrt(mean (ln p - ln t)^2 - (mean (ln p - ln t))^2): rmse_log but for a common factor |
| delta1, delta2, delta3 | share of pixels with max(p / t, t / p) below 1.25, 1.25^2, 1.25^3 |
| rmse_inverse | sqrt(mean (1 / p - 1 / t)^2), 1 / metres |
| pixels | how many pixels were counted, whatever their areas |

These are the definitions of Eigen et al. 2014 (NIPS, arXiv 1406.2283, section 4.2) and of the KITTI
depth benchmark (Uhrig et al. 2017, 3DV, arXiv 1708.06500), whose tables state 100 silog and, in
1 / km, 1000 rmse_inverse. A mean of per-image figures is another number. A prediction of less than
a millimetre counts as one where its logarithm, ratio or inverse is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torchmetrics import Metric

from healswin.metrics.iou import broadcast_areas

# What sky counts as in the published SynWoodScape depth, where 1000 m stands for it.
SKY_DEPTH = 1000.0
# Metres: what a car may touch, what is about it, the street, and what stands far off.
RANGES = ((0.0, 10.0), (10.0, 30.0), (30.0, 80.0), (80.0, math.inf))

_NEAREST = 1e-3
_DELTA = 1.25
# The columns of the state: pixels, their weight, and weighted sums of these.
_SUMS = ("square", "absolute", "relative", "square_relative", "log", "log_square")
_SUMS += ("inverse_square", "delta1", "delta2", "delta3")


class DepthScores(Metric):
    """Errors of depth without sky, over ranges of true distance, and with sky.

    The only state are float64 sums, which are summed over processes.

    Args:
        ranges: Pairs (low, high) in metres; a range has the pixels with low <= t < high, and its
            figures are called "10-30m/rmse", or "80m+/rmse" where high is infinite.
        sky_depth: Metres that true sky counts as in the figures "with_sky/rmse" and so on.

    Raises:
        ValueError: If a range or sky_depth is not what it must be.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sums: Tensor

    def __init__(
        self, ranges: Sequence[tuple[float, float]] = RANGES, sky_depth: float = SKY_DEPTH
    ) -> None:
        super().__init__()
        for low, high in ranges:
            if not 0 <= low < high or math.isinf(low):
                raise ValueError(
                    f"ranges={ranges} has ({low}, {high}); expected metres 0 <= low < high"
                )
        if not 0 < sky_depth < math.inf:
            raise ValueError(f"sky_depth={sky_depth} must be finite metres above 0")
        self.ranges = {range_name(low, high): (low, high) for low, high in ranges}
        if len(self.ranges) < len(ranges):
            raise ValueError(f"ranges={ranges} has a range twice")
        self.sky_depth = sky_depth
        # Rows: without sky, each range, with sky.
        shape = (len(self.ranges) + 2, len(_SUMS) + 2)
        self.add_state("sums", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        prediction: Float[Tensor, "*prediction"],
        target: Float[Tensor, "*target"],
        areas: Num[Tensor, "*areas"] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            prediction: Metres, of any shape. A NaN where the truth is known makes figures NaN.
            target: Metres above 0 of the same shape; +inf is sky, NaN is unknown and counts
                nowhere.
            areas: Of the pixels, of a shape that broadcasts to that of ``target``. All alike by
                default.

        Raises:
            ValueError: If shapes differ, a true depth is not above 0, or an area is negative or
                not finite.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; "
                "both must be metres of one shape"
            )
        if (target <= 0).any():
            raise ValueError(
                f"target holds a depth of {target[target <= 0][0].item()} m; expected metres above "
                "0, +inf for sky, NaN where it is not known"
            )
        known = ~target.isnan()
        weight = None
        if areas is not None:
            weight = broadcast_areas("areas", areas, target.shape)[known]
        truth = target[known].to(torch.float64)
        sky = truth.isposinf()
        terms = depth_terms(
            prediction[known].to(torch.float64), truth.masked_fill(sky, self.sky_depth), weight
        )
        rows = [~sky]
        rows += [(truth >= low) & (truth < high) for low, high in self.ranges.values()]
        for row, counted in enumerate(rows):
            self.sums[row] += terms[:, counted].sum(dim=1)
        self.sums[-1] += terms.sum(dim=1)

    def compute(self) -> dict[str, Tensor]:
        """The figures of everything counted so far.

        Returns:
            float64 scalars under the names that the module lists; then the same of each range,
            "10-30m/rmse", and with sky, "with_sky/rmse". NaN where no pixel was counted.
        """
        prefixes = ["", *(f"{name}/" for name in self.ranges), "with_sky/"]
        return {
            prefix + name: value
            for prefix, row in zip(prefixes, self.sums, strict=True)
            for name, value in depth_figures(row).items()
        }


def range_name(low: float, high: float) -> str:
    """What a range of distances is called: "10-30m", "80m+"."""
    return f"{low:g}m+" if math.isinf(high) else f"{low:g}-{high:g}m"


def depth_terms(
    prediction: Float[Tensor, " pixels"],
    truth: Float[Tensor, " pixels"],
    weight: Float[Tensor, " pixels"] | None,
) -> Float[Tensor, "sums pixels"]:
    """What each pixel adds to each column of the state."""
    error = prediction - truth
    floored = prediction.clamp_min(_NEAREST)
    log = floored.log() - truth.log()
    ratio = torch.maximum(floored / truth, truth / floored)
    terms = [
        error.square(),
        error.abs(),
        error.abs() / truth,
        error.square() / truth,
        log,
        log.square(),
        (1 / floored - 1 / truth).square(),
        *((ratio < _DELTA**k).to(torch.float64) for k in (1, 2, 3)),
    ]
    ones = torch.ones_like(truth)
    if weight is None:
        return torch.stack([ones, ones, *terms])
    return torch.stack([ones, weight, *(weight * term for term in terms)])


def depth_figures(row: Float[Tensor, " sums"]) -> dict[str, Tensor]:
    """The figures of merit of sums of `depth_terms`, by the names that the module lists."""
    mean = dict(zip(_SUMS, row[2:] / row[1], strict=True))  # 0 / 0 is NaN
    variance = mean["log_square"] - mean["log"].square()
    return {
        "rmse": mean["square"].sqrt(),
        "mae": mean["absolute"],
        "abs_rel": mean["relative"],
        "sq_rel": mean["square_relative"],
        "rmse_log": mean["log_square"].sqrt(),
        # Rounding may leave it a little below 0 where all pixels err by one factor.
        "silog": variance.clamp_min(0).sqrt(),
        "delta1": mean["delta1"],
        "delta2": mean["delta2"],
        "delta3": mean["delta3"],
        "rmse_inverse": mean["inverse_square"].sqrt(),
        "pixels": row[0],
    }
