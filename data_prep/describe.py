"""What a prepared set holds, as a readable table: ``healswin-prep inspect``."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from healswin.data.store import PreparedSet


def describe(data: Path) -> str:
    """Contents, grid, cameras, classes and sizes of a prepared set.

    Raises:
        ValueError: If there is no whole prepared set.
    """
    prepared = PreparedSet.open(data)
    attributes = prepared.attributes
    text = io.StringIO()
    # Fixed width: the table reads the same on a terminal, in a pipe and in a log.
    console = Console(file=text, width=100, highlight=False, markup=False)
    console.print(_facts(prepared, attributes))
    console.print(_arrays(prepared))
    console.print(_cameras(prepared))
    if prepared.num_classes:
        console.print(_classes(prepared))
    return text.getvalue().rstrip()


def _facts(prepared: PreparedSet, attributes: dict) -> Table:
    table = Table(title=str(prepared.root), show_header=False)
    faces = ", ".join(str(face) for face in prepared.grid.base_pixels)
    table.add_row("grid", f"HEALPix nside {prepared.grid.nside}, nested, base pixels {faces}")
    table.add_row("pixels", f"{prepared.grid.num_pixels}")
    table.add_row("pole", prepared.pole)
    table.add_row("samples", str(len(prepared)))
    table.add_row("split", ", ".join(f"{k} {len(v)}" for k, v in prepared.split.items()))
    table.add_row("image mean", " ".join(f"{value:.4f}" for value in prepared.image_mean))
    table.add_row("image std", " ".join(f"{value:.4f}" for value in prepared.image_std))
    depth = attributes.get("depth_statistics")
    if depth and depth["count"]:
        table.add_row(
            "depth without sky",
            " ".join(f"{key} {depth[key]:.3f} m" for key in ("min", "max", "mean", "std")),
        )
    table.add_row("source", str(prepared.source_root))
    table.add_row("made by", f"healswin-prep {attributes['tool_version']}")
    return table


def _arrays(prepared: PreparedSet) -> Table:
    table = Table("array", "dtype", "shape", "bytes", "on disk")
    for name in ("image", *prepared.tasks, "valid"):
        folder = prepared.root / name
        metadata = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
        shape, dtype = metadata["shape"], metadata["data_type"]
        width = {"bool": 1, "uint8": 1, "float32": 4, "int64": 8}[dtype]
        size = width
        for side in shape:
            size *= side
        stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        table.add_row(name, dtype, str(tuple(shape)), _size(size), _size(stored))
    return table


def _cameras(prepared: PreparedSet) -> Table:
    table = Table("camera", "model", "image", "samples", "sees of the grid")
    count = Counter(prepared.sample_camera)
    for key, camera in list(prepared.cameras.items())[:20]:
        table.add_row(
            key,
            type(camera).__name__,
            f"{camera.width} x {camera.height}",
            str(count[key]),
            f"{prepared.valid(key).mean():.1%}",
        )
    if len(prepared.cameras) > 20:
        table.add_row("...", f"{len(prepared.cameras) - 20} more calibrations", "", "", "")
    return table


def _classes(prepared: PreparedSet) -> Table:
    table = Table("id", "class", "colour", "share of the training pixels")
    rows = zip(
        prepared.class_names, prepared.class_colours, prepared.class_frequencies, strict=True
    )
    for number, (name, (red, green, blue), share) in enumerate(rows):
        table.add_row(str(number), name, f"#{red:02x}{green:02x}{blue:02x}", f"{share:.3%}")
    return table


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.1f} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    raise AssertionError("unreachable")
