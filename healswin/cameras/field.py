"""Where a lens's field ends, and the refusal of lenses that turn back inside their image."""

from __future__ import annotations

import numpy as np

# The end of the field is met within this share: a ray made from the pixel at the very end must
# find that pixel again, whatever the last bits of its rounding.
END_SLACK = 1e-12
# Cropping and resizing move the farthest corner by rounding; they must not refuse a camera.
_CORNER_SLACK = 1e-9


def checked_max_theta(max_theta: float | None) -> float | None:
    """The end of the field as a plain float.

    Raises:
        ValueError: If it is neither None nor in (0, pi].
    """
    if max_theta is None:
        return None
    if not 0 < max_theta <= np.pi:
        raise ValueError(
            f"max_theta={max_theta} must be an angle in radians, above 0 and at most pi, or None"
        )
    return float(max_theta)


def farthest_corner(
    size: tuple[int, int], principal_point: tuple[float, float], scale: tuple[float, float]
) -> float:
    """Distance from the principal point to the farthest corner of the image.

    Args:
        size: Width and height in pixels; the image covers -0.5 to width - 0.5.
        principal_point: Pixel (u, v) of the optical axis.
        scale: Pixels for one unit of distance, along u and v.
    """
    u, v = (
        max(abs(-0.5 - centre), abs(side - 0.5 - centre)) / unit
        for side, centre, unit in zip(size, principal_point, scale, strict=True)
    )
    return float(np.hypot(u, v))


def refuse_turning_back(theta: float, radius: float, farthest: float) -> None:
    """Refuse a lens whose image radius stops growing inside the image.

    Two rays would meet each pixel around there, and one of the two maps of the calibration would
    be wrong. Real lenses do not do that; a polynomial does it where it was not fitted.

    Args:
        theta: Angle to the optical axis at which the radius stops growing, radians.
        radius: Image radius there.
        farthest: Distance to the farthest image corner, in the same unit.

    Raises:
        ValueError: If the corner is farther than the radius.
    """
    if radius < farthest * (1 - _CORNER_SLACK):
        most = np.floor(theta * 1e4) / 1e4
        raise ValueError(
            f"the mapping is not monotonic over the image: it turns back {np.degrees(theta):.2f} "
            f"degrees from the optical axis, at {radius / farthest:.1%} of the way to the farthest "
            f"corner; state max_theta, the angle (radians, at most {most:.4f}) at which the lens's "
            "field ends"
        )
