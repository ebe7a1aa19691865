"""Flat images: from a camera's image to a resized one, and from there to the image and the sphere.

Resizing keeps the area of the image, so that the centre u of a column lies at
(u + 0.5) W' / W - 0.5 in an image that is W' instead of W columns wide, and rows likewise. The
resized pixel nearest to a point is the one that contains it. Both are what
``camera.resized(width, height)`` says of the rays.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8

from healswin.cameras.base import Camera, inside_image, pixel_grid, pole_rotation
from healswin.grid import HealpixGrid, ImageGrid
from healswin.resample.fill import filled


class ImageToFlat:
    """Resizes images of one camera, to be trained on as they are.

    Args:
        camera: Calibration of the images.
        grid: The size that they get.
        excluded: (height, width) bool, image pixels that show the own vehicle. A resized pixel
            whose nearest image pixel is excluded is not valid.

    Attributes:
        valid: (pixels,) bool, the ray of the pixel's centre is inside the lens's field, and the
            image pixel nearest to it is not excluded. Pixels that are not valid hold nothing.

    Raises:
        ValueError: If `excluded` is no bool image of the calibration's size.
    """

    def __init__(
        self,
        camera: Camera,
        grid: ImageGrid,
        excluded: Shaped[np.ndarray, "height width"] | None = None,
    ) -> None:
        self.camera = camera
        self.grid = grid
        columns = _containing(camera.width, grid.width)
        rows = _containing(camera.height, grid.height)
        self._nearest: Int64[np.ndarray, " pixels"] = _flat_index(rows, columns, camera.width)
        seen = _seen(camera.resized(grid.width, grid.height)).ravel()
        if excluded is not None:
            self._check(excluded, 2, (np.bool_,), "the mask excluded")
            seen &= ~np.ravel(excluded)[self._nearest]
        self.valid: Bool[np.ndarray, " pixels"] = seen

    def bilinear(
        self, image: Shaped[np.ndarray, "height width channels"]
    ) -> Shaped[np.ndarray, "pixels channels"]:
        """Bilinear values along sides that grow, means over the pixels along those that shrink.

        Within half a pixel of the image's border the border's value counts.

        Args:
            image: uint8 or float32 of the calibration's size.

        Returns:
            The same dtype; uint8 values are rounded to the nearest integer. 0 where not valid.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        self._check(image, 3, (np.uint8, np.float32), "the image")
        # A side at a time: OpenCV takes means along both sides or along none. The first leaves no
        # rounding to the second.
        values = _resized(np.float32(image), self.grid.width, image.shape[0])
        values = _resized(values, self.grid.width, self.grid.height)
        values = values.reshape(self.grid.num_pixels, image.shape[2])
        values[~self.valid] = 0
        return np.rint(values).astype(np.uint8) if image.dtype == np.uint8 else values

    def labels(
        self, classes: Shaped[np.ndarray, "height width"], invalid: int
    ) -> UInt8[np.ndarray, " pixels"]:
        """The class of the image pixel that contains each pixel's centre.

        Args:
            classes: uint8 of the calibration's size.
            invalid: The class of pixels that are not valid.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        self._check(classes, 2, (np.uint8,), "classes")
        return self.nearest(classes, invalid)

    def depth(self, depth: Shaped[np.ndarray, "height width"]) -> Float32[np.ndarray, " pixels"]:
        """The depth of the image pixel that contains each pixel's centre.

        Args:
            depth: float32 of the calibration's size, metres; NaN where unknown.

        Returns:
            NaN where not valid or not known.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        self._check(depth, 2, (np.float32,), "depth")
        return self.nearest(depth, np.nan)

    def nearest(
        self, values: Shaped[np.ndarray, "height width"], invalid: float
    ) -> Shaped[np.ndarray, " pixels"]:
        """The value of the image pixel that contains each pixel's centre.

        Args:
            values: Any dtype, of the calibration's size.
            invalid: What the pixels get that are not valid, e.g. 255 or NaN.

        Returns:
            The same dtype.

        Raises:
            ValueError: If the size does not fit.
        """
        self._check(values, 2, (values.dtype.type,), "values")
        result = filled(self.grid.num_pixels, invalid, values.dtype)
        result[self.valid] = np.ravel(values)[self._nearest[self.valid]]
        return result

    def _check(self, values: np.ndarray, ndim: int, dtypes: tuple[type, ...], what: str) -> None:
        camera = self.camera
        if values.ndim != ndim or values.shape[:2] != (camera.height, camera.width):
            size = " x ".join(str(side) for side in values.shape[1::-1])
            raise ValueError(
                f"{what} is {size} pixels with {values.ndim} axes, the calibration of camera "
                f"{camera.name!r} is for {camera.width} x {camera.height} with {ndim} axes"
            )
        if values.dtype.type not in dtypes:
            needed = " or ".join(dtype.__name__.rstrip("_") for dtype in dtypes)
            raise ValueError(f"{what} has dtype {values.dtype}, {needed} is needed")


class FlatToImage:
    """Looks values of a resized image up at the pixels of the full one.

    Args:
        camera: Calibration of the full image.
        grid: The resized image.

    Attributes:
        covered: (height, width) bool, the lens sees the pixel of the full image.
    """

    def __init__(self, camera: Camera, grid: ImageGrid) -> None:
        self.camera = camera
        self.grid = grid
        columns = _containing(grid.width, camera.width)
        rows = _containing(grid.height, camera.height)
        index = _flat_index(rows, columns, grid.width)
        self._index: Int64[np.ndarray, "height width"] = index.reshape(camera.height, camera.width)
        self.covered: Bool[np.ndarray, "height width"] = _seen(camera)

    def nearest(
        self, values: Shaped[np.ndarray, " pixels"], invalid: float
    ) -> Shaped[np.ndarray, "height width"]:
        """The value of the resized pixel that contains the centre of each pixel of the full image.

        Args:
            values: Any dtype, one value for each pixel of the resized image.
            invalid: What pixels get that are not covered.

        Raises:
            ValueError: If the number of values does not fit.
        """
        _check_values(values, self.grid)
        result = filled(self.covered.shape, invalid, values.dtype)
        result[self.covered] = values[self._index[self.covered]]
        return result


class FlatToGrid:
    """Looks values of a resized image up at the pixels of a grid of the sphere.

    Args:
        camera: Calibration of the full image.
        flat: The resized image, where the values come from.
        grid: Where they go.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.

    Attributes:
        covered: (pixels,) bool, the ray of the grid pixel's centre is inside the lens's field and
            the image.
    """

    def __init__(
        self, camera: Camera, flat: ImageGrid, grid: HealpixGrid, pole: str = "camera"
    ) -> None:
        self.camera = camera
        self.flat = flat
        self.grid = grid
        self.pole = pole
        points = camera.project(grid.vectors() @ pole_rotation(camera, pole).T)
        self.covered: Bool[np.ndarray, " pixels"] = inside_image(camera, points)
        u, v = points[self.covered].T
        columns = np.floor((u + 0.5) * (flat.width / camera.width)).astype(np.int64)
        rows = np.floor((v + 0.5) * (flat.height / camera.height)).astype(np.int64)
        if camera.wraps_horizontally:
            columns %= flat.width
        # The border itself lies in the last column or row.
        columns = np.clip(columns, 0, flat.width - 1)
        rows = np.clip(rows, 0, flat.height - 1)
        self._index: Int64[np.ndarray, " covered"] = rows * flat.width + columns

    def nearest(
        self, values: Shaped[np.ndarray, " flat_pixels"], invalid: float
    ) -> Shaped[np.ndarray, " pixels"]:
        """The value of the resized pixel that contains the ray of each grid pixel's centre.

        Args:
            values: Any dtype, one value for each pixel of the resized image.
            invalid: What grid pixels get that are not covered.

        Raises:
            ValueError: If the number of values does not fit.
        """
        _check_values(values, self.flat)
        result = filled(self.grid.num_pixels, invalid, values.dtype)
        result[self.covered] = values[self._index]
        return result


def _containing(source: int, target: int) -> Int64[np.ndarray, " target"]:
    """The pixel of a side of `source` pixels that contains the centre of each of `target`.

    A centre on the border of two lies in the second. In whole numbers, so that nothing is rounded.
    """
    return (2 * np.arange(target, dtype=np.int64) + 1) * source // (2 * target)


def _flat_index(
    rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"], width: int
) -> Int64[np.ndarray, " pixels"]:
    return (rows[:, None] * width + columns).ravel()


def _seen(camera: Camera) -> Bool[np.ndarray, "height width"]:
    """Where the lens has a ray for the centre of a pixel."""
    rays = camera.unproject(pixel_grid(camera.width, camera.height))
    return np.isfinite(rays).all(axis=-1)


def _resized(
    image: Float32[np.ndarray, "height width channels"], width: int, height: int
) -> Float32[np.ndarray, "new_height new_width channels"]:
    """The image with one of its sides changed."""
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    # OpenCV drops an axis of one channel.
    return cv2.resize(image, (width, height), interpolation=mode).reshape(height, width, -1)


def _check_values(values: np.ndarray, grid: ImageGrid) -> None:
    if values.shape != (grid.num_pixels,):
        raise ValueError(
            f"values has shape {values.shape}, ({grid.num_pixels},) is needed: one for each pixel "
            f"of {grid}"
        )
