"""The cameras of a source: each distinct calibration once, cropped, with the own vehicle's mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from data_prep.crop import Crop, green_strips
from data_prep.readers import Frame, Reader
from data_prep.readers.files import read_bytes
from data_prep.readers.png import check_png, decode_png
from healswin.cameras import Camera, pole_rotation
from healswin.grid import HealpixGrid
from healswin.resample import HealpixMap

# Where the pixels of a frame come from: a camera, or a map that is on the sphere already.
Geometry = Camera | HealpixMap


def distinct_calibrations(
    frames: Sequence[Frame], calibrations: Sequence[Geometry]
) -> tuple[list[str], dict[str, Geometry]]:
    """The key of each frame's camera, and each distinct calibration once.

    The key is the camera's name; where the calibrations of one name differ the second is "FV#2".
    """
    keys: list[str] = []
    cameras: dict[str, Geometry] = {}
    key_of: dict[tuple[str, Geometry], str] = {}
    count: dict[str, int] = {}
    for frame, camera in zip(frames, calibrations, strict=True):
        if (frame.camera, camera) not in key_of:
            count[frame.camera] = number = count.get(frame.camera, 0) + 1
            key = frame.camera if number == 1 else f"{frame.camera}#{number}"
            key_of[frame.camera, camera] = key
            cameras[key] = camera
        keys.append(key_of[frame.camera, camera])
    return keys, cameras


def check_view(key: str, camera: Camera, grid: HealpixGrid, pole: str) -> None:
    """Refuse a camera that sees nothing of the grid, before images are read for it.

    Raises:
        ValueError: Naming the base pixels.
    """
    coarse = HealpixGrid(min(grid.nside, 16), grid.base_pixels)
    if not camera.valid(coarse.vectors() @ pole_rotation(camera, pole).T).any():
        raise ValueError(f"base_pixels={grid.base_pixels}: camera {key!r} sees none of them")


def check_pose(camera: Geometry, pole: str, image: str) -> None:
    """Refuse a camera whose pose decides the map and is not known.

    Args:
        camera: The calibration of an image.
        pole: What the map's pole is.
        image: The image's file, for the message.

    Raises:
        ValueError: Naming the image.
    """
    if isinstance(camera, HealpixMap) or pole == "camera":
        return
    try:
        camera.rotation()
    except ValueError as error:
        raise ValueError(
            f"{image}: pole={pole!r} needs the camera's pose, and {error}; state it, or use "
            "--pole camera"
        ) from None


def strips_of(reader: Reader, frames: Sequence[Frame]) -> Crop:
    """The crop that cuts the green strips of the first image of every camera.

    Raises:
        ValueError: If one of these images cannot be decoded.
    """
    crop = Crop()
    for frame in {frame.camera: frame for frame in reversed(frames)}.values():
        path = reader.root / frame.files["image"]
        crop = crop.joined(green_strips(reader.image(read_bytes(path), str(path))))
    return crop


def find_masks(folder: Path | None, cameras: Iterable[tuple[str, Camera]]) -> dict[str, Path]:
    """The mask of the own vehicle of each camera that has one, by the camera's name.

    Args:
        folder: Where the masks are, CAMERA.png; None for no masks.
        cameras: Name and calibration of the full images.

    Raises:
        ValueError: If there is no folder, no mask in it has a camera's name, or one is of another
            size or kind; the message names it.
    """
    if folder is None:
        return {}
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"own_vehicle={folder} is no folder")
    masks: dict[str, Path] = {}
    names = set()
    for name, camera in cameras:
        names.add(name)
        path = folder / f"{name}.png"
        if path.exists():
            check_png(path, (camera.width, camera.height), ("grey",))
            masks[name] = path
    if not masks:
        raise ValueError(
            f"own_vehicle={folder} holds no mask CAMERA.png of the cameras {sorted(names)}"
        )
    return dict(sorted(masks.items()))


def read_mask(path: Path, crop: Crop) -> Bool[np.ndarray, "height width"]:
    """Where the own vehicle is in a camera's images.

    Raises:
        ValueError: If the file is damaged.
    """
    return crop.cut(decode_png(read_bytes(path), str(path))) != 0


def up_direction(pole: str, cameras: Sequence[Geometry]) -> list[float]:
    """The direction in the map that points up, for networks that know a vertical.

    In the camera's own axes that is (0, -1, 0), whatever its tilt; with the zenith's pole it is
    the pole. With the vehicle's pole it is the vehicle's z axis as the map shows it, averaged over
    the cameras.

    Raises:
        ValueError: If the cameras' verticals cancel each other.
    """
    if pole == "camera":
        return [0.0, -1.0, 0.0]
    vertical = np.array([0.0, 0.0, 1.0])
    if pole == "zenith":
        return vertical.tolist()
    directions = [pole_rotation(c, pole).T @ c.rotation().T @ vertical for c in cameras]
    mean = np.mean(directions, axis=0)
    if np.linalg.norm(mean) < 0.1:
        raise ValueError(
            "pole='vehicle': the vertical of these cameras points in all directions of the map, "
            "their quaternions contradict each other: use pole='camera'"
        )
    return (mean / np.linalg.norm(mean)).tolist()
