r"""Values on a grid of the sphere, HEALPix or equiangular, as pictures.

Every picture but `unrolled` is made in one way: each of its pixels has a direction, and shows the
value of the grid pixel that contains this direction. Nothing is interpolated, so that labels stay
labels and the grid's pixels can be seen.

Orientation. A view has a centre c (the direction that it shows in its middle) and an up vector,
which give the unit vectors "down" d, perpendicular to c, and "right" r = d x c. With the defaults,
c = (0, 0, 1) and up = (0, -1, 0), r = (1, 0, 0) and d = (0, 1, 0): camera axes, seen from INSIDE
the sphere as the camera sees the world. The north pole, the optical axis, is in the middle, +x
points to the right and +y down, so that left and right agree with the fisheye image. Seen from
outside (``inside=False``), as one looks at a globe, right and left change places.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int64, UInt8
from numpy.typing import ArrayLike

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.viz.colour import EMPTY, INK, PAPER, blend, boundaries

NORTH = (0.0, 0.0, 1.0)
CAMERA_UP = (0.0, -1.0, 0.0)

OUTSIDE = -2
"""Index of picture pixels that have no direction; -1 are directions outside the grid."""

SphereGrid = HealpixGrid | EquiangularGrid
"""The grids whose pixels have directions."""

Vector = tuple[float, float, float]


def orthographic(
    values: np.ndarray,
    grid: SphereGrid,
    size: int = 512,
    centre: ArrayLike = NORTH,
    up: ArrayLike = CAMERA_UP,
    inside: bool = True,
    background: ArrayLike = PAPER,
    empty: ArrayLike = EMPTY,
    shade: float | int = 0.0,
    seams: float | int = 0.0,
    supersample: int = 1,
) -> UInt8[np.ndarray, "size size 3"]:
    """Parallel projection: the hemisphere around ``centre``, which looks like a ball.

    The picture's pixel at X, Y (from -1 to 1 across the ball) shows the direction
    X r + Y d + sqrt(1 - X^2 - Y^2) c, in the notation of the module.

    Args:
        values: RGB of every grid pixel, uint8 (pixels, 3).
        grid: The grid.
        size: Side of the picture in pixels.
        centre: Direction in the middle: a vector (x, y, z), or angles (theta, phi) in radians.
        up: Vector (x, y, z) whose projection points up in the picture.
        inside: Whether the sphere is seen from inside (fisheye, sky) or from outside (globe).
        background: RGB around the ball.
        empty: RGB of the part of the ball that belongs to no base pixel of the grid.
        shade: Darkening of the limb in 0..1, which makes the disc look round.
        seams: Opacity in 0..1 of lines between base pixels, which an equiangular grid has not.
        supersample: The picture is drawn so many times larger and averaged down, for smooth
            edges. With 1 every picture pixel is the colour of one grid pixel.

    Raises:
        ValueError: If the values do not belong to the grid, the size is not positive, ``up`` is
            parallel to ``centre``, or seams are asked of an equiangular grid.
    """
    index = disc_index(grid, size * supersample, centre, up, inside)
    return _draw(values, grid, index, background, empty, shade, seams, supersample)


def azimuthal(
    values: np.ndarray,
    grid: SphereGrid,
    max_angle: float | int,
    size: int = 512,
    centre: ArrayLike = NORTH,
    up: ArrayLike = CAMERA_UP,
    inside: bool = True,
    background: ArrayLike = PAPER,
    empty: ArrayLike = EMPTY,
    seams: float | int = 0.0,
    supersample: int = 1,
) -> UInt8[np.ndarray, "size size 3"]:
    """Equidistant projection: all directions up to ``max_angle`` from ``centre``, as a disc.

    The distance from the middle of the picture is proportional to the angle from ``centre``, as
    in an ideal fisheye lens, so that it shows what lies beyond 90 degrees.

    Args:
        values: RGB of every grid pixel, uint8 (pixels, 3).
        grid: The grid.
        max_angle: Angle at the rim of the disc in radians, at most pi. The base pixels 0..7 reach
            down to arccos(-2/3), 131.8 degrees.
        size: Side of the picture in pixels.
        centre: Direction in the middle: a vector (x, y, z), or angles (theta, phi) in radians.
        up: Vector (x, y, z) whose projection points up in the picture.
        inside: Whether the sphere is seen from inside (fisheye, sky) or from outside (globe).
        background: RGB around the disc.
        empty: RGB of the part of the disc that belongs to no base pixel of the grid.
        seams: Opacity in 0..1 of lines between base pixels, which an equiangular grid has not.
        supersample: The picture is drawn so many times larger and averaged down.

    Raises:
        ValueError: If the values do not belong to the grid, the size is not positive, ``up`` is
            parallel to ``centre``, max_angle is not in (0, pi], or seams are asked of an
            equiangular grid.
    """
    index = disc_index(grid, size * supersample, centre, up, inside, max_angle)
    return _draw(values, grid, index, background, empty, 0.0, seams, supersample)


def mollweide(
    values: np.ndarray,
    grid: SphereGrid,
    size: int = 400,
    centre: ArrayLike = (1.0, 0.0, 0.0),
    up: ArrayLike = (0.0, 0.0, 1.0),
    inside: bool = False,
    background: ArrayLike = PAPER,
    empty: ArrayLike = EMPTY,
    seams: float | int = 0.0,
    supersample: int = 1,
) -> UInt8[np.ndarray, "size width 3"]:
    """Equal-area picture of the whole sphere, twice as wide as high.

    By default the north pole is at the top and longitude 0 in the middle; longitude grows to the
    right, as on maps of the earth, or to the left when the sphere is seen from inside, as on maps
    of the sky. Formulas: Snyder 1987, Map Projections, USGS Professional Paper 1395, chapter 31.

    Args:
        values: RGB of every grid pixel, uint8 (pixels, 3).
        grid: The grid.
        size: Height of the picture in pixels.
        centre: Direction in the middle: a vector (x, y, z), or angles (theta, phi) in radians.
        up: Vector (x, y, z) whose projection perpendicular to ``centre`` is at the top.
        inside: Whether the sphere is seen from inside.
        background: RGB around the map.
        empty: RGB of directions that belong to no base pixel of the grid.
        seams: Opacity in 0..1 of lines between base pixels, which an equiangular grid has not.
        supersample: The picture is drawn so many times larger and averaged down.

    Raises:
        ValueError: If the values do not belong to the grid, the size is not positive, ``up`` is
            parallel to ``centre``, or seams are asked of an equiangular grid.
    """
    index = _mollweide_index(grid, size * supersample, _unit(centre), _triple(up), inside)
    return _draw(values, grid, index, background, empty, 0.0, seams, supersample)


def unrolled(
    values: np.ndarray, grid: EquiangularGrid, size: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The points of an equiangular grid as they are stored, each a square: rings from north down.

    Longitude 0 is at the left and longitude grows to the right.

    Args:
        values: RGB of every point, uint8 (pixels, 3).
        grid: The grid.
        size: At least so many pixels are the sides of the picture: the next multiple of 2b.

    Raises:
        ValueError: If the values do not belong to the grid or the size is not positive.
    """
    _check_size(size)
    _check_values(values, grid)
    side = -(-size // grid.shape[0])
    return values.reshape(*grid.shape, 3).repeat(side, axis=0).repeat(side, axis=1)


def disc_index(
    grid: SphereGrid,
    size: int,
    centre: ArrayLike = NORTH,
    up: ArrayLike = CAMERA_UP,
    inside: bool = True,
    max_angle: float | int | None = None,
) -> Int64[np.ndarray, "size size"]:
    """The grid pixel that each pixel of a round picture shows.

    Args:
        grid: The grid.
        size: Side of the picture in pixels.
        centre: Direction in the middle: a vector (x, y, z), or angles (theta, phi) in radians.
        up: Vector (x, y, z) whose projection points up in the picture.
        inside: Whether the sphere is seen from inside or from outside.
        max_angle: Angle at the rim in radians of the equidistant projection; None: orthographic.

    Returns:
        Indices into the grid, read-only; -1 for directions outside the grid, `OUTSIDE`
        around the disc.

    Raises:
        ValueError: If the size is not positive, ``up`` is parallel to ``centre``, or max_angle is
            not in (0, pi].
    """
    if max_angle is not None and not 0 < max_angle <= math.pi:
        raise ValueError(f"max_angle={max_angle} must be in (0, pi] radians")
    return _disc(grid, size, _unit(centre), _triple(up), inside, max_angle)


# A report draws many samples in the same view: the directions are looked up once.
@lru_cache(maxsize=8)
def _disc(
    grid: SphereGrid,
    size: int,
    centre: Vector,
    up: Vector,
    inside: bool,
    max_angle: float | int | None,
) -> Int64[np.ndarray, "size size"]:
    """Grid index of every pixel of an orthographic (max_angle None) or equidistant disc."""
    right, down = _axes(centre, up, inside)
    across = _pixel_positions(size)
    x, y = np.meshgrid(across, across)
    rho = np.hypot(x, y)
    if max_angle is None:
        sine, cosine = rho, np.sqrt(np.clip(1 - rho**2, 0, None))
    else:
        sine, cosine = np.sin(rho * max_angle), np.cos(rho * max_angle)
    # On the axis itself the direction in the picture does not matter: its sine is 0.
    ratio = sine / np.where(rho > 0, rho, 1)
    vectors = (
        (x * ratio)[..., None] * right
        + (y * ratio)[..., None] * down
        + cosine[..., None] * np.array(centre)
    )
    return _look_up(grid, vectors, rho <= 1)


@lru_cache(maxsize=4)
def _mollweide_index(
    grid: SphereGrid, size: int, centre: Vector, up: Vector, inside: bool
) -> Int64[np.ndarray, "size width"]:
    right, down = _axes(centre, up, inside)
    x, y = np.meshgrid(2 * _pixel_positions(2 * size), -_pixel_positions(size))
    angle = np.arcsin(y)
    latitude = np.arcsin((2 * angle + np.sin(2 * angle)) / np.pi)
    longitude = np.pi * x / (2 * np.cos(angle))
    seen = np.abs(longitude) <= np.pi
    vectors = (
        (np.cos(latitude) * np.cos(longitude))[..., None] * np.array(centre)
        + (np.cos(latitude) * np.sin(longitude))[..., None] * right
        - np.sin(latitude)[..., None] * down
    )
    return _look_up(grid, vectors, seen)


def _look_up(grid: SphereGrid, vectors: np.ndarray, seen: np.ndarray) -> np.ndarray:
    if not isinstance(grid, SphereGrid):
        raise ValueError(f"grid={grid} has no directions: only grids of the sphere can be drawn")
    index = np.full(seen.shape, OUTSIDE, dtype=np.int64)
    index[seen] = grid.lookup(vectors[seen])
    index.flags.writeable = False  # it is shared through the cache
    return index


def _draw(
    values: np.ndarray,
    grid: SphereGrid,
    index: np.ndarray,
    background: ArrayLike,
    empty: ArrayLike,
    shade: float,
    seams: float,
    supersample: int,
) -> np.ndarray:
    """Colours of the indexed pixels, with what lies around them."""
    _check_values(values, grid)
    for name, value in (("shade", shade), ("seams", seams)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value} must be in 0..1")
    if seams and not isinstance(grid, HealpixGrid):
        raise ValueError(f"seams={seams} must be 0: an equiangular grid has no base pixels")
    picture = values[np.maximum(index, 0)]
    picture[index == -1] = empty
    if shade:
        across = _pixel_positions(len(index))
        height = np.sqrt(np.clip(1 - across[:, None] ** 2 - across**2, 0, None))
        light = 1 - shade * (1 - height) ** 2
        picture = np.rint(picture * light[..., None]).astype(np.uint8)
    if seams:
        draw_lines(picture, index, index // grid.nside**2, supersample, INK, seams)
    picture[index == OUTSIDE] = background
    return shrink(picture, supersample)


def shrink(
    picture: UInt8[np.ndarray, "height width 3"], factor: int
) -> UInt8[np.ndarray, "lower narrower 3"]:
    """The mean over squares of ``factor`` x ``factor`` pixels, rounded."""
    if factor == 1:
        return picture
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    squares = picture.reshape(height, factor, width, factor, 3)
    return np.rint(squares.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


def draw_lines(
    picture: UInt8[np.ndarray, "height width 3"],
    index: Int64[np.ndarray, "height width"],
    regions: Int64[np.ndarray, "height width"],
    width: int,
    colour: ArrayLike,
    opacity: float | int,
) -> None:
    """Draw lines where two regions meet inside the disc, in place.

    Args:
        picture: RGB.
        index: As `disc_index` returns it.
        regions: Region of every pixel of the picture; around the disc it does not matter.
        width: Width of the lines in pixels.
        colour: RGB.
        opacity: In 0..1.
    """
    around = index == OUTSIDE
    line = boundaries(regions) & ~boundaries(around) & ~around
    wide = line.copy()
    for step in range(1, width):
        wide[:-step] |= line[step:]
        wide[:, :-step] |= line[:, step:]
    picture[wide] = blend(picture[wide], np.array(colour, dtype=np.uint8), opacity)


def _pixel_positions(size: int) -> Float[np.ndarray, " size"]:
    """Centres of the pixels on a scale from -1 to 1."""
    _check_size(size)
    return (2 * np.arange(size) + 1) / size - 1


def _check_values(values: np.ndarray, grid: SphereGrid) -> None:
    if values.dtype != np.uint8 or values.shape != (grid.num_pixels, 3):
        raise ValueError(
            f"values is {values.dtype} {values.shape}; expected uint8 RGB of every grid pixel, "
            f"({grid.num_pixels}, 3)"
        )


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"size and supersample must be positive, got {size} pixels in all")


def _axes(centre: Vector, up: Vector, inside: bool) -> tuple[np.ndarray, np.ndarray]:
    """Right and down in the picture, as unit vectors."""
    middle = np.array(centre)
    down = -np.array(up) + np.dot(up, middle) * middle
    length = np.linalg.norm(down)
    if length < 1e-6 * np.linalg.norm(up) or length == 0:
        raise ValueError(f"up={up} is parallel to centre={centre}: choose another up")
    down /= length
    right = np.cross(down, middle)
    return (right if inside else -right), down


def _triple(vector: ArrayLike) -> Vector:
    values = tuple(float(v) for v in vector)
    if len(values) != 3:
        raise ValueError(f"up={values} must be a vector (x, y, z)")
    return values


def _unit(centre: ArrayLike) -> Vector:
    """A unit vector from a vector (x, y, z) or from angles (theta, phi)."""
    values = np.array([float(v) for v in centre])
    if values.shape == (2,):
        theta, phi = values
        values = np.array(
            [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
        )
    length = np.linalg.norm(values)
    if values.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"centre={tuple(centre)} must be a vector (x, y, z) or (theta, phi)")
    x, y, z = (values / length).tolist()
    return x, y, z
