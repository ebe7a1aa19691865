"""What holds for every camera model, for generated cameras and parts of their images."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import (
    CAMERA_MODELS,
    Camera,
    EquirectangularCamera,
    KannalaBrandtCamera,
    PinholeCamera,
    RadialPolynomialCamera,
    UnifiedCamera,
    camera_from_dict,
)
from healswin.cameras.angle_polynomial import AnglePolynomial
from healswin.cameras.brown_conrady import BrownConrady

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(8, 2000)


@st.composite
def radial_polynomials(draw):
    f = draw(st.floats(50, 600))
    shape = (1.0, *(draw(st.floats(-s, s)) for s in (0.2, 0.15, 0.03)))[: draw(st.integers(1, 4))]
    turn = AnglePolynomial(shape).turn
    return RadialPolynomialCamera(
        coefficients=tuple(f * k for k in shape),
        width=draw(SIZES),
        height=draw(SIZES),
        cx_offset=draw(st.floats(-20, 20)),
        cy_offset=draw(st.floats(-20, 20)),
        aspect_ratio=draw(st.floats(0.8, 1.25)),
        max_theta=None if turn is None else turn * draw(st.floats(0.5, 1)),
    )


@st.composite
def kannala_brandts(draw):
    k1, k2, k3, k4 = (draw(st.floats(-s, s)) for s in (0.1, 0.05, 0.01, 0.001))
    turn = AnglePolynomial((1, 0, k1, 0, k2, 0, k3, 0, k4)).turn
    return KannalaBrandtCamera(
        **draw(planes()),
        k1=k1,
        k2=k2,
        k3=k3,
        k4=k4,
        max_theta=None if turn is None else turn * draw(st.floats(0.5, 1)),
    )


@st.composite
def pinholes(draw):
    distortion = {
        name: draw(st.floats(-s, s))
        for name, s in {"k1": 0.5, "k2": 0.5, "p1": 0.01, "p2": 0.01, "k3": 0.1}.items()
    }
    end = BrownConrady(**distortion).end * draw(st.floats(0.3, 1))
    return PinholeCamera(**draw(planes()), **distortion, max_theta=float(np.arctan(end)))


@st.composite
def unifieds(draw):
    xi = draw(st.sampled_from([0.0, 1.0]) | st.floats(0.1, 3))
    distortion = {
        name: draw(st.floats(-s, s))
        for name, s in {"k1": 0.5, "k2": 2.0, "p1": 0.005, "p2": 0.005}.items()
    }
    r = BrownConrady(**distortion, limit=1 / np.sqrt(max(xi**2 - 1, 1e-3))).end
    r *= draw(st.floats(0.3, 1))
    eta = (xi + np.sqrt(max(1 + (1 - xi**2) * r**2, 0))) / (1 + r**2)
    return UnifiedCamera(
        **draw(planes()), xi=xi, **distortion, max_theta=float(np.arctan2(eta * r, eta - xi))
    )


@st.composite
def planes(draw):
    width, height = draw(SIZES), draw(SIZES)
    return {
        "width": width,
        "height": height,
        "fx": draw(st.floats(0.2, 2)) * width,
        "fy": draw(st.floats(0.2, 2)) * height,
        "cx": draw(st.floats(0.3, 0.7)) * width,
        "cy": draw(st.floats(0.3, 0.7)) * height,
    }


panoramas = st.builds(EquirectangularCamera, width=SIZES, height=SIZES)


@st.composite
def parts(draw, camera):
    """Left, top, width and height of a part of a camera's image."""
    left, top = draw(st.integers(0, camera.width - 1)), draw(st.integers(0, camera.height - 1))
    width = draw(st.integers(1, camera.width - left))
    return left, top, width, draw(st.integers(1, camera.height - top))


@st.composite
def cameras(draw):
    camera = draw(
        st.one_of(radial_polynomials(), kannala_brandts(), pinholes(), unifieds(), panoramas)
    )
    if draw(st.booleans()):
        camera = camera.cropped(*draw(parts(camera)))
    if draw(st.booleans()):
        camera = camera.resized(draw(SIZES), draw(SIZES))
    return camera


def pixels_apart(camera, first, second):
    """The largest distance in pixels, over the seam of a panorama where that is shorter."""
    apart = np.abs(first - second)
    if isinstance(camera, EquirectangularCamera):
        apart[..., 0] = np.minimum(apart[..., 0], np.abs(apart[..., 0] - camera.columns_per_turn))
    return apart.max(initial=0)


def some_pixels(camera, seed):
    """Pixels of the image, its corners among them."""
    edges = np.array([camera.width - 0.5, camera.height - 0.5])
    corners = np.array([[-0.5, -0.5], [edges[0], -0.5], [-0.5, edges[1]], edges])
    return np.concatenate([corners, np.random.default_rng(seed).uniform(-0.5, edges, (40, 2))])


@given(cameras(), SEEDS)
def test_pixel_to_ray_to_pixel(camera, seed):
    pixels = some_pixels(camera, seed)
    rays = camera.unproject(pixels)
    seen = np.isfinite(rays).all(axis=-1)
    np.testing.assert_allclose(np.linalg.norm(rays[seen], axis=-1), 1, atol=1e-12)
    assert pixels_apart(camera, camera.project(rays[seen]), pixels[seen]) <= 1e-6
    # All of them but those on the very edge, which rounding may carry over it.
    assert camera.valid(rays[4:][seen[4:]]).all()
    assert not camera.valid(rays[~seen]).any()


@given(cameras(), SEEDS)
def test_ray_to_pixel_to_ray_to_pixel(camera, seed):
    rays = np.random.default_rng(seed).normal(size=(60, 3))
    seen = camera.valid(rays)
    pixels = camera.project(rays)[seen]
    again = camera.unproject(pixels)
    assert pixels_apart(camera, camera.project(again), pixels) <= 1e-6


@given(cameras(), SEEDS)
def test_the_inverse_finds_the_ray_itself(camera, seed):
    # Where the image of the lens is not flat, as at the end of its field, the angle is found too.
    pixels = some_pixels(camera, seed)
    rays = camera.unproject(pixels)
    across = np.cross(rays, np.roll(rays, 1, axis=-1))
    moved = rays + 1e-4 * across / np.linalg.norm(across, axis=-1, keepdims=True)
    steep = pixels_steep(camera, rays, moved)
    length = np.linalg.norm(moved[steep], axis=-1, keepdims=True)
    found = camera.unproject(camera.project(moved[steep]))
    np.testing.assert_allclose(found, moved[steep] / length, atol=1e-7)


def pixels_steep(camera, rays, moved):
    """Rays that a step of 1e-4 moves by at least 1e-5 of the image."""
    apart = np.linalg.norm(camera.project(moved) - camera.project(rays), axis=-1)
    return apart > 1e-5 * min(camera.width, camera.height)


@given(st.data(), cameras(), SEEDS)
def test_cropping_cuts_pixel_coordinates(data, camera, seed):
    left, top, width, height = data.draw(parts(camera))
    part = camera.cropped(left, top, width, height)
    assert (part.width, part.height) == (width, height)
    pixels = some_pixels(part, seed)
    expected = camera.unproject(pixels + np.array([left, top]))
    np.testing.assert_allclose(part.unproject(pixels), expected, atol=1e-6)
    rays = expected[np.isfinite(expected).all(axis=-1)]
    cut = camera.project(rays) - [left, top]
    assert pixels_apart(camera, part.project(rays), cut) <= 1e-6


@given(cameras(), SIZES, SIZES, SEEDS)
def test_resizing_scales_pixel_edges(camera, width, height, seed):
    resized = camera.resized(width, height)
    assert (resized.width, resized.height) == (width, height)
    # The image covers -0.5 .. size - 0.5, so it is u + 0.5 that scales.
    scale = np.array([width / camera.width, height / camera.height])
    pixels = some_pixels(camera, seed)
    rays = camera.unproject(pixels)
    seen = np.isfinite(rays).all(axis=-1)
    expected = (pixels[seen] + 0.5) * scale - 0.5
    assert pixels_apart(resized, resized.project(rays[seen]), expected) <= 1e-6


@given(cameras())
def test_plain_dictionaries_round_trip(camera):
    assert isinstance(camera, Camera)
    plain = json.loads(json.dumps(camera.to_dict()))
    assert type(camera) is CAMERA_MODELS[plain["intrinsic"]["model"]]
    assert camera_from_dict(plain) == camera


@given(cameras())
def test_nothing_comes_from_nothing(camera):
    assert np.isnan(camera.project(np.zeros((2, 3)))).all()
    assert np.isnan(camera.project(np.full((2, 3), np.nan))).all()
    assert np.isnan(camera.unproject(np.full((2, 2), np.nan))).all()
    assert not camera.valid(np.zeros(3))


@given(cameras())
def test_axes_are_right_and_down(camera):
    right, down, ahead = camera.project(np.array([[1e-3, 0, 1], [0, 1e-3, 1], [0, 0, 1.0]]))
    assert right[0] > ahead[0]
    assert down[1] > ahead[1]
    np.testing.assert_allclose([right[1], down[0]], [ahead[1], ahead[0]], atol=1e-3)


FISHEYE = {"width": 640, "height": 480, "fx": 200.0, "fy": 200.0, "cx": 319.5, "cy": 239.5}


@pytest.mark.parametrize(
    ("make", "field", "turn"),
    [
        # rho = 200 (theta - theta^3 / 6): the slope is 0 at sqrt(2).
        (
            lambda **end: RadialPolynomialCamera((200.0, 0, -200 / 6), 640, 480, **end),
            np.sqrt(2),
            "81.03",
        ),
        (lambda **end: KannalaBrandtCamera(**FISHEYE, k1=-1 / 6, **end), np.sqrt(2), "81.03"),
        # r (1 - r^2 / 3): the slope is 0 at r = 1.
        (lambda **end: PinholeCamera(**FISHEYE, k1=-1 / 3, **end), np.pi / 4, "45.00"),
        # And r = tan(theta / 2) for xi = 1.
        (lambda **end: UnifiedCamera(**FISHEYE, xi=1.0, k1=-1 / 3, **end), np.pi / 2, "90.00"),
    ],
)
def test_lenses_that_turn_back_inside_the_image_are_refused(make, field, turn):
    with pytest.raises(ValueError, match=rf"turns back {turn} degrees .* state max_theta"):
        make()
    with pytest.raises(ValueError, match=rf"turns back {turn} degrees"):
        make(max_theta=field + 0.01)
    camera = make(max_theta=field - 0.01)
    assert camera.valid(np.array([np.sin(field - 0.02), 0, np.cos(field - 0.02)]))
    assert not camera.valid(np.array([np.sin(field - 0.005), 0, np.cos(field - 0.005)]))
    assert np.isnan(camera.unproject(np.array([-0.5, -0.5]))).all()
    # Cropped to where it does not turn back, the lens needs no stated end.
    inner = camera.cropped(300, 220, 40, 40)
    assert camera_from_dict(without_end(inner)).valid(np.array([0, 0, 1.0]))


def without_end(camera):
    calibration = camera.to_dict()
    del calibration["intrinsic"]["max_theta"]
    return calibration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width=0"),
        ({"height": 10.5}, "height=10.5"),
        ({"fx": -1.0}, "fx=-1.0"),
        ({"cy": float("nan")}, "cy=nan must be a finite number"),
        ({"k2": float("inf")}, "k2=inf"),
        ({"max_theta": 0.0}, "max_theta=0.0"),
        ({"max_theta": 100.0}, "max_theta=100.0 must be an angle in radians"),
        ({"quaternion": (0, 0, 0, 0.99)}, r"quaternion=.* has length 0\.99"),
        ({"quaternion": (0, 0, 1)}, "quaternion="),
        ({"translation": (0, 0)}, r"translation=\(0.0, 0.0\)"),
    ],
)
@pytest.mark.parametrize("model", [KannalaBrandtCamera, PinholeCamera])
def test_wrong_calibrations(model, change, message):
    with pytest.raises(ValueError, match=message):
        model(**{**FISHEYE, **change})


def test_parts_outside_the_image_are_refused():
    camera = PinholeCamera(**FISHEYE)
    for part in [(0, 0, 641, 480), (-1, 0, 10, 10), (0, 471, 10, 10), (0, 0, 0, 10)]:
        with pytest.raises(ValueError, match="does not lie inside the image of 640 x 480"):
            camera.cropped(*part)
    with pytest.raises(ValueError, match="width=0"):
        camera.resized(0, 10)
