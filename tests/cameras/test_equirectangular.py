import numpy as np
import pytest

from healswin.cameras import EquirectangularCamera, pole_rotation
from healswin.cameras.base import pixel_grid

PANORAMA = EquirectangularCamera(256, 128)


def test_the_default_camera_stands_upright_and_looks_ahead():
    in_vehicle = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    np.testing.assert_allclose(PANORAMA.rotation(), in_vehicle, atol=1e-15)


def test_directions_of_the_vehicle_are_where_they_should_be():
    ahead, left, right, behind_left, up, down = np.array(
        [[1, 0, 0], [0, 1, 0], [0, -1, 0], [-1, 1e-9, 0], [0, 0, 1], [0, 0, -1.0]]
    )
    rays = (
        np.array([ahead, left, right, behind_left, up, down]) @ pole_rotation(PANORAMA, "zenith").T
    )
    u, v = PANORAMA.project(rays).T
    np.testing.assert_allclose(u[:4], [127.5, 63.5, 191.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(v, [63.5, 63.5, 63.5, 63.5, -0.5, 127.5], atol=1e-9)
    assert PANORAMA.valid(rays).all()


def test_every_direction_is_in_a_panorama_once():
    rays = np.random.default_rng(0).normal(size=(500, 3))
    assert PANORAMA.valid(rays).all()
    left = PANORAMA.cropped(0, 0, 100, 128).valid(rays)
    right = PANORAMA.cropped(100, 0, 156, 128).valid(rays)
    assert (left ^ right).all()


def test_only_a_full_turn_wraps():
    assert PANORAMA.wraps_horizontally
    assert PANORAMA.resized(100, 31).wraps_horizontally
    assert PANORAMA.cropped(0, 20, 256, 30).wraps_horizontally
    assert not PANORAMA.cropped(0, 0, 255, 128).wraps_horizontally


def test_the_column_left_of_the_first_is_the_last():
    beside = PANORAMA.unproject(np.array([[-1.0, 40.0], [256.0, 40.0]]))
    np.testing.assert_allclose(PANORAMA.project(beside), [[255, 40], [0, 40]], atol=1e-9)


def test_forward_may_be_anywhere():
    turned = EquirectangularCamera(256, 128, cx=-0.5)
    u = turned.project(np.array([[1e-3, 0, 1.0], [-1e-3, 0, 1.0], [0, 0, -1.0]]))[:, 0]
    np.testing.assert_allclose(u, [-0.46, 255.46, 127.5], atol=0.01)
    pixels = pixel_grid(256, 128)
    np.testing.assert_allclose(turned.project(turned.unproject(pixels)), pixels, atol=1e-9)


def test_rows_end_at_the_zenith_and_the_nadir():
    tall = EquirectangularCamera(64, 16, rows_per_turn=64.0, cy=0.0)
    assert np.isfinite(tall.unproject(np.array([[5.0, -16.0], [5.0, 16.0]]))).all()
    assert np.isnan(tall.unproject(np.array([[5.0, -16.1], [5.0, 16.1]]))).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns_per_turn": 255.0}, "width=256 must be at most 255"),
        ({"rows_per_turn": 200.0}, "height=128 must be at most 100"),
        ({"cx": float("nan")}, "cx=nan"),
        ({"columns_per_turn": 0.0}, "width=256 must be at most 0"),
    ],
)
def test_wrong_panoramas(change, message):
    with pytest.raises(ValueError, match=message):
        EquirectangularCamera(256, 128, **change)
