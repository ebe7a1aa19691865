"""KITTI-360: the two fisheye cameras on the sides of a car (Liao, Xie, Geiger 2022, 2109.13410).

Expected under the root:

* ``data_2d_raw/DRIVE_sync/image_02/data_rgb/0000000000.png`` and ``image_03``: 8-bit RGB;
* ``calibration/image_02.yaml`` and ``image_03.yaml``: unified cameras;
* ``calibration/calib_cam_to_pose.txt``, if the pose on the vehicle is wanted: lines
  ``image_02: r11 r12 r13 t1 r21 ...`` of 12 numbers, which turn camera axes into those of the GPS
  unit (x forward, y right, z down).

A drive is a film, in which neighbours are nearly equal: a scene is a tenth of a drive, of both
cameras.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from data_prep.readers.base import Frame
from data_prep.readers.files import files_in, folders_in, read_bytes
from data_prep.readers.images import ImageReader, read_frame_calibration
from healswin.cameras import Camera

CAMERAS = ("image_02", "image_03")
SCENES_PER_DRIVE = 10

_POSES = "calibration/calib_cam_to_pose.txt"
# From x forward, y right, z down to x forward, y left, z up.
_TO_VEHICLE = np.diag([1.0, -1.0, -1.0])


class Kitti360Reader(ImageReader):
    """Reads KITTI-360's folder layout.

    Args:
        root: The folder that holds ``data_2d_raw`` and ``calibration``.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._cameras: dict[str, Camera] = {}

    def default_tasks(self) -> tuple[str, ...]:
        """See `data_prep.readers.base.Reader`."""
        return ()

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        poses = {"pose": _POSES} if (self.root / _POSES).exists() else {}
        frames = []
        for drive in folders_in(self.root / "data_2d_raw"):
            folders = {c: f"data_2d_raw/{drive}/{c}/data_rgb" for c in CAMERAS}
            images = {c: files_in(self.root / folder, (".png",)) for c, folder in folders.items()}
            numbers = sorted({name for names in images.values() for name in names})
            tenth = {n: i * SCENES_PER_DRIVE // len(numbers) for i, n in enumerate(numbers)}
            short = drive.removesuffix("_sync")
            frames += [
                Frame(
                    name=f"{short}_{Path(name).stem}_{camera}",
                    camera=camera,
                    scene=f"{short}_{tenth[name]}",
                    files={
                        "image": f"{folders[camera]}/{name}",
                        "calibration": f"calibration/{camera}.yaml",
                        **poses,
                    },
                )
                for camera, names in images.items()
                for name in names
            ]
        if not frames:
            raise ValueError(
                f"{self.root} holds no images: data_2d_raw/DRIVE_sync/image_02/data_rgb/*.png are "
                "expected"
            )
        return sorted(frames, key=lambda frame: frame.name)

    def calibration(self, frame: Frame) -> Camera:
        """See `data_prep.readers.base.Reader`."""
        if frame.camera not in self._cameras:
            camera = replace(read_frame_calibration(self.root, frame), name=frame.camera)
            if "pose" in frame.files:
                pose = read_pose(self.root / frame.files["pose"], frame.camera)
                camera = replace(
                    camera, quaternion=_quaternion(pose), translation=tuple(pose[:, 3].tolist())
                )
            self._cameras[frame.camera] = camera
        return self._cameras[frame.camera]


def read_pose(path: Path, camera: str) -> Float64[np.ndarray, "3 4"]:
    """The rotation and translation that turn a camera's axes into the vehicle's.

    Args:
        path: The file ``calib_cam_to_pose.txt``.
        camera: E.g. "image_02".

    Raises:
        ValueError: If the file has no line for the camera, or a wrong one.
    """
    text = read_bytes(path).decode("utf-8", errors="replace")
    lines = dict(line.partition(":")[::2] for line in text.splitlines())
    if camera not in lines:
        raise ValueError(f"{path} holds no line '{camera}: ...'")
    try:
        pose = np.array([float(value) for value in lines[camera].split()]).reshape(3, 4)
    except ValueError:
        raise ValueError(f"{path}: the line '{camera}: ...' must hold 12 numbers") from None
    rotation = pose[:, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not error < 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(
            f"{path}: columns 1 to 3 of '{camera}: ...' are no rotation (off by {error:.2g})"
        )
    return _TO_VEHICLE @ pose


def _quaternion(pose: Float64[np.ndarray, "3 4"]) -> tuple[float, ...]:
    from scipy.spatial.transform import Rotation

    return tuple(Rotation.from_matrix(pose[:, :3]).as_quat().tolist())
