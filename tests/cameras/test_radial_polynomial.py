import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import RadialPolynomialCamera, camera_from_dict
from healswin.cameras.angle_polynomial import AnglePolynomial
from healswin.cameras.base import pixel_grid

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "woodscape_camera.npz")


@pytest.fixture(scope="module")
def woodscape():
    return camera_from_dict(json.loads(str(GOLDEN["calibration"])))


def angle_between(a, b):
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


def test_published_projections(woodscape):
    assert np.abs(woodscape.project(GOLDEN["ray_camera"]) - GOLDEN["pixel"]).max() < 1e-6
    off_axis = np.degrees(angle_between(GOLDEN["ray_camera"], np.array([0.0, 0.0, 1.0])))
    assert off_axis.max() > 99
    rays = woodscape.unproject(GOLDEN["pixel2"])
    assert angle_between(rays, GOLDEN["ray2_camera"]).max() < 1e-9
    vehicle = GOLDEN["ray_camera"] @ woodscape.rotation().T
    np.testing.assert_allclose(vehicle, GOLDEN["ray_vehicle"], atol=1e-12)


@given(st.floats(-0.2, 0.2), st.floats(-0.15, 0.2), st.floats(-0.03, 0.03))
def test_radius_grows_up_to_the_end_of_the_field(k2, k3, k4):
    lens = AnglePolynomial((300.0, 300 * k2, 300 * k3, 300 * k4))
    theta = np.linspace(0, lens.end, 500)
    radius = lens.radius(theta)
    assert (np.diff(radius) > 0).all()
    np.testing.assert_allclose(lens.radius(lens.angle(radius)), radius, atol=1e-9)
    assert np.isnan(lens.radius(np.array(lens.end + 1e-9)))
    assert np.isnan(lens.angle(np.array(radius[-1] * 1.001)))
    # Near the end the radius may be flat and hide the angle.
    steep = theta < 0.98 * lens.end
    np.testing.assert_allclose(lens.angle(radius[steep]), theta[steep], atol=1e-9)
    if lens.turn is not None:
        beyond = lens.end + 1e-3
        value = sum(k * beyond ** (i + 1) for i, k in enumerate(lens.coefficients))
        assert value < radius[-1]


def test_cropping_moves_the_origin(woodscape):
    rays = woodscape.unproject(np.array([[300.0, 200.0], [640.0, 483.0]]))
    cropped = woodscape.cropped(100, 50, 800, 700)
    np.testing.assert_allclose(cropped.project(rays), [[200, 150], [540, 433]], atol=1e-9)
    assert (cropped.width, cropped.height) == (800, 700)
    with pytest.raises(ValueError, match="1300 x 700 at"):
        woodscape.cropped(0, 0, 1300, 700)


def test_the_optical_axis_and_its_opposite(woodscape):
    pixels = woodscape.project(np.array([[0, 0, 2.0], [0, 0, -1.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(pixels[0], woodscape.principal_point)
    assert not woodscape.valid(np.array([0, 0, -1.0])).item()
    assert np.isnan(pixels[2]).all()


def test_valid_is_the_image_inside_the_field(woodscape):
    corners = np.array([[-0.49, -0.49], [1279.49, 965.49], [-0.51, 480], [640, 965.51]])
    assert woodscape.valid(woodscape.unproject(corners)).tolist() == [True, True, False, False]
    narrow = replace(woodscape, coefficients=(300.0, 0.0, -40.0, 0.0), max_theta=1.5)
    rays = narrow.unproject(pixel_grid(narrow.width, narrow.height))
    assert 0 < np.isfinite(rays[..., 0]).mean() < 1
    off_axis = angle_between(rays, np.array([0.0, 0.0, 1.0]))
    assert 1.49 < np.nanmax(off_axis) < 1.5
    assert AnglePolynomial(narrow.coefficients).turn == pytest.approx(np.sqrt(300 / 120))


def test_lenses_that_turn_back_outside_the_image_are_accepted(woodscape):
    turning = (300.0, 0.0, -40.0, 0.0)
    with pytest.raises(ValueError, match=r"turns back 90\.59 degrees .* at most 1\.5811"):
        replace(woodscape, coefficients=turning)
    inside = RadialPolynomialCamera(turning, width=440, height=440)
    assert inside.valid(inside.unproject(pixel_grid(440, 440))).all()
    larger = inside.resized(1100, 550)
    assert larger.lens.end == pytest.approx(inside.lens.end)


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
        ({"max_theta": -1.0}, "max_theta=-1.0"),
    ],
)
def test_wrong_calibrations(woodscape, change, message):
    with pytest.raises(ValueError, match=message):
        replace(woodscape, **change)
