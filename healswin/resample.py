"""Image <-> grid, both directions in one place.

A table is made once for a camera and a grid, in float64; applying it to an image is one call of
OpenCV's ``remap`` or one gather. Values are never truncated: 8-bit results are rounded to the
nearest integer, and pixels whose ray leaves the image within half a pixel of its border take the
border's value instead of being mixed with black.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped
from scipy.spatial import cKDTree

from healswin.cameras.base import Camera, pixel_grid, pole_rotation
from healswin.grid import HealpixGrid, holds

# cv2.remap refuses a side of 32767 pixels or more, so maps are folded into rows of this length.
_ROW = 8192


class ImageToGrid:
    """Samples images of one camera at the pixel centres of a grid.

    Args:
        camera: Calibration of the images.
        grid: Where the values go.
        pole: "camera" puts the optical axis at the grid's north pole, "vehicle" the camera's
            horizontal viewing direction (see `healswin.cameras.pole_rotation`).

    Attributes:
        valid: (pixels,) bool, the pixel's ray is inside the lens's field and the image.
        coordinates: (pixels, 2) float64, where (u, v) each grid pixel lies in the image; NaN
            where not valid.
    """

    def __init__(self, camera: Camera, grid: HealpixGrid, pole: str = "camera") -> None:
        self.camera = camera
        self.grid = grid
        self.pole = pole
        rays = grid.vectors() @ pole_rotation(camera, pole).T
        self.valid: Bool[np.ndarray, " pixels"] = camera.valid(rays)
        self.coordinates: Float[np.ndarray, "pixels 2"] = np.where(
            self.valid[:, None], camera.project(rays), np.nan
        )
        self._maps = _folded_maps(np.where(self.valid[:, None], self.coordinates, 0.0))
        nearest = np.floor(self.coordinates[self.valid] + 0.5).astype(np.int64)
        u = np.clip(nearest[:, 0], 0, camera.width - 1)
        v = np.clip(nearest[:, 1], 0, camera.height - 1)
        self._nearest: Int64[np.ndarray, " valid"] = v * camera.width + u

    def bilinear(
        self, image: Shaped[np.ndarray, "height width channels"]
    ) -> Shaped[np.ndarray, "pixels channels"]:
        """Bilinear values at the grid's pixel centres; 0 where not valid.

        Args:
            image: uint8 or float32 of the calibration's size.

        Returns:
            The same dtype; uint8 values are rounded to the nearest integer.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        _check_image(self.camera, image, ndim=3)
        if image.dtype not in (np.uint8, np.float32):
            raise ValueError(f"image has dtype {image.dtype}, uint8 or float32 is needed")
        # A channel axis of length 1 is dropped by remap, hence the reshape.
        folded = cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values = folded.reshape(-1, image.shape[2])[: self.grid.num_pixels]
        values[~self.valid] = 0
        return values

    def nearest(
        self, values: Shaped[np.ndarray, "height width"], invalid: float
    ) -> Shaped[np.ndarray, " pixels"]:
        """The value of the nearest image pixel, for labels and depth.

        Args:
            values: Any dtype, of the calibration's size.
            invalid: What the pixels get that are not valid, e.g. 255 or NaN.

        Returns:
            The same dtype.

        Raises:
            ValueError: If the size does not fit.
        """
        _check_image(self.camera, values, ndim=2)
        result = _filled(self.grid.num_pixels, invalid, values.dtype)
        result[self.valid] = np.ravel(values)[self._nearest]
        return result


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
        result = _filled(self.covered.shape, invalid, values.dtype)
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


def _filled(shape: int | tuple[int, ...], invalid: float, dtype: np.dtype) -> np.ndarray:
    if not holds(dtype, invalid):
        raise ValueError(f"invalid={invalid} cannot be held by {dtype}")
    return np.full(shape, invalid, dtype=dtype)


def _folded_maps(
    coordinates: Float[np.ndarray, "pixels 2"],
) -> tuple[Float[np.ndarray, "rows row"], Float[np.ndarray, "rows row"]]:
    """The coordinates as two float32 arrays of short rows, padded at the end."""
    count = coordinates.shape[0]
    rows = -(-count // _ROW)
    folded = np.zeros((2, rows * _ROW), dtype=np.float32)
    folded[:, :count] = coordinates.T
    return folded[0].reshape(rows, _ROW), folded[1].reshape(rows, _ROW)


def _check_image(camera: Camera, image: np.ndarray, ndim: int) -> None:
    if image.ndim != ndim or image.shape[:2] != (camera.height, camera.width):
        size = " x ".join(str(side) for side in image.shape[1::-1])
        raise ValueError(
            f"the image is {size} pixels with {image.ndim} axes, the calibration of camera "
            f"{camera.name!r} is for {camera.width} x {camera.height} with {ndim} axes"
        )
