from dataclasses import replace

import numpy as np
import pytest

from data_prep.street.ground import ground_labels, meet_ground
from data_prep.street.layout import CORNER_RADIUS, KERB_HEIGHT, Street
from data_prep.street.things import Label

STREET = Street(
    heading=0.1,
    offset=-1.7,
    curvature=0.0,
    half_width=4.0,
    lanes=(0.0,),
    parking=(0.0, 0.0),
    pavement=3.0,
    verge=0.0,
    crossing=12.0,
    crossing_half_width=3.5,
    arms=(True, False),
    zebras=(5.0,),
    lawn=False,
)
CURVED = replace(STREET, crossing=None, curvature=-0.009, zebras=())


@pytest.mark.parametrize("street", [STREET, CURVED])
def test_place_inverts_to_street(street):
    rng = np.random.default_rng(1)
    for u, v in zip(rng.uniform(-60, 60, 40), rng.uniform(-15, 15, 40), strict=True):
        x, y, _ = street.place(u, v)
        found = street.to_street(np.float64([x]), np.float64([y]))
        np.testing.assert_allclose(np.concatenate(found), [u, v], atol=1e-4)


@pytest.mark.parametrize("street", [STREET, CURVED])
def test_yaw_is_the_direction_of_growing_u(street):
    x, y, yaw = street.place(20.0, 2.0)
    ahead = street.place(20.0001, 2.0)
    assert np.arctan2(ahead[1] - y, ahead[0] - x) == pytest.approx(yaw, abs=1e-5)


def test_the_vehicle_stands_at_u_zero():
    u, v = STREET.to_street(np.zeros(1), np.zeros(1))
    np.testing.assert_allclose([u[0], v[0]], [0, STREET.offset], atol=1e-6)


def test_distance_behind_the_kerb():
    u = np.array([-20.0, -20.0, 12.0, 12.0, -20.0])
    v = np.array([0.0, 5.0, -30.0, 30.0, -4.5])
    expected = [-4.0, 1.0, -3.5, 26.0, 0.5]  # the arm on the left is closed
    np.testing.assert_allclose(STREET.beyond_kerb(u, v), expected, atol=1e-6)


def test_distance_behind_the_kerb_is_continuous_and_no_steeper_than_one():
    u, v = np.meshgrid(np.arange(0, 25, 0.02), np.arange(-12, -2, 0.02))
    behind = STREET.beyond_kerb(u.astype(np.float64), v.astype(np.float64))
    assert np.abs(np.diff(behind, axis=0)).max() < 0.0201
    assert np.abs(np.diff(behind, axis=1)).max() < 0.0201


def test_corners_are_round():
    corner_u = STREET.crossing - STREET.crossing_half_width
    sharp = STREET.beyond_kerb(np.array([corner_u - 0.1]), np.array([-STREET.half_width - 0.1]))
    assert sharp[0] < 0
    centre = STREET.beyond_kerb(
        np.array([corner_u - CORNER_RADIUS]), np.array([-STREET.half_width - CORNER_RADIUS])
    )
    assert centre[0] == pytest.approx(CORNER_RADIUS, abs=1e-5)


def downward_rays(count, seed=3):
    rng = np.random.default_rng(seed)
    rays = rng.standard_normal((3, count))
    rays[2] = -np.abs(rays[2]) - 0.02
    return (rays / np.linalg.norm(rays, axis=0)).astype(np.float32)


@pytest.mark.parametrize("street", [STREET, CURVED])
def test_ground_is_met_on_its_surface(street):
    origin = np.array([1.0, 0.5, 1.1])
    rays = downward_rays(4000)
    hits = meet_ground(street, origin, rays)
    points = origin[:, None] + hits.t.astype(np.float64) * rays
    u, v = street.to_street(points[0], points[1])
    behind = street.beyond_kerb(u, v)
    road = (hits.behind < 0) & ~hits.face
    top = ~road & ~hits.face
    tolerance = 2e-6 * hits.t + 1e-6
    assert (np.abs(points[2][road]) < tolerance[road]).all()
    assert (np.abs(points[2][top] - KERB_HEIGHT) < tolerance[top]).all()
    assert hits.face.any()
    face = points[2][hits.face]
    assert (face > -1e-5).all()
    assert (face < KERB_HEIGHT + 1e-5).all()
    assert (np.abs(behind[hits.face]) < 2e-4).all()


def test_painted_marks_are_where_the_plan_says():
    u = np.array([5.0, 5.0, -20.0, 12.0, -20.0, -20.0])
    v = np.array([0.5, 1.0, 2.0, 0.0, 5.0, 8.0])
    origin = np.array([0.0, 0.0, 2.0])
    ground = np.array([STREET.place(*uv)[:2] for uv in zip(u, v, strict=True)])
    height = np.where(np.abs(v) > 4, KERB_HEIGHT, 0)
    rays = np.vstack([ground.T, height - 2.0])
    rays = (rays / np.linalg.norm(rays, axis=0)).astype(np.float32)
    labels = ground_labels(STREET, meet_ground(STREET, origin, rays))
    expected = [
        Label.ROAD_LINE,
        Label.ROAD,
        Label.ROAD,
        Label.ROAD,
        Label.SIDEWALK,
        Label.GROUND,
    ]
    assert labels.tolist() == [int(label) for label in expected]
