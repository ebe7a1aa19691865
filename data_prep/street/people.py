"""Pedestrians, bicycles and motorcycles.

People are capsules and ellipsoids in a walking, standing or riding pose. A rider is labelled
pedestrian, what he rides two-wheeler. x points forward, the origin lies on the ground.
"""

from __future__ import annotations

import numpy as np

from data_prep.street.primitives import Box, Capsule, Drum, Ellipsoid, Vector
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

_CLOTHES: list[Colour] = [
    (0.02, 0.02, 0.025),
    (0.05, 0.05, 0.06),
    (0.04, 0.06, 0.14),
    (0.12, 0.12, 0.13),
    (0.35, 0.34, 0.32),
    (0.30, 0.03, 0.03),
    (0.05, 0.15, 0.30),
    (0.40, 0.30, 0.05),
    (0.08, 0.20, 0.08),
    (0.55, 0.54, 0.50),
    (0.28, 0.16, 0.08),
    (0.30, 0.10, 0.25),
]
_SKIN: list[Colour] = [
    (0.55, 0.33, 0.23),
    (0.42, 0.23, 0.14),
    (0.22, 0.11, 0.06),
    (0.10, 0.05, 0.03),
]
_HAIR: list[Colour] = [
    (0.01, 0.008, 0.006),
    (0.05, 0.025, 0.012),
    (0.25, 0.16, 0.07),
    (0.3, 0.3, 0.3),
]
_PERSON = Label.PEDESTRIAN
_BIKE = Label.TWO_WHEELER


def _limb(first: Vector, second: Vector, radius: float, surface: Surface) -> Part:
    return Part(Capsule(first, second, radius), surface, _PERSON)


def _head(
    x: float, z: float, size: float, skin: Surface, hair: Surface, helmet: bool
) -> list[Part]:
    cover = 0.145 if helmet else 0.122
    return [
        Part(
            Ellipsoid((x + 0.01 * size, 0, z), (0.095 * size, 0.08 * size, 0.125 * size)),
            skin,
            _PERSON,
        ),
        Part(
            Ellipsoid(
                (x - 0.025 * size, 0, z + 0.045 * size),
                (cover * 0.85 * size, cover * 0.75 * size, cover * 0.85 * size),
            ),
            hair,
            _PERSON,
        ),
    ]


def pedestrian(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, walking: bool
) -> Thing:
    """A person on foot.

    Args:
        rng: Source of build, clothes and pose.
        x: Position in vehicle axes, metres.
        y: The same.
        z: Height of the ground under the feet.
        yaw: Heading, radians.
        walking: With a stride, or standing.
    """
    s = float(rng.uniform(0.92, 1.08)) if rng.random() > 0.15 else float(rng.uniform(0.6, 0.8))
    girth = float(rng.uniform(0.9, 1.2))
    coat = plain(vary(rng, choose(rng, _CLOTHES), 0.2))
    trousers = plain(vary(rng, choose(rng, _CLOTHES), 0.2))
    skin = plain(choose(rng, _SKIN))
    hair = plain(choose(rng, _HAIR))
    shoes = plain(choose(rng, [(0.02, 0.02, 0.02), (0.5, 0.5, 0.5), (0.1, 0.05, 0.02)]))
    stride = float(rng.uniform(0.16, 0.34)) * s if walking else 0.03
    phase = 1.0 if rng.random() < 0.5 else -1.0
    hip, shoulder = 0.90 * s, 1.42 * s
    parts = []
    for side in (-1.0, 1.0):
        step = stride * side * phase
        y_leg = 0.09 * s * side
        knee = (step * 0.55 + 0.05 * s, y_leg, 0.50 * s)
        foot = (step * 1.1 - 0.02, y_leg, 0.10 * s)
        parts.append(_limb((0.0, y_leg, hip), knee, 0.085 * s * girth, trousers))
        parts.append(_limb(knee, foot, 0.065 * s, trousers))
        parts.append(
            _limb(
                (foot[0], y_leg, 0.045 * s), (foot[0] + 0.15 * s, y_leg, 0.04 * s), 0.045 * s, shoes
            )
        )
        y_arm = (0.20 * girth + 0.02) * s * side
        elbow = (-step * 0.4 - 0.03, y_arm * 1.12, 1.12 * s)
        hand = (-step * 0.9 + 0.08, y_arm * 1.1, 0.88 * s)
        parts.append(_limb((0.0, y_arm, shoulder - 0.03), elbow, 0.055 * s, coat))
        parts.append(_limb(elbow, hand, 0.045 * s, coat))
        parts.append(Part(Ellipsoid(hand, (0.05 * s, 0.04 * s, 0.06 * s)), skin, _PERSON))
    parts.append(
        Part(
            Ellipsoid((0.0, 0.0, 1.20 * s), (0.145 * s * girth, 0.205 * s * girth, 0.34 * s)),
            coat,
            _PERSON,
        )
    )
    hem = float(choose(rng, [0.86, 0.86, 0.62, 0.52]))
    parts.append(_limb((0.0, 0.0, 1.20 * s), (0.0, 0.0, (hem + 0.13) * s), 0.155 * s * girth, coat))
    parts.append(_limb((0.0, 0.0, 1.42 * s), (0.0, 0.0, 1.55 * s), 0.055 * s, skin))
    parts += _head(0.01, 1.66 * s, s, skin, hair, helmet=False)
    if rng.random() < 0.35:
        bag = plain(vary(rng, choose(rng, _CLOTHES), 0.3))
        parts.append(
            Part(
                Box((-0.32 * s, -0.14 * s, 1.02 * s), (-0.12 * s, 0.14 * s, 1.42 * s)), bag, _PERSON
            )
        )
    return Thing(tuple(parts), (x, y, z), yaw, (0.22, 0.22))


def _rider(
    rng: np.random.Generator, seat: Vector, grip: Vector, peg: Vector, helmet: bool
) -> list[Part]:
    coat = plain(vary(rng, choose(rng, _CLOTHES), 0.2))
    trousers = plain(vary(rng, choose(rng, _CLOTHES), 0.2))
    skin = plain(choose(rng, _SKIN))
    cover = choose(rng, [(0.6, 0.6, 0.6), (0.02, 0.02, 0.02), (0.4, 0.03, 0.03), (0.5, 0.4, 0.02)])
    hair = plain(cover, 0.04) if helmet else plain(choose(rng, _HAIR))
    shoulder = (seat[0] + 0.22, 0.0, seat[2] + 0.52)
    parts = [
        _limb(seat, shoulder, 0.155, coat),
        Part(Ellipsoid((shoulder[0], 0.0, shoulder[2] - 0.06), (0.16, 0.22, 0.15)), coat, _PERSON),
    ]
    for side in (-1.0, 1.0):
        knee = (seat[0] + 0.40, 0.12 * side, seat[2] - 0.14 + 0.12 * side)
        foot = (peg[0], 0.11 * side, peg[2] + 0.10 * side)
        parts.append(_limb((seat[0], 0.09 * side, seat[2]), knee, 0.085, trousers))
        parts.append(_limb(knee, foot, 0.06, trousers))
        hand = (grip[0], grip[1] * side, grip[2])
        elbow = (
            (shoulder[0] + grip[0]) / 2 - 0.03,
            0.26 * side,
            (shoulder[2] + grip[2]) / 2 - 0.06,
        )
        parts.append(_limb((shoulder[0], 0.19 * side, shoulder[2]), elbow, 0.055, coat))
        parts.append(_limb(elbow, hand, 0.045, coat))
    parts += _head(shoulder[0] + 0.10, shoulder[2] + 0.27, 1.0, skin, hair, helmet)
    return parts


def _tyre(radius: float, x: float) -> Surface:
    return Surface(Look.WHEEL, (0.015, 0.015, 0.015), (0.3, 0.3, 0.3), 0.0, (radius, x))


def bicycle(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, ridden: bool
) -> Thing:
    """A bicycle, with its rider or leaning on its stand; arguments as of `pedestrian`."""
    frame = plain(
        choose(
            rng,
            [
                (0.02, 0.02, 0.02),
                (0.4, 0.02, 0.02),
                (0.03, 0.1, 0.4),
                (0.5, 0.5, 0.5),
                (0.05, 0.3, 0.1),
            ],
        ),
        0.05,
    )
    black = plain((0.015, 0.015, 0.015))
    radius = 0.34
    parts = [
        Part(
            Drum((wheel, 0.0, radius), 1, radius, 0.025), _tyre(radius, wheel), _BIKE, Holes.SPOKES
        )
        for wheel in (-0.52, 0.55)
    ]
    bracket, saddle, head = (-0.08, 0.0, 0.30), (-0.22, 0.0, 0.92), (0.38, 0.0, 0.85)
    tubes = [
        (bracket, saddle),
        (bracket, head),
        ((-0.19, 0.0, 0.78), head),
        (bracket, (-0.52, 0.0, radius)),
        ((-0.19, 0.0, 0.78), (-0.52, 0.0, radius)),
        ((0.34, 0.0, 1.0), (0.55, 0.0, radius)),
    ]
    parts += [Part(Capsule(a, b, 0.024), frame, _BIKE) for a, b in tubes]
    parts.append(Part(Capsule((0.36, -0.28, 1.02), (0.36, 0.28, 1.02), 0.022), black, _BIKE))
    parts.append(Part(Ellipsoid((-0.24, 0.0, 0.95), (0.14, 0.07, 0.035)), black, _BIKE))
    if rng.random() < 0.4:
        parts.append(
            Part(Box((-0.75, -0.14, 0.70), (-0.38, 0.14, 0.92)), plain((0.12, 0.08, 0.05)), _BIKE)
        )
    if ridden:
        parts += _rider(
            rng, (-0.20, 0.0, 1.00), (0.40, 0.25, 1.05), (-0.05, 0.0, 0.30), rng.random() < 0.5
        )
    return Thing(tuple(parts), (x, y, z), yaw, (0.8, 0.2))


def motorcycle(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, ridden: bool
) -> Thing:
    """A motorcycle or scooter; arguments as of `pedestrian`."""
    paint = plain(
        choose(
            rng,
            [
                (0.4, 0.02, 0.02),
                (0.02, 0.02, 0.02),
                (0.03, 0.1, 0.35),
                (0.55, 0.55, 0.5),
                (0.5, 0.25, 0.02),
            ],
        ),
        0.06,
    )
    black, metal = plain((0.02, 0.02, 0.02)), plain((0.25, 0.25, 0.26), 0.2)
    parts = [
        Part(Drum((wheel, 0.0, 0.31), 1, 0.31, 0.075), _tyre(0.31, wheel), _BIKE)
        for wheel in (-0.70, 0.72)
    ]
    parts += [
        Part(Box((-0.25, -0.17, 0.28), (0.30, 0.17, 0.60)), metal, _BIKE),
        Part(Ellipsoid((0.15, 0.0, 0.80), (0.34, 0.19, 0.17)), paint, _BIKE),
        Part(Ellipsoid((-0.45, 0.0, 0.80), (0.42, 0.16, 0.09)), black, _BIKE),
        Part(Ellipsoid((-0.75, 0.0, 0.72), (0.22, 0.13, 0.12)), paint, _BIKE),
        Part(Ellipsoid((0.58, 0.0, 0.90), (0.16, 0.17, 0.20)), paint, _BIKE),
        Part(Capsule((0.45, 0.0, 1.02), (0.72, 0.0, 0.31), 0.05), metal, _BIKE),
        Part(Capsule((0.42, -0.36, 1.06), (0.42, 0.36, 1.06), 0.025), black, _BIKE),
        Part(Capsule((-0.15, -0.20, 0.32), (-0.85, -0.22, 0.38), 0.05), metal, _BIKE),
        Part(
            Ellipsoid((0.73, 0.0, 0.92), (0.05, 0.09, 0.08)),
            Surface(Look.GLOW, (0.8, 0.8, 0.75), values=(1.5,)),
            _BIKE,
        ),
    ]
    if ridden:
        parts += _rider(rng, (-0.30, 0.0, 0.92), (0.40, 0.34, 1.08), (0.0, 0.0, 0.35), True)
    return Thing(tuple(parts), (x, y, z), yaw, (1.0, 0.25))
