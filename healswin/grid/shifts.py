"""Shifted windows: which pixels attend to each other in every second block.

Unshifted blocks attend inside windows of consecutive nested pixels, so that nothing crosses their
borders. Shifted blocks regroup the pixels first. Every strategy answers with the same three
tables, a `WindowShift`, and differs only in how it makes them:

* ``roll``: along the nested index. Any base pixels, cheap, and blind to where pixels lie.
* ``grid``: half a window along x and y of every face. Base pixels 0..7.
* ``ring``: along the rings of equal latitude. Base pixels 0..7 or all 12; the published models.
* ``vertex``: to the corners of the unshifted windows, see `healswin.grid.vertex`. Any base pixels;
  crosses every border of every window, the seams between faces and the poles included, and puts
  only pixels together that are as near as those of an unshifted window.

The formulas of the first three reproduce the published HEAL-SWIN implementation (Carlsson et al.
2024, arXiv 2307.07313, section 3.2), whose weights were trained with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Int64

from healswin.grid.healpix import HealpixGrid, xy_to_nested
from healswin.grid.vertex import vertex_slots
from healswin.grid.windows import window_count, window_side

Shift = Literal["roll", "grid", "ring", "vertex"]
SHIFTS: tuple[str, ...] = get_args(Shift)

_FISHEYE_FACES = tuple(range(8))
_ALL_FACES = tuple(range(12))


@dataclass(frozen=True)
class WindowShift:
    """A regrouping of pixels for windowed attention.

    Slot i of the regrouped sequence holds pixel ``gather[i]``; windows are runs of consecutive
    slots; two slots of a window attend to each other only if their groups are equal; pixel p is
    found again in slot ``inverse[p]``: ``gather[inverse[p]] == p``.

    With "vertex" some slots are empty: there are more slots than pixels. An empty slot has gather
    -1 and the group -1, which no pixel has: pixels do not see it, and it attends to the empty slots
    of its window, so that no row of a softmax is without an entry. Its result is read by nobody.

    Attributes:
        gather: (slots,) int64, index of the pixel in each slot, -1 in an empty one.
        group: (slots,) int64, label of each slot, -1 for an empty one.
        inverse: (pixels,) int64, slot of each pixel.
    """

    gather: Int64[np.ndarray, " slots"]
    group: Int64[np.ndarray, " slots"]
    inverse: Int64[np.ndarray, " pixels"]

    def attends(self, window: int) -> Bool[np.ndarray, "windows w w"]:
        """Which pairs of slots of each window attend to each other."""
        group = self.group.reshape(-1, window)
        return group[:, :, None] == group[:, None, :]


def window_shift(
    strategy: Shift, grid: HealpixGrid, window: int, shift: int | None = None
) -> WindowShift:
    """Make the tables of a shift strategy for the tokens of one stage.

    Args:
        strategy: "roll", "grid", "ring" or "vertex".
        grid: The grid whose pixels are the stage's tokens.
        window: Pixels in a window, a power of four that divides the grid's pixels.
        shift: How far, in pixels along the strategy's direction. Default: half a window's side,
            the only value that "grid" and "vertex" take.

    Raises:
        ValueError: If the strategy does not exist for these base pixels, or a number does not fit.
    """
    window_count(grid.num_pixels, window)
    if strategy not in SHIFTS:
        raise ValueError(f"shift strategy {strategy!r} must be one of {SHIFTS}")
    if strategy == "vertex":
        return _vertex(grid, window, shift)
    if shift is None:
        shift = window_side(window) // 2
    if not 0 < shift < grid.num_pixels:
        raise ValueError(f"shift={shift} must lie between 1 and {grid.num_pixels - 1} pixels")
    if strategy == "roll":
        return _roll(grid, window, shift)
    if strategy == "grid":
        return _grid(grid, window, shift)
    return _ring(grid, shift)


def _with_inverse(gather: np.ndarray, group: np.ndarray) -> WindowShift:
    filled = np.flatnonzero(gather >= 0)
    inverse = np.empty_like(filled)
    inverse[gather[filled]] = filled
    return WindowShift(gather.astype(np.int64), group.astype(np.int64), inverse.astype(np.int64))


def _roll(grid: HealpixGrid, window: int, shift: int) -> WindowShift:
    """out[i] = in[(i + shift) mod N]; the last window is split where the sequence wraps."""
    if shift >= window:
        raise ValueError(f"shift={shift} must be less than window={window} with 'roll'")
    slot = np.arange(grid.num_pixels)
    group = (slot >= grid.num_pixels - window).astype(np.int64) + (slot >= grid.num_pixels - shift)
    return _with_inverse((slot + shift) % grid.num_pixels, group)


def _grid(grid: HealpixGrid, window: int, shift: int) -> WindowShift:
    """out(f, x, y) = in(f, x - h, y - h) with h = s / 2, over the edges of the fisheye domain.

    The lower edges of a northern face meet equatorial faces. The lower edges of an equatorial
    face meet southern faces, outside the domain: there, and in the lower corners of the northern
    faces, pixels that nobody else takes fill the gap in groups of their own.
    """
    if grid.base_pixels != _FISHEYE_FACES:
        raise ValueError(
            f"the shift 'grid' exists for base pixels 0..7 only, not for {grid.base_pixels}: "
            "use 'vertex' or 'roll'"
        )
    n, side = grid.nside, window_side(window)
    if side > n:
        raise ValueError(
            f"window={window} is larger than a face of {n * n} pixels: the shift 'grid' needs "
            "windows inside one face"
        )
    half = side // 2
    if shift != half:
        raise ValueError(
            f"shift={shift}: the shift 'grid' with window={window} is always {half} pixels"
        )
    face, x, y = grid.face_xy()
    over_x, over_y = x < half, y < half
    edge_x, edge_y, corner = over_x & ~over_y, over_y & ~over_x, over_x & over_y
    north = face < 4
    column = face % 4

    source_face = face.copy()
    source_face[north & edge_x] = 4 + column[north & edge_x]
    source_face[north & edge_y] = 4 + (column[north & edge_y] + 1) % 4
    source_face[~north & (edge_x | edge_y)] = column[~north & (edge_x | edge_y)]
    source_face[~north & corner] = 4 + (column[~north & corner] + 1) % 4

    group = np.zeros_like(face)
    group[north & corner] = face[north & corner] + 5
    group[~north & edge_y] = column[~north & edge_y] + 5
    group[~north & over_x] = column[~north & over_x] + 9

    inside = xy_to_nested((x - half) % n, (y - half) % n)
    return _with_inverse(source_face * n * n + inside, group)


def _ring(grid: HealpixGrid, shift: int) -> WindowShift:
    """out[r] = in[(r - shift) mod 12 n^2] in RING order.

    On the fisheye domain some sources lie in the southern faces. Pixels with such a source get a
    group for each face, and are filled with the pixels that no other took: in the equatorial
    faces from their western neighbour face, then in the northern faces from what is left.
    """
    import healpy as hp

    if grid.base_pixels not in (_FISHEYE_FACES, _ALL_FACES):
        raise ValueError(
            f"the shift 'ring' exists for base pixels 0..7 and for all 12, not for "
            f"{grid.base_pixels}: use 'vertex' or 'roll'"
        )
    sphere = 12 * grid.nside**2
    source = hp.ring2nest(grid.nside, (grid.ring_order() - shift) % sphere).astype(np.int64)
    if grid.is_full_sphere:
        return _with_inverse(source, np.zeros_like(source))

    face = np.arange(grid.num_pixels) // grid.nside**2
    outside = source >= grid.num_pixels
    group = np.where(outside, face + 1, 0)
    free = np.ones(grid.num_pixels, dtype=bool)
    free[source[~outside]] = False

    holes_left, spare_left = [np.flatnonzero(outside & (face < 4))], []
    for target in range(4, 8):
        western = 4 + (target - 5) % 4
        holes = np.flatnonzero(outside & (face == target))
        spare = np.flatnonzero(free & (face == western))
        count = min(holes.size, spare.size)
        source[holes[:count]] = spare[:count]
        holes_left.append(holes[count:])
        spare_left.append(spare[count:])
    # Pixels of the northern faces are still free only if a shift is as long as a ring near the
    # pole; no face claims them, so they come last.
    spare_left.append(np.flatnonzero(free & (face < 4)))
    source[np.concatenate(holes_left)] = np.concatenate(spare_left)
    return _with_inverse(source, group)


def _vertex(grid: HealpixGrid, window: int, shift: int | None) -> WindowShift:
    """The quadrants that meet at each corner of the unshifted windows."""
    gather = vertex_slots(grid, window)
    half = window_side(window) // 2
    if shift is not None and shift != half:
        raise ValueError(
            f"shift={shift}: the shift 'vertex' with window={window} is always {half} pixels"
        )
    return _with_inverse(gather, np.minimum(gather, 0))
