"""From depth to points in space.

Depth is the distance along the ray, so that a pixel's point is its unit ray times its depth: in
camera axes (x right, y down, z forward) from the camera's centre, or turned by the extrinsic
quaternion and moved by the translation into vehicle axes (x forward, y left, z up).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Shaped

from healswin.cameras.base import Camera, pixel_grid, pole_rotation
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid

AXES = ("camera", "vehicle")


class DepthToPoints:
    """Makes point clouds of the depth maps of one camera.

    Args:
        camera: Calibration of the full image.
        grid: The pixels of the maps: of the sphere, or of a resized image. None: the pixels of the
            full image itself.
        pole: What the north pole of a grid of the sphere is, see `healswin.cameras.pole_rotation`.

    Attributes:
        rays: float64 unit vectors in camera axes, (*shape, 3), where shape is (pixels,) for maps of
            a grid and (height, width) for the full image; NaN where the lens has no ray.

    Raises:
        ValueError: If the pole needs a pose that the calibration does not state.
    """

    def __init__(
        self,
        camera: Camera,
        grid: HealpixGrid | EquiangularGrid | ImageGrid | None = None,
        pole: str = "camera",
    ) -> None:
        self.camera = camera
        self.rays: Float64[np.ndarray, "*shape 3"]
        if grid is None:
            self.rays = _image_rays(camera)
        elif isinstance(grid, ImageGrid):
            self.rays = _image_rays(camera.resized(grid.width, grid.height)).reshape(-1, 3)
        else:
            self.rays = grid.vectors() @ pole_rotation(camera, pole).T

    def known(self, depth: Float[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """The pixels that have a point: a finite depth and a ray.

        Args:
            depth: Metres, one for each pixel; +inf sky, NaN unknown.

        Raises:
            ValueError: If the shape does not fit.
        """
        if depth.shape != self.rays.shape[:-1]:
            raise ValueError(
                f"depth has shape {depth.shape}, {self.rays.shape[:-1]} is needed: one value for "
                "each pixel"
            )
        return np.isfinite(depth) & np.isfinite(self.rays[..., 0])

    def __call__(
        self,
        depth: Float[np.ndarray, "*shape"],
        axes: str = "camera",
        chosen: Shaped[np.ndarray, "*shape"] | None = None,
    ) -> Float32[np.ndarray, "points 3"]:
        """The points of all pixels that have one, in the order of the pixels.

        Args:
            depth: Metres, one for each pixel; +inf sky, NaN unknown.
            axes: "camera" or "vehicle".
            chosen: Bool, of the shape of the depth: pixels that may be in the cloud; all by
                default.

        Returns:
            Metres, float32 (points, 3).

        Raises:
            ValueError: If a shape does not fit, the axes are unknown, or those of the vehicle are
                not known because the calibration states no quaternion.
        """
        if axes not in AXES:
            raise ValueError(f"axes={axes!r} must be one of {AXES}")
        known = self.known(depth)
        if chosen is not None:
            if chosen.shape != known.shape or chosen.dtype != bool:
                raise ValueError(
                    f"chosen is {chosen.dtype} {chosen.shape}, bool {known.shape} is needed"
                )
            known &= chosen
        points = self.rays[known] * depth[known, None].astype(np.float64)
        if axes == "vehicle":
            points = points @ self.camera.rotation().T + np.asarray(self.camera.translation)
        return points.astype(np.float32)


def _image_rays(camera: Camera) -> Float64[np.ndarray, "height width 3"]:
    return camera.unproject(pixel_grid(camera.width, camera.height))
