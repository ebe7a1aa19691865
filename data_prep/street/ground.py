"""The ground: road at z = 0, all behind the kerb at kerb height, and what is painted on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.street.layout import KERB_HEIGHT, KERB_WIDTH, Street
from data_prep.street.texture import cloudy, coverage, detail, grain, repeated, scramble, wrap
from data_prep.street.things import Colour, Label

# 26 halvings take the 12 cm of the kerb's face to below float32's spacing.
_HALVINGS = 26
_BAY = 5.8


@dataclass(frozen=True)
class GroundPalette:
    """Colours of the ground and its wear, linear RGB."""

    asphalt: Colour
    slabs: Colour
    kerb: Colour
    grass: Colour
    yard: Colour
    paint: Colour
    slab_size: float
    wet: float
    wear: float
    shift: float


@dataclass(frozen=True)
class GroundHits:
    """Where rays meet the ground; arrays (M,), inf in `t` where they do not."""

    t: np.ndarray
    u: np.ndarray
    v: np.ndarray
    behind: np.ndarray
    face: np.ndarray


def meet_ground(street: Street, origin: np.ndarray, direction: np.ndarray) -> GroundHits:
    """Intersect downward rays with road, kerb face and pavement.

    Args:
        street: The plan.
        origin: (3,) metres, above the kerb.
        direction: (3, M) with negative z.
    """
    ox, oy, oz = (np.float32(value) for value in origin)
    dx, dy, dz = direction

    def plan(t: np.ndarray, index: np.ndarray | slice) -> tuple[np.ndarray, ...]:
        u, v = street.to_street(ox + t * dx[index], oy + t * dy[index])
        return u, v, street.beyond_kerb(u, v)

    t = (np.float32(KERB_HEIGHT) - oz) / dz
    u, v, behind = plan(t, slice(None))
    face = np.zeros(t.shape, dtype=bool)
    road = np.flatnonzero(behind < 0)
    t_low = -oz / dz[road]
    u_low, v_low, behind_low = plan(t_low, road)
    kerb = behind_low >= 0
    step = road[kerb]
    near, far = t[step], t_low[kerb]
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        outside = plan(middle, step)[2] < 0
        near, far = np.where(outside, middle, near), np.where(outside, far, middle)
    t[road], u[road], v[road], behind[road] = t_low, u_low, v_low, behind_low
    if step.size:
        t[step] = far
        u[step], v[step], _ = plan(far, step)
        behind[step] = 0
        face[step] = True
    return GroundHits(t, u, v, behind, face)


def _marks(street: Street, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth inside the nearest painted mark (negative outside) and half its width, metres."""
    inside = np.full(u.shape, -9.0, dtype=np.float32)
    half = np.full(u.shape, 0.07, dtype=np.float32)
    free = np.ones(u.shape, dtype=bool)
    limit = street.half_width
    if street.crossing is not None:
        clear = street.crossing_half_width + 3.4
        free = np.abs(u - np.float32(street.crossing)) > clear

    def add(depth: np.ndarray, where: np.ndarray | None, width: float) -> None:
        better = depth > inside
        if where is not None:
            better &= where
        inside[better] = depth[better]
        half[better] = width

    for number, line in enumerate(street.lanes):
        across = 0.075 - np.abs(v - np.float32(line))
        if number == 0 and len(street.lanes) > 2:
            add(across, free, 0.075)
            continue
        dash = 1.5 - np.abs(wrap(u + 31.7, 6.0) - 3.0)
        add(np.minimum(across, dash), free, 0.075)
    for side, strip in ((-1.0, street.parking[0]), (1.0, street.parking[1])):
        from_kerb = np.float32(limit) - v * side
        if strip > 0:
            line = 0.05 - np.abs(from_kerb - np.float32(strip))
            mark = 0.05 - np.abs(wrap(u, _BAY) - _BAY / 2)
            bay = np.minimum(mark, np.minimum(from_kerb - 0.25, np.float32(strip) - from_kerb))
            add(np.maximum(line, bay), free, 0.05)
        else:
            add(0.06 - np.abs(from_kerb - 0.30), free & (from_kerb > 0), 0.06)
    for zebra in street.zebras:
        along = 1.6 - np.abs(u - np.float32(zebra))
        stripe = 0.25 - np.abs(wrap(v, 1.0) - 0.5)
        add(np.minimum(np.minimum(along, stripe), np.float32(limit) - 0.25 - np.abs(v)), None, 0.25)
        for side in (-1.0, 1.0):
            stop = 0.17 - np.abs(u - np.float32(zebra + side * 2.9))
            across = np.minimum(v * side - 0.15, np.float32(limit - 0.4) - v * side)
            add(np.minimum(stop, across), None, 0.17)
    if street.crossing is not None:
        u_line = np.abs(u - np.float32(street.crossing))
        dash = 1.5 - np.abs(wrap(v + 30.2, 6.0) - 3.0)
        arm = np.abs(v) > limit + 5.0
        add(np.minimum(0.07 - u_line, dash), arm, 0.07)
        stop = 0.2 - np.abs(np.abs(v) - np.float32(limit + 2.2))
        reach = np.where(v > 0, u - np.float32(street.crossing), np.float32(street.crossing) - u)
        add(
            np.minimum(stop, np.minimum(0.2 + reach, street.crossing_half_width - 0.4 - reach)),
            reach > 0,
            0.2,
        )
    for place, lane in _arrows(street):
        along, across = u - np.float32(place), np.abs(v - np.float32(lane))
        shaft = np.minimum(0.09 - across, 1.4 - np.abs(along))
        toward = along * np.float32(-np.sign(lane))
        head = np.minimum(toward - 1.2, 0.42 - across - 0.45 * (toward - 1.2))
        add(np.maximum(shaft, head), free, 0.09)
    return inside, half


def _arrows(street: Street) -> list[tuple[float, float]]:
    """(u, v) of the middles of the lane arrows: some metres before each zebra crossing."""
    lanes = (street.half_width - street.parking[0], street.half_width - street.parking[1])
    places = []
    for zebra in street.zebras:
        places.append((zebra - 9.0, -lanes[0] / 2))
        places.append((zebra + 9.0, lanes[1] / 2))
    return places


def ground_labels(street: Street, hits: GroundHits) -> np.ndarray:
    """Class ids (M,) uint8 of the ground at the hits."""
    behind = hits.behind
    labels = np.full(behind.shape, Label.SIDEWALK, dtype=np.uint8)
    labels[behind > street.pavement] = Label.TERRAIN if street.lawn else Label.GROUND
    if street.lawn:
        labels[(behind > street.pavement) & _drive(hits.u)] = Label.GROUND
    if street.verge > 0:
        labels[(behind > KERB_WIDTH) & (behind < KERB_WIDTH + street.verge)] = Label.TERRAIN
    road = np.flatnonzero((behind < 0) & ~hits.face)
    labels[road] = Label.ROAD
    inside, _ = _marks(street, hits.u[road], hits.v[road])
    labels[road[inside > 0]] = Label.ROAD_LINE
    return labels


def _drive(u: np.ndarray) -> np.ndarray:
    """Whether a garden has its drive at u: the first three metres of some lots of 17 m."""
    lot = np.floor(u / 17.0)
    return (wrap(u, 17.0) < 3.0) & (scramble(lot, lot, np.int64(5)) < 0.7)


def ground_colours(
    street: Street,
    palette: GroundPalette,
    hits: GroundHits,
    labels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    footprint: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (3, M) and gloss (M,) of the ground.

    Args:
        street: The plan.
        palette: The colours.
        hits: Where the rays meet the ground.
        labels: Class ids of the hits.
        x: Vehicle axes, metres, (M,).
        y: The same.
        footprint: Size of the pixel on the ground, metres, (M,).
    """
    u, v = hits.u + np.float32(palette.shift), hits.v
    colour = np.empty((3, u.size), dtype=np.float32)
    gloss = np.zeros(u.size, dtype=np.float32)
    paved = (labels == Label.ROAD) | (labels == Label.ROAD_LINE)
    for mask, paint in (
        (paved, _asphalt),
        (labels == Label.SIDEWALK, _slabs),
        (labels == Label.TERRAIN, _grass),
        (labels == Label.GROUND, _yard),
    ):
        index = np.flatnonzero(mask)
        if index.size:
            colour[:, index] = paint(
                palette, u[index], v[index], hits.behind[index], footprint[index]
            )
    road = np.flatnonzero(paved)
    if road.size:
        inside, half = _marks(street, hits.u[road], hits.v[road])
        size = footprint[road]
        share = np.clip(inside / size + 0.5, 0, 1) * np.minimum(1, 2 * half / size)
        worn = cloudy(u[road], v[road], 0.9) + 0.5 * (grain(u[road], v[road], 0.05) - 0.5)
        worn = np.clip((worn - np.float32(palette.wear) + 0.25) * 4, 0, 1)
        share = share * (0.25 + 0.75 * worn)
        colour[:, road] += (
            np.asarray(palette.paint, np.float32)[:, None] - colour[:, road]
        ) * share
        puddle = np.clip((cloudy(u[road], v[road], 7.0) - 0.5) * 5, 0, 1)
        gloss[road] = np.float32(palette.wet) * (0.35 + 0.65 * puddle)
        colour[:, road] *= 1 - 0.5 * gloss[road] / (gloss[road] + 0.2)
    return colour, gloss


def _column(colour: Colour) -> np.ndarray:
    return np.asarray(colour, dtype=np.float32)[:, None]


def _asphalt(
    palette: GroundPalette, u: np.ndarray, v: np.ndarray, behind: np.ndarray, size: np.ndarray
) -> np.ndarray:
    tone = 0.75 + 0.5 * cloudy(u, v * 1.6, 9.0)
    tone += detail(size, 0.02) * 0.9 * (grain(u, v, 0.022) - 0.5)
    tone += detail(size, 0.07) * 0.30 * (grain(v, u, 0.08) - 0.5)
    # Wheel tracks are polished, the gutter is dirty, patches are newer and darker.
    tone += 0.07 * np.cos(v * np.float32(2 * np.pi / 1.7)) - 0.25 * np.clip(1 + behind / 0.5, 0, 1)
    row, column = np.floor(u / 5.3), np.floor(v / 1.9)
    chance = scramble(row, column, np.int64(77))
    patch = (chance < 0.10) & (wrap(u, 5.3) < 1.2 + 40 * chance) & (wrap(v, 1.9) < 1.5)
    tone = np.where(patch, tone * 0.72 + 0.02, tone)
    crack = np.abs(cloudy(u + 71, v, 5.0) - 0.5)
    tone *= 1 - 0.5 * detail(size, 0.05) * np.clip(1 - crack * 70, 0, 1)
    cover = np.hypot(wrap(u, 13.0) - 6.0, v - 1.1)
    tone = np.where(
        cover < 0.34, 0.55 + 0.3 * (wrap(u * 14 + v * 9, 1) < 0.5) * detail(size, 0.07), tone
    )
    return _column(palette.asphalt) * np.maximum(tone, 0.15)


def _slabs(
    palette: GroundPalette, u: np.ndarray, v: np.ndarray, behind: np.ndarray, size: np.ndarray
) -> np.ndarray:
    slab = np.float32(palette.slab_size)
    row = np.floor(behind / slab)
    along = u + np.where(wrap(row, 2) > 0, slab / 2, 0)
    tone = 0.82 + 0.36 * (cloudy(u, v, 3.0) - 0.2)
    tone += (
        0.16
        * detail(size, float(slab))
        * (scramble(np.floor(along / slab), row, np.int64(3)) - 0.5)
    )
    tone += detail(size, 0.03) * 0.25 * (grain(u, v, 0.03) - 0.5)
    joint = np.maximum(repeated(along, slab, 0.008, size), repeated(behind, slab, 0.008, size))
    tone *= 1 - 0.6 * joint
    colour = _column(palette.slabs) * tone
    edge = behind < KERB_WIDTH
    kerb_tone = 0.85 + 0.4 * (grain(u, behind * 3, 0.05) - 0.5) * detail(size, 0.05)
    kerb_tone *= 1 - 0.45 * repeated(u, 0.9, 0.01, size)
    kerb_tone *= 1 - 0.3 * (behind <= 0)
    return np.where(edge, _column(palette.kerb) * kerb_tone, colour)


def _grass(
    palette: GroundPalette, u: np.ndarray, v: np.ndarray, behind: np.ndarray, size: np.ndarray
) -> np.ndarray:
    tone = 0.6 + 0.8 * cloudy(u, v, 6.0)
    tone += detail(size, 0.05) * 0.9 * (grain(u, v, 0.05) - 0.5) + 0.4 * (grain(v, u, 0.5) - 0.5)
    dry = np.clip((cloudy(u + 40, v + 9, 4.0) - 0.62) * 4, 0, 1)
    soil = np.asarray((0.16, 0.12, 0.07), np.float32)[:, None]
    return (_column(palette.grass) * (1 - dry) + soil * dry) * np.maximum(tone, 0.2)


def _yard(
    palette: GroundPalette, u: np.ndarray, v: np.ndarray, behind: np.ndarray, size: np.ndarray
) -> np.ndarray:
    tone = 0.75 + 0.5 * cloudy(u, v, 4.0) + detail(size, 0.03) * 0.5 * (grain(u, v, 0.03) - 0.5)
    joint = np.maximum(
        repeated(u, 0.22, 0.007, size),
        coverage(wrap(v, 0.11) - 0.055, 0.005, size) * detail(size, 0.1),
    )
    return _column(palette.yard) * tone * (1 - 0.5 * joint)
