"""The eight neighbours of a pixel, and the place of full-sphere pixels in a grid."""

from __future__ import annotations

import healpy as hp
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
    around = np.stack(hp.get_all_neighbours(grid.nside, grid.pixels(), nest=True), axis=-1)
    return grid_index(grid, around.astype(np.int64))


def grid_index(grid: HealpixGrid, pixels: Int64[np.ndarray, "*any"]) -> Int64[np.ndarray, "*any"]:
    """Index in the grid of NESTED pixels of the full sphere; the inverse of `HealpixGrid.pixels`.

    Args:
        grid: The grid to look in.
        pixels: Full-sphere indices below 12 nside^2, or -1 for no pixel.

    Returns:
        Grid indices of the same shape; -1 for no pixel, and for pixels of faces that the grid
        does not have.
    """
    # One entry more than there are faces: no pixel, -1, has face -1, the last entry.
    block_of_face = np.full(13, -1, dtype=np.int64)
    block_of_face[list(grid.base_pixels)] = np.arange(len(grid.base_pixels))
    face, inside = np.divmod(pixels, grid.nside**2)
    block = block_of_face[face]
    return np.where(block >= 0, block * grid.nside**2 + inside, -1)
