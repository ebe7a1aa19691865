"""Grids of equal steps in colatitude and longitude, on which harmonic transforms are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

SAMPLINGS = ("soft", "driscoll-healy")


@dataclass(frozen=True)
class EquiangularGrid:
    """2b rings of 2b points: colatitude beta_j, longitude alpha_k = pi k / b; j, k = 0..2b - 1.

    Two samplings are in use, half a step apart:

    * "soft": beta_j = pi (2j + 1) / 4b (Kostelec and Rockmore 2008, J. Fourier Anal. Appl. 14,
      145, section 3), which no pole belongs to; the layers of S2CNN assume it;
    * "driscoll-healy": beta_j = pi j / 2b (Driscoll and Healy 1994, Adv. Appl. Math. 15, 202,
      section 3), whose first ring is the north pole.

    Both have a quadrature that is exact for functions of degree below b. Point k of the pixel axis
    is ring k // 2b, longitude k % 2b.

    Args:
        bandwidth: b, the number of degrees.
        sampling: "soft" or "driscoll-healy".

    Raises:
        ValueError: If bandwidth is no whole number of at least 1, or the sampling is not known.
    """

    bandwidth: int
    sampling: str = "soft"

    def __post_init__(self) -> None:
        bandwidth = self.bandwidth
        if isinstance(bandwidth, bool) or bandwidth != int(bandwidth) or bandwidth < 1:
            raise ValueError(f"bandwidth={bandwidth} must be a whole number of at least 1")
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling={self.sampling!r} must be one of {SAMPLINGS}")
        object.__setattr__(self, "bandwidth", int(bandwidth))

    @property
    def shape(self) -> tuple[int, int]:
        """Rings and points of a ring."""
        return (2 * self.bandwidth, 2 * self.bandwidth)

    @property
    def num_pixels(self) -> int:
        """Number of points."""
        return 4 * self.bandwidth**2

    def colatitudes(self) -> Float[np.ndarray, " rings"]:
        """beta_j of every ring, in radians."""
        rings = np.arange(2 * self.bandwidth)
        half = 0.5 if self.sampling == "soft" else 0.0
        return np.pi * (rings + half) / (2 * self.bandwidth)

    def longitudes(self) -> Float[np.ndarray, " points"]:
        """alpha_k of every point of a ring, in radians."""
        return np.pi * np.arange(2 * self.bandwidth) / self.bandwidth

    def vectors(self) -> Float[np.ndarray, "pixels 3"]:
        """Unit vectors of all points."""
        beta, alpha = self.colatitudes()[:, None], self.longitudes()[None]
        x, y = np.sin(beta) * np.cos(alpha), np.sin(beta) * np.sin(alpha)
        return np.stack([x, y, np.broadcast_to(np.cos(beta), x.shape)], axis=-1).reshape(-1, 3)

    def areas(self) -> Float[np.ndarray, " pixels"]:
        """Solid angle around each point, up to half way to its neighbours; they sum to 4 pi."""
        beta = self.colatitudes()
        borders = np.concatenate([[0.0], (beta[:-1] + beta[1:]) / 2, [np.pi]])
        heights = np.cos(borders[:-1]) - np.cos(borders[1:])
        return np.repeat(heights * np.pi / self.bandwidth, 2 * self.bandwidth)

    def lookup(self, vectors: Float[np.ndarray, "*any 3"]) -> Int64[np.ndarray, "*any"]:
        """The point whose cell (see `areas`) holds each direction; -1 where it is not finite.

        Args:
            vectors: Directions of any length above zero.
        """
        vectors = np.asarray(vectors, dtype=np.float64)
        known = np.isfinite(vectors).all(axis=-1) & (vectors != 0).any(axis=-1)
        x, y, z = np.moveaxis(np.where(known[..., None], vectors, 1.0), -1, 0)
        size = 2 * self.bandwidth
        steps = np.arctan2(np.hypot(x, y), z) * size / np.pi
        ring = np.floor(steps if self.sampling == "soft" else steps + 0.5).astype(np.int64)
        point = np.floor(np.arctan2(y, x) * self.bandwidth / np.pi + 0.5).astype(np.int64) % size
        return np.where(known, np.clip(ring, 0, size - 1) * size + point, -1)

    def interpolation(
        self, vectors: Float[np.ndarray, "*any 3"]
    ) -> tuple[Int64[np.ndarray, "*any 4"], Float[np.ndarray, "*any 4"]]:
        """Four points around each direction and their weights, bilinear in both angles.

        The next ring beyond the last before a pole is that ring again, on the opposite meridian.

        Args:
            vectors: Directions of any length above zero.

        Returns:
            Indices of points, and weights that add up to 1; both 0 where a direction is not finite
            or zero.
        """
        vectors = np.asarray(vectors, dtype=np.float64)
        known = np.isfinite(vectors).all(axis=-1) & (vectors != 0).any(axis=-1)
        x, y, z = np.moveaxis(np.where(known[..., None], vectors, 1.0), -1, 0)
        size, b = 2 * self.bandwidth, self.bandwidth
        half = 0.5 if self.sampling == "soft" else 0.0
        steps = np.arctan2(np.hypot(x, y), z) * size / np.pi - half
        ring = np.clip(np.floor(steps), np.floor(-half), size - 1)
        # Across the south pole the two rings are 2 (pi - colatitude of the last) apart.
        down = (steps - ring) / np.where(ring == size - 1, 2 - 2 * half, 1.0)
        longitude = np.arctan2(y, x) * b / np.pi
        point = np.floor(longitude)
        right = longitude - point
        upper, point = ring.astype(np.int64), point.astype(np.int64)
        index, weights = [], []
        for rows, row_weight in ((upper, 1 - down), (upper + 1, down)):
            beyond = (rows < 0) | (rows >= size)
            rows = np.where(rows < 0, 0, np.where(rows >= size, size - 1, rows))
            for points, point_weight in ((point, 1 - right), (point + 1, right)):
                index.append(rows * size + (points + b * beyond) % size)
                weights.append(row_weight * point_weight)
        found = known[..., None]
        return (
            np.where(found, np.stack(index, axis=-1), 0),
            np.where(found, np.stack(weights, axis=-1), 0.0),
        )

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain values, as they stand in the attributes of a prepared set."""
        return {"grid": self.sampling, "bandwidth": self.bandwidth}
