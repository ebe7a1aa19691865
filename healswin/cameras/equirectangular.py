"""Panoramas: columns go with longitude, rows with the angle from up.

In camera axes (x right, y down, z forward), for a camera that stands upright:

    longitude = atan2(x, z)                 to the right of forward
    latitude = atan2(y, hypot(x, z))        below the horizon
    u = cx + columns_per_turn longitude / (2 pi)
    v = cy + rows_per_turn latitude / (2 pi)

A picture of the whole sphere is columns_per_turn wide and rows_per_turn / 2 high. Its centre is
forward, its upper edge is up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from healswin.cameras.base import ORIGIN, CalibratedCamera
from healswin.cameras.entries import number, optional_number, read_pose, section
from healswin.cameras.field import END_SLACK

# Turns (right, down, forward) into a vehicle's (forward, left, up).
UPRIGHT = (-0.5, 0.5, -0.5, 0.5)
# Resizing scales sizes and pixels per turn alike but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class EquirectangularCamera(CalibratedCamera):
    """A panorama, or a part of one.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        columns_per_turn: Pixels for 360 degrees of longitude; None: `width`, a full turn.
        rows_per_turn: Pixels for 360 degrees of latitude; None: twice `height`, from up to down.
        cx: Pixel u of forward; None: the centre.
        cy: Pixel v of the horizon; None: the centre.
        name: Name of the camera on its vehicle.
        quaternion: (x, y, z, w), turns camera axes into vehicle axes; by default the camera is
            upright and looks ahead.
        translation: Position of the camera in vehicle axes, metres.

    Raises:
        ValueError: If a size is not positive, a number is not finite, the quaternion is no
            rotation, or the image is wider than a turn or higher than from up to down.
    """

    width: int
    height: int
    columns_per_turn: float | None = None
    rows_per_turn: float | None = None
    cx: float | None = None
    cy: float | None = None
    name: str = ""
    quaternion: tuple[float, float, float, float] = UPRIGHT
    translation: tuple[float, float, float] = ORIGIN

    def __post_init__(self) -> None:
        self._check_size_and_pose()
        whole = {
            "columns_per_turn": self.width,
            "rows_per_turn": 2 * self.height,
            "cx": (self.width - 1) / 2,
            "cy": (self.height - 1) / 2,
        }
        for name, value in whole.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._check_finite(*whole)
        for side, turn, share in (
            ("width", "columns_per_turn", 1.0),
            ("height", "rows_per_turn", 0.5),
        ):
            most = getattr(self, turn) * share
            if getattr(self, side) > most * (1 + _ROUNDING):
                raise ValueError(
                    f"{side}={getattr(self, side)} must be at most {most:g}: {turn}="
                    f"{getattr(self, turn):g}, and no direction is in the image twice"
                )

    @property
    def wraps_horizontally(self) -> bool:
        """Whether the image is a full turn, so that its first and last columns are neighbours."""
        return bool(self.width >= self.columns_per_turn * (1 - _ROUNDING))

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray of any length above zero.

        Of the pixels u + any number of turns it is the one nearest to the image's middle.
        """
        rays = np.asarray(rays, dtype=np.float64)
        rays = np.where((rays != 0).any(axis=-1, keepdims=True), rays, np.nan)
        x, y, z = np.moveaxis(rays, -1, 0)
        turns = np.arctan2(x, z) / (2 * np.pi)
        # Half a turn to each side of the middle column, wherever forward is.
        middle = ((self.width - 1) / 2 - self.cx) / self.columns_per_turn
        turns = turns - np.rint(turns - middle)
        u = self.cx + self.columns_per_turn * turns
        v = self.cy + self.rows_per_turn * np.arctan2(y, np.hypot(x, z)) / (2 * np.pi)
        return np.stack([u, v], axis=-1)

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v); NaN above up and below down."""
        u, v = np.moveaxis(np.asarray(pixels, dtype=np.float64), -1, 0)
        longitude = 2 * np.pi * (u - self.cx) / self.columns_per_turn
        latitude = 2 * np.pi * (v - self.cy) / self.rows_per_turn
        beyond = np.abs(latitude) > np.pi / 2 * (1 + END_SLACK)
        latitude = np.where(beyond, np.nan, np.clip(latitude, -np.pi / 2, np.pi / 2))
        level = np.cos(latitude)
        return np.stack(
            [level * np.sin(longitude), np.sin(latitude), level * np.cos(longitude)], axis=-1
        )

    def resized(self, width: int, height: int) -> EquirectangularCamera:
        """The calibration of the image after resizing it to width x height pixels.

        Raises:
            ValueError: If a side is not a positive whole number.
        """
        along_u, along_v = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            columns_per_turn=self.columns_per_turn * along_u,
            rows_per_turn=self.rows_per_turn * along_v,
            cx=(self.cx + 0.5) * along_u - 0.5,
            cy=(self.cy + 0.5) * along_v - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> EquirectangularCamera:
        """The calibration of a part of the image.

        Args:
            left: First column of the part.
            top: First row.
            width: Of the part, in pixels.
            height: Of the part, in pixels.

        Raises:
            ValueError: If the part does not lie inside the image.
        """
        self._check_part(left, top, width, height)
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    def to_dict(self) -> dict[str, object]:
        """The calibration as plain JSON values; `camera_from_dict` reads it."""
        return self._calibration(
            {
                "model": "equirectangular",
                "width": self.width,
                "height": self.height,
                "columns_per_turn": self.columns_per_turn,
                "rows_per_turn": self.rows_per_turn,
                "cx": self.cx,
                "cy": self.cy,
            }
        )

    @classmethod
    def from_dict(cls, calibration: dict) -> EquirectangularCamera:
        """Read the structure that `to_dict` makes; only the size must be there.

        Raises:
            ValueError: If an entry is missing or not a number; the message names it.
        """
        intrinsic = section(calibration, "intrinsic")
        pose = read_pose(calibration, UPRIGHT)
        return cls(
            width=number(intrinsic, "width"),
            height=number(intrinsic, "height"),
            columns_per_turn=optional_number(intrinsic, "columns_per_turn"),
            rows_per_turn=optional_number(intrinsic, "rows_per_turn"),
            cx=optional_number(intrinsic, "cx"),
            cy=optional_number(intrinsic, "cy"),
            name=pose.name,
            quaternion=pose.quaternion,
            translation=pose.translation,
        )
