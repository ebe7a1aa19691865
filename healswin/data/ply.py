"""Point clouds as PLY files, which CloudCompare, MeshLab, Open3D and many others open.

Written are binary little-endian files with one element, ``vertex``: x, y, z in float32 and, if
there are colours, red, green, blue in uint8 (Turk 1994, The PLY Polygon File Format). Such files
can be read back.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

_POSITION = [(name, "<f4") for name in ("x", "y", "z")]
_COLOUR = [(name, "u1") for name in ("red", "green", "blue")]
_KINDS = {"<f4": ("float", "float32"), "u1": ("uchar", "uint8")}
_END = b"end_header\n"
_FORMAT = "format binary_little_endian 1.0"


def write_ply(
    path: str | Path,
    points: np.ndarray,
    colours: np.ndarray | None = None,
    comments: tuple[str, ...] = (),
) -> Path:
    """Write a point cloud, whole or not at all. Missing folders are made.

    Args:
        path: Where to write; the name must end in ``.ply``.
        points: Positions, floats (n, 3), written as float32.
        colours: RGB of every point, uint8 (n, 3).
        comments: Lines for the header, e.g. in which axes the points are.

    Returns:
        The path.

    Raises:
        ValueError: If points and colours do not fit each other, a comment is more than a line of
            plain characters, or the name does not end in ``.ply``.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise ValueError(f"path={path} must end in .ply")
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points for {path} have shape {points.shape}, (n, 3) is needed")
    if colours is not None and (colours.shape != points.shape or colours.dtype != np.uint8):
        raise ValueError(
            f"colours for {path} are {colours.dtype} {colours.shape}, uint8 {points.shape} is "
            "needed"
        )
    for comment in comments:
        if not (comment.isascii() and comment.isprintable()):
            raise ValueError(f"comments={comments}: each must be one line of ASCII characters")
    fields = _POSITION + ([] if colours is None else _COLOUR)
    header = [
        "ply",
        _FORMAT,
        *(f"comment {comment}" for comment in comments),
        f"element vertex {len(points)}",
        *(f"property {_KINDS[kind][0]} {name}" for name, kind in fields),
    ]
    rows = np.empty(len(points), dtype=fields)
    for axis, (name, _) in enumerate(_POSITION):
        rows[name] = points[:, axis]
    if colours is not None:
        for channel, (name, _) in enumerate(_COLOUR):
            rows[name] = colours[:, channel]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write("".join(f"{line}\n" for line in header).encode("ascii") + _END)
            rows.tofile(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_ply(
    path: str | Path,
) -> tuple[Float32[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"] | None]:
    """Read a point cloud that `write_ply`, or another program in the same way, has written.

    Returns:
        The points, float32 (n, 3), and their colours, uint8 (n, 3), or None.

    Raises:
        ValueError: If the file is missing, is cut short or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist: a .ply file is needed")
    data = path.read_bytes()
    head, end, body = data.partition(_END)
    lines = head.decode("ascii", errors="replace").splitlines()
    if lines[:1] != ["ply"] or not end:
        raise ValueError(f"{path} is no PLY file")
    said = [line for line in lines[1:] if line and not line.startswith(("comment", "obj_info"))]
    for fields in (_POSITION, _POSITION + _COLOUR):
        if _is_layout(said, fields):
            break
    else:
        raise ValueError(
            f"{path} is laid out otherwise than read_ply reads: binary_little_endian, one element "
            "vertex with float x, y, z and, at most, uchar red, green, blue"
        )
    count = int(said[1].split()[2])
    size = count * np.dtype(fields).itemsize
    if len(body) != size:
        raise ValueError(f"{path} holds {len(body)} bytes of points, {count} points are {size}")
    rows = np.frombuffer(body, dtype=fields)
    points = np.stack([rows[name] for name, _ in _POSITION], axis=1)
    if len(fields) == len(_POSITION):
        return points, None
    return points, np.stack([rows[name] for name, _ in _COLOUR], axis=1)


def _is_layout(said: list[str], fields: list[tuple[str, str]]) -> bool:
    """Whether the lines of a header state these properties of points, and nothing else."""
    if len(said) != 2 + len(fields) or said[0] != _FORMAT:
        return False
    element = said[1].split()
    if element[:2] != ["element", "vertex"] or len(element) != 3 or not element[2].isdigit():
        return False
    return all(
        line.split() in [["property", word, name] for word in _KINDS[kind]]
        for line, (name, kind) in zip(said[2:], fields, strict=True)
    )
