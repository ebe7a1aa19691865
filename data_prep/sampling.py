"""One sample: from its source files to its row of the prepared set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from data_prep.classes import ClassList
from data_prep.crop import Crop
from data_prep.readers.base import Frame, Reader
from data_prep.readers.files import read_bytes
from data_prep.rig import Geometry, read_mask
from data_prep.stats import sample_sums
from healswin.cameras import Camera, pole_rotation
from healswin.data.store import IGNORE_INDEX
from healswin.data.writer import SampleWriter
from healswin.grid import HealpixGrid, ImageGrid
from healswin.resample import HealpixMap, ImageToFlat, ImageToGrid, MapToGrid

# Tables kept in a process: enough for a surround rig, bounded where every frame is calibrated anew
# (a table holds two float32 coordinates a pixel and an index, several times as many with
# antialiasing).
_TABLES_KEPT = 8


@dataclass(frozen=True)
class SamplingJob:
    """Everything a worker needs; calling it gives the function that converts one sample.

    Args:
        reader: Decodes the source files.
        frames: All samples in the set's order.
        camera_keys: Key of each sample's camera.
        cameras: The calibrations (of the cropped images) by key, in the order of the rows of
            "valid".
        masks: The own vehicle's masks by camera name.
        crop: What is cut from images, labels, depth and masks.
        tasks: The arrays besides the image.
        classes: What the label ids become; None without labels.
        grid: The pixels.
        pole: "camera", "vehicle" or "zenith".
        antialias: Whether on HEALPix images are averaged over the pixels of a coarser grid.
        invalid_label: The class of pixels outside the camera's field.
        partial: The folder of the set being built.
    """

    reader: Reader
    frames: list[Frame]
    camera_keys: list[str]
    cameras: dict[str, Geometry]
    masks: dict[str, Path]
    crop: Crop
    tasks: tuple[str, ...]
    classes: ClassList | None
    grid: HealpixGrid | ImageGrid
    pole: str
    antialias: bool
    invalid_label: int
    partial: Path

    def __call__(self) -> Callable[[int], tuple[int, dict[str, Any]]]:
        """Open the set's arrays in this process."""
        return SampleConverter(self)


def file_stamp(path: Path) -> list[int]:
    """Size and time of change of a file; it differs when the file has been mended since."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


@dataclass(frozen=True)
class ContentCheck:
    """Decodes source files, so that what is wrong is found before the work starts.

    Args:
        reader: Decodes the source files.
        frames: All samples in the set's order.
        classes: The ids that there are; None without labels.
        kinds: The files that are decoded, of "image", "semantic" and "depth".
        skip: Whether a wrong sample is told, or raised.
    """

    reader: Reader
    frames: list[Frame]
    classes: ClassList | None
    kinds: tuple[str, ...]
    skip: bool

    def __call__(self, index: int) -> tuple[int, str]:
        """Decode the files of a sample.

        Returns:
            The index, and what is wrong ("" if nothing is).

        Raises:
            ValueError: If a file is damaged or holds an unknown id and it is not to be skipped;
                the message names it.
        """
        try:
            for kind in self.kinds:
                path = self.reader.root / self.frames[index].files[kind]
                decode(self.reader, kind, read_bytes(path), str(path), self.classes)
        except ValueError as error:
            if not self.skip:
                raise
            return index, str(error)
        return index, ""


def decode(
    reader: Reader, kind: str, data: bytes, file: str, classes: ClassList | None
) -> np.ndarray:
    """The values in a source file; those of a label image are classes, not ids.

    Raises:
        ValueError: If the file is damaged or holds what it must not; the message names it.
    """
    if kind == "semantic":
        return classes.classes_of(reader.semantic(data, file), file)
    return reader.depth(data, file) if kind == "depth" else reader.image(data, file)


@dataclass(frozen=True)
class Sample:
    """One sample on the grid.

    Args:
        values: Row of each array, "image" and the tasks.
        valid: (pixels,) bool, the row of its camera in "valid".
        facts: Statistics and source files, as JSON values.
    """

    values: dict[str, np.ndarray]
    valid: Bool[np.ndarray, " pixels"]
    facts: dict[str, Any]


class Sampler:
    """Makes samples; holds the tables of the cameras of one process."""

    def __init__(self, job: SamplingJob) -> None:
        self._job = job
        self._table = lru_cache(maxsize=_TABLES_KEPT)(self._make_table)

    def __call__(self, index: int) -> Sample:
        """Decode and resample one sample.

        Raises:
            ValueError: If a source file is wrong; the message names it.
        """
        job, frame = self._job, self._job.frames[index]
        root = job.reader.root
        stamps = {kind: file_stamp(root / path) for kind, path in frame.files.items()}
        data = {kind: read_bytes(root / path) for kind, path in frame.files.items()}
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
        decoded = {
            kind: decode(job.reader, kind, data[kind], str(root / frame.files[kind]), job.classes)
            for kind in ("image", *job.tasks)
        }
        geometry = job.cameras[job.camera_keys[index]]
        if isinstance(geometry, HealpixMap):
            return self._from_map(geometry, decoded["image"], facts)
        return self._from_image(job.camera_keys[index], frame.camera, decoded, facts)

    def _from_image(
        self, key: str, camera: str, decoded: dict[str, np.ndarray], facts: dict[str, Any]
    ) -> Sample:
        job = self._job
        table, hidden = self._table(key, camera)
        decoded = {kind: job.crop.cut(values) for kind, values in decoded.items()}
        values = {"image": table.bilinear(decoded["image"])}
        if "semantic" in decoded:
            values["semantic"] = table.labels(decoded["semantic"], job.invalid_label)
            # "void" stands for what the lens does not see, not for what is left out on purpose.
            values["semantic"][hidden] = IGNORE_INDEX
        if "depth" in decoded:
            values["depth"] = table.depth(decoded["depth"])
        num_classes = len(job.classes.names) if job.classes else 0
        sums = sample_sums(values, table.valid, num_classes)
        return Sample(values, table.valid, {**facts, **sums})

    def _from_map(self, source: HealpixMap, image: np.ndarray, facts: dict[str, Any]) -> Sample:
        # Where one of its channels is unknown, a pixel is.
        known = np.isfinite(image).all(axis=1)
        # The table is the same for all maps of one size, whatever their names.
        table = _map_table(source.nside, source.order, self._job.grid)
        sampled, valid = table.sample(np.where(known[:, None], image, 0), known)
        values = {"image": sampled}
        return Sample(values, valid, {**facts, **sample_sums(values, valid, 0)})

    def _make_table(
        self, key: str, camera: str
    ) -> tuple[ImageToGrid | ImageToFlat, Bool[np.ndarray, " pixels"] | slice]:
        """The table of a camera, and the pixels in which it sees the own vehicle."""
        job, calibration = self._job, self._job.cameras[key]
        if camera not in job.masks:
            return _new_table(job, calibration), slice(0)
        table = _new_table(job, calibration, read_mask(job.masks[camera], job.crop))
        if isinstance(job.grid, ImageGrid):
            seen = _new_table(job, calibration).valid
        else:
            seen = calibration.valid(job.grid.vectors() @ pole_rotation(calibration, job.pole).T)
        return table, seen & ~table.valid


def _new_table(
    job: SamplingJob,
    camera: Camera,
    excluded: Bool[np.ndarray, "height width"] | None = None,
) -> ImageToGrid | ImageToFlat:
    if isinstance(job.grid, ImageGrid):
        return ImageToFlat(camera, job.grid, excluded)
    return ImageToGrid(camera, job.grid, job.pole, antialias=job.antialias, excluded=excluded)


@lru_cache(maxsize=2)
def _map_table(nside: int, order: str, grid: HealpixGrid) -> MapToGrid:
    return MapToGrid(HealpixMap(nside, order), grid)


class SampleConverter:
    """Converts samples; holds the open arrays of one process."""

    def __init__(self, job: SamplingJob) -> None:
        self._job = job
        self._sample = Sampler(job)
        self._writer = SampleWriter(job.partial, ["image", *job.tasks, "valid"])
        self._rows = {key: row for row, key in enumerate(job.cameras)}
        self._seen: set[str] = set()

    def __call__(self, index: int) -> tuple[int, dict[str, Any]]:
        """Write all rows of a sample.

        Returns:
            The index and the sample's facts: statistics and source files, as JSON values.

        Raises:
            ValueError: If a source file is wrong; the message names it.
        """
        sample = self._sample(index)
        key = self._job.camera_keys[index]
        if key not in self._seen:
            # Every worker that meets a camera writes the same row. It is there before the first of
            # the camera's samples is recorded as finished.
            self._writer.write(self._rows[key], {"valid": sample.valid})
            self._seen.add(key)
        self._writer.write(index, sample.values)
        return index, sample.facts
