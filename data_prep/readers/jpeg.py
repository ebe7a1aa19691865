"""JPEG files, checked as far as the format allows.

A JPEG file has no checksums, and decoders fill what is missing at its end with grey. So the header
is read before the work starts (frame header and markers: ITU-T T.81, annex B), and the end marker
is looked for. An orientation tag that the camera added is not obeyed: calibrations are for the
pixels as they are stored.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8

from data_prep.readers.files import reading
from data_prep.readers.header import ImageHeader

_START, _END = b"\xff\xd8", b"\xff\xd9"
_COLOURS = {1: "grey", 3: "RGB", 4: "CMYK"}
# C4, C8 and CC lie among the markers of frame headers and are none.
_FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


def read_jpeg_header(path: Path) -> ImageHeader:
    """Read the header of a JPEG file and look for its end, without decoding it.

    Raises:
        ValueError: If the file is missing, no JPEG, or cut short.
    """
    with reading(path), path.open("rb") as file:
        if file.read(2) != _START:
            raise ValueError(f"{path} is no JPEG file")
        header = _frame_header(file)
        if header is None or not _ends(file):
            raise ValueError(f"{path} is truncated: the end of the JPEG file is missing")
    return header


def decode_jpeg(data: bytes, file: str) -> UInt8[np.ndarray, "height width 3"]:
    """Decode a JPEG file whose header was checked, RGB.

    Args:
        data: The whole file.
        file: Its name, for the message.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if image is None:
        raise ValueError(f"{file} is damaged: it cannot be decoded")
    return image


def _ends(file: BinaryIO) -> bool:
    """Whether the end marker comes after the frame header, at which the file stands."""
    start = file.tell()
    file.seek(-len(_END), 2)
    if file.read() == _END:
        return True
    # Something may follow the end. Within the pixels' data its marker cannot occur; a preview has
    # one, but comes before the frame header.
    file.seek(start)
    return _END in file.read()


def _frame_header(file: BinaryIO) -> ImageHeader | None:
    """Walk the segments up to the frame header; None if the file ends before."""
    while True:
        marker = file.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = marker[1:] + file.read(1)
        length = file.read(2)
        if len(length) < 2 or marker[0] != 0xFF or marker[1] == _SCAN:
            return None
        if marker[1] in _FRAME_HEADERS:
            values = file.read(6)
            if len(values) < 6:
                return None
            bits, height, width, components = struct.unpack(">BHHB", values)
            colour = _COLOURS.get(components, f"of {components} components")
            return ImageHeader(width, height, bits, colour)
        file.seek(int.from_bytes(length, "big") - 2, 1)
