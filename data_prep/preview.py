"""Some samples of a prepared set in one picture: ``healswin-prep preview``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from healswin.data.sources import source_image
from healswin.data.store import PreparedSet
from healswin.data.views import view_of
from healswin.grid import HealpixGrid, ImageGrid
from healswin.viz import (
    SheetSample,
    colourise,
    contact_sheet,
    depth_scale,
    legend,
    scale_bar,
    value_scale,
    write_png,
)
from healswin.viz.colour import EMPTY, IGNORED, SKY, UNKNOWN
from healswin.viz.layout import GAP, Picture, blank

# Of maps with many channels so many are shown.
_CHANNELS = 3


@dataclass(frozen=True)
class _Column:
    """What is shown of every sample in one column.

    Args:
        caption: Its name.
        paint: The RGB of every grid pixel of a sample.
        key: What the colours mean, as a strip of some width; None if they mean themselves.
    """

    caption: str
    paint: Callable[[int], UInt8[np.ndarray, "pixels 3"]]
    key: Callable[[int], Picture] | None = None


def preview(data: Path, out: Path, samples: int = 4, names: Sequence[str] = ()) -> Path:
    """Draw some samples of a prepared set: source image, image on the grid, labels and depth.

    What no camera sees is light grey. In the middle of every picture is the direction in which the
    camera looks, or what was projected onto the sphere (`healswin.data.views`). The label of a
    whole sample stands beside its name. Of an equiangular grid the points are shown row by row as
    well; flat images are shown as they are.

    Args:
        data: A whole prepared set.
        out: The PNG file.
        samples: How many samples, spread evenly over the set.
        names: These samples instead.

    Returns:
        The file.

    Raises:
        ValueError: If there is no whole prepared set, a name is unknown, `samples` is not positive,
            `out` is no .png, or a source file is not the one that was converted.
    """
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out} must end in .png: the contact sheet is a PNG file")
    prepared = PreparedSet.open(data)
    chosen = _chosen(prepared, samples, names)
    columns = _image_columns(prepared, chosen)
    if "semantic" in prepared.tasks:
        columns.append(_label_column(prepared, chosen))
    if "depth" in prepared.tasks:
        columns.append(_depth_column(prepared, chosen))
    sheet = contact_sheet(
        prepared.grid,
        [_sheet_sample(prepared, index, columns) for index in chosen],
        [column.caption for column in columns],
        title=_title(prepared),
    )
    # Legends have a margin of their own, the half of the gap between pictures.
    width, half = sheet.shape[1], GAP // 2
    strips = [sheet]
    for column in columns:
        if column.key is not None:
            key = column.key(width - GAP)
            strip = blank(key.shape[0], width)
            strip[:, half : half + key.shape[1]] = key
            strips.append(strip)
    return write_png(out, np.concatenate([*strips, blank(half, width)]))


def _chosen(prepared: PreparedSet, samples: int, names: Sequence[str]) -> list[int]:
    if names:
        index_of = {name: index for index, name in enumerate(prepared.sample_names)}
        for name in names:
            if name not in index_of:
                raise ValueError(
                    f"{name!r} is no sample of {prepared.root}, which holds "
                    f"{prepared.sample_names[0]}, ..., {prepared.sample_names[-1]}"
                )
        return [index_of[name] for name in names]
    if samples < 1:
        raise ValueError(f"samples={samples} must be at least 1")
    spread = np.linspace(0, len(prepared) - 1, min(samples, len(prepared)))
    return np.rint(spread).astype(int).tolist()


def _title(prepared: PreparedSet) -> str:
    grid = prepared.grid
    if isinstance(grid, HealpixGrid):
        faces = len(grid.base_pixels)
        pixels = f"nside {grid.nside}, {'full sphere' if faces == 12 else f'{faces} base pixels'}"
    elif isinstance(grid, ImageGrid):
        pixels = f"{grid.height} rows of {grid.width} pixels"
    else:
        pixels = f"{grid.sampling} grid of bandwidth {grid.bandwidth}"
    return f"{prepared.root.name}: {len(prepared)} samples, {pixels}"


def _sheet_sample(prepared: PreparedSet, index: int, columns: Iterable[_Column]) -> SheetSample:
    key = prepared.sample_camera[index]
    valid, flat = prepared.valid(key), isinstance(prepared.grid, ImageGrid)
    source = source_image(prepared, index)
    notes = [part for part, indices in prepared.split.items() if index in indices]
    if key in prepared.cameras:  # the others are maps, which have a calibration each
        notes.insert(0, f"camera {key}" if source is not None else f"camera {key}, source absent")
    if "label" in prepared.tasks:
        notes.insert(0, f"label {prepared.label_names[prepared.label(index)]}")
    if not valid.all():
        notes.append(f"{valid.mean():.0%} of the {'image' if flat else 'grid'} is valid")
    views = [np.where(valid[:, None], column.paint(index), np.uint8(EMPTY)) for column in columns]
    shown = SheetSample(prepared.sample_names[index], ", ".join(notes), source, views)
    if flat:
        return shown
    centre, up = view_of(prepared, index)
    return dataclasses.replace(shown, centre=centre, up=up)


def _image_columns(prepared: PreparedSet, chosen: Sequence[int]) -> list[_Column]:
    """Colour and grey images as they are, each channel of other maps on a scale of its own."""
    flat = isinstance(prepared.grid, ImageGrid)
    if prepared.image_dtype == "uint8" and prepared.num_channels in (1, 3):
        return [
            _Column(
                "Resized image" if flat else "Image on the sphere",
                lambda index: np.broadcast_to(prepared.image(index), (prepared.grid.num_pixels, 3)),
            )
        ]
    several = prepared.num_channels > 1
    shown = range(min(prepared.num_channels, _CHANNELS))
    return [
        _channel_column(prepared, chosen, channel, f"Channel {channel}" if several else "Map")
        for channel in shown
    ]


def _channel_column(
    prepared: PreparedSet, chosen: Sequence[int], channel: int, caption: str
) -> _Column:
    def values(index: int) -> np.ndarray:
        return prepared.image(index)[:, channel].astype(np.float32)

    seen = [values(index)[prepared.valid(prepared.sample_camera[index])] for index in chosen]
    scale = value_scale(np.concatenate(seen))
    return _Column(
        caption, lambda index: scale(values(index)), lambda width: scale_bar(scale, caption, width)
    )


def _label_column(prepared: PreparedSet, chosen: Sequence[int]) -> _Column:
    found: set[int] = set()
    for index in chosen:
        labels = prepared.semantic(index)
        found |= set(np.unique(labels[prepared.valid(prepared.sample_camera[index])]).tolist())
    classes = sorted(found - {prepared.ignore_index})
    names = [prepared.class_names[number] for number in classes]
    colours = [prepared.class_colours[number] for number in classes]
    if prepared.ignore_index in found:
        names.append("no label")
        colours.append(list(IGNORED))
    return _Column(
        "Labels",
        lambda index: colourise(
            prepared.semantic(index), prepared.class_colours, prepared.ignore_index
        ),
        (lambda width: legend(names, colours, width)) if names else None,
    )


def _depth_column(prepared: PreparedSet, chosen: Sequence[int]) -> _Column:
    scale = depth_scale(np.concatenate([prepared.depth(index) for index in chosen]))
    swatches = [("sky", SKY), ("unknown", UNKNOWN)]
    return _Column(
        "Depth",
        lambda index: scale(prepared.depth(index)),
        lambda width: scale_bar(scale, "Depth in m", width, swatches),
    )
