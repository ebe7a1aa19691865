import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import KannalaBrandtCamera

CAMERA = KannalaBrandtCamera(
    width=1280,
    height=960,
    fx=390.2,
    fy=388.7,
    cx=641.3,
    cy=477.9,
    k1=0.052,
    k2=-0.011,
    k3=0.0071,
    k4=-0.0009,
)


@given(st.integers(0, 2**32 - 1))
def test_opencv_agrees_below_80_degrees(seed):
    random = np.random.default_rng(seed)
    theta, phi = np.radians(random.uniform(0, 80, 50)), random.uniform(0, 2 * np.pi, 50)
    rays = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    distance = random.uniform(0.1, 50, (50, 1))
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    coefficients = np.array([CAMERA.k1, CAMERA.k2, CAMERA.k3, CAMERA.k4])
    expected, _ = cv2.fisheye.projectPoints(
        (rays * distance)[:, None], np.zeros(3), np.zeros(3), matrix, coefficients
    )
    np.testing.assert_allclose(CAMERA.project(rays * distance), expected[:, 0], atol=1e-6)


def test_directions_behind_the_lens_are_not_mirrored():
    ahead, behind = np.array([np.sin(1.3), 0, np.cos(1.3)]), np.array([np.sin(1.8), 0, np.cos(1.8)])
    assert CAMERA.project(behind)[0] > CAMERA.project(ahead)[0] > CAMERA.cx
    np.testing.assert_allclose(CAMERA.unproject(CAMERA.project(behind)), behind, atol=1e-12)


def test_the_equidistant_lens_is_the_one_without_coefficients():
    lens = KannalaBrandtCamera(width=800, height=800, fx=100.0, fy=100.0, cx=400.0, cy=400.0)
    theta = np.linspace(0, np.pi, 30)
    rays = np.stack([np.zeros(30), np.sin(theta), np.cos(theta)], axis=-1)
    np.testing.assert_allclose(lens.project(rays)[:, 1], 400 + 100 * theta, atol=1e-10)
