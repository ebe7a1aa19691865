"""Lenses whose image radius is a polynomial of the angle to the optical axis.

    theta = atan2(hypot(x, y), z)
    rho(theta) = k1 theta + k2 theta^2 + ... + kn theta^n
    image point = rho (cos phi, sin phi), phi = atan2(y, x)

The unit of rho is that of the coefficients: pixels for WoodScape, focal lengths for OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from healswin.cameras.field import END_SLACK
from healswin.cameras.increasing import first_fall, solve_increasing


@dataclass(frozen=True)
class AnglePolynomial:
    """rho(theta) on the angles 0 to `end` on which it grows, and its inverse.

    Args:
        coefficients: k1, k2, ..., kn; k1 > 0.
        max_theta: Where the lens's field ends, radians in (0, pi].
    """

    coefficients: tuple[float, ...]
    max_theta: float = np.pi

    @cached_property
    def turn(self) -> float | None:
        """The angle below `max_theta` at which rho stops growing, None if it never does."""
        return first_fall(self._slopes, self.max_theta)

    @property
    def end(self) -> float:
        """The largest angle of the field: `turn` or `max_theta`."""
        return self.max_theta if self.turn is None else self.turn

    def radius(self, theta: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """rho(theta); NaN outside the field."""
        theta = np.asarray(theta, dtype=np.float64)
        inside = (theta >= 0) & (theta <= self.end + END_SLACK)
        return np.where(inside, self._rho(np.minimum(theta, self.end)), np.nan)

    def angle(self, radius: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """The inverse of `radius`; NaN where there is none."""
        radius = np.asarray(radius, dtype=np.float64)
        largest = self._rho(np.float64(self.end))
        inside = (radius >= 0) & (radius <= largest * (1 + END_SLACK))
        target = np.where(inside, np.minimum(radius, largest), 0.0)

        def miss(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._rho(theta) - target, _horner(self._slopes, theta)

        start = np.asarray(np.minimum(target / self.coefficients[0], self.end))
        return np.where(inside, solve_increasing(miss, start, self.end), np.nan)

    def points(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Image point of each ray, of any length above zero; NaN outside the field."""
        rays = np.asarray(rays, dtype=np.float64)
        x, y, z = np.moveaxis(rays, -1, 0)
        off_axis = np.hypot(x, y)
        theta = np.where((off_axis > 0) | (z != 0), np.arctan2(off_axis, z), np.nan)
        rho = self.radius(theta)
        # phi = atan2(0, 0) = 0 on the axis, ahead (where rho is 0) and behind.
        cos_phi = np.divide(x, off_axis, out=np.ones_like(rho), where=off_axis > 0)
        sin_phi = np.divide(y, off_axis, out=np.zeros_like(rho), where=off_axis > 0)
        return np.stack([rho * cos_phi, rho * sin_phi], axis=-1)

    def rays(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray of each image point; NaN outside the field."""
        x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
        rho = np.asarray(np.hypot(x, y))
        theta = self.angle(rho)
        sin_theta = np.sin(theta)
        cos_phi = np.divide(x, rho, out=np.ones_like(rho), where=rho > 0)
        sin_phi = np.divide(y, rho, out=np.zeros_like(rho), where=rho > 0)
        return np.stack([sin_theta * cos_phi, sin_theta * sin_phi, np.cos(theta)], axis=-1)

    @property
    def _slopes(self) -> tuple[float, ...]:
        return tuple((i + 1) * k for i, k in enumerate(self.coefficients))

    def _rho(self, theta: np.ndarray) -> np.ndarray:
        return _horner(self.coefficients, theta) * theta


def _horner(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """c0 + c1 x + c2 x^2 + ..."""
    value = np.zeros_like(x)
    for c in reversed(coefficients):
        value = value * x + c
    return value
