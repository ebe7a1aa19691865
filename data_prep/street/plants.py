"""Trees, bushes and hedges: ellipsoids and boxes with holes between the leaves."""

from __future__ import annotations

import numpy as np

from data_prep.street.primitives import Box, Capsule, Ellipsoid, Polyhedron
from data_prep.street.things import (
    Colour,
    Holes,
    Label,
    Look,
    Part,
    Surface,
    Thing,
    choose,
    plain,
    vary,
)

_GREENS: list[Colour] = [
    (0.05, 0.11, 0.025),
    (0.035, 0.08, 0.025),
    (0.09, 0.13, 0.03),
    (0.06, 0.10, 0.045),
]
_AUTUMN: list[Colour] = [(0.28, 0.13, 0.02), (0.24, 0.06, 0.02), (0.25, 0.19, 0.03)]


def _leaves(rng: np.random.Generator, autumn: bool, scale: float) -> Surface:
    colour = vary(rng, choose(rng, _AUTUMN if autumn else _GREENS), 0.2)
    light = tuple(min(0.9, 1.7 * c + 0.02) for c in colour)
    return Surface(Look.LEAVES, colour, light, 0.0, (scale,))


def tree(
    rng: np.random.Generator, x: float, y: float, z: float, height: float, autumn: bool
) -> Thing:
    """A broad-leaved tree: trunk, three boughs, a crown of several ellipsoids."""
    bark = plain(vary(rng, (0.09, 0.065, 0.045), 0.3))
    leaves = _leaves(rng, autumn, 0.5)
    fork = height * float(rng.uniform(0.30, 0.42))
    trunk = 0.035 * height * float(rng.uniform(0.6, 0.9))
    parts = [Part(Capsule((0, 0, 0), (0, 0, fork + 0.2), trunk), bark, Label.VEGETATION)]
    spread = height * float(rng.uniform(0.2, 0.32))
    for bough in range(3):
        angle = 2.1 * bough + float(rng.uniform(0, 1))
        tip = (
            float(0.6 * spread * np.cos(angle)),
            float(0.6 * spread * np.sin(angle)),
            fork + 0.28 * height,
        )
        parts.append(Part(Capsule((0, 0, fork), tip, trunk * 0.5), bark, Label.VEGETATION))
    blobs = int(rng.integers(6, 10))
    for blob in range(blobs):
        angle = 2 * np.pi * blob / blobs + float(rng.uniform(0, 1))
        away = spread * float(rng.uniform(0.35, 0.85)) if blob else 0.0
        rise = float(rng.uniform(0.55, 0.85)) * height if blob else 0.75 * height
        size = spread * float(rng.uniform(0.45, 0.75))
        tall = size * float(rng.uniform(0.75, 1.0))
        centre = (
            float(away * np.cos(angle)),
            float(away * np.sin(angle)),
            min(rise, height - tall),
        )
        parts.append(
            Part(Ellipsoid(centre, (size, size, tall)), leaves, Label.VEGETATION, Holes.LEAVES)
        )
    return Thing(tuple(parts), (x, y, z), float(rng.uniform(0, 6.28)), (0.3, 0.3))


def conifer(rng: np.random.Generator, x: float, y: float, z: float, height: float) -> Thing:
    """A conifer of three stacked ten-sided pyramids."""
    bark = plain((0.06, 0.04, 0.03))
    leaves = _leaves(rng, False, 0.4)
    parts = [Part(Capsule((0, 0, 0), (0, 0, height * 0.4), 0.018 * height), bark, Label.VEGETATION)]
    for low, high, radius in ((0.12, 0.62, 0.22), (0.36, 0.82, 0.165), (0.58, 1.0, 0.11)):
        parts.append(
            Part(
                _pyramid(low * height, high * height, radius * height),
                leaves,
                Label.VEGETATION,
                Holes.LEAVES,
            )
        )
    return Thing(tuple(parts), (x, y, z), float(rng.uniform(0, 6.28)), (0.3, 0.3))


def _pyramid(low: float, high: float, radius: float, sides: int = 10) -> Polyhedron:
    length = np.hypot(radius, high - low)
    planes = [(0.0, 0.0, -1.0, -low)]
    for angle in 2 * np.pi * np.arange(sides) / sides:
        nx = float((high - low) / length * np.cos(angle))
        ny = float((high - low) / length * np.sin(angle))
        nz = float(radius / length)
        planes.append((nx, ny, nz, nz * high))
    reach = radius / float(np.cos(np.pi / sides))
    return Polyhedron(tuple(planes), (-reach, -reach, low), (reach, reach, high))


def bush(rng: np.random.Generator, x: float, y: float, z: float) -> Thing:
    """A bush of three ellipsoids."""
    leaves = _leaves(rng, rng.random() < 0.1, 0.25)
    parts = []
    for _ in range(3):
        size = float(rng.uniform(0.35, 0.75))
        centre = (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.4, 0.4)), size * 0.7)
        parts.append(
            Part(Ellipsoid(centre, (size, size, size)), leaves, Label.VEGETATION, Holes.LEAVES)
        )
    return Thing(tuple(parts), (x, y, z), float(rng.uniform(0, 6.28)), (0.6, 0.6))


def hedge(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, length: float
) -> Thing:
    """A clipped hedge along its x axis."""
    height = float(rng.uniform(0.8, 1.7))
    box = Box((-length / 2, -0.35, 0.0), (length / 2, 0.35, height))
    part = Part(box, _leaves(rng, False, 0.22), Label.VEGETATION, Holes.LEAVES)
    return Thing((part,), (x, y, z), yaw, (length / 2, 0.35))
