"""Calibrations with a camera matrix: OpenCV's FileStorage in YAML and ROS camera_info.

Which lens it is says `distortion_model` (ROS: plumb_bob, equidistant) or `fisheye_model` (OpenCV's
sample programs: 0 or 1). Where neither is there, four distortion coefficients are a fisheye and
five a pinhole; more are read if those beyond the fifth, which other lenses have, are 0.
"""

from __future__ import annotations

from healswin.cameras.entries import image_size, number, section
from healswin.cameras.kannala_brandt import KannalaBrandtCamera
from healswin.cameras.pinhole import PinholeCamera

MATRIX_KEYS = ("K", "camera_matrix", "cameraMatrix", "Camera_Matrix")
DISTORTION_KEYS = (
    "D",
    "distortion_coefficients",
    "dist_coeffs",
    "distCoeffs",
    "Distortion_Coefficients",
)

_FISHEYE = ("fisheye", "equidistant", "kannala_brandt")
_PINHOLE = ("plumb_bob", "radtan", "pinhole")


def from_opencv(
    calibration: dict, size: tuple[int, int] | None
) -> KannalaBrandtCamera | PinholeCamera:
    """The camera of a file with a camera matrix; the file knows no pose.

    Args:
        calibration: Its content.
        size: Width and height in pixels, where the file states none.

    Raises:
        ValueError: If an entry is missing, the matrix has skew, or the lens is another one.
    """
    fx, fy, cx, cy = _focal_lengths(calibration)
    distortion = _numbers(calibration, _key(calibration, DISTORTION_KEYS))
    width, height = image_size(calibration, size)
    name = str(calibration.get("camera_name") or "")
    if _is_fisheye(calibration, len(distortion)):
        if len(distortion) != 4:
            raise ValueError(
                f"a fisheye has 4 distortion coefficients k1, k2, k3, k4, here are {distortion}"
            )
        k1, k2, k3, k4 = distortion
        return KannalaBrandtCamera(
            width=width,
            height=height,
            fx=fx,
            fy=fy,
            cx=cx,
            cy=cy,
            k1=k1,
            k2=k2,
            k3=k3,
            k4=k4,
            name=name,
            quaternion=None,
        )
    if len(distortion) < 4 or any(distortion[5:]):
        raise ValueError(
            "a pinhole has 4 or 5 distortion coefficients k1, k2, p1, p2, k3 (those after them "
            f"must be 0), here are {distortion}"
        )
    k1, k2, p1, p2, k3 = (*distortion, 0.0)[:5]
    return PinholeCamera(
        width=width,
        height=height,
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        k1=k1,
        k2=k2,
        p1=p1,
        p2=p2,
        k3=k3,
        name=name,
        quaternion=None,
    )


def _focal_lengths(calibration: dict) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of the camera matrix."""
    key = _key(calibration, MATRIX_KEYS)
    values = _numbers(calibration, key)
    if len(values) != 9:
        raise ValueError(f"the calibration entry {key!r} has {len(values)} numbers, 9 are needed")
    fx, skew, cx, zero, fy, cy, *last = values
    if skew != 0 or zero != 0 or last != [0, 0, 1]:
        raise ValueError(
            f"the calibration entry {key!r} is {values}, [fx, 0, cx, 0, fy, cy, 0, 0, 1] is needed"
        )
    return fx, fy, cx, cy


def _is_fisheye(calibration: dict, coefficients: int) -> bool:
    if "distortion_model" in calibration:
        model = str(calibration["distortion_model"]).lower()
        if model not in (*_FISHEYE, *_PINHOLE):
            raise ValueError(
                f"distortion_model is {model!r}, known are {sorted((*_FISHEYE, *_PINHOLE))}"
            )
        return model in _FISHEYE
    if "fisheye_model" in calibration:
        return bool(number(calibration, "fisheye_model"))
    return coefficients == 4


def _key(calibration: dict, keys: tuple[str, ...]) -> str:
    """The one of several names that the file uses."""
    for key in keys:
        if key in calibration:
            return key
    raise ValueError(f"the calibration entry {keys[0]!r} is missing (or {', '.join(keys[1:])})")


def _numbers(calibration: dict, key: str) -> list[float]:
    """The numbers of a matrix: a list, or a mapping with rows, cols and data."""
    matrix = calibration[key]
    data = matrix if isinstance(matrix, list) else section(calibration, key).get("data")
    if not isinstance(data, list):
        raise ValueError(f"the calibration entry {key!r} has no list 'data' of numbers")
    flat = [value for row in data for value in (row if isinstance(row, list) else [row])]
    return [number({key: value}, key) for value in flat]
