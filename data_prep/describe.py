"""What a prepared set holds, as readable tables: ``healswin-prep inspect``."""

from __future__ import annotations

import io
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

from healswin.data.shards import shard_size
from healswin.data.store import PreparedSet, array_metadata
from healswin.grid import EquiangularGrid, Grid, HealpixGrid, ImageGrid

# Of what a set may hold thousands of (calibrations, skipped frames), so many are listed.
_LISTED = 20


def describe(data: Path) -> str:
    """Contents, grid, cameras, classes and sizes of a prepared set.

    Raises:
        ValueError: If there is no whole prepared set.
    """
    prepared = PreparedSet.open(data)
    tables = [_facts(prepared), _arrays(prepared), _cameras(prepared)]
    if prepared.num_classes:
        tables.append(class_table(prepared.attributes))
    if prepared.label_names:
        tables.append(label_table(prepared.attributes))
    if prepared.attributes.get("skipped"):
        tables.append(_skipped(prepared.attributes["skipped"]))
    return as_text(*tables)


def as_text(*tables: RenderableType) -> str:
    """Tables as plain text, which reads the same on a terminal, in a pipe and in a log."""
    text = io.StringIO()
    console = Console(file=text, width=100, highlight=False, markup=False)
    for table in tables:
        console.print(table)
    return text.getvalue().rstrip()


def class_table(attributes: dict[str, Any]) -> Table:
    """The classes with their colours, shares of the training pixels and weights in the loss."""
    table = Table("id", "class", "colour", "share of the training pixels", "weight")
    frequencies = attributes["class_frequencies"]
    rows = zip(
        attributes["class_names"],
        attributes["class_colours"],
        frequencies,
        attributes.get("class_weights") or [None] * len(frequencies),
        strict=True,
    )
    for number, (name, (red, green, blue), share, weight) in enumerate(rows):
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        stated = "" if weight is None else f"{weight:.4f}"
        table.add_row(str(number), name, colour, f"{share:.3%}", stated)
    return table


def label_table(attributes: dict[str, Any]) -> Table:
    """The labels of whole samples with their shares of the training samples."""
    table = Table("id", "label", "share of the training samples")
    rows = zip(attributes["label_names"], attributes["label_frequencies"], strict=True)
    for number, (name, share) in enumerate(rows):
        table.add_row(str(number), name, f"{share:.3%}")
    return table


def depth_text(depth: dict[str, Any]) -> str:
    """The depth statistics in one line."""
    if not depth["count"]:
        return "none known"
    return " ".join(f"{key} {depth[key]:.3f} m" for key in ("min", "max", "mean", "std"))


def _facts(prepared: PreparedSet) -> Table:
    attributes = prepared.attributes
    conversion = attributes.get("conversion", {})
    table = Table(title=str(prepared.root), show_header=False)
    table.add_row("grid", _grid_text(prepared.grid))
    table.add_row("pixels", _pixel_text(prepared.grid))
    if not isinstance(prepared.grid, ImageGrid):
        table.add_row("pole", prepared.pole)
    table.add_row("samples", str(len(prepared)))
    table.add_row("split", ", ".join(f"{k} {len(v)}" for k, v in prepared.split.items()))
    table.add_row("image", _image_kind(prepared))
    table.add_row("image mean", numbers(prepared.image_mean))
    table.add_row("image std", numbers(prepared.image_std))
    if "depth_statistics" in attributes:
        table.add_row("depth without sky", depth_text(attributes["depth_statistics"]))
    if prepared.num_classes:
        table.add_row("class list", str(conversion.get("classes") or "of the source"))
        void = attributes.get("invalid") == "void"
        outside = f"0, {prepared.class_names[0]}" if void else "255, ignored"
        table.add_row("label outside the field", outside)
    if any(attributes.get("crop") or ()):
        sides = zip(("left", "top", "right", "bottom"), attributes["crop"], strict=True)
        table.add_row("cut from the images", ", ".join(f"{side} {n} px" for side, n in sides))
    if attributes.get("own_vehicle"):
        table.add_row("own vehicle left out of", ", ".join(attributes["own_vehicle"]))
    if attributes.get("skipped"):
        table.add_row("frames skipped", str(len(attributes["skipped"])))
    table.add_row("source", str(prepared.source_root))
    reader = f", reader {conversion['reader']}" if "reader" in conversion else ""
    table.add_row("made by", f"healswin-prep {attributes['tool_version']}{reader}")
    return table


def _grid_text(grid: Grid) -> str:
    if isinstance(grid, HealpixGrid):
        faces = ", ".join(str(face) for face in grid.base_pixels)
        return f"HEALPix nside {grid.nside}, nested, base pixels {faces}"
    rows, columns = grid.shape
    if isinstance(grid, EquiangularGrid):
        kind = f"equiangular, {grid.sampling}, bandwidth {grid.bandwidth}"
        return f"{kind}: {rows} rings of {columns} points"
    return f"flat image, {rows} rows of {columns} pixels"


def _pixel_text(grid: Grid) -> str:
    """Number and size; of HEALPix sqrt(4 pi / (12 nside^2)), the side of a square of the area."""
    if isinstance(grid, HealpixGrid):
        return f"{grid.num_pixels}, {_angle(math.sqrt(math.pi / 3) / grid.nside)} wide"
    if isinstance(grid, EquiangularGrid):
        return f"{grid.num_pixels}, {_angle(math.pi / (2 * grid.bandwidth))} from ring to ring"
    return str(grid.num_pixels)


def _angle(radians: float) -> str:
    degrees = math.degrees(radians)
    return f"{degrees:.2f} degrees" if degrees >= 0.1 else f"{60 * degrees:.2f} arc minutes"


def _image_kind(prepared: PreparedSet) -> str:
    channels, dtype = prepared.num_channels, prepared.image_dtype
    kind = f"{channels} channel{'s' if channels > 1 else ''}, {dtype}"
    unit = "mean and std are of value / 255" if dtype == "uint8" else "in the unit of the maps"
    averaged = prepared.attributes.get("conversion", {}).get("antialias")
    return f"{kind}, {unit}{', averaged over each pixel' if averaged else ''}"


def numbers(values: list[float]) -> str:
    """Figures of one kind in a line: fixed point where that says enough."""
    plain = all(value == 0 or 1e-3 <= abs(value) < 1e5 for value in values)
    return " ".join(f"{value:.4f}" if plain else f"{value:.5g}" for value in values)


def _arrays(prepared: PreparedSet) -> Table:
    table = Table("array", "dtype", "shape", "rows a file", "bytes", "on disk")
    for name in ("image", *prepared.tasks, "valid"):
        folder = prepared.root / name
        metadata = array_metadata(prepared.root, name)
        shape, dtype = metadata["shape"], metadata["data_type"]
        size = np.dtype(dtype).itemsize * math.prod(shape)
        stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        rows = str(shard_size(metadata) or 1)
        table.add_row(name, dtype, str(tuple(shape)), rows, _size(size), _size(stored))
    return table


def _cameras(prepared: PreparedSet) -> Table:
    cameras = prepared.attributes["cameras"]
    table = Table("camera", "model", "image", "samples", "valid pixels")
    count = Counter(prepared.sample_camera)
    for camera in cameras[:_LISTED]:
        key, calibration = camera["key"], camera["calibration"]
        # Samples that no camera took have a field of view and nothing else.
        intrinsic = None if calibration is None else calibration["intrinsic"]
        table.add_row(
            key,
            "none" if intrinsic is None else intrinsic["model"],
            "" if intrinsic is None else _source_size(intrinsic),
            str(count[key]),
            f"{prepared.valid(key).mean():.1%}",
        )
    if len(cameras) > _LISTED:
        table.add_row("...", f"{len(cameras) - _LISTED} more calibrations", "", "", "")
    return table


def _source_size(intrinsic: dict[str, Any]) -> str:
    if intrinsic["model"] == "healpix":
        return f"nside {intrinsic['nside']}, {intrinsic['order']}"
    return f"{intrinsic['width']:g} x {intrinsic['height']:g}"


def _skipped(skipped: list[dict[str, str]]) -> Table:
    table = Table("skipped", "because")
    for frame in skipped[:_LISTED]:
        table.add_row(frame["name"], frame["reason"])
    if len(skipped) > _LISTED:
        table.add_row("...", f"{len(skipped) - _LISTED} more frames")
    return table


def _size(size: float | int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    return f"{size:.1f} GB"
