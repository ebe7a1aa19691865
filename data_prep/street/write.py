"""Writing scenes to a folder in the layout of SynWoodScape.

    OUT/street.json                                  how the folder was made
    OUT/rgb_images/00001_FV.png                      8-bit RGB
    OUT/semantic_annotations/gtLabels/00001_FV.png   8-bit class ids
    OUT/depth_maps/raw_data/00001_FV.npy             float32 metres along the ray, sky 1000
    OUT/calibration/00001_FV.json                    WoodScape's JSON structure

and, if panoramas are asked for (`frame.take_panorama`), in the layout of ``--reader panorama``:

    OUT/panoramas/images/00001.png                   8-bit RGB
    OUT/panoramas/labels/00001.png                   8-bit class ids
    OUT/panoramas/depth/00001.npy                    float32 metres along the ray, sky inf
    OUT/panoramas/classes.yaml                       what the ids mean

Scenes are numbered from 1; a scene depends on the seed and its number alone. Files appear whole or
not at all (written under another name, then renamed), so a scene is finished when all its files
are there, and a run that was stopped continues when it is called again.
"""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import yaml

from data_prep.classes import SYNWOODSCAPE_CLASSES
from data_prep.progress import progress_bar
from data_prep.readers.synwoodscape import SKY_DEPTH
from data_prep.street.frame import Frame, take_frame, take_panorama
from data_prep.street.renderer import Renderer
from data_prep.street.rig import CAMERA_NAMES, surround_cameras, tilted
from data_prep.street.scene import build_scene
from data_prep.workers import run_all

_FORMAT = 1
_RECORD = "street.json"
_TILT_STREAM = 7
# Run lengths suit noise: nothing longer repeats, so that a search for it is wasted.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


@dataclass(frozen=True)
class _Job:
    """What decides the contents of a folder."""

    out: Path
    width: int
    height: int
    seed: int
    tilt_degrees: float
    panorama: tuple[int, int] | None

    def record(self) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "width": self.width,
            "height": self.height,
            "seed": self.seed,
            "tilt_degrees": self.tilt_degrees,
            "panorama": list(self.panorama) if self.panorama else None,
        }

    def camera_files(self, number: int, camera: str) -> dict[str, Path]:
        stem = f"{number:05d}_{camera}"
        return {
            "image": self.out / "rgb_images" / f"{stem}.png",
            "semantic": self.out / "semantic_annotations" / "gtLabels" / f"{stem}.png",
            "depth": self.out / "depth_maps" / "raw_data" / f"{stem}.npy",
            "calibration": self.out / "calibration" / f"{stem}.json",
        }

    def panorama_files(self, number: int) -> dict[str, Path]:
        folder = self.out / "panoramas"
        return {
            "image": folder / "images" / f"{number:05d}.png",
            "semantic": folder / "labels" / f"{number:05d}.png",
            "depth": folder / "depth" / f"{number:05d}.npy",
        }

    def files(self, number: int) -> list[Path]:
        paths = [p for name in CAMERA_NAMES for p in self.camera_files(number, name).values()]
        return paths + (list(self.panorama_files(number).values()) if self.panorama else [])


def write_street(
    out: Path,
    scenes: int,
    width: int,
    height: int,
    seed: int,
    workers: int,
    tilt_degrees: float = 0.0,
    panorama: tuple[int, int] | None = None,
    progress: bool = True,
) -> None:
    """Generate scenes and write their pictures, classes, depths and calibrations.

    Scenes that the folder holds already are kept; the files do not depend on `workers`.

    Args:
        out: The folder; made if absent.
        scenes: Number of scenes, four pictures each.
        width: Of the pictures, pixels.
        height: The same.
        seed: Decides everything in the scenes.
        workers: Number of processes.
        tilt_degrees: Every camera is turned by a random rotation of up to this angle.
        panorama: (width, height) of a panorama of each scene, or None.
        progress: Whether to draw a progress bar on stderr.

    Raises:
        ValueError: For an argument out of range, or a folder that was made with other arguments.
    """
    job = _Job(Path(out), width, height, seed, float(tilt_degrees), panorama)
    _check(job, scenes, workers)
    _claim(job)
    if job.panorama:
        _write_classes(job.out / "panoramas" / "classes.yaml")
    todo = [
        number
        for number in range(1, scenes + 1)
        if not all(path.is_file() for path in job.files(number))
    ]
    with progress_bar(scenes, scenes - len(todo), progress, "scenes") as advance:
        for _ in run_all(functools.partial(_writer, job), todo, workers):
            advance()


def _check(job: _Job, scenes: int, workers: int) -> None:
    if scenes < 1:
        raise ValueError(f"scenes={scenes} must be at least 1")
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    if job.seed < 0:
        raise ValueError(f"seed={job.seed} must not be negative")
    if not 0 <= job.tilt_degrees <= 180:
        raise ValueError(f"tilt_degrees={job.tilt_degrees} must be between 0 and 180")
    if job.panorama is not None and min(job.panorama) < 16:
        raise ValueError(f"panorama={job.panorama} must be at least 16 x 16 pixels")
    surround_cameras(job.width, job.height)


def _claim(job: _Job) -> None:
    """Record in the folder how it is made, or check that it was made the same way."""
    path = job.out / _RECORD
    if not path.is_file():
        if job.out.exists() and (not job.out.is_dir() or any(job.out.iterdir())):
            raise ValueError(
                f"{job.out} is not empty and holds no {_RECORD}: it was not made by this command; "
                "choose another folder"
            )
        job.out.mkdir(parents=True, exist_ok=True)
        _write(path, (json.dumps(job.record(), indent=1) + "\n").encode())
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}") from None
    wanted = job.record()
    if found != wanted:
        known = found if isinstance(found, dict) else {}
        different = [
            f"{key} was {known.get(key)!r} and is now {value!r}"
            for key, value in wanted.items()
            if known.get(key) != value
        ]
        raise ValueError(
            f"{job.out} was made with other arguments ({'; '.join(different) or 'unknown keys'}): "
            "use the same ones to continue, or another folder"
        )


def _writer(job: _Job) -> Callable[[int], None]:
    """What a worker does with a scene's number."""
    return functools.partial(_write_scene, job)


def _write_scene(job: _Job, number: int) -> None:
    renderer = Renderer(build_scene(job.seed, number))
    for place, (name, camera) in enumerate(surround_cameras(job.width, job.height).items()):
        if job.tilt_degrees > 0:
            rng = np.random.default_rng([job.seed, number, _TILT_STREAM, place])
            camera = tilted(camera, job.tilt_degrees, rng)
        files = job.camera_files(number, name)
        _write_frame(take_frame(renderer, camera), files)
        calibration = json.dumps(camera.to_dict(), indent=1) + "\n"
        _write(files["calibration"], calibration.encode())
    if job.panorama:
        panorama = take_panorama(renderer, *job.panorama)
        depth = np.where(panorama.depth >= SKY_DEPTH, np.float32(np.inf), panorama.depth)
        _write_frame(replace(panorama, depth=depth), job.panorama_files(number))


def _write_classes(path: Path) -> None:
    """Write the class list of the panoramas' labels (`data_prep.classes.read_class_list`)."""
    classes = SYNWOODSCAPE_CLASSES["all"]
    named = zip(classes.names, classes.colours, strict=True)
    entries = [
        {"name": name, "ids": [id_], "colour": list(colour)}
        for id_, (name, colour) in enumerate(named)
    ]
    if not path.is_file():
        _write(path, yaml.safe_dump({"classes": entries}, sort_keys=False).encode())


def _write_frame(frame: Frame, files: dict[str, Path]) -> None:
    _write(files["image"], _png(frame.image[:, :, ::-1]))
    _write(files["semantic"], _png(frame.semantic))
    buffer = io.BytesIO()
    np.save(buffer, frame.depth)
    _write(files["depth"], buffer.getvalue())


def _png(picture: np.ndarray) -> bytes:
    done, encoded = cv2.imencode(".png", picture, _PNG)
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return encoded.tobytes()


def _write(path: Path, content: bytes) -> None:
    """Write a file that is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two runs into one folder write the same bytes, each under a name of its own.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a file that a power cut emptied would count as finished
    os.replace(temporary, path)
