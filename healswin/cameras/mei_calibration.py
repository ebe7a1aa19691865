"""Calibrations of the model MEI as camodocal writes them and KITTI-360 ships them.

Liao et al. 2022, "KITTI-360" (PAMI 45): calibration/image_02.yaml and image_03.yaml.
"""

from __future__ import annotations

from healswin.cameras.entries import image_size, number, section
from healswin.cameras.unified import UnifiedCamera


def from_mei(calibration: dict, size: tuple[int, int] | None) -> UnifiedCamera:
    """The camera of a file with model_type MEI; the file knows no pose.

    Args:
        calibration: Its content.
        size: Width and height in pixels, where the file states none.

    Raises:
        ValueError: If it is another model or an entry is missing.
    """
    if calibration["model_type"] != "MEI":
        raise ValueError(
            f"model_type is {calibration['model_type']!r}, 'MEI' is the one that can be read"
        )
    mirror = section(calibration, "mirror_parameters")
    distortion = section(calibration, "distortion_parameters")
    projection = section(calibration, "projection_parameters")
    width, height = image_size(calibration, size)
    return UnifiedCamera(
        width=width,
        height=height,
        fx=number(projection, "gamma1"),
        fy=number(projection, "gamma2"),
        cx=number(projection, "u0"),
        cy=number(projection, "v0"),
        xi=number(mirror, "xi"),
        k1=number(distortion, "k1"),
        k2=number(distortion, "k2"),
        p1=number(distortion, "p1"),
        p2=number(distortion, "p2"),
        name=str(calibration.get("camera_name") or ""),
        quaternion=None,
    )
