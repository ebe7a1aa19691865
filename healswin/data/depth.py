"""Depth as a network learns it: transformed, and of mean 0 and deviation 1.

    value = (t(metres) - mean) / std,    t(d) = d, log(d) or 1 / d

with the mean and the standard deviation of t over the training split. The logarithm makes an error
of so many per cent count alike near and far, the inverse lets the near count most; sky, which is
infinitely far, has an inverse of 0 and no finite value otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor

from healswin.data.transforms import DEPTH_TRANSFORMS


@dataclass(frozen=True)
class DepthScale:
    """From metres to the values that a network learns, and back.

    Args:
        transform: "none", "log" (natural) or "inverse" of the metres.
        mean: Mean of the transformed depth.
        std: Standard deviation of the transformed depth, above 0.
        min: The nearest depth that there is, in metres; None if not known.
        max: The farthest, likewise.

    Raises:
        ValueError: If a value is not what it must be.
    """

    transform: Literal["none", "log", "inverse"]
    mean: float
    std: float
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.transform not in DEPTH_TRANSFORMS:
            raise ValueError(f"transform={self.transform!r} must be one of {DEPTH_TRANSFORMS}")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(
                f"mean={self.mean} and std={self.std} must be finite numbers, std above 0"
            )
        known = [limit for limit in (self.min, self.max) if limit is not None]
        if len(known) == 1 or not all(0 < d < math.inf for d in known) or known != sorted(known):
            raise ValueError(
                f"min={self.min} and max={self.max} must be metres above 0 in this order, or both "
                "None"
            )

    @classmethod
    def from_statistics(
        cls,
        statistics: Mapping[str, Any] | None,
        transform: Literal["none", "log", "inverse"],
        sky_depth: float | None = None,
    ) -> Self:
        """The scale of a prepared set's depth.

        Args:
            statistics: The set's attribute ``depth_statistics``; None of a set without depth.
            transform: "none", "log" or "inverse".
            sky_depth: Metres at which the sky is learned, which may be farther than all else.

        Raises:
            ValueError: If there are no statistics, or not of this transform.
        """
        if transform not in DEPTH_TRANSFORMS:
            raise ValueError(f"transform={transform!r} must be one of {DEPTH_TRANSFORMS}")
        if statistics is None:
            raise ValueError(
                "depth_statistics is missing: the data set holds no depth, so there is nothing to "
                "learn; convert it with --tasks depth"
            )
        if not statistics.get("count"):
            raise ValueError(
                f"depth_statistics={dict(statistics)}: no pixel of the training split has a finite "
                "depth"
            )
        moments = statistics if transform == "none" else statistics.get(transform)
        if moments is None:
            raise ValueError(
                f"transform={transform!r}: depth_statistics hold {sorted(statistics)}, not "
                f"{transform!r}; the set was made by an earlier version: convert it again, or run "
                "`healswin-prep stats` on it"
            )
        # Depth that never changes is centred only.
        std = moments["std"] if moments["std"] > 0 else 1.0
        farthest = max(statistics["max"], sky_depth or 0.0)
        return cls(transform, moments["mean"], std, statistics["min"], farthest)

    def to_dict(self) -> dict[str, Any]:
        """The arguments of the constructor as plain values."""
        return asdict(self)

    def encode(self, metres: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The value that is learned for a depth.

        Args:
            metres: Above 0; +inf is the sky, NaN is unknown.

        Returns:
            Of the same dtype; NaN stays NaN, and sky is +inf unless the transform is "inverse".
        """
        return (self._transformed(metres) - self.mean) / self.std

    def decode(self, value: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The depth in metres that a value stands for.

        A value of a logarithm or an inverse may be far out of what was learned, where it would
        stand for no depth at all or for one without bounds: these are limited to `min` and `max`.
        Where the limits are not known, an inverse that is not above 0 is +inf.

        Returns:
            Metres, of the same dtype; without transform they may be 0 or below.
        """
        transformed = value * self.std + self.mean
        if self.transform == "none":
            return transformed
        if self.transform == "log":
            metres = transformed.exp()
        else:
            metres = torch.where(transformed > 0, 1 / transformed, torch.inf)
            metres = torch.where(transformed.isnan(), transformed, metres)
        return metres if self.min is None else metres.clamp(self.min, self.max)

    def deviation(
        self, value: Float[Tensor, "*any"], deviation: Float[Tensor, "*any"]
    ) -> Float[Tensor, "*any"]:
        """The standard deviation in metres of a value that has one, to first order.

        |d metres / d value| times the deviation: std, metres std or metres^2 std.

        Args:
            value: As `decode` takes it.
            deviation: Of the value, not negative.
        """
        metres = self.decode(value)
        slope = {"none": torch.ones_like(metres), "log": metres, "inverse": metres.square()}
        return slope[self.transform] * self.std * deviation

    def _transformed(self, metres: Tensor) -> Tensor:
        if self.transform == "log":
            return metres.log()
        return 1 / metres if self.transform == "inverse" else metres
