"""A square canvas, projected onto the sphere.

The canvas lies in the plane z = -1 that touches the sphere in its south pole, and is 3 wide, its
middle at the south pole. It is seen from the point (0, 0, h), h = 1.001, just above the north
pole: nearly the stereographic projection. The ray through the direction (x, y, z) meets the plane
in q = (x, y) S / (h - z) with S = h + 1; rows grow along x and columns along y. A side of the
canvas is 74 degrees from the south pole and a corner 93, so that the canvas covers 0.41 of the
sphere. Seen from the middle of the sphere with -x up it is upright and not mirrored.

Two samplings:

* the default: pixel (i, j) of a canvas of N x N pixels is the cell [i, i + 1) x [j, j + 1), its
  value sits in the cell's middle; between these values it is bilinear, outside the canvas 0, and
  the result is rounded;
* the published one (github.com/jonkhler/s2cnn, examples/mnist/gendata.py; checked against its
  output): values sit at whole numbers, so that the picture is shifted by half a pixel; each axis
  is smoothed over the pixels to the left and right of the one in which the ray ends; each picture
  is stretched to 0..255 and cut off to whole numbers. A ray to the north pole itself, where the
  Driscoll-Healy grid has a ring, shows the middle of the canvas.

A turned picture is sampled in the directions R p of the grid's directions p: it is the upright
picture, turned by the inverse of R.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from healswin.grid import EquiangularGrid, HealpixGrid

# Where the rays come from, above the middle of the sphere; that it is not exactly the north pole
# keeps them finite.
HEIGHT = 1.001

# Half of the canvas, in the plane.
_HALF = 1.5

# Which way is up in an upright picture at its middle, the south pole.
UP = (-1.0, 0.0, 0.0)

# All of the canvas lies below. Further up rays leave the canvas, but for those that reach the
# sphere before they have gone through it, next to the north pole.
_HIGHEST = 0.5

# Far outside any canvas, in pixels.
_AWAY = -10.0


def canvas_positions(
    vectors: Float[np.ndarray, "*any 3"], side: int
) -> Float[np.ndarray, "*any 2"]:
    """Row and column of a canvas that lie in each direction.

    Args:
        vectors: Unit vectors.
        side: Pixels along a side of the canvas.

    Returns:
        (..., 2) float64; the middle of pixel (i, j) is at (i, j). Directions above the canvas have
        positions outside of it.
    """
    z = vectors[..., 2:]
    scale = side * (HEIGHT + 1) / (2 * _HALF)
    inside = vectors[..., :2] * scale / (HEIGHT - z) + (side / 2 - 0.5)
    return np.where(z < _HIGHEST, inside, _AWAY)


def canvas_directions(
    positions: Float[np.ndarray, "*any 2"], side: int
) -> Float[np.ndarray, "*any 3"]:
    """Unit vectors to places of a canvas; the inverse of `canvas_positions`.

    The point (0, 0, h) + t (q, -S) has length 1 for two t; the larger is that of the point where
    the ray leaves the sphere.

    Args:
        positions: Rows and columns within the canvas, -0.5 to side - 0.5.
        side: Pixels along a side of the canvas.
    """
    q = (positions + 0.5 - side / 2) * (2 * _HALF) / side
    distance = HEIGHT + 1
    square = (q**2).sum(axis=-1, keepdims=True) + distance**2
    along = HEIGHT * distance
    t = (along + np.sqrt(along**2 - square * (HEIGHT**2 - 1))) / square
    return np.concatenate([t * q, HEIGHT - t * distance], axis=-1)


class Projector:
    """Samples canvases of one size at the pixels of a grid, in float32.

    Args:
        grid: Where the values go.
        side: Pixels along a side of the canvases.
    """

    def __init__(self, grid: HealpixGrid | EquiangularGrid, side: int) -> None:
        self._side = side
        self._vectors = np.ascontiguousarray(grid.vectors().T, dtype=np.float32)
        # cv2.remap refuses a side of 32767 pixels or more, so the pixels are folded.
        width = grid.nside if isinstance(grid, HealpixGrid) else grid.shape[1]
        self._fold = (-1, width)
        self._upright = self._positions(self._vectors)

    def positions(
        self, rotation: Float[np.ndarray, "3 3"] | None
    ) -> tuple[Float[np.ndarray, " pixels"], Float[np.ndarray, " pixels"]]:
        """Row and column of the canvas at every pixel (`canvas_positions`), float32.

        Args:
            rotation: The canvas is looked at in the directions R p; None for the upright one.
        """
        if rotation is None:
            return self._upright
        return self._positions(rotation.astype(np.float32) @ self._vectors)

    def picture(
        self,
        canvas: UInt8[np.ndarray, "side side"],
        rows: Float[np.ndarray, " pixels"],
        columns: Float[np.ndarray, " pixels"],
    ) -> UInt8[np.ndarray, " pixels"]:
        """The canvas on the sphere, bilinear between its pixels and 0 outside.

        Args:
            canvas: Grey levels.
            rows: From `positions`.
            columns: Likewise.
        """
        # The outer half of the outer pixels has no neighbour to mix with: a frame continues them.
        framed = cv2.copyMakeBorder(canvas, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        picture = cv2.remap(
            framed,
            (columns + 1).reshape(self._fold),
            (rows + 1).reshape(self._fold),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
        middle, half = np.float32(self._side / 2 - 0.5), np.float32(self._side / 2)
        inside = np.maximum(np.abs(rows - middle), np.abs(columns - middle)) <= half
        return picture.ravel() * inside

    def _positions(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = vectors
        scale = np.float32(self._side * (HEIGHT + 1) / (2 * _HALF)) / (np.float32(HEIGHT) - z)
        middle = np.float32(self._side / 2 - 0.5)
        rows, columns = x * scale + middle, y * scale + middle
        rows[z >= _HIGHEST] = _AWAY
        return rows, columns


def published_positions(
    vectors: Float[np.ndarray, "pixels 3"], side: int
) -> Float[np.ndarray, "pixels 2"]:
    """Row and column of a canvas in each direction as the published program counts them.

    Args:
        vectors: Unit vectors.
        side: Pixels along a side of the canvas.

    Returns:
        (pixels, 2) float64; pixel (i, j) is at (i, j).
    """
    q = vectors[:, :2] * (HEIGHT + 1) / (HEIGHT - vectors[:, 2:])
    return side * (q + _HALF) / (2 * _HALF)


def published_picture(
    canvas: UInt8[np.ndarray, "side side"], positions: Float[np.ndarray, "pixels 2"]
) -> UInt8[np.ndarray, " pixels"]:
    """A canvas on the sphere as the published program samples it (see above).

    Args:
        canvas: Grey levels; if all are 0 so is the picture.
        positions: From `published_positions`.
    """
    side = len(canvas)
    whole = np.trunc(positions)
    # Pixels outside are 0: they are all the one at place -1 of a canvas with a frame of zeros.
    framed = np.pad(canvas.astype(np.float64), 1)
    ends = []
    for step, weights in ((-1, whole + 1 - positions), (1, positions - whole + 1)):
        outside = (whole + step < 0) | (whole + step >= side)
        ends.append((np.where(outside, -1, whole + step).astype(np.int64) + 1, weights))
    values = np.zeros(len(positions))
    for rows, row_weights in ends:
        for columns, column_weights in ends:
            weights = row_weights[:, 0] * column_weights[:, 1]
            values += framed[rows[:, 0], columns[:, 1]] * weights
    values -= values.min()
    if values.max() > 0:
        values *= 255.0 / values.max()
    return values.astype(np.uint8)
