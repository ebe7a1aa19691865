"""The unified camera: a unit sphere seen from a point above its centre.

Mei and Rives 2007, "Single view point omnidirectional camera calibration from planar grids" (ICRA,
section II), which is the model MEI of camodocal and of KITTI-360's fisheye cameras: for a unit ray

    (x, y) = (X, Y) / (Z + xi), distorted as in `healswin.cameras.brown_conrady`
    u = fx x' + cx,  v = fy y' + cy            (fx, fy are Mei's gamma1, gamma2)

The way back from the plane, with r^2 = x^2 + y^2: the ray is (eta x, eta y, eta - xi),
eta = (xi + sqrt(1 + (1 - xi^2) r^2)) / (1 + r^2). With xi > 1 two rays meet each point; the one in
front, which this is, lies within acos(-1 / xi) of the optical axis. With xi <= 1 everything with
Z > -xi has an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from healswin.cameras.brown_conrady import FARTHEST, BrownConrady
from healswin.cameras.field import END_SLACK, refuse_turning_back
from healswin.cameras.focal import FocalCamera
from healswin.cameras.pinhole import on_plane


@dataclass(frozen=True, kw_only=True)
class UnifiedCamera(FocalCamera):
    """A fisheye or mirror camera of the unified model, with radial and tangential terms.

    Args:
        xi: Distance of the point of view from the centre of the sphere; at least 0. Size, pose,
            focal lengths and `max_theta` as in `FocalCamera`.
        k1: Radial coefficient of r^2.
        k2: Radial coefficient of r^4.
        p1: Tangential coefficient, OpenCV's p1.
        p2: Tangential coefficient, OpenCV's p2.

    Raises:
        ValueError: If a number is not finite, a size or focal length not positive, xi below 0,
            the quaternion no rotation, or the image radius stops growing inside the image.
    """

    model: ClassVar[str] = "unified"
    coefficient_names: ClassVar[tuple[str, ...]] = ("xi", "k1", "k2", "p1", "p2")

    xi: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.xi < 0:
            raise ValueError(f"xi={self.xi} must be at least 0")
        turn = self.distortion.turn
        if turn is not None:
            x, _, z = self._lift(np.array([turn, 0.0]))
            radius = self.distortion.least_radius(turn)
            refuse_turning_back(float(np.arctan2(x, z)), radius, self._farthest_corner())

    @property
    def _last_z(self) -> float:
        """Height on the unit sphere down to which points have an image of their own."""
        return -1 / self.xi if self.xi > 1 else -self.xi

    @cached_property
    def distortion(self) -> BrownConrady:
        """The distortion of the image plane up to the end of the field."""
        limit = FARTHEST
        if self.xi > 1:
            limit = min(limit, 1 / np.sqrt(self.xi**2 - 1))
        if self.max_theta is not None and np.cos(self.max_theta) > self._last_z:
            limit = min(limit, np.sin(self.max_theta) / (np.cos(self.max_theta) + self.xi))
        return BrownConrady(self.k1, self.k2, self.p1, self.p2, limit=float(limit))

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray of any length above zero; NaN outside the lens's field."""
        rays = np.asarray(rays, dtype=np.float64)
        length = np.linalg.norm(rays, axis=-1, keepdims=True)
        unit = rays / np.where(length > 0, length, np.nan)
        z = unit[..., 2]
        depth = np.where(z >= self._last_z - END_SLACK, z + self.xi, np.nan)
        return self._to_pixels(self.distortion.distort(on_plane(unit, depth)))

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v); NaN outside the lens's field."""
        return self._lift(self.distortion.undistort(self._to_points(pixels)))

    def _lift(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """The unit ray of each undistorted point of the plane."""
        r2 = np.square(points).sum(axis=-1)
        # At the end of the field the root is 0, but for rounding.
        root = np.sqrt(np.maximum(1 + (1 - self.xi**2) * r2, 0.0))
        eta = (self.xi + root) / (1 + r2)
        return np.concatenate([points * eta[..., None], (eta - self.xi)[..., None]], axis=-1)
