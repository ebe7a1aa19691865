"""The idx files of MNIST: a header of big-endian numbers, then the values as they are.

The header is two zero bytes, a byte that names the dtype, a byte with the number of axes, and the
length of each axis in four bytes (http://yann.lecun.com/exdb/mnist, "the IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

# Unsigned bytes, the one dtype in which pictures and labels are kept.
_UINT8 = 0x08


def read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "*axes"]:
    """The array in an idx file of unsigned bytes, compressed or not.

    Args:
        path: The file; with the suffix .gz it is decompressed.
        axes: Number of axes that it must have.

    Returns:
        A uint8 array of so many axes.

    Raises:
        ValueError: If the file is damaged, cut short, or no such array.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} cannot be decompressed ({error}): get it again") from None
    header = 4 + 4 * axes
    if len(data) < header:
        raise ValueError(f"{path} is cut short: {len(data)} bytes are less than its header")
    zeros, dtype, found = struct.unpack(">HBB", data[:4])
    if zeros != 0:
        raise ValueError(f"{path} is no idx file: it begins with {data[:4].hex(' ')}")
    if dtype != _UINT8:
        raise ValueError(f"{path} has dtype 0x{dtype:02x}, unsigned bytes (0x08) are read")
    if found != axes:
        raise ValueError(f"{path} has {found} axes, {axes} are needed")
    shape = struct.unpack(f">{axes}I", data[4:header])
    held, needed = len(data) - header, math.prod(shape)
    if held < needed:
        raise ValueError(f"{path} is cut short: {held} of {needed} values of {shape} are there")
    if held > needed:
        raise ValueError(f"{path} holds {held - needed} bytes more than {shape} has values")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
