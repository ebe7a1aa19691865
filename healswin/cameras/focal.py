"""What cameras with focal lengths and a principal point share: from the image plane to pixels.

    u = fx x + cx,  v = fy y + cy

for the point (x, y) at which a ray meets the plane one focal length in front of the lens, after
the lens's distortion. This is OpenCV's camera matrix; there is no skew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float

from healswin.cameras.base import NO_TURN, ORIGIN, CalibratedCamera
from healswin.cameras.entries import number, optional_number, read_pose, section
from healswin.cameras.field import checked_max_theta, farthest_corner


@dataclass(frozen=True, kw_only=True)
class FocalCamera(CalibratedCamera):
    """Size, pose, focal lengths and principal point.

    A model adds its coefficients as fields, names them, and maps rays to points of the plane.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        fx: Focal length along u, in pixels.
        fy: The same along v.
        cx: Pixel u of the optical axis.
        cy: Pixel v of the optical axis.
        max_theta: Where the lens's field ends, radians from the optical axis; None: as far as the
            model goes.
        name: Name of the camera on its vehicle.
        quaternion: (x, y, z, w), turns camera axes into vehicle axes; None: not known, as of
            calibration files that state none.
        translation: Position of the camera in vehicle axes, metres.
    """

    # The value of intrinsic.model, and the model's own fields in the order of its formula.
    model: ClassVar[str]
    coefficient_names: ClassVar[tuple[str, ...]]

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    max_theta: float | None = None
    name: str = ""
    quaternion: tuple[float, float, float, float] | None = NO_TURN
    translation: tuple[float, float, float] = ORIGIN

    def __post_init__(self) -> None:
        self._check_size_and_pose()
        self._check_finite("fx", "fy", "cx", "cy", *self.coefficient_names)
        for name in ("fx", "fy"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0, in pixels")
        object.__setattr__(self, "max_theta", checked_max_theta(self.max_theta))

    @property
    def principal_point(self) -> tuple[float, float]:
        """Pixel (u, v) of the optical axis."""
        return self.cx, self.cy

    def resized(self, width: int, height: int) -> Self:
        """The calibration of the image after resizing it to width x height pixels.

        Raises:
            ValueError: If a side is not a positive whole number.
        """
        along_u, along_v = width / self.width, height / self.height
        # The image covers -0.5 to width - 0.5, so it is cx + 0.5 that scales.
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * along_u,
            fy=self.fy * along_v,
            cx=(self.cx + 0.5) * along_u - 0.5,
            cy=(self.cy + 0.5) * along_v - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Self:
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
        end = {} if self.max_theta is None else {"max_theta": self.max_theta}
        return self._calibration(
            {
                "model": self.model,
                "width": self.width,
                "height": self.height,
                "fx": self.fx,
                "fy": self.fy,
                "cx": self.cx,
                "cy": self.cy,
                **{name: getattr(self, name) for name in self.coefficient_names},
                **end,
            }
        )

    @classmethod
    def from_dict(cls, calibration: dict) -> Self:
        """Read the structure that `to_dict` makes.

        Raises:
            ValueError: If an entry is missing or not a number; the message names it.
        """
        intrinsic = section(calibration, "intrinsic")
        pose = read_pose(calibration)
        return cls(
            width=number(intrinsic, "width"),
            height=number(intrinsic, "height"),
            fx=number(intrinsic, "fx"),
            fy=number(intrinsic, "fy"),
            cx=number(intrinsic, "cx"),
            cy=number(intrinsic, "cy"),
            max_theta=optional_number(intrinsic, "max_theta"),
            name=pose.name,
            quaternion=pose.quaternion,
            translation=pose.translation,
            **{name: number(intrinsic, name) for name in cls.coefficient_names},
        )

    def _to_pixels(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 2"]:
        return points * (self.fx, self.fy) + (self.cx, self.cy)

    def _to_points(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 2"]:
        return (np.asarray(pixels, dtype=np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)

    def _farthest_corner(self) -> float:
        """Distance from the principal point to the farthest corner, in focal lengths."""
        size, scale = (self.width, self.height), (self.fx, self.fy)
        return farthest_corner(size, self.principal_point, scale)
