"""What stands along a street: signs, traffic lights, lamp posts, bins, bollards, fences, walls.

Signs, lights and posters face along the x axis of their own frame; the origin is on the ground.
"""

from __future__ import annotations

import numpy as np

from data_prep.street.primitives import Box, Capsule, Drum, Ellipsoid, extrude
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
)

_STEEL: Colour = (0.30, 0.31, 0.32)
_RED: Colour = (0.50, 0.012, 0.02)
_BLUE: Colour = (0.01, 0.07, 0.38)
_GREEN: Colour = (0.01, 0.20, 0.07)
_WHITE: Colour = (0.80, 0.80, 0.80)
_YELLOW: Colour = (0.75, 0.50, 0.02)
_BLACK: Colour = (0.015, 0.015, 0.017)

SIGN_KINDS = (
    "stop",
    "give way",
    "warning",
    "limit",
    "mandatory",
    "square",
    "direction",
    "priority",
)


def _plate(kind: str, size: float, height: float, colour: Colour, rim: Colour, symbol: int) -> Part:
    """One sign plate around (0.07, 0, height); `size` is half its extent."""
    turn = {"stop": (8, np.pi / 8), "give way": (3, -np.pi / 2), "warning": (3, np.pi / 2)}
    sides, start = turn.get(kind, (4, 0.0))
    shape = {
        "limit": 0.0,
        "mandatory": 0.0,
        "square": 1.0,
        "direction": 2.0,
        "give way": 3.0,
        "warning": 4.0,
        "priority": 5.0,
        "stop": 8.0,
    }[kind]
    face = Surface(Look.SIGN, colour, rim, 0.02, (size, height, shape, float(symbol)))
    if kind in ("limit", "mandatory"):
        solid = Drum((0.07, 0.0, height), 0, size, 0.015)
    elif kind in ("square", "direction"):
        wide = size * (2.2 if kind == "direction" else 1.0)
        solid = Box((0.055, -wide, height - size), (0.085, wide, height + size))
    else:
        angles = start + 2 * np.pi * np.arange(sides) / sides
        profile = [(float(size * np.cos(a)), float(height + size * np.sin(a))) for a in angles]
        solid = extrude(profile, 0.015, axis="x").moved((0.07, 0.0, 0.0))
    return Part(solid, face, Label.TRAFFIC_SIGN)


def sign(rng: np.random.Generator, x: float, y: float, z: float, yaw: float) -> Thing:
    """One or two traffic signs on a post, facing the heading `yaw`."""
    height = float(rng.uniform(2.1, 2.7))
    post = Part(Capsule((0, 0, 0), (0, 0, height + 0.35), 0.035), plain(_STEEL), Label.POLE)
    parts = [post]
    for level in range(2 if rng.random() < 0.35 else 1):
        kind = choose(rng, list(SIGN_KINDS))
        colours: dict[str, tuple[Colour, Colour]] = {
            "stop": (_RED, _WHITE),
            "give way": (_WHITE, _RED),
            "warning": (choose(rng, [_WHITE, _YELLOW]), _RED),
            "limit": (_WHITE, _RED),
            "mandatory": (_BLUE, _WHITE),
            "square": (choose(rng, [_BLUE, _BLUE, _WHITE, _GREEN]), _WHITE),
            "direction": (choose(rng, [_GREEN, _BLUE, _YELLOW, _WHITE]), _WHITE),
            "priority": (_YELLOW, _WHITE),
        }
        face, rim = colours[kind]
        size = float(rng.uniform(0.34, 0.46))
        parts.append(_plate(kind, size, height - 0.85 * level, face, rim, int(rng.integers(6))))
    return Thing(tuple(parts), (x, y, z), yaw, None)


def _signal_head(y: float, z: float, state: int, housing: Colour, lamps: int) -> list[Part]:
    """A head of two or three lamps around height z, facing +x; a lamp fills 0.32 m."""
    half = 0.16 * lamps + 0.06
    head = Surface(Look.SIGNAL, housing, _BLACK, 0.02, (y, z, float(lamps), float(state)))
    parts = [
        Part(Box((0.08, y - 0.17, z - half), (0.30, y + 0.17, z + half)), head, Label.TRAFFIC_LIGHT)
    ]
    for lamp in range(lamps):
        top = z + half - 0.06 - 0.32 * lamp
        parts.append(
            Part(
                Box((0.30, y - 0.13, top - 0.05), (0.44, y + 0.13, top - 0.025)),
                plain(_BLACK),
                Label.TRAFFIC_LIGHT,
            )
        )
    return parts


def traffic_light(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, arm: float
) -> Thing:
    """A traffic light on its mast.

    Args:
        rng: Source of its state and colours.
        x: Position in vehicle axes, metres.
        y: The same.
        z: Height of the ground.
        yaw: Heading that it faces.
        arm: Reach of an arm with a second head over the road towards the thing's +y (or -y where
            negative), metres; 0 for none.
    """
    state = int(rng.integers(3))
    housing = choose(rng, [_BLACK, (0.03, 0.05, 0.03), (0.55, 0.36, 0.02), (0.06, 0.06, 0.065)])
    metal = plain(choose(rng, [_STEEL, (0.04, 0.05, 0.05), (0.45, 0.45, 0.4)]))
    mast = 5.8 if arm else 3.5
    parts = [Part(Capsule((0, 0, 0), (0, 0, mast), 0.07), metal, Label.POLE)]
    parts += _signal_head(0.0, 2.75, state, housing, 3)
    if rng.random() < 0.6:
        parts += _signal_head(0.0, 1.85, 2 if state == 0 else 0, housing, 2)
    if arm:
        parts.append(Part(Capsule((0, 0, 5.6), (0, arm, 5.9), 0.05), metal, Label.POLE))
        parts += _signal_head(arm, 5.6, state, housing, 3)
    return Thing(tuple(parts), (x, y, z), yaw, None)


def lamp_post(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, height: float, lit: bool
) -> Thing:
    """A street lamp whose arm reaches along its x axis."""
    metal = plain(choose(rng, [_STEEL, (0.03, 0.05, 0.04), (0.12, 0.12, 0.12)]))
    reach = float(rng.uniform(0.8, 2.0))
    lamp = Surface(Look.GLOW, (0.9, 0.8, 0.55), values=(6.0 if lit else 0.25,))
    parts = (
        Part(Capsule((0, 0, 0), (0, 0, height), 0.075), metal, Label.POLE),
        Part(Drum((0, 0, 0.5), 2, 0.11, 0.5), metal, Label.POLE),
        Part(Capsule((0, 0, height), (reach, 0, height + 0.35), 0.04), metal, Label.POLE),
        Part(Ellipsoid((reach + 0.2, 0, height + 0.34), (0.38, 0.16, 0.09)), metal, Label.POLE),
        Part(Ellipsoid((reach + 0.2, 0, height + 0.28), (0.3, 0.12, 0.06)), lamp, Label.POLE),
    )
    return Thing(parts, (x, y, z), yaw, None)


def bollard(x: float, y: float, z: float) -> Thing:
    """A bollard with a pale band."""
    parts = (
        Part(Capsule((0, 0, 0), (0, 0, 0.85), 0.07), plain((0.04, 0.04, 0.045)), Label.POLE),
        Part(Drum((0, 0, 0.72), 2, 0.075, 0.05), plain((0.7, 0.7, 0.68)), Label.POLE),
    )
    return Thing(parts, (x, y, z), 0.0, (0.1, 0.1))


def litter_bin(rng: np.random.Generator, x: float, y: float, z: float, yaw: float) -> Thing:
    """A bin of one of two shapes."""
    colour = choose(
        rng, [(0.02, 0.10, 0.04), (0.03, 0.03, 0.03), (0.03, 0.08, 0.25), (0.3, 0.3, 0.3)]
    )
    if rng.random() < 0.5:
        parts = (
            Part(Drum((0, 0, 0.5), 2, 0.25, 0.5), plain(colour), Label.STATIC),
            Part(Ellipsoid((0, 0, 1.0), (0.27, 0.27, 0.12)), plain(colour), Label.STATIC),
        )
    else:
        parts = (
            Part(Box((-0.30, -0.28, 0.08), (0.30, 0.28, 1.02)), plain(colour), Label.STATIC),
            Part(Box((-0.33, -0.31, 1.02), (0.34, 0.31, 1.09)), plain(colour, 0.02), Label.STATIC),
        )
    return Thing(parts, (x, y, z), yaw, (0.3, 0.3))


def cone(x: float, y: float) -> Thing:
    """A traffic cone on the road."""
    orange, white = plain((0.75, 0.13, 0.02)), plain((0.75, 0.75, 0.72))
    parts = (
        Part(Box((-0.2, -0.2, 0.0), (0.2, 0.2, 0.04)), orange, Label.DYNAMIC),
        Part(
            extrude([(-0.14, 0.04), (0.14, 0.04), (0.03, 0.72), (-0.03, 0.72)], 0.14, lean=0.162),
            orange,
            Label.DYNAMIC,
        ),
        Part(Drum((0, 0, 0.42), 2, 0.095, 0.07), white, Label.DYNAMIC),
    )
    return Thing(parts, (x, y, 0.0), 0.0, (0.2, 0.2))


def fence(
    rng: np.random.Generator, x: float, y: float, z: float, yaw: float, length: float, kind: str
) -> Thing:
    """A run of fence, hedge-high, along its x axis, centred on its position.

    Args:
        rng: Source of colour and height.
        x: Position in vehicle axes, metres.
        y: The same.
        z: Height of the ground.
        yaw: Heading of the run.
        length: Metres.
        kind: "slats" (one sees through), "planks" or "wall" (class wall).
    """
    a = length / 2
    if kind == "wall":
        height = float(rng.uniform(0.7, 1.9))
        brick = choose(rng, [(0.26, 0.09, 0.05), (0.32, 0.26, 0.2), (0.4, 0.38, 0.35)])
        parts = (
            Part(
                Box((-a, -0.12, 0.0), (a, 0.12, height)),
                Surface(Look.BRICK, brick, (0.42, 0.4, 0.37)),
                Label.WALL,
            ),
            Part(
                Box((-a, -0.16, height), (a, 0.16, height + 0.07)),
                plain((0.4, 0.39, 0.37)),
                Label.WALL,
            ),
        )
    else:
        height = float(rng.uniform(0.9, 1.7))
        colour = choose(
            rng, [(0.22, 0.13, 0.06), (0.6, 0.58, 0.54), (0.1, 0.1, 0.1), (0.12, 0.2, 0.1)]
        )
        holes = Holes.SLATS if kind == "slats" else Holes.NONE
        parts = (
            Part(
                Box((-a, -0.02, 0.05), (a, 0.02, height)),
                Surface(Look.PLANKS, colour),
                Label.FENCE,
                holes,
            ),
            Part(Box((-a, -0.04, 0.25), (a, 0.04, 0.33)), plain(colour), Label.FENCE),
            Part(
                Box((-a, -0.04, height - 0.2), (a, 0.04, height - 0.12)), plain(colour), Label.FENCE
            ),
        )
    return Thing(parts, (x, y, z), yaw, None)


def shelter(rng: np.random.Generator, x: float, y: float, z: float, yaw: float) -> Thing:
    """A bus shelter with a poster, open towards +y."""
    frame = plain((0.12, 0.13, 0.14), 0.05)
    poster = Surface(
        Look.POSTER, tuple(rng.uniform(0.05, 0.6, 3)), tuple(rng.uniform(0.05, 0.6, 3)), 0.04
    )
    parts = [
        Part(Box((-1.9, -0.7, 2.35), (1.9, 0.75, 2.47)), frame, Label.OTHER),
        Part(Box((1.82, -0.65, 0.2), (1.88, 0.5, 2.2)), poster, Label.OTHER),
        Part(Box((-1.3, -0.55, 0.42), (1.0, -0.15, 0.48)), plain((0.3, 0.18, 0.08)), Label.OTHER),
        Part(
            Box((-1.85, -0.68, 0.25), (1.85, -0.66, 2.2)),
            Surface(Look.PLANKS, (0.10, 0.12, 0.13), gloss=0.15),
            Label.OTHER,
            Holes.SLATS,
        ),
    ]
    parts += [
        Part(Capsule((px, -0.65, 0), (px, -0.65, 2.4), 0.04), frame, Label.OTHER)
        for px in (-1.85, 0.0, 1.85)
    ]
    return Thing(tuple(parts), (x, y, z), yaw, (1.9, 0.7))
