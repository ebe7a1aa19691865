"""What a conversion will do: its arguments, checked against the source before any long work."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import healswin
from data_prep.classes import ClassList, find_class_list
from data_prep.conversion import INVALID_LABELS, Conversion
from data_prep.crop import Crop
from data_prep.readers import READERS, Frame, Reader
from data_prep.readers.files import read_bytes
from data_prep.rig import (
    Geometry,
    check_pose,
    check_view,
    distinct_calibrations,
    find_masks,
    strips_of,
    up_direction,
)
from data_prep.sampling import SamplingJob, file_stamp
from data_prep.split import parse_split, split_by_scene
from data_prep.stats import totals
from healswin.cameras import Camera
from healswin.data.store import IGNORE_INDEX
from healswin.grid import HealpixGrid, ImageGrid

# Pixels of a sample: nside 4096 on 8 base pixels, for which a table takes some 4 GB.
_MOST_PIXELS = 2**27


@dataclass(frozen=True)
class Plan:
    """A conversion whose source has been looked through; made by `make_plan`.

    Attributes:
        conversion: The arguments; None stands nowhere any more but for the classes' name.
        reader: Reads the source.
        grid: The pixels.
        classes: What the label ids become; None without labels.
        crop: What is cut from the images.
        frames: The samples in the set's order.
        camera_keys: The camera of each sample.
        cameras: The distinct calibrations, of the cropped images.
        masks: The own vehicle's mask of each camera that has one, by the camera's name.
        split: Sample indices of each part.
        up: The direction in the map that points up.
        skipped: Why frames of the source are left out, by their names.
    """

    conversion: Conversion
    reader: Reader
    grid: HealpixGrid | ImageGrid
    classes: ClassList | None
    crop: Crop
    frames: list[Frame]
    camera_keys: list[str]
    cameras: dict[str, Geometry]
    masks: dict[str, Path]
    split: dict[str, list[int]]
    up: list[float]
    skipped: dict[str, str]

    def without(self, failures: Mapping[str, str]) -> Plan:
        """The plan that leaves out some frames more.

        Args:
            failures: Why, by the frames' names.

        Raises:
            ValueError: If no frame is left, or too few for the split.
        """
        kept = [i for i, frame in enumerate(self.frames) if frame.name not in failures]
        return _assembled(
            self.conversion,
            self.reader,
            self.classes,
            self.crop,
            self.masks,
            [self.frames[i] for i in kept],
            [self.cameras[self.camera_keys[i]] for i in kept],
            {**self.skipped, **failures},
        )

    def as_json(self) -> dict[str, Any]:
        """What a resumed conversion must have in common with the one that began."""
        return {
            **self.conversion.arguments(),
            "tool_version": healswin.__version__,
            "classes_of_ids": self._class_attributes(),
            "crop": self.crop.sides,
            "masks": {name: _sha256(path) for name, path in self.masks.items()},
            "calibrations": {key: camera.to_dict() for key, camera in self.cameras.items()},
            "files": [list(frame.files.values()) for frame in self.frames],
            "skipped": self.skipped,
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
        channels, dtype = self.reader.image_format(self.frames)
        arrays = {"image": ((samples, pixels, channels), dtype)}
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
            masks=self.masks,
            crop=self.crop,
            tasks=self.conversion.tasks,
            classes=self.classes,
            grid=self.grid,
            pole=self.conversion.pole,
            antialias=self.conversion.antialias,
            invalid_label=INVALID_LABELS[self.conversion.invalid],
            partial=partial,
        )

    def attributes(self, finished: list[dict[str, Any]]) -> dict[str, Any]:
        """The set's attributes (all but the format's own).

        Args:
            finished: What was recorded of each sample, in their order.
        """
        return {
            "tool_version": healswin.__version__,
            **self.grid.to_dict(),
            **({"order": "nested"} if isinstance(self.grid, HealpixGrid) else {}),
            "pole": self.conversion.pole,
            "up": self.up,
            "tasks": list(self.conversion.tasks),
            "image_dtype": self.arrays()["image"][1],
            **self._class_attributes(),
            "ignore_index": IGNORE_INDEX,
            "invalid": self.conversion.invalid,
            **self._depth_attributes(),
            "crop": self.crop.sides,
            "cameras": [
                {"key": key, "calibration": camera.to_dict()}
                for key, camera in self.cameras.items()
            ],
            "own_vehicle": {
                name: {"path": str(path), "sha256": _sha256(path)}
                for name, path in self.masks.items()
            },
            "sample_names": [frame.name for frame in self.frames],
            "sample_camera": self.camera_keys,
            "sample_scene": [frame.scene for frame in self.frames],
            "source_root": str(self.reader.root),
            "sources": [facts["sources"] for facts in finished],
            "skipped": [{"name": name, "reason": why} for name, why in self.skipped.items()],
            "split": self.split,
            **totals([finished[index] for index in self.split["train"]]),
            "conversion": self.conversion.arguments(),
        }

    def _depth_attributes(self) -> dict[str, Any]:
        files = self.reader.depth_files
        return {"depth_source": files.to_dict()} if "depth" in self.conversion.tasks else {}

    def _class_attributes(self) -> dict[str, Any]:
        classes = self.classes
        if classes is None:
            return {
                "class_names": [],
                "class_colours": [],
                "class_map": [],
                "published_class_weights": None,
            }
        weights = classes.published_weights
        return {
            "class_names": list(classes.names),
            "class_colours": [list(colour) for colour in classes.colours],
            "class_map": list(classes.class_of_id),
            "published_class_weights": list(weights) if weights else None,
        }


def make_plan(
    conversion: Conversion, on_error: str = "stop", left_out: Mapping[str, str] | None = None
) -> Plan:
    """Look through the source and check everything that can be checked without decoding.

    Args:
        conversion: What is wanted.
        on_error: "stop" at the first frame that is wrong, or "skip" it.
        left_out: Frames that were found wrong before, by name: they are skipped unseen.

    Raises:
        ValueError: If an argument or a source file is wrong; the message names it.
    """
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'stop' or 'skip'")
    conversion = conversion.settled()
    grid = conversion.pixels()
    if grid.num_pixels > _MOST_PIXELS:
        what, smaller = (
            (f"size={conversion.size}", "size")
            if isinstance(grid, ImageGrid)
            else (f"nside={grid.nside} with {len(grid.base_pixels)} base pixels", "nside")
        )
        raise ValueError(
            f"{what} has {grid.num_pixels} pixels, at most {_MOST_PIXELS} fit into a sample: "
            f"choose a smaller {smaller}"
        )
    if conversion.split is not None:
        parse_split(conversion.split)
    reader = READERS[conversion.reader](conversion.source.expanduser().resolve())
    tasks = reader.default_tasks() if conversion.tasks is None else conversion.tasks
    conversion = dataclasses.replace(conversion, tasks=tasks)
    classes = find_class_list(reader, conversion.classes) if "semantic" in tasks else None

    frames = _chosen(reader.frames(tasks), conversion)
    skipped = {f.name: left_out[f.name] for f in frames if f.name in (left_out or {})}
    good: list[Frame] = []
    calibrations: list[Geometry] = []
    for frame in frames:
        if frame.name in skipped:
            continue
        try:
            calibration = reader.calibration(frame)
            reader.check(frame, calibration)
            check_pose(calibration, conversion.pole, str(reader.root / frame.files["image"]))
        except ValueError as error:
            if on_error == "stop":
                raise
            skipped[frame.name] = str(error)
            continue
        good.append(frame)
        calibrations.append(calibration)
    return _on_one_rig(conversion, reader, classes, good, calibrations, skipped)


def _chosen(frames: list[Frame], conversion: Conversion) -> list[Frame]:
    """The frames of the cameras that are wanted, up to the limit."""
    known = sorted({frame.camera for frame in frames})
    strange = [name for name in conversion.cameras if name not in known]
    if strange:
        raise ValueError(f"camera={strange[0]!r} is none of the source's cameras {known}")
    wanted = conversion.cameras or known
    return [frame for frame in frames if frame.camera in wanted][: conversion.limit]


def _on_one_rig(
    conversion: Conversion,
    reader: Reader,
    classes: ClassList | None,
    frames: list[Frame],
    calibrations: list[Geometry],
    skipped: dict[str, str],
) -> Plan:
    """Find out what is cut from the images and what the own vehicle hides in them."""
    keys, full = distinct_calibrations(frames, calibrations)
    images = {key: camera for key, camera in full.items() if isinstance(camera, Camera)}
    if len(images) < len(full):
        if conversion.crop or conversion.own_vehicle:
            raise ValueError("crop and own_vehicle are for images, this source holds maps")
        if conversion.grid == "image":
            raise ValueError("grid='image' is for images, this source holds maps of the sphere")
    if conversion.crop == "green":
        crop = strips_of(reader, frames)
    else:
        crop = Crop(*(conversion.crop or ()))
    masks = find_masks(
        conversion.own_vehicle,
        {(f.camera, images[k]) for f, k in zip(frames, keys, strict=True) if k in images},
    )
    cropped = {key: crop.calibrated(camera) for key, camera in images.items()}
    return _assembled(
        conversion,
        reader,
        classes,
        crop,
        masks,
        frames,
        [cropped.get(key, full[key]) for key in keys],
        skipped,
    )


def _assembled(
    conversion: Conversion,
    reader: Reader,
    classes: ClassList | None,
    crop: Crop,
    masks: dict[str, Path],
    frames: list[Frame],
    calibrations: Sequence[Geometry],
    skipped: dict[str, str],
) -> Plan:
    """The plan of the frames that are left."""
    if not frames:
        reasons = "; ".join(list(skipped.values())[:3])
        raise ValueError(f"no frame of {reader.root} can be converted: {reasons}")
    grid = conversion.pixels()
    keys, cameras = distinct_calibrations(frames, calibrations)
    for key, camera in cameras.items():
        if isinstance(camera, Camera) and isinstance(grid, HealpixGrid):
            check_view(key, camera, grid, conversion.pole)
    scenes = [frame.scene for frame in frames]
    if conversion.split is None:
        several = len(set(scenes)) > 1
        conversion = dataclasses.replace(conversion, split="train:0.8" if several else "train:1")
    return Plan(
        conversion=conversion,
        reader=reader,
        grid=grid,
        classes=classes,
        crop=crop,
        frames=frames,
        camera_keys=keys,
        cameras=cameras,
        masks=masks,
        split=split_by_scene(scenes, parse_split(conversion.split), conversion.seed),
        up=up_direction(conversion.pole, list(cameras.values())),
        skipped=dict(sorted(skipped.items())),
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()
