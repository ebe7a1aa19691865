"""A small prepared set of strokes on the sphere: no camera, one channel, labels, any grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.stats import sample_sums, totals
from healswin.data.writer import PreparedSetWriter, SampleWriter, ShardWriter
from healswin.grid import EquiangularGrid, HealpixGrid

LABELS = ["ring", "bar", "corner"]
CLASSES = ["background", *LABELS]
COLOURS = [[44, 46, 54], [255, 120, 60], [70, 190, 250], [120, 220, 90]]
UP = (-1.0, 0.0, 0.0)


def stroke(grid: HealpixGrid | EquiangularGrid, index: int) -> np.ndarray:
    """A ring, a bar or a corner, 40 degrees across, at the south pole; uint8 (pixels, 1).

    It is seen from inside with -x up: the bar stands upright, the corner is an L. Every second one
    is moved to the equator by a quarter turn about y, which takes -z to -x.
    """
    x, y, z = grid.vectors().T
    if index % 2:
        x, z = -z, x
    right, down = y, x
    inside = (np.hypot(right, down) < 0.6) & (z < 0)
    drawn = (
        np.abs(np.hypot(right, down) - 0.45) < 0.13,
        np.abs(right) < 0.13,
        (np.abs(right + 0.3) < 0.13) | (np.abs(down - 0.3) < 0.13),
    )[index % len(LABELS)]
    return np.where(drawn & inside, 230, 0).astype(np.uint8)[:, None]


def write_plain_set(
    out: Path,
    grid: HealpixGrid | EquiangularGrid,
    tasks: tuple[str, ...] = ("label",),
    samples: int = 7,
    shard: int | None = 3,
) -> Path:
    """Write a set of strokes.

    Args:
        out: The set.
        grid: Of its maps.
        tasks: Of "semantic" (the label's class where the stroke is) and "label".
        samples: How many, of which the last two are the validation split.
        shard: Samples a shard; None: a file for each.
    """
    images = np.stack([stroke(grid, index) for index in range(samples)])
    labels = np.arange(samples) % len(LABELS)
    arrays = {
        "image": images,
        "semantic": np.where(images[..., 0] > 0, labels[:, None] + 1, 0).astype(np.uint8),
        "label": labels,
    }
    arrays = {name: arrays[name] for name in ("image", *tasks)}
    layout = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    layout["valid"] = ((1, grid.num_pixels), "bool")
    valid = np.ones(grid.num_pixels, dtype=bool)
    training = range(samples - 2)
    classes = len(CLASSES) if "semantic" in tasks else 0
    sums = [
        sample_sums({name: array[index] for name, array in arrays.items()}, valid, classes)
        for index in range(samples)
    ]
    with PreparedSetWriter(out, {"samples": samples}, layout, shard=shard) as writer:
        SampleWriter(writer.partial, ["valid"]).write(0, {"valid": valid})
        for unit in range(writer.units):
            if shard is None:
                rows = {name: np.asarray(array[unit]) for name, array in arrays.items()}
                SampleWriter(writer.partial, list(arrays)).write(unit, rows)
            else:
                part = slice(unit * shard, (unit + 1) * shard)
                rows = {name: array[part] for name, array in arrays.items()}
                ShardWriter(writer.partial, list(arrays)).write(unit, rows)
            writer.record(unit, {})
        attributes: dict[str, Any] = {
            "tool_version": "0",
            **grid.to_dict(),
            **({"order": "nested"} if isinstance(grid, HealpixGrid) else {}),
            "pole": "projection",
            "up": list(UP),
            "tasks": list(tasks),
            "image_dtype": "uint8",
            "class_names": CLASSES if classes else [],
            "class_colours": COLOURS if classes else [],
            "label_names": LABELS if "label" in tasks else [],
            "ignore_index": 255,
            "invalid": "ignore",
            "cameras": [{"key": "sphere", "calibration": None}],
            "sample_names": [f"stroke_{index}" for index in range(samples)],
            "sample_camera": ["sphere"] * samples,
            "source_root": "/nowhere",
            "sources": [{}] * samples,
            "skipped": [],
            "split": {"train": list(training), "val": list(range(len(training), samples))},
            **totals([sums[index] for index in training], len(LABELS) if "label" in tasks else 0),
        }
        writer.finish(attributes)
    return out
