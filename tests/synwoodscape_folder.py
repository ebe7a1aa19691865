"""A tiny SynWoodScape-like folder for the tests: textured images, labels in blocks, depth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from healswin.cameras import RadialPolynomialCamera

WIDTH, HEIGHT = 64, 48
CAMERAS = ("FV", "MVL", "MVR", "RV")

# Looking along vehicle x, y, -y and -x, 0.3 rad below the horizon; as (x, y, z, w).
_AZIMUTH = {"FV": 0.0, "MVL": np.pi / 2, "MVR": -np.pi / 2, "RV": np.pi}


def tiny_camera(name: str = "FV", cx_offset: float = 0.4) -> RadialPolynomialCamera:
    """A lens whose field fills the picture's height, mounted on a car."""
    azimuth, tilt = _AZIMUTH[name], 0.3
    forward = np.array(
        [np.cos(tilt) * np.cos(azimuth), np.cos(tilt) * np.sin(azimuth), -np.sin(tilt)]
    )
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return RadialPolynomialCamera(
        coefficients=(17.0, -1.5, 2.3, -0.4),
        width=WIDTH,
        height=HEIGHT,
        cx_offset=cx_offset,
        cy_offset=-0.2,
        name=name,
        quaternion=_quaternion(rotation),
        translation=(2.0, 0.0, 1.0),
    )


def write_synwoodscape(
    root: Path,
    scenes: int = 3,
    cameras: tuple[str, ...] = CAMERAS,
    doubled: bool = False,
) -> Path:
    """Write images, labels, depth and calibrations of every scene and camera.

    Args:
        root: The folder to make.
        scenes: Number of scenes, numbered from 1.
        cameras: The cameras of each scene.
        doubled: Lay the folders out as the archives unpack, one inside another of its name.
    """
    random = np.random.default_rng(0)
    for folder in ("rgb_images", "semantic_annotations", "depth_maps", "calibration"):
        (root / folder).mkdir(parents=True)
    inner = {
        folder: root / folder / folder if doubled else root / folder
        for folder in ("rgb_images", "semantic_annotations", "calibration", "depth_maps")
    }
    places = {
        "image": inner["rgb_images"],
        "semantic": inner["semantic_annotations"] / "gtLabels",
        "depth": inner["depth_maps"] / "raw_data",
        "calibration": inner["calibration"],
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    for scene in range(1, scenes + 1):
        for camera in cameras:
            name = f"{scene:05d}_{camera}"
            coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            ids = np.kron(random.integers(0, 25, (6, 8)), np.ones((8, 8))).astype(np.uint8)
            depth = random.uniform(0.5, 80.0, (HEIGHT, WIDTH)).astype(np.float32)
            depth[:10] = 1000.0
            cv2.imwrite(str(places["image"] / f"{name}.png"), image)
            cv2.imwrite(str(places["semantic"] / f"{name}.png"), ids)
            np.save(places["depth"] / f"{name}.npy", depth)
            calibration = json.dumps(tiny_camera(camera).to_dict())
            (places["calibration"] / f"{name}.json").write_text(calibration, encoding="utf-8")
    return root


def tree_bytes(root: Path) -> dict[str, bytes]:
    """All files of a folder by their relative path, to compare two sets byte for byte."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    return tuple(Rotation.from_matrix(rotation).as_quat().tolist())
