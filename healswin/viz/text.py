"""Captions, the colour legend of classes and the bar of a scale.

OpenCV draws the text: fonts of its own, so that pictures look alike on machines without fonts.
Sizes are line heights in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from healswin.viz.colour import INK, PAPER, ColourScale, scale_colours

SMALLEST = 8.0
"""Text below this line height cannot be read."""

# A line of size 28 has font scale 1 in OpenCV's own fonts.
_SCALE = 1 / 28


def text_width(text: str, size: float | int, bold: bool = False) -> int:
    """Width of a line of text in pixels."""
    import cv2

    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    return cv2.getTextSize(text, font, size * _SCALE, 1)[0][0]


def draw_text(
    picture: UInt8[np.ndarray, "height width 3"],
    text: str,
    left: float | int,
    middle: float | int,
    size: float | int,
    bold: bool = False,
    colour: Sequence[int] = INK,
) -> None:
    """Draw a line of text into the picture, in place.

    Args:
        picture: RGB, contiguous.
        text: One line.
        left: Column where the text begins.
        middle: Row of the middle of a capital letter.
        size: Line height in pixels.
        bold: Whether to use the heavier font.
        colour: RGB.
    """
    import cv2

    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    # The capitals of the font are 0.7 of a line high.
    origin = (round(left), round(middle + 0.35 * size))
    cv2.putText(picture, text, origin, font, size * _SCALE, tuple(colour), 1, cv2.LINE_AA)


def fitting_size(
    text: str, size: float | int, width: float | int, bold: bool = False
) -> float | int:
    """The largest line height of at most ``size`` at which the text is no wider than ``width``.

    Raises:
        ValueError: If that would be too small to read.
    """
    fitting = size
    while text_width(text, fitting, bold) > width:
        fitting -= 0.5
        if fitting < SMALLEST:
            raise ValueError(
                f"{text!r} does not fit into {width:.0f} pixels: "
                "allow more width or, in a legend, fewer columns"
            )
    return fitting


def shortened(text: str, size: float | int, width: float | int, bold: bool = False) -> str:
    """The text, or as much of its beginning as fits into the width, and "..."."""
    if text_width(text, size, bold) <= width:
        return text
    # By bisection: long texts are measured a few times only.
    shortest, longest = 0, len(text)
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        if text_width(text[:middle] + "...", size, bold) <= width:
            shortest = middle
        else:
            longest = middle
    return text[:shortest] + "..."


def legend(
    names: Sequence[str],
    colours: ArrayLike,
    width: int,
    columns: int | None = None,
    size: float | int = 15,
    background: ArrayLike = PAPER,
) -> UInt8[np.ndarray, "height width 3"]:
    """A strip with a swatch of colour and a name for every class, read row by row.

    Args:
        names: Class names.
        colours: RGB in 0..255 for every class.
        width: Width of the strip in pixels.
        columns: Number of columns. Default: as many as fit.
        size: Line height in pixels; it is lowered where a name would not fit into its column.
        background: RGB around it.

    Raises:
        ValueError: If names and colours differ in number, or a name does not fit.
    """
    if len(names) != len(colours) or not len(names):
        raise ValueError(f"{len(names)} names and {len(colours)} colours: expected one per class")
    if columns is not None and columns < 1:
        raise ValueError(f"columns={columns} must be positive")
    swatch, gap, row = round(1.4 * size), round(0.5 * size), round(1.7 * size)
    besides = swatch + 3 * gap
    if columns is None:
        widest = besides + max(text_width(name, size) for name in names)
        columns = min(len(names), max(1, width // widest))
        # Even rows: 10 names in 8 possible columns look better as 5 + 5 than as 8 + 2.
        columns = math.ceil(len(names) / math.ceil(len(names) / columns))
    rows = math.ceil(len(names) / columns)
    column = width / columns
    size = min(fitting_size(name, size, column - besides) for name in names)
    strip = np.full((rows * row + gap, width, 3), background, dtype=np.uint8)
    half = swatch // 2 - 2
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        left = round(number % columns * column) + gap
        middle = gap // 2 + number // columns * row + row // 2
        strip[middle - half : middle + half, left : left + swatch] = INK
        strip[middle - half + 1 : middle + half - 1, left + 1 : left + swatch - 1] = colour
        draw_text(strip, name, left + swatch + gap, middle, size)
    return strip


def scale_bar(
    scale: ColourScale,
    caption: str,
    width: int,
    swatches: Sequence[tuple[str, Sequence[int]]] = (),
    size: float | int = 15,
) -> UInt8[np.ndarray, "height width 3"]:
    """A strip with the colours of a scale, round values below them, and swatches beside them.

    Args:
        scale: The scale.
        caption: What is shown and in which unit; stands at the left.
        width: Width of the strip in pixels.
        swatches: Name and RGB of colours that are not on the scale, e.g. the sky.
        size: Line height in pixels.

    Raises:
        ValueError: If the width is too small.
    """
    swatch, gap = round(1.4 * size), round(0.5 * size)
    beside = sum(swatch + 3 * gap + text_width(name, size) for name, _ in swatches)
    left = 3 * gap + text_width(caption, size)
    right = width - beside - 2 * gap
    if right - left < 10 * size:
        raise ValueError(f"width={width} is too small for a scale {caption!r} and its swatches")
    strip = np.full((round(3.4 * size), width, 3), PAPER, dtype=np.uint8)
    top, bottom = gap, gap + round(0.9 * size)
    middle = (top + bottom) / 2
    draw_text(strip, caption, gap, middle, size)
    strip[top - 1 : bottom + 1, left - 1 : right + 1] = INK
    positions = (np.arange(right - left) + 0.5) / (right - left)
    strip[top:bottom, left:right] = scale_colours(scale.kind, positions)
    for value in scale.ticks():
        column = round(left + scale.position(np.array([value]))[0] * (right - left - 1))
        strip[bottom : bottom + gap // 2 + 2, column] = INK
        text = f"{value:.4g}"
        room = width - text_width(text, size)  # the last one must not run over the edge
        place = min(max(column - text_width(text, size) / 2, 0), room)
        draw_text(strip, text, place, bottom + 1.1 * size, size)
    left = right + 2 * gap
    for name, colour in swatches:
        strip[top - 1 : bottom + 1, left : left + swatch] = INK
        strip[top:bottom, left + 1 : left + swatch - 1] = colour
        draw_text(strip, name, left + swatch + gap, middle, size)
        left += swatch + 3 * gap + text_width(name, size)
    return strip
