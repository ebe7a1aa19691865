"""Colours of the things' surfaces: one function for each look.

Each function takes the points of all parts with its look at once (`Points`) and answers albedo
(3, M), gloss (M,) and light of its own (3, M) or None. Coordinates are those of the thing's frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_prep.street.facades import facade
from data_prep.street.points import GLASS_GLOSS, Points, Shade, leaf_plane, put, rgb
from data_prep.street.texture import cloudy, coverage, detail, grain, repeated, scramble, wrap
from data_prep.street.things import Look

_DARK = rgb(0.02, 0.02, 0.022)
_WHITE = rgb(0.75, 0.75, 0.72)
_GLASS = rgb(0.02, 0.025, 0.03)
_RED = rgb(0.45, 0.01, 0.01)


def _plain(at: Points) -> Shade:
    x, y, z = at.place
    tone = 0.86 + 0.28 * cloudy(x + y + at.seed, z + 0.6 * y, 0.8)
    return at.colour * tone, at.gloss, None


def _leaves(at: Points) -> Shade:
    across, along = leaf_plane(at.place, at.normal)
    shift = at.seed.astype(np.float32)
    coarse = cloudy(across + shift, along, 1.5)
    fine = 0.5 + (grain(across, along + shift, 0.09) - 0.5) * detail(at.footprint, 0.08)
    mix = np.clip(0.9 * coarse + 1.2 * fine - 0.65, 0, 1)
    colour = at.colour * (1 - mix) + at.second * mix
    return colour * (0.45 + 1.1 * fine), at.gloss, None


def _arches(at: Points, axles: tuple[np.ndarray, np.ndarray], radius: np.ndarray) -> np.ndarray:
    x, z = at.place[0], at.place[2]
    nearest = np.minimum(np.abs(x - axles[0]), np.abs(x - axles[1]))
    return (np.hypot(nearest, z - radius) < radius * 1.16) & (np.abs(at.normal[1]) > 0.5)


def _lamp_light(lit: np.ndarray, where: np.ndarray, tint: np.ndarray) -> np.ndarray:
    return tint * (lit * where)[None]


def _bodywork(at: Points) -> Shade:
    x, y, z = at.place
    a, w, front, rear, radius, hood, lit = at.values[:7]
    colour = at.colour.copy()
    gloss = at.gloss.copy()
    aside = np.abs(at.normal[1]) > 0.6
    size = at.footprint
    doors = np.minimum(np.abs(x - 0.15 * a), np.abs(x + 0.42 * a))
    doors = np.minimum(doors, np.abs(x - front + radius * 1.9))
    colour *= 1 - 0.65 * coverage(doors, np.float32(0.012), size) * aside * (z > 0.35)
    handle = (np.abs(z - hood + 0.17) < 0.02) & (
        (np.abs(x + 0.02 * a) < 0.09) | (np.abs(x + 0.30 * a) < 0.09)
    )
    colour *= 1 - 0.5 * (handle & aside)
    put(colour, (z < 0.30) | (aside & (z < 0.36)), at.second)
    across = np.abs(y)
    head = (x > a - 0.42) & (at.normal[2] < 0.75) & (at.normal[0] > 0.1)
    tail = (x < -a + 0.30) & (at.normal[2] < 0.75) & (at.normal[0] < -0.1)
    grille = head & (across < 0.62 * w) & (z > 0.36) & (z < hood - 0.38)
    put(colour, grille, _DARK)
    put(colour, head & (across < 0.26) & (z > 0.40) & (z < 0.51), _WHITE)
    lamps = head & (across > 0.55 * w) & (np.abs(z - hood + 0.33) < 0.085)
    put(colour, lamps, rgb(0.75, 0.78, 0.80))
    put(colour, tail & (across < 0.26) & (z > 0.52) & (z < 0.63), rgb(0.7, 0.55, 0.1))
    put(colour, tail & (z < 0.45), at.second)
    rear_lamps = tail & (across > 0.60 * w) & (np.abs(z - hood + 0.16) < 0.13)
    put(colour, rear_lamps, _RED)
    arch = _arches(at, (front, rear), radius)
    put(colour, arch, _DARK)
    gloss[arch | grille | (z < 0.30)] = 0
    light = _lamp_light(lit, lamps, rgb(3.0, 2.8, 2.4)) + _lamp_light(
        lit, rear_lamps, rgb(0.8, 0.02, 0.02)
    )
    return colour, gloss, light


def _cabin(at: Points) -> Shade:
    x, y, z = at.place
    back, top_back, top_front, base, belt, height, van = at.values[:7]
    rise = np.clip((z - 0.88) / (height - 0.88), 0, 1)
    front_edge = base + (top_front - base) * rise
    rear_edge = back + (top_back - back) * rise
    aside = np.abs(at.normal[1]) > 0.6
    band = (z > belt + 0.03) & (z < height - 0.10)
    pillar = np.abs(x - (0.45 * top_front + 0.55 * top_back)) < 0.045
    pillar |= np.abs(x - (0.1 * top_front + 0.9 * top_back) - 0.25) < 0.03
    pillar &= van < 0.5
    panes = band & (x < front_edge - 0.10) & (x > rear_edge + 0.12) & ~pillar
    panes &= (van < 0.5) | (x > top_front - 0.75)
    screen = ~aside & (at.normal[2] < 0.93) & (z > belt) & (z < height - 0.07)
    screen &= (at.normal[0] > 0) | (van < 0.5) | (z > 1.4)
    glass = np.where(aside, panes, screen)
    colour = at.colour.copy()
    inside = 0.6 + 0.8 * cloudy(x * 1.5 + at.seed, z * 2 + y, 0.7)
    put(colour, glass, _GLASS * inside)
    return colour, np.where(glass, GLASS_GLOSS, at.gloss), None


def _coach(at: Points) -> Shade:
    x, y, z = at.place
    a, w, height, mode, radius, axle_a, axle_b, lit = at.values[:8]
    colour = at.colour.copy()
    gloss = at.gloss.copy()
    aside = np.abs(at.normal[1]) > 0.6
    front = at.normal[0] > 0.3
    rear = at.normal[0] < -0.5
    bus, cab, box = mode < 0.5, (mode > 0.5) & (mode < 1.5), mode > 1.5
    put(colour, bus & (z < 0.95), at.second)
    panel = box & aside & (np.abs(z - 0.55 * height) < 0.25 * height)
    panel &= np.abs(x + 0.6) < 0.55 * a
    put(colour, panel, at.second)
    stripe = box & aside & (repeated(z, 0.3, 0.01, at.footprint) > 0.5)
    colour *= 1 - 0.25 * stripe
    pillars = repeated(x, 1.45, 0.06, at.footprint) > 0.5
    glass = bus & aside & (z > 1.15) & (z < height - 0.55) & ~pillars & (np.abs(x) < a - 0.25)
    glass |= bus & front & (z > 1.0) & (z < height - 0.45) & (np.abs(y) < w - 0.1)
    glass |= bus & rear & (z > 1.5) & (z < height - 0.6) & (np.abs(y) < w - 0.25)
    glass |= cab & front & (z > 1.45) & (z < 2.35) & (np.abs(y) < w - 0.12)
    glass |= cab & aside & (z > 1.4) & (z < 2.15) & (x > a - 1.35) & (x < a - 0.35)
    door = (
        bus & (y < 0) & aside & (np.abs(np.abs(x - 0.3 * a) - 0.35) < 0.3) & (z > 0.45) & (z < 2.4)
    )
    glass |= door
    put(colour, glass, _GLASS * (0.6 + 0.8 * cloudy(x + at.seed, z, 1.0)))
    display = bus & front & (z > height - 0.42) & (z < height - 0.16) & (np.abs(y) < 0.8)
    put(colour, display, _DARK)
    letters = display & (scramble(np.floor(y * 14), np.floor(z * 14), at.seed) < 0.5)
    put(colour, letters, rgb(0.8, 0.4, 0.05))
    lamps = front & ~box & (np.abs(y) > w - 0.45) & (z > 0.55) & (z < 0.80)
    put(colour, lamps, rgb(0.75, 0.78, 0.8))
    put(colour, front & ~box & (np.abs(y) < w - 0.55) & (z > 0.5) & (z < 0.9), _DARK)
    tails = rear & (np.abs(y) > w - 0.28) & (z < 1.35) & (z > 1.0)
    put(colour, tails, _RED)
    arch = _arches(at, (axle_a, axle_b), radius)
    put(colour, arch, _DARK)
    gloss = np.where(glass, GLASS_GLOSS, np.where(arch, 0, gloss))
    light = _lamp_light(lit, lamps, rgb(2.5, 2.4, 2.2)) + _lamp_light(
        0.3 + lit, letters, rgb(1.0, 0.5, 0.05)
    )
    return colour, gloss, light


def _wheel(at: Points) -> Shade:
    x, _, z = at.place
    radius, centre = at.values[:2]
    r = np.hypot(x - centre, z - radius) / radius
    angle = np.arctan2(z - radius, x - centre)
    spokes = np.cos(5 * angle + at.seed) > -0.25
    rim = (r < 0.68) & (np.abs(at.normal[1]) > 0.5)
    bright = rim & ((r > 0.58) | spokes | (r < 0.18))
    colour = at.colour * (0.8 + 0.4 * (r > 0.95))
    put(colour, rim, _DARK)
    put(colour, bright, at.second)
    return colour, np.where(bright, np.float32(0.12), at.gloss), None


def _tiles(at: Points) -> Shade:
    x, y, z = at.place
    slope = np.hypot(y, z)
    row = np.floor(slope / 0.33)
    tone = 0.8 + 0.4 * cloudy(x + at.seed, y, 3.0)
    tone *= 1 - 0.45 * repeated(slope, 0.33, 0.03, at.footprint)
    tone += detail(at.footprint, 0.3) * 0.35 * (scramble(np.floor(x / 0.3), row, at.seed) - 0.5)
    end = np.abs(at.normal[0]) > 0.5
    return np.where(end, at.second, at.colour) * tone, at.gloss, None


def _brick(at: Points) -> Shade:
    x, y, z = at.place
    along = np.where(np.abs(at.normal[0]) > 0.5, y, x)
    course = np.floor(z / 0.075)
    along = along + np.where(wrap(course, 2) > 0, np.float32(0.11), 0)
    size = at.footprint
    mortar = np.maximum(
        repeated(z, 0.075, 0.007, size),
        repeated(along, 0.22, 0.007, size),
    )
    tint = (scramble(course, np.floor(along / 0.22), at.seed) - 0.5) * detail(size, 0.15)
    tone = (0.75 + 0.5 * cloudy(along + at.seed, z, 2.0)) * (1 + 0.6 * tint)
    return at.colour * tone * (1 - mortar) + at.second * mortar, at.gloss, None


def _sign(at: Points) -> Shade:
    """Values: half extent, height, shape, symbol.

    Shapes: 0 disc, 1 square, 2 wide, 3 and 4 triangles, 5 diamond, 8 octagon.
    """
    _, y, z = at.place
    extent, height, shape, symbol = at.values[:4]
    p, q = y / extent, (z - height) / extent
    radius = np.hypot(p, q)
    up = np.where(shape == 4, q, -q)
    triangle = np.minimum(up + 0.5, 0.5 - 0.5 * up - 0.866 * np.abs(p))
    square = 1 - np.maximum(np.abs(p) / np.where(shape == 2, 2.2, 1), np.abs(q))
    edge = np.select(
        [shape == 0, shape <= 2, shape <= 4, shape == 5],
        [1 - radius, square, triangle, 0.7 * (1 - np.abs(p) - np.abs(q))],
        0.95 - radius,
    )
    width = np.where((shape == 3) | (shape == 4), 0.13, np.where(shape == 0, 0.18, 0.08))
    rim = edge < width
    disc_symbol = np.where(shape == 0, 1.0, 0.62)
    p, q = p / disc_symbol, (q + np.where(shape == 4, 0.12, 0)) / disc_symbol
    marks = np.select(
        [symbol == 0, symbol == 1, symbol == 2, symbol == 3, symbol == 4],
        [
            (np.abs(q) < 0.16) & (np.abs(p) < 0.55),
            (np.abs(p) < 0.11) & ((np.abs(q - 0.12) < 0.36) | (np.abs(q + 0.45) < 0.09)),
            ((np.abs(p) < 0.1) & (q < 0.2) & (q > -0.55))
            | ((q > 0.1) & (q < 0.6) & (np.abs(p) < 0.6 - q)),
            (np.abs(np.hypot((np.abs(p) - 0.26) / 0.75, q) - 0.25) < 0.09),
            (np.hypot(p, q - 0.38) < 0.13) | ((np.abs(p) < 0.16) & (q < 0.22) & (q > -0.55)),
        ],
        (np.abs(wrap(q, 0.42) - 0.21) < 0.09)
        & (scramble(np.floor(p * 9), np.floor(q / 0.42), at.seed) < 0.7)
        & (np.abs(q) < 0.65)
        & (np.abs(p) < 0.8),
    )
    light_face = at.colour.sum(axis=0) > 1.2
    ink = np.where(light_face, rgb(0.015, 0.015, 0.02), rgb(0.8, 0.8, 0.8))
    colour = at.colour.copy()
    put(colour, marks & (edge > width + 0.03), ink)
    put(colour, rim, at.second)
    put(colour, at.normal[0] < 0.5, rgb(0.25, 0.26, 0.27))
    return colour, at.gloss, None


def _signal(at: Points) -> Shade:
    _, y, z = at.place
    middle, height, lamps, state = at.values[:4]
    top = height + 0.16 * lamps
    number = np.clip(np.floor((top - z) / 0.32), 0, lamps - 1)
    r = np.hypot(y - middle, z - top + 0.16 + 0.32 * number)
    lens = (r < 0.125) & (at.normal[0] > 0.5)
    kind = np.where(lamps == 2, number * 2, number).astype(np.int64)
    tints = np.array([[1.0, 0.04, 0.02], [1.0, 0.45, 0.02], [0.02, 0.9, 0.35]], np.float32).T
    tint = tints[:, np.clip(kind, 0, 2)]
    on = lens & (number == np.where(lamps == 2, state / 2, state))
    colour = at.colour.copy()
    put(colour, lens, 0.06 * tint + 0.01)
    border = (np.abs(y - middle) > 0.145) & (at.normal[0] > 0.5)
    put(colour, border, at.colour * 0.5 + 0.04)
    return colour, at.gloss, tint * on * np.where(r < 0.07, 3.0, 1.8)


def _planks(at: Points) -> Shade:
    x, y, z = at.place
    plank = np.floor(x / 0.12)
    tone = 0.75 + 0.4 * scramble(plank, plank, at.seed) * detail(at.footprint, 0.15)
    tone *= 1 - 0.5 * repeated(x, 0.12, 0.006, at.footprint)
    tone *= 0.85 + 0.3 * cloudy(x * 6 + at.seed, z * 0.7 + y, 1.0)
    return at.colour * tone, at.gloss, None


def _poster(at: Points) -> Shade:
    _, y, z = at.place
    mix = np.clip(0.5 + (z - 1.2) * 0.6 + 0.8 * (cloudy(y + at.seed, z, 0.8) - 0.5), 0, 1)
    colour = at.colour * (1 - mix) + at.second * mix
    text = (
        (wrap(z, 0.3) < 0.12)
        & (z > 1.5)
        & (scramble(np.floor(y * 12), np.floor(z / 0.3), at.seed) < 0.6)
    )
    put(colour, text, _WHITE)
    return colour, at.gloss, 0.15 * colour


def _glow(at: Points) -> Shade:
    return at.colour, at.gloss, at.colour * at.values[0]


SHADERS: dict[Look, Callable[[Points], Shade]] = {
    Look.PLAIN: _plain,
    Look.LEAVES: _leaves,
    Look.BODYWORK: _bodywork,
    Look.CABIN: _cabin,
    Look.COACH: _coach,
    Look.WHEEL: _wheel,
    Look.FACADE: facade,
    Look.TILES: _tiles,
    Look.BRICK: _brick,
    Look.SIGN: _sign,
    Look.SIGNAL: _signal,
    Look.PLANKS: _planks,
    Look.POSTER: _poster,
    Look.GLOW: _glow,
}
