"""Windows: runs of consecutive nested pixels, squares of their face.

A window of w = s^2 pixels, s a power of two, is the nested pixels ``k w ... (k + 1) w - 1``; inside
it the pixel with offset j has the coordinates (x, y) that are interleaved in j.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from healswin.grid.healpix import is_power_of_four, xy_to_nested


def window_side(window: int) -> int:
    """Side s of a window of s^2 pixels.

    Raises:
        ValueError: If window is no power of four: other powers of two are no squares.
    """
    if not is_power_of_four(window):
        raise ValueError(f"window={window} must be a power of four: 4, 16, 64, 256")
    return 1 << (window.bit_length() // 2)


def window_count(num_pixels: int, window: int) -> int:
    """Number of windows that tile num_pixels nested pixels.

    Raises:
        ValueError: If window is no power of four or does not divide num_pixels.
    """
    window_side(window)
    if num_pixels < window or num_pixels % window:
        raise ValueError(f"window={window} does not fit: it must divide {num_pixels} pixels")
    return num_pixels // window


def window_coordinates(window: int) -> tuple[Int64[np.ndarray, " w"], Int64[np.ndarray, " w"]]:
    """Coordinates (x, y) of the pixels of a window, in nested order."""
    side = window_side(window)
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    order = np.argsort(xy_to_nested(x.ravel(), y.ravel()))
    return x.ravel()[order], y.ravel()[order]
