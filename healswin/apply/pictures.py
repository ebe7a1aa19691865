"""What a model says of an image, as files: pictures to look at and arrays to work with.

| file | what it is |
|---|---|
| ``overlay.png`` | the classes over the photograph, with their legend |
| ``labels.png`` | 8-bit grey: the class of every pixel of the photograph, 255 where there is none |
| ``colours.png`` | the same in the classes' colours |
| ``depth.npy`` | float32 (height, width): metres along the ray, NaN where there is none |
| ``depth.png`` | the same in colours, with their scale |
| ``scores.json`` | the probability of every label, of models that classify |
| ``sphere.png`` | what the model was given and what it says, on the sphere |
| ``sphere_labels.npy`` | uint8 (pixels,): classes of a map, which has no photograph |
| ``sphere_depth.npy`` | float32 (pixels,): depth of a map |
"""

from __future__ import annotations

import colorsys
import json
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from healswin.apply.application import OUTSIDE, Applied
from healswin.cameras import Camera, pole_rotation
from healswin.grid import EquiangularGrid, Grid, HealpixGrid
from healswin.viz import (
    azimuthal,
    colourise,
    depth_scale,
    legend,
    mollweide,
    overlay,
    scale_bar,
    value_scale,
    write_png,
)
from healswin.viz.colour import EMPTY, PAPER, SKY, UNKNOWN
from healswin.zoo.config import ModelConfig

# Width of a photograph below which a legend could not be read: smaller ones are enlarged.
_NARROWEST = 480
_SPHERE_SIZE = 480
_GAP = 14
# Of more than this share of the sphere a disc would be mostly rim.
_NEARLY_ALL = 0.75


def write_applied(
    folder: Path,
    applied: Applied,
    config: ModelConfig,
    grid: Grid,
    image: UInt8[np.ndarray, "height width 3"] | None = None,
    camera: Camera | None = None,
) -> list[str]:
    """Write everything a model says of an image into a folder, files of these names replaced.

    Args:
        folder: Where; it is made.
        applied: What the model says.
        config: The model's configuration, for names and colours.
        grid: The model's grid.
        image: The photograph, RGB, uint8 (height, width, 3); None for a map.
        camera: Its calibration; None for a map.

    Returns:
        Names of the files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, colours = class_legend(config)
    pictures: dict[str, np.ndarray] = {}
    arrays: dict[str, np.ndarray] = {}
    written = []
    if applied.labels is not None:
        pictures["overlay.png"] = labelled(image, applied.labels, names, colours)
        pictures["colours.png"] = colourise(applied.labels, colours, OUTSIDE)
        _write(folder / "labels.png", cv2.imencode(".png", applied.labels)[1].tobytes())
        written.append("labels.png")
    if applied.depth is not None:
        arrays["depth.npy"] = applied.depth
        pictures["depth.png"] = depth_picture(applied.depth)
    if camera is None and applied.sphere_labels is not None:
        arrays["sphere_labels.npy"] = applied.sphere_labels
    if camera is None and applied.sphere_depth is not None:
        arrays["sphere_depth.npy"] = applied.sphere_depth
    pictures["sphere.png"] = sphere_picture(applied, colours, grid, config.pole, camera)
    for name, array in arrays.items():
        file = BytesIO()
        np.save(file, array)
        _write(folder / name, file.getvalue())
    for name, picture in pictures.items():
        write_png(folder / name, picture)
    written += [*arrays, *pictures]
    if applied.scores is not None:
        text = json.dumps(ranked(applied, names), indent=2, ensure_ascii=False) + "\n"
        _write(folder / "scores.json", text.encode())
        written.append("scores.json")
    return sorted(written)


def ranked(applied: Applied, names: Sequence[str]) -> dict[str, float]:
    """The probability of each label (its name), the likeliest first."""
    order = np.argsort(-applied.scores, kind="stable")
    return {names[label]: round(float(applied.scores[label]), 6) for label in order}


def class_legend(config: ModelConfig) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Names and RGB colours of a model's classes; made up where its configuration has none."""
    count = config.num_classes
    names = list(config.class_names) or [f"class {number}" for number in range(count)]
    colours = [tuple(colour) for colour in config.class_colours]
    if not colours:
        # Neighbouring classes a golden section of the circle of hues apart.
        hues = [number * 0.618034 % 1 for number in range(count)]
        bright = [colorsys.hsv_to_rgb(hue, 0.65, 0.9) for hue in hues]
        colours = [tuple(round(255 * side) for side in colour) for colour in bright]
    return names, colours


def labelled(
    image: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    names: Sequence[str],
    colours: Sequence[Sequence[int]],
) -> UInt8[np.ndarray, "taller wider 3"]:
    """The classes over the photograph, and below the legend of those that occur, largest first."""
    picture = enlarged(overlay(image, labels, colours, ignore_index=OUTSIDE))
    counts = np.bincount(labels.ravel(), minlength=OUTSIDE + 1)[: len(names)]
    found = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    if not found:
        return picture
    width = picture.shape[1]
    size = max(15, width // 60)
    key = legend([names[n] for n in found], [colours[n] for n in found], width, size=size)
    return np.concatenate([picture, key])


def depth_picture(
    depth: Float[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "taller wider 3"]:
    """Depth in colours, and below their scale in metres."""
    scale = depth_scale(depth.ravel())
    picture = enlarged(scale(depth))
    swatches = [("sky", SKY)] if np.isposinf(depth).any() else []
    swatches += [("none", UNKNOWN)] if np.isnan(depth).any() else []
    size = max(15, picture.shape[1] // 60)
    return np.concatenate(
        [picture, scale_bar(scale, "metres", picture.shape[1], swatches, size=size)]
    )


def sphere_picture(
    applied: Applied,
    colours: Sequence[Sequence[int]],
    grid: Grid,
    pole: str,
    camera: Camera | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """What the model was given and, beside it, what it says, as seen from the sphere's centre.

    The middle is the optical axis, and up is up in the photograph; of most of the sphere it is an
    equal-area map, of less an equidistant disc that reaches to the last valid pixel. Grids of rings
    are shown as they are, ring by ring from the north pole.
    """
    panes = [_as_colours(applied.sphere_image)]
    if applied.sphere_labels is not None:
        panes.append(colourise(applied.sphere_labels, colours, OUTSIDE))
    if applied.sphere_depth is not None:
        known = applied.sphere_depth[applied.valid]
        panes.append(depth_scale(known)(applied.sphere_depth))
    panes = [np.where(applied.valid[:, None], pane, np.uint8(EMPTY)) for pane in panes]
    if isinstance(grid, EquiangularGrid):
        views = [enlarged(pane.reshape(*grid.shape, 3)) for pane in panes]
    else:
        views = _views(panes, applied.valid, grid, pole, camera)
    paper = np.full((views[0].shape[0], _GAP, 3), PAPER, dtype=np.uint8)
    return np.concatenate([part for view in views for part in (view, paper)][:-1], axis=1)


def enlarged(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "taller wider 3"]:
    """A whole number of times larger, if it is too narrow for a legend."""
    factor = math.ceil(_NARROWEST / picture.shape[1])
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _views(
    panes: Sequence[UInt8[np.ndarray, "pixels 3"]],
    valid: np.ndarray,
    grid: HealpixGrid,
    pole: str,
    camera: Camera | None,
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Each pane in the same projection."""
    if camera is None:
        # A map has no camera: the north pole is up.
        return [mollweide(pane, grid, _SPHERE_SIZE, supersample=2) for pane in panes]
    # The rotation turns map directions into camera axes; its rows are these axes in the map.
    _, down, forward = pole_rotation(camera, pole)
    centre, up = tuple(forward.tolist()), tuple((-down).tolist())
    if valid.sum() > _NEARLY_ALL * 12 * grid.nside**2:
        return [
            mollweide(pane, grid, _SPHERE_SIZE, centre, up, inside=True, supersample=2)
            for pane in panes
        ]
    widest = np.arccos(np.clip((grid.vectors()[valid] @ forward).min(), -1, 1))
    angle = float(min(widest + grid.pixel_spacing, math.pi))
    return [azimuthal(p, grid, angle, _SPHERE_SIZE, centre, up, supersample=2) for p in panes]


def _as_colours(values: Shaped[np.ndarray, "pixels channels"]) -> UInt8[np.ndarray, "pixels 3"]:
    """Colour images as they are, of other maps the first channel on a scale."""
    if values.dtype == np.uint8 and values.shape[1] == 3:
        return values
    first = values[:, 0].astype(np.float64)
    return value_scale(first)(first)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
