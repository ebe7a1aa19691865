"""OpenCV's fisheye lens: the image radius is an odd polynomial of the angle to the axis.

Kannala and Brandt 2006, "A generic camera model and calibration method for conventional,
wide-angle, and fish-eye lenses" (PAMI 28, equation 6), with the parameters of OpenCV's module
`fisheye`:

    theta = atan2(hypot(x, y), z)
    rho(theta) = theta + k1 theta^3 + k2 theta^5 + k3 theta^7 + k4 theta^9     (focal lengths)
    u = fx rho cos(phi) + cx,  v = fy rho sin(phi) + cy

`cv2.fisheye.projectPoints` divides by z and so mirrors what lies beyond 90 degrees; this does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from healswin.cameras.angle_polynomial import AnglePolynomial
from healswin.cameras.field import refuse_turning_back
from healswin.cameras.focal import FocalCamera


@dataclass(frozen=True, kw_only=True)
class KannalaBrandtCamera(FocalCamera):
    """A fisheye camera with the four coefficients of OpenCV's fisheye module.

    Args:
        k1: Coefficient of theta^3; size, pose, focal lengths and `max_theta` as in `FocalCamera`.
        k2: Coefficient of theta^5.
        k3: Coefficient of theta^7.
        k4: Coefficient of theta^9.

    Raises:
        ValueError: If a number is not finite, a size or focal length not positive, the quaternion
            no rotation, or rho stops growing inside the image.
    """

    model: ClassVar[str] = "kannala_brandt"
    coefficient_names: ClassVar[tuple[str, ...]] = ("k1", "k2", "k3", "k4")

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lens.turn is not None:
            radius = float(self.lens.radius(np.array(self.lens.turn)))
            refuse_turning_back(self.lens.turn, radius, self._farthest_corner())

    @cached_property
    def lens(self) -> AnglePolynomial:
        """rho(theta) in focal lengths, its inverse and the end of the field, `lens.end`."""
        odd = (1.0, 0.0, self.k1, 0.0, self.k2, 0.0, self.k3, 0.0, self.k4)
        return AnglePolynomial(odd, self.max_theta or np.pi)

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray of any length above zero; NaN outside the lens's field."""
        return self._to_pixels(self.lens.points(rays))

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v); NaN outside the lens's field."""
        return self.lens.rays(self._to_points(pixels))
