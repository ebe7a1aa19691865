"""The baseline that sees no image: at every pixel, that pixel's mean training depth.

A camera that is fixed to a vehicle sees the road at about the same distance in every frame. What a
model gains over this prediction is what it has learned from the images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32


@dataclass(frozen=True, eq=False)
class DepthPrior:
    """Each pixel's mean depth: of all constants the one with the least mean squared error.

    Attributes:
        prediction: float32 metres, the shape of one depth map, finite everywhere.
        mean: Mean depth of all pixels together (by area, if areas are given), predicted where a
            pixel never had a finite depth.
    """

    prediction: Float32[np.ndarray, "*any"]
    mean: float

    @classmethod
    def from_depth(
        cls, maps: Iterable[np.ndarray], areas: Float[np.ndarray, "*any"] | None = None
    ) -> DepthPrior:
        """Average the training depth at every pixel; sky and unknown do not count.

        Memory is 16 bytes a pixel; the samples are read one after the other.

        Args:
            maps: Metres, float32 arrays of one shape, (pixels,) on a grid or (height, width) in an
                image; +inf sky, NaN unknown.
            areas: Of the pixels, of the shape of one map: what each counts for ``mean``. All alike
                by default.

        Returns:
            The prior, whose prediction has the shape of one map.

        Raises:
            ValueError: If no depth is finite, or the shapes differ.
        """
        sums: np.ndarray | None = None
        for sample, depth in enumerate(maps):
            if sums is None:
                sums = np.zeros(depth.shape, dtype=np.float64)
                counts = np.zeros(depth.shape, dtype=np.int64)
            elif depth.shape != sums.shape:
                raise ValueError(
                    f"maps[{sample}] has shape {depth.shape}; the ones before have {sums.shape}"
                )
            known = np.isfinite(depth)
            sums[known] += depth[known]
            counts += known
        if sums is None or not counts.any():
            raise ValueError("maps holds no finite depth: there is no mean depth")
        weights = np.ones(sums.shape) if areas is None else areas
        if weights.shape != sums.shape:
            raise ValueError(f"areas has shape {weights.shape}; the maps have {sums.shape}")
        mean = float((weights * sums).sum() / (weights * counts).sum())
        prediction = np.divide(sums, counts, out=np.full_like(sums, mean), where=counts > 0)
        return cls(prediction.astype(np.float32), mean)
