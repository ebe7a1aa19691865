"""Disc attention: every pixel attends to the pixels within a distance of it, and to no others.

Windows, of any kind, put a pixel near the middle of one and at the border of another, and a
network reads its place from that. A geodesic disc around each pixel looks the same everywhere, up
to the irregularity of the grid. Pixels that lie together have most of their discs in common, so
that the queries are taken in blocks of 16 consecutive nested pixels, squares of 4 x 4, with the
union of their discs as keys and a mask that says which keys lie in the disc of which query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from healswin.grid.healpix import HealpixGrid
from healswin.grid.turns import quarter_turned

QUERIES = 16
"""Queries in a block."""

# Keys are filled up to a multiple of this, the width that matrix units like.
_KEY_MULTIPLE = 8

# Radians. Far above the rounding of a distance in float64, so that pixels at equal distances, and
# so turned and mirrored blocks, are decided alike; far below the distance between two pixels.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Discs:
    """The keys of every block of 16 queries, and which query sees which.

    Query i of block b is grid pixel ``16 b + i``. Slots without a key are -1 in ``keys`` and False
    in ``inside``.

    Attributes:
        keys: (blocks, slots) int64 grid indices, -1 in empty slots.
        inside: (blocks, 16, slots) bool, whether the key lies in the disc of the query.
    """

    keys: Int64[np.ndarray, "blocks slots"]
    inside: Bool[np.ndarray, "blocks 16 slots"]


def discs(grid: HealpixGrid, radius: float = 2.5) -> Discs:
    """Make the tables of disc attention.

    The disc of a query holds the pixels whose centres are at most ``radius`` pixel spacings away,
    as an angle, in float64 and up to 1e-9 radians; always the query itself. Quarter turns about z
    map blocks to blocks slot by slot, see `healswin.grid.turns`. A subset of base pixels has the
    tables of the full sphere, the same slots included, with the keys outside of it left empty.

    Args:
        grid: Any base pixels, nside 4 or more.
        radius: In units of ``grid.pixel_spacing``, positive.

    Returns:
        Tables with as many slots as the fullest block of the sphere has keys, rounded up to a
        multiple of 8. With the default radius 56 slots at nside 4 (54 keys in every block), 64 at
        nside 8 to 32, 72 at nside 64 to 256 (58 to 68 keys).

    Raises:
        ValueError: If nside is below 4, where a block of 16 pixels is larger than a face, or the
            radius is not positive and finite.
    """
    if grid.nside < 4:
        raise ValueError(
            f"nside={grid.nside}: blocks of {QUERIES} pixels need nside 4 or more; on so few "
            "pixels attend globally"
        )
    if not 0 < radius < np.inf:
        raise ValueError(f"radius={radius} must be a positive number of pixel spacings")
    keys, inside = _first_quarter(grid.nside, radius)
    blocks_of_face = grid.nside**2 // QUERIES
    ring, turns = np.divmod(np.asarray(grid.base_pixels), 4)
    source = (ring[:, None] * blocks_of_face + np.arange(blocks_of_face)).ravel()
    turns = np.repeat(turns, blocks_of_face)[:, None]
    keys = grid.index_of(quarter_turned(keys[source], grid.nside, turns))
    return Discs(keys, inside[source] & (keys >= 0)[:, None])


def _first_quarter(nside: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Full-sphere keys and masks of the blocks of faces 0, 4 and 8; keys in increasing order."""
    sphere, quarter = HealpixGrid(nside), HealpixGrid(nside, (0, 4, 8))
    near = _near(sphere, quarter.vectors(), radius)
    candidates = near.reshape(-1, QUERIES * near.shape[1])
    order = np.argsort(candidates, axis=1, kind="stable")
    candidates = np.take_along_axis(candidates, order, axis=1)
    known = candidates < sphere.num_pixels
    new = known & (np.diff(candidates, axis=1, prepend=-1) > 0)
    slot = np.cumsum(new, axis=1) - 1

    slots = -(-int(new.sum(axis=1).max()) // _KEY_MULTIPLE) * _KEY_MULTIPLE
    keys = np.full((len(candidates), slots), -1, dtype=np.int64)
    inside = np.zeros((len(candidates), QUERIES, slots), dtype=bool)
    block, place = np.nonzero(known)
    slot, query = slot[block, place], order[block, place] // near.shape[1]
    keys[block, slot] = candidates[block, place]
    inside[block, query, slot] = True
    return keys, inside


def _near(sphere: HealpixGrid, vectors: np.ndarray, radius: float) -> np.ndarray:
    """Pixels within the radius of each vector, (vectors, most); ``num_pixels`` for none."""
    import healpy as hp

    angle = radius * sphere.pixel_spacing + _TOLERANCE
    # What lies within the angle fits, with whole pixels, into a disc that is wider by the radius
    # of the widest pixel; and no disc of that radius has more area than a flat one.
    widest = np.pi * (angle + hp.max_pixrad(sphere.nside)) ** 2
    most = min(sphere.num_pixels, int(widest / sphere.pixel_area))
    chord = 2 * np.sin(angle / 2) if angle < np.pi else np.inf
    from scipy.spatial import cKDTree  # here: conversion workers import this module, not discs

    _, near = cKDTree(sphere.vectors()).query(vectors, k=most, distance_upper_bound=chord)
    return near
