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
from jaxtyping import UInt8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


def check_png(path: Path, size: tuple[int, int], colour: tuple[str, ...]) -> None:
    """Check header and end of a PNG file without decoding it.

    Args:
        path: The file.
        size: (width, height) that it must have.
        colour: Kinds of colour that it may have, of "grey", "RGB", "RGB with alpha"; 8 bits each.

    Raises:
        ValueError: If the file is missing, no PNG, of another size or kind, or cut short.
    """
    try:
        with path.open("rb") as file:
            head = file.read(33)
            file.seek(0, 2)
            length = file.tell()
            file.seek(max(0, length - len(_END)))
            tail = file.read()
            file.seek(0)
            whole = tail == _END or _ends(file.read())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    if head[:8] != _SIGNATURE or head[12:16] != b"IHDR" or len(head) < 33:
        raise ValueError(f"{path} is no PNG file")
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    if (width, height) != size:
        raise ValueError(
            f"{path} is {width} x {height} pixels, its calibration is for {size[0]} x {size[1]}"
        )
    name = _COLOUR_TYPES.get(kind, f"of colour type {kind}")
    if bits != 8 or name not in colour:
        raise ValueError(f"{path} is {bits}-bit {name}, 8-bit {' or '.join(colour)} is needed")
    if not whole:
        raise ValueError(f"{path} is truncated: the end of the PNG file is missing")


def decode_png(data: bytes, file: str) -> UInt8[np.ndarray, "height width ..."]:
    """Decode a PNG file whose header was checked: grey, BGR or BGRA.

    Args:
        data: The whole file.
        file: Its name, for the message.

    Raises:
        ValueError: If the file is truncated or damaged.
    """
    if not _ends(data, verify=True):
        raise ValueError(f"{file} is truncated or damaged: a part of the PNG file is wrong")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
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
