"""Equirectangular panoramas of the full sphere; no calibration is needed.

Images, labels and depth lie as `data_prep.readers.layout` says. An image is twice as wide as it is
high; its middle looks ahead, its upper border is the zenith
(`healswin.cameras.EquirectangularCamera`).
"""

from __future__ import annotations

from typing import ClassVar

from data_prep.readers.base import Frame
from data_prep.readers.images import ImageReader, read_image_header
from data_prep.readers.layout import find_images, has_labels
from healswin.cameras import Camera, EquirectangularCamera


class PanoramaReader(ImageReader):
    """Reads a folder of panoramas.

    Args:
        root: The folder.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ("semantic", "depth")
    default_pole: ClassVar[str] = "zenith"
    size_reference: ClassVar[str] = "the panorama is"

    def default_tasks(self) -> tuple[str, ...]:
        """See `data_prep.readers.base.Reader`."""
        return ("semantic",) if has_labels(self.root) else ()

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        return [
            Frame(image.name, image.folder or "panorama", image.stem, image.files)
            for image in find_images(self.root, tasks)
        ]

    def calibration(self, frame: Frame) -> Camera:
        """See `data_prep.readers.base.Reader`."""
        path = self.root / frame.files["image"]
        header = read_image_header(path)
        if header.width != 2 * header.height:
            raise ValueError(
                f"{path} is {header.width} x {header.height} pixels: a panorama of the full sphere "
                "is twice as wide as it is high"
            )
        return EquirectangularCamera(width=header.width, height=header.height, name=frame.camera)
