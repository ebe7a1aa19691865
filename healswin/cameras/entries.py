"""The entries of a calibration: taken out, checked, and named where they are wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from healswin.cameras.base import ORIGIN


class Pose(NamedTuple):
    """Name and pose of a camera on its vehicle."""

    name: str
    quaternion: tuple[float, ...] | None
    translation: tuple[float, ...]


def section(calibration: dict, key: str) -> dict:
    """A part of the calibration that holds entries itself.

    Raises:
        ValueError: If it is missing or no mapping.
    """
    entries = calibration.get(key) if isinstance(calibration, dict) else None
    if not isinstance(entries, dict):
        raise ValueError(f"the calibration has no section {key!r}")
    return entries


def number(entries: dict, key: str, default: float | None = None) -> float:
    """A finite number; `default` where the entry is missing.

    Raises:
        ValueError: If it is missing without a default, or something else.
    """
    if key not in entries and default is None:
        raise ValueError(f"the calibration entry {key!r} is missing")
    value = entries.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"the calibration entry {key!r} is {value!r}, a finite number is needed")
    return float(value)


def optional_number(entries: dict, key: str) -> float | None:
    """A finite number, or None where the entry is missing.

    Raises:
        ValueError: If it is something else.
    """
    return number(entries, key) if key in entries else None


def vector(
    entries: dict, key: str, length: int, default: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """A list of finite numbers; `default` where the entry is missing.

    Raises:
        ValueError: If it is missing without a default, or something else.
    """
    if key not in entries and default is None:
        raise ValueError(f"the calibration entry {key!r} is missing")
    values = entries.get(key, default)
    if not isinstance(values, (list, tuple)) or len(values) != length:
        raise ValueError(
            f"the calibration entry {key!r} is {values!r}, {length} numbers are needed"
        )
    return tuple(number({key: value}, key) for value in values)


def read_pose(
    calibration: dict, quaternion: tuple[float, float, float, float] | None = None
) -> Pose:
    """Name and the section 'extrinsic', which may be missing.

    Args:
        calibration: The whole calibration.
        quaternion: The one of a camera whose calibration states none.

    Raises:
        ValueError: If an entry is no list of numbers.
    """
    extrinsic = section(calibration, "extrinsic") if "extrinsic" in calibration else {}
    return Pose(
        str(calibration.get("name") or ""),
        vector(extrinsic, "quaternion", 4) if "quaternion" in extrinsic else quaternion,
        vector(extrinsic, "translation", 3, ORIGIN),
    )


def image_size(calibration: dict, size: tuple[int, int] | None) -> tuple[float, float]:
    """image_width and image_height; `size` where neither is stated.

    Raises:
        ValueError: If one is missing or no number, or nothing states the size.
    """
    if "image_width" in calibration or "image_height" in calibration:
        return number(calibration, "image_width"), number(calibration, "image_height")
    if size is None:
        raise ValueError(
            "the calibration states no image_width and image_height, and size=None: one is needed"
        )
    return size
