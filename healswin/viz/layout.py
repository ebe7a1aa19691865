"""How pictures are put on paper: places, captions, titles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from healswin.viz.colour import EMPTY, INK, PAPER
from healswin.viz.text import draw_text, fitting_size, text_width

# Pictures of one figure differ in size: the axes are not compared.
Picture = UInt8[np.ndarray, "_ _ 3"]

GAP = 14
"""Paper between pictures, in pixels."""
CAPTION = 30
"""Height of a caption in pixels."""
MUTED = (120, 123, 130)
"""RGB of text that says less than other text."""
TITLE_TEXT = 20
"""Line height of titles, which stand in bold."""

_TITLE = 44
_TEXT = 16.0


def blank(height: int, width: int) -> Picture:
    """Empty paper."""
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def put(
    paper: Picture, picture: Picture | None, left: int, top: int, size: tuple[int, int]
) -> None:
    """Put a picture into the middle of a place, as large as fits; in place.

    Args:
        paper: What it is put on.
        picture: The picture; None: the place is grey and says "source absent".
        left: First column of the place.
        top: First row of the place.
        size: Width and height of the place.
    """
    width, height = size
    if picture is None:
        paper[top : top + height, left : left + width] = EMPTY
        put_text(paper, "source absent", left, top + height / 2, width, MUTED)
        return
    picture = fit(picture, width, height)
    rows, columns = picture.shape[:2]
    top, left = top + (height - rows) // 2, left + (width - columns) // 2
    paper[top : top + rows, left : left + columns] = picture


def put_text(
    paper: Picture,
    text: str,
    left: int,
    middle: float | int,
    width: int,
    colour: Sequence[int] = INK,
) -> None:
    """Write a line into the middle of a place, in place; smaller where it would not fit."""
    size = fitting_size(text, _TEXT, width)
    left = left + (width - text_width(text, size)) / 2
    draw_text(paper, text, left, middle, size, colour=colour)


def fit(picture: Picture, width: int, height: int) -> Picture:
    """The picture resized to fit, proportions kept."""
    import cv2

    factor = min(width / picture.shape[1], height / picture.shape[0])
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    if size == picture.shape[1::-1]:
        return picture
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, size, interpolation=method)


def title_strip(title: str, width: int) -> Picture:
    """A line above a figure.

    Raises:
        ValueError: If it is too long for the width.
    """
    strip = blank(_TITLE, width)
    size = fitting_size(title, TITLE_TEXT, width - 2 * GAP, bold=True)
    draw_text(strip, title, GAP, _TITLE / 2, size, bold=True)
    return strip


def title_strips(title: str, width: int) -> list[Picture]:
    """A line above a figure, or nothing without a title.

    Raises:
        ValueError: If it is too long for the width.
    """
    return [title_strip(title, width)] if title else []


def captioned_row(cells: Sequence[tuple[str, Picture | None]], width: int, height: int) -> Picture:
    """Captioned pictures side by side, each in the middle of a place of one size."""
    row = blank(CAPTION + height, GAP + len(cells) * (width + GAP))
    for number, (caption, picture) in enumerate(cells):
        left = GAP + number * (width + GAP)
        put_text(row, caption, left, CAPTION / 2, width)
        put(row, picture, left, CAPTION, (width, height))
    return row
