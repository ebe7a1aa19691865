"""Losses of depth.

All take the residual e = value - truth of the standardised depth (`healswin.data.DepthScale`), 0
where the truth is not known, and the mask of the pixels that count. A batch in which no pixel
counts has loss 0, and gradient 0, instead of 0 / 0.

One's own is a subclass of `DepthLoss`, named in a configuration by its import path.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

# A variance of 1e-6: a pixel that happens to be exact must not outweigh all others.
MIN_LOG_VARIANCE = math.log(1e-6)


class DepthLoss(ABC):
    """How much the residuals of a batch cost.

    Attributes:
        transform: The transform of depth that the loss is defined for; None: any.
    """

    transform: ClassVar[str | None] = None

    @abstractmethod
    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss.

        Args:
            residual: Value minus truth of each pixel, 0 where it does not count.
            known: Which pixels count.
        """


class L2(DepthLoss):
    """The mean of e^2."""

    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss, see `DepthLoss`."""
        return mean_of_known(residual.square(), known)


class L1(DepthLoss):
    """The mean of |e|."""

    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss, see `DepthLoss`."""
        return mean_of_known(residual.abs(), known)


class Huber(DepthLoss):
    """The mean of e^2 / 2 up to |e| = delta, of delta (|e| - delta / 2) beyond (Huber 1964).

    Args:
        delta: Residual from which on the loss grows linearly, above 0.

    Raises:
        ValueError: If delta is not above 0.
    """

    def __init__(self, delta: float = 1.0) -> None:
        if not 0 < delta < math.inf:
            raise ValueError(f"delta={delta} must be a finite number above 0")
        self.delta = delta

    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss, see `DepthLoss`."""
        zero = torch.zeros_like(residual)
        each = functional.huber_loss(residual, zero, reduction="none", delta=self.delta)
        return mean_of_known(each, known)


class BerHu(DepthLoss):
    """The mean of |e| up to |e| = c, of (e^2 + c^2) / (2 c) beyond: Huber reversed.

    c is a share of the largest |e| of the batch (Laina et al. 2016, 3DV, arXiv 1606.00373,
    equation 2); no gradient flows through it.

    Args:
        share: c over the largest |e|, above 0 and at most 1; 0.2 as published.

    Raises:
        ValueError: If share is out of range.
    """

    def __init__(self, share: float = 0.2) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share={share} must be above 0 and at most 1")
        self.share = share

    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss, see `DepthLoss`."""
        size = residual.abs()
        # Above 0, or the gradient of what is not chosen below would be 0 / 0.
        c = self.share * size.detach().amax().clamp_min(1e-12)
        return mean_of_known(torch.where(size <= c, size, (size.square() + c**2) / (2 * c)), known)


class ScaleInvariantLog(DepthLoss):
    """The scale-invariant error of logarithms: mean(e^2) - weight mean(e)^2 of each sample.

    Eigen et al. 2014 (NIPS, arXiv 1406.2283), equation 4. e is the residual of the standardised
    logarithm, so that this is the published loss over std^2. The mean is taken over the samples
    that have a pixel that counts.

    Args:
        weight: What is forgiven of an error that is the same for all pixels: 0 is L2, 1 forgives
            any common factor; 0.5 as published.

    Raises:
        ValueError: If the weight is out of range.
    """

    transform = "log"

    def __init__(self, weight: float = 0.5) -> None:
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight} must be in 0..1")
        self.weight = weight

    def __call__(
        self, residual: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
    ) -> Float[Tensor, ""]:
        """The loss, see `DepthLoss`."""
        count = known.sum(dim=1)
        mean_square = residual.square().sum(dim=1) / count.clamp_min(1)
        mean = residual.sum(dim=1) / count.clamp_min(1)
        each = mean_square - self.weight * mean.square()
        return each.sum() / (count > 0).sum().clamp_min(1)


def gaussian_nll(
    residual: Float[Tensor, "batch pixels"],
    log_variance: Float[Tensor, "batch pixels"],
    known: Bool[Tensor, "batch pixels"],
) -> Float[Tensor, ""]:
    """Negative logarithm of a normal density: the mean of (s + e^2 exp(-s)) / 2.

    Kendall and Gal 2017 (NIPS, arXiv 1703.04977), equations 5 and 8, without the constant. A
    variance below 1e-6 counts as 1e-6.

    Args:
        residual: Value minus truth of each pixel, 0 where it does not count.
        log_variance: s, the logarithm of the variance of the value.
        known: Which pixels count.
    """
    s = log_variance.clamp_min(MIN_LOG_VARIANCE)
    return mean_of_known((s + residual.square() * torch.exp(-s)) / 2, known)


def mean_of_known(
    each: Float[Tensor, "batch pixels"], known: Bool[Tensor, "batch pixels"]
) -> Float[Tensor, ""]:
    """Mean over the pixels that count; 0 if there is none."""
    # Not a product: what does not count may be infinite.
    return torch.where(known, each, 0).sum() / known.sum().clamp_min(1)
