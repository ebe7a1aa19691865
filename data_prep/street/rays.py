"""The rays of a picture in tiles of 8 x 8 neighbours, and which tiles may meet a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

TILE = 8


@dataclass(frozen=True)
class RayTiles:
    """Rays of a picture in tiles.

    Args:
        directions: (3, tiles, 64) float32 unit vectors.
        axes: (3, tiles) mean direction of each tile.
        spread: (tiles,) largest angle in a tile to its axis, radians.
        pixel: (tiles,) angle between neighbouring pixels, radians.
        shape: (height, width) of the picture.
    """

    directions: np.ndarray
    axes: np.ndarray
    spread: np.ndarray
    pixel: np.ndarray
    shape: tuple[int, int]

    def turned(self, rotation: np.ndarray) -> RayTiles:
        """The same rays turned by a rotation matrix (3, 3)."""
        turn = rotation.astype(np.float32)
        directions = (turn @ self.directions.reshape(3, -1)).reshape(self.directions.shape)
        return RayTiles(directions, turn @ self.axes, self.spread, self.pixel, self.shape)

    def picture(self, values: np.ndarray) -> np.ndarray:
        """(height, width) of values (tiles * 64,) in tile order."""
        height, width = self.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        grid = values.reshape(rows, columns, TILE, TILE).swapaxes(1, 2)
        return grid.reshape(rows * TILE, columns * TILE)[:height, :width]


def tile_rays(rays: Float[np.ndarray, "height width 3"]) -> RayTiles:
    """Sort the rays (height, width, 3) of a picture into tiles.

    Rays that are not numbers (outside the lens's field) are replaced by their tile's mean.
    """
    height, width = rays.shape[:2]
    padded = np.pad(rays, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
    tiles = padded.reshape(rows, TILE, columns, TILE, 3).transpose(4, 0, 2, 1, 3)
    tiles = tiles.reshape(3, rows * columns, TILE * TILE).astype(np.float64)
    known = np.isfinite(tiles).all(axis=0)
    tiles = np.where(known, tiles, 0.0)
    axes = tiles.sum(axis=2)
    length = np.linalg.norm(axes, axis=0)
    axes = np.where(length > 1e-9, axes / np.maximum(length, 1e-9), [[0.0], [0.0], [1.0]])
    tiles = np.where(known, tiles, axes[:, :, None])
    tiles /= np.linalg.norm(tiles, axis=0)
    cosine = np.clip((tiles * axes[:, :, None]).sum(axis=0).min(axis=1), -1, 1)
    spread = np.arccos(cosine) + 1e-4
    pixel = np.maximum(spread / (TILE * 0.66), 1e-5)
    return RayTiles(
        tiles.astype(np.float32),
        axes.astype(np.float32),
        spread.astype(np.float32),
        pixel.astype(np.float32),
        (height, width),
    )


def nearest_in_box(
    axes: np.ndarray, origin: np.ndarray, low: np.ndarray, high: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Lower bound (M,) of the distance at which cones meet a box, inf where they miss it.

    A cone's rays stay within far * tan(spread) of its axis up to the box's farthest point, so the
    axis is tested against the box grown by that much.
    """
    far = np.linalg.norm(np.maximum(np.abs(low - origin), np.abs(high - origin)))
    margin = (np.float32(far) * np.tan(np.minimum(spread, 1.5)) + np.float32(1e-3))[None]
    inverse = 1 / np.where(axes == 0, np.float32(1e-12), axes)
    first = ((low - origin).astype(np.float32)[:, None] - margin) * inverse
    second = ((high - origin).astype(np.float32)[:, None] + margin) * inverse
    enter = np.minimum(first, second).max(axis=0)
    leave = np.maximum(first, second).min(axis=0)
    near = np.maximum(enter - margin[0], 0)
    return np.where((enter <= leave) & (leave > 0), near, np.float32(np.inf))
