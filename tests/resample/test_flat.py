import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import (
    EquirectangularCamera,
    KannalaBrandtCamera,
    PinholeCamera,
    RadialPolynomialCamera,
)
from healswin.cameras.base import pixel_grid
from healswin.grid import HealpixGrid, ImageGrid
from healswin.resample import FlatToGrid, FlatToImage, ImageToFlat, ImageToGrid

CAMERA = RadialPolynomialCamera(
    (34.0, -3.2, 4.8, -0.7), 128, 97, cx_offset=0.4, cy_offset=-0.3, aspect_ratio=1.02, name="FV"
)
# A lens whose field ends inside the image.
NARROW = replace(CAMERA, max_theta=1.2)
FOCAL = {"width": 128, "height": 97, "cx": 63.0, "cy": 48.5, "name": "FV"}
PANORAMA = EquirectangularCamera(96, 48)
CAMERAS = [
    CAMERA,
    NARROW,
    KannalaBrandtCamera(fx=40.0, fy=41.0, k1=0.05, k2=-0.01, **FOCAL),
    PinholeCamera(fx=70.0, fy=71.0, k1=-0.1, k2=0.02, p1=1e-3, **FOCAL),
    PANORAMA,
]
FISHEYE = HealpixGrid(16, range(8))
SIDE = st.integers(1, 40)


def flat_camera(width, height):
    """A camera that sees every pixel."""
    centre = {"cx": width / 2, "cy": height / 2}
    return PinholeCamera(width=width, height=height, fx=50.0, fy=50.0, **centre)


def containing_twin(source, target):
    """The pixel that contains each aligned centre, in fractions."""
    centres = [(Fraction(2 * i + 1, 2)) * Fraction(source, target) for i in range(target)]
    return [int(centre // 1) for centre in centres]


def resizing_twin(source, target):
    """Weights (target, source) of a resized side, pixel by pixel in float64.

    A pixel that is larger than those of the source takes their mean, weighted with how much of it
    they cover; a smaller one the two whose centres are around its own.
    """
    weights = np.zeros((target, source))
    scale = source / target
    for i in range(target):
        if target <= source:
            for j in range(source):
                weights[i, j] = max(0, min((i + 1) * scale, j + 1) - max(i * scale, j)) / scale
        else:
            centre = (i + 0.5) * scale - 0.5
            left = int(np.floor(centre))
            for j, weight in ((left, left + 1 - centre), (left + 1, centre - left)):
                weights[i, min(max(j, 0), source - 1)] += weight
    return weights


@given(SIDE, SIDE, SIDE, SIDE)
def test_nearest_is_its_twin_in_fractions(width, height, flat_width, flat_height):
    camera, grid = flat_camera(width, height), ImageGrid(flat_height, flat_width)
    values = np.arange(height * width).reshape(height, width)
    flat = ImageToFlat(camera, grid).nearest(values, -1)
    rows, columns = containing_twin(height, flat_height), containing_twin(width, flat_width)
    np.testing.assert_array_equal(flat.reshape(grid.shape), values[np.ix_(rows, columns)])
    back = FlatToImage(camera, grid).nearest(np.arange(grid.num_pixels), -1)
    rows, columns = containing_twin(flat_height, height), containing_twin(flat_width, width)
    expected = np.arange(grid.num_pixels).reshape(grid.shape)[np.ix_(rows, columns)]
    np.testing.assert_array_equal(back, expected)


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from([np.uint8, np.float32]), st.integers(1, 4))
def test_images_are_their_twin(width, height, flat_width, flat_height, dtype, channels):
    random = np.random.default_rng(width * height)
    image = random.uniform(0, 255, size=(height, width, channels)).astype(dtype)
    grid = ImageGrid(flat_height, flat_width)
    got = ImageToFlat(flat_camera(width, height), grid).bilinear(image)
    rows, columns = resizing_twin(height, flat_height), resizing_twin(width, flat_width)
    expected = np.einsum("ah,bw,hwc->abc", rows, columns, image.astype(np.float64))
    assert got.dtype == dtype
    # uint8 is rounded: at most half a step away.
    allowed = 0.501 if dtype == np.uint8 else 0.01
    assert np.abs(got.reshape(*grid.shape, channels) - expected).max() < allowed


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 255))
def test_a_constant_image_stays_constant(width, height, flat_width, flat_height, value):
    camera, grid = flat_camera(width, height), ImageGrid(flat_height, flat_width)
    table = ImageToFlat(camera, grid)
    assert (table.bilinear(np.full((height, width, 3), value, np.uint8)) == value).all()


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("size", [(97, 128), (40, 64), (33, 51), (120, 200)])
def test_centres_are_aligned_and_the_field_is_the_lens_s(camera, size):
    """What a resized pixel is valid for, and where its ray goes, is what the calibration says."""
    grid = ImageGrid(*size)
    table = ImageToFlat(camera, grid)
    rays = camera.resized(grid.width, grid.height).unproject(pixel_grid(grid.width, grid.height))
    centres = (pixel_grid(grid.width, grid.height) + 0.5) * (
        camera.width / grid.width,
        camera.height / grid.height,
    ) - 0.5
    aligned = camera.unproject(centres)
    np.testing.assert_allclose(rays, aligned, atol=1e-9)
    np.testing.assert_array_equal(
        table.valid.reshape(grid.shape), np.isfinite(aligned).all(axis=-1)
    )
    full = camera.unproject(pixel_grid(camera.width, camera.height))
    np.testing.assert_array_equal(FlatToImage(camera, grid).covered, np.isfinite(full).all(axis=-1))
    # A pixel that holds the rays' direction finds the direction of its own centre, within a pixel.
    smooth = np.where(np.isfinite(full), full, 0).astype(np.float32)
    sampled = table.bilinear(smooth).reshape(*grid.shape, 3)
    inner = table.valid.reshape(grid.shape).copy()
    inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = False, False, False, False
    if camera is not NARROW:  # whose pixels at the border of the field are mixed with black
        assert np.abs(sampled - rays)[inner].max() < 0.02


@pytest.mark.parametrize("camera", CAMERAS[:4])
def test_matching_sizes_change_nothing(camera):
    grid = ImageGrid(camera.height, camera.width)
    there, back = ImageToFlat(camera, grid), FlatToImage(camera, grid)
    random = np.random.default_rng(2)
    classes = random.integers(0, 12, size=grid.shape, dtype=np.uint8)
    image = random.integers(0, 256, size=(*grid.shape, 3), dtype=np.uint8)
    again = back.nearest(there.labels(classes, 255), 255)
    np.testing.assert_array_equal(again, np.where(back.covered, classes, 255))
    flat = there.bilinear(image).reshape(image.shape)
    np.testing.assert_array_equal(flat, np.where(back.covered[..., None], image, 0))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))
def test_whole_factors_come_back(across, down, width, height):
    """Enlarged by whole factors and looked up again, an image is itself."""
    grid = ImageGrid(height * down, width * across)
    camera = flat_camera(width, height)
    values = np.arange(width * height).reshape(height, width)
    enlarged = ImageToFlat(camera, grid).nearest(values, -1)
    np.testing.assert_array_equal(FlatToImage(camera, grid).nearest(enlarged, -1), values)


def sphere_twin(camera, flat, grid, values, invalid):
    """Every grid pixel alone: the resized pixel whose area its ray meets."""
    found = []
    small = camera.resized(flat.width, flat.height)
    for ray in grid.vectors():
        u, v = small.project(ray[None])[0]
        inside = -0.5 <= u <= flat.width - 0.5 and -0.5 <= v <= flat.height - 0.5
        if not inside:
            found.append(invalid)
            continue
        column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
        column = column % flat.width if camera.wraps_horizontally else min(column, flat.width - 1)
        found.append(values[min(row, flat.height - 1) * flat.width + column])
    return np.array(found)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("size", [(40, 64), (33, 51)])
def test_the_sphere_takes_the_pixel_its_ray_meets(camera, size):
    flat, grid = ImageGrid(*size), HealpixGrid(8, range(12))
    values = np.arange(flat.num_pixels)
    table = FlatToGrid(camera, flat, grid)
    got = table.nearest(values, -1)
    np.testing.assert_array_equal(table.covered, camera.valid(grid.vectors()))
    assert table.covered.any()
    expected = sphere_twin(camera, flat, grid, values, -1)
    # Rays on the border of two pixels may go either way, by the rounding of their projection.
    assert (got == expected).mean() > 0.995
    # And it is the nearest centre of all, in resized pixels.
    small = camera.resized(flat.width, flat.height)
    points = small.project(grid.vectors()[table.covered])
    centres = pixel_grid(flat.width, flat.height).reshape(-1, 2)[got[table.covered]]
    apart = np.abs(points - centres)
    if camera.wraps_horizontally:
        apart[:, 0] = np.minimum(apart[:, 0], flat.width - apart[:, 0])
    assert apart.max() <= 0.5 + 1e-6


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("pole", ["camera", "vehicle"])
def test_of_the_full_image_it_is_image_to_grid(camera, pole):
    camera = replace(camera, name="FV", quaternion=(0.5, -0.5, 0.5, -0.5))
    flat = ImageGrid(camera.height, camera.width)
    values = np.random.default_rng(4).integers(0, 250, size=flat.shape, dtype=np.uint8)
    there = ImageToGrid(camera, FISHEYE, pole)
    direct = FlatToGrid(camera, flat, FISHEYE, pole)
    np.testing.assert_array_equal(direct.covered, there.valid)
    np.testing.assert_array_equal(direct.nearest(values.ravel(), 255), there.nearest(values, 255))


def test_the_left_and_right_border_of_a_panorama_are_neighbours():
    flat = ImageGrid(6, 12)
    # Straight back is the border of the last and the first column, at every latitude.
    behind = FlatToGrid(PANORAMA, flat, HealpixGrid(64), "camera")
    columns = behind.nearest(np.arange(flat.num_pixels) % flat.width, -1)
    vectors = behind.grid.vectors()
    for side, column in ((-1, 0), (1, flat.width - 1)):
        close = (vectors[:, 2] < -0.9) & (side * vectors[:, 0] > 1e-3)
        assert close.any()
        assert set(columns[close]) == {column}
    assert behind.covered.all()


def test_the_own_vehicle_is_not_valid():
    mask = np.zeros((97, 128), dtype=bool)
    mask[60:] = True
    grid = ImageGrid(48, 64)
    table, whole = ImageToFlat(CAMERA, grid, excluded=mask), ImageToFlat(CAMERA, grid)
    hidden = whole.nearest(mask, False)
    assert hidden.any()
    np.testing.assert_array_equal(table.valid, whole.valid & ~hidden)
    assert (table.labels(np.full((97, 128), 3, np.uint8), 255)[~table.valid] == 255).all()
    assert not table.bilinear(np.full((97, 128, 3), 9, np.uint8))[~table.valid].any()


def test_depth_keeps_the_sky_and_what_is_unknown():
    depth = np.full((97, 128), 7.5, dtype=np.float32)
    depth[:30], depth[30:40] = np.inf, np.nan
    table = ImageToFlat(NARROW, ImageGrid(49, 66))
    got = table.depth(depth)
    expected = table.nearest(np.arange(97)[:, None].repeat(128, axis=1), -1)
    assert np.isinf(got[table.valid & (expected < 30)]).all()
    assert np.isnan(got[table.valid & (expected >= 30) & (expected < 40)]).all()
    assert (got[table.valid & (expected >= 40)] == 7.5).all()
    assert np.isnan(got[~table.valid]).all()


def test_what_the_lens_does_not_see_is_not_covered():
    grid = ImageGrid(49, 66)
    back = FlatToImage(NARROW, grid)
    assert 0 < back.covered.mean() < 1
    labels = back.nearest(np.zeros(grid.num_pixels, np.uint8), 255)
    np.testing.assert_array_equal(labels == 255, ~back.covered)


def test_wrong_values_are_named():
    grid = ImageGrid(40, 64)
    table = ImageToFlat(CAMERA, grid)
    wrong_size = np.zeros((90, 128), np.uint8)
    with pytest.raises(ValueError, match=r"128 x 90 pixels with 2 axes.*'FV' is for 128 x 97"):
        table.nearest(wrong_size, 0)
    with pytest.raises(ValueError, match="the mask excluded is 128 x 90"):
        ImageToFlat(CAMERA, grid, wrong_size == 0)
    with pytest.raises(ValueError, match="the mask excluded has dtype uint8, bool is needed"):
        ImageToFlat(CAMERA, grid, np.zeros((97, 128), np.uint8))
    with pytest.raises(ValueError, match="dtype int64, uint8 or float32 is needed"):
        table.bilinear(np.zeros((97, 128, 3), np.int64))
    with pytest.raises(ValueError, match="classes has dtype int64, uint8 is needed"):
        table.labels(np.zeros((97, 128), np.int64), 255)
    with pytest.raises(ValueError, match="depth has dtype float64, float32 is needed"):
        table.depth(np.zeros((97, 128)))
    with pytest.raises(ValueError, match="invalid=-1"):
        table.nearest(np.zeros((97, 128), np.uint8), -1)
    too_few = re.escape("values has shape (12,), (2560,) is needed")
    with pytest.raises(ValueError, match=too_few):
        FlatToImage(CAMERA, grid).nearest(np.zeros(12), 0)
    with pytest.raises(ValueError, match=too_few):
        FlatToGrid(CAMERA, grid, FISHEYE).nearest(np.zeros(12), 0)
