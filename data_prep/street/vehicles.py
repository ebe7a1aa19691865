"""Cars, vans, buses and lorries.

A car is a lower body and a cabin, both convex profiles drawn out sideways, on four wheels; lamps,
plates, pillars, door lines and wheel arches are painted on by `surfaces.py`. x points forward and
the origin lies on the road below the middle.
"""

from __future__ import annotations

import numpy as np

from data_prep.street.primitives import Box, Drum, extrude
from data_prep.street.things import Colour, Label, Look, Part, Surface, Thing, choose, plain

# Linear RGB of common paints; greys and black and white first, as on the road.
PAINTS: list[Colour] = [
    (0.75, 0.75, 0.74),
    (0.38, 0.39, 0.40),
    (0.16, 0.165, 0.17),
    (0.02, 0.02, 0.022),
    (0.08, 0.085, 0.09),
    (0.40, 0.02, 0.02),
    (0.03, 0.07, 0.28),
    (0.05, 0.14, 0.32),
    (0.02, 0.13, 0.07),
    (0.35, 0.29, 0.18),
    (0.62, 0.30, 0.02),
    (0.55, 0.45, 0.03),
    (0.22, 0.06, 0.03),
    (0.10, 0.32, 0.34),
]
_PAINT_WEIGHTS = [4, 4, 3, 3.5, 3, 2, 1.5, 1.5, 0.7, 1, 0.6, 0.6, 0.6, 0.6]
_RUBBER: Colour = (0.018, 0.018, 0.02)


def _wheels(half_width: float, axles: list[float], radius: float, label: Label) -> list[Part]:
    return [
        Part(
            Drum((x, side * (half_width - 0.085), radius), 1, radius, 0.115),
            Surface(Look.WHEEL, _RUBBER, (0.42, 0.42, 0.44), 0.02, (radius, x)),
            label,
        )
        for x in axles
        for side in (-1.0, 1.0)
    ]


def _car_parts(rng: np.random.Generator, kind: str, paint: Colour, lit: float) -> list[Part]:
    length, width, height, hood, deck = {
        "hatch": (3.9, 1.72, 1.48, 0.95, 0.93),
        "sedan": (4.6, 1.80, 1.44, 0.92, 1.00),
        "estate": (4.7, 1.82, 1.50, 0.95, 0.95),
        "suv": (4.55, 1.88, 1.70, 1.10, 1.08),
        "van": (5.2, 1.98, 2.25, 1.20, 1.12),
    }[kind]
    size = rng.uniform(0.95, 1.05)
    length, width = length * size, width * size
    height *= rng.uniform(0.97, 1.04)
    a, w = length / 2, width / 2
    radius = {"suv": 0.36, "van": 0.35}.get(kind, 0.315)
    front, rear = a - 0.82 * size, -a + 0.80 * size
    floor = 0.24 if kind == "suv" else 0.20
    nose = hood - 0.22
    body = extrude(
        [
            (-a + 0.04, floor + 0.1),
            (-a, 0.50),
            (-a + 0.03, deck - 0.08),
            (-a + 0.14, deck),
            (a - 1.05 * size, hood),
            (a - 0.16, nose),
            (a - 0.01, nose - 0.18),
            (a, 0.42),
            (a - 0.06, floor + 0.06),
            (a - 0.25, floor),
            (-a + 0.3, floor),
        ],
        w,
        lean=0.06,
        lean_from=0.6,
        corner=0.22,
    )
    shut = 0.88  # the cabin starts a little inside the body
    back = {"hatch": 0.18, "sedan": 0.95, "estate": 0.16, "suv": 0.16, "van": 0.05}[kind]
    slope = {"hatch": 0.42, "sedan": 0.55, "estate": 0.30, "suv": 0.30, "van": 0.06}[kind]
    screen = {"van": 0.55, "suv": 0.62}.get(kind, 0.78)
    base = a - {"van": 0.75, "suv": 1.05}.get(kind, 1.12) * size
    top_back, top_front = -a + back + slope, base - screen
    cabin = extrude(
        [
            (-a + back, shut),
            (top_back, height - 0.05),
            (top_back + 0.25, height),
            (top_front - 0.15, height),
            (top_front, height - 0.04),
            (base, shut),
        ],
        w - 0.06,
        lean=0.05 if kind == "van" else 0.26,
        lean_from=0.9,
    )
    kind_code = {"van": 1.0}.get(kind, 0.0)
    body_look = Surface(
        Look.BODYWORK, paint, (0.03, 0.03, 0.033), 0.05, (a, w, front, rear, radius, hood, lit)
    )
    cabin_look = Surface(
        Look.CABIN,
        paint,
        (0.02, 0.025, 0.03),
        0.06,
        (-a + back, top_back, top_front, base, max(hood, deck), height, kind_code),
    )
    parts = [
        Part(body, body_look, Label.VEHICLE),
        Part(cabin, cabin_look, Label.VEHICLE),
    ]
    parts += _wheels(w, [front, rear], radius, Label.VEHICLE)
    mirror = top_front + 0.55 * (base - top_front)
    for side in (-1.0, 1.0):
        y = side * (w + 0.06)
        parts.append(
            Part(
                Box((mirror - 0.06, y - 0.10, hood), (mirror + 0.08, y + 0.10, hood + 0.15)),
                plain(paint, 0.04),
                Label.VEHICLE,
            )
        )
    return parts


def _coach_parts(rng: np.random.Generator, kind: str, paint: Colour, lit: float) -> list[Part]:
    second = choose(rng, PAINTS)
    if kind == "bus":
        length, w, height, floor = rng.uniform(9.5, 12.0), 1.27, rng.uniform(2.9, 3.2), 0.30
        a = length / 2
        axles, radius = [a - 2.5, -a + 2.9], 0.48
        look = Surface(Look.COACH, paint, second, 0.05, (a, w, height, 0.0, radius, *axles, lit))
        hull = extrude(
            [
                (-a, floor),
                (-a, height - 0.15),
                (-a + 0.2, height),
                (a - 0.35, height),
                (a - 0.1, height - 0.25),
                (a, 1.1),
                (a, floor),
            ],
            w,
            corner=0.15,
        )
        parts = [Part(hull, look, Label.VEHICLE)]
    else:
        length, w, height = rng.uniform(6.2, 8.2), 1.18, rng.uniform(2.8, 3.4)
        a = length / 2
        axles, radius = [a - 1.0, -a + 1.4], 0.45
        cab_look = Surface(Look.COACH, paint, second, 0.05, (a, w, 2.5, 1.0, radius, *axles, lit))
        box_colour = choose(rng, [(0.75, 0.75, 0.73), (0.6, 0.6, 0.62), second])
        box_look = Surface(
            Look.COACH, box_colour, paint, 0.03, (a - 1.95, w, height, 2.0, radius, *axles, lit)
        )
        cab = extrude(
            [(a - 1.8, 0.5), (a - 1.8, 2.45), (a - 0.5, 2.5), (a - 0.1, 1.45), (a, 0.5)],
            w - 0.06,
            corner=0.12,
        )
        parts = [
            Part(cab, cab_look, Label.VEHICLE),
            Part(Box((-a, -w, 0.95), (a - 1.95, w, height)), box_look, Label.VEHICLE),
            Part(
                Box((-a + 0.1, -w + 0.2, 0.5), (a - 1.8, w - 0.2, 0.95)),
                plain((0.03, 0.03, 0.03)),
                Label.VEHICLE,
            ),
        ]
    return parts + _wheels(w, axles, radius, Label.VEHICLE)


def vehicle(
    rng: np.random.Generator, kind: str, x: float, y: float, yaw: float, lights: bool
) -> Thing:
    """A four-wheeled vehicle standing on the road.

    Args:
        rng: Source of size and colour.
        kind: "hatch", "sedan", "estate", "suv", "van", "bus" or "truck".
        x: Position in vehicle axes of the own car, metres.
        y: The same.
        yaw: Heading, radians.
        lights: Whether its lamps are switched on.
    """
    paint = choose(rng, PAINTS, _PAINT_WEIGHTS)
    lit = 1.0 if lights else 0.0
    if kind in ("bus", "truck"):
        parts = _coach_parts(rng, kind, paint, lit)
    else:
        parts = _car_parts(rng, kind, paint, lit)
    low, high = parts[0].solid.bounds()
    if kind == "truck":
        low = parts[1].solid.bounds()[0]
    half_length, half_width = max(high[0], -low[0]), max(high[1], -low[1])
    return Thing(tuple(parts), (x, y, 0.0), yaw, (float(half_length), float(half_width)))


def own_car(rng: np.random.Generator) -> Thing:
    """The car that carries the cameras, in vehicle axes (origin below the rear axle)."""
    paint = choose(rng, PAINTS, _PAINT_WEIGHTS)
    shell = Surface(Look.PLAIN, paint, gloss=0.05)
    dark = plain((0.025, 0.025, 0.027), 0.03)
    chrome = Surface(Look.PLAIN, (0.35, 0.35, 0.36), gloss=0.55)
    body = extrude(
        [
            (-0.80, 0.30),
            (-0.98, 0.55),
            (-0.93, 0.90),
            (2.75, 0.97),
            (3.42, 0.78),
            (3.56, 0.56),
            (3.54, 0.25),
        ],
        0.92,
        lean=0.05,
        lean_from=0.6,
        corner=0.38,
    )
    cabin = extrude(
        [(-0.78, 0.88), (-0.35, 1.45), (1.25, 1.47), (2.35, 0.9)],
        0.84,
        lean=0.26,
        lean_from=0.9,
    )
    glass = Surface(
        Look.CABIN, paint, (0.02, 0.025, 0.03), 0.06, (-0.78, -0.35, 1.25, 2.35, 0.95, 1.47, 0.0)
    )
    # Bumpers are bowed in plan, which is what keeps them at the lower edge of the picture.
    nose = extrude(
        [
            (3.2, -0.8),
            (3.2, 0.8),
            (3.52, 0.66),
            (3.69, 0.40),
            (3.74, 0.0),
            (3.69, -0.40),
            (3.52, -0.66),
        ],
        0.14,
        axis="z",
    )
    tail = extrude(
        [
            (-0.7, -0.85),
            (-0.7, 0.85),
            (-0.9, 0.7),
            (-1.0, 0.4),
            (-1.04, 0.0),
            (-1.0, -0.4),
            (-0.9, -0.7),
        ],
        0.15,
        axis="z",
    )
    ego = Label.EGO_VEHICLE
    parts = [
        Part(body, shell, ego),
        Part(cabin, glass, ego),
        Part(nose.moved((0.0, 0.0, 0.37)), shell, ego),
        Part(tail.moved((0.0, 0.0, 0.56)), shell, ego),
        Part(Box((3.52, -0.45, 0.50), (3.66, 0.45, 0.535)), chrome, ego),
        Part(Box((-0.95, -0.30, 0.30), (3.5, 0.30, 0.32)), dark, ego),
    ]
    parts += _wheels(0.92, [0.0, 2.75], 0.33, ego)
    for side in (-1.0, 1.0):
        parts.append(
            Part(
                Box((1.93, side * 0.96 - 0.08, 1.07), (2.08, side * 0.96 + 0.08, 1.22)), shell, ego
            )
        )
    return Thing(tuple(parts), (0.0, 0.0, 0.0), 0.0, None)
