"""Cutting the sides of images, with their calibrations.

The images of WoodScape have green strips of a few pixels at the top and the bottom, which are no
part of the picture (github.com/valeoai/WoodScape, issue 24); ``--crop`` cuts them off.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

from healswin.cameras import Camera

# A strip's pixels are green (more than half as much again as red and blue), most of a row; where a
# strip meets the picture single pixels of other colours occur. A meadow is no strip: at most a
# twentieth of the image is.
_EXCESS, _LEAST_GREEN, _SHARE, _DEEPEST = 1.5, 40, 0.75, 20


@dataclass(frozen=True)
class Crop:
    """How many pixels are cut from each side of an image."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def cut(
        self, values: Shaped[np.ndarray, "height width *channels"]
    ) -> Shaped[np.ndarray, "inner_height inner_width *channels"]:
        """The part of an image that is left, not a copy."""
        height, width = values.shape[:2]
        return values[self.top : height - self.bottom, self.left : width - self.right]

    def calibrated(self, camera: Camera) -> Camera:
        """The calibration of the part that is left.

        Raises:
            ValueError: If nothing is.
        """
        if self == Crop():
            return camera
        width = camera.width - self.left - self.right
        height = camera.height - self.top - self.bottom
        if min(width, height) < 1:
            raise ValueError(
                f"crop={self.sides}: nothing is left of the {camera.width} x {camera.height} "
                f"pixels of camera {camera.name!r}"
            )
        return camera.cropped(self.left, self.top, width, height)

    @property
    def sides(self) -> list[int]:
        """[left, top, right, bottom]."""
        return list(astuple(self))

    def joined(self, other: Crop) -> Crop:
        """The crop that cuts what either cuts."""
        return Crop(*map(max, self.sides, other.sides))


def green_strips(image: UInt8[np.ndarray, "height width 3"]) -> Crop:
    """The crop that cuts the green strips at the top and the bottom of an RGB image."""
    red, green, blue = np.moveaxis(image.astype(np.int32), -1, 0)
    is_green = (green >= _LEAST_GREEN) & (green > _EXCESS * np.maximum(red, blue))
    rows = is_green.mean(axis=1) >= _SHARE
    deepest = -(-image.shape[0] // _DEEPEST)
    top = _depth(rows[: deepest + 1])
    bottom = _depth(rows[::-1][: deepest + 1])
    return Crop(top=top, bottom=bottom)


def _depth(rows: np.ndarray) -> int:
    """Number of green rows from the border on; none if they go on too far for a strip."""
    return 0 if rows.all() else int(np.argmin(rows))
