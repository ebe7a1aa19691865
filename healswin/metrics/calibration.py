"""Whether a network is right as often as it says: the expected calibration error.

The confidence of a pixel is the probability of its likeliest class. Pixels are sorted into M
equally wide bins of confidence, ((m - 1) / M, m / M]; with acc(m) and conf(m), the share of right
pixels and the mean confidence of a bin that holds the share w(m) of all pixels,

    ECE = sum_m w(m) |acc(m) - conf(m)|,    MCE = max_m |acc(m) - conf(m)|

(Guo et al. 2017, ICML, arXiv 1706.04599, equations 3 and 5). MulticlassCalibrationError of
torchmetrics keeps every pixel until the end; here only the sums of the bins are kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torchmetrics import Metric

from healswin.metrics.iou import broadcast_areas

# A probability in single precision may exceed 1 by this.
_ROUNDING = 1e-5


class CalibrationError(Metric):
    """Expected and maximal calibration error of the likeliest class.

    The states are sums over the pixels of each bin, float64, which are summed over processes.

    Args:
        num_bins: Number of bins of confidence.

    Raises:
        ValueError: If there is no bin.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    area: Tensor
    confidence: Tensor
    right: Tensor

    def __init__(self, num_bins: int = 15) -> None:
        super().__init__()
        if num_bins < 1:
            raise ValueError(f"num_bins={num_bins} must be positive")
        self.num_bins = num_bins
        for name in ("area", "confidence", "right"):
            zeros = torch.zeros(num_bins, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(
        self,
        confidence: Float[Tensor, "*pixels"],
        right: Bool[Tensor, "*right"],
        areas: Num[Tensor, "*areas"] | None = None,
    ) -> None:
        """Count pixels.

        Args:
            confidence: Probability of the predicted class, in [0, 1].
            right: Whether the predicted class is the true one. Pixels without truth are left out
                by the caller.
            areas: What each pixel counts for, of a shape that broadcasts; 1 by default.

        Raises:
            ValueError: If shapes differ, a confidence is no probability, or an area is negative or
                not finite.
        """
        if confidence.shape != right.shape:
            raise ValueError(
                f"confidence has shape {tuple(confidence.shape)}, right {tuple(right.shape)}; "
                "both must have one"
            )
        confidence, right = confidence.reshape(-1), right.reshape(-1)
        if confidence.numel():
            low, high = float(confidence.min()), float(confidence.max())
            if not (low >= 0 and high <= 1 + _ROUNDING):  # nor is NaN
                raise ValueError(
                    f"confidence holds {low:.6g} to {high:.6g}; expected probabilities of the "
                    "predicted class"
                )
        # The lower border of a bin belongs to the one below it, that of the first to the first.
        bins = (confidence * self.num_bins).ceil().to(torch.int64) - 1
        bins.clamp_(0, self.num_bins - 1)
        if areas is None:
            # Right and wrong pixels of all bins in one go, which is what takes time.
            counts = torch.bincount(2 * bins + right, minlength=2 * self.num_bins).view(-1, 2)
            area, right_area = counts.sum(dim=1), counts[:, 1]
            sums = torch.bincount(bins, weights=confidence.double(), minlength=self.num_bins)
        else:
            weights = broadcast_areas("areas", areas, right.shape)
            area = torch.bincount(bins, weights=weights, minlength=self.num_bins)
            right_area = torch.bincount(bins, weights=weights * right, minlength=self.num_bins)
            sums = torch.bincount(bins, weights=weights * confidence, minlength=self.num_bins)
        self.area += area.to(self.area)
        self.right += right_area.to(self.right)
        self.confidence += sums.to(self.confidence)

    def compute(self) -> dict[str, Tensor]:
        """The errors of everything counted so far, and the bins that they come from.

        Returns:
            float64 scalars: ``ece``, ``mce``, and ``overconfidence``, the mean confidence less the
            accuracy of all pixels; and of every bin (bins,) its ``share`` of all pixels, its mean
            ``confidence`` and its ``accuracy``. NaN where nothing was counted.
        """
        total = self.area.sum()
        share = self.area / total  # 0 / 0 is NaN
        confidence, accuracy = self.confidence / self.area, self.right / self.area
        gap = (confidence - accuracy).abs()
        return {
            "ece": (self.confidence - self.right).abs().sum() / total,
            "mce": gap[self.area > 0].amax() if total > 0 else total * torch.nan,
            "overconfidence": (self.confidence.sum() - self.right.sum()) / total,
            "share": share,
            "confidence": confidence,
            "accuracy": accuracy,
        }
