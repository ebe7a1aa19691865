"""Whole figures: image, truth and prediction side by side, and the windows of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Integer, UInt8
from numpy.typing import ArrayLike

from healswin.grid import HealpixGrid
from healswin.viz.colour import EMPTY, IGNORED, INK, PAPER, colourise, error_map
from healswin.viz.layout import GAP, Picture, blank, captioned_row, title_strips
from healswin.viz.sphere import OUTSIDE, SphereGrid, disc_index, draw_lines, orthographic, shrink
from healswin.viz.text import legend

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
    grid: SphereGrid,
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
    occur. A place whose source is None says "source absent". Without image, truth and prediction
    in it, as of a sample that no camera took, there is no upper row.

    Args:
        grid: The grid of the sphere's values.
        image: The fisheye image, RGB, uint8 (height, width, 3).
        truth: True class ids in the image, integers (height, width).
        prediction: Predicted class ids in the image, integers (height, width); ``ignore_index``
            outside the grid. None without a camera.
        sphere_image: RGB of every grid pixel, uint8 (pixels, 3).
        sphere_truth: True class ids on the grid, integers (pixels,).
        sphere_prediction: Predicted class ids on the grid, integers (pixels,).
        class_names: Names of the classes.
        class_colours: RGB in 0..255 of the classes.
        title: A line above the figure.
        ignore_index: Class id of pixels without truth or without prediction.
        centre: Direction in the middle of the ball, see `healswin.viz.sphere.orthographic`.
        up: Vector that points up in the picture of the ball.
        height: Height of each picture in pixels.

    Raises:
        ValueError: If shapes do not agree, a label has no name or colour, or the title is too
            long for the width.
    """
    _check_classes(class_names, class_colours)

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
    upper = _image_cells(image, truth, prediction, class_colours, ignore_index)
    lower = [
        ("On the sphere", ball(sphere_image)),
        ("Truth", None if sphere_colours is None else ball(sphere_colours)),
        ("Prediction", ball(paint(sphere_prediction))),
        (sphere_caption, None if sphere_errors is None else ball(sphere_errors[0])),
    ]
    shapes = [picture.shape for _, picture in upper if picture is not None]
    widest = max([round(height * shape[1] / shape[0]) for shape in shapes] + [height])
    rows = [captioned_row(cells, widest, height) for cells in ([upper] if shapes else []) + [lower]]
    labels = (truth, prediction, sphere_truth, sphere_prediction)
    return _figure(title, rows, labels, class_names, class_colours, ignore_index)


def image_panel(
    *,
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray,
    class_names: Sequence[str],
    class_colours: Sequence[Sequence[int]] | np.ndarray,
    title: str = "",
    ignore_index: int = 255,
    height: int = 300,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """A sample of a flat data set as a figure: image, truth, prediction, errors; no sphere.

    Args:
        image: RGB, uint8 (height, width, 3); None where it is absent.
        truth: True class ids, integers (height, width); None where they are absent.
        prediction: Predicted class ids, integers (height, width); ``ignore_index`` where the lens
            sees nothing.
        class_names: Names of the classes.
        class_colours: RGB in 0..255 of the classes.
        title: A line above the figure.
        ignore_index: Class id of pixels without truth or without prediction.
        height: Height of each picture in pixels.

    Raises:
        ValueError: If shapes do not agree, a label has no name or colour, or the title is too
            long for the width.
    """
    _check_classes(class_names, class_colours)
    cells = _image_cells(image, truth, prediction, class_colours, ignore_index)
    width = round(height * prediction.shape[1] / prediction.shape[0])
    labels = (truth, prediction)
    row = captioned_row(cells, width, height)
    return _figure(title, [row], labels, class_names, class_colours, ignore_index)


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
    row = captioned_row(cells, size, size)
    bottom = blank(GAP, row.shape[1])
    return np.concatenate([*title_strips(title, row.shape[1]), row, bottom])


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


def _check_classes(class_names: Sequence[str], class_colours: Sequence | np.ndarray) -> None:
    if len(class_names) != len(class_colours):
        raise ValueError(
            f"{len(class_names)} class_names and {len(class_colours)} class_colours: expected "
            "one of each per class"
        )


def _image_cells(
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    class_colours: Sequence[Sequence[int]] | np.ndarray,
    ignore_index: int,
) -> list[tuple[str, Picture | None]]:
    """The row of pictures in the image, with their captions."""

    def paint(labels: np.ndarray | None) -> np.ndarray | None:
        return None if labels is None else colourise(labels, class_colours, ignore_index)

    return [
        ("Fisheye image", image),
        ("Truth", paint(truth)),
        ("Prediction", paint(prediction)),
        _errors(image, truth, prediction, ignore_index),
    ]


def _figure(
    title: str,
    rows: Sequence[Picture],
    labels: Sequence[np.ndarray | None],
    class_names: Sequence[str],
    class_colours: Sequence[Sequence[int]] | np.ndarray,
    ignore_index: int,
) -> Picture:
    """Rows of pictures between a title and the legend of the classes that occur in the labels."""
    width = rows[0].shape[1]
    shown = [values for values in labels if values is not None]
    found = sorted({int(c) for values in shown for c in np.unique(values)} - {ignore_index})
    names = [class_names[c] for c in found]
    colours = [class_colours[c] for c in found]
    if any((values == ignore_index).any() for values in shown):
        names.append("no label")
        colours.append(IGNORED)
    # Half of the gap is in the legend already: its swatches stand below the pictures' left edge.
    key = legend(names, colours, width - GAP)
    margins = ((GAP, 0), (GAP // 2, GAP - GAP // 2), (0, 0))
    key = np.pad(key, margins, constant_values=PAPER[0])
    return np.concatenate([*title_strips(title, width), *rows, key])


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
