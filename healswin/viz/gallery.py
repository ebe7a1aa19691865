"""Captioned pictures in rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from healswin.viz.layout import CAPTION, GAP, Picture, blank, put, put_text, title_strip


def gallery(
    cells: Sequence[tuple[Sequence[str], Picture]], title: str, columns: int = 4, size: int = 220
) -> UInt8[np.ndarray, "rows width 3"]:
    """Pictures of one size, row by row, each with the same number of lines of text above it.

    Args:
        cells: Lines of text and RGB picture, uint8 (height, width, 3), of each.
        title: A line above all of them.
        columns: Pictures a row, if there are so many.
        size: Side of the place of a picture in pixels.

    Raises:
        ValueError: If there are no pictures, or some have more lines of text than others.
    """
    if not cells or len({len(lines) for lines, _ in cells}) > 1:
        raise ValueError(
            f"cells has {len(cells)} pictures with {[len(lines) for lines, _ in cells]} lines: "
            "at least one picture and equally many lines are needed"
        )
    columns = min(columns, len(cells))
    text = CAPTION * len(cells[0][0])
    height, width = text + size + GAP, GAP + columns * (size + GAP)
    strips = [title_strip(title, width)]
    for first in range(0, len(cells), columns):
        row = blank(height, width)
        for place, (lines, picture) in enumerate(cells[first : first + columns]):
            left = GAP + place * (size + GAP)
            for number, line in enumerate(lines):
                put_text(row, line, left, (number + 0.5) * CAPTION, size)
            put(row, picture, left, text, (size, size))
        strips.append(row)
    return np.concatenate(strips)
