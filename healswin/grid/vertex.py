"""Vertex windows: the cells that are dual to the mesh of unshifted windows.

The unshifted windows of w = s^2 pixels tile the sphere as a mesh of F = 12 (n / s)^2 cells, with
n = nside. Every cell has four corners, every edge two cells, and so the mesh has V = F + 2
vertices (Euler). A vertex window holds what lies nearest to one vertex: of each cell that meets
there the quadrant, s/2 x s/2 pixels, that touches it. Four cells meet at every vertex but 8, the
corners that are shared by three faces.

The vertices need no search. Every vertex except the two poles is the east corner of exactly one
cell, which numbers them all: F east corners, the north pole, the south pole.

A window of slots is a square in nested order, like an unshifted window: S, E, W and N quadrant.
Around an east corner the cell's own quadrant lies at the W place and its neighbours to the
north-east, east and south-east at N, E and S; where three cells meet, E is empty. A quadrant of
another face is turned by quarter turns until the corner that touches the vertex lies at the centre
of the square. So wherever four cells meet, slots that are neighbours in the square are neighbours
on the sphere.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Int64

from healswin.grid.healpix import HealpixGrid, xy_to_nested
from healswin.grid.neighbours import neighbours
from healswin.grid.windows import window_coordinates, window_side

# Corners, and so the children of a pixel and the quadrants of a window, in nested order.
_S, _E, _W, _N = range(4)
# Quarter turns, counterclockwise as seen from outside, from the S corner to each corner.
_TURNS_FROM_SOUTH = np.array([0, 1, 3, 2])
# Columns of `neighbours`.
_TO_SW, _, _TO_NW, _TO_N, _TO_NE, _TO_E, _TO_SE, _TO_S = range(8)


def vertex_slots(grid: HealpixGrid, window: int) -> Int64[np.ndarray, " slots"]:
    """The pixel in each slot of the vertex windows.

    Args:
        grid: Any base pixels. Windows of which the grid has no quadrant are left out.
        window: Pixels in a window, a power of four of at least 4 and at most nside^2.

    Returns:
        (windows * window,) int64 grid indices, -1 in the slots of missing quadrants. On the
        sphere 12 nside^2 / window + 2 windows: one for each cell, centred on its east corner, in
        the order of the cells; the north pole; the south pole.

    Raises:
        ValueError: If window is no power of four, has no quadrants, or is larger than a face.
    """
    side = window_side(window)
    if side < 2:
        raise ValueError(
            f"window={window}: the shift 'vertex' needs windows of 4 pixels or more, which have "
            "quadrants"
        )
    if side > grid.nside:
        raise ValueError(
            f"window={window} is larger than a face of {grid.nside**2} pixels: the shift 'vertex' "
            f"needs windows inside one face, of at most {grid.nside**2} pixels"
        )
    cells = grid.nside // side
    quadrants = _quadrants_around_vertices(cells)
    # A quadrant is a child of its cell, and touches the vertex with the corner of that name.
    touching, central = quadrants % 4, 3 - np.arange(4)
    turns = (_TURNS_FROM_SOUTH[central] - _TURNS_FROM_SOUTH[touching]) % 4

    quadrants = HealpixGrid(2 * cells, grid.base_pixels).index_of(quadrants)
    kept = (quadrants >= 0).any(axis=1)
    quadrants, turns = quadrants[kept, :, None], turns[kept]
    pixels = quadrants * (window // 4) + _turned_squares(side // 2)[turns]
    return np.where(quadrants >= 0, pixels, -1).reshape(-1)


@functools.lru_cache(maxsize=16)
def _quadrants_around_vertices(cells: int) -> Int64[np.ndarray, "vertices 4"]:
    """Full-sphere pixels of nside ``2 cells`` at the S, E, W and N places of every vertex."""
    around = neighbours(HealpixGrid(2 * cells))
    east = 4 * np.arange(12 * cells**2) + _E
    # The last pixel of face 0 touches the north pole, the first of face 8 the south pole.
    north, south = (2 * cells) ** 2 - 1, 8 * (2 * cells) ** 2
    table = np.empty((east.size + 2, 4), dtype=np.int64)
    table[:-2, _W] = east
    table[:-2, [_N, _E, _S]] = around[east][:, [_TO_NE, _TO_E, _TO_SE]]
    table[-2, _S], table[-2, [_E, _N, _W]] = north, around[north, [_TO_NE, _TO_N, _TO_NW]]
    table[-1, _N], table[-1, [_W, _S, _E]] = south, around[south, [_TO_SW, _TO_S, _TO_SE]]
    table.flags.writeable = False
    return table


@functools.lru_cache(maxsize=16)
def _turned_squares(side: int) -> Int64[np.ndarray, "4 pixels"]:
    """Nested offset of the pixel that k quarter turns bring to each nested offset of a square."""
    x, y = window_coordinates(side * side)
    turned = np.empty((4, x.size), dtype=np.int64)
    for k in range(4):
        turned[k] = xy_to_nested(x, y)
        x, y = y, side - 1 - x
    turned.flags.writeable = False
    return turned
