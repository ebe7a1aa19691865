"""What a scene consists of: things made of parts, each a solid with a surface and a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

from data_prep.street.primitives import Solid, Vector

Colour = tuple[float, float, float]
Item = TypeVar("Item")


class Label(IntEnum):
    """The 25 class ids of SynWoodScape."""

    UNLABELED = 0
    BUILDING = 1
    FENCE = 2
    OTHER = 3
    PEDESTRIAN = 4
    POLE = 5
    ROAD_LINE = 6
    ROAD = 7
    SIDEWALK = 8
    VEGETATION = 9
    VEHICLE = 10
    WALL = 11
    TRAFFIC_SIGN = 12
    SKY = 13
    GROUND = 14
    BRIDGE = 15
    RAIL_TRACK = 16
    GUARD_RAIL = 17
    TRAFFIC_LIGHT = 18
    STATIC = 19
    DYNAMIC = 20
    WATER = 21
    TERRAIN = 22
    TWO_WHEELER = 23
    EGO_VEHICLE = 24


class Look(IntEnum):
    """How a surface is coloured; `surfaces.py` has one function for each."""

    PLAIN = 0
    LEAVES = 1
    BODYWORK = 2
    CABIN = 3
    COACH = 4
    WHEEL = 5
    FACADE = 6
    TILES = 7
    BRICK = 8
    SIGN = 9
    SIGNAL = 10
    PLANKS = 11
    POSTER = 12
    GLOW = 13


class Holes(IntEnum):
    """Which points of a solid's surface let the ray pass."""

    NONE = 0
    LEAVES = 1
    SLATS = 2
    SPOKES = 3


@dataclass(frozen=True)
class Surface:
    """A look and its numbers.

    Args:
        look: Which function colours it.
        colour: Linear RGB, 0 to 1.
        second: A second colour, meaning by look.
        gloss: Reflectance at normal incidence, 0 (matt) to 1.
        values: Up to eight numbers, meaning by look.
    """

    look: Look
    colour: Colour
    second: Colour = (0.5, 0.5, 0.5)
    gloss: float = 0.0
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Part:
    """One solid of a thing."""

    solid: Solid
    surface: Surface
    label: Label
    holes: Holes = Holes.NONE


@dataclass(frozen=True)
class Thing:
    """Parts in a common frame (x forward, y left, z up), placed in vehicle axes.

    Args:
        parts: The solids.
        position: Origin of the thing's frame in vehicle axes, metres.
        yaw: Heading of the thing's x axis, radians from x towards y.
        footprint: (half length, half width) of the contact shadow under it, metres; None: none.
    """

    parts: tuple[Part, ...]
    position: Vector
    yaw: float
    footprint: tuple[float, float] | None = None

    def rotation(self) -> np.ndarray:
        """(3, 3) matrix that turns the thing's axes into vehicle axes."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners (3,) of the box around all parts, in the thing's frame."""
        corners = [part.solid.bounds() for part in self.parts]
        return np.min([c[0] for c in corners], axis=0), np.max([c[1] for c in corners], axis=0)


def plain(colour: Colour, gloss: float = 0.0) -> Surface:
    """A surface of one colour with a little unevenness."""
    return Surface(Look.PLAIN, colour, gloss=gloss)


def vary(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """The colour with each channel and the whole scaled by a random factor of about 1."""
    factors = np.exp(amount * (rng.standard_normal(3) * 0.4 + rng.standard_normal()))
    r, g, b = np.clip(np.asarray(colour) * factors, 0.005, 0.95)
    return float(r), float(g), float(b)


def choose(
    rng: np.random.Generator, items: Sequence[Item], weights: Sequence[float] | None = None
) -> Item:
    """One of the items, by weights if given."""
    if weights is None:
        return items[int(rng.integers(len(items)))]
    share = np.cumsum(weights)
    return items[int(np.searchsorted(share, rng.random() * share[-1], side="right"))]
