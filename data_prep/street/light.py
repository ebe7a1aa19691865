"""Sun, sky, haze and shadows.

Shadows come from a shadow map made by the same ray casting as the pictures: a grid of rays
parallel to the sunlight, one per point of the ground plane around the car, remembers the height H
at which each ray first meets a thing. A point at height z is lit if its ray has H below z. The map
is addressed by where the ray through the point meets the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.street.primitives import Vector
from data_prep.street.texture import cloudy
from data_prep.street.things import Colour, Thing

_MAP_HALF = 48.0
_MAP_STEP = 0.14
_MAP_SIZE = int(2 * _MAP_HALF / _MAP_STEP)
_CEILING = 45.0
_CONTACT_STEP = 0.12
_CONTACT_SIZE = int(2 * 30.0 / _CONTACT_STEP)


@dataclass(frozen=True)
class Sky:
    """Light of a scene, linear RGB.

    Args:
        sun: Unit vector towards the sun, vehicle axes.
        sunlight: Irradiance of the direct light; zero when overcast.
        zenith: Radiance overhead.
        horizon: Radiance at the horizon; also the colour of haze.
        bounce: Light that comes from below.
        clouds: Share of the sky under cloud, 0 to 1.
        cloud_shift: Place of the clouds in the noise, metres.
        haze: Distance at which haze has swallowed 63 % of the contrast, metres.
    """

    sun: Vector
    sunlight: Colour
    zenith: Colour
    horizon: Colour
    bounce: Colour
    clouds: float
    cloud_shift: tuple[float, float]
    haze: float


def _column(values: tuple[float, ...]) -> np.ndarray:
    return np.asarray(values, dtype=np.float32).reshape(-1, 1)


def sky_radiance(sky: Sky, direction: np.ndarray) -> np.ndarray:
    """Radiance (3, M) from unit directions (3, M) at or above the horizon."""
    up = np.clip(direction[2], 0, 1)
    rise = np.sqrt(up)
    colour = _column(sky.horizon) * (1 - rise) + _column(sky.zenith) * rise
    towards = np.clip(_column(sky.sun).T @ direction, 0, 1)[0]
    glow = 0.10 * towards**6 + 0.35 * towards**48
    sunlight = _column(sky.sunlight)
    colour += sunlight * (glow + 14.0 * (towards > 0.99985))
    if sky.clouds > 0:
        inverse = 900 / (up + np.float32(0.10))
        x = direction[0] * inverse + np.float32(sky.cloud_shift[0])
        y = direction[1] * inverse + np.float32(sky.cloud_shift[1])
        density = cloudy(x, y, 1500.0)
        edge = np.float32(0.9 - 0.8 * sky.clouds)
        cover = np.clip((density - edge) / np.float32(0.22), 0, 1)
        cover = cover * np.clip(up * 6 + 0.25, 0, 1)
        dark = np.clip((density - edge) * np.float32(1.2), 0, 0.5)
        white = sunlight * 0.22 + (_column(sky.horizon) + _column(sky.zenith)) * 0.42
        white = white * (1 - dark + 0.35 * towards**4)
        colour = colour * (1 - cover) + white * cover
    return colour


def surroundings(sky: Sky, direction: np.ndarray) -> np.ndarray:
    """What a glossy surface mirrors from directions (3, M): sky, a vague skyline, the road."""
    skyline = 0.10 + 0.28 * cloudy(direction[0] * 40, direction[1] * 40, 30.0)
    above = np.clip((direction[2] - skyline) * 12, 0, 1)
    horizon = _column(sky.horizon)
    dim = horizon * 0.22 + _column(sky.bounce) * 0.3
    return sky_radiance(sky, direction) * above + dim * (1 - above)


def ambient(sky: Sky, normal: np.ndarray) -> np.ndarray:
    """Irradiance (3, M) of the whole sky and the ground on surfaces of normal (3, M)."""
    share = 0.5 + 0.5 * normal[2]
    dome = 0.55 * _column(sky.zenith) + 0.45 * _column(sky.horizon)
    return dome * share + _column(sky.bounce) * (1 - share)


class Shadows:
    """Shadow map of a scene and the contact shadows under its things."""

    def __init__(self, sky: Sky, things: tuple[Thing, ...]) -> None:
        """Cast the map.

        Args:
            sky: Its sun; a scene without sunlight has no shadow map.
            things: What casts shadows.
        """
        self._height: np.ndarray | None = None
        self._slope = np.asarray(sky.sun[:2], dtype=np.float32) / np.float32(sky.sun[2])
        if max(sky.sunlight) > 0:
            self._height = self._cast(things)
        self._contact = _contact_map(things)

    def _cast(self, things: tuple[Thing, ...]) -> np.ndarray:
        height = np.full((_MAP_SIZE, _MAP_SIZE), -1.0, dtype=np.float32)
        sun = np.append(self._slope, np.float32(1)).astype(np.float64)
        axis = (np.arange(_MAP_SIZE, dtype=np.float32) + 0.5) * _MAP_STEP - _MAP_HALF
        for thing in things:
            low, high = thing.bounds()
            corners = np.array(
                [
                    [x, y, z]
                    for x in (low[0], high[0])
                    for y in (low[1], high[1])
                    for z in (low[2], high[2])
                ]
            )
            turn = thing.rotation()
            world = corners @ turn.T + np.asarray(thing.position)
            ground = world[:, :2] - world[:, 2:] * sun[:2]
            start = np.floor((ground.min(axis=0) + _MAP_HALF) / _MAP_STEP).astype(int)
            stop = np.ceil((ground.max(axis=0) + _MAP_HALF) / _MAP_STEP).astype(int) + 1
            start, stop = np.clip(start, 0, _MAP_SIZE), np.clip(stop, 0, _MAP_SIZE)
            if (stop <= start).any() or (high - low).max() < 0.3:
                continue
            window = (slice(start[1], stop[1]), slice(start[0], stop[0]))
            x, y = np.meshgrid(axis[window[1]], axis[window[0]])
            down = (turn.T @ -sun).astype(np.float32)[:, None]
            position = np.asarray(thing.position, dtype=np.float32)
            top = np.float32(world[:, 2].max() + 0.5)
            origin = np.stack(
                [
                    x.ravel() + top * self._slope[0] - position[0],
                    y.ravel() + top * self._slope[1] - position[1],
                    np.full(x.size, top - position[2], dtype=np.float32),
                ]
            )
            origin = turn.T.astype(np.float32) @ origin
            nearest = np.full(x.size, np.inf, dtype=np.float32)
            for part in thing.parts:
                nearest = np.minimum(nearest, part.solid.hit(origin, down, np.float32(0)))
            found = (top - nearest).reshape(x.shape)
            height[window] = np.maximum(height[window], found)
        return height

    def lit(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray | float:
        """Share of sunlight, 0 to 1, that reaches points (3, M) of surfaces with normals (3, M)."""
        if self._height is None:
            return 1.0
        # The start is lifted off the surface, so that it does not shade itself.
        x, y, z = points + np.float32(0.10) * normals
        u = (x - z * self._slope[0] + np.float32(_MAP_HALF)) / np.float32(_MAP_STEP) - np.float32(
            0.5
        )
        v = (y - z * self._slope[1] + np.float32(_MAP_HALF)) / np.float32(_MAP_STEP) - np.float32(
            0.5
        )
        u = np.clip(u, -2, _MAP_SIZE + 1)
        v = np.clip(v, -2, _MAP_SIZE + 1)
        i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
        fu, fv = u - i, v - j
        inside = (i >= 0) & (j >= 0) & (i < _MAP_SIZE - 1) & (j < _MAP_SIZE - 1)
        flat = np.where(inside, j * _MAP_SIZE + i, 0)
        heights = self._height.ravel()
        bias = np.float32(0.12)
        share = np.zeros_like(u)
        for step, weight in (
            (0, (1 - fu) * (1 - fv)),
            (1, fu * (1 - fv)),
            (_MAP_SIZE, (1 - fu) * fv),
            (_MAP_SIZE + 1, fu * fv),
        ):
            share += weight * (heights[flat + step] < z + bias)
        return np.where(inside, share, 1).astype(np.float32)

    def openness(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of the sky, 0 to 1, that points x, y (M,) of the ground see beside things."""
        half = np.float32(_CONTACT_SIZE / 2)
        u = np.clip(x / np.float32(_CONTACT_STEP) + half, 0, _CONTACT_SIZE - 1).astype(np.int32)
        v = np.clip(y / np.float32(_CONTACT_STEP) + half, 0, _CONTACT_SIZE - 1).astype(np.int32)
        return self._contact.ravel()[v * _CONTACT_SIZE + u]


def _contact_map(things: tuple[Thing, ...]) -> np.ndarray:
    covered = np.zeros((_CONTACT_SIZE, _CONTACT_SIZE), dtype=np.float32)
    for thing in things:
        if thing.footprint is None:
            continue
        a, b = thing.footprint
        corners = np.array([[a, b], [-a, b], [-a, -b], [a, -b]]) @ thing.rotation()[:2, :2].T
        corners = (corners + np.asarray(thing.position[:2])) / _CONTACT_STEP + _CONTACT_SIZE / 2
        if np.abs(corners).max() > 8 * _CONTACT_SIZE:
            continue
        cv2.fillConvexPoly(covered, np.round(corners).astype(np.int32), 1.0)
    wide = cv2.GaussianBlur(covered, (0, 0), 0.45 / _CONTACT_STEP)
    return 1 - 0.8 * np.maximum(wide, 0.9 * cv2.GaussianBlur(covered, (0, 0), 0.12 / _CONTACT_STEP))
