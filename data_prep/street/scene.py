"""From two numbers to a scene: the plan of the street, everything on it, the light, the camera.

`build_scene` draws every choice from one generator seeded with [seed, index], in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.street.ground import GroundPalette
from data_prep.street.layout import Street
from data_prep.street.light import Sky
from data_prep.street.planner import Planner
from data_prep.street.things import Thing, choose, vary
from data_prep.street.vehicles import own_car


@dataclass(frozen=True)
class Exposure:
    """How the cameras turn light into numbers.

    Args:
        gain: Exposure against the automatic one.
        balance: Gains of red and blue against green.
        noise: Standard deviation of the sensor's noise at half of full scale.
        vignette: Loss of light at the edge of the picture, 0 to 1.
        blur: Standard deviation of the lens's blur in pixels of a 640-pixel picture.
    """

    gain: float
    balance: tuple[float, float]
    noise: float
    vignette: float
    blur: float


@dataclass(frozen=True)
class Scene:
    """A street at an instant: plan, things (the own car included), light and exposure."""

    seed: int
    index: int
    street: Street
    palette: GroundPalette
    sky: Sky
    exposure: Exposure
    things: tuple[Thing, ...]
    urban: bool


def build_scene(seed: int, index: int) -> Scene:
    """The scene number `index` of the series `seed`; equal arguments give equal scenes.

    Raises:
        ValueError: If one of them is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed={seed} and index={index} must not be negative")
    rng = np.random.default_rng([seed, index])
    urban = bool(rng.random() < 0.6)
    street = _street(rng, urban)
    dusk = bool(rng.random() < 0.15)
    sky = _sky(rng, dusk)
    palette = _palette(rng)
    exposure = Exposure(
        gain=float(np.exp(rng.normal(0.0, 0.16))),
        balance=(float(np.exp(rng.normal(0, 0.05))), float(np.exp(rng.normal(0, 0.05)))),
        noise=float(rng.uniform(0.006, 0.022)) * (1.8 if dusk else 1.0),
        vignette=float(rng.uniform(0.35, 0.75)),
        blur=float(rng.uniform(0.45, 0.75)),
    )
    planner = Planner(rng, street, urban, dusk)
    planner.add_buildings()
    planner.add_traffic()
    planner.add_signals()
    planner.add_signs()
    planner.add_people()
    planner.add_two_wheelers()
    planner.add_furniture()
    planner.add_plants()
    things = (own_car(rng), *planner.things)
    return Scene(seed, index, street, palette, sky, exposure, things, urban)


def _street(rng: np.random.Generator, urban: bool) -> Street:
    lane = float(rng.uniform(3.0, 3.6))
    count = int(choose(rng, [2, 3, 4], [6, 1, 2.5] if urban else [9, 0.5, 0.5]))
    chance = 0.6 if urban else 0.4
    parking = (
        2.1 if rng.random() < chance else 0.0,
        2.1 if rng.random() < chance else 0.0,
    )
    # The middle line of the road is v = 0; with parking on one side it is not that of the lanes.
    half_width = (count * lane + sum(parking)) / 2 + 0.3
    right_edge = -half_width + parking[0] + 0.3
    middle = {2: 1, 3: 1, 4: 2}[count]
    edges = [right_edge + lane * k for k in range(1, count)]
    lanes = (edges[middle - 1], *[e for k, e in enumerate(edges) if k != middle - 1])
    own = right_edge + lane * (0.5 + int(rng.integers(middle)))
    crossing, arms, curvature = None, (True, True), 0.0
    kind = choose(rng, ["none", "cross", "tee"], [0.35, 0.42, 0.23])
    if kind == "none":
        if rng.random() < 0.55:
            curvature = float(rng.uniform(0.002, 0.011)) * (1 if rng.random() < 0.5 else -1)
    else:
        crossing = float(choose(rng, [rng.uniform(9, 22), rng.uniform(-16, 2)], [3, 1]))
        if kind == "tee":
            arms = (True, False) if rng.random() < 0.5 else (False, True)
    crossing_half = float(rng.uniform(3.0, 4.2))
    zebras: tuple[float, ...] = ()
    if crossing is not None and rng.random() < 0.6:
        reach = crossing_half + 4.4
        zebras = (crossing - reach,) if rng.random() < 0.4 else (crossing - reach, crossing + reach)
    elif crossing is None and rng.random() < 0.6:
        zebras = (float(choose(rng, [rng.uniform(6.5, 18), rng.uniform(-15, -6)], [3, 1])),)
    return Street(
        heading=float(rng.uniform(-0.08, 0.08)),
        offset=own + float(rng.uniform(-0.25, 0.25)),
        curvature=curvature,
        half_width=half_width,
        lanes=tuple(float(v) for v in lanes),
        parking=parking,
        pavement=float(rng.uniform(2.4, 4.6)) if urban else float(rng.uniform(1.9, 3.2)),
        verge=0.0 if urban or rng.random() < 0.5 else float(rng.uniform(0.8, 1.6)),
        crossing=crossing,
        crossing_half_width=crossing_half,
        arms=arms,
        zebras=zebras,
        lawn=not urban,
    )


def _sky(rng: np.random.Generator, dusk: bool) -> Sky:
    azimuth = float(rng.uniform(0, 2 * np.pi))
    weather = choose(rng, ["clear", "cloudy", "overcast"], [3, 4, 2.5])
    elevation = np.radians(rng.uniform(18, 26) if dusk else rng.uniform(22, 65))
    sun = (
        float(np.cos(elevation) * np.cos(azimuth)),
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
    )
    warm = float(np.clip((0.9 - elevation) / 0.6, 0, 1))
    if weather == "overcast":
        level = float(rng.uniform(0.9, 1.2)) * (0.5 if dusk else 1.0)
        horizon = (0.80 * level, 0.83 * level, 0.86 * level)
        zenith = (0.62 * level, 0.66 * level, 0.72 * level)
        sunlight = (0.0, 0.0, 0.0)
        clouds = float(rng.uniform(0.5, 0.8))
    elif dusk:
        horizon = (0.85, 0.50, 0.32)
        zenith = (0.12, 0.17, 0.32)
        sunlight = (1.3, 0.66, 0.30)
        clouds = float(rng.uniform(0.0, 0.5))
    else:
        horizon = vary(rng, (0.72, 0.82, 0.93), 0.04)
        zenith = vary(rng, (0.17, 0.33, 0.68), 0.12)
        sunlight = (2.7, 2.55 - 0.35 * warm, 2.35 - 0.85 * warm)
        clouds = 0.0 if weather == "clear" else float(rng.uniform(0.3, 0.65))
    bounce = tuple(0.10 * h + 0.07 * s * sun[2] for h, s in zip(horizon, sunlight, strict=True))
    return Sky(
        sun=sun,
        sunlight=sunlight,
        zenith=zenith,
        horizon=horizon,
        bounce=bounce,
        clouds=clouds,
        cloud_shift=(float(rng.uniform(0, 4000)), float(rng.uniform(0, 4000))),
        haze=float(choose(rng, [rng.uniform(130, 250), rng.uniform(500, 1500)], [1, 5])),
    )


def _palette(rng: np.random.Generator) -> GroundPalette:
    grey = float(rng.uniform(0.055, 0.16))
    slab = choose(
        rng, [(0.32, 0.30, 0.27), (0.24, 0.24, 0.24), (0.30, 0.20, 0.15), (0.36, 0.33, 0.27)]
    )
    return GroundPalette(
        asphalt=vary(rng, (grey, grey, grey * 1.03), 0.03),
        slabs=vary(rng, slab, 0.15),
        kerb=vary(rng, (0.36, 0.355, 0.34), 0.15),
        grass=vary(
            rng, choose(rng, [(0.07, 0.14, 0.03), (0.10, 0.15, 0.04), (0.16, 0.15, 0.06)]), 0.12
        ),
        yard=vary(rng, (0.25, 0.22, 0.19), 0.2),
        paint=choose(rng, [(0.62, 0.62, 0.60), (0.70, 0.70, 0.68), (0.55, 0.53, 0.48)]),
        slab_size=float(choose(rng, [0.3, 0.45, 0.6, 0.9])),
        wet=float(choose(rng, [0.0, rng.uniform(0.02, 0.10)], [4, 1])),
        wear=float(rng.uniform(0.15, 0.5)),
        shift=float(rng.uniform(0, 300)),
    )
