"""What a reader offers to the conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from data_prep.classes import ClassList
from healswin.cameras import Camera
from healswin.data.depth_files import DepthFiles
from healswin.resample import HealpixMap


@dataclass(frozen=True)
class Frame:
    """One image of the source with what belongs to it.

    Args:
        name: Unique name, e.g. "00001_FV".
        camera: Name of its camera, e.g. "FV". Frames of one camera and calibration share a row of
            "valid", so that a map with holes of its own has a name of its own here.
        scene: What it was taken of: frames of one scene never come into different parts of a split.
        files: Paths under the source's root by kind: "image", the tasks, and what else decides
            the sample ("calibration").
    """

    name: str
    camera: str
    scene: str
    files: dict[str, str]


class Reader(Protocol):
    """Finds and decodes the files of one data set.

    A reader is made in the main process and pickled into workers. The conversion calls `frames`,
    then `calibration` and `check` for every frame before any long work; the three decoders get a
    file's bytes, so that it is read from the disk once for hashing and decoding.

    Args:
        root: The folder of the data set.

    Attributes:
        tasks: The arrays it can read besides the image, out of "semantic" and "depth".
        classes: Its class lists by name.
        default_classes: The usual one of them; None: the source has a ``classes.yaml``.
        default_pole: The usual pole of the map: see `healswin.cameras.pole_rotation`.
        depth_files: What its depth files hold; None if it reads none.
    """

    tasks: ClassVar[tuple[str, ...]]
    classes: ClassVar[dict[str, ClassList]]
    default_classes: ClassVar[str | None]
    default_pole: ClassVar[str]
    depth_files: ClassVar[DepthFiles | None]
    root: Path

    def __init__(self, root: Path) -> None: ...

    def default_tasks(self) -> tuple[str, ...]:
        """The labels, if the source has any."""
        ...

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """All frames in the order of their names; no image is opened.

        Raises:
            ValueError: If there is none, a folder may not be read or a name is doubled.
        """
        ...

    def calibration(self, frame: Frame) -> Camera | HealpixMap:
        """Where the frame's pixels look.

        Raises:
            ValueError: If the file that says so is missing or wrong; the message names it.
        """
        ...

    def check(self, frame: Frame, camera: Camera | HealpixMap) -> None:
        """Check what can be checked without decoding: presence, headers, sizes, ends of files.

        Raises:
            ValueError: Naming the file.
        """
        ...

    def image_format(self, frames: list[Frame]) -> tuple[int, str]:
        """Number of channels and dtype of the images, once the frames have been checked."""
        ...

    def image(self, data: bytes, file: str) -> Shaped[np.ndarray, "*pixels channels"]:
        """Decode an image: uint8 (height, width, 3) RGB.

        A HEALPix map is float32 (pixels, channels) in its own order, NaN where it has no value.

        Raises:
            ValueError: If the file is damaged; the message names it.
        """
        ...

    def semantic(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
        """Decode a label image: the source's ids."""
        ...

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """Decode a depth image: metres along the ray, +inf without return, NaN unknown."""
        ...
