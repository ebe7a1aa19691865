"""Any folder of calibrated images.

Images, labels and depth lie as `data_prep.readers.layout` says. The calibration of an image is the
first that is found of

* ``calibration/CAMERA/NAME.*``: of this image of this camera;
* ``calibration/NAME.*``: of this image;
* ``calibration/CAMERA.*``: of all images of the camera;
* ``NAME.*`` beside the image;
* ``calibration.*`` in SRC: of all images,

each .json, .yaml or .yml in one of the formats of `healswin.cameras.read_calibration`. CAMERA is
the folder that the image lies in, or the part of its name after the last "_" where the folder
``calibration`` knows such a camera; otherwise the camera is named as its calibration says, or
"camera". Images whose names differ in the camera only ("12_left", "12_right") are of one scene.

So a folder that holds ``front.jpg`` and ``front.json`` is a data set, and so is

    SRC/images/left/0001.jpg    SRC/labels/left/0001.png    SRC/calibration/left.yaml
    SRC/images/right/0001.jpg   SRC/labels/right/0001.png   SRC/calibration/right.yaml
    SRC/classes.yaml

Labels need a class list (`data_prep.classes.read_class_list`), by default ``classes.yaml``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from data_prep.readers.base import Frame
from data_prep.readers.files import files_in
from data_prep.readers.images import ImageReader, read_frame_calibration, read_image_header
from data_prep.readers.layout import FoundImage, find_images, has_labels, image_folder, stems
from healswin.cameras import Camera

_SUFFIXES = (".json", ".yaml", ".yml")


class FolderReader(ImageReader):
    """Reads a folder of images with one or many calibrations.

    Args:
        root: The folder.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ("semantic", "depth")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # One file calibrates many images; a camera takes long to make.
        self._cameras: dict[tuple[str, tuple[int, int]], Camera] = {}

    def default_tasks(self) -> tuple[str, ...]:
        """See `data_prep.readers.base.Reader`."""
        return ("semantic",) if has_labels(self.root) else ()

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        calibrations = _Calibrations(self.root)
        frames = []
        for image in find_images(self.root, tasks):
            camera = calibrations.camera(image)
            calibration = calibrations.file(image, camera)
            files = {**image.files, "calibration": calibration or f"calibration/{image.key}.json"}
            frame = Frame(image.name, camera, image.stem, files)
            camera = camera or self._own_name(frame) or "camera"
            scene = image.stem.removesuffix(f"_{camera}")
            frames.append(replace(frame, camera=camera, scene=scene))
        return frames

    def calibration(self, frame: Frame) -> Camera:
        """See `data_prep.readers.base.Reader`."""
        header = read_image_header(self.root / frame.files["image"])
        size = (header.width, header.height)
        key = (frame.files["calibration"], size)
        if key not in self._cameras:
            elsewhere = f"; it may also be in {self.root}/calibration.json, and be a .yaml file"
            self._cameras[key] = read_frame_calibration(self.root, frame, size, elsewhere)
        camera = self._cameras[key]
        return camera if camera.name else replace(camera, name=frame.camera)

    def _own_name(self, frame: Frame) -> str:
        """The name in a calibration; what is wrong with it is told later."""
        try:
            return self.calibration(frame).name
        except ValueError:
            return ""


class _Calibrations:
    """Where the calibrations of a folder are."""

    def __init__(self, root: Path) -> None:
        self._listed = stems(root, "calibration", _SUFFIXES)
        self._beside = stems(root, image_folder(root), _SUFFIXES)
        of_all = [name for name in files_in(root, _SUFFIXES) if Path(name).stem == "calibration"]
        if len(of_all) > 1:
            raise ValueError(f"{root} holds {' and '.join(of_all)}: one calibration is needed")
        self._of_all = of_all[0] if of_all else ""

    def camera(self, image: FoundImage) -> str:
        """The camera's name as the files are named, "" if they do not tell."""
        _, _, last = image.stem.rpartition("_")
        is_camera = last != image.stem and (
            last in self._listed or f"{last}/{image.stem}" in self._listed
        )
        return image.folder or (last if is_camera else "")

    def file(self, image: FoundImage, camera: str) -> str:
        """The path of an image's calibration under the root, "" if there is none."""
        listed, beside = self._listed, self._beside
        return (
            listed.get(f"{camera}/{image.stem}")
            or listed.get(image.stem)
            or listed.get(camera)
            or beside.get(image.key)
            or self._of_all
        )
