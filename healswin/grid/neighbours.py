"""The eight neighbours of a pixel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from healswin.grid.healpix import HealpixGrid

EDGES: tuple[int, ...] = (0, 2, 4, 6)
"""Columns of `neighbours` that share an edge with the pixel: SW, NW, NE, SE."""

CORNERS: tuple[int, ...] = (1, 3, 5, 7)
"""Columns of `neighbours` that share a corner only: W, N, E, S."""


def neighbours(grid: HealpixGrid) -> Int64[np.ndarray, "pixels 8"]:
    """Grid indices of the pixels around every pixel, in the order SW, W, NW, N, NE, E, SE, S.

    North-east is the direction of growing x inside a face, north-west that of growing y. Only
    three faces meet at 8 corners of the faces: there 24 pixels of the sphere have no neighbour
    across one corner (with nside 1 each of the 12 has none across two).

    Args:
        grid: The grid; nside 1 is a grid of whole faces.

    Returns:
        (pixels, 8) int64; -1 where there is no neighbour, or it lies outside the grid's faces.
    """
    import healpy as hp

    around = np.stack(hp.get_all_neighbours(grid.nside, grid.pixels(), nest=True), axis=-1)
    return grid.index_of(around.astype(np.int64))
