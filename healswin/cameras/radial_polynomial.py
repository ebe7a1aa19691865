"""WoodScape's fisheye lens: the image radius is a polynomial of the angle to the optical axis.

Yogamani et al. 2019, "WoodScape: A multi-task, multi-camera fisheye dataset" (ICCV, section 3.2):

    theta = atan2(hypot(x, y), z)
    rho(theta) = k1 theta + k2 theta^2 + ... + kn theta^n          (pixels)
    u = rho cos(phi) + cx_offset + width / 2 - 1/2
    v = aspect_ratio rho sin(phi) + cy_offset + height / 2 - 1/2
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from healswin.cameras.angle_polynomial import AnglePolynomial
from healswin.cameras.base import NO_TURN, ORIGIN, CalibratedCamera
from healswin.cameras.entries import number, optional_number, read_pose, section
from healswin.cameras.field import checked_max_theta, farthest_corner, refuse_turning_back


@dataclass(frozen=True)
class RadialPolynomialCamera(CalibratedCamera):
    """A fisheye camera whose image radius is a polynomial of the angle to the axis.

    Args:
        coefficients: k1, k2, ..., kn in pixels per radian^i; any order; k1 > 0.
        width: Image width in pixels.
        height: Image height in pixels.
        cx_offset: Principal point minus image centre along u, in pixels.
        cy_offset: The same along v.
        aspect_ratio: Height of a pixel's image against its width.
        name: Name of the camera on its vehicle.
        quaternion: (x, y, z, w), turns camera axes into vehicle axes; None: not known, as of
            calibration files that state none.
        translation: Position of the camera in vehicle axes, metres.
        max_theta: Where the lens's field ends, radians; None: where rho stops growing, at most
            pi. Beyond it `project` and `unproject` answer NaN.

    Raises:
        ValueError: If a size is not positive, a number is not finite, the quaternion is no
            rotation, or rho stops growing inside the image.
    """

    coefficients: tuple[float, ...]
    width: int
    height: int
    cx_offset: float = 0.0
    cy_offset: float = 0.0
    aspect_ratio: float = 1.0
    name: str = ""
    quaternion: tuple[float, float, float, float] | None = NO_TURN
    translation: tuple[float, float, float] = ORIGIN
    max_theta: float | None = None

    def __post_init__(self) -> None:
        self._check_size_and_pose()
        self._check_finite("cx_offset", "cy_offset", "aspect_ratio")
        object.__setattr__(self, "max_theta", checked_max_theta(self.max_theta))
        object.__setattr__(self, "coefficients", tuple(float(k) for k in self.coefficients))
        if not np.isfinite(self.coefficients).all():
            raise ValueError(f"coefficients={self.coefficients} must be finite numbers")
        if not self.coefficients or self.coefficients[0] <= 0:
            raise ValueError(
                f"coefficients={self.coefficients} must start with k1 > 0: the image radius has "
                "to grow with the angle to the optical axis"
            )
        if self.aspect_ratio <= 0:
            raise ValueError(f"aspect_ratio={self.aspect_ratio} must be above 0")
        if self.lens.turn is not None:
            scale = (1.0, self.aspect_ratio)
            farthest = farthest_corner((self.width, self.height), self.principal_point, scale)
            radius = float(self.lens.radius(np.array(self.lens.turn)))
            refuse_turning_back(self.lens.turn, radius, farthest)

    @cached_property
    def lens(self) -> AnglePolynomial:
        """rho(theta) in pixels, its inverse and the end of the field, `lens.end`."""
        return AnglePolynomial(self.coefficients, self.max_theta or np.pi)

    @property
    def principal_point(self) -> tuple[float, float]:
        """Pixel (u, v) of the optical axis."""
        return (
            self.cx_offset + self.width / 2 - 0.5,
            self.cy_offset + self.height / 2 - 0.5,
        )

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray.

        Args:
            rays: Directions in camera axes, of any length above zero.

        Returns:
            float64 pixels, inside the image or not; NaN outside the lens's field.
        """
        return self.lens.points(rays) * (1.0, self.aspect_ratio) + self.principal_point

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray in camera axes of each pixel (u, v).

        Args:
            pixels: Coordinates, inside the image or not.

        Returns:
            float64 rays; NaN outside the lens's field.
        """
        offsets = np.asarray(pixels, dtype=np.float64) - self.principal_point
        return self.lens.rays(offsets / (1.0, self.aspect_ratio))

    def resized(self, width: int, height: int) -> RadialPolynomialCamera:
        """The calibration of the image after resizing it to width x height pixels.

        Raises:
            ValueError: If a side is not a positive whole number.
        """
        along_u, along_v = width / self.width, height / self.height
        return replace(
            self,
            coefficients=tuple(k * along_u for k in self.coefficients),
            width=width,
            height=height,
            cx_offset=self.cx_offset * along_u,
            cy_offset=self.cy_offset * along_v,
            aspect_ratio=self.aspect_ratio * along_v / along_u,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> RadialPolynomialCamera:
        """The calibration of a part of the image.

        Args:
            left: First column of the part.
            top: First row.
            width: Of the part, in pixels.
            height: Of the part, in pixels.

        Raises:
            ValueError: If the part does not lie inside the image.
        """
        self._check_part(left, top, width, height)
        return replace(
            self,
            width=width,
            height=height,
            cx_offset=self.cx_offset + (self.width - width) / 2 - left,
            cy_offset=self.cy_offset + (self.height - height) / 2 - top,
        )

    def to_dict(self) -> dict[str, object]:
        """The calibration in the structure of WoodScape's JSON files.

        `max_theta`, which those do not have, is there where it is stated.
        """
        polynomial = {f"k{i + 1}": k for i, k in enumerate(self.coefficients)}
        end = {} if self.max_theta is None else {"max_theta": self.max_theta}
        return self._calibration(
            {
                "aspect_ratio": self.aspect_ratio,
                "cx_offset": self.cx_offset,
                "cy_offset": self.cy_offset,
                "height": float(self.height),
                **polynomial,
                **end,
                "model": "radial_poly",
                "poly_order": len(self.coefficients),
                "width": float(self.width),
            }
        )

    @classmethod
    def from_dict(cls, calibration: dict) -> RadialPolynomialCamera:
        """Read the structure of WoodScape's JSON files.

        Raises:
            ValueError: If an entry is missing or not a number; the message names it.
        """
        intrinsic = section(calibration, "intrinsic")
        pose = read_pose(calibration)
        order = number(intrinsic, "poly_order", default=4.0)
        if order != int(order) or order < 1:
            raise ValueError(
                f"the calibration entry 'poly_order' is {order}, a whole number of at least 1 is "
                "needed"
            )
        return cls(
            coefficients=tuple(number(intrinsic, f"k{i + 1}") for i in range(int(order))),
            width=number(intrinsic, "width"),
            height=number(intrinsic, "height"),
            cx_offset=number(intrinsic, "cx_offset"),
            cy_offset=number(intrinsic, "cy_offset"),
            aspect_ratio=number(intrinsic, "aspect_ratio", default=1.0),
            name=pose.name,
            quaternion=pose.quaternion,
            translation=pose.translation,
            max_theta=optional_number(intrinsic, "max_theta"),
        )
