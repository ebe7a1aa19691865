"""Houses: a box with a painted facade, a roof, and what sticks out of it.

The frame of a building has x along its street front, y from the street inwards (the front is at
y = -half depth), and its origin on the ground below its middle.
"""

from __future__ import annotations

import numpy as np

from data_prep.street.primitives import Box, extrude
from data_prep.street.things import (
    Colour,
    Label,
    Look,
    Part,
    Surface,
    Thing,
    choose,
    plain,
    vary,
)

# Plaster colours; the pale blues and greys are those of a sky, on purpose.
_PLASTER: list[Colour] = [
    (0.62, 0.58, 0.50),
    (0.52, 0.42, 0.28),
    (0.58, 0.60, 0.62),
    (0.42, 0.50, 0.58),
    (0.48, 0.28, 0.19),
    (0.55, 0.47, 0.33),
    (0.30, 0.31, 0.32),
    (0.38, 0.42, 0.34),
    (0.70, 0.69, 0.66),
    (0.50, 0.34, 0.30),
]
_BRICKS: list[Colour] = [
    (0.24, 0.085, 0.05),
    (0.30, 0.14, 0.08),
    (0.34, 0.22, 0.13),
    (0.16, 0.07, 0.05),
    (0.40, 0.33, 0.25),
]
_ROOFS: list[Colour] = [
    (0.20, 0.06, 0.035),
    (0.07, 0.07, 0.075),
    (0.12, 0.085, 0.065),
    (0.14, 0.15, 0.15),
]
_SHOPS: list[Colour] = [
    (0.40, 0.03, 0.03),
    (0.03, 0.10, 0.33),
    (0.02, 0.02, 0.02),
    (0.05, 0.22, 0.10),
    (0.60, 0.40, 0.04),
    (0.65, 0.64, 0.60),
    (0.25, 0.04, 0.18),
    (0.03, 0.25, 0.28),
]
_BUILDING = Label.BUILDING

PLASTER, BRICKWORK, PANELS, CURTAIN = 0.0, 1.0, 2.0, 3.0
PLAIN_GROUND, SHOP_GROUND, DOOR_GROUND = 0.0, 1.0, 2.0


def _facade(
    rng: np.random.Generator, half: tuple[float, float], height: float, urban: bool, lit: float
) -> Surface:
    """The painted walls of a box of half extents `half`; see `surfaces.facade` for the values."""
    style = choose(
        rng, [PLASTER, BRICKWORK, PANELS, CURTAIN], [4, 3.5, 1.2, 1.0] if urban else [5, 4, 0.3, 0]
    )
    if style == CURTAIN:
        wall: Colour = choose(rng, [(0.10, 0.12, 0.14), (0.25, 0.27, 0.28), (0.05, 0.09, 0.10)])
        bay, win_w, win_h = float(rng.uniform(1.2, 2.0)), 0.92, 0.86
    elif style == BRICKWORK:
        wall = vary(rng, choose(rng, _BRICKS), 0.15)
        bay, win_w, win_h = float(rng.uniform(2.2, 3.6)), float(rng.uniform(0.35, 0.5)), 0.52
    else:
        wall = vary(rng, choose(rng, _PLASTER), 0.12)
        bay, win_w, win_h = (
            float(rng.uniform(2.0, 3.6)),
            float(rng.uniform(0.36, 0.62)),
            float(rng.uniform(0.45, 0.6)),
        )
    if urban:
        ground = choose(rng, [PLAIN_GROUND, SHOP_GROUND, DOOR_GROUND], [1, 4, 2])
    else:
        ground = choose(rng, [PLAIN_GROUND, DOOR_GROUND], [1, 4])
    storey = float(rng.uniform(2.7, 3.3))
    return Surface(
        Look.FACADE,
        wall,
        choose(rng, _SHOPS),
        0.02,
        (*half, height, storey, bay, win_w, win_h, style, ground, lit),
    )


def building(
    rng: np.random.Generator,
    x: float,
    y: float,
    z: float,
    yaw: float,
    width: float,
    depth: float,
    urban: bool,
    dusk: bool,
) -> Thing:
    """A building.

    Args:
        rng: Source of height, style and colours.
        x: Middle of the ground plan in vehicle axes, metres.
        y: The same.
        z: Height of the ground.
        yaw: Heading of the frame's x axis; the street front looks towards -y of the frame.
        width: Length of the street front, metres.
        depth: Metres.
        urban: Several storeys with shops, or a house of one to three storeys.
        dusk: Windows are lit.
    """
    a, b = width / 2, depth / 2
    if urban:
        height = float(
            choose(rng, [rng.uniform(7, 12), rng.uniform(11, 18), rng.uniform(18, 32)], [4, 4, 1])
        )
    else:
        height = float(choose(rng, [rng.uniform(3.2, 4.2), rng.uniform(5.3, 6.6)], [1, 2.5]))
    lit = 0.35 if dusk else 0.03
    look = _facade(rng, (a, b), height, urban, lit)
    parts = [Part(Box((-a, -b, -0.3), (a, b, height)), look, _BUILDING)]
    pitched = rng.random() < (0.3 if urban and height < 15 else 0.0 if urban else 0.9)
    if pitched:
        rise = min(b * float(rng.uniform(0.45, 0.85)), 5.5)
        over = 0.35
        edge = height - over * rise / b
        roof = extrude(
            [
                (-b - over, edge),
                (-b - over, edge + 0.15),
                (0.0, height + rise + 0.15),
                (b + over, edge + 0.15),
                (b + over, edge),
            ],
            a + 0.15,
            axis="x",
        )
        tiles = Surface(Look.TILES, vary(rng, choose(rng, _ROOFS), 0.2), look.colour, 0.02)
        parts.append(Part(roof, tiles, _BUILDING))
        if rng.random() < 0.6:
            cx = float(rng.uniform(-0.7, 0.7)) * a
            parts.append(
                Part(
                    Box((cx - 0.4, 0.5, height), (cx + 0.4, 1.2, height + rise + 0.8)),
                    Surface(Look.BRICK, (0.22, 0.09, 0.06), (0.35, 0.32, 0.3)),
                    _BUILDING,
                )
            )
    else:
        trim = plain(vary(rng, (0.42, 0.41, 0.39), 0.3))
        parts.append(
            Part(
                Box((-a - 0.18, -b - 0.18, height), (a + 0.18, b + 0.18, height + 0.35)),
                trim,
                _BUILDING,
            )
        )
        if rng.random() < 0.5:
            cx, w = float(rng.uniform(-0.5, 0.5)) * a, float(rng.uniform(1.0, 2.5))
            parts.append(
                Part(Box((cx - w, -1.0, height), (cx + w, 2.0, height + 2.6)), trim, _BUILDING)
            )
    ground, storey = look.values[8], look.values[3]
    if ground == SHOP_GROUND and rng.random() < 0.55:
        start = float(rng.uniform(-0.9, 0.0)) * a
        end = start + float(rng.uniform(0.5, 0.9)) * a
        awning = extrude(
            [
                (-b, storey - 0.25),
                (-b, storey - 0.15),
                (-b - 1.1, storey - 0.72),
                (-b - 1.1, storey - 0.82),
            ],
            (end - start) / 2,
            axis="x",
        )
        parts.append(
            Part(
                awning.moved(((start + end) / 2, 0.0, 0.0)),
                Surface(Look.PLANKS, choose(rng, _SHOPS), (0.7, 0.7, 0.66)),
                _BUILDING,
            )
        )
    if urban and rng.random() < 0.4 and height > 8:
        rows = int(height / storey)
        place = float(rng.uniform(-0.6, 0.2)) * a
        rail = plain((0.10, 0.10, 0.11))
        for row in range(1, min(rows, 5)):
            low_z = row * storey
            parts.append(
                Part(
                    Box((place, -b - 0.95, low_z - 0.12), (place + 2.6, -b, low_z)),
                    plain((0.4, 0.4, 0.4)),
                    _BUILDING,
                )
            )
            parts.append(
                Part(
                    Box((place, -b - 0.95, low_z), (place + 2.6, -b - 0.92, low_z + 0.95)),
                    rail,
                    _BUILDING,
                )
            )
    elif not urban and rng.random() < 0.5:
        px = float(rng.uniform(-0.4, 0.4)) * a
        parts.append(
            Part(
                Box((px - 1.1, -b - 1.3, 2.45), (px + 1.1, -b, 2.62)),
                plain((0.5, 0.49, 0.47)),
                _BUILDING,
            )
        )
        for side in (-1.0, 1.0):
            parts.append(
                Part(
                    Box(
                        (px + side * 1.0 - 0.07, -b - 1.25, -0.2),
                        (px + side * 1.0 + 0.07, -b - 1.1, 2.45),
                    ),
                    plain((0.6, 0.59, 0.57)),
                    _BUILDING,
                )
            )
    return Thing(tuple(parts), (x, y, z), yaw, None)
