import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import PinholeCamera
from healswin.cameras.brown_conrady import BrownConrady

# Numbers of the size that real cameras with a field of 80 degrees have.
CAMERA = PinholeCamera(
    width=1392,
    height=512,
    fx=984.2,
    fy=980.8,
    cx=690.1,
    cy=233.2,
    k1=-0.3728,
    k2=0.2037,
    p1=0.00222,
    p2=0.00138,
    k3=-0.0723,
)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def distortions(draw):
    return BrownConrady(
        k1=draw(st.floats(-0.5, 0.5)),
        k2=draw(st.floats(-0.5, 0.5)),
        p1=draw(st.floats(-0.05, 0.05)),
        p2=draw(st.floats(-0.05, 0.05)),
        k3=draw(st.floats(-0.2, 0.2)),
        limit=draw(st.floats(0.5, 3)),
    )


def disc(radius, seed, count=200):
    """Points of a disc, its rim among them."""
    random = np.random.default_rng(seed)
    r = radius * np.sqrt(random.uniform(0, 1, count))
    r[: count // 4] = radius
    phi = random.uniform(0, 2 * np.pi, count)
    return np.stack([r * np.cos(phi), r * np.sin(phi)], axis=-1)


@given(SEEDS)
def test_opencv_agrees(seed):
    plane = disc(0.85, seed)
    depth = np.random.default_rng(seed).uniform(0.1, 50, (len(plane), 1))
    points = np.concatenate([plane, np.ones_like(depth)], axis=-1) * depth
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    coefficients = np.array([CAMERA.k1, CAMERA.k2, CAMERA.p1, CAMERA.p2, CAMERA.k3])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, coefficients)
    np.testing.assert_allclose(CAMERA.project(points), expected[:, 0], atol=1e-6)


@given(distortions(), SEEDS)
def test_the_jacobian_is_positive_definite_on_the_disc(distortion, seed):
    x, y = (disc(distortion.end, seed) * (1 - 1e-5)).T
    step = 1e-6
    along_x = distortion.distort(np.stack([x + step, y], -1)) - distortion.distort(
        np.stack([x - step, y], -1)
    )
    along_y = distortion.distort(np.stack([x, y + step], -1)) - distortion.distort(
        np.stack([x, y - step], -1)
    )
    jacobian = np.stack([along_x, along_y], axis=-1) / (2 * step)
    np.testing.assert_allclose(jacobian, np.swapaxes(jacobian, 1, 2), atol=1e-8)
    assert np.linalg.eigvalsh(jacobian).min() > -1e-4


@given(distortions(), SEEDS)
def test_the_disc_is_distorted_and_found_again(distortion, seed):
    points = disc(distortion.end, seed)
    distorted = distortion.distort(points)
    found = distortion.undistort(distorted)
    # At the rim the distortion may be flat: what is found there is distorted to the same place.
    np.testing.assert_allclose(distortion.distort(found), distorted, atol=1e-10)
    inner = np.linalg.norm(points, axis=-1) < 0.95 * distortion.end
    np.testing.assert_allclose(found[inner], points[inner], atol=1e-9)
    least = np.linalg.norm(distorted, axis=-1)[: len(points) // 4].min()
    assert distortion.least_radius(distortion.end) <= least + 1e-12


@given(distortions(), SEEDS)
def test_nothing_is_found_beyond_the_disc(distortion, seed):
    rim = disc(distortion.end, seed)[:50]
    assert np.isnan(distortion.distort(rim * 1.001)).all()
    # The image of the disc is convex or nearly so: what lies beyond its rim comes from nowhere.
    assert np.isnan(distortion.undistort(distortion.distort(rim) * 1.01)).all()
    assert np.isnan(distortion.undistort(np.array([1e6, 0.0]))).all()


def test_without_tangential_terms_the_field_ends_where_the_radius_does():
    distortion = BrownConrady(k1=-1 / 3, k2=0.0, p1=0.0, p2=0.0)
    assert distortion.end == pytest.approx(1)
    assert distortion.least_radius(distortion.end) == pytest.approx(2 / 3)
    assert BrownConrady(k1=0.1, k2=0.1, p1=0.0, p2=0.0).turn is None


def test_the_field_ends_before_90_degrees():
    camera = PinholeCamera(width=64, height=48, fx=40.0, fy=40.0, cx=31.5, cy=23.5)
    theta = np.radians([0, 60, 89.9, 90, 90.1, 180])
    pixels = camera.project(np.stack([np.sin(theta), np.zeros(6), np.cos(theta)], axis=-1))
    np.testing.assert_allclose(pixels[:3, 0], 31.5 + 40 * np.tan(theta[:3]), rtol=1e-9)
    assert np.isnan(pixels[3:]).all()
    rays = camera.unproject(np.array([[1e6, 5.0], [-1e6, 5.0]]))
    np.testing.assert_allclose(camera.project(rays), [[1e6, 5], [-1e6, 5]], rtol=1e-9)
