"""What every camera model offers, what the models share, and the choice of the pole."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

POLES = ("camera", "vehicle", "zenith")

# A camera whose axes are the vehicle's, and which sits at its origin.
NO_TURN = (0.0, 0.0, 0.0, 1.0)
ORIGIN = (0.0, 0.0, 0.0)

# Calibration files round quaternions to a few digits; more than this is another mistake.
_QUATERNION_TOLERANCE = 1e-3

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

    @property
    def wraps_horizontally(self) -> bool:
        """Whether the column left of the first is the last one."""
        ...

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
        """Matrix that turns camera axes into vehicle axes; ValueError where it is not known."""
        ...

    def resized(self, width: int, height: int) -> Self:
        """The calibration of the image after resizing it to width x height."""
        ...

    def cropped(self, left: int, top: int, width: int, height: int) -> Self:
        """The calibration of a part of the image.

        Args:
            left: First column of the part.
            top: First row.
            width: Of the part, in pixels.
            height: Of the part, in pixels.
        """
        ...

    def to_dict(self) -> dict[str, object]:
        """The calibration as plain JSON values; `camera_from_dict` reads it."""
        ...


class CalibratedCamera:
    """Size and pose, which all models treat alike.

    A model is a frozen dataclass with these five fields, in the order of its constructor.
    """

    width: int
    height: int
    name: str
    quaternion: tuple[float, float, float, float] | None
    translation: tuple[float, float, float]

    @property
    def wraps_horizontally(self) -> bool:
        """Whether the column left of the first is the last one: only in panoramas."""
        return False

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray; a model answers it."""
        raise NotImplementedError

    def valid(self, rays: Float[np.ndarray, "*any 3"]) -> Bool[np.ndarray, "*any"]:
        """Whether each ray is inside the lens's field and meets the image."""
        return inside_image(self, self.project(rays))

    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Matrix that turns camera axes into vehicle axes.

        Raises:
            ValueError: If the calibration states none.
        """
        if self.quaternion is None:
            raise ValueError(
                f"it is not known how camera {self.name!r} is turned on its vehicle: the "
                "calibration states no extrinsic quaternion (x, y, z, w)"
            )
        return quaternion_to_matrix(self.quaternion)

    def _check_size_and_pose(self) -> None:
        """Refuse sizes and poses that are none, and turn them into plain ints and floats."""
        for name in ("width", "height"):
            size = getattr(self, name)
            if not np.isfinite(size) or size != int(size) or size < 1:
                raise ValueError(f"{name}={size} must be a positive whole number of pixels")
            object.__setattr__(self, name, int(size))
        if self.quaternion is not None:
            object.__setattr__(self, "quaternion", tuple(float(q) for q in self.quaternion))
            quaternion_to_matrix(self.quaternion)
        object.__setattr__(self, "translation", tuple(float(t) for t in self.translation))
        if len(self.translation) != 3 or not np.isfinite(self.translation).all():
            raise ValueError(
                f"translation={self.translation} must be three finite numbers, in metres"
            )

    def _check_finite(self, *names: str) -> None:
        """Refuse fields that are not finite, and turn them into plain floats."""
        for name in names:
            value = float(getattr(self, name))
            if not np.isfinite(value):
                raise ValueError(f"{name}={value} must be a finite number")
            object.__setattr__(self, name, value)

    def _check_part(self, left: int, top: int, width: int, height: int) -> None:
        """Refuse a part of the image that does not lie inside it."""
        inside = left + width <= self.width and top + height <= self.height
        if left < 0 or top < 0 or min(width, height) < 1 or not inside:
            raise ValueError(
                f"the part {width} x {height} at ({left}, {top}) does not lie inside the image of "
                f"{self.width} x {self.height} pixels"
            )

    def _calibration(self, intrinsic: dict[str, object]) -> dict[str, object]:
        """The calibration as plain JSON values, in the structure of WoodScape's files."""
        return {
            "extrinsic": {
                **({} if self.quaternion is None else {"quaternion": list(self.quaternion)}),
                "translation": list(self.translation),
            },
            "intrinsic": intrinsic,
            "name": self.name,
        }


def pixel_grid(width: int, height: int) -> Float[np.ndarray, "height width 2"]:
    """Coordinates (u, v) of all pixel centres of an image, float64."""
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    return np.stack([u, v], axis=-1)


def inside_image(camera: Camera, pixels: Float[np.ndarray, "*any 2"]) -> Bool[np.ndarray, "*any"]:
    """Whether pixel coordinates lie on the image's area; NaN does not."""
    u, v = pixels[..., 0], pixels[..., 1]
    inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5)
    return np.asarray(inside)


def quaternion_to_matrix(
    quaternion: tuple[float, float, float, float],
) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix of a quaternion (x, y, z, w).

    Raises:
        ValueError: If it is no four numbers or its length is not 1 to three digits. Within them
            it is normalised.
    """
    values = np.asarray(quaternion, dtype=np.float64)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise ValueError(f"quaternion={quaternion} must be four finite numbers (x, y, z, w)")
    length = np.linalg.norm(values)
    if abs(length - 1) > _QUATERNION_TOLERANCE:
        raise ValueError(
            f"quaternion={quaternion} has length {length:.6g}; that of a rotation (x, y, z, w) "
            "has length 1"
        )
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
    With ``pole="zenith"`` the map has the vehicle's axes: its north pole is up and its longitude
    0 is ahead.

    Args:
        camera: For "vehicle" its name must be one of FV, RV, MVL, MVR (WoodScape's names).
        pole: "camera", "vehicle" or "zenith".

    Raises:
        ValueError: For another pole, or a camera whose viewing direction is not known.
    """
    if pole == "camera":
        return np.eye(3)
    if pole == "zenith":
        return camera.rotation().T
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
