"""A small prepared set of sky maps, written by hand: float32, each map with holes of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.stats import sample_sums, totals
from healswin.data.writer import PreparedSetWriter, SampleWriter
from healswin.grid import HealpixGrid


def sky_map(index: int, nside: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth map around zero (pixels, channels) float32, and where it is known."""
    x, y, z = HealpixGrid(nside).vectors().T
    waves = [np.sin(3 * x + index) + np.cos(5 * y - channel) * z for channel in range(channels)]
    valid = np.abs(z) > 0.1 * (index + 1)  # a band of another width in each map
    values = np.stack(waves, axis=1).astype(np.float32)
    return np.where(valid[:, None], values, np.float32(0)), valid


def write_sky_set(out: Path, samples: int = 3, nside: int = 8, channels: int = 1) -> Path:
    """Write a set as the conversion of maps does: a row of "valid" and a "camera" a sample."""
    pixels = 12 * nside**2
    arrays = {
        "image": ((samples, pixels, channels), "float32"),
        "valid": ((samples, pixels), "bool"),
    }
    names = [f"sky_{index}" for index in range(samples)]
    training = range(max(1, samples - 1))
    with PreparedSetWriter(out, {"nside": nside}, arrays) as writer:
        rows = SampleWriter(writer.partial, list(arrays))
        sums = []
        for index in range(samples):
            values, valid = sky_map(index, nside, channels)
            rows.write(index, {"image": values, "valid": valid})
            sums.append(sample_sums({"image": values}, valid, 0))
            writer.record(index, {})
        attributes: dict[str, Any] = {
            "tool_version": "0",
            "grid": "healpix",
            "nside": nside,
            "base_pixels": list(range(12)),
            "order": "nested",
            "pole": "zenith",
            "up": [0.0, 0.0, 1.0],
            "tasks": [],
            "image_dtype": "float32",
            "class_names": [],
            "class_colours": [],
            "ignore_index": 255,
            "invalid": "ignore",
            "cameras": [
                {
                    "key": name,
                    "calibration": {
                        "intrinsic": {"model": "healpix", "nside": nside, "order": "ring"},
                        "name": name,
                    },
                }
                for name in names
            ],
            "sample_names": names,
            "sample_camera": names,
            "sample_scene": names,
            "source_root": "/nowhere",
            "sources": [{"image": {"path": f"{name}.fits"}} for name in names],
            "skipped": [],
            "split": {"train": list(training), "val": list(range(len(training), samples))},
            **totals([sums[index] for index in training]),
        }
        writer.finish(attributes)
    return out
