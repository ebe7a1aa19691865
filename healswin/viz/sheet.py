"""Contact sheets: several samples of a data set in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from healswin.grid import EquiangularGrid, ImageGrid
from healswin.viz.layout import (
    CAPTION,
    GAP,
    MUTED,
    TITLE_TEXT,
    Picture,
    blank,
    fit,
    put,
    put_text,
    title_strip,
)
from healswin.viz.sphere import (
    CAMERA_UP,
    NORTH,
    SphereGrid,
    mollweide,
    orthographic,
    unrolled,
)
from healswin.viz.text import draw_text, shortened, text_width

_SOURCE = "Source image"
_HEAD = 36
_NAME = 17.0
_NOTES = 15.0

# Wider source images than this (width / height) are shown smaller, not wider.
_WIDEST = 4 / 3


@dataclass(frozen=True)
class SheetSample:
    """One sample of a contact sheet.

    Args:
        name: Its title.
        notes: What else there is to say, behind the title.
        source: The image it was made from, RGB, uint8 (height, width, 3); None where it is absent.
        views: For each column of the sheet the RGB of every grid pixel, uint8 (pixels, 3).
        centre: Direction (x, y, z) in the middle of its balls and spheres; flat images have none.
        up: Vector that points up in them; that of the sheet if None.
    """

    name: str
    notes: str
    source: np.ndarray | None
    views: Sequence[np.ndarray]
    centre: tuple[float, float, float] = NORTH
    up: tuple[float, float, float] | None = None


def contact_sheet(
    grid: SphereGrid | ImageGrid,
    samples: Sequence[SheetSample],
    captions: Sequence[str],
    title: str,
    up: ArrayLike = CAMERA_UP,
    size: int = 280,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Samples one below the other: the source image and every view as a ball and a whole sphere.

    The balls are orthographic and show the hemisphere around the sample's centre, the whole sphere
    is a Mollweide picture with the centre in its middle; both are seen from inside, so that left
    and right agree with the source image. Of an equiangular grid the whole sphere are its points,
    ring below ring. A single view has the place for a row, with the hemisphere behind where there
    is no source image. Flat images are shown as they are.

    Args:
        grid: The grid of the views' values.
        samples: What is shown.
        captions: Of the views, the columns of the sheet.
        title: A line above the sheet.
        up: Vector that points up in the pictures.
        size: Width of a view of the sphere, and height of a flat one, in pixels.

    Raises:
        ValueError: If there is no sample or no view, a sample has another number of views than
            there are captions, or its values do not belong to the grid.
    """
    if not samples or not captions:
        raise ValueError(f"{len(samples)} samples and {len(captions)} captions: nothing to show")
    for sample in samples:
        if len(sample.views) != len(captions):
            raise ValueError(
                f"sample {sample.name!r} has {len(sample.views)} views; there are captions for "
                f"{list(captions)}"
            )
    with_source = any(sample.source is not None for sample in samples)
    one_row = len(captions) == 1 or isinstance(grid, ImageGrid)
    height = size if one_row else size + GAP + _whole_size(grid, size)[1]
    columns = _columns(captions, [sample.source for sample in samples], grid, size, height)
    width = GAP + sum(column + GAP for _, column in columns)
    title = shortened(title, TITLE_TEXT, width - 2 * GAP, bold=True)
    strips = [title_strip(title, width), _captions(columns, width)]
    for sample in samples:
        row = blank(height + GAP, width)
        pictures = _pictures(sample, with_source, grid, up, size)
        left = GAP
        for (_, column), picture in zip(columns, pictures, strict=True):
            put(row, picture, left, 0, (column, height))
            left += column + GAP
        strips += [_head(sample, width), row]
    return np.concatenate(strips)


def _whole_size(grid: SphereGrid, width: int) -> tuple[int, int]:
    """Width and height of the picture of a whole sphere."""
    return (width, width) if isinstance(grid, EquiangularGrid) else (width, width // 2)


def _columns(
    captions: Sequence[str],
    sources: Sequence[np.ndarray | None],
    grid: SphereGrid | ImageGrid,
    size: int,
    height: int,
) -> list[tuple[str, int]]:
    """Caption and width of each column."""
    shapes = [source.shape for source in sources if source is not None]
    widest = max([min(shape[1] / shape[0], _WIDEST) for shape in shapes], default=0)
    if isinstance(grid, ImageGrid):
        width = round(height * min(grid.width / grid.height, _WIDEST))
        columns = [(caption, width) for caption in captions]
    elif len(captions) > 1:
        columns = [(caption, size) for caption in captions]
    else:
        behind = [] if shapes else [("The hemisphere behind", size)]
        whole = (
            ("Ring below ring", size)
            if isinstance(grid, EquiangularGrid)
            else ("The whole sphere", 2 * size)
        )
        columns = [(captions[0], size), *behind, whole]
    return [(_SOURCE, round(height * widest)), *columns] if shapes else columns


def _pictures(
    sample: SheetSample,
    with_source: bool,
    grid: SphereGrid | ImageGrid,
    up: ArrayLike,
    size: int,
) -> list[Picture | None]:
    """The pictures of a sample, one a column."""
    up = up if sample.up is None else sample.up

    def ball(view: np.ndarray, towards: ArrayLike) -> Picture:
        return orthographic(view, grid, size, towards, up, supersample=2)

    def sphere(view: np.ndarray, width: int) -> Picture:
        width, height = _whole_size(grid, width)
        if isinstance(grid, EquiangularGrid):
            return fit(unrolled(view, grid, width), width, height)
        return mollweide(view, grid, height, sample.centre, up, inside=True, supersample=2)

    source = [sample.source] if with_source else []
    if isinstance(grid, ImageGrid):
        return [*source, *(_flat(view, grid) for view in sample.views)]
    if len(sample.views) == 1:
        view = sample.views[0]
        behind = [] if with_source else [ball(view, -np.asarray(sample.centre))]
        whole = sphere(view, size if isinstance(grid, EquiangularGrid) else 2 * size)
        return [*source, ball(view, sample.centre), *behind, whole]
    gap = blank(GAP, size)
    views = [(ball(view, sample.centre), gap, sphere(view, size)) for view in sample.views]
    return [*source, *map(np.concatenate, views)]


def _flat(view: UInt8[np.ndarray, "pixels 3"], grid: ImageGrid) -> Picture:
    if view.shape != (grid.num_pixels, 3):
        raise ValueError(f"a view has shape {view.shape}, ({grid.num_pixels}, 3) is that of {grid}")
    return view.reshape(*grid.shape, 3)


def _captions(columns: Sequence[tuple[str, int]], width: int) -> Picture:
    strip = blank(CAPTION, width)
    left = GAP
    for caption, column in columns:
        put_text(strip, caption, left, CAPTION / 2, column)
        left += column + GAP
    return strip


def _head(sample: SheetSample, width: int) -> Picture:
    """The line above a sample: its name and, fainter, the notes; cut where they are too long."""
    strip = blank(_HEAD, width)
    name = shortened(sample.name, _NAME, width - 2 * GAP, bold=True)
    draw_text(strip, name, GAP, _HEAD / 2, _NAME, bold=True)
    left = 3 * GAP + text_width(name, _NAME, bold=True)
    if left < 0.8 * width:
        notes = shortened(sample.notes, _NOTES, width - GAP - left)
        draw_text(strip, notes, left, _HEAD / 2, _NOTES, colour=MUTED)
    return strip
