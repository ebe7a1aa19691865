"""The plan of a street: where there is road, kerb, pavement and garden, and what is painted on it.

Street coordinates: u runs along the street, v to its left from the middle of the road, metres. The
street is straight, with at most one crossing at u = crossing, or an arc of a circle without one.
Everything is a function of (x, y) in vehicle axes, so that pixels can be classified exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KERB_HEIGHT = 0.12
KERB_WIDTH = 0.16
CORNER_RADIUS = 3.0


@dataclass(frozen=True)
class Street:
    """The plan.

    Args:
        heading: Direction of u in vehicle axes, radians.
        offset: v of the vehicle's origin (which has u = 0), metres.
        curvature: Of the middle line, 1/m, positive to the left; 0 if there is a crossing.
        half_width: Half the road's width, metres.
        lanes: v of the lines between lanes.
        parking: Width of the parking strips beside each kerb (right, left), 0 for none.
        pavement: Width of the pavement with its kerb, metres.
        verge: Width of the grass between kerb and slabs, 0 for none.
        crossing: u of the middle of the crossing road, None for none.
        crossing_half_width: Half its width.
        arms: Which arms of the crossing exist (right: v < 0, left: v > 0).
        zebras: u of the zebra crossings over the street.
        lawn: Whether the land beyond the pavement is grass.
    """

    heading: float
    offset: float
    curvature: float
    half_width: float
    lanes: tuple[float, ...]
    parking: tuple[float, float]
    pavement: float
    verge: float
    crossing: float | None
    crossing_half_width: float
    arms: tuple[bool, bool]
    zebras: tuple[float, ...]
    lawn: bool

    def to_street(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) of points x, y in vehicle axes."""
        c, s = np.float32(np.cos(self.heading)), np.float32(np.sin(self.heading))
        u = x * c + y * s
        v = np.float32(self.offset) - x * s + y * c
        if self.curvature == 0:
            return u, v
        k = np.float32(self.curvature)
        along, across = k * u, 1 - k * v
        return np.arctan2(along, across) / k, (1 - np.hypot(along, across)) / k

    def place(self, u: float, v: float, turn: float = 0.0) -> tuple[float, float, float]:
        """(x, y, yaw) in vehicle axes of a point of the street and a heading against u."""
        if self.curvature != 0:
            k = self.curvature
            radius, angle = 1 / k - v, k * u
            u, v = radius * np.sin(angle), 1 / k - radius * np.cos(angle)
            turn = turn + angle
        v = v - self.offset
        c, s = np.cos(self.heading), np.sin(self.heading)
        return float(u * c - v * s), float(u * s + v * c), float(turn + self.heading)

    def beyond_kerb(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Distance behind the kerb's edge, metres: negative on the road, positive behind it."""
        away = np.abs(v) - np.float32(self.half_width)
        if self.crossing is None:
            return away
        open_side = np.where(v > 0, self.arms[1], self.arms[0])
        aside = np.abs(u - np.float32(self.crossing)) - np.float32(self.crossing_half_width)
        aside = np.where(open_side, aside, np.float32(np.inf))
        radius = np.float32(CORNER_RADIUS)
        corner = (away < radius) & (aside < radius)
        rounded = radius - np.hypot(
            radius - np.minimum(away, radius), radius - np.minimum(aside, radius)
        )
        return np.where(corner, rounded, np.minimum(away, aside))

    def in_crossing(self, u: float, margin: float) -> bool:
        """Whether u lies within `margin` metres of the crossing road."""
        if self.crossing is None:
            return False
        return abs(u - self.crossing) < self.crossing_half_width + margin
