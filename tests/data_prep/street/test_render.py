import numpy as np
import pytest

from data_prep.street import Label, Renderer, build_scene, render, surround_cameras
from data_prep.street.ground import meet_ground
from data_prep.street.layout import KERB_HEIGHT
from data_prep.street.rays import tile_rays
from data_prep.street.renderer import _cut_holes
from data_prep.street.things import Holes

SCENE = build_scene(7, 2)
ORIGIN = np.array([3.9, 0.1, 0.9])


def some_rays(height=40, width=52, seed=0):
    rng = np.random.default_rng(seed)
    longitude = np.linspace(-1.7, 1.7, width)[None, :] + rng.uniform(0, 0.01)
    latitude = np.linspace(0.7, -0.9, height)[:, None]
    return np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.broadcast_to(np.sin(latitude), (height, width)),
        ],
        axis=-1,
    )


def brute_force(scene, rays, origin):
    """Nearest part and its distance of every ray, in float64, with no tiles."""
    directions = rays.reshape(-1, 3).T
    best = np.full(directions.shape[1], np.inf)
    labels = np.full(directions.shape[1], -1)
    down = directions[2] < -1e-3
    hits = meet_ground(scene.street, origin, directions[:, down].astype(np.float32))
    best[down] = hits.t
    for thing in scene.things:
        turn = thing.rotation()
        local = (turn.T @ (origin - np.asarray(thing.position)))[:, None]
        local = np.broadcast_to(local, directions.shape)
        rays_local = turn.T @ directions
        for part in thing.parts:
            t = part.solid.hit(local, rays_local, 1e-3).astype(np.float64)
            if part.holes != Holes.NONE:
                _cut_holes(part, local, rays_local, t)
            better = t < best
            best[better], labels[better] = t[better], int(part.label)
    return best.reshape(rays.shape[:2]), labels.reshape(rays.shape[:2])


@pytest.mark.parametrize("index", [2, 3])
def test_tiles_find_what_brute_force_finds(index):
    scene = build_scene(7, index)
    rays = some_rays()
    _, labels, depth = render(scene, rays, ORIGIN)
    expected_depth, expected_labels = brute_force(scene, rays, ORIGIN)
    things = expected_labels >= 0
    near = expected_depth < 200
    # Rays that graze an edge may fall on either side in float32; the others agree.
    agree = np.abs(depth - expected_depth) < 1e-4 * expected_depth + 1e-4
    assert agree[near].mean() > 0.995
    same = labels[things] == expected_labels[things]
    assert same.mean() > 0.995
    assert (labels[things & agree] == expected_labels[things & agree]).mean() > 0.999


def test_the_arrangement_of_the_rays_does_not_matter():
    rays = some_rays()
    renderer = Renderer(SCENE)
    _, labels, depth = renderer.render(tile_rays(rays), ORIGIN)
    shuffle = np.random.default_rng(2).permutation(rays.shape[0])
    _, shuffled_labels, shuffled_depth = renderer.render(tile_rays(rays[shuffle]), ORIGIN)
    assert (shuffled_labels == labels[shuffle]).mean() > 0.999
    close = np.abs(shuffled_depth - depth[shuffle]) <= 1e-4 * depth[shuffle]
    assert close.mean() > 0.999


def test_road_pixels_project_back_onto_the_road():
    camera = surround_cameras(128, 96)["FV"]
    u, v = np.meshgrid(np.arange(128.0), np.arange(96.0))
    rays = camera.unproject(np.stack([u, v], axis=-1)) @ camera.rotation().T
    origin = np.asarray(camera.translation)
    _, labels, depth = render(SCENE, rays, origin)
    height = origin[2] + depth * rays[..., 2]
    road = (labels == Label.ROAD) | (labels == Label.ROAD_LINE)
    assert road.mean() > 0.1
    assert np.abs(height[road]).max() < 1e-4
    kerb = labels == Label.SIDEWALK
    assert kerb.any()
    assert height[kerb].min() > -1e-4
    assert height[kerb].max() < KERB_HEIGHT + 1e-4
    assert (np.abs(height[kerb] - KERB_HEIGHT) < 1e-4).mean() > 0.6


def test_the_same_scene_gives_the_same_arrays():
    first = render(SCENE, some_rays(24, 32), ORIGIN)
    second = render(build_scene(7, 2), some_rays(24, 32), ORIGIN)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_tiles_keep_pixels_in_place_for_any_size():
    rays = some_rays(19, 21)
    tiles = tile_rays(rays)
    for axis in range(3):
        restored = tiles.picture(tiles.directions[axis].reshape(-1))
        np.testing.assert_allclose(restored, rays[..., axis], atol=1e-6)
    cosine = (tiles.axes[:, :, None] * tiles.directions).sum(axis=0)
    assert (np.arccos(np.clip(cosine, -1, 1)) <= tiles.spread[:, None] + 1e-3).all()


def test_rays_that_are_no_numbers_do_no_harm():
    rays = some_rays(24, 32)
    rays[:9, :9] = np.nan
    colour, labels, depth = render(SCENE, rays, ORIGIN)
    assert np.isfinite(colour).all()
    expected = render(SCENE, some_rays(24, 32), ORIGIN)
    np.testing.assert_array_equal(labels[9:, 9:], expected[1][9:, 9:])
    np.testing.assert_array_equal(depth[9:, 9:], expected[2][9:, 9:])


def test_shadows_fall_where_the_sun_is_hidden():
    scene = next(s for s in (build_scene(7, i) for i in range(1, 30)) if max(s.sky.sunlight) > 0)
    renderer = Renderer(scene)
    rng = np.random.default_rng(4)
    points = np.stack([rng.uniform(-15, 15, 300), rng.uniform(-15, 15, 300), np.zeros(300)])
    normal = np.array([[0.0], [0.0], [1.0]]) * np.ones((1, 300))
    share = renderer._shadows.lit(points.astype(np.float32), normal.astype(np.float32))
    sun = np.asarray(scene.sky.sun)[:, None] * np.ones((1, 300))
    hidden = np.zeros(300, dtype=bool)
    for thing in scene.things:
        turn = thing.rotation()
        start = turn.T @ (points - np.asarray(thing.position)[:, None])
        for part in thing.parts:
            hidden |= np.isfinite(part.solid.hit(start, turn.T @ sun, 0.05))
    assert hidden.any()
    assert not hidden.all()
    sure = (share == 0) | (share == 1)
    assert ((share[sure] == 0) == hidden[sure]).mean() > 0.95
