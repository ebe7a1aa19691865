"""How unsure a prediction is, and whether it knows when it is wrong.

Several predictions of one thing, by the members of a deep ensemble (Lakshminarayanan et al. 2017,
arXiv 1612.01474) or by one network whose dropout stays on (Gal and Ghahramani 2016, arXiv
1506.02142), differ where the data left a choice. Of classes, with the members' probabilities p_m
and H the entropy, in nats,

    H(mean_m p_m)  =  mean_m H(p_m)  +  mutual information,

the total, the part that every member sees in the data, and the part by which they disagree
(Houlsby et al. 2011, arXiv 1112.5745). Of depth, with Gaussians of mean mu_m and deviation s_m, the
mixture has the variance

    mean_m s_m^2  +  var_m mu_m,

again the part in the data and the part of disagreement (Kendall and Gal 2017, arXiv 1703.04977).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torchmetrics import Metric

# Uncertainties that are smaller than the largest by more powers of ten are all alike.
_DECADES = 6


def entropy(
    probabilities: Float[Tensor, "batch classes *pixels"],
) -> Float[Tensor, batch * pixels]:
    """-sum_c p_c ln p_c in nats, between 0 and the logarithm of the number of classes."""
    return torch.special.entr(probabilities).sum(dim=1)


@dataclass(frozen=True)
class ClassUncertainty:
    """What several predictions of classes say together.

    Attributes:
        probabilities: (batch, classes, ...), their mean.
        entropy: (batch, ...), of the mean; nats.
        expected_entropy: (batch, ...), mean of the members' entropies.
    """

    probabilities: Tensor
    entropy: Tensor
    expected_entropy: Tensor

    @property
    def mutual_information(self) -> Tensor:
        """(batch, ...) by how much the members disagree; 0 where they are one."""
        return (self.entropy - self.expected_entropy).clamp(min=0)


class ClassMixture:
    """Gathers the members' probabilities one after the other, so that none must be kept."""

    def __init__(self) -> None:
        self._members = 0

    def add(self, probabilities: Float[Tensor, "batch classes *pixels"]) -> None:
        """Add one member's probabilities."""
        own = entropy(probabilities)
        if self._members == 0:
            self._sum, self._entropies = probabilities.clone(), own
        else:
            self._sum += probabilities
            self._entropies += own
        self._members += 1

    def result(self) -> ClassUncertainty:
        """What they say together."""
        mean = self._sum / self._members
        return ClassUncertainty(mean, entropy(mean), self._entropies / self._members)


@dataclass(frozen=True)
class DepthUncertainty:
    """What several predictions of depth say together, in the values that the networks learn.

    Attributes:
        mean: (batch, pixels).
        noise: (batch, pixels), the members' mean variance; 0 if they predict none.
        disagreement: (batch, pixels), the variance of their means.
    """

    mean: Tensor
    noise: Tensor
    disagreement: Tensor

    @property
    def deviation(self) -> Tensor:
        """(batch, pixels) standard deviation of the mixture."""
        return (self.noise + self.disagreement).sqrt()


class DepthMixture:
    """Gathers the members' Gaussians one after the other."""

    def __init__(self) -> None:
        self._members = 0

    def add(
        self, mean: Float[Tensor, "batch pixels"], variance: Float[Tensor, "batch pixels"] | None
    ) -> None:
        """Add one member's mean and, if it predicts one, variance."""
        # Welford's recursion: squares of large means would cancel each other.
        self._members += 1
        if self._members == 1:
            self._mean, self._squares = mean.clone(), torch.zeros_like(mean)
            self._noise = torch.zeros_like(mean)
        else:
            step = mean - self._mean
            self._mean += step / self._members
            self._squares += step * (mean - self._mean)
        if variance is not None:
            self._noise += variance

    def result(self) -> DepthUncertainty:
        """What they say together."""
        count = self._members
        return DepthUncertainty(self._mean, self._noise / count, self._squares / count)


class Coverage(Metric):
    """How often the truth lies inside the intervals that a Gaussian prediction states.

    The probability integral transform Phi((truth - mean) / deviation) of truths that the
    prediction describes well is uniform (Gneiting et al. 2007, JRSS B 69, 243). Its histogram gives
    the share of truths inside every central interval; the calibration error is the mean distance
    of that share from the stated one (Kuleshov et al. 2018, arXiv 1807.00263). The state is summed
    over processes.

    Args:
        bins: Of the histogram, an even number.

    Raises:
        ValueError: If bins is odd or below 2.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, bins: int = 100) -> None:
        super().__init__()
        if bins < 2 or bins % 2:
            raise ValueError(f"bins={bins} must be an even number of at least 2")
        self.bins = bins
        self.add_state("counts", torch.zeros(bins, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        mean: Float[Tensor, "*any"],
        deviation: Float[Tensor, "*any"],
        target: Float[Tensor, "*any"],
    ) -> None:
        """Count predictions whose truth is finite and whose deviation is above 0."""
        counted = target.isfinite() & (deviation > 0)
        distance = (target[counted] - mean[counted]) / deviation[counted]
        place = torch.special.ndtr(distance.double())
        index = (place * self.bins).long().clamp(0, self.bins - 1)
        self.counts += torch.bincount(index, minlength=self.bins)

    def compute(self) -> dict[str, Tensor]:
        """The curve.

        Returns:
            ``stated`` and ``covered`` (bins / 2,), shares in (0, 1]; ``error``, the mean of
            |covered - stated|; NaN if nothing was counted.
        """
        half = self.bins // 2
        counts = self.counts.double()
        # The interval that states k / half holds the k bins on each side of the middle.
        pairs = counts[half:] + counts[:half].flip(0)
        covered = pairs.cumsum(0) / counts.sum()
        stated = torch.arange(1, half + 1, device=counts.device, dtype=torch.float64) / half
        return {
            "stated": stated,
            "covered": covered,
            "error": (covered - stated).abs().mean(),
        }


class Sparsification(Metric):
    """What is left of the error when the most unsure predictions are left out.

    An uncertainty that knows where the errors are brings the error down quickly (Ilg et al. 2018,
    arXiv 1802.07095, section 5). The predictions are sorted into bins, so that the state is small
    and is summed over processes; within a bin they count as equally unsure. The bins are fine at
    both ends: half of them divide the logarithm of what is below half of the highest uncertainty,
    the others the logarithm of what is missing to the highest, over six decades each.

    Args:
        highest: The largest uncertainty; larger ones are counted with it.
        bins: Of the uncertainty, an even number.

    Raises:
        ValueError: If highest is not above 0, or bins is odd or below 2.
    """

    full_state_update = False
    counts: Tensor
    errors: Tensor

    def __init__(self, highest: float, bins: int = 1000) -> None:
        super().__init__()
        if not (highest > 0 and math.isfinite(highest)):
            raise ValueError(f"highest={highest} must be a finite number above 0")
        if bins < 2 or bins % 2:
            raise ValueError(f"bins={bins} must be an even number of at least 2")
        self.highest = highest
        self.bins = bins
        for name in ("counts", "errors"):
            self.add_state(name, torch.zeros(bins, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        uncertainty: Float[Tensor, "*any"],
        error: Shaped[Tensor, "*any"],
        weight: Float[Tensor, "*any"] | None = None,
    ) -> None:
        """Count predictions.

        Args:
            uncertainty: Not negative.
            error: Of each prediction: 0 or 1 for classes, a distance for depths.
            weight: What each counts, such as its area; 1 by default.
        """
        share = (uncertainty.double() / self.highest).clamp(0, 1)
        low = share < 0.5
        # 0 at an end, 1 in the middle.
        inwards = 1 + (2 * torch.where(low, share, 1 - share)).clamp_min(1e-99).log10() / _DECADES
        step = (inwards * self.bins / 2).long().clamp(0, self.bins // 2 - 1)
        index = torch.where(low, step, self.bins - 1 - step)
        weight = torch.ones_like(error, dtype=torch.float64) if weight is None else weight.double()
        self.counts += torch.bincount(index.flatten(), weight.flatten(), self.bins)
        self.errors += torch.bincount(
            index.flatten(), (weight * error.double()).flatten(), self.bins
        )

    def compute(self) -> dict[str, Tensor]:
        """The curve, from the surest predictions to all of them.

        Returns:
            ``kept`` (bins,), the share of the predictions that are kept, rising to 1; ``error``
            (bins,), their mean error, NaN where none is kept; ``area``, the integral of the error
            over the kept share, which is below the error of all if the surest err least.
        """
        counts, errors = self.counts.cumsum(0), self.errors.cumsum(0)
        total = counts[-1]
        # Trapezoids between the ends of the bins; the surest bin counts with its own mean error.
        mean = errors / counts
        steps = torch.diff(counts, prepend=counts.new_zeros(1)) / total
        before = torch.cat([mean[:1], mean[:-1]])
        before = torch.where(before.isnan(), mean, before)
        area = torch.where(steps > 0, steps * (before + mean) / 2, 0.0).sum()
        return {"kept": counts / total, "error": mean, "area": area if total > 0 else mean.sum()}
