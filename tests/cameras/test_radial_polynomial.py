import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import RadialPolynomialCamera, camera_from_dict
from healswin.cameras.base import pixel_grid

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "woodscape_camera.npz")


@pytest.fixture(scope="module")
def woodscape():
    return camera_from_dict(json.loads(str(GOLDEN["calibration"])))


def angle_between(a, b):
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


@st.composite
def cameras(draw):
    """Plausible lenses: nearly equidistant, some turning back before 180 degrees."""
    f = draw(st.floats(50, 600))
    coefficients = (
        f,
        f * draw(st.floats(-0.2, 0.2)),
        f * draw(st.floats(-0.15, 0.2)),
        f * draw(st.floats(-0.03, 0.03)),
    )
    return RadialPolynomialCamera(
        coefficients[: draw(st.integers(1, 4))],
        width=draw(st.integers(1, 2000)),
        height=draw(st.integers(1, 2000)),
        cx_offset=draw(st.floats(-20, 20)),
        cy_offset=draw(st.floats(-20, 20)),
        aspect_ratio=draw(st.floats(0.8, 1.25)),
    )


def test_published_projections(woodscape):
    assert np.abs(woodscape.project(GOLDEN["ray_camera"]) - GOLDEN["pixel"]).max() < 1e-6
    off_axis = np.degrees(angle_between(GOLDEN["ray_camera"], np.array([0.0, 0.0, 1.0])))
    assert off_axis.max() > 99
    rays = woodscape.unproject(GOLDEN["pixel2"])
    assert angle_between(rays, GOLDEN["ray2_camera"]).max() < 1e-9
    vehicle = GOLDEN["ray_camera"] @ woodscape.rotation().T
    np.testing.assert_allclose(vehicle, GOLDEN["ray_vehicle"], atol=1e-12)


@given(cameras(), st.integers(0, 2**32 - 1))
def test_pixel_to_ray_to_pixel(camera, seed):
    random = np.random.default_rng(seed)
    pixels = random.uniform(-0.5, [camera.width - 0.5, camera.height - 0.5], size=(40, 2))
    rays = camera.unproject(pixels)
    seen = np.isfinite(rays).all(axis=-1)
    np.testing.assert_allclose(np.linalg.norm(rays[seen], axis=-1), 1, atol=1e-14)
    assert np.abs(camera.project(rays[seen]) - pixels[seen]).max(initial=0) < 1e-6
    assert camera.valid(rays[seen]).mean() > 0.99 if seen.any() else True


@given(cameras(), st.integers(0, 2**32 - 1))
def test_ray_to_pixel_to_ray(camera, seed):
    rays = np.random.default_rng(seed).normal(size=(40, 3))
    pixels = camera.project(rays)
    theta = angle_between(rays, np.array([0.0, 0.0, 1.0]))
    seen = np.isfinite(pixels).all(axis=-1)
    np.testing.assert_array_equal(seen, theta <= camera.max_theta)
    # Near the end of the lens's field the radius is flat and hides the angle.
    steep = seen & (theta < 0.98 * camera.max_theta)
    assert angle_between(camera.unproject(pixels[steep]), rays[steep]).max(initial=0) < 1e-9


@given(cameras())
def test_radius_grows_up_to_the_end_of_the_field(camera):
    theta = np.linspace(0, camera.max_theta, 500)
    radius = camera.radius(theta)
    assert (np.diff(radius) > 0).all()
    np.testing.assert_allclose(camera.radius(camera.angle(radius)), radius, atol=1e-9)
    assert np.isnan(camera.radius(np.array(np.nextafter(camera.max_theta, 4))))
    assert np.isnan(camera.angle(np.array(radius[-1] * 1.001)))
    if camera.max_theta < np.pi:
        beyond = camera.max_theta + 1e-3
        value = sum(k * beyond ** (i + 1) for i, k in enumerate(camera.coefficients))
        assert value < radius[-1]


@given(cameras(), st.integers(1, 500), st.integers(1, 500))
def test_resizing_scales_pixel_edges(camera, width, height):
    rays = np.random.default_rng(0).normal(size=(30, 3))
    before = camera.project(rays)
    after = camera.resized(width, height).project(rays)
    # The image covers -0.5 .. size - 0.5, so it is u + 0.5 that scales.
    scale = np.array([width / camera.width, height / camera.height])
    np.testing.assert_allclose(after + 0.5, (before + 0.5) * scale, rtol=1e-9, atol=1e-6)


def test_cropping_moves_the_origin(woodscape):
    rays = woodscape.unproject(np.array([[300.0, 200.0], [640.0, 483.0]]))
    cropped = woodscape.cropped(100, 50, 800, 700)
    np.testing.assert_allclose(cropped.project(rays), [[200, 150], [540, 433]], atol=1e-9)
    assert (cropped.width, cropped.height) == (800, 700)
    with pytest.raises(ValueError, match="1300 x 700 at"):
        woodscape.cropped(0, 0, 1300, 700)


def test_axes_are_right_and_down(woodscape):
    u, v = woodscape.project(np.array([[0.5, 0, 1.0], [0, 0.5, 1.0]])).T
    cu, cv = woodscape.principal_point
    assert u[0] > cu
    assert v[0] == cv
    assert u[1] == cu
    assert v[1] > cv


def test_the_optical_axis_and_its_opposite(woodscape):
    pixels = woodscape.project(np.array([[0, 0, 2.0], [0, 0, -1.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(pixels[0], woodscape.principal_point)
    assert not woodscape.valid(np.array([0, 0, -1.0])).item()
    assert np.isnan(pixels[2]).all()


def test_valid_is_the_image_inside_the_field(woodscape):
    corners = np.array([[-0.49, -0.49], [1279.49, 965.49], [-0.51, 480], [640, 965.51]])
    assert woodscape.valid(woodscape.unproject(corners)).tolist() == [True, True, False, False]
    narrow = replace(woodscape, coefficients=(300.0, 0.0, -40.0, 0.0))
    rays = narrow.unproject(pixel_grid(narrow.width, narrow.height))
    assert 0 < np.isfinite(rays[..., 0]).mean() < 1
    assert narrow.max_theta == pytest.approx(np.sqrt(300 / 120))


def test_plain_dictionary_round_trip(woodscape):
    again = camera_from_dict(json.loads(json.dumps(woodscape.to_dict())))
    assert again == woodscape
    assert woodscape.to_dict() == json.loads(str(GOLDEN["calibration"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": (-1.0, 2.0)}, "k1 > 0"),
        ({"coefficients": ()}, "k1 > 0"),
        ({"width": 0}, "width=0"),
        ({"height": 10.5}, "height=10.5"),
        ({"cx_offset": float("nan")}, "finite"),
        ({"aspect_ratio": -1.0}, "aspect_ratio=-1.0"),
        ({"quaternion": (0, 0, 0, 0)}, "quaternion="),
    ],
)
def test_wrong_calibrations(woodscape, change, message):
    with pytest.raises(ValueError, match=message):
        replace(woodscape, **change)
