"""What a conversion will do: its arguments, checked against the source before any long work."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import healswin
from data_prep.classes import ClassList
from data_prep.readers import READERS, Frame, Reader
from data_prep.sampling import SamplingJob, file_stamp
from data_prep.split import parse_split, split_by_scene
from data_prep.stats import total_classes, total_depth, total_image
from healswin.cameras import Camera, pole_rotation
from healswin.data.store import IGNORE_INDEX
from healswin.grid import HealpixGrid

# What pixels outside the camera's field are labelled: left out of the loss, or the class "void",
# which takes part in it, as in the published conversion.
INVALID_LABELS = {"ignore": IGNORE_INDEX, "void": 0}


@dataclass(frozen=True)
class Conversion:
    """The arguments that decide what a prepared set holds.

    Args:
        source: Folder of the source data set.
        reader: A key of `data_prep.readers.READERS`.
        classes: A class list of the reader; used if labels are converted.
        nside: Pixels along one side of a base pixel.
        base_pixels: The part of the sphere, e.g. (0, ..., 7) for fisheye cameras.
        tasks: Arrays besides the image.
        split: See `data_prep.split.parse_split`.
        seed: Decides which scenes go into which part.
        pole: "camera" or "vehicle" (`healswin.cameras.pole_rotation`).
        invalid: "ignore" or "void": the label outside the camera's field.
        cameras: Names of the cameras that are wanted; none names all.
        limit: Number of frames, the first in the order of their names; None for all.
    """

    source: Path
    reader: str = "synwoodscape"
    classes: str = "large-ad"
    nside: int = 256
    base_pixels: tuple[int, ...] = tuple(range(8))
    tasks: tuple[str, ...] = ("semantic",)
    split: str = "train:0.8"
    seed: int = 42
    pole: str = "camera"
    invalid: str = "ignore"
    cameras: tuple[str, ...] = ()
    limit: int | None = None

    def arguments(self) -> dict[str, Any]:
        """As JSON values, the source's path absolute."""
        values = dataclasses.asdict(self)
        values["source"] = str(self.source.expanduser().resolve())
        return json.loads(json.dumps(values))


@dataclass(frozen=True)
class Plan:
    """A conversion whose source has been looked through; made by `make_plan`."""

    conversion: Conversion
    reader: Reader
    frames: list[Frame]
    camera_keys: list[str]
    cameras: dict[str, Camera]
    classes: ClassList | None
    grid: HealpixGrid
    split: dict[str, list[int]]
    up: list[float]

    def as_json(self) -> dict[str, Any]:
        """What a resumed conversion must have in common with the one that began."""
        return {
            **self.conversion.arguments(),
            "tool_version": healswin.__version__,
            "calibrations": {key: camera.to_dict() for key, camera in self.cameras.items()},
            "files": [list(frame.files.values()) for frame in self.frames],
        }

    def is_current(self, index: int, facts: dict[str, Any]) -> bool:
        """Whether the source files of a finished sample are still those that were read."""
        return all(
            file_stamp(self.reader.root / path) == facts["stamps"][kind]
            for kind, path in self.frames[index].files.items()
        )

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of every array."""
        samples, pixels = len(self.frames), self.grid.num_pixels
        arrays = {"image": ((samples, pixels, 3), "uint8")}
        if "semantic" in self.conversion.tasks:
            arrays["semantic"] = ((samples, pixels), "uint8")
        if "depth" in self.conversion.tasks:
            arrays["depth"] = ((samples, pixels), "float32")
        arrays["valid"] = ((len(self.cameras), pixels), "bool")
        return arrays

    def job(self, partial: Path) -> SamplingJob:
        """What the workers do."""
        return SamplingJob(
            reader=self.reader,
            frames=self.frames,
            camera_keys=self.camera_keys,
            cameras=self.cameras,
            tasks=self.conversion.tasks,
            classes=self.classes,
            grid=self.grid,
            pole=self.conversion.pole,
            invalid_label=INVALID_LABELS[self.conversion.invalid],
            partial=partial,
        )

    def attributes(self, finished: list[dict[str, Any]]) -> dict[str, Any]:
        """The set's attributes (all but the format's own).

        Args:
            finished: What was recorded of each sample, in their order.
        """
        training = [finished[index] for index in self.split["train"]]
        mean, std = total_image([facts["image"] for facts in training])
        labelled = self.classes is not None
        weights = self.classes.published_weights if labelled else None
        attributes: dict[str, Any] = {
            "tool_version": healswin.__version__,
            "grid": "healpix",
            "nside": self.grid.nside,
            "base_pixels": list(self.grid.base_pixels),
            "order": "nested",
            "pole": self.conversion.pole,
            "up": self.up,
            "tasks": list(self.conversion.tasks),
            "class_names": list(self.classes.names) if labelled else [],
            "class_colours": [list(c) for c in self.classes.colours] if labelled else [],
            "class_map": list(self.classes.class_of_id) if labelled else [],
            "published_class_weights": list(weights) if weights else None,
            "ignore_index": IGNORE_INDEX,
            "cameras": [
                {"key": key, "calibration": camera.to_dict()}
                for key, camera in self.cameras.items()
            ],
            "sample_names": [frame.name for frame in self.frames],
            "sample_camera": self.camera_keys,
            "sample_scene": [frame.scene for frame in self.frames],
            "source_root": str(self.reader.root),
            "sources": [facts["sources"] for facts in finished],
            "split": self.split,
            "image_mean": mean,
            "image_std": std,
            "class_frequencies": [],
        }
        if labelled:
            attributes["class_frequencies"] = total_classes(
                [facts["classes"] for facts in training]
            )
        if "depth" in self.conversion.tasks:
            attributes["depth_statistics"] = total_depth([facts["depth"] for facts in training])
        attributes["conversion"] = self.conversion.arguments()
        return attributes

    def summary(self, out: Path) -> str:
        """What would be read and written."""
        names = list(self.cameras)
        lines = [
            f"would read {len(self.frames)} frames of {len(names)} cameras from {self.reader.root}",
            *(f"  {key}: {self.camera_keys.count(key)} frames" for key in names[:8]),
            *([f"  ... and {len(names) - 8} more calibrations"] if len(names) > 8 else []),
            f"would write {out}, {self.grid}",
        ]
        for name, (shape, dtype) in self.arrays().items():
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            lines.append(f"  {name}: {dtype} {shape}, {size / 1e6:.1f} MB before compression")
        lines += [f"  {name}: {len(indices)} samples" for name, indices in self.split.items()]
        return "\n".join(lines)


def make_plan(conversion: Conversion) -> Plan:
    """Look through the source and check everything that can be checked without decoding.

    Raises:
        ValueError: If an argument or a source file is wrong; the message names it.
    """
    grid = HealpixGrid(conversion.nside, conversion.base_pixels)
    shares = parse_split(conversion.split)
    if conversion.reader not in READERS:
        raise ValueError(f"reader={conversion.reader!r} must be one of {sorted(READERS)}")
    reader_class = READERS[conversion.reader]
    unknown = [task for task in conversion.tasks if task not in reader_class.tasks]
    if unknown or len(set(conversion.tasks)) != len(conversion.tasks):
        raise ValueError(
            f"tasks={','.join(conversion.tasks)!r} must be different ones of {reader_class.tasks}"
        )
    if conversion.invalid not in INVALID_LABELS:
        raise ValueError(f"invalid={conversion.invalid!r} must be one of {sorted(INVALID_LABELS)}")
    if conversion.limit is not None and conversion.limit < 1:
        raise ValueError(f"limit={conversion.limit} must be at least 1")
    classes = None
    if "semantic" in conversion.tasks:
        if conversion.classes not in reader_class.classes:
            raise ValueError(
                f"classes={conversion.classes!r} must be one of {sorted(reader_class.classes)}"
            )
        classes = reader_class.classes[conversion.classes]

    reader = reader_class(conversion.source.expanduser().resolve())
    frames = reader.frames(conversion.tasks)
    if conversion.cameras:
        known = sorted({frame.camera for frame in frames})
        strange = [name for name in conversion.cameras if name not in known]
        if strange:
            raise ValueError(f"camera={strange[0]!r} is none of the source's cameras {known}")
        frames = [frame for frame in frames if frame.camera in conversion.cameras]
    frames = frames[: conversion.limit]
    split = split_by_scene([frame.scene for frame in frames], shares, conversion.seed)

    camera_keys, cameras = _calibrations(reader, frames)
    for key, camera in cameras.items():
        _check_view(key, camera, grid, conversion.pole)
    for frame, key in zip(frames, camera_keys, strict=True):
        reader.check(frame, cameras[key])
    up = _up(conversion.pole, list(cameras.values()))
    return Plan(conversion, reader, frames, camera_keys, cameras, classes, grid, split, up)


def _calibrations(reader: Reader, frames: list[Frame]) -> tuple[list[str], dict[str, Camera]]:
    """The key of each frame's camera, and each distinct calibration once.

    The key is the camera's name; where the calibrations of one name differ the second is "FV#2".
    """
    keys: list[str] = []
    cameras: dict[str, Camera] = {}
    key_of: dict[tuple[str, Camera], str] = {}
    count: dict[str, int] = {}
    for frame in frames:
        camera = reader.calibration(frame)
        if (frame.camera, camera) not in key_of:
            count[frame.camera] = number = count.get(frame.camera, 0) + 1
            key = frame.camera if number == 1 else f"{frame.camera}#{number}"
            key_of[frame.camera, camera] = key
            cameras[key] = camera
        keys.append(key_of[frame.camera, camera])
    return keys, cameras


def _check_view(key: str, camera: Camera, grid: HealpixGrid, pole: str) -> None:
    """Refuse a camera that sees nothing of the grid, before images are read for it."""
    coarse = HealpixGrid(min(grid.nside, 16), grid.base_pixels)
    if not camera.valid(coarse.vectors() @ pole_rotation(camera, pole).T).any():
        raise ValueError(f"base_pixels={grid.base_pixels}: camera {key!r} sees none of them")


def _up(pole: str, cameras: list[Camera]) -> list[float]:
    """The direction in the map that points up, for networks that know a vertical.

    In the camera's own axes that is (0, -1, 0), whatever its tilt. With the vehicle's pole it is
    the vehicle's z axis as the map shows it, averaged over the cameras.
    """
    if pole == "camera":
        return [0.0, -1.0, 0.0]
    vertical = np.array([0.0, 0.0, 1.0])
    directions = [pole_rotation(c, pole).T @ c.rotation().T @ vertical for c in cameras]
    mean = np.mean(directions, axis=0)
    if np.linalg.norm(mean) < 0.1:
        raise ValueError(
            "pole='vehicle': the vertical of these cameras points in all directions of the map, "
            "their quaternions contradict each other: use pole='camera'"
        )
    return (mean / np.linalg.norm(mean)).tolist()
