"""Predicted depth beside the truth, in the image and on the sphere.

Distances have the colours of a logarithmic scale, near yellow and far violet, taken from the truth;
sky is pale blue and what is not known almost black. Errors are ratios of predicted and true
distance, which make an error of a tenth look alike near and far: blue where the prediction is too
near, red where it is too far.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from healswin.viz.colour import IGNORED, PAPER, SKY, UNKNOWN, ColourScale, depth_scale
from healswin.viz.layout import GAP, Picture, captioned_row, title_strips
from healswin.viz.sphere import CAMERA_UP, NORTH, SphereGrid, orthographic
from healswin.viz.text import scale_bar

RATIOS = ColourScale(0.5, 2.0, "ratio")
"""The scale of errors: up to half and twice the true distance."""

# Width in pixels from which on the bars of both scales stand side by side.
_SIDE_BY_SIDE = 1000


def depth_errors(truth: np.ndarray, prediction: np.ndarray) -> UInt8[np.ndarray, "*any 3"]:
    """The colours of predicted by true distance, `RATIOS`.

    Args:
        truth: Metres, floats of any shape; where it is not finite (sky, unknown) nothing is right
            or wrong and the picture is `IGNORED`.
        prediction: Metres of the same shape; where it is NaN nothing was predicted, likewise.

    Raises:
        ValueError: If the shapes differ.
    """
    counted = _counted(truth, prediction)
    ratio = np.ones(truth.shape)
    # A prediction of 0 or less is as far too near as can be shown.
    nearest = RATIOS.low * truth[counted]
    ratio[counted] = np.maximum(prediction[counted], nearest) / truth[counted]
    picture = RATIOS(ratio)
    picture[~counted] = IGNORED
    return picture


def depth_panel(
    *,
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    grid: SphereGrid | None = None,
    sphere_image: np.ndarray | None = None,
    sphere_truth: np.ndarray | None = None,
    sphere_prediction: np.ndarray | None = None,
    title: str = "",
    centre: ArrayLike = NORTH,
    up: ArrayLike = CAMERA_UP,
    height: int = 300,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One sample as a figure: what was seen, how far it is, what was predicted, what is wrong.

    The upper row is the image, the lower row the same on the sphere (orthographic, from inside);
    below are the scales of distance and error. A place whose source is None says "source absent".
    Without image, truth and prediction in it there is no upper row, and without a prediction on
    the sphere, as of flat images, no lower one.

    Args:
        image: RGB, uint8 (height, width, 3).
        truth: Metres in the image, floats (height, width); +inf sky, NaN unknown.
        prediction: Metres in the image, floats (height, width); NaN outside the grid.
        grid: The grid of the sphere's values; needed for the lower row.
        sphere_image: RGB of every grid pixel, uint8 (pixels, 3).
        sphere_truth: Metres on the grid, floats (pixels,).
        sphere_prediction: Metres on the grid, floats (pixels,).
        title: A line above the figure.
        centre: Direction in the middle of the ball, see `healswin.viz.sphere.orthographic`.
        up: Vector that points up in the picture of the ball.
        height: Height of each picture in pixels.

    Raises:
        ValueError: If there is no prediction at all or the sphere's has no grid, shapes do not
            agree, or the title is too long for the width.
    """
    if prediction is None and sphere_prediction is None:
        raise ValueError("prediction and sphere_prediction are None: there is nothing to compare")
    if sphere_prediction is not None and grid is None:
        raise ValueError("grid is None: the sphere's prediction has nowhere to be drawn")
    known = [values for values in (truth, sphere_truth) if values is not None]
    predicted = [values for values in (prediction, sphere_prediction) if values is not None]
    scale = depth_scale(np.concatenate([values.ravel() for values in known or predicted]))

    def ball(values: UInt8[np.ndarray, "pixels 3"] | None) -> Picture | None:
        if values is None:
            return None
        return orthographic(values, grid, height, centre, up, supersample=2)

    rows = []
    if not (image is None and truth is None and prediction is None):
        rows.append(_cells("Fisheye image", image, truth, prediction, scale))
    if sphere_prediction is not None:
        cells = _cells("On the sphere", sphere_image, sphere_truth, sphere_prediction, scale)
        rows.append([(caption, ball(values)) for caption, values in cells])
    shapes = [picture.shape for row in rows for _, picture in row if picture is not None]
    widest = max(round(height * shape[1] / shape[0]) for shape in shapes)
    strips = [captioned_row(row, widest, height) for row in rows]
    width = strips[0].shape[1]
    return np.concatenate([*title_strips(title, width), *strips, _scales(scale, width)])


def _cells(
    caption: str,
    image: np.ndarray | None,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    scale: ColourScale,
) -> list[tuple[str, np.ndarray | None]]:
    """A row's captions, and the colours of its places in the shape of the values."""
    return [
        (caption, image),
        ("True distance", None if truth is None else scale(truth)),
        ("Predicted distance", None if prediction is None else scale(prediction)),
        _error_cell(truth, prediction),
    ]


def _error_cell(
    truth: np.ndarray | None, prediction: np.ndarray | None
) -> tuple[str, np.ndarray | None]:
    """Caption with the figures of this sample, and the map of the errors."""
    if truth is None or prediction is None:
        return "Error", None
    picture = depth_errors(truth, prediction)
    counted = _counted(truth, prediction)
    if not counted.any():
        return "Error: no distance is known", picture
    metres = truth[counted].astype(np.float64)
    error = prediction[counted] - metres
    rmse, relative = np.sqrt(np.mean(error**2)), np.mean(np.abs(error) / metres)
    return f"Error: RMSE {rmse:.2f} m, AbsRel {relative:.3f}", picture


def _counted(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The pixels where something is right or wrong, bool of the shape of both."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    return np.isfinite(truth) & ~np.isnan(prediction)


def _scales(scale: ColourScale, width: int) -> Picture:
    """The bars of both scales, side by side where there is room."""
    stacked = width < _SIDE_BY_SIDE
    # The bars have a margin of their own, about half a gap.
    room = width - GAP if stacked else (width - 2 * GAP) // 2
    bars = [
        scale_bar(scale, "metres", room, [("sky", SKY), ("unknown", UNKNOWN)]),
        scale_bar(RATIOS, "predicted / true", room, [("not counted", IGNORED)]),
    ]
    strip = np.concatenate(bars, axis=0 if stacked else 1)
    left = GAP // 2
    margins = ((GAP, GAP // 2), (left, width - left - strip.shape[1]), (0, 0))
    return np.pad(strip, margins, constant_values=PAPER[0])
