"""The four surround cameras of the generated car.

Vehicle axes (ISO 8855): x forward, y left, z up, metres; the origin lies on the road below the
middle of the rear axle. FV sits in the nose, RV in the tail, MVL and MVR under the mirrors. The
lens is a radial polynomial of 190 degrees across, native to an image of 1280 x 966 pixels; the
numbers are our own, of the size that real surround rigs have.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from healswin.cameras import RadialPolynomialCamera

NATIVE_WIDTH = 1280
NATIVE_HEIGHT = 966
CAMERA_NAMES = ("FV", "RV", "MVL", "MVR")

# name: (position in metres, yaw, pitch downwards and roll in degrees, cx_offset, cy_offset,
#        k1..k4 in native pixels)
_MOUNTING = {
    "FV": ((3.72, 0.0, 0.68), 0.0, 17.0, 0.4, 2.6, -3.4, (338.6, -30.2, 47.1, -7.05)),
    "RV": ((-1.00, 0.02, 0.94), 180.0, 19.0, -0.3, -1.8, 4.1, (337.9, -29.4, 46.8, -6.98)),
    "MVL": ((2.02, 1.06, 1.02), 93.0, 31.0, -0.6, 3.1, 2.2, (339.8, -31.6, 47.9, -7.16)),
    "MVR": ((2.02, -1.06, 1.02), -93.0, 31.0, 0.5, -2.9, -1.7, (339.1, -30.9, 47.6, -7.12)),
}


def _quaternion(matrix: np.ndarray) -> tuple[float, float, float, float]:
    x, y, z, w = Rotation.from_matrix(matrix).as_quat()
    return float(x), float(y), float(z), float(w)


def look(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Camera axes (x right, y down, z forward) in vehicle axes.

    Args:
        yaw: Heading of the optical axis in degrees, counted from x towards y.
        pitch: How far the optical axis points below the horizon, in degrees.
        roll: Turn about the optical axis in degrees.

    Returns:
        (3, 3) float64 matrix that turns camera axes into vehicle axes.
    """
    heading, down = np.radians(yaw), np.radians(pitch)
    forward = np.array(
        [np.cos(heading) * np.cos(down), np.sin(heading) * np.cos(down), -np.sin(down)]
    )
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    axes = np.stack([right, np.cross(forward, right), forward], axis=1)
    return axes @ Rotation.from_euler("z", roll, degrees=True).as_matrix()


def surround_cameras(width: int, height: int) -> dict[str, RadialPolynomialCamera]:
    """The rig's cameras FV, RV, MVL and MVR for images of width x height pixels.

    Raises:
        ValueError: If the size is not at least 16 x 16 pixels.
    """
    if width < 16 or height < 16:
        raise ValueError(f"size {width} x {height} must be at least 16 x 16 pixels")
    cameras = {}
    for name, (position, yaw, pitch, roll, cx, cy, coefficients) in _MOUNTING.items():
        native = RadialPolynomialCamera(
            coefficients=coefficients,
            width=NATIVE_WIDTH,
            height=NATIVE_HEIGHT,
            cx_offset=cx,
            cy_offset=cy,
            name=name,
            quaternion=_quaternion(look(yaw, pitch, roll)),
            translation=position,
        )
        cameras[name] = native.resized(width, height)
    return cameras


def tilted(
    camera: RadialPolynomialCamera, degrees: float, rng: np.random.Generator
) -> RadialPolynomialCamera:
    """The camera turned about its centre by a random rotation of up to `degrees`.

    The axis is uniform on the sphere and the angle uniform in [0, degrees].
    """
    axis = rng.standard_normal(3)
    angle = np.radians(degrees) * rng.random()
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    return replace(camera, quaternion=_quaternion(turn @ camera.rotation()))
