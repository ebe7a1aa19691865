"""The grid of a flat image, for the networks that see images instead of the sphere."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ImageGrid:
    """A frozen value that names the pixels of an image: rows from top to bottom, then columns.

    Args:
        height: Rows of pixels.
        width: Columns of pixels.

    Raises:
        ValueError: If height or width is not a whole number of at least 1.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", _as_extent("height", self.height))
        object.__setattr__(self, "width", _as_extent("width", self.width))

    @property
    def num_pixels(self) -> int:
        """Number of pixels of the image."""
        return self.height * self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.height, self.width)

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain values, as they stand in the attributes of a prepared set."""
        return {"grid": "image", "height": self.height, "width": self.width}

    def coarsened(self, factor: int) -> ImageGrid:
        """The image whose pixels are squares of ``factor`` x ``factor`` pixels of this one.

        Raises:
            ValueError: If factor is not a whole number that divides height and width.
        """
        value = _as_extent("factor", factor)
        if self.height % value or self.width % value:
            raise ValueError(
                f"factor={value} must divide height={self.height} and width={self.width}"
            )
        return ImageGrid(self.height // value, self.width // value)


def _as_extent(name: str, value: int) -> int:
    try:
        extent = operator.index(value)
    except TypeError:
        extent = 0
    if extent < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return extent
