"""Casting rays into a scene: first what each ray meets, then the colours of what is seen.

Rays are sorted into tiles of 8 x 8 neighbours. A thing is tested only against the tiles whose cone
may touch its bounding box and that nothing nearer has filled, whatever the camera model; so the
same code renders fisheye pictures and panoramas. Colours are then worked out once per visible
pixel, all surfaces of one look together.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, UInt8

from data_prep.readers.synwoodscape import SKY_DEPTH
from data_prep.street.ground import GroundHits, ground_colours, ground_labels, meet_ground
from data_prep.street.light import Shadows, ambient, sky_radiance, surroundings
from data_prep.street.points import Points, leaf_plane
from data_prep.street.rays import TILE, RayTiles, nearest_in_box, tile_rays
from data_prep.street.scene import Scene
from data_prep.street.surfaces import SHADERS
from data_prep.street.texture import cloudy, grain, wrap
from data_prep.street.things import Holes, Label, Part, Thing

_SKYLINE = 230.0
_VALUES = 10
_INFINITY = np.float32(np.inf)

Picture = tuple[
    Float32[np.ndarray, "height width 3"],
    UInt8[np.ndarray, "height width"],
    Float32[np.ndarray, "height width"],
]


class Renderer:
    """A scene made ready for any number of pictures.

    Shadows and the tables of all parts' surfaces are computed once, here.
    """

    def __init__(self, scene: Scene) -> None:
        """Prepare the scene: cast its shadows and tabulate its surfaces."""
        self.scene = scene
        self._shadows = Shadows(scene.sky, scene.things)
        parts = [
            (part.surface.look, number, place)
            for number, thing in enumerate(scene.things)
            for place, part in enumerate(thing.parts)
        ]
        parts.sort()
        self._parts: list[tuple[Thing, Part]] = []
        self._number = [np.zeros(len(thing.parts), dtype=np.int32) for thing in scene.things]
        values = np.zeros((_VALUES, len(parts)), dtype=np.float32)
        for row, (_, number, place) in enumerate(parts):
            thing = scene.things[number]
            self._number[number][place] = row
            self._parts.append((thing, thing.parts[place]))
            numbers = thing.parts[place].surface.values
            values[: len(numbers), row] = numbers
        surfaces = [part.surface for _, part in self._parts]
        self._values = values
        self._colour = np.array([s.colour for s in surfaces], dtype=np.float32).T
        self._second = np.array([s.second for s in surfaces], dtype=np.float32).T
        self._gloss = np.array([s.gloss for s in surfaces], dtype=np.float32)
        self._look = np.array([int(s.look) for s in surfaces])
        self._seed = np.array([11 * number + 1 for _, number, _ in parts], dtype=np.int64)
        self._label = np.array([int(part.label) for _, part in self._parts], dtype=np.uint8)
        self._turns = [thing.rotation() for thing in scene.things]
        self._boxes = [thing.bounds() for thing in scene.things]

    def render(self, tiles: RayTiles, origin: Float[np.ndarray, " 3"]) -> Picture:
        """Cast rays from one point.

        Args:
            tiles: The rays, vehicle axes.
            origin: (3,) metres, vehicle axes.

        Returns:
            Linear radiance (height, width, 3) float32, class ids (height, width) uint8, and depth
            along the ray in metres (height, width) float32, 1000 for the sky.
        """
        origin = np.asarray(origin, dtype=np.float64)
        count = tiles.directions.shape[1] * tiles.directions.shape[2]
        rays = tiles.directions.reshape(3, count)
        labels = np.full(count, Label.SKY, dtype=np.uint8)
        depth = np.full(count, _INFINITY, dtype=np.float32)
        pixel = np.repeat(tiles.pixel, TILE * TILE)

        downward = np.flatnonzero(rays[2] < -1e-3)
        hits = meet_ground(self.scene.street, origin, rays.take(downward, axis=1))
        depth[downward] = hits.t
        horizon = self._meet_skyline(origin, rays, depth)
        part = self._meet_things(tiles, origin, depth)

        radiance = np.empty((3, count), dtype=np.float32)
        kept = (part[downward] < 0) & (depth[downward] == hits.t)
        ground = downward[kept]
        seen = GroundHits(*(getattr(hits, f)[kept] for f in ("t", "u", "v", "behind", "face")))
        labels[ground] = ground_labels(self.scene.street, seen)
        radiance[:, ground] = self._shade_ground(
            seen, labels[ground], origin, rays.take(ground, axis=1), pixel[ground]
        )
        horizon = horizon[part[horizon] < 0]
        labels[horizon] = Label.BUILDING if self.scene.urban else Label.VEGETATION
        radiance[:, horizon] = self._shade_skyline(
            origin, rays.take(horizon, axis=1), depth[horizon]
        )
        sky = np.flatnonzero(np.isinf(depth))
        radiance[:, sky] = sky_radiance(self.scene.sky, rays.take(sky, axis=1))
        visible = np.flatnonzero(part >= 0)
        visible = visible[np.argsort(part[visible], kind="stable")]
        labels[visible] = self._label[part[visible]]
        radiance[:, visible] = self._shade_things(
            part[visible], origin, rays.take(visible, axis=1), depth[visible], pixel[visible]
        )
        haze = 1 - np.exp(depth / np.float32(-self.scene.sky.haze))
        haze[sky] = 0
        air = np.asarray(self.scene.sky.horizon, dtype=np.float32)[:, None] * np.float32(0.9)
        radiance += (air - radiance) * haze
        depth[sky] = SKY_DEPTH
        colour = np.stack([tiles.picture(channel) for channel in radiance], axis=-1)
        return colour, tiles.picture(labels), tiles.picture(depth)

    def _meet_skyline(self, origin: np.ndarray, rays: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Indices of the rays that end at the distant skyline; their depth is filled in."""
        level = np.flatnonzero((np.abs(rays[2]) < 0.14) & (depth > _SKYLINE * 0.9))
        dx, dy, dz = rays.take(level, axis=1)
        a = dx * dx + dy * dy
        b = np.float32(origin[0]) * dx + np.float32(origin[1]) * dy
        c = np.float32(origin[0] ** 2 + origin[1] ** 2 - _SKYLINE**2)
        t = (-b + np.sqrt(b * b - a * c)) / a
        bearing = np.arctan2(np.float32(origin[1]) + t * dy, np.float32(origin[0]) + t * dx)
        low = np.float32(13.0 if self.scene.urban else 6.0)
        shift = np.float32(17 * self.scene.index)
        blocks = np.floor(bearing * 22) if self.scene.urban else bearing * 22
        height = low * (0.4 + cloudy(blocks * 3 + shift, blocks * 0, 12.0))
        if not self.scene.urban:
            height = height + 2.5 * grain(bearing * _SKYLINE, bearing * 0, 4.0)
        found = (np.float32(origin[2]) + t * dz < height) & (t < depth[level])
        depth[level[found]] = t[found]
        return level[found]

    def _meet_things(self, tiles: RayTiles, origin: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Part number (pixels,) int32 of what each ray meets, -1 for none; lowers `depth`."""
        count = tiles.axes.shape[1]
        depth = depth.reshape(count, TILE * TILE)
        part = np.full(depth.shape, -1, dtype=np.int32)
        farthest = depth.max(axis=1)
        order = []
        for number, thing in enumerate(self.scene.things):
            low, high = self._boxes[number]
            centre = np.asarray(thing.position) + self._turns[number] @ ((low + high) / 2)
            order.append((np.linalg.norm(centre - origin) - np.linalg.norm(high - low) / 2, number))
        for distance, number in sorted(order):
            thing, turn = self.scene.things[number], self._turns[number].astype(np.float32)
            low, high = self._boxes[number]
            local = (turn.T @ (origin - np.asarray(thing.position))).astype(np.float32)
            radius = np.linalg.norm(high - low) / 2
            candidates = np.flatnonzero(farthest > distance)
            if distance > 0.05:
                half = np.arcsin(radius / (distance + radius))
                towards = turn @ ((low + high) / 2 - local).astype(np.float32)
                towards /= np.linalg.norm(towards)
                cone = np.cos(np.minimum(half + tiles.spread[candidates], np.pi))
                candidates = candidates[towards @ tiles.axes.take(candidates, axis=1) >= cone]
            axes = turn.T @ tiles.axes.take(candidates, axis=1)
            near = nearest_in_box(axes, local, low, high, tiles.spread[candidates])
            touched = near < farthest[candidates]
            candidates, axes = candidates[touched], axes[:, touched]
            if not candidates.size:
                continue
            self._meet_thing(number, tiles, candidates, axes, local, depth, part, farthest)
        return part.reshape(-1)

    def _meet_thing(
        self,
        number: int,
        tiles: RayTiles,
        chosen: np.ndarray,
        axes: np.ndarray,
        local: np.ndarray,
        depth: np.ndarray,
        part: np.ndarray,
        farthest: np.ndarray,
    ) -> None:
        """Test the parts of one thing against the rays of the chosen tiles."""
        thing, turn = self.scene.things[number], self._turns[number].astype(np.float32)
        size = TILE * TILE
        rays = turn.T @ tiles.directions.take(chosen, axis=1).reshape(3, -1)
        low, high = self._boxes[number]
        # Start where the ray passes the middle of the thing: float32 then resolves the thing's
        # size instead of the camera's distance.
        middle = ((low + high) / 2).astype(np.float32) - local
        shift = np.maximum(middle @ rays, 0)
        start = local[:, None] + rays * shift
        limit = np.float32(1e-3) - shift
        best = depth[chosen].reshape(-1) - shift
        found = np.full(best.shape, -1, dtype=np.int32)
        spread, reach = tiles.spread[chosen], farthest[chosen]
        for place, piece in enumerate(thing.parts):
            rows: np.ndarray | slice = slice(None)
            if chosen.size > 12 and len(thing.parts) > 1:
                piece_low, piece_high = piece.solid.bounds()
                near = nearest_in_box(axes, local, piece_low, piece_high, spread)
                touched = np.flatnonzero(near < reach)
                if not touched.size:
                    continue
                if touched.size < 0.9 * chosen.size:
                    rows = (touched[:, None] * size + np.arange(size)).ravel()
            o, d, first = start[:, rows], rays[:, rows], limit[rows]
            t = piece.solid.hit(o, d, first)
            if piece.holes != Holes.NONE:
                _cut_holes(piece, o, d, t)
            better = t < best[rows]
            if isinstance(rows, slice):
                best[better] = t[better]
                found[better] = self._number[number][place]
            else:
                index = rows[better]
                best[index] = t[better]
                found[index] = self._number[number][place]
        met = (found >= 0).reshape(-1, size)
        hit_tiles = np.flatnonzero(met.any(axis=1))
        if not hit_tiles.size:
            return
        index, met = chosen[hit_tiles], met[hit_tiles]
        total = (best + shift).reshape(-1, size)[hit_tiles]
        depth[index] = np.where(met, total, depth[index])
        part[index] = np.where(met, found.reshape(-1, size)[hit_tiles], part[index])
        farthest[index] = depth[index].max(axis=1)

    def _shade_ground(
        self,
        hits: GroundHits,
        labels: np.ndarray,
        origin: np.ndarray,
        rays: np.ndarray,
        pixel: np.ndarray,
    ) -> np.ndarray:
        points = np.asarray(origin, dtype=np.float32)[:, None] + hits.t * rays
        slant = np.maximum(np.abs(rays[2]), 0.02)
        footprint = hits.t * pixel / np.sqrt(slant)
        colour, gloss = ground_colours(
            self.scene.street, self.scene.palette, hits, labels, points[0], points[1], footprint
        )
        normal = np.zeros_like(points)
        normal[2] = 1
        open_sky = self._shadows.openness(points[0], points[1])
        return self._light(points, normal, rays, colour, gloss, open_sky)

    def _shade_skyline(self, origin: np.ndarray, rays: np.ndarray, depth: np.ndarray) -> np.ndarray:
        points = np.asarray(origin, dtype=np.float32)[:, None] + depth * rays
        bearing = np.arctan2(points[1], points[0])
        if self.scene.urban:
            block = np.floor(bearing * 22)
            tone = 0.12 + 0.3 * cloudy(block * 5, block * 0 + 3, 9.0)
            tone = tone * (0.8 + 0.4 * (wrap(points[2], 3.0) < 1.4))
            colour = tone * np.array([[1.0], [0.95], [0.9]], dtype=np.float32)
        else:
            tone = 0.5 + cloudy(bearing * _SKYLINE, points[2] * 2, 10.0)
            colour = tone * np.array([[0.05], [0.09], [0.035]], dtype=np.float32)
        sky = self.scene.sky
        light = np.asarray(sky.horizon) * 0.5 + 0.3 * np.asarray(sky.sunlight)
        return colour * light.astype(np.float32)[:, None]

    def _shade_things(
        self,
        part: np.ndarray,
        origin: np.ndarray,
        rays: np.ndarray,
        depth: np.ndarray,
        pixel: np.ndarray,
    ) -> np.ndarray:
        """Radiance (3, M) of parts, which are sorted by number and so by look."""
        points = np.asarray(origin, dtype=np.float32)[:, None] + depth * rays
        place = np.empty_like(points)
        normal = np.empty_like(points)
        world_normal = np.empty_like(points)
        edges = np.flatnonzero(np.diff(part, prepend=-1, append=-1))
        for begin, end in pairwise(edges):
            thing, piece = self._parts[part[begin]]
            turn = thing.rotation().astype(np.float32)
            shift = np.asarray(thing.position, dtype=np.float32)[:, None]
            span = slice(begin, end)
            place[:, span] = turn.T @ (points[:, span] - shift)
            normal[:, span] = piece.solid.normals(place[:, span])
            world_normal[:, span] = turn @ normal[:, span]
        facing = np.abs((world_normal * rays).sum(axis=0))
        footprint = depth * pixel / np.sqrt(np.maximum(facing, 0.08))
        colour = np.empty_like(points)
        gloss = np.empty_like(depth)
        glow = np.zeros_like(points)
        looks = self._look[part]
        edges = np.flatnonzero(np.diff(looks, prepend=-1, append=-1))
        for begin, end in pairwise(edges):
            span = slice(begin, end)
            numbers = part[span]
            at = Points(
                place[:, span],
                normal[:, span],
                footprint[span],
                self._colour.take(numbers, axis=1),
                self._second.take(numbers, axis=1),
                self._gloss[numbers],
                self._values.take(numbers, axis=1),
                self._seed[numbers],
            )
            albedo, shine, own = SHADERS[looks[begin]](at)
            colour[:, span], gloss[span] = albedo, shine
            if own is not None:
                glow[:, span] = own
        open_sky = np.clip(0.55 + 0.45 * points[2] / 0.7, 0.4, 1)
        return self._light(points, world_normal, rays, colour, gloss, open_sky) + glow

    def _light(
        self,
        points: np.ndarray,
        normal: np.ndarray,
        rays: np.ndarray,
        colour: np.ndarray,
        gloss: np.ndarray,
        open_sky: np.ndarray,
    ) -> np.ndarray:
        """Radiance (3, M) of lit surfaces: sky, sun with shadow, and mirrored surroundings."""
        sky = self.scene.sky
        light = ambient(sky, normal) * open_sky
        if max(sky.sunlight) > 0:
            sun = np.asarray(sky.sun, dtype=np.float32)
            share = np.maximum(sun @ normal, 0)
            facing = np.flatnonzero(share > 0)
            share[facing] *= self._shadows.lit(points[:, facing], normal[:, facing])
            light = light + np.asarray(sky.sunlight, dtype=np.float32)[:, None] * share
        radiance = colour * light
        shiny = np.flatnonzero(gloss > 0.015)
        if shiny.size:
            n, d = normal.take(shiny, axis=1), rays.take(shiny, axis=1)
            cosine = (n * d).sum(axis=0)
            # Schlick's approximation of the Fresnel reflectance.
            mirror = gloss[shiny] + (1 - gloss[shiny]) * np.clip(1 + cosine, 0, 1) ** 5 * 0.8
            reflected = surroundings(sky, d - 2 * cosine * n)
            radiance[:, shiny] += (reflected - radiance[:, shiny]) * mirror
        return radiance


def _cut_holes(piece: Part, origin: np.ndarray, direction: np.ndarray, t: np.ndarray) -> None:
    """Set t to inf where the solid's surface lets the ray pass."""
    index = np.flatnonzero(np.isfinite(t))
    if not index.size:
        return
    points = origin[:, index] + t[index] * direction[:, index]
    x, _, z = points
    if piece.holes == Holes.LEAVES:
        scale = np.float32(piece.surface.values[0])
        normals = piece.solid.normals(points)
        facing = np.abs((normals * direction.take(index, axis=1)).sum(axis=0))
        across, along = leaf_plane(points, normals)
        leafy = 0.6 * grain(across, along, 0.30 * scale) + 0.4 * grain(along, across, 0.9 * scale)
        gone = leafy < 0.36 + 0.25 * (1 - facing) ** 2
    elif piece.holes == Holes.SLATS:
        gone = wrap(x, 0.12) > 0.075
    else:
        radius, centre = piece.surface.values[:2]
        r = np.hypot(x - np.float32(centre), z - np.float32(radius)) / np.float32(radius)
        angle = np.arctan2(z - np.float32(radius), x - np.float32(centre))
        gone = (r < 0.86) & (r > 0.12) & (wrap(angle * np.float32(16 / (2 * np.pi)), 1) > 0.12)
    t[index[gone]] = _INFINITY


def render(
    scene: Scene, rays: Float[np.ndarray, "height width 3"], origin: Float[np.ndarray, " 3"]
) -> Picture:
    """Cast rays from one point into a scene.

    Args:
        scene: The scene.
        rays: (height, width, 3) unit vectors, vehicle axes.
        origin: (3,) metres, vehicle axes.

    Returns:
        Linear radiance (height, width, 3) float32, class ids (height, width) uint8, depth along
        the ray in metres (height, width) float32 with 1000 for the sky.
    """
    return Renderer(scene).render(tile_rays(rays), origin)
