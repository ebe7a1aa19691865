"""Images and their calibrations, found and read.

The calibration of an image is the file given for all, or in a folder of calibrations DIR the first
of

* ``DIR/CAMERA/NAME.*``: of this image of this camera;
* ``DIR/NAME.*``: of this image;
* ``DIR/CAMERA.*``: of all images of the camera.

Where nothing is given it is ``NAME.*`` beside the image, or ``calibration.*`` in its folder. Each
is .json, .yaml or .yml in one of the formats of `healswin.cameras.read_calibration`. CAMERA is the
part of the image's name after the last "_", or the folder that it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from healswin.cameras import Camera, EquirectangularCamera, read_calibration

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
CALIBRATION_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True)
class Photograph:
    """An image file.

    Args:
        path: The file.
        name: What its results are called: the path inside the folder that was given, without the
            suffix, e.g. "left/0001".
        calibration: The file of its calibration; None for a panorama.
    """

    path: Path
    name: str
    calibration: Path | None = None


def find_photographs(
    paths: Sequence[Path], calibration: Path | None = None, panorama: bool = False
) -> list[Photograph]:
    """The images that were asked for, sorted so that those of one calibration are together.

    Args:
        paths: Image files, and folders whose images (also those in folders inside) are taken.
        calibration: A file for all of them, or a folder of files; None: files beside the images.
        panorama: Whether they are panoramas, which need no calibration.

    Raises:
        ValueError: If a path does not exist, a folder holds no image, two images have one name, or
            a calibration is not found.
    """
    if calibration is not None and not calibration.exists():
        raise ValueError(f"--calibration {calibration} does not exist")
    found: dict[str, Photograph] = {}
    for path, name in _named(paths):
        if name in found:
            raise ValueError(
                f"the images {found[name].path} and {path} would both be called {name!r}: rename "
                "one, or apply the model to one folder after the other"
            )
        file = None if panorama else _calibration_of(path, calibration)
        found[name] = Photograph(path, name, file)
    return sorted(found.values(), key=lambda photo: (str(photo.calibration), photo.name))


def read_photograph(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read an image, RGB. An orientation tag is not obeyed: calibrations are for stored pixels.

    Raises:
        ValueError: If the file cannot be read, is no image, or is cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    if not data or not _is_whole(data):
        raise ValueError(f"{path} is {'truncated' if data else 'empty'}: its end is missing")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return image


def camera_of(
    photograph: Photograph,
    size: tuple[int, int],
    name: str | None = None,
    read: Callable[[Path, tuple[int, int]], Camera] = read_calibration,
) -> Camera:
    """The calibration of an image.

    Args:
        photograph: The image.
        size: Its (width, height).
        name: What the camera is called, whatever the calibration says.
        read: Reads a calibration file, given the size of the image; e.g. one that remembers.

    Raises:
        ValueError: If the calibration cannot be used or is for images of another size.
    """
    if photograph.calibration is None:
        try:
            return EquirectangularCamera(*size, name=name or "panorama")
        except ValueError as error:
            raise ValueError(f"{photograph.path} is no panorama: {error}") from None
    camera = read(photograph.calibration, size)
    if (camera.width, camera.height) != size:
        raise ValueError(
            f"{photograph.path} is {size[0]} x {size[1]} pixels, its calibration "
            f"{photograph.calibration} is for {camera.width} x {camera.height}"
        )
    if name is None and camera.name:
        return camera
    return replace(camera, name=name or _camera_names(photograph.path)[0])


def _named(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Every image with the name of its results."""
    named = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"the image {path} does not exist")
        if not path.is_dir():
            named.append((path, path.stem))
            continue
        images = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        )
        if not images:
            raise ValueError(f"{path} holds no images: {', '.join(IMAGE_SUFFIXES)} are looked for")
        named += [(file, file.relative_to(path).with_suffix("").as_posix()) for file in images]
    return named


def _calibration_of(image: Path, given: Path | None) -> Path:
    if given is not None and not given.is_dir():
        return given
    if given is None:
        stems = [image.parent / image.stem, image.parent / "calibration"]
    else:
        cameras = _camera_names(image)
        stems = [given / camera / image.stem for camera in cameras]
        stems += [given / image.stem, *(given / camera for camera in cameras)]
    # The name may hold dots itself: a suffix is added, not replaced.
    files = [
        stem.with_name(stem.name + suffix) for stem in stems for suffix in CALIBRATION_SUFFIXES
    ]
    for file in files:
        if file.is_file():
            return file
    looked = ", ".join(f"{stem}.*" for stem in stems)
    raise ValueError(
        f"{image} has no calibration: looked for {looked} ({', '.join(CALIBRATION_SUFFIXES)}); "
        "give one with --calibration, or --panorama for a picture of the whole sphere"
    )


def _camera_names(image: Path) -> list[str]:
    """What the camera of an image may be called, the likeliest first."""
    _, _, last = image.stem.rpartition("_")
    return [*([last] if last != image.stem else []), image.absolute().parent.name]


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG or PNG file has its end; decoders fill the rest of one that has not."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[2:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data[-64:]
    return True
