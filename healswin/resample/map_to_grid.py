"""Maps of the sphere onto grids of the same or another nside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from healswin.grid import HealpixGrid


@dataclass(frozen=True)
class HealpixMap:
    """A source that is a map of the full sphere already.

    Args:
        nside: Pixels along one side of a base pixel.
        order: "ring" or "nested", the order of the map's pixels.
        name: What it is called in a data set.

    Raises:
        ValueError: If nside is no power of two, or there is no such order.
    """

    nside: int
    order: str
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nside", HealpixGrid(self.nside).nside)
        if self.order not in ("ring", "nested"):
            raise ValueError(f"order={self.order!r} must be 'ring' or 'nested'")

    @property
    def num_pixels(self) -> int:
        """Number of pixels of the map, 12 nside^2."""
        return 12 * self.nside**2

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values, in the structure of a camera's calibration."""
        return {
            "intrinsic": {"model": "healpix", "nside": self.nside, "order": self.order},
            "name": self.name,
        }


class MapToGrid:
    """Brings full-sphere maps onto a grid, whose pixels may be of another size.

    On a grid of the map's nside a pixel is one of the map's; on a coarser grid the mean of those
    that lie in it; on a finer one it is interpolated (healpy's four-point bilinear weights). The
    map's pixels that are not valid take no part.

    Args:
        source: What the maps are.
        grid: Where the values go.
    """

    def __init__(self, source: HealpixMap, grid: HealpixGrid) -> None:
        self.source = source
        self.grid = grid
        # For each face the map's pixels that its pixels are made of, equally many for each, one
        # pixel after another, and their weights. Face by face, so that no more than a face is ever
        # held in float64.
        if source.nside >= grid.nside:
            self._parts = [(_pixels_of(source, face), 1.0) for face in grid.base_pixels]
        else:
            sphere = HealpixGrid(source.nside)
            position = sphere.ring_order() if source.order == "ring" else sphere.pixels()
            self._parts = []
            for face in grid.base_pixels:
                index, weights = sphere.interpolation(HealpixGrid(grid.nside, (face,)).vectors())
                self._parts.append((_packed(position[index].ravel()), weights.astype(np.float32)))

    def sample(
        self,
        values: Shaped[np.ndarray, "source_pixels channels"],
        valid: Shaped[np.ndarray, " source_pixels"],
    ) -> tuple[Float32[np.ndarray, "pixels channels"], Bool[np.ndarray, " pixels"]]:
        """A map on the grid.

        Args:
            values: float32, in the map's order.
            valid: bool, which of the map's pixels hold something.

        Returns:
            The values, 0 where not valid, and which pixels are valid: those of which at least one
            of the map's pixels that they are made of is.

        Raises:
            ValueError: If number or dtype of the values do not fit.
        """
        self._check("values", values, np.dtype(np.float32), ndim=2)
        self._check("valid", valid, np.dtype(bool), ndim=1)
        channels, size = values.shape[1], self.grid.nside**2
        result = np.zeros((self.grid.num_pixels, channels), dtype=np.float32)
        known = np.zeros(self.grid.num_pixels, dtype=bool)
        for face, (index, weights) in enumerate(self._parts):
            pixels = slice(face * size, (face + 1) * size)
            holds = valid[index].reshape(size, -1)
            shares = np.float64(weights) * holds
            total = shares.sum(axis=1)
            known[pixels] = total > 0
            # Not a number times a weight of 0 would not be 0.
            parts = np.where(holds[..., None], values[index].reshape(size, -1, channels), 0)
            mixed = np.einsum("pn,pnc->pc", shares, parts)
            result[pixels] = mixed / np.where(total > 0, total, 1)[:, None]
        return result, known

    def _check(self, name: str, array: np.ndarray, dtype: np.dtype, ndim: int) -> None:
        if array.ndim != ndim or array.shape[0] != self.source.num_pixels:
            raise ValueError(
                f"{name} has shape {array.shape}, {ndim} axes with the {self.source.num_pixels} "
                f"pixels of a map of nside {self.source.nside} first are needed"
            )
        if array.dtype != dtype:
            raise ValueError(f"{name} has dtype {array.dtype}, {dtype} is needed")


def _pixels_of(source: HealpixMap, face: int) -> slice | Int[np.ndarray, " pixels"]:
    """Where the pixels of a face, in nested order, are in a map."""
    if source.order == "nested":
        return slice(face * source.nside**2, (face + 1) * source.nside**2)
    return _packed(HealpixGrid(source.nside, (face,)).ring_order())


def _packed(index: Int[np.ndarray, " pixels"]) -> Int[np.ndarray, " pixels"]:
    """The index in half the memory, where the numbers allow it."""
    return index.astype(np.int32) if index.max() <= np.iinfo(np.int32).max else index
