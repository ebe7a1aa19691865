"""Depth files: .npy with metres, or .png with 16 bits and millimetres."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from data_prep.readers.files import reading
from data_prep.readers.header import check_size
from data_prep.readers.png import decode_png, read_png_header
from healswin.data.depth_files import DepthFiles

DEPTH_FILES = DepthFiles({".npy": 1.0, ".png": 0.001}, unknown=0.0)
"""Metres, or with 16 bits millimetres; 0 is unknown, infinity the sky."""


def check_depth(path: Path, size: tuple[int, int], reference: str) -> None:
    """Check kind, size and completeness of a depth file without reading its values.

    Args:
        path: The file, .npy or .png.
        size: (width, height) that it must have.
        reference: What has that size, for the message.

    Raises:
        ValueError: Naming the file.
    """
    if path.suffix.lower() == ".png":
        read_png_header(path).check(path, size, ("grey",), 16, reference)
        return
    depth = map_npy(path)
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise ValueError(
            f"{path} holds {depth.dtype} of shape {depth.shape}, floating point numbers of shape "
            "(height, width) are needed"
        )
    check_size(path, (depth.shape[1], depth.shape[0]), size, reference)


def map_npy(path: Path) -> np.ndarray:
    """An array of a .npy file that is read from the disk where it is used.

    Raises:
        ValueError: If the file is missing, may not be read, or is no whole .npy file.
    """
    with reading(path), path.open("rb"):  # for the messages
        pass
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no whole .npy file: {error}") from None


def decode_npy(data: bytes, file: str) -> np.ndarray:
    """The array in the bytes of a .npy file.

    Raises:
        ValueError: If they are not whole.
    """
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{file} is no whole .npy file: {error}") from None


def decode_depth(data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
    """Decode a depth file: metres along the ray, +inf without return, NaN unknown.

    The file holds what `DEPTH_FILES` says.

    Raises:
        ValueError: If the file is damaged, or holds NaN or a negative number.
    """
    if file.lower().endswith(".png"):
        stored = decode_png(data, file)
    else:
        stored = decode_npy(data, file)
        refuse_no_depth(stored, file, "0 where the depth is not known and inf where nothing is met")
    return DEPTH_FILES.metres(stored, file)


def refuse_no_depth(depth: Float[np.ndarray, "height width"], file: str, instead: str) -> None:
    """Refuse values that are no distance.

    Args:
        depth: What the file holds.
        file: Its name.
        instead: What to write instead of NaN, for the message.

    Raises:
        ValueError: If there is a negative value or NaN.
    """
    if depth.size and not depth.min() >= 0:  # NaN is the least of all
        if (depth < 0).any():
            raise ValueError(f"{file} holds the negative depth {np.nanmin(depth)}: write {instead}")
        raise ValueError(f"{file} holds NaN as depth: write {instead}")
