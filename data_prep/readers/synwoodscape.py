"""SynWoodScape: simulated surround-view fisheye images (Sekkat et al. 2022, arXiv 2203.05056).

Expected under the root, where every folder may also lie inside one of its own name, as the archives
unpack:

* ``rgb_images/00001_FV.png``: 8-bit RGB; the number is the scene, the letters are the camera;
* ``semantic_annotations/gtLabels/00001_FV.png``: 8-bit grey, ids 0..24;
* ``depth_maps/raw_data/00001_FV.npy``: metres along the ray, 1000 is the sky;
* ``calibration/00001_FV.json``, or one ``calibration/FV.json`` for all frames of a camera.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from data_prep.classes import SYNWOODSCAPE_CLASSES, ClassList
from data_prep.readers.base import Frame
from data_prep.readers.png import check_png, decode_png
from healswin.cameras import Camera, read_calibration

# What the simulator writes where its ray met nothing.
SKY_DEPTH = 1000.0

_NAME = re.compile(r"(?P<scene>\d+)_(?P<camera>[A-Za-z]+)")


class SynWoodScapeReader:
    """Reads SynWoodScape's folder layout.

    Args:
        root: The folder that holds ``rgb_images`` and its neighbours.

    Raises:
        ValueError: If the folder does not exist.
    """

    tasks: ClassVar[tuple[str, ...]] = ("semantic", "depth")
    classes: ClassVar[dict[str, ClassList]] = SYNWOODSCAPE_CLASSES

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ValueError(f"the source folder {root} does not exist")
        self.root = root

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        images = self._files("rgb_images", ".png")
        if not images:
            raise ValueError(f"{self.root} holds no images: rgb_images/*.png are expected")
        # The label of a frame that lacks one is named where it ought to be.
        folders = {"semantic": ("semantic_annotations/gtLabels", ".png")}
        folders["depth"] = ("depth_maps/raw_data", ".npy")
        found = {task: self._files(*folders[task]) for task in tasks}
        calibrations = self._files("calibration", ".json")
        frames = []
        for name, image in sorted(images.items()):
            match = _NAME.fullmatch(name)
            if match is None:
                raise ValueError(
                    f"{self.root / image} is not named NUMBER_CAMERA.png, e.g. 00001_FV.png"
                )
            files = {"image": image}
            for task in tasks:
                folder, suffix = folders[task]
                files[task] = found[task].get(name, f"{folder}/{name}{suffix}")
            files["calibration"] = calibrations.get(name) or calibrations.get(
                match["camera"], f"calibration/{name}.json"
            )
            frames.append(Frame(name, match["camera"], match["scene"], files))
        return frames

    def calibration(self, frame: Frame) -> Camera:
        """See `data_prep.readers.base.Reader`."""
        path = self.root / frame.files["calibration"]
        if not path.is_file():
            raise ValueError(f"{path} is missing: the image {frame.name} has no calibration")
        camera = read_calibration(path)
        if camera.name not in ("", frame.camera):
            raise ValueError(
                f"{path} calibrates the camera {camera.name!r}, the image {frame.name} is of "
                f"{frame.camera!r}"
            )
        return camera

    def check(self, frame: Frame, camera: Camera) -> None:
        """See `data_prep.readers.base.Reader`."""
        size = (camera.width, camera.height)
        check_png(self.root / frame.files["image"], size, ("RGB", "RGB with alpha"))
        if "semantic" in frame.files:
            check_png(self.root / frame.files["semantic"], size, ("grey",))
        if "depth" in frame.files:
            _check_depth(self.root / frame.files["depth"], size)

    def image(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width 3"]:
        """See `data_prep.readers.base.Reader`."""
        image = decode_png(data, file)
        alpha = image.shape[2] == 4
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if alpha else cv2.COLOR_BGR2RGB)

    def semantic(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
        """See `data_prep.readers.base.Reader`."""
        return decode_png(data, file)

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """See `data_prep.readers.base.Reader`."""
        depth = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32)
        if (depth < 0).any():
            raise ValueError(f"{file} holds the negative depth {np.nanmin(depth)}")
        depth[depth >= SKY_DEPTH] = np.inf
        return depth

    def _files(self, folder: str, suffix: str) -> dict[str, str]:
        """The files of a folder, unpacked once or twice: stem -> path under the root."""
        top, *rest = folder.split("/")
        found: dict[str, str] = {}
        for place in (folder, "/".join([top, top, *rest])):
            for path in sorted((self.root / place).glob(f"*{suffix}")):
                relative = f"{place}/{path.name}"
                if path.stem in found:
                    raise ValueError(
                        f"the name {path.stem} is doubled: {self.root / found[path.stem]} and "
                        f"{self.root / relative}"
                    )
                found[path.stem] = relative
        return found


def _check_depth(path: Path, size: tuple[int, int]) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    try:
        depth = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no whole .npy file: {error}") from None
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise ValueError(
            f"{path} holds {depth.dtype} of shape {depth.shape}, floating point numbers of shape "
            "(height, width) are needed"
        )
    if depth.shape != size[::-1]:
        raise ValueError(
            f"{path} is {depth.shape[1]} x {depth.shape[0]} pixels, its calibration is for "
            f"{size[0]} x {size[1]}"
        )
