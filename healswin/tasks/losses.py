"""Losses."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


def weighted_cross_entropy(
    logits: Float[Tensor, "batch classes *pixels"],
    target: Int64[Tensor, " batch *pixels"],
    weights: Float[Tensor, " classes"] | None = None,
    ignore_index: int = 255,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the labelled pixels, each weighted by its true class.

    sum_i w(t_i) (-log softmax(logits_i)[t_i]) / sum_i w(t_i), over the pixels that are not ignored.
    A batch without any labelled pixel has loss 0, and gradient 0, instead of 0 / 0.

    Args:
        logits: Unnormalised scores.
        target: Class of every pixel, or ignore_index.
        weights: Weight of every class; all 1 by default.
        ignore_index: Class that does not count.
    """
    logits = logits.float()  # a sum over half a million pixels needs more than 8 bits
    weights = None if weights is None else weights.float()
    total = functional.cross_entropy(
        logits, target, weight=weights, ignore_index=ignore_index, reduction="sum"
    )
    labelled = target[target != ignore_index]
    if weights is None:
        return total / max(labelled.numel(), 1)
    # The sum is 0 too where only classes of weight 0 occur.
    return total / weights[labelled].sum().clamp_min(torch.finfo(torch.float32).tiny)
