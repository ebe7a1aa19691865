"""Radial and tangential distortion of the points of an image plane.

Brown 1966, "Decentering distortion of lenses" (Photogrammetric Engineering 32), in OpenCV's
notation (calib3d, "Detailed description"): with r^2 = x^2 + y^2,

    f = 1 + k1 r^2 + k2 r^4 + k3 r^6
    x' = x f + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y f + p1 (r^2 + 2 y^2) + 2 p2 x y

In vectors, with q = (p2, p1): x' = x f + q r^2 + 2 x (q . x). Two facts follow.

**Where it is one to one.** The Jacobian is symmetric, J = f I + 2 f' x x^T + 2 (q . x) I +
2 (q x^T + x q^T) with f' = df/d(r^2). Its first two terms have the eigenvalues f and g = d(r f)/dr,
the others have none below -6 |q| r (at x opposite to q), so that J is positive definite while
min(f, g) > 6 |q| r. On a disc around 0 where that holds the distortion is the gradient of a
strictly convex function and therefore one to one. The field ends with the largest such disc;
where |q| is 0 that is exactly where the image radius r f stops growing.

**The inverse.** Given x', put s = q . x. Multiplying with q gives s (f + 2 s) = q . x' - |q|^2 r^2,
of which the larger root is the one for which f + 2 s, a diagonal entry of J, is positive:

    h = f + 2 s = (f + sqrt(f^2 + 8 (q . x' - |q|^2 r^2))) / 2
    x = (x' - q r^2) / h

So x depends on x' and r alone, and r is the zero of r h - |x' - q r^2|, a function of one variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from healswin.cameras.field import END_SLACK
from healswin.cameras.increasing import first_fall, solve_increasing

# Points farther than this many focal lengths from the centre belong to directions within 1e-8
# radians of the plane itself; no image of them is ever used.
FARTHEST = 1e8
# The inverse is checked by distorting it again, to this share of a focal
# length or of the distance.
_RESOLVED = 1e-11


@dataclass(frozen=True)
class BrownConrady:
    """The distortion on the disc on which it is one to one, and its inverse.

    Args:
        k1: Radial coefficient of r^2.
        k2: Radial coefficient of r^4.
        p1: Tangential coefficient, OpenCV's p1.
        p2: Tangential coefficient, OpenCV's p2.
        k3: Radial coefficient of r^6.
        limit: Radius at which the lens's field ends.
    """

    k1: float
    k2: float
    p1: float
    p2: float
    k3: float = 0.0
    limit: float = FARTHEST

    @cached_property
    def turn(self) -> float | None:
        """The radius below `limit` at which the distortion stops being one to one, or None."""
        along = (1.0, -6 * self._p, 3 * self.k1, 0.0, 5 * self.k2, 0.0, 7 * self.k3)
        across = (1.0, -6 * self._p, self.k1, 0.0, self.k2, 0.0, self.k3)
        falls = (first_fall(along, self.limit), first_fall(across, self.limit))
        return min((fall for fall in falls if fall is not None), default=None)

    @property
    def end(self) -> float:
        """Radius of the disc: `turn` or `limit`."""
        return self.limit if self.turn is None else self.turn

    def least_radius(self, radius: float) -> float:
        """The least distance from 0 to which points at this radius are moved.

        The disc up to this distance lies inside the image of the disc up to `radius`.
        """
        return float(radius * self._radial(np.float64(radius))[0] - 3 * self._p * radius**2)

    def distort(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 2"]:
        """Where points of the undistorted plane are seen; NaN outside the disc."""
        x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
        r = np.hypot(x, y)
        inside = r <= self.end * (1 + END_SLACK)
        x, y, r = (np.where(inside, value, np.nan) for value in (x, y, r))
        scale = self._radial(r)[0] + 2 * (self.p2 * x + self.p1 * y)
        return np.stack([x * scale + self.p2 * r**2, y * scale + self.p1 * r**2], axis=-1)

    def undistort(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 2"]:
        """The inverse of `distort`; NaN for points that it does not reach."""
        points = np.asarray(points, dtype=np.float64)
        distance = np.linalg.norm(points, axis=-1)
        # A quarter, so that what is made here is within the slack of `distort`.
        slack = END_SLACK / 4 * distance
        reached = self._excess(np.float64(self.end), points)[0] >= -slack
        target = np.where(reached[..., None], points, 0.0)

        def excess(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._excess(r, target)

        start = np.asarray(np.minimum(np.where(reached, distance, 0.0), self.end))
        r = solve_increasing(excess, start, self.end)
        rest, h, _ = self._parts(r, target)
        undistorted = rest / h[..., None]
        miss = np.linalg.norm(self.distort(undistorted) - target, axis=-1)
        found = reached & (miss <= _RESOLVED * (1 + distance))
        return np.where(found[..., None], undistorted, np.nan)

    @property
    def _p(self) -> float:
        return float(np.hypot(self.p1, self.p2))

    def _radial(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The radial factor f and df/dr."""
        r2 = r * r
        factor = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return factor, r * (2 * self.k1 + r2 * (4 * self.k2 + r2 * 6 * self.k3))

    def _parts(
        self, r: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The terms of the inverse at radius r: x' - q r^2, h and dh/dr."""
        q = np.array([self.p2, self.p1])
        factor, slope = self._radial(r)
        # Below 0 there is no x of this radius; the end of `undistort` finds out.
        root = np.sqrt(np.maximum(factor**2 + 8 * (target @ q - self._p**2 * r**2), 0.0))
        root_slope = np.divide(
            factor * slope - 8 * self._p**2 * r, root, out=np.zeros_like(root), where=root > 0
        )
        rest = target - q * np.square(r)[..., None]
        return rest, (factor + root) / 2, (slope + root_slope) / 2

    def _excess(self, r: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The function of which r is the zero, r h - |x' - q r^2|, and its slope."""
        rest, h, h_slope = self._parts(r, target)
        length = np.linalg.norm(rest, axis=-1)
        along = np.divide(
            rest @ np.array([self.p2, self.p1]),
            length,
            out=np.zeros_like(length),
            where=length > 0,
        )
        return r * h - length, h + r * h_slope + 2 * r * along
