"""WoodScape: surround-view fisheye images (Yogamani et al., ICCV 2019, arXiv 1905.01489).

Expected under the root, where every folder may also lie inside one of its own name, as the archives
unpack:

* ``rgb_images/00000_FV.png``: 8-bit RGB; the number is the scene, the letters are the camera;
* ``semantic_annotations/gtLabels/00000_FV.png``: 8-bit grey, ids 0..9;
* ``calibration/00000_FV.json``, or one ``calibration/FV.json`` for all frames of a camera.

At the top and the bottom of some images are green strips; ``--crop`` cuts them off
(`data_prep.crop`).
"""

from __future__ import annotations

import re
from typing import ClassVar

from data_prep.classes import WOODSCAPE_CLASSES, ClassList
from data_prep.readers.base import Frame
from data_prep.readers.files import files_in
from data_prep.readers.images import ImageReader, read_frame_calibration
from healswin.cameras import Camera

_NAME = re.compile(r"(?P<scene>\d+)_(?P<camera>[A-Za-z]+)")


class WoodScapeReader(ImageReader):
    """Reads WoodScape's folder layout.

    Args:
        root: The folder that holds ``rgb_images`` and its neighbours.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ("semantic",)
    classes: ClassVar[dict[str, ClassList]] = WOODSCAPE_CLASSES
    default_classes: ClassVar[str | None] = "all"
    # Where the files of a task lie, and what their names end in.
    places: ClassVar[dict[str, tuple[str, str]]] = {
        "semantic": ("semantic_annotations/gtLabels", ".png"),
    }

    def default_tasks(self) -> tuple[str, ...]:
        """See `data_prep.readers.base.Reader`."""
        return ("semantic",) if self._files(*self.places["semantic"]) else ()

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        images = self._files("rgb_images", ".png")
        if not images:
            raise ValueError(f"{self.root} holds no images: rgb_images/*.png are expected")
        found = {task: self._files(*self.places[task]) for task in tasks}
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
                # The label of a frame that lacks one is named where it ought to be.
                folder, suffix = self.places[task]
                files[task] = found[task].get(name, f"{folder}/{name}{suffix}")
            files["calibration"] = calibrations.get(name) or calibrations.get(
                match["camera"], f"calibration/{name}.json"
            )
            frames.append(Frame(name, match["camera"], match["scene"], files))
        return frames

    def calibration(self, frame: Frame) -> Camera:
        """See `data_prep.readers.base.Reader`."""
        camera = read_frame_calibration(self.root, frame)
        if camera.name not in ("", frame.camera):
            path = self.root / frame.files["calibration"]
            raise ValueError(
                f"{path} calibrates the camera {camera.name!r}, the image {frame.name} is of "
                f"{frame.camera!r}"
            )
        if camera.quaternion is None:
            path = self.root / frame.files["calibration"]
            raise ValueError(
                f"{path}: the calibration entry 'quaternion' in 'extrinsic' is missing"
            )
        return camera

    def _files(self, folder: str, suffix: str) -> dict[str, str]:
        """The files of a folder, unpacked once or twice: stem -> path under the root."""
        top, *rest = folder.split("/")
        found: dict[str, str] = {}
        for place in (folder, "/".join([top, top, *rest])):
            for name in files_in(self.root / place, (suffix,)):
                stem, relative = name[: -len(suffix)], f"{place}/{name}"
                if stem in found:
                    raise ValueError(
                        f"the name {stem} is doubled: {self.root / found[stem]} and "
                        f"{self.root / relative}"
                    )
                found[stem] = relative
        return found
