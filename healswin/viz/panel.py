"""Whole figures: image, truth and prediction side by side, and the windows of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Integer, UInt8
from numpy.typing import ArrayLike

from healswin.grid import HealpixGrid
from healswin.viz.colour import EMPTY, IGNORED, INK, PAPER, colourise, error_map
from healswin.viz.sphere import OUTSIDE, disc_index, draw_lines, orthographic, shrink
from healswin.viz.text import draw_text, fitting_size, legend, text_width

# Pictures of one figure differ in size: the axes are not compared.
Picture = UInt8[np.ndarray, "_ _ 3"]

_GAP = 14
_CAPTION = 30
_TITLE = 44
_TEXT = 16.0
_MUTED = (120, 123, 130)

# Colours of neighbouring windows: of like lightness, so that none seems to matter more.
_WINDOW_COLOURS = np.array(
    [
        (141, 190, 226),
        (244, 183, 119),
        (154, 208, 152),
        (233, 158, 158),
        (194, 175, 222),
        (240, 220, 130),
        (150, 212, 206),
    ],
    dtype=np.uint8,
)


def comparison_panel(
    *,
    grid: HealpixGrid,
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    sphere_image: np.ndarray,
    sphere_truth: np.ndarray | None,
    sphere_prediction: np.ndarray,
    class_names: Sequence[str],
    class_colours: Sequence[Sequence[int]] | np.ndarray,
    title: str = "",
    ignore_index: int = 255,
    centre: ArrayLike = (0.0, 0.0, 1.0),
    up: ArrayLike = (0.0, -1.0, 0.0),
    height: int = 300,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One sample as a figure: what was seen, what is true, what was predicted, what is wrong.

    The upper row is the fisheye image, the lower row the same on the sphere (orthographic, from
    inside, so that left and right agree with the image); below is the legend of the classes that
    occur. A place whose source is None says "source absent".

    Args:
        grid: The grid of the sphere's values.
        image: The fisheye image, RGB, uint8 (height, width, 3).
        truth: True class ids in the image, integers (height, width).
        prediction: Predicted class ids in the image, integers (height, width); ``ignore_index``
            outside the grid.
        sphere_image: RGB of every grid pixel, uint8 (pixels, 3).
        sphere_truth: True class ids on the grid, integers (pixels,).
        sphere_prediction: Predicted class ids on the grid, integers (pixels,).
        class_names: Names of the classes.
        class_colours: RGB in 0..255 of the classes.
        title: A line above the figure.
        ignore_index: Class id of pixels without truth or without prediction.
        centre: Direction in the middle of the ball, see `healswin.viz.sphere.orthographic`.
        up: Vector that points up in the picture of the ball.
        height: Height of each of the eight pictures in pixels.

    Raises:
        ValueError: If shapes do not agree, a label has no name or colour, or the title is too
            long for the width.
    """
    if len(class_names) != len(class_colours):
        raise ValueError(
            f"{len(class_names)} class_names and {len(class_colours)} class_colours: expected "
            "one of each per class"
        )

    def ball(values: UInt8[np.ndarray, "pixels 3"]) -> Picture:
        return orthographic(values, grid, height, centre, up, supersample=2)

    def paint(labels: np.ndarray | None) -> np.ndarray | None:
        return None if labels is None else colourise(labels, class_colours, ignore_index)

    sphere_colours = paint(sphere_truth)
    # A map of the grid is to the error map an image of one row.
    sphere_caption, sphere_errors = _errors(
        sphere_image[None],
        None if sphere_truth is None else sphere_truth[None],
        sphere_prediction[None],
        ignore_index,
    )
    upper = [
        ("Fisheye image", image),
        ("Truth", paint(truth)),
        ("Prediction", paint(prediction)),
        _errors(image, truth, prediction, ignore_index),
    ]
    lower = [
        ("On the sphere", ball(sphere_image)),
        ("Truth", None if sphere_colours is None else ball(sphere_colours)),
        ("Prediction", ball(paint(sphere_prediction))),
        (sphere_caption, None if sphere_errors is None else ball(sphere_errors[0])),
    ]
    shapes = [picture.shape for _, picture in upper if picture is not None]
    widest = max([round(height * shape[1] / shape[0]) for shape in shapes] + [height])
    rows = [_row(cells, widest, height) for cells in (upper, lower)]
    width = rows[0].shape[1]
    shown = [a for a in (truth, prediction, sphere_truth, sphere_prediction) if a is not None]
    found = sorted({int(c) for labels in shown for c in np.unique(labels)} - {ignore_index})
    names = [class_names[c] for c in found]
    colours = [class_colours[c] for c in found]
    if any((labels == ignore_index).any() for labels in shown):
        names.append("no label")
        colours.append(IGNORED)
    # Half of the gap is in the legend already: its swatches stand below the pictures' left edge.
    key = legend(names, colours, width - _GAP)
    margins = ((_GAP, 0), (_GAP // 2, _GAP - _GAP // 2), (0, 0))
    key = np.pad(key, margins, constant_values=PAPER[0])
    return np.concatenate([*_title(title, width), *rows, key])


def windows_figure(
    grid: HealpixGrid,
    windows: Mapping[str, np.ndarray],
    size: int = 420,
    centre: ArrayLike = (1.05, 0.6),
    up: ArrayLike = (0.0, 0.0, 1.0),
    inside: bool = False,
    title: str = "",
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Balls side by side that show which pixels of the grid share a window.

    Neighbouring windows have different colours, thin lines separate pixels, and strong lines the
    base pixels. On coarse grids (nside up to 32) the pixels themselves are outlined.

    Args:
        grid: The grid.
        windows: For each ball its caption and the window number of every grid pixel; -1 for
            pixels without a window. Plain windows of w pixels are
            ``np.arange(grid.num_pixels) // w``; shifted ones come from the shift.
        size: Side of each ball in pixels.
        centre: Direction in the middle: a vector (x, y, z), or angles (theta, phi) in radians.
        up: Vector that points up in the picture.
        inside: Whether the sphere is seen from inside or, like a globe, from outside.
        title: A line above the figure.

    Raises:
        ValueError: If there is nothing to show or the window numbers do not belong to the grid.
    """
    if not windows:
        raise ValueError("windows is empty: expected at least one caption with window numbers")
    scale = 3
    index = disc_index(grid, scale * size, centre, up, inside)
    cells = []
    for caption, numbers in windows.items():
        numbers = np.asarray(numbers)
        if numbers.shape != (grid.num_pixels,) or numbers.dtype.kind not in "iu":
            raise ValueError(
                f"windows[{caption!r}] is {numbers.dtype} {numbers.shape}; expected an integer "
                f"for every grid pixel, ({grid.num_pixels},)"
            )
        shown = np.where(index >= 0, numbers.astype(np.int64)[np.maximum(index, 0)], -1)
        picture = _window_colours(shown)
        if grid.nside <= 32:
            draw_lines(picture, index, index, 1, PAPER, 0.75)
        draw_lines(picture, index, shown, 3, INK, 0.55)
        draw_lines(picture, index, index // grid.nside**2, 7, INK, 1.0)
        picture[index == OUTSIDE] = PAPER
        cells.append((caption, shrink(picture, scale)))
    row = _row(cells, size, size)
    bottom = np.full((_GAP, row.shape[1], 3), PAPER, dtype=np.uint8)
    return np.concatenate([*_title(title, row.shape[1]), row, bottom])


def _window_colours(shown: Integer[np.ndarray, "size size"]) -> Picture:
    """A colour for every window in the picture, unlike those of the windows that touch it."""
    numbers, compact = np.unique(shown, return_inverse=True)
    compact = compact.reshape(shown.shape)
    touching: list[set[int]] = [set() for _ in numbers]
    for a, b in (
        (compact[:, :-1], compact[:, 1:]),
        (compact[:-1], compact[1:]),
        (compact[:-1, :-1], compact[1:, 1:]),
        (compact[:-1, 1:], compact[1:, :-1]),
    ):
        for one, other in np.unique(np.stack([a[a != b], b[a != b]], axis=1), axis=0).tolist():
            touching[one].add(other)
            touching[other].add(one)
    used = np.zeros(len(_WINDOW_COLOURS), dtype=np.int64)
    choice = np.full(len(numbers), -1)
    for window in range(len(numbers)):
        taken = {int(choice[other]) for other in touching[window]}
        # Of the free colours the one used least; if none is free, the one used least at all.
        free = [c for c in range(len(used)) if c not in taken] or list(range(len(used)))
        choice[window] = min(free, key=lambda c: used[c])
        used[choice[window]] += 1
    colours = _WINDOW_COLOURS[choice]
    colours[numbers == -1] = EMPTY
    return colours[compact]


def _errors(
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    ignore_index: int,
) -> tuple[str, Picture | None]:
    """Caption with the share of wrong pixels, and the map of them."""
    if truth is None or prediction is None:
        return "Errors", None
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    # Where nothing was predicted (outside the grid) nothing is right or wrong either.
    known = np.where(prediction == ignore_index, ignore_index, truth)
    picture = error_map(image, known, prediction, ignore_index)
    counted = known != ignore_index
    if not counted.any():
        return "Errors: nothing labelled", picture
    share = np.mean(known[counted] != prediction[counted])
    return f"Errors: {share:.1%} of the pixels", picture


def _row(cells: Sequence[tuple[str, Picture | None]], width: int, height: int) -> Picture:
    """Captioned pictures side by side, each in the middle of a place of one size."""
    row = np.full((_CAPTION + height, _GAP + len(cells) * (width + _GAP), 3), PAPER, dtype=np.uint8)
    for number, (caption, picture) in enumerate(cells):
        left = _GAP + number * (width + _GAP)
        size = fitting_size(caption, _TEXT, width)
        draw_text(row, caption, left + (width - text_width(caption, size)) / 2, _CAPTION / 2, size)
        if picture is None:
            place = row[_CAPTION:, left : left + width]
            place[...] = EMPTY
            size = fitting_size("source absent", _TEXT, width)
            middle = left + (width - text_width("source absent", size)) / 2
            draw_text(row, "source absent", middle, _CAPTION + height / 2, size, colour=_MUTED)
            continue
        picture = _fit(picture, width, height)
        rows, columns = picture.shape[:2]
        top, left = _CAPTION + (height - rows) // 2, left + (width - columns) // 2
        row[top : top + rows, left : left + columns] = picture
    return row


def _fit(picture: Picture, width: int, height: int) -> Picture:
    """The picture resized to fit, proportions kept."""
    import cv2

    factor = min(width / picture.shape[1], height / picture.shape[0])
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    if size == picture.shape[1::-1]:
        return picture
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, size, interpolation=method)


def _title(title: str, width: int) -> list[Picture]:
    if not title:
        return []
    strip = np.full((_TITLE, width, 3), PAPER, dtype=np.uint8)
    size = fitting_size(title, 20, width - 2 * _GAP, bold=True)
    draw_text(strip, title, _GAP, _TITLE / 2, size, bold=True)
    return [strip]
