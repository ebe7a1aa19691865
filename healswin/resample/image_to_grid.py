"""From a camera's images to the pixels of a grid.

A grid coarser than the image would skip image pixels if it were sampled at its pixels' centres
only. With ``antialias`` it is sampled at the centres of the grid of nside 2^k, 4^k children of each
pixel, which are put together: colours by their mean, classes by majority, depths by their median.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped, UInt8

from healswin.cameras.base import Camera, inside_image, pole_rotation
from healswin.grid import HealpixGrid
from healswin.resample.children import IGNORED, lower_median, majority
from healswin.resample.fill import filled

# cv2.remap refuses a side of 32767 pixels or more, so maps are folded into rows of this length.
_ROW = 8192
_LARGEST_SIDE = 32765

# Points sampled at a time: a power of two, so that it divides a face or is divided by it.
_BLOCK = 2**19

# The directions of one face of the finer grid are held in float64 while a table is made; at this
# nside they take 0.4 GB.
_FINEST_NSIDE = 4096

# Places along each side of an image at which the size of its pixels is looked at.
_PLACES = 33


class ImageToGrid:
    """Samples images of one camera at the pixels of a grid.

    Args:
        camera: Calibration of the images.
        grid: Where the values go.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.
        antialias: Put a pixel together from points as close as the image's pixels, where the grid
            is coarser than the image.
        excluded: (height, width) bool, image pixels that show the own vehicle. A grid pixel or
            child whose nearest image pixel is excluded is not valid.

    Attributes:
        valid: (pixels,) bool, the ray of the pixel's centre is inside the lens's field and the
            image, and not excluded. Pixels that are not valid hold nothing, whatever their
            children see.
        coordinates: (pixels, 2) float64, where (u, v) each grid pixel lies in the image; NaN
            where not valid.
        oversampling: The smallest k for which the grid of nside 2^k is at least as fine as the
            image where that is finest; a pixel has 4^k children. 0 without antialias, and where
            the grid is as fine as the image.

    Raises:
        ValueError: If `excluded` is no bool image of the calibration's size, the image is too
            large for OpenCV, or so fine against the grid that a table would not fit into memory.
    """

    def __init__(
        self,
        camera: Camera,
        grid: HealpixGrid,
        pole: str = "camera",
        antialias: bool = False,
        excluded: Shaped[np.ndarray, "height width"] | None = None,
    ) -> None:
        if max(camera.width, camera.height) > _LARGEST_SIDE:
            raise ValueError(
                f"images of camera {camera.name!r} are {camera.width} x {camera.height}, at most "
                f"{_LARGEST_SIDE} pixels along a side can be sampled: resize them"
            )
        if excluded is not None:
            _check_image(camera, excluded, ndim=2, what="the mask excluded")
            if excluded.dtype != np.bool_:
                raise ValueError(f"excluded has dtype {excluded.dtype}, bool is needed")
        self.camera = camera
        self.grid = grid
        self.pole = pole
        self.oversampling = _oversampling(camera, grid) if antialias else 0
        rotation = pole_rotation(camera, pole)
        self.coordinates: Float[np.ndarray, "pixels 2"] = _coordinates(
            camera, grid.vectors() @ rotation.T, excluded
        )
        self.valid: Bool[np.ndarray, " pixels"] = np.isfinite(self.coordinates[:, 0])
        u, v = _nearest_pixels(camera, self.coordinates[self.valid]).T
        self._nearest: Int64[np.ndarray, " valid"] = v * camera.width + u
        self._blocks = self._make_blocks(rotation, excluded)

    def bilinear(
        self, image: Shaped[np.ndarray, "height width channels"]
    ) -> Shaped[np.ndarray, "pixels channels"]:
        """Bilinear values at the pixels, with antialias the mean of the valid children.

        Args:
            image: uint8 or float32 of the calibration's size.

        Returns:
            The same dtype; uint8 values are rounded to the nearest integer. 0 where not valid.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        _check_image(self.camera, image, ndim=3)
        if image.dtype not in (np.uint8, np.float32):
            raise ValueError(f"image has dtype {image.dtype}, uint8 or float32 is needed")
        image = self._closed(image)
        result = np.zeros((self.grid.num_pixels, image.shape[2]), dtype=image.dtype)
        for block in self._blocks:
            result[block.pixels] = block.bilinear(image)
        return result

    def labels(
        self, classes: Shaped[np.ndarray, "height width"], invalid: int
    ) -> UInt8[np.ndarray, " pixels"]:
        """The class of the nearest image pixel, with antialias that of most valid children.

        Of classes with equally many children the smallest wins. Children of the class 255 (ignored)
        have no vote, unless there are no others.

        Args:
            classes: uint8 of the calibration's size.
            invalid: The class of pixels that are not valid.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        _check_image(self.camera, classes, ndim=2)
        if classes.dtype != np.uint8:
            raise ValueError(f"classes has dtype {classes.dtype}, uint8 is needed")
        if self.oversampling == 0:
            return self.nearest(classes, invalid)
        result = filled(self.grid.num_pixels, invalid, classes.dtype)
        classes = np.ascontiguousarray(classes)
        for block in self._blocks:
            chosen = majority(block.nearest(classes, IGNORED))
            np.copyto(result[block.pixels], chosen, where=self.valid[block.pixels])
        return result

    def depth(self, depth: Shaped[np.ndarray, "height width"]) -> Float32[np.ndarray, " pixels"]:
        """The depth of the nearest image pixel, with antialias the median of the valid children.

        The median is the lower one of the children that are known (not NaN), so that it is a
        distance that was measured and not a mean of two things one behind the other; no return,
        +inf, is the largest distance.

        Args:
            depth: float32 of the calibration's size, metres; NaN where unknown.

        Returns:
            NaN where not valid or not known.

        Raises:
            ValueError: If size or dtype do not fit.
        """
        _check_image(self.camera, depth, ndim=2)
        if depth.dtype != np.float32:
            raise ValueError(f"depth has dtype {depth.dtype}, float32 is needed")
        if self.oversampling == 0:
            return self.nearest(depth, np.nan)
        result = filled(self.grid.num_pixels, np.nan, depth.dtype)
        depth = np.ascontiguousarray(depth)
        for block in self._blocks:
            result[block.pixels] = lower_median(block.nearest(depth, np.nan))
        return result

    def nearest(
        self, values: Shaped[np.ndarray, "height width"], invalid: float
    ) -> Shaped[np.ndarray, " pixels"]:
        """The value of the image pixel nearest to each grid pixel's centre, antialias or not.

        Args:
            values: Any dtype, of the calibration's size.
            invalid: What the pixels get that are not valid, e.g. 255 or NaN.

        Returns:
            The same dtype.

        Raises:
            ValueError: If the size does not fit.
        """
        _check_image(self.camera, values, ndim=2)
        result = filled(self.grid.num_pixels, invalid, values.dtype)
        result[self.valid] = np.ravel(values)[self._nearest]
        return result

    def _closed(self, image: np.ndarray) -> np.ndarray:
        """The image as cv2 wants it; of a panorama the first column follows the last once more."""
        if self.camera.wraps_horizontally:
            return np.concatenate([image, image[:, :1]], axis=1)
        return np.ascontiguousarray(image)

    def _make_blocks(
        self,
        rotation: Float[np.ndarray, "3 3"],
        excluded: Bool[np.ndarray, "height width"] | None,
    ) -> list[_Block]:
        """Where the pixels are sampled; blocks of pixels that are not valid are left out."""
        children = 4**self.oversampling
        face_size = self.grid.nside**2
        size = min(face_size, max(1, _BLOCK // children))
        blocks = []
        for place, face in enumerate(self.grid.base_pixels):
            first, end = place * face_size, (place + 1) * face_size
            if self.oversampling and self.valid[first:end].any():
                # The children of a pixel are consecutive pixels of the finer grid.
                fine = HealpixGrid(self.grid.nside << self.oversampling, (face,))
                rays = fine.vectors().reshape(face_size, children, 3)
            for start in range(first, end, size):
                pixels = slice(start, start + size)
                if not self.valid[pixels].any():
                    continue
                points = self.coordinates[None, pixels]
                if self.oversampling:
                    turned = rays[start - first : start - first + size] @ rotation.T
                    located = _coordinates(self.camera, turned.swapaxes(0, 1), excluded)
                    points = _settled(located, self.coordinates[pixels])
                blocks.append(_Block(self.camera, pixels, points))
        return blocks


class _Block:
    """The points at which some pixels of a grid are sampled.

    Args:
        camera: Calibration of the images.
        pixels: The pixels, of one face.
        points: Where in the image each child of each pixel lies; NaN where not valid.
    """

    def __init__(
        self, camera: Camera, pixels: slice, points: Float[np.ndarray, "children block 2"]
    ) -> None:
        self.pixels = pixels
        self._shape = points.shape[:2]
        valid = np.isfinite(points).all(axis=-1)
        self._votes = np.maximum(valid.sum(axis=0, dtype=np.int32), 1)[:, None]
        inside = np.where(valid[..., None], points, 0)
        # Within half a pixel of the border the border's value counts.
        last = (camera.width - 1, camera.height - 1)
        mixed = np.clip(inside, 0, last)
        if camera.wraps_horizontally:
            # The image has its first column once more at the end: `ImageToGrid._closed`.
            mixed[..., 0] = inside[..., 0] % camera.width
        # All counts are powers of two, so that the rows come out even.
        folded = (-1, min(_ROW, valid.size), 2)
        self._mixed = [
            np.ascontiguousarray(side, dtype=np.float32)
            for side in np.moveaxis(_outside(mixed, ~valid).reshape(folded), -1, 0)
        ]
        if len(points) > 1:  # without children `ImageToGrid.nearest` answers
            # With integer coordinates it is this module that decides which pixel is the nearest.
            nearest = _nearest_pixels(camera, inside)
            self._nearest = _outside(nearest, ~valid).astype(np.int16).reshape(folded)

    def bilinear(
        self, image: Shaped[np.ndarray, "height width channels"]
    ) -> Shaped[np.ndarray, "block channels"]:
        """Mean of the values at the valid children, 0 where there is none; uint8 is rounded."""
        values = cv2.remap(
            image, *self._mixed, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
        )
        children = values.reshape(*self._shape, image.shape[2])
        if len(children) == 1:
            return children[0]
        mean = children.sum(axis=0, dtype=np.float64) / self._votes
        return (np.rint(mean) if image.dtype == np.uint8 else mean).astype(image.dtype)

    def nearest(
        self, values: Shaped[np.ndarray, "height width"], fill: float
    ) -> Shaped[np.ndarray, "children block"]:
        """The image pixel nearest to every child, ``fill`` for children that are not valid."""
        children = cv2.remap(
            values,
            self._nearest,
            None,
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )
        return children.reshape(self._shape)


def _coordinates(
    camera: Camera,
    rays: Float[np.ndarray, "*any 3"],
    excluded: Bool[np.ndarray, "height width"] | None,
) -> Float[np.ndarray, "*any 2"]:
    """Where in the image rays in camera axes lie; NaN where not valid."""
    coordinates = camera.project(rays)
    valid = inside_image(camera, coordinates)
    coordinates[~valid] = np.nan
    if excluded is not None:
        u, v = _nearest_pixels(camera, coordinates[valid]).T
        valid[valid] = ~excluded[v, u]
        coordinates[~valid] = np.nan
    return coordinates


def _settled(
    children: Float[np.ndarray, "children block 2"], centres: Float[np.ndarray, "block 2"]
) -> Float[np.ndarray, "children block 2"]:
    """The children's coordinates, with the centre's where it alone decides.

    A valid pixel without a valid child takes its centre's value; a pixel that is not valid takes
    nothing, whatever its children see.
    """
    alone = ~np.isfinite(children[..., 0]).any(axis=0) | ~np.isfinite(centres[:, 0])
    return np.where(alone[:, None], centres, children)


def _nearest_pixels(
    camera: Camera, points: Float[np.ndarray, "*any 2"]
) -> Int64[np.ndarray, "*any 2"]:
    """Column and row of the image pixel nearest to each point of the image."""
    nearest = np.floor(points + 0.5).astype(np.int64)
    u = nearest[..., 0] % camera.width if camera.wraps_horizontally else nearest[..., 0]
    return np.stack(
        [np.clip(u, 0, camera.width - 1), np.clip(nearest[..., 1], 0, camera.height - 1)], axis=-1
    )


def _outside(
    points: Shaped[np.ndarray, "*any 2"], where: Bool[np.ndarray, "*any"]
) -> Shaped[np.ndarray, "*any 2"]:
    """The points, outside the image where said, so that cv2.remap fills in a constant."""
    return np.where(where[..., None], -10, points)


def _oversampling(camera: Camera, grid: HealpixGrid) -> int:
    """The smallest k for which 2^k nside is as fine as the image where that is finest."""
    ratio = grid.pixel_spacing / _finest_spacing(camera)
    if ratio <= 1:
        return 0
    k = int(np.ceil(np.log2(ratio)))
    if grid.nside << k > _FINEST_NSIDE:
        raise ValueError(
            f"antialias: the image of camera {camera.name!r} is {ratio:.0f} times as fine as the "
            f"grid of nside {grid.nside}, which takes sampling at nside {grid.nside << k}, above "
            f"{_FINEST_NSIDE}: make the image smaller, or choose a larger nside"
        )
    return k


def _finest_spacing(camera: Camera) -> float:
    """Angle between neighbouring image pixels where it is smallest, in radians.

    A pixel that is not square counts with its longer side (the larger singular value of the
    derivative of its ray), so that the rows of a panorama near its poles do not count as
    infinitely fine. inf if no pixel has a ray.
    """
    # Lenses are smooth: some places say how large the pixels are.
    columns = np.linspace(0, camera.width - 1, min(camera.width, _PLACES))
    rows = np.linspace(0, camera.height - 1, min(camera.height, _PLACES))
    centres = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    along_u, along_v = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    sides = np.stack(
        [
            camera.unproject(centres + step) - camera.unproject(centres - step)
            for step in (along_u, along_v)
        ],
        axis=-1,
    )
    sides = sides[np.isfinite(sides).all(axis=(1, 2))]
    return float(np.linalg.norm(sides, ord=2, axis=(1, 2)).min(initial=np.inf))


def _check_image(camera: Camera, image: np.ndarray, ndim: int, what: str = "the image") -> None:
    if image.ndim != ndim or image.shape[:2] != (camera.height, camera.width):
        size = " x ".join(str(side) for side in image.shape[1::-1])
        raise ValueError(
            f"{what} is {size} pixels with {image.ndim} axes, the calibration of camera "
            f"{camera.name!r} is for {camera.width} x {camera.height} with {ndim} axes"
        )
