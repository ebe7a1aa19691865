"""The symmetries of the sphere that map HEALPix pixels onto pixels.

Sixteen rotations and reflections permute the pixels at every nside: quarter turns about the z axis,
half turns about four horizontal axes, and each of these eight followed by z -> -z (the point group
D4h). They turn a map without interpolation, so that equivariance can be tested to rounding. Any
other rotation needs interpolation: `healswin.equivariance.Rotation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from healswin.grid.healpix import HealpixGrid


@dataclass(frozen=True)
class PixelSymmetry:
    """One of the 16: up to two mirrors, then quarter turns about the z axis.

    The matrix is R = Rz(90 degrees * quarter_turns) My Mz, where My changes the sign of y and Mz
    that of z, each if its mirror is set. A map f becomes (T f)(p) = f(R^-1 p). ``a @ b`` is the
    symmetry that applies b first, then a; its matrix is ``a.matrix @ b.matrix``.

    Args:
        quarter_turns: Turns by 90 degrees about the z axis, 0..3, anticlockwise from above.
        mirrors_longitude: Whether longitude phi becomes -phi, before the turns.
        mirrors_equator: Whether z becomes -z.

    Raises:
        ValueError: If quarter_turns is not 0, 1, 2 or 3.
    """

    quarter_turns: int = 0
    mirrors_longitude: bool = False
    mirrors_equator: bool = False

    def __post_init__(self) -> None:
        if self.quarter_turns not in (0, 1, 2, 3):
            raise ValueError(f"quarter_turns={self.quarter_turns} must be 0, 1, 2 or 3")

    @property
    def is_rotation(self) -> bool:
        """Whether it keeps left and right: the determinant of the matrix is 1, not -1."""
        return self.mirrors_longitude == self.mirrors_equator

    @property
    def name(self) -> str:
        """What it does, with angles in degrees; different for each of the 16."""
        turn, axis = 90 * self.quarter_turns, 45 * self.quarter_turns
        if self.mirrors_longitude:
            kind = "half turn about" if self.is_rotation else "mirror at"
            return f"{kind} longitude {axis}"
        if self.is_rotation:
            return f"turn {turn}" if turn else "identity"
        if turn == 180:
            return "inversion"
        return f"turn {turn} and mirror at equator" if turn else "mirror at equator"

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """R as float64, a signed permutation: every entry is 0, 1 or -1."""
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[self.quarter_turns]
        y, z = 1 - 2 * self.mirrors_longitude, 1 - 2 * self.mirrors_equator
        return np.array([[cos, -sin * y, 0], [sin, cos * y, 0], [0, 0, z]], dtype=np.float64)

    @property
    def inverse(self) -> PixelSymmetry:
        """The symmetry that undoes it."""
        # Mirrored turns are their own inverse: a mirror reverses the turn that follows it.
        turns = self.quarter_turns if self.mirrors_longitude else -self.quarter_turns % 4
        return PixelSymmetry(turns, self.mirrors_longitude, self.mirrors_equator)

    def __matmul__(self, first: PixelSymmetry) -> PixelSymmetry:
        turns = -first.quarter_turns if self.mirrors_longitude else first.quarter_turns
        return PixelSymmetry(
            (self.quarter_turns + turns) % 4,
            self.mirrors_longitude != first.mirrors_longitude,
            self.mirrors_equator != first.mirrors_equator,
        )

    def keeps(self, vector: tuple[float, float, float] | Float[np.ndarray, " 3"]) -> bool:
        """Whether R v = v, up to rounding.

        It selects the symmetries of a model that knows one direction, such as the up of a camera.

        Args:
            vector: A direction of any length above zero.

        Raises:
            ValueError: If the vector is not three finite numbers, or zero.
        """
        vector = np.asarray(vector, dtype=np.float64)
        if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
            raise ValueError(f"vector={vector.tolist()} must be three finite numbers, not all 0")
        return bool(np.abs(self.matrix @ vector - vector).max() <= 1e-9 * np.abs(vector).max())

    def permutes(self, grid: HealpixGrid) -> bool:
        """Whether it maps the base pixels of the grid onto themselves."""
        return self._images_of(grid.base_pixels) == set(grid.base_pixels)

    def gather(self, grid: HealpixGrid) -> Int64[np.ndarray, " pixels"]:
        """Where each pixel of the turned map comes from: ``turned = f[..., gather]``.

        Pixel i of the turned map is pixel ``gather[i]`` of f, the one that contains R^-1 p_i, and
        ``grid.vectors()[gather]`` is ``grid.vectors() @ R``. Exact: R only swaps coordinates and
        signs, and centres go to centres.

        Returns:
            (pixels,) int64, a permutation.

        Raises:
            ValueError: If the base pixels of the grid are not mapped onto themselves.
        """
        if not self.permutes(grid):
            closed = set(grid.base_pixels)
            while not (images := self._images_of(closed)) <= closed:
                closed |= images
            raise ValueError(
                f"base_pixels={grid.base_pixels} are not mapped onto themselves by "
                f"{self.name!r}: take a grid with {tuple(sorted(closed))}"
            )
        return grid.lookup(grid.vectors() @ self.matrix)

    def gather_factors(
        self, grid: HealpixGrid
    ) -> tuple[Int64[np.ndarray, " faces"], Int64[np.ndarray, " face_pixels"]]:
        """`gather` in two factors, which take a twelfth of its memory.

        A symmetry of the pixels moves the inside of all faces alike: pixel k of face f of the
        turned map is pixel ``inside[k]`` of face ``face[f]``, faces counted as in the grid.

        Returns:
            ``face`` (faces,) and ``inside`` (nside^2,), int64, both permutations.

        Raises:
            ValueError: As for `gather`.
        """
        gather = self.gather(grid).reshape(len(grid.base_pixels), grid.nside**2)
        face, inside = np.divmod(gather, grid.nside**2)
        return face[:, 0].copy(), inside[0].copy()

    def _images_of(self, faces: tuple[int, ...] | set[int]) -> set[int]:
        sphere = HealpixGrid(1)
        return set(sphere.lookup(sphere.vectors()[sorted(faces)] @ self.matrix.T).tolist())


def pixel_symmetries(grid: HealpixGrid | None = None) -> tuple[PixelSymmetry, ...]:
    """All 16 symmetries, or those that map the base pixels of a grid onto themselves.

    Args:
        grid: Default: the full sphere.

    Returns:
        The identity first; rotations before reflections.
    """
    everything = [
        PixelSymmetry(turns, longitude, longitude == rotation)
        for rotation in (True, False)
        for longitude in (False, True)
        for turns in range(4)
    ]
    return tuple(s for s in everything if grid is None or s.permutes(grid))
