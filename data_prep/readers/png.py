"""PNG files, checked.

OpenCV returns a partly grey image for a file that was cut short, and stretches labels of fewer than
eight bits over 0..255, in both cases without an error. So headers are read before the work starts,
and the checksum of every chunk is verified before an image is decoded (PNG specification, third
edition, section 5).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped

from data_prep.readers.files import reading
from data_prep.readers.header import ImageHeader

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


def read_png_header(path: Path) -> ImageHeader:
    """Read the header of a PNG file and look for its end, without decoding it.

    Raises:
        ValueError: If the file is missing, no PNG, or cut short.
    """
    with reading(path), path.open("rb") as file:
        head = file.read(33)
        length = file.seek(0, 2)
        file.seek(max(0, length - len(_END)))
        whole = file.read() == _END
        if not whole:  # something may follow the end
            file.seek(0)
            whole = _ends(file.read())
    if head[:8] != _SIGNATURE or head[12:16] != b"IHDR" or len(head) < 33:
        raise ValueError(f"{path} is no PNG file")
    if not whole:
        raise ValueError(f"{path} is truncated: the end of the PNG file is missing")
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    return ImageHeader(width, height, bits, _COLOUR_TYPES.get(kind, f"of colour type {kind}"))


def check_png(path: Path, size: tuple[int, int], colours: tuple[str, ...]) -> None:
    """Check header and end of a PNG file of 8 bits a channel without decoding it.

    Args:
        path: The file.
        size: (width, height) that it must have: those of its calibration.
        colours: Kinds of colour that it may have, of "grey", "RGB", "RGB with alpha".

    Raises:
        ValueError: If the file is missing, no PNG, of another size or kind, or cut short.
    """
    read_png_header(path).check(path, size, colours)


def decode_png(
    data: bytes, file: str, flags: int = cv2.IMREAD_UNCHANGED
) -> Shaped[np.ndarray, "height width *channels"]:
    """Decode a PNG file whose header was checked.

    Args:
        data: The whole file.
        file: Its name, for the message.
        flags: OpenCV's; as they are by default grey, BGR or BGRA.

    Raises:
        ValueError: If the file is truncated or damaged.
    """
    if not _ends(data, verify=True):
        raise ValueError(f"{file} is truncated or damaged: a part of the PNG file is wrong")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if image is None:
        raise ValueError(f"{file} is damaged: it cannot be decoded")
    return image


def _ends(data: bytes, verify: bool = False) -> bool:
    """Whether the chunks of a PNG file are whole up to its end, and with `verify` undamaged."""
    view = memoryview(data)
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(view[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            return False
        kind = bytes(view[position + 4 : position + 8])
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if verify and zlib.crc32(view[position + 4 : end - 4]) != checksum:
            return False
        if kind == b"IEND":
            return True
        position = end
    return False
