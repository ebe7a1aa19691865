import numpy as np
import pytest

from data_prep.street import Renderer, build_scene
from data_prep.street.points import Points
from data_prep.street.surfaces import SHADERS
from data_prep.street.things import Look


@pytest.fixture(scope="module")
def parts():
    """One part of each look that some scenes hold."""
    found = {}
    for index in range(1, 26):
        for thing in build_scene(17, index).things:
            for part in thing.parts:
                found.setdefault(part.surface.look, part)
    return found


def test_every_look_has_a_shader():
    assert set(SHADERS) == set(Look)


@pytest.mark.parametrize("look", list(Look))
def test_colours_are_finite_and_not_brighter_than_white(parts, look):
    part = parts[look]
    low, high = part.solid.bounds()
    rng = np.random.default_rng(1)
    count = 500
    origin = ((low + high) / 2)[:, None] + 30 * rng.standard_normal((3, count))
    target = rng.uniform(low, high, (count, 3)).T
    origin, direction = origin.astype(np.float32), (target - origin).astype(np.float32)
    t = part.solid.hit(origin, direction, np.float32(0))
    met = np.isfinite(t)
    place = origin[:, met] + t[met] * direction[:, met]
    number = place.shape[1]
    assert number > 50
    values = np.zeros((10, number), dtype=np.float32)
    values[: len(part.surface.values)] = np.array(part.surface.values).reshape(-1, 1)
    at = Points(
        place,
        part.solid.normals(place),
        np.full(number, 0.02, dtype=np.float32),
        np.repeat(np.float32(part.surface.colour)[:, None], number, axis=1),
        np.repeat(np.float32(part.surface.second)[:, None], number, axis=1),
        np.full(number, part.surface.gloss, dtype=np.float32),
        values,
        np.full(number, 12, dtype=np.int64),
    )
    colour, gloss, light = SHADERS[look](at)
    assert colour.shape == (3, number)
    assert np.isfinite(colour).all()
    assert colour.min() >= -1e-3
    assert colour.max() < 1.6
    assert gloss.min() >= 0
    assert gloss.max() <= 1
    if light is not None:
        assert light.shape == (3, number)
        assert light.min() >= 0


def test_parts_are_tabulated_by_look():
    scene = build_scene(17, 1)
    renderer = Renderer(scene)
    assert len(renderer._parts) == sum(len(thing.parts) for thing in scene.things)
    looks = [int(part.surface.look) for _, part in renderer._parts]
    assert looks == sorted(looks)
