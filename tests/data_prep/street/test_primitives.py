import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.street.primitives import Box, Capsule, Drum, Ellipsoid, extrude

SOLIDS = {
    "box": Box((-0.4, -0.7, -0.2), (0.9, 0.3, 1.1)),
    "ellipsoid": Ellipsoid((0.2, -0.1, 0.3), (0.5, 0.9, 0.4)),
    "capsule": Capsule((-0.5, 0.1, -0.4), (0.6, -0.2, 0.7), 0.25),
    "upright capsule": Capsule((0.1, 0.2, -0.6), (0.1, 0.2, 0.8), 0.3),
    "wheel": Drum((0.1, 0.2, -0.1), 1, 0.7, 0.2),
    "mast": Drum((0.1, 0.2, -0.1), 2, 0.3, 0.8),
    "car": extrude(
        [(-0.9, -0.3), (-0.8, 0.4), (0.5, 0.5), (0.9, 0.1), (0.9, -0.3)],
        0.5,
        lean=0.2,
        lean_from=0.1,
        corner=0.2,
    ),
    "roof": extrude([(-0.7, 0.0), (0.0, 0.6), (0.7, 0.0)], 0.8, axis="x"),
    "plate": extrude([(-0.7, -0.5), (-0.7, 0.5), (0.4, 0.6), (0.6, 0.0)], 0.3, axis="z"),
}


def inside(solid, points, margin=0.0):
    """Whether points (3, M) lie in the solid grown by margin, from its definition."""
    x = points
    if isinstance(solid, Box):
        low, high = np.array(solid.low)[:, None], np.array(solid.high)[:, None]
        return ((x > low - margin) & (x < high + margin)).all(axis=0)
    if isinstance(solid, Ellipsoid):
        radii = np.array(solid.radii)[:, None] + margin
        return (((x - np.array(solid.centre)[:, None]) / radii) ** 2).sum(axis=0) < 1
    if isinstance(solid, Capsule):
        a, b = np.array(solid.first), np.array(solid.second)
        steps = np.linspace(0, 1, 4001)
        spine = a[:, None] + (b - a)[:, None] * steps
        place = np.clip((b - a) @ (x - a[:, None]) / ((b - a) @ (b - a)), 0, 1)
        nearest = spine[:, np.round(place * 4000).astype(int)]
        return np.linalg.norm(x - nearest, axis=0) < solid.radius + margin
    if isinstance(solid, Drum):
        to = x - np.array(solid.centre)[:, None]
        along = np.abs(to[solid.axis]) < solid.half_length + margin
        radial = np.sqrt((to**2).sum(axis=0) - to[solid.axis] ** 2)
        return along & (radial < solid.radius + margin)
    planes = np.array(solid.planes)
    return (planes[:, :3] @ x < planes[:, 3:] + margin).all(axis=0)


def rays(seed, count=30):
    rng = np.random.default_rng(seed)
    origin = rng.standard_normal((3, count))
    origin = origin / np.linalg.norm(origin, axis=0) * rng.uniform(2.0, 4.0, count)
    target = rng.uniform(-1.0, 1.0, (3, count))
    direction = (target - origin) * rng.uniform(0.3, 2.0, count)
    return origin.astype(np.float32), direction.astype(np.float32)


@pytest.mark.parametrize("name", SOLIDS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_hit_agrees_with_marching_along_the_ray(name, seed):
    solid = SOLIDS[name]
    origin, direction = rays(seed)
    t = solid.hit(origin, direction, np.float32(0))
    steps = np.linspace(0, 12, 600)
    for ray in range(t.size):
        o, d = origin[:, ray, None].astype(float), direction[:, ray, None].astype(float)
        d_length = np.linalg.norm(d)
        march = o + d / d_length * steps
        if not np.isfinite(t[ray]):
            assert not inside(solid, march, -2e-3).any()
            continue
        before = march[:, steps < t[ray] * d_length - 2e-3]
        assert not inside(solid, before, -2e-3).any()
        meet = o + d * float(t[ray])
        assert inside(solid, meet, 2e-3)[0]
        assert not inside(solid, meet, -2e-3)[0]


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_are_unit_and_point_outwards(name):
    solid = SOLIDS[name]
    origin, direction = rays(5, 400)
    t = solid.hit(origin, direction, np.float32(0))
    met = np.isfinite(t)
    assert met.sum() > 50
    points = origin[:, met] + t[met] * direction[:, met]
    normals = solid.normals(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-5)
    assert ((normals * direction[:, met]).sum(axis=0) < 1e-3).all()
    assert not inside(solid, points + 0.01 * normals).any()
    assert inside(solid, points - 0.01 * normals).mean() > 0.97  # but for sharp edges


@pytest.mark.parametrize("name", SOLIDS)
def test_bounds_hold_every_hit(name):
    solid = SOLIDS[name]
    origin, direction = rays(6, 400)
    t = solid.hit(origin, direction, np.float32(0))
    met = np.isfinite(t)
    low, high = solid.bounds()
    points = origin[:, met] + t[met] * direction[:, met]
    assert (points >= low[:, None] - 1e-3).all()
    assert (points <= high[:, None] + 1e-3).all()


@pytest.mark.parametrize("name", SOLIDS)
def test_entries_before_the_start_do_not_count(name):
    solid = SOLIDS[name]
    origin, direction = rays(7)
    t = solid.hit(origin, direction, np.float32(0))
    met = np.isfinite(t)
    later = solid.hit(origin[:, met], direction[:, met], t[met] * 1.01)
    assert np.isinf(later).all()


def test_axis_parallel_rays_meet_a_box_exactly():
    box = Box((1.0, -1.0, -1.0), (2.0, 1.0, 1.0))
    direction = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    t = box.hit(np.zeros((3, 1), dtype=np.float32), direction, np.float32(0))
    np.testing.assert_array_equal(t, [1.0, np.inf, np.inf])


def test_a_ray_along_the_axis_of_a_capsule_meets_its_end():
    capsule = Capsule((0, 0, 0), (0, 0, 2), 0.5)
    origin = np.array([[0.0], [0.0], [5.0]], dtype=np.float32)
    direction = np.array([[0.001], [0.0], [-1.0]], dtype=np.float32)
    assert capsule.hit(origin, direction, np.float32(0))[0] == pytest.approx(2.5, abs=1e-3)


def test_a_profile_that_is_not_convex_is_refused():
    with pytest.raises(ValueError, match="convex"):
        extrude([(0, 0), (1, 0), (0.2, 0.2), (0, 1)], 0.5)


def test_an_unknown_axis_is_refused():
    with pytest.raises(ValueError, match="axis='w'"):
        extrude([(0, 0), (1, 0), (0, 1)], 0.5, axis="w")
