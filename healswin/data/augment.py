"""Augmentations of training samples: random changes that leave the truth true.

An augmentation takes a sample as it is stored, before normalisation: a dict of arrays whose first
axis is the pixels.

| key | shape | dtype | outside `valid` |
|---|---|---|---|
| image | (pixels, channels) | uint8 or float32 | 0 |
| semantic | (pixels,) | uint8 | 255, or 0 with `--invalid void` |
| depth | (pixels,) | float32 | NaN |
| valid | (pixels,) | bool | |

It returns a new dict; the arrays that it is given stay as they are. What moves pixels moves those
of all arrays alike, `valid` too. Depth is measured along the ray, so that no rotation or reflection
changes its values. All randomness comes from the generator.

A list of augmentations is applied in its order. `Flip` belongs before what turns the map, because
the up that it mirrors about is that of the stored maps. In a configuration:

    data:
      augmentations:
        - class_path: healswin.data.augment.Flip
          init_args: {probability: 0.5}
        - class_path: healswin.data.augment.ColourJitter
          init_args: {brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.05}

One's own is a subclass of `Augmentation`, named there by its import path.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int64, Shaped, UInt8
from scipy.optimize import brentq

from healswin.equivariance import rotation_about
from healswin.grid import (
    EquiangularGrid,
    Grid,
    HealpixGrid,
    ImageGrid,
    PixelSymmetry,
    pixel_symmetries,
)

Sample = dict[str, np.ndarray]
Direction = tuple[float, float, float]

# A symmetry keeps the up of a map if it moves it by no more. The up is an axis of the map with the
# poles "camera" and "zenith"; with "vehicle" it is a mean over cameras, near an axis.
_UP_TOLERANCE = math.radians(10)

# Shares of red, green and blue in the grey of a pixel (Rec. ITU-R BT.601, section 2.5.1).
_GREY = np.array([0.299, 0.587, 0.114])


class Augmentation(ABC):
    """Changes a sample at random."""

    @abstractmethod
    def check(self, grid: Grid, up: Direction, in_chans: int, dtype: str) -> None:
        """Refuse data that it cannot be applied to, before a sample is read.

        Args:
            grid: The pixels of the maps.
            up: Unit vector of the map that points up in the world (`PreparedSet.up`).
            in_chans: Channels of the images.
            dtype: Of the stored images, "uint8" or "float32".

        Raises:
            ValueError: If it does not fit the data.
        """

    @abstractmethod
    def __call__(
        self, sample: Sample, grid: Grid, up: Direction, generator: np.random.Generator
    ) -> Sample:
        """The changed sample.

        Args:
            sample: Arrays as stored; see the module.
            grid: Their pixels.
            up: As for `check`.
            generator: What all random numbers are drawn from.

        Raises:
            ValueError: As for `check`.
        """


@dataclass(frozen=True)
class PixelSymmetries(Augmentation):
    """Turns or mirrors the map by one of its exact symmetries, each equally likely.

    They are those of the 16 of `healswin.grid.pixel_symmetries` that map the grid's base pixels
    onto themselves; the identity is one of them.

    Args:
        keep_up: Take those only that keep the up of the map (within 10 degrees), so that people
            stay on their feet.
        reflections: Whether reflections are among them, or rotations only.
    """

    keep_up: bool = False
    reflections: bool = True

    def check(self, grid: Grid, up: Direction, in_chans: int, dtype: str) -> None:
        """Refuse a grid of which no symmetry but the identity is left."""
        if len(self._symmetries(grid, up)) == 1:
            raise ValueError(
                f"{self}: no symmetry but the identity is left of base_pixels={grid.base_pixels} "
                f"with up={up}: allow more, or leave this augmentation out"
            )

    def __call__(
        self, sample: Sample, grid: Grid, up: Direction, generator: np.random.Generator
    ) -> Sample:
        """The turned sample."""
        symmetries = self._symmetries(grid, up)
        return _permuted(sample, symmetries[generator.integers(len(symmetries))], grid)

    def _symmetries(self, grid: Grid, up: Direction) -> list[PixelSymmetry]:
        _check_healpix(self, grid)
        return [
            symmetry
            for symmetry in _symmetries_of(grid)
            if (self.reflections or symmetry.is_rotation)
            and (not self.keep_up or _keeps(symmetry, up))
        ]


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors left and right, exactly.

    The mirror is a plane through the poles of the map and its up: x becomes -x with the pole
    "camera", whose up is -y. Where up is the pole itself ("zenith") every plane through it keeps
    up, and the one through longitude 0 is taken: y becomes -y, and forward stays forward. Of flat
    images the columns change places.

    Args:
        probability: Of being mirrored, in [0, 1].

    Raises:
        ValueError: If probability is no probability.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability={self.probability} must be in 0..1")

    def check(self, grid: Grid, up: Direction, in_chans: int, dtype: str) -> None:
        """Refuse an up far from all mirrors, and base pixels that are not mirrored onto others."""
        if isinstance(grid, ImageGrid):
            return
        _check_healpix(self, grid)
        mirror = self._mirror(up)
        if not mirror.permutes(grid):
            raise ValueError(
                f"{self}: base_pixels={grid.base_pixels} are not mapped onto themselves by "
                f"{mirror.name!r}: leave this augmentation out"
            )

    def __call__(
        self, sample: Sample, grid: Grid, up: Direction, generator: np.random.Generator
    ) -> Sample:
        """The sample, mirrored or as it is."""
        if generator.random() >= self.probability:
            return sample
        if isinstance(grid, ImageGrid):
            return {key: _columns_turned(values, grid) for key, values in sample.items()}
        return _permuted(sample, self._mirror(up), grid)

    def _mirror(self, up: Direction) -> PixelSymmetry:
        for quarter_turns in range(4):
            mirror = PixelSymmetry(quarter_turns, mirrors_longitude=True)
            if _keeps(mirror, up):
                return mirror
        raise ValueError(
            f"{self}: no mirror of the pixels keeps up={up} within "
            f"{math.degrees(_UP_TOLERANCE):.0f} degrees: leave this augmentation out, or convert "
            "with --pole camera"
        )


@dataclass(frozen=True)
class ColourJitter(Augmentation):
    """Changes brightness, contrast, saturation and hue of 8-bit RGB images.

    In this order, each is linear in the colour c of a pixel: brightness makes it b c; contrast
    mixes it with the mean grey of the valid pixels, k c + (1 - k) m; saturation with the pixel's
    own grey, s c + (1 - s) grey(c); hue turns it about the axis of the greys, which a third of a
    turn makes red green, green blue and blue red. The result is rounded and cut to 0..255 once, at
    the end. Pixels outside `valid` stay as they are.

    Args:
        brightness: b is uniform in [1 - brightness, 1 + brightness], not below 0.
        contrast: Of k, likewise.
        saturation: Of s, likewise.
        hue: The turn is uniform in [-hue, hue], in turns; at most 0.5.

    Raises:
        ValueError: If a strength is negative or not finite, or hue above 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "hue"):
            strength, limit = getattr(self, name), 0.5 if name == "hue" else math.inf
            if not (math.isfinite(strength) and 0 <= strength <= limit):
                most = " and at most 0.5 (half a turn)" if name == "hue" else ""
                raise ValueError(f"{name}={strength} must be a number not below 0{most}")

    def check(self, grid: Grid, up: Direction, in_chans: int, dtype: str) -> None:
        """Refuse images that are not 8-bit RGB."""
        if in_chans != 3 or dtype != "uint8":
            raise ValueError(
                f"{self}: the images are {dtype} of {in_chans} channels, 8-bit RGB is needed: "
                "leave this augmentation out"
            )

    def __call__(
        self, sample: Sample, grid: Grid, up: Direction, generator: np.random.Generator
    ) -> Sample:
        """The sample with another image."""
        image, valid = sample["image"], sample["valid"]
        self.check(grid, up, image.shape[1], str(image.dtype))
        brightness, contrast, saturation = (
            generator.uniform(max(0.0, 1 - strength), 1 + strength)
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        turn = generator.uniform(-self.hue, self.hue)
        if not valid.any():
            return sample
        colours = image[valid]
        mean_grey = brightness * float(colours.mean(axis=0) @ _GREY)
        matrix = brightness * contrast * _hue_matrix(turn) @ _saturation_matrix(saturation)
        jittered = image.copy()
        jittered[valid] = _linear(colours, matrix, (1 - contrast) * mean_grey)
        return {**sample, "image": jittered}


@dataclass(frozen=True)
class RandomRotation(Augmentation):
    """Turns maps of the full sphere by a random rotation: (T f)(p) = f(R^-1 p).

    R is drawn uniformly from SO(3) (the Haar measure), or from its rotations by at most
    `max_degrees`. Images are interpolated between four pixels (``grid.interpolation``), of which
    only valid ones take part; labels, depth and `valid` are those of the nearest pixel
    (``grid.lookup``). `healswin.data.batch_augment.BatchRotation` does the same to whole batches,
    much faster.

    Args:
        max_degrees: Largest angle of the rotations, above 0 and at most 180.

    Raises:
        ValueError: If max_degrees is no such angle.
    """

    max_degrees: float = 180.0

    def __post_init__(self) -> None:
        if not 0 < self.max_degrees <= 180:
            raise ValueError(f"max_degrees={self.max_degrees} must be above 0 and at most 180")

    def check(self, grid: Grid, up: Direction, in_chans: int, dtype: str) -> None:
        """Refuse a part of the sphere, into which a rotation would turn unknown pixels."""
        if not isinstance(grid, (HealpixGrid, EquiangularGrid)):
            raise ValueError(f"{self}: {grid} is no grid of the sphere: leave it out")
        if isinstance(grid, HealpixGrid) and not grid.is_full_sphere:
            raise ValueError(
                f"{self}: the maps cover base_pixels={grid.base_pixels}, the full sphere is "
                "needed: use PixelSymmetries or Flip"
            )

    def __call__(
        self, sample: Sample, grid: Grid, up: Direction, generator: np.random.Generator
    ) -> Sample:
        """The turned sample."""
        self.check(grid, up, sample["image"].shape[1], str(sample["image"].dtype))
        # A row vector times R is R^-1 p.
        directions = grid.vectors() @ random_rotation(generator, math.radians(self.max_degrees))
        nearest = grid.lookup(directions)
        turned = {key: values[nearest] for key, values in sample.items() if key != "image"}
        index, weights = grid.interpolation(directions)
        weights *= sample["valid"][index]
        # The pixel that contains a direction need not be one of the four.
        alone = weights.sum(axis=1) == 0
        index[alone, 0], weights[alone, 0] = nearest[alone], 1.0
        image = _mixed(sample["image"], index, weights / weights.sum(axis=1, keepdims=True))
        image[~turned["valid"]] = 0
        return {**turned, "image": image}


def random_rotation(
    generator: np.random.Generator, max_angle: float = math.pi
) -> Float[np.ndarray, "3 3"]:
    """A rotation drawn uniformly among those of SO(3) by at most an angle.

    The axis is uniform on the sphere. The Haar measure gives the angle w in [0, pi] the density
    (1 - cos w) / pi (Miles 1965, Biometrika 52, 636), so that its share below w is
    (w - sin w) / pi; that is inverted.

    Args:
        generator: What the random numbers are drawn from.
        max_angle: In radians, above 0 and at most pi.

    Returns:
        (3, 3) float64.
    """
    axis = generator.normal(size=3)
    part = generator.random() * (max_angle - math.sin(max_angle))
    angle = brentq(lambda w: w - math.sin(w) - part, 0.0, max_angle)
    return rotation_about(axis, angle)


def _check_healpix(augmentation: Augmentation, grid: Grid) -> None:
    if isinstance(grid, ImageGrid):
        raise ValueError(
            f"{augmentation}: {grid} is no grid of the sphere: leave it out; Flip mirrors flat "
            "images"
        )
    if not isinstance(grid, HealpixGrid):
        raise ValueError(
            f"{augmentation}: the maps are on {grid}, HEALPix is needed; "
            "healswin.data.batch_augment.BatchSymmetries knows equiangular grids too"
        )


@lru_cache(maxsize=4)
def _symmetries_of(grid: HealpixGrid) -> tuple[PixelSymmetry, ...]:
    return pixel_symmetries(grid)


def _keeps(symmetry: PixelSymmetry, up: Direction) -> bool:
    moved = np.linalg.norm(symmetry.matrix @ up - np.asarray(up))
    return bool(moved <= 2 * math.sin(_UP_TOLERANCE / 2) * np.linalg.norm(up))


@lru_cache(maxsize=16)
def _permutation(
    symmetry: PixelSymmetry, grid: HealpixGrid
) -> tuple[Int64[np.ndarray, " faces"], Int64[np.ndarray, " face_pixels"]]:
    """`PixelSymmetry.gather_factors`, kept for the next sample."""
    return symmetry.gather_factors(grid)


def _permuted(sample: Sample, symmetry: PixelSymmetry, grid: HealpixGrid) -> Sample:
    """All arrays of a sample, turned by a symmetry."""
    face, inside = _permutation(symmetry, grid)
    return {
        key: values.reshape(len(face), len(inside), -1)[face][:, inside].reshape(values.shape)
        for key, values in sample.items()
    }


def _columns_turned(
    values: Shaped[np.ndarray, " pixels *channels"], grid: ImageGrid
) -> Shaped[np.ndarray, " pixels *channels"]:
    """Values of an image with the last column first."""
    return values.reshape(*grid.shape, -1)[:, ::-1].reshape(values.shape)


def _saturation_matrix(factor: float) -> Float[np.ndarray, "3 3"]:
    """Mixes a colour c with its own grey: factor c + (1 - factor) grey(c)."""
    return factor * np.eye(3) + (1 - factor) * np.outer(np.ones(3), _GREY)


def _hue_matrix(turns: float) -> Float[np.ndarray, "3 3"]:
    """The rotation about the axis of the greys, red to green to blue."""
    return rotation_about((1.0, 1.0, 1.0), 2 * math.pi * turns)


def _linear(
    colours: UInt8[np.ndarray, "pixels 3"], matrix: Float[np.ndarray, "3 3"], offset: float
) -> UInt8[np.ndarray, "pixels 3"]:
    """Each colour c becomes matrix c + offset, rounded and cut to 0..255."""
    values = colours.astype(np.float32) @ matrix.T.astype(np.float32)
    values += np.float32(offset + 0.5)  # rounded by cutting off what is behind the point
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _mixed(
    image: Shaped[np.ndarray, "pixels channels"],
    index: Int64[np.ndarray, "pixels 4"],
    weights: Float[np.ndarray, "pixels 4"],
) -> Shaped[np.ndarray, "pixels channels"]:
    """The weighted mean of four pixels for each, of the image's dtype; uint8 is rounded."""
    mixed = np.zeros(image.shape, dtype=np.float64)
    for corner in range(4):
        mixed += weights[:, corner, None] * image[index[:, corner]]
    if image.dtype == np.uint8:
        mixed = np.floor(mixed + 0.5)
    return mixed.astype(image.dtype)


__all__ = [
    "Augmentation",
    "ColourJitter",
    "Flip",
    "PixelSymmetries",
    "RandomRotation",
    "random_rotation",
]
