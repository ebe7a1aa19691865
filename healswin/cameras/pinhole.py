"""A camera that maps straight lines to straight lines, but for its distortion.

    (x, y) = (X / Z, Y / Z), distorted as in `healswin.cameras.brown_conrady`
    u = fx x' + cx,  v = fy y' + cy

This is `cv2.projectPoints` with the coefficients k1, k2, p1, p2, k3 (ROS: plumb_bob).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from healswin.cameras.brown_conrady import FARTHEST, BrownConrady
from healswin.cameras.field import refuse_turning_back
from healswin.cameras.focal import FocalCamera


@dataclass(frozen=True, kw_only=True)
class PinholeCamera(FocalCamera):
    """A pinhole camera with Brown-Conrady distortion.

    Its field ends before 90 degrees, and where the distortion stops being one to one.

    Args:
        k1: Radial coefficient of r^2; size, pose, focal lengths and `max_theta` as in
            `FocalCamera`.
        k2: Radial coefficient of r^4.
        p1: Tangential coefficient, OpenCV's p1.
        p2: Tangential coefficient, OpenCV's p2.
        k3: Radial coefficient of r^6.

    Raises:
        ValueError: If a number is not finite, a size or focal length not positive, the quaternion
            no rotation, or the image radius stops growing inside the image.
    """

    model: ClassVar[str] = "pinhole"
    coefficient_names: ClassVar[tuple[str, ...]] = ("k1", "k2", "p1", "p2", "k3")

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        turn = self.distortion.turn
        if turn is not None:
            radius = self.distortion.least_radius(turn)
            refuse_turning_back(float(np.arctan(turn)), radius, self._farthest_corner())

    @cached_property
    def distortion(self) -> BrownConrady:
        """The distortion of the image plane up to the end of the field."""
        widest = self.max_theta is None or self.max_theta >= np.arctan(FARTHEST)
        limit = FARTHEST if widest else float(np.tan(self.max_theta))
        return BrownConrady(self.k1, self.k2, self.p1, self.p2, self.k3, limit)

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray of any length above zero; NaN outside the lens's field."""
        rays = np.asarray(rays, dtype=np.float64)
        return self._to_pixels(self.distortion.distort(on_plane(rays, rays[..., 2])))

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v); NaN outside the lens's field."""
        points = self.distortion.undistort(self._to_points(pixels))
        rays = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def on_plane(
    rays: Float[np.ndarray, "*any 3"], depth: Float[np.ndarray, "*any"]
) -> Float[np.ndarray, "*any 2"]:
    """The point x / depth, y / depth; NaN where the depth is not positive or next to nothing."""
    off_axis = np.hypot(rays[..., 0], rays[..., 1])
    ahead = (depth > 0) & (off_axis <= FARTHEST * depth)
    return rays[..., :2] / np.where(ahead, depth, np.nan)[..., None]
