"""What every camera model offers, and the choice of the pole."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

POLES = ("camera", "vehicle")

# Horizontal viewing directions of the surround cameras in vehicle axes (x forward, y left, z up).
VIEWING_DIRECTIONS = {
    "FV": (1.0, 0.0, 0.0),
    "RV": (-1.0, 0.0, 0.0),
    "MVL": (0.0, 1.0, 0.0),
    "MVR": (0.0, -1.0, 0.0),
}


@runtime_checkable
class Camera(Protocol):
    """A calibrated camera: intrinsics, extrinsics and the size of its image.

    Attributes:
        name: Name of the camera on its vehicle, e.g. "FV".
        width: Image width in pixels.
        height: Image height in pixels.
    """

    name: str
    width: int
    height: int

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray in camera axes; NaN where the lens has no image of it."""
        ...

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v); NaN where no ray meets it."""
        ...

    def valid(self, rays: Float[np.ndarray, "*any 3"]) -> Bool[np.ndarray, "*any"]:
        """Whether each ray is inside the lens's field and meets the image."""
        ...

    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Matrix that turns camera axes into vehicle axes."""
        ...

    def resized(self, width: int, height: int) -> Self:
        """The calibration of the image after resizing it to width x height."""
        ...

    def cropped(self, left: int, top: int, width: int, height: int) -> Self:
        """The calibration of the part of the image that starts at pixel (left, top)."""
        ...

    def to_dict(self) -> dict[str, object]:
        """The calibration as plain JSON values; `camera_from_dict` reads it."""
        ...


def pixel_grid(width: int, height: int) -> Float[np.ndarray, "height width 2"]:
    """Coordinates (u, v) of all pixel centres of an image, float64."""
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    return np.stack([u, v], axis=-1)


def quaternion_to_matrix(
    quaternion: tuple[float, float, float, float],
) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix of a quaternion (x, y, z, w); its length does not matter.

    Raises:
        ValueError: If the quaternion is zero or not finite.
    """
    values = np.asarray(quaternion, dtype=np.float64)
    length = np.linalg.norm(values)
    if values.shape != (4,) or not np.isfinite(length) or length < 1e-12:
        raise ValueError(f"quaternion={quaternion} must be four numbers (x, y, z, w), not all 0")
    x, y, z, w = values / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def pole_rotation(camera: Camera, pole: str) -> Float[np.ndarray, "3 3"]:
    """Matrix that turns directions of the map (HEALPix) into camera axes.

    With ``pole="camera"`` the map's north pole is the optical axis and the matrix is the identity.
    With ``pole="vehicle"`` the pole is the camera's horizontal viewing direction on the vehicle:
    with its colatitude theta0 and longitude phi0 in camera axes the matrix is Rz(phi0) Ry(theta0),
    the option of the published HEAL-SWIN conversion (phi0 = -90 degrees where theta0 < 1e-6).

    Args:
        camera: For "vehicle" its name must be one of FV, RV, MVL, MVR (WoodScape's names).
        pole: "camera" or "vehicle".

    Raises:
        ValueError: For another pole, or a camera whose viewing direction is not known.
    """
    if pole == "camera":
        return np.eye(3)
    if pole != "vehicle":
        raise ValueError(f"pole={pole!r} must be one of {POLES}")
    if camera.name not in VIEWING_DIRECTIONS:
        raise ValueError(
            f"pole='vehicle' needs a camera named one of {sorted(VIEWING_DIRECTIONS)}, "
            f"this one is named {camera.name!r}"
        )
    direction = camera.rotation().T @ np.asarray(VIEWING_DIRECTIONS[camera.name])
    theta0 = np.arctan2(np.hypot(direction[0], direction[1]), direction[2])
    phi0 = -np.pi / 2 if theta0 < 1e-6 else np.arctan2(direction[1], direction[0])
    about_z = np.array(
        [[np.cos(phi0), -np.sin(phi0), 0], [np.sin(phi0), np.cos(phi0), 0], [0, 0, 1]]
    )
    about_y = np.array(
        [[np.cos(theta0), 0, np.sin(theta0)], [0, 1, 0], [-np.sin(theta0), 0, np.cos(theta0)]]
    )
    return about_z @ about_y


def inside_image(camera: Camera, pixels: Float[np.ndarray, "*any 2"]) -> Bool[np.ndarray, "*any"]:
    """Whether pixel coordinates lie on the image's area; NaN does not."""
    u, v = pixels[..., 0], pixels[..., 1]
    inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5)
    return np.asarray(inside)
