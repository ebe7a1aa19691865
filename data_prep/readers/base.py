"""What a reader offers to the conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from data_prep.classes import ClassList
from healswin.cameras import Camera


@dataclass(frozen=True)
class Frame:
    """One image of the source with what belongs to it.

    Args:
        name: Unique name, e.g. "00001_FV".
        camera: Name of its camera, e.g. "FV".
        scene: What it was taken of: frames of one scene never come into different parts of a split.
        files: Paths under the source's root by kind: "image", "calibration" and the tasks.
    """

    name: str
    camera: str
    scene: str
    files: dict[str, str]


class Reader(Protocol):
    """Finds and decodes the files of one data set.

    A reader is made in the main process and pickled into workers. The conversion calls `frames`,
    `calibration` and `check` for all frames before any long work; the three decoders get a file's
    bytes, so that it is read from the disk once for hashing and decoding.

    Args:
        root: The folder of the data set.

    Attributes:
        tasks: The arrays it can read besides the image, out of "semantic" and "depth".
        classes: Its class lists by name.
    """

    tasks: ClassVar[tuple[str, ...]]
    classes: ClassVar[dict[str, ClassList]]

    def __init__(self, root: Path) -> None: ...

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """All frames in the order of their names; no file is opened.

        Raises:
            ValueError: If there is none, a folder is missing or a name is doubled.
        """
        ...

    def calibration(self, frame: Frame) -> Camera:
        """The frame's calibration.

        Raises:
            ValueError: If the file is missing or wrong; the message names it.
        """
        ...

    def check(self, frame: Frame, camera: Camera) -> None:
        """Check what can be checked without decoding: presence, headers, sizes, ends of files.

        Raises:
            ValueError: Naming the file.
        """
        ...

    def image(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width 3"]:
        """Decode an image, RGB."""
        ...

    def semantic(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
        """Decode a label image: the source's ids."""
        ...

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """Decode a depth image: metres along the ray, +inf without return, NaN unknown."""
        ...
