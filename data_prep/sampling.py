"""One sample: from its source files to its row of the prepared set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.classes import ClassList
from data_prep.readers.base import Frame, Reader
from data_prep.stats import class_counts, depth_sums, image_sums
from healswin.cameras import Camera
from healswin.data.writer import SampleWriter
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

# Tables kept in a process: enough for a surround rig, bounded where every frame is calibrated anew
# (a table takes some 20 MB at nside 256).
_TABLES_KEPT = 8


@dataclass(frozen=True)
class SamplingJob:
    """Everything a worker needs; calling it gives the function that converts one sample.

    Args:
        reader: Decodes the source files.
        frames: All samples in the set's order.
        camera_keys: Key of each sample's camera.
        cameras: The calibrations by key, in the order of the rows of "valid".
        tasks: The arrays besides the image.
        classes: What the label ids become; None without labels.
        grid: The pixels.
        pole: "camera" or "vehicle".
        invalid_label: The class of pixels outside the camera's field.
        partial: The folder of the set being built.
    """

    reader: Reader
    frames: list[Frame]
    camera_keys: list[str]
    cameras: dict[str, Camera]
    tasks: tuple[str, ...]
    classes: ClassList | None
    grid: HealpixGrid
    pole: str
    invalid_label: int
    partial: Path

    def __call__(self) -> SampleConverter:
        """Open the set's arrays in this process."""
        return SampleConverter(self)


def file_stamp(path: Path) -> list[int]:
    """Size and time of change of a file; it differs when the file has been mended since."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


@dataclass(frozen=True)
class LabelCheck:
    """Looks at the ids of label images, so that a strange one is found before the work starts.

    Args:
        reader: Decodes the source files.
        frames: All samples in the set's order.
        classes: The ids that there are.
    """

    reader: Reader
    frames: list[Frame]
    classes: ClassList

    def __call__(self) -> Callable[[int], None]:
        """The function that checks a sample; nothing is to be opened in a worker."""
        return self.check

    def check(self, index: int) -> None:
        """Decode the labels of a sample.

        Raises:
            ValueError: If the file is damaged or holds an unknown id; the message names it.
        """
        path = self.reader.root / self.frames[index].files["semantic"]
        self.classes.classes_of(self.reader.semantic(path.read_bytes(), str(path)), str(path))


class SampleConverter:
    """Converts samples; holds the tables of the cameras and the open arrays of one process."""

    def __init__(self, job: SamplingJob) -> None:
        self._job = job
        self._writer = SampleWriter(job.partial, ["image", *job.tasks, "valid"])
        self._rows = {key: row for row, key in enumerate(job.cameras)}
        self._table = lru_cache(maxsize=_TABLES_KEPT)(self._make_table)

    def __call__(self, index: int) -> tuple[int, dict[str, Any]]:
        """Write all rows of a sample.

        Returns:
            The index and the sample's facts: statistics and source files, as JSON values.

        Raises:
            ValueError: If a source file is wrong; the message names it.
        """
        job = self._job
        frame = job.frames[index]
        table = self._table(job.camera_keys[index])
        stamps = {kind: file_stamp(job.reader.root / path) for kind, path in frame.files.items()}
        data = {kind: (job.reader.root / path).read_bytes() for kind, path in frame.files.items()}
        facts: dict[str, Any] = {
            "stamps": stamps,
            "sources": {
                kind: {
                    "path": frame.files[kind],
                    "size": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for kind, content in data.items()
            },
        }
        image = table.bilinear(job.reader.image(data["image"], self._file(frame, "image")))
        values = {"image": image}
        facts["image"] = image_sums(image, table.valid)
        if "semantic" in job.tasks:
            file = self._file(frame, "semantic")
            classes = job.classes.classes_of(job.reader.semantic(data["semantic"], file), file)
            values["semantic"] = table.nearest(classes, job.invalid_label)
            facts["classes"] = class_counts(values["semantic"], table.valid, len(job.classes.names))
        if "depth" in job.tasks:
            depth = job.reader.depth(data["depth"], self._file(frame, "depth"))
            values["depth"] = table.nearest(depth, np.nan)
            facts["depth"] = depth_sums(values["depth"], table.valid)
        self._writer.write(index, values)
        return index, facts

    def _make_table(self, key: str) -> ImageToGrid:
        table = ImageToGrid(self._job.cameras[key], self._job.grid, self._job.pole)
        # Every worker that meets a camera writes the same row. It is there before the first of the
        # camera's samples is recorded as finished.
        self._writer.write(self._rows[key], {"valid": table.valid})
        return table

    def _file(self, frame: Frame, kind: str) -> str:
        return str(self._job.reader.root / frame.files[kind])
