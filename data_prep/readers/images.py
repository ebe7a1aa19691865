"""Images in files: what the readers of them have in common."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from data_prep.classes import ClassList
from data_prep.readers.base import Frame
from data_prep.readers.depth import DEPTH_FILES, check_depth, decode_depth
from data_prep.readers.files import reading, source_folder
from data_prep.readers.header import ImageHeader
from data_prep.readers.jpeg import decode_jpeg, read_jpeg_header
from data_prep.readers.png import decode_png, read_png_header
from healswin.cameras import Camera, read_calibration
from healswin.data.depth_files import DepthFiles

JPEG_SUFFIXES = (".jpg", ".jpeg")
IMAGE_SUFFIXES = (".png", *JPEG_SUFFIXES)


class ImageReader:
    """Decodes and checks images with labels and depth; a reader adds where they lie.

    Labels are grey PNG files of 8 bits; for depth see `data_prep.readers.depth`.

    Args:
        root: The folder of the data set.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    classes: ClassVar[dict[str, ClassList]] = {}
    default_classes: ClassVar[str | None] = None
    default_pole: ClassVar[str] = "camera"
    depth_files: ClassVar[DepthFiles | None] = DEPTH_FILES
    # What labels and depth are as large as, for messages.
    size_reference: ClassVar[str] = "its calibration is for"

    def __init__(self, root: Path) -> None:
        self.root = source_folder(root)

    def image_format(self, frames: list[Frame]) -> tuple[int, str]:
        """See `data_prep.readers.base.Reader`."""
        return 3, "uint8"

    def check(self, frame: Frame, camera: Camera) -> None:
        """See `data_prep.readers.base.Reader`."""
        size, reference = (camera.width, camera.height), self.size_reference
        path = self.root / frame.files["image"]
        read_image_header(path).check(path, size, ("RGB", "RGB with alpha"), reference=reference)
        if "semantic" in frame.files:
            path = self.root / frame.files["semantic"]
            read_png_header(path).check(path, size, ("grey",), reference=reference)
        if "depth" in frame.files:
            check_depth(self.root / frame.files["depth"], size, reference)

    def image(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width 3"]:
        """See `data_prep.readers.base.Reader`."""
        if file.lower().endswith(JPEG_SUFFIXES):
            return decode_jpeg(data, file)
        return decode_png(data, file, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)

    def semantic(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
        """See `data_prep.readers.base.Reader`."""
        return decode_png(data, file)

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """See `data_prep.readers.base.Reader`."""
        return decode_depth(data, file)


def read_frame_calibration(
    root: Path, frame: Frame, size: tuple[int, int] | None = None, elsewhere: str = ""
) -> Camera:
    """Read the calibration file of a frame.

    Args:
        root: The source's folder.
        frame: Its file "calibration" is read.
        size: Width and height of the image, for a file that does not state them.
        elsewhere: Where else the file could be, for the message if it is missing.

    Raises:
        ValueError: If the file is missing or wrong; the message names it.
    """
    path = root / frame.files["calibration"]
    with reading(path):
        if not path.exists():
            raise ValueError(
                f"{path} is missing: the image {frame.name} has no calibration{elsewhere}"
            )
        return read_calibration(path, size)


def read_image_header(path: Path) -> ImageHeader:
    """Read the header of a PNG or JPEG file and look for its end.

    Raises:
        ValueError: If the file is missing, of another kind than its name says, or cut short.
    """
    is_jpeg = path.suffix.lower() in JPEG_SUFFIXES
    return read_jpeg_header(path) if is_jpeg else read_png_header(path)
