"""Small folders of every layout that a reader reads (SynWoodScape: `synwoodscape_folder`)."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import healpy
import numpy as np
from synwoodscape_folder import HEIGHT, WIDTH, tiny_camera

KITTI_SIZE = 64
# The left fisheye camera of KITTI-360, scaled from 1400 to KITTI_SIZE pixels.
_SCALE = KITTI_SIZE / 1400
KITTI_YAML = f"""%YAML:1.0
---
model_type: MEI
camera_name: camera
image_width: {KITTI_SIZE}
image_height: {KITTI_SIZE}
mirror_parameters:
   xi: 2.2134
distortion_parameters:
   k1: 0.016798
   k2: 1.6548773
   p1: 4.2e-04
   p2: 4.2e-04
projection_parameters:
   gamma1: {1336.3 * _SCALE}
   gamma2: {1335.8 * _SCALE}
   u0: {716.94 * _SCALE}
   v0: {705.76 * _SCALE}
"""
# Looks to the left: camera x, y, z are vehicle x, -z, y; the file's axes are x, right, down.
KITTI_POSES = """image_00: 0 0 1 1.5 1 0 0 -0.3 0 1 0 -1.1
image_02: 1 0 0 0.7 0 0 -1 -0.9 0 1 0 -1.3
image_03: -1 0 0 0.7 0 0 1 0.5 0 1 0 -1.3
"""


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A smooth random image (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def labels(seed: int, classes: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Random ids (height, width) uint8 in blocks."""
    coarse = np.random.default_rng(seed).integers(0, classes, (6, 8), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def metres(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Random depth (height, width) float32; its first rows inf, then one of 0, unknown."""
    depth = np.random.default_rng(seed).uniform(0.5, 60, (height, width)).astype(np.float32)
    depth[: height // 4] = np.inf
    depth[height // 4] = 0
    return depth


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB or grey image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def write_npy(path: Path, values: np.ndarray) -> None:
    """Write an array, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def write_calibration(path: Path, camera: str = "FV") -> None:
    """Write the JSON of a WIDTH x HEIGHT fisheye camera, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tiny_camera(camera).to_dict()), encoding="utf-8")


def write_woodscape(root: Path, frames: int = 4, strips: int = 0) -> Path:
    """WoodScape: images of FV and RV in turn, labels 0..9, calibrations.

    Args:
        root: The folder to make.
        frames: Number of images.
        strips: Height of the green strips at the top and the bottom.
    """
    for number in range(frames):
        camera = ("FV", "RV")[number % 2]
        name = f"{number:05d}_{camera}"
        image = picture(number)
        if strips:
            image[:strips] = image[-strips:] = (0, 140, 0)
        write_image(root / f"rgb_images/{name}.png", image)
        write_image(root / f"semantic_annotations/gtLabels/{name}.png", labels(number, 10))
        write_calibration(root / f"calibration/{name}.json", camera)
    return root


def write_kitti360(root: Path, frames: int = 12, drives: int = 1, poses: bool = True) -> Path:
    """KITTI-360: both fisheye cameras of some drives."""
    for drive in range(drives):
        for camera in ("image_02", "image_03"):
            folder = root / f"data_2d_raw/2013_05_28_drive_{drive:04d}_sync/{camera}/data_rgb"
            for number in range(frames):
                image = picture(number, KITTI_SIZE, KITTI_SIZE)
                write_image(folder / f"{number:010d}.png", image)
    (root / "calibration").mkdir(parents=True)
    for camera in ("image_02", "image_03"):
        (root / f"calibration/{camera}.yaml").write_text(KITTI_YAML, encoding="utf-8")
    if poses:
        path = root / "calibration/calib_cam_to_pose.txt"
        path.write_text(KITTI_POSES, encoding="utf-8")
    return root


def write_classes(root: Path, names: tuple[str, ...] = ("void", "road", "sky")) -> None:
    """A class list with ids 0, 1, ..."""
    (root / "classes.yaml").write_text(f"classes: [{', '.join(names)}]\n", encoding="utf-8")


def write_folder(
    root: Path,
    scenes: int = 3,
    cameras: tuple[str, ...] = ("left", "right"),
    image_suffix: str = ".png",
    depth_suffix: str = ".npy",
) -> Path:
    """A folder of images: a sub-folder and a calibration a camera, labels 0..2, depth, classes.

    Args:
        root: The folder to make.
        scenes: Number of images a camera.
        cameras: Names of the sub-folders; (): no sub-folders, one calibration for all.
        image_suffix: ".png" or ".jpg".
        depth_suffix: ".npy" (metres) or ".png" (millimetres).
    """
    for scene in range(scenes):
        for camera in cameras or ("",):
            name = f"{scene:04d}"
            write_image(root / "images" / camera / f"{name}{image_suffix}", picture(scene))
            write_image(root / "labels" / camera / f"{name}.png", labels(scene, 3))
            depth = metres(scene)
            if depth_suffix == ".npy":
                write_npy(root / "depth" / camera / f"{name}.npy", depth)
            else:
                millimetres = np.rint(1000 * np.where(np.isfinite(depth), depth, 0))
                write_image(root / "depth" / camera / f"{name}.png", millimetres.astype(np.uint16))
    for camera in cameras:
        write_calibration(root / f"calibration/{camera}.json")
    if not cameras:
        write_calibration(root / "calibration.json")
    write_classes(root)
    return root


def write_panoramas(root: Path, scenes: int = 3, width: int = 64) -> Path:
    """Panoramas with labels 0..2, depth and classes."""
    size = (width, width // 2)
    for scene in range(scenes):
        name = f"{scene:04d}"
        write_image(root / f"images/{name}.jpg", picture(scene, *size))
        write_image(root / f"labels/{name}.png", labels(scene, 3, *size))
        write_npy(root / f"depth/{name}.npy", metres(scene, *size))
    write_classes(root)
    return root


def map_values(seed: int, nside: int = 8, channels: int = 2) -> np.ndarray:
    """A random map (channels, pixels) float32 with some NaN and UNSEEN, in RING order."""
    values = np.random.default_rng(seed).normal(size=(channels, 12 * nside**2)).astype(np.float32)
    values[:, seed + 3] = np.nan
    values[:, seed + 5] = healpy.UNSEEN
    return values


def write_healpix(root: Path, nside: int = 8) -> Path:
    """The same map four times: FITS in RING and NESTED order, .npy in both."""
    root.mkdir(parents=True, exist_ok=True)
    ring = map_values(0, nside)
    nested = np.stack([healpy.reorder(channel, r2n=True) for channel in ring])
    healpy.write_map(root / "a_ring.fits", ring, dtype=np.float32)
    healpy.write_map(root / "b_nested.fits.gz", nested, nest=True, dtype=np.float64)
    write_npy(root / "more/c.npy", ring)
    write_npy(root / "more/d_nest.npy", nested)
    return root
