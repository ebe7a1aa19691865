"""What comes out of a network: a map, a class, or the features of its stages."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from timm.layers import trunc_normal_
from torch import Tensor, nn

from healswin.models.arguments import check_count

Head = Literal["dense", "classification", "features"]


class ClassificationHead(nn.Module):
    """A value of every class for a whole map or image, from the mean of its tokens.

    Args:
        dim: Channels of the tokens.
        num_classes: Classes.
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(dim, num_classes)

    def forward(self, x: Float[Tensor, "batch *tokens channels"]) -> Float[Tensor, "batch classes"]:
        """(batch, tokens, C) or (batch, rows, columns, C) -> (batch, num_classes)."""
        return self.classes(x.flatten(1, -2).mean(dim=1))


def stage_numbers(out_indices: Sequence[int] | None, head: str, stages: int) -> tuple[int, ...]:
    """The stages, from fine to coarse, whose features are wanted.

    Raises:
        ValueError: If there is no such stage, one is named twice or out of order, or the head
            returns no features.
    """
    if out_indices is None:
        return tuple(range(stages))
    if head != "features":
        raise ValueError(f"out_indices={out_indices} is for head='features', not for head={head!r}")
    try:
        given = [operator.index(i) for i in out_indices]
    except TypeError:
        given = []
    chosen = [i % stages for i in given if -stages <= i < stages]
    if not given or len(chosen) < len(given) or chosen != sorted(set(chosen)):
        raise ValueError(
            f"out_indices={out_indices} must name some of the {stages} stages from fine to coarse, "
            f"each once: 0 to {stages - 1}, or -{stages} to -1"
        )
    return tuple(chosen)


def with_other_classes(head: nn.Module | None, num_classes: int) -> None:
    """Give a head a fresh last layer, ``classes``, for other classes.

    Raises:
        ValueError: If num_classes is no whole number of at least 1, or there is no classifier.
    """
    check_count("num_classes", num_classes)
    if head is None:
        raise ValueError("head='features' has no classifier that could be reset")
    old = head.classes
    new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    initialise(new)
    head.classes = new.to(old.weight.device, old.weight.dtype)


def initialise(module: nn.Module) -> None:
    """Weights of linear layers as published: truncated normal of 0.02, biases 0."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
