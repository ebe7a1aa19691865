"""Quarter turns about the z axis, and what they make equal.

A turn by 90 degrees about z renames the faces f -> f + 1 within each ring of four (0..3, 4..7,
8..11), and leaves the index of a pixel inside its face as it is. Distances, bearings against the
pole and so whole bias tables of a window are therefore those of the turned window: `turn_classes`
finds the windows for which they need to be computed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from healswin.grid.healpix import HealpixGrid


def quarter_turned(
    pixels: Int64[np.ndarray, "*any"], nside: int, turns: int | Int64[np.ndarray, "*#any"]
) -> Int64[np.ndarray, "*any"]:
    """Pixels turned eastwards about z by quarter turns.

    Args:
        pixels: NESTED indices of the full sphere, -1 for no pixel.
        nside: Pixels along one side of a face.
        turns: Quarter turns, negative ones westwards; one number, or an array that
            broadcasts to the pixels.

    Returns:
        Full-sphere indices; -1 stays -1.
    """
    face, inside = np.divmod(pixels, nside**2)
    face = face // 4 * 4 + (face + turns) % 4
    return np.where(pixels >= 0, face * nside**2 + inside, -1)


def turn_classes(
    rows: Int64[np.ndarray, "blocks slots"], grid: HealpixGrid
) -> tuple[Int64[np.ndarray, " blocks"], Int64[np.ndarray, " classes"]]:
    """Sort blocks of pixels into classes of those that quarter turns about z map onto each other.

    Two blocks are of one class if a quarter turn, or several, maps the row of pixels of one onto
    that of the other slot by slot. The same pixels in another order are another class.

    Args:
        rows: Grid indices of the pixels in the slots of each block, -1 in empty slots: windows,
            ``gather.reshape(-1, window)`` of a `WindowShift`, or the keys of `Discs`.
        grid: The grid that the indices name.

    Returns:
        The class of every block, numbered in the order of first occurrence; and the first block of
        every class.

    Raises:
        ValueError: If a row holds an index that the grid does not have.
    """
    if rows.size and not -1 <= rows.min() <= rows.max() < grid.num_pixels:
        raise ValueError(
            f"rows hold indices from {rows.min()} to {rows.max()}: the grid has the pixels 0 to "
            f"{grid.num_pixels - 1}, and -1 is an empty slot"
        )
    pixels = np.where(rows >= 0, grid.pixels()[rows], -1)
    first = np.argmax(pixels >= 0, axis=1)
    face = np.take_along_axis(pixels, first[:, None], axis=1) // grid.nside**2
    # The first pixel is turned to the first face of its ring; a block without any stays empty.
    standard = quarter_turned(pixels, grid.nside, -(face % 4))
    # A row as one value of raw bytes: np.unique sorts those much faster than rows of numbers.
    standard = np.ascontiguousarray(standard)
    row_bytes = standard.view(np.dtype((np.void, standard.itemsize * standard.shape[1]))).ravel()
    _, first_block, row_of_block = np.unique(row_bytes, return_index=True, return_inverse=True)
    # np.unique numbers by value; number by first occurrence instead.
    order = np.argsort(first_block)
    number = np.empty_like(order)
    number[order] = np.arange(order.size)
    return number[row_of_block], first_block[order]
