"""What a surface function is given and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GLASS_GLOSS = np.float32(0.09)

# Albedo (3, M), gloss (M,), light of its own (3, M) or None.
Shade = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass
class Points:
    """Points of surfaces with one look.

    Args:
        place: (3, M) metres, thing's frame.
        normal: (3, M), thing's frame.
        footprint: (M,) metres: size of a pixel there.
        colour: (3, M) the surface's colour.
        second: (3, M) its second colour.
        gloss: (M,).
        values: (V, M) the numbers of the look.
        seed: (M,) int64, the same for all points of a thing.
    """

    place: np.ndarray
    normal: np.ndarray
    footprint: np.ndarray
    colour: np.ndarray
    second: np.ndarray
    gloss: np.ndarray
    values: np.ndarray
    seed: np.ndarray


def rgb(r: float, g: float, b: float) -> np.ndarray:
    """The colour as a column (3, 1) float32."""
    return np.array([[r], [g], [b]], dtype=np.float32)


def put(colour: np.ndarray, where: np.ndarray, other: np.ndarray) -> None:
    """Overwrite the colour (3, M) at the mask (M,)."""
    index = np.flatnonzero(where)
    colour[:, index] = other if other.shape[1] == 1 else other[:, index]


def leaf_plane(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two coordinates (M,) of points (3, M) along the coordinate plane that their surface faces.

    Leaves are textured in it; the seams between the planes do not show.
    """
    x, y, z = points
    nx, ny, nz = np.abs(normals)
    steep = np.maximum(nx, ny) > nz
    return np.where(steep & (nx > ny), y, x + 0.37 * z), np.where(steep, z, y + 0.41 * x)
