"""The HEALPix grid over any subset of base pixels."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

# healpy's own limit: nested indices of nside 2^29 fill 62 bits.
MAX_NSIDE = 2**29


@dataclass(frozen=True)
class HealpixGrid:
    """A frozen value that names the pixels of a HEALPix grid.

    Pixel ``k`` of the grid is pixel ``k % nside**2`` (NESTED) of face
    ``base_pixels[k // nside**2]``. All 12 base pixels are the full sphere; ``range(8)``, the
    northern and the equatorial faces, is the domain of a fisheye camera that looks at the north
    pole.

    Args:
        nside: Pixels along one side of a face, a power of two.
        base_pixels: Increasing face numbers out of 0..11. Default: all of them.

    Raises:
        ValueError: If nside is no power of two or base_pixels is no increasing subset of 0..11.
    """

    nside: int
    base_pixels: tuple[int, ...] = tuple(range(12))

    def __post_init__(self) -> None:
        object.__setattr__(self, "nside", _as_nside(self.nside))
        object.__setattr__(self, "base_pixels", _as_base_pixels(self.base_pixels))

    @property
    def num_pixels(self) -> int:
        """Number of pixels of the grid."""
        return len(self.base_pixels) * self.nside**2

    @property
    def shape(self) -> tuple[int]:
        """(num_pixels,): the pixels are one axis."""
        return (self.num_pixels,)

    @property
    def is_full_sphere(self) -> bool:
        """Whether all 12 base pixels belong to the grid."""
        return len(self.base_pixels) == 12

    @property
    def pixel_area(self) -> float:
        """Solid angle of every pixel in steradians: 4 pi / (12 nside^2)."""
        return np.pi / (3 * self.nside**2)

    @property
    def pixel_spacing(self) -> float:
        """Side of a square of one pixel's area in radians: sqrt(pi / 3) / nside."""
        return float(np.sqrt(np.pi / 3) / self.nside)

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain values, as they stand in the attributes of a prepared set."""
        return {"grid": "healpix", "nside": self.nside, "base_pixels": list(self.base_pixels)}

    def coarsened(self, factor: int) -> HealpixGrid:
        """The same base pixels with nside divided by ``factor``.

        Raises:
            ValueError: If factor is no power of two or larger than nside.
        """
        if factor < 1 or factor & (factor - 1) or factor > self.nside:
            raise ValueError(
                f"factor={factor} must be a power of two of at most nside={self.nside}"
            )
        return HealpixGrid(self.nside // factor, self.base_pixels)

    def pixels(self) -> Int64[np.ndarray, " pixels"]:
        """Index of every grid pixel among the 12 nside^2 NESTED pixels of the full sphere."""
        inside_face = np.arange(self.nside**2, dtype=np.int64)
        faces = np.asarray(self.base_pixels, dtype=np.int64)
        return (faces[:, None] * self.nside**2 + inside_face).ravel()

    def face_xy(
        self,
    ) -> tuple[
        Int64[np.ndarray, " pixels"], Int64[np.ndarray, " pixels"], Int64[np.ndarray, " pixels"]
    ]:
        """Face number and coordinates (x, y) inside the face of every pixel.

        x grows to the north-east, y to the north-west, as in healpy's ``pix2xyf(nest=True)``.
        """
        import healpy as hp

        x, y, face = hp.pix2xyf(self.nside, self.pixels(), nest=True)
        return face.astype(np.int64), x.astype(np.int64), y.astype(np.int64)

    def vectors(self) -> Float[np.ndarray, "pixels 3"]:
        """Unit vectors to the pixel centres, float64."""
        import healpy as hp

        return np.stack(hp.pix2vec(self.nside, self.pixels(), nest=True), axis=-1)

    def angles(self) -> tuple[Float[np.ndarray, " pixels"], Float[np.ndarray, " pixels"]]:
        """Colatitude theta in [0, pi] and longitude phi in [0, 2 pi) of the pixel centres."""
        import healpy as hp

        return hp.pix2ang(self.nside, self.pixels(), nest=True)

    def lookup(self, vectors: Float[np.ndarray, "*any 3"]) -> Int64[np.ndarray, "*any"]:
        """Grid index of the pixel that contains each direction.

        Args:
            vectors: Directions of any length above zero.

        Returns:
            Indices into the grid; -1 where the direction lies in a base pixel that the grid does
            not have, or is zero or not a number.
        """
        import healpy as hp

        vectors = np.asarray(vectors, dtype=np.float64)
        known = _is_direction(vectors)
        safe = np.where(known[..., None], vectors, (0.0, 0.0, 1.0))
        full = hp.vec2pix(self.nside, safe[..., 0], safe[..., 1], safe[..., 2], nest=True)
        return np.where(known, self.index_of(np.asarray(full, dtype=np.int64)), -1)

    def interpolation(
        self, vectors: Float[np.ndarray, "*any 3"]
    ) -> tuple[Int64[np.ndarray, "*any 4"], Float[np.ndarray, "*any 4"]]:
        """Four pixels around each direction and their bilinear weights.

        The weights are healpy's (bilinear in colatitude and longitude between two rings). On a
        subset of the base pixels the weights of missing pixels are given to the others, and where
        all four are missing the pixel that contains the direction gets all.

        Returns:
            Grid indices and weights. The weights add up to 1 for every direction inside the
            grid's base pixels; where no pixel is known they, and the indices, are 0.
        """
        import healpy as hp

        vectors = np.asarray(vectors, dtype=np.float64)
        known = _is_direction(vectors)
        safe = np.where(known[..., None], vectors, (0.0, 0.0, 1.0))
        theta, phi = hp.vec2ang(safe.reshape(-1, 3))
        full, weights = hp.get_interp_weights(self.nside, theta, phi, nest=True)
        index = self.index_of(full.T).reshape(*known.shape, 4)
        weights = np.clip(weights.T, 0.0, None).reshape(*known.shape, 4)
        weights = np.where((index >= 0) & known[..., None], weights, 0.0)
        own = self.lookup(vectors)
        alone = (weights.sum(axis=-1) == 0) & (own >= 0)
        index[alone, 0], weights[alone, 0] = own[alone], 1.0
        total = weights.sum(axis=-1, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        return np.where(weights > 0, index, 0), weights

    def from_ring(self, values: Shaped[np.ndarray, "*any sphere"]) -> Shaped[np.ndarray, "*any p"]:
        """Take the grid's pixels out of full-sphere maps in RING order.

        Args:
            values: (..., 12 nside^2), any dtype.

        Returns:
            (..., num_pixels) in the order of the grid.

        Raises:
            ValueError: If the last axis is not 12 nside^2 long.
        """
        values = np.asarray(values)
        sphere = 12 * self.nside**2
        if values.shape[-1] != sphere:
            raise ValueError(
                f"values has {values.shape[-1]} pixels along its last axis, a full-sphere map of "
                f"nside {self.nside} has {sphere}"
            )
        return values[..., self.ring_order()]

    def to_ring(
        self, values: Shaped[np.ndarray, "*any p"], fill: float = np.nan
    ) -> Shaped[np.ndarray, "*any sphere"]:
        """Put maps of the grid into full-sphere maps in RING order.

        Args:
            values: (..., num_pixels) in the order of the grid.
            fill: Value of the pixels that the grid does not have. Default: not a number.

        Returns:
            (..., 12 nside^2) of the same dtype.

        Raises:
            ValueError: If the last axis is not num_pixels long, or the dtype cannot hold a fill
                value that is needed.
        """
        values = np.asarray(values)
        if values.shape[-1] != self.num_pixels:
            raise ValueError(
                f"values has {values.shape[-1]} pixels along its last axis, the grid has "
                f"{self.num_pixels}"
            )
        ring = np.empty((*values.shape[:-1], 12 * self.nside**2), dtype=values.dtype)
        if not self.is_full_sphere:
            if not holds(values.dtype, fill):
                raise ValueError(
                    f"fill={fill} cannot be held by {values.dtype}: name a fill value for the "
                    f"faces that are not among base_pixels={self.base_pixels}"
                )
            ring[...] = fill
        ring[..., self.ring_order()] = values
        return ring

    def ring_order(self) -> Int64[np.ndarray, " pixels"]:
        """Position in the full-sphere RING order of every pixel of the grid."""
        import healpy as hp

        return hp.nest2ring(self.nside, self.pixels()).astype(np.int64)

    def index_of(self, pixels: Int64[np.ndarray, "*any"]) -> Int64[np.ndarray, "*any"]:
        """Index in the grid of NESTED pixels of the full sphere; the inverse of `pixels`.

        Args:
            pixels: Full-sphere indices below 12 nside^2, or -1 for no pixel.

        Returns:
            Grid indices of the same shape; -1 for no pixel, and for pixels of faces that the grid
            does not have.
        """
        # One entry more than there are faces: no pixel, -1, has face -1, the last entry.
        block_of_face = np.full(13, -1, dtype=np.int64)
        block_of_face[list(self.base_pixels)] = np.arange(len(self.base_pixels))
        face, inside = np.divmod(pixels, self.nside**2)
        block = block_of_face[face]
        return np.where(block >= 0, block * self.nside**2 + inside, -1)


def xy_to_nested(
    x: Int64[np.ndarray, "*any"], y: Int64[np.ndarray, "*any"]
) -> Int64[np.ndarray, "*any"]:
    """Nested index inside a face (or any power-of-two square) of coordinates x and y."""
    nested = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)), dtype=np.int64)
    for bit in range(MAX_NSIDE.bit_length() - 1):
        nested |= ((x >> bit) & 1) << (2 * bit)
        nested |= ((y >> bit) & 1) << (2 * bit + 1)
    return nested


def _is_direction(vectors: np.ndarray) -> np.ndarray:
    return np.isfinite(vectors).all(axis=-1) & (vectors != 0).any(axis=-1)


def _as_nside(nside: int) -> int:
    try:
        value = operator.index(nside)
    except TypeError:
        raise ValueError(f"nside={nside!r} must be a whole number, a power of two") from None
    if value < 1 or value & (value - 1) or value > MAX_NSIDE:
        raise ValueError(f"nside={nside} must be a power of two between 1 and 2^29")
    return value


def _as_base_pixels(base_pixels: Iterable[int]) -> tuple[int, ...]:
    if isinstance(base_pixels, (int, np.integer, str)):
        raise ValueError(
            f"base_pixels={base_pixels!r} must be the face numbers themselves, e.g. range(8)"
        )
    faces = tuple(operator.index(face) for face in base_pixels)
    if not faces or any(a >= b for a, b in itertools.pairwise(faces)):
        raise ValueError(f"base_pixels={faces} must be an increasing, non-empty list of faces")
    if faces[0] < 0 or faces[-1] > 11:
        raise ValueError(f"base_pixels={faces} must lie in 0..11, HEALPix has 12 faces")
    return faces


def holds(dtype: np.dtype, fill: float) -> bool:
    """Whether the dtype can represent the fill value exactly (a float dtype: approximately)."""
    if dtype.kind == "f" or dtype.kind == "c":
        return True
    if dtype.kind == "b":
        return fill in (0, 1)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(fill).is_integer() and limits.min <= fill <= limits.max
    return False


def is_power_of_four(value: int) -> bool:
    """Whether value is 1, 4, 16, 64, ..."""
    return value >= 1 and value & (value - 1) == 0 and value.bit_length() % 2 == 1


__all__ = ["MAX_NSIDE", "HealpixGrid", "holds", "is_power_of_four", "xy_to_nested"]
