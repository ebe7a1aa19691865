"""Where rays meet the solids that everything in a scene is built from.

All solids are convex and live in the frame of their object. Arrays are component-first, (3, M),
because numpy reduces a short leading axis much faster than a short trailing one. A ray is
origin + t * direction; directions need not have unit length. `hit` answers the entry into the
solid with t > start, inf where there is none; a ray that starts inside a solid does not see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Vector = tuple[float, float, float]

_TINY = np.float32(1e-12)


class Solid(Protocol):
    """A convex solid in the frame of its object."""

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Ray parameter t (M,) of the entry, inf where the ray misses.

        Args:
            origin: (3, M) or (3, 1) metres.
            direction: (3, M) or (3, 1).
            start: Smallest t that counts, (M,) or a scalar.
        """
        ...

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals (3, M) at points (3, M) of the surface."""
        ...

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner (3,) of the axis-aligned bounding box."""
        ...


def _column(vector: Vector | np.ndarray) -> np.ndarray:
    return np.asarray(vector, dtype=np.float32).reshape(3, 1)


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, _TINY, values)


def _entry(enter: np.ndarray, leave: np.ndarray, start: np.ndarray) -> np.ndarray:
    return np.where((enter <= leave) & (enter > start), enter, np.float32(np.inf))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.maximum((vectors * vectors).sum(axis=0), _TINY))


@dataclass(frozen=True)
class Box:
    """An axis-aligned box from `low` to `high`."""

    low: Vector
    high: Vector

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """See `Solid.hit`; the slab method."""
        inverse = 1 / _nonzero(direction)
        first = (_column(self.low) - origin) * inverse
        second = (_column(self.high) - origin) * inverse
        enter = np.minimum(first, second).max(axis=0)
        leave = np.maximum(first, second).min(axis=0)
        return _entry(enter, leave, start)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid.normals`."""
        low, high = _column(self.low), _column(self.high)
        offset = (points - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
        axis = np.abs(offset).argmax(axis=0)
        normals = np.zeros_like(points)
        index = np.arange(points.shape[1])
        normals[axis, index] = np.sign(offset[axis, index])
        return normals

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Solid.bounds`."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)


@dataclass(frozen=True)
class Polyhedron:
    """The convex solid normal . p <= offset of all `planes`.

    Args:
        planes: Rows (nx, ny, nz, offset) with unit outward normals.
        low: Lower corner of a box that holds the solid.
        high: Upper corner of it.
    """

    planes: tuple[tuple[float, float, float, float], ...]
    low: Vector
    high: Vector

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """See `Solid.hit`; the last entry into a half-space against the first exit."""
        table = np.asarray(self.planes, dtype=np.float32)
        slope = _nonzero(table[:, :3] @ direction)
        crossing = (table[:, 3:] - table[:, :3] @ origin) / slope
        enter = np.where(slope < 0, crossing, np.float32(-np.inf)).max(axis=0)
        leave = np.where(slope > 0, crossing, np.float32(np.inf)).min(axis=0)
        return _entry(enter, leave, start)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid.normals`."""
        table = np.asarray(self.planes, dtype=np.float32)
        nearest = (table[:, :3] @ points - table[:, 3:]).argmax(axis=0)
        return table[nearest, :3].T

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Solid.bounds`."""
        return np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)

    def moved(self, by: Vector) -> Polyhedron:
        """The same solid moved by a vector, metres."""
        x, y, z = by
        return Polyhedron(
            tuple((a, b, c, d + a * x + b * y + c * z) for a, b, c, d in self.planes),
            (self.low[0] + x, self.low[1] + y, self.low[2] + z),
            (self.high[0] + x, self.high[1] + y, self.high[2] + z),
        )


@dataclass(frozen=True)
class Ellipsoid:
    """An axis-aligned ellipsoid."""

    centre: Vector
    radii: Vector

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """See `Solid.hit`."""
        scale = 1 / _column(self.radii)
        to = (origin - _column(self.centre)) * scale
        along = direction * scale
        a = (along * along).sum(axis=0)
        b = (along * to).sum(axis=0)
        c = (to * to).sum(axis=0) - 1
        square = b * b - a * c
        t = (-b - np.sqrt(np.maximum(square, 0))) / a
        return np.where((square > 0) & (t > start), t, np.float32(np.inf))

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid.normals`."""
        return _unit((points - _column(self.centre)) / _column(self.radii) ** 2)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Solid.bounds`."""
        centre, radii = np.asarray(self.centre), np.asarray(self.radii)
        return centre - radii, centre + radii


@dataclass(frozen=True)
class Capsule:
    """All points within `radius` of the segment from `first` to `second`."""

    first: Vector
    second: Vector
    radius: float

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """See `Solid.hit`; the side of the cylinder, else the ball at the nearer end."""
        first, axis = _column(self.first), _column(self.second) - _column(self.first)
        to = origin - first
        length = (axis * axis).sum()
        dd = (direction * direction).sum(axis=0)
        ad = (axis * direction).sum(axis=0)
        at = (axis * to).sum(axis=0)
        dt = (direction * to).sum(axis=0)
        tt = (to * to).sum(axis=0) - np.float32(self.radius**2)
        a = _nonzero(length * dd - ad * ad)
        b = length * dt - at * ad
        c = length * tt - at * at
        square = b * b - a * c
        t = (-b - np.sqrt(np.maximum(square, 0))) / a
        place = at + t * ad
        side = (square > 0) & (place >= 0) & (place <= length)
        # The ball at the end that the ray passes on the far side of the segment.
        beyond = place > length
        b_ball = np.where(beyond, dt - ad, dt)
        c_ball = np.where(beyond, tt - 2 * at + length, tt)
        square_ball = b_ball * b_ball - dd * c_ball
        t_ball = (-b_ball - np.sqrt(np.maximum(square_ball, 0))) / dd
        t = np.where(side, t, t_ball)
        return np.where(
            (side | ((square > 0) & (square_ball > 0))) & (t > start), t, np.float32(np.inf)
        )

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid.normals`."""
        first, axis = _column(self.first), _column(self.second) - _column(self.first)
        to = points - first
        place = np.clip((axis * to).sum(axis=0) / (axis * axis).sum(), 0, 1)
        return _unit(to - axis * place)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Solid.bounds`."""
        ends = np.array([self.first, self.second], dtype=np.float64)
        return ends.min(axis=0) - self.radius, ends.max(axis=0) + self.radius


@dataclass(frozen=True)
class Drum:
    """A cylinder with flat ends along coordinate axis `axis` (0, 1 or 2): wheels, discs, masts."""

    centre: Vector
    axis: int
    radius: float
    half_length: float

    def hit(self, origin: np.ndarray, direction: np.ndarray, start: np.ndarray) -> np.ndarray:
        """See `Solid.hit`; slab against infinite cylinder."""
        to = origin - _column(self.centre)
        i, j, k = (self.axis + 1) % 3, (self.axis + 2) % 3, self.axis
        a = _nonzero(direction[i] ** 2 + direction[j] ** 2)
        b = direction[i] * to[i] + direction[j] * to[j]
        c = to[i] ** 2 + to[j] ** 2 - np.float32(self.radius**2)
        square = b * b - a * c
        root = np.sqrt(np.maximum(square, 0))
        inverse = 1 / _nonzero(direction[k])
        half = np.float32(self.half_length)
        one, two = (-half - to[k]) * inverse, (half - to[k]) * inverse
        enter = np.maximum((-b - root) / a, np.minimum(one, two))
        leave = np.minimum((-b + root) / a, np.maximum(one, two))
        t = _entry(enter, leave, start)
        return np.where(square > 0, t, np.float32(np.inf))

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid.normals`."""
        to = points - _column(self.centre)
        i, j, k = (self.axis + 1) % 3, (self.axis + 2) % 3, self.axis
        radial = np.sqrt(to[i] ** 2 + to[j] ** 2)
        cap = np.abs(to[k]) - self.half_length > radial - self.radius
        normals = np.zeros_like(points)
        normals[i] = np.where(cap, 0, to[i] / np.maximum(radial, 1e-9))
        normals[j] = np.where(cap, 0, to[j] / np.maximum(radial, 1e-9))
        normals[k] = np.where(cap, np.sign(to[k]), 0)
        return normals

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Solid.bounds`."""
        reach = np.full(3, self.radius)
        reach[self.axis] = self.half_length
        centre = np.asarray(self.centre, dtype=np.float64)
        return centre - reach, centre + reach


def extrude(
    profile: list[tuple[float, float]],
    half_width: float,
    axis: str = "y",
    lean: float = 0.0,
    lean_from: float = 0.0,
    corner: float = 0.0,
) -> Polyhedron:
    """The solid over a convex profile.

    Args:
        profile: Corners of a convex polygon; (x, z) for axis "y", (y, z) for axis "x", (x, y)
            for axis "z"; in either order of turning.
        half_width: Half the extent along `axis`.
        axis: The axis along which the profile is drawn out.
        lean: How many metres the two sides lean inwards per metre of height (axis "y" only).
        lean_from: Height z at which the sides are `half_width` apart from the middle.
        corner: Size of the four upright corners that are cut off (axis "y" only).

    Raises:
        ValueError: If the profile is not convex or the axis is unknown.
    """
    if axis not in ("x", "y", "z"):
        raise ValueError(f"axis={axis!r} must be 'x', 'y' or 'z'")
    along = "xyz".index(axis)
    plane = [i for i in range(3) if i != along]
    corners = np.asarray(profile, dtype=np.float64)
    middle = corners.mean(axis=0)
    rows = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        normal = np.array([end[1] - start[1], start[0] - end[0]])
        normal /= np.linalg.norm(normal)
        if normal @ (start - middle) < 0:
            normal = -normal
        if (corners @ normal).max() > normal @ start + 1e-6:
            raise ValueError(f"profile={profile} must be convex")
        row = np.zeros(4)
        row[plane] = normal
        row[3] = normal @ start
        rows.append(row)
    length = np.hypot(1.0, lean)
    for sign in (-1.0, 1.0):
        row = np.zeros(4)
        row[along] = sign / length
        row[2] += lean / length
        row[3] = (half_width + lean * lean_from) / length
        rows.append(row)
    low, high = np.zeros(3), np.zeros(3)
    low[plane], high[plane] = corners.min(axis=0), corners.max(axis=0)
    widest = half_width + max(0.0, lean * (lean_from - low[2]), lean * (lean_from - high[2]))
    low[along], high[along] = -widest, widest
    if corner > 0:
        for sx in (-1.0, 1.0):
            for sy in (-1.0, 1.0):
                x = (high[0] if sx > 0 else low[0]) * sx
                rows.append(
                    np.array([sx, sy, 0.0, x + half_width - corner]) / np.sqrt([2, 2, 1, 2])
                )
    planes = tuple(tuple(float(v) for v in row) for row in rows)
    return Polyhedron(planes, tuple(low.tolist()), tuple(high.tolist()))
