import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import PinholeCamera, UnifiedCamera
from healswin.cameras.base import pixel_grid

# The size of the numbers of KITTI-360's fisheye cameras, whose corners are black.
KITTI = UnifiedCamera(
    width=1400,
    height=1400,
    fx=1336.3,
    fy=1335.8,
    cx=716.9,
    cy=705.8,
    xi=2.2134,
    k1=0.0168,
    k2=1.6549,
    p1=4.2e-4,
    p2=4.2e-4,
)


def mei(camera, rays):
    """The model written out, one ray at a time."""
    pixels = []
    for x, y, z in rays / np.linalg.norm(rays, axis=-1, keepdims=True):
        mx, my = x / (z + camera.xi), y / (z + camera.xi)
        r2 = mx * mx + my * my
        radial = 1 + camera.k1 * r2 + camera.k2 * r2 * r2
        dx = mx * radial + 2 * camera.p1 * mx * my + camera.p2 * (r2 + 2 * mx * mx)
        dy = my * radial + camera.p1 * (r2 + 2 * my * my) + 2 * camera.p2 * mx * my
        pixels.append([camera.fx * dx + camera.cx, camera.fy * dy + camera.cy])
    return np.array(pixels)


@given(st.integers(0, 2**32 - 1))
def test_the_written_out_formula_agrees(seed):
    rays = np.random.default_rng(seed).normal(size=(50, 3))
    z = rays[:, 2] / np.linalg.norm(rays, axis=-1)
    seen = z > -1 / KITTI.xi
    pixels = KITTI.project(rays)
    np.testing.assert_allclose(pixels[seen], mei(KITTI, rays[seen]), atol=1e-9)
    assert np.isnan(pixels[~seen]).all()


def test_a_real_camera_comes_back_over_its_whole_field():
    pixels = pixel_grid(1400, 1400)[::20, ::20]
    rays = KITTI.unproject(pixels)
    seen = np.isfinite(rays[..., 0])
    # A disc inside the square: everything but the corners.
    assert 0.8 < seen.mean() < 0.95
    assert not seen[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert np.abs(KITTI.project(rays[seen]) - pixels[seen]).max() < 1e-6
    assert np.degrees(np.arccos(rays[seen][:, 2].min())) > 110
    assert KITTI.valid(rays[seen]).all()


def test_the_end_of_the_field_is_met_from_both_sides():
    last = np.arccos(-1 / KITTI.xi)
    theta = last - np.array([1e-3, 1e-6, 1e-9, 0.0, -1e-6, -1e-3])
    rays = np.stack([np.sin(theta), np.zeros(6), np.cos(theta)], axis=-1)
    pixels = KITTI.project(rays)
    assert np.isfinite(pixels[:4]).all()
    assert np.isnan(pixels[4:]).all()
    again = KITTI.project(KITTI.unproject(pixels[:4]))
    np.testing.assert_allclose(again, pixels[:4], atol=1e-6)
    beyond = pixels[3] + [0.01, 0]
    assert np.isnan(KITTI.unproject(beyond)).all()


@pytest.mark.parametrize(("xi", "behind"), [(0.0, 90.0), (0.5, 120.0), (1.0, 180.0), (2.0, 120.0)])
def test_where_the_field_ends(xi, behind):
    camera = UnifiedCamera(width=640, height=480, fx=99.0, fy=99.0, cx=320.0, cy=240.0, xi=xi)
    theta = np.radians([behind - 0.1, min(behind + 0.1, 180)])
    near, far = camera.project(np.stack([np.sin(theta), [0, 0], np.cos(theta)], axis=-1))
    assert np.isfinite(near).all()
    assert np.isnan(far).all()


def test_without_its_sphere_it_is_a_pinhole():
    same = {"width": 640, "height": 480, "fx": 400.0, "fy": 410.0, "cx": 320.0, "cy": 240.0}
    coefficients = {"k1": -0.1, "k2": 0.01, "p1": 0.001, "p2": -0.002}
    pixels = pixel_grid(640, 480)[::60, ::60]
    np.testing.assert_allclose(
        UnifiedCamera(**same, **coefficients, xi=0.0).unproject(pixels),
        PinholeCamera(**same, **coefficients).unproject(pixels),
        atol=1e-12,
    )


def test_xi_is_not_negative():
    with pytest.raises(ValueError, match=r"xi=-0\.5 must be at least 0"):
        UnifiedCamera(width=64, height=48, fx=40.0, fy=40.0, cx=31.5, cy=23.5, xi=-0.5)
