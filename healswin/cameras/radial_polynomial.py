"""WoodScape's fisheye lens: the image radius is a polynomial of the angle to the optical axis.

Yogamani et al. 2019, "WoodScape: A multi-task, multi-camera fisheye dataset" (ICCV, section 3.2):

    theta = atan2(hypot(x, y), z)
    rho(theta) = k1 theta + k2 theta^2 + ... + kn theta^n          (pixels)
    u = rho cos(phi) + cx_offset + width / 2 - 1/2
    v = aspect_ratio rho sin(phi) + cy_offset + height / 2 - 1/2
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from healswin.cameras.base import inside_image, quaternion_to_matrix

# Newton steps are kept inside a bracket that halves when a step leaves it; 60 halvings of
# [0, pi] reach the spacing of float64 even if no Newton step were ever accepted.
_MAX_STEPS = 60
# A change of theta of two units in the last place of pi is rounding, not progress.
_RESOLVED = 2 * np.spacing(np.pi)


@dataclass(frozen=True)
class RadialPolynomialCamera:
    """A fisheye camera whose image radius is a polynomial of the angle to the axis.

    The lens's field is the part of 0 <= theta <= pi on which rho grows: up to the angle
    `max_theta` where it turns back, if it does. Beyond it `project` and `unproject` answer NaN.

    Args:
        coefficients: k1, k2, ..., kn in pixels per radian^i; any order; k1 > 0.
        width: Image width in pixels.
        height: Image height in pixels.
        cx_offset: Principal point minus image centre along u, in pixels.
        cy_offset: The same along v.
        aspect_ratio: Height of a pixel's image against its width.
        name: Name of the camera on its vehicle.
        quaternion: (x, y, z, w), turns camera axes into vehicle axes.
        translation: Position of the camera in vehicle axes, metres.

    Raises:
        ValueError: If a size is not positive, a number is not finite, or rho does not grow at 0.
    """

    coefficients: tuple[float, ...]
    width: int
    height: int
    cx_offset: float = 0.0
    cy_offset: float = 0.0
    aspect_ratio: float = 1.0
    name: str = ""
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    max_theta: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", tuple(float(k) for k in self.coefficients))
        object.__setattr__(self, "quaternion", tuple(float(q) for q in self.quaternion))
        object.__setattr__(self, "translation", tuple(float(t) for t in self.translation))
        for name in ("width", "height"):
            size = getattr(self, name)
            if size != int(size) or size < 1:
                raise ValueError(f"{name}={size} must be a positive whole number of pixels")
            object.__setattr__(self, name, int(size))
        numbers = (
            *self.coefficients,
            self.cx_offset,
            self.cy_offset,
            self.aspect_ratio,
            *self.translation,
        )
        if len(self.translation) != 3:
            raise ValueError(f"translation={self.translation} must be three numbers, in metres")
        if not np.isfinite(numbers).all():
            raise ValueError(f"the calibration {self!r} must hold finite numbers only")
        if not self.coefficients or self.coefficients[0] <= 0:
            raise ValueError(
                f"coefficients={self.coefficients} must start with k1 > 0: the image radius has "
                "to grow with the angle to the optical axis"
            )
        if self.aspect_ratio <= 0:
            raise ValueError(f"aspect_ratio={self.aspect_ratio} must be above 0")
        quaternion_to_matrix(self.quaternion)
        object.__setattr__(self, "max_theta", _end_of_growth(self.coefficients))

    @property
    def principal_point(self) -> tuple[float, float]:
        """Pixel (u, v) of the optical axis."""
        return (
            self.cx_offset + self.width / 2 - 0.5,
            self.cy_offset + self.height / 2 - 0.5,
        )

    def radius(self, theta: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """rho(theta) in pixels; NaN outside 0 <= theta <= max_theta."""
        theta = np.asarray(theta, dtype=np.float64)
        inside = (theta >= 0) & (theta <= self.max_theta)
        return np.where(inside, _polynomial(self.coefficients, theta), np.nan)

    def angle(self, radius: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """The inverse of `radius`, by safeguarded Newton steps; NaN where there is none.

        Each element keeps a bracket around its solution; a step that leaves it is replaced by the
        middle, so that the flat end at `max_theta` converges as well.
        """
        radius = np.asarray(radius, dtype=np.float64)
        largest = _polynomial(self.coefficients, np.float64(self.max_theta))
        # The radius at max_theta itself must come back, whatever the last bit of its rounding.
        slack = 4 * np.finfo(np.float64).eps * largest
        inside = (radius >= 0) & (radius <= largest + slack)
        target = np.where(inside, np.minimum(radius, largest), 0.0)
        slopes = tuple((i + 1) * k for i, k in enumerate(self.coefficients))
        low = np.zeros_like(target)
        high = np.full_like(target, self.max_theta)
        theta = np.minimum(target / self.coefficients[0], self.max_theta)
        for _ in range(_MAX_STEPS):
            miss = _polynomial(self.coefficients, theta) - target
            low = np.where(miss <= 0, theta, low)
            high = np.where(miss >= 0, theta, high)
            slope = _polynomial(slopes, theta, constant=True)
            step = np.divide(miss, slope, out=np.full_like(miss, np.inf), where=slope > 0)
            newton = theta - step
            better = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
            change = np.abs(better - theta).max(initial=0.0)
            theta = better
            if change <= _RESOLVED:
                break
        return np.where(inside, theta, np.nan)

    def project(self, rays: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 2"]:
        """Pixel (u, v) of each ray.

        Args:
            rays: Directions in camera axes, of any length above zero.

        Returns:
            float64 pixels, inside the image or not; NaN beyond `max_theta`.
        """
        rays = np.asarray(rays, dtype=np.float64)
        x, y, z = rays[..., 0], rays[..., 1], rays[..., 2]
        off_axis = np.hypot(x, y)
        theta = np.where((off_axis > 0) | (z != 0), np.arctan2(off_axis, z), np.nan)
        rho = self.radius(theta)
        # phi = atan2(0, 0) = 0 on the axis, ahead (where rho is 0) and behind.
        cos_phi = np.divide(x, off_axis, out=np.ones_like(rho), where=off_axis > 0)
        sin_phi = np.divide(y, off_axis, out=np.zeros_like(rho), where=off_axis > 0)
        cu, cv = self.principal_point
        return np.stack([rho * cos_phi + cu, self.aspect_ratio * rho * sin_phi + cv], axis=-1)

    def unproject(self, pixels: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any 3"]:
        """Unit ray of each pixel (u, v).

        Returns:
            float64 unit vectors in camera axes; NaN where the radius is beyond `max_theta`'s.
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        cu, cv = self.principal_point
        x = pixels[..., 0] - cu
        y = (pixels[..., 1] - cv) / self.aspect_ratio
        rho = np.hypot(x, y)
        theta = self.angle(rho)
        # sin(theta) / rho has the limit 1 / k1 on the axis, where x = y = 0 anyway.
        scale = np.divide(np.sin(theta), rho, out=np.zeros_like(rho), where=rho > 0)
        return np.stack([x * scale, y * scale, np.cos(theta)], axis=-1)

    def valid(self, rays: Float[np.ndarray, "*any 3"]) -> Bool[np.ndarray, "*any"]:
        """Whether each ray is inside the lens's field and meets the image."""
        return inside_image(self, self.project(rays))

    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Matrix that turns camera axes into vehicle axes."""
        return quaternion_to_matrix(self.quaternion)

    def resized(self, width: int, height: int) -> RadialPolynomialCamera:
        """The calibration of the image after resizing it to width x height pixels.

        Raises:
            ValueError: If a side is not a positive whole number.
        """
        if min(width, height) < 1:
            raise ValueError(f"the size {width} x {height} must be at least 1 x 1 pixels")
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
        """The calibration of the part of the image that starts at pixel (left, top).

        Raises:
            ValueError: If the part does not lie inside the image.
        """
        if left < 0 or top < 0 or left + width > self.width or top + height > self.height:
            raise ValueError(
                f"the part {width} x {height} at ({left}, {top}) does not lie inside the image of "
                f"{self.width} x {self.height} pixels"
            )
        return replace(
            self,
            width=width,
            height=height,
            cx_offset=self.cx_offset + (self.width - width) / 2 - left,
            cy_offset=self.cy_offset + (self.height - height) / 2 - top,
        )

    def to_dict(self) -> dict[str, object]:
        """The calibration in the structure of WoodScape's JSON files."""
        polynomial = {f"k{i + 1}": k for i, k in enumerate(self.coefficients)}
        return {
            "extrinsic": {
                "quaternion": list(self.quaternion),
                "translation": list(self.translation),
            },
            "intrinsic": {
                "aspect_ratio": self.aspect_ratio,
                "cx_offset": self.cx_offset,
                "cy_offset": self.cy_offset,
                "height": float(self.height),
                **polynomial,
                "model": "radial_poly",
                "poly_order": len(self.coefficients),
                "width": float(self.width),
            },
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, calibration: dict) -> RadialPolynomialCamera:
        """Read the structure of WoodScape's JSON files.

        Raises:
            ValueError: If an entry is missing or not a number; the message names it.
        """
        intrinsic = _section(calibration, "intrinsic")
        extrinsic = _section(calibration, "extrinsic") if "extrinsic" in calibration else {}
        order = _number(intrinsic, "poly_order", default=4.0)
        if order != int(order) or order < 1:
            raise ValueError(
                f"the calibration entry 'poly_order' is {order}, a whole number of at least 1 is "
                "needed"
            )
        return cls(
            coefficients=tuple(_number(intrinsic, f"k{i + 1}") for i in range(int(order))),
            width=_number(intrinsic, "width"),
            height=_number(intrinsic, "height"),
            cx_offset=_number(intrinsic, "cx_offset"),
            cy_offset=_number(intrinsic, "cy_offset"),
            aspect_ratio=_number(intrinsic, "aspect_ratio", default=1.0),
            name=str(calibration.get("name", "")),
            quaternion=_vector(extrinsic, "quaternion", (0.0, 0.0, 0.0, 1.0)),
            translation=_vector(extrinsic, "translation", (0.0, 0.0, 0.0)),
        )


def _polynomial(
    coefficients: tuple[float, ...], theta: np.ndarray, constant: bool = False
) -> np.ndarray:
    """k1 theta + k2 theta^2 + ..., or with `constant` k1 + k2 theta + ..., by Horner's rule."""
    value = np.zeros_like(theta)
    for k in reversed(coefficients):
        value = value * theta + k
    return value if constant else value * theta


def _end_of_growth(coefficients: tuple[float, ...]) -> float:
    """The smallest angle in (0, pi] at which rho stops growing, pi if it never does."""
    slopes = np.array([(i + 1) * k for i, k in enumerate(coefficients)])
    # The roots are eigenvalues of a matrix divided by the leading coefficient: one that changes
    # the slope by less than rounding would only spoil them.
    share = np.abs(slopes) * np.pi ** np.arange(slopes.size)
    slope = np.polynomial.Polynomial(slopes[: np.flatnonzero(share > 1e-15 * share.max())[-1] + 1])
    roots = slope.roots()
    real = roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))].real
    for root in np.sort(real):
        # A double root is a point of rest, not of turning back.
        if 0 < root < np.pi and slope(root + 1e-6) < 0:
            return float(root)
    return float(np.pi)


def _section(calibration: dict, key: str) -> dict:
    section = calibration.get(key)
    if not isinstance(section, dict):
        raise ValueError(f"the calibration has no section {key!r}")
    return section


def _vector(section: dict, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    values = section.get(key, default)
    if not isinstance(values, (list, tuple)) or len(values) != len(default):
        raise ValueError(
            f"the calibration entry {key!r} is {values!r}, {len(default)} numbers are needed"
        )
    return tuple(_number({key: value}, key) for value in values)


def _number(section: dict, key: str, default: float | None = None) -> float:
    value = section.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"the calibration entry {key!r} is {value!r}, a finite number is needed")
    return float(value)
