"""From a grid back to the pixels of a camera's image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from healswin.cameras.base import Camera, pixel_grid, pole_rotation
from healswin.grid import HealpixGrid
from healswin.resample.fill import filled


class GridToImage:
    """Looks values of a grid up at the pixels of a camera's image.

    Args:
        camera: Calibration of the image that is made.
        grid: Where the values come from.
        pole: As for `ImageToGrid`.

    Attributes:
        covered: (height, width) bool, the image pixel has a ray inside the lens's field and that
            ray meets one of the grid's base pixels.
    """

    def __init__(self, camera: Camera, grid: HealpixGrid, pole: str = "camera") -> None:
        self.camera = camera
        self.grid = grid
        self.pole = pole
        # Map directions are turned into camera axes by the matrix, so the inverse comes from the
        # right.
        rays = camera.unproject(pixel_grid(camera.width, camera.height))
        self._index: Int64[np.ndarray, "height width"] = grid.lookup(
            rays @ pole_rotation(camera, pole)
        )
        self._interpolation: tuple[np.ndarray, np.ndarray] | None = None
        self.covered: Bool[np.ndarray, "height width"] = self._index >= 0

    def nearest(
        self, values: Shaped[np.ndarray, " pixels"], invalid: float
    ) -> Shaped[np.ndarray, "height width"]:
        """The value of the HEALPix pixel that contains each image pixel's ray.

        Args:
            values: Any dtype, one value for each grid pixel.
            invalid: What image pixels get that are not covered.

        Raises:
            ValueError: If the number of values does not fit.
        """
        self._check_values(values, ndim=1)
        result = filled(self.covered.shape, invalid, values.dtype)
        result[self.covered] = values[self._index[self.covered]]
        return result

    def bilinear(
        self, values: Shaped[np.ndarray, "pixels channels"]
    ) -> Shaped[np.ndarray, "height width channels"]:
        """Four-point bilinear values (healpy's weights); 0 where not covered.

        Grid pixels that the camera does not see hold nothing (0) and take no part: their weight
        goes to the others of the four, or, where none is seen, to the nearest pixel that is.

        Args:
            values: uint8 or floating point.

        Returns:
            The same dtype; uint8 values are rounded to the nearest integer.

        Raises:
            ValueError: If number or dtype of the values do not fit.
        """
        self._check_values(values, ndim=2)
        if values.dtype != np.uint8 and values.dtype.kind != "f":
            raise ValueError(f"values has dtype {values.dtype}, uint8 or floats are needed")
        if self._interpolation is None:
            pixels = pixel_grid(self.camera.width, self.camera.height)[self.covered]
            rays = self.camera.unproject(pixels) @ pole_rotation(self.camera, self.pole)
            self._interpolation = self._among_seen(rays)
        index, weights = self._interpolation
        mixed = np.zeros((index.shape[0], values.shape[1]), dtype=np.float64)
        for corner in range(4):
            mixed += weights[:, corner, None] * values[index[:, corner]]
        if values.dtype == np.uint8:
            mixed = np.floor(mixed + 0.5)
        result = np.zeros((*self.covered.shape, values.shape[1]), dtype=values.dtype)
        result[self.covered] = mixed.astype(values.dtype)
        return result

    def _among_seen(
        self, directions: Float[np.ndarray, "covered 3"]
    ) -> tuple[Int64[np.ndarray, "covered 4"], Float[np.ndarray, "covered 4"]]:
        """Indices and weights of the interpolation among the grid pixels that the camera sees."""
        vectors = self.grid.vectors()
        seen = self.camera.valid(vectors @ pole_rotation(self.camera, self.pole).T)
        index, weights = self.grid.interpolation(directions)
        weights = weights * seen[index]
        lost = weights.sum(axis=-1) == 0
        if lost.any() and seen.any():
            from scipy.spatial import cKDTree  # here: conversion workers have no use for it

            nearest = cKDTree(vectors[seen]).query(directions[lost])[1]
            index[lost, 0], weights[lost, 0] = np.flatnonzero(seen)[nearest], 1.0
        total = weights.sum(axis=-1, keepdims=True)
        return index, np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)

    def _check_values(self, values: np.ndarray, ndim: int) -> None:
        if values.ndim != ndim or values.shape[0] != self.grid.num_pixels:
            raise ValueError(
                f"values has shape {values.shape}, {ndim} axes with {self.grid.num_pixels} pixels "
                "first are needed"
            )
