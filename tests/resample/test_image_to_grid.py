import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import EquirectangularCamera, RadialPolynomialCamera
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

CAMERA = RadialPolynomialCamera(
    (34.0, -3.2, 4.8, -0.7), 128, 97, cx_offset=0.4, cy_offset=-0.3, aspect_ratio=1.02, name="FV"
)
FISHEYE = HealpixGrid(32, range(8))
PANORAMA = EquirectangularCamera(96, 48)


def bilinear_twin(image, coordinates, wraps=False):
    """Bilinear values at (u, v) in float64 and in plain steps; borders replicated, or wrapped."""
    height, width = image.shape[:2]
    result = np.empty((len(coordinates), image.shape[2]))
    for i, (u, v) in enumerate(coordinates):
        left, top = int(np.floor(u)), int(np.floor(v))
        right_share, lower_share = u - left, v - top
        columns = np.array([left, left + 1])
        columns = columns % width if wraps else np.clip(columns, 0, width - 1)
        rows = np.clip([top, top + 1], 0, height - 1)
        corners = image[np.ix_(rows, columns)].astype(np.float64)
        upper = corners[0, 0] * (1 - right_share) + corners[0, 1] * right_share
        lower = corners[1, 0] * (1 - right_share) + corners[1, 1] * right_share
        result[i] = upper * (1 - lower_share) + lower * lower_share
    return result


class Given:
    """A camera for which every grid pixel lies on given image coordinates."""

    name, width, height, wraps_horizontally = "given", 128, 97, False

    def __init__(self, coordinates):
        self.coordinates = coordinates

    def project(self, rays):
        return self.coordinates

    def valid(self, rays):
        return np.ones(len(rays), dtype=bool)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_bilinear_is_its_twin(dtype):
    random = np.random.default_rng(0)
    image = random.uniform(0, 255, size=(97, 128, 3)).astype(dtype)
    table = ImageToGrid(CAMERA, FISHEYE)
    expected = bilinear_twin(image, table.coordinates[table.valid])
    got = table.bilinear(image)
    assert got.dtype == dtype
    # uint8 is rounded: at most half a step away, plus the rounding of float32 coordinates.
    assert np.abs(got[table.valid] - expected).max() < (0.51 if dtype == np.uint8 else 0.01)


def test_values_are_rounded_not_truncated():
    random = np.random.default_rng(1)
    image = random.integers(0, 256, size=(97, 128, 1), dtype=np.uint8)
    table = ImageToGrid(CAMERA, FISHEYE)
    error = table.bilinear(image)[table.valid] - bilinear_twin(
        image, table.coordinates[table.valid]
    )
    assert abs(error.mean()) < 0.02


def test_bilinear_is_cv2_with_replicated_borders():
    random = np.random.default_rng(3)
    image = random.uniform(0, 255, size=(97, 128, 3)).astype(np.float32)
    table = ImageToGrid(CAMERA, FISHEYE)
    u, v = table.coordinates[table.valid].T.astype(np.float32)
    expected = cv2.remap(image, u[None], v[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(table.bilinear(image)[table.valid], expected[0], atol=1e-3)


def test_integer_coordinates_return_the_pixel_itself():
    random = np.random.default_rng(2)
    image = random.integers(0, 256, size=(97, 128, 3), dtype=np.uint8)
    grid = HealpixGrid(16)
    pixels = random.integers(0, [128, 97], size=(grid.num_pixels, 2))
    pixels[:4] = [[0, 0], [127, 0], [0, 96], [127, 96]]
    table = ImageToGrid(Given(pixels.astype(np.float64)), grid)
    expected = image[pixels[:, 1], pixels[:, 0]]
    np.testing.assert_array_equal(table.bilinear(image), expected)
    np.testing.assert_allclose(table.bilinear(image.astype(np.float32)), expected, atol=1e-4)
    np.testing.assert_array_equal(table.nearest(image[..., 0], 255), expected[:, 0])


def test_nearest_is_the_nearest_image_pixel():
    table = ImageToGrid(CAMERA, FISHEYE)
    index = np.arange(97 * 128).reshape(97, 128)
    taken = table.nearest(index, -1)
    assert (taken[~table.valid] == -1).all()
    chosen = np.stack([taken % 128, taken // 128], axis=-1)[table.valid]
    distance = np.abs(chosen - table.coordinates[table.valid])
    assert distance.max() <= 0.5


def test_borders_are_not_darkened():
    """Pixels between the last centre and the image's edge take the border's value."""
    image = np.full((97, 128, 1), 200, dtype=np.uint8)
    edge = np.array([[-0.5, 50.0], [127.5, 50.0], [60.0, -0.5], [60.0, 96.5], [127.49, 96.49]])
    grid = HealpixGrid(1, (0, 1, 2, 3, 4))
    assert (ImageToGrid(Given(edge), grid).bilinear(image) == 200).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_panorama_is_closed(dtype):
    random = np.random.default_rng(4)
    image = random.uniform(0, 255, size=(48, 96, 3)).astype(dtype)
    table = ImageToGrid(PANORAMA, HealpixGrid(32), "zenith")
    assert table.valid.all()
    on_the_seam = (table.coordinates[:, 0] < 0) | (table.coordinates[:, 0] > 95)
    assert on_the_seam.sum() > 50
    error = table.bilinear(image) - bilinear_twin(image, table.coordinates, wraps=True)
    assert np.abs(error).max() < (0.51 if dtype == np.uint8 else 0.01)


@given(st.integers(1, 95))
def test_where_a_panorama_is_cut_makes_no_difference(columns):
    random = np.random.default_rng(5)
    image = random.integers(0, 256, size=(48, 96, 1), dtype=np.uint8)
    grid = HealpixGrid(16)
    elsewhere = EquirectangularCamera(96, 48, cx=PANORAMA.cx + columns)
    assert elsewhere.wraps_horizontally
    np.testing.assert_array_equal(
        ImageToGrid(elsewhere, grid, "zenith").bilinear(np.roll(image, columns, axis=1)),
        ImageToGrid(PANORAMA, grid, "zenith").bilinear(image),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([CAMERA, PANORAMA]))
def test_the_own_vehicle_is_not_valid(seed, camera):
    random = np.random.default_rng(seed)
    excluded = random.random((camera.height, camera.width)) < 0.3
    table, whole = ImageToGrid(camera, FISHEYE, excluded=excluded), ImageToGrid(camera, FISHEYE)
    hidden = whole.nearest(excluded, False)
    np.testing.assert_array_equal(table.valid, whole.valid & ~hidden)
    assert np.isnan(table.coordinates[~table.valid]).all()

    image = random.integers(1, 255, size=(*excluded.shape, 3), dtype=np.uint8)
    depth = image[..., 0].astype(np.float32)
    assert (table.bilinear(image)[~table.valid] == 0).all()
    assert (table.labels(image[..., 0], 255)[~table.valid] == 255).all()
    assert np.isnan(table.depth(depth)[~table.valid]).all()
    # What is seen is what is seen without the mask.
    kept = table.valid
    np.testing.assert_array_equal(table.bilinear(image)[kept], whole.bilinear(image)[kept])
    np.testing.assert_array_equal(table.depth(depth)[kept], whole.depth(depth)[kept])


def test_labels_and_depth_are_of_the_nearest_image_pixel():
    random = np.random.default_rng(6)
    classes = random.integers(0, 10, size=(97, 128), dtype=np.uint8)
    depth = random.choice([1.5, np.inf, np.nan], size=(97, 128)).astype(np.float32)
    table = ImageToGrid(CAMERA, FISHEYE)
    assert table.oversampling == 0
    np.testing.assert_array_equal(table.labels(classes, 255), table.nearest(classes, 255))
    np.testing.assert_array_equal(table.depth(depth), table.nearest(depth, np.nan))


def test_the_optical_axis_is_the_north_pole():
    table = ImageToGrid(CAMERA, HealpixGrid(64))
    north = HealpixGrid(64).lookup(np.array([0.0, 0.0, 1.0]))
    assert np.abs(table.coordinates[north] - CAMERA.principal_point).max() < 1


def test_wrong_arrays_are_named():
    table = ImageToGrid(CAMERA, FISHEYE)
    right, wrong = (97, 128), (48, 64)
    with pytest.raises(ValueError, match=r"64 x 48 pixels.*'FV' is for 128 x 97"):
        table.bilinear(np.zeros((*wrong, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="dtype float64"):
        table.bilinear(np.zeros((*right, 3)))
    with pytest.raises(ValueError, match="64 x 48"):
        table.nearest(np.zeros(wrong, dtype=np.uint8), 255)
    with pytest.raises(ValueError, match="invalid=300 cannot be held by uint8"):
        table.nearest(np.zeros(right, dtype=np.uint8), 300)
    with pytest.raises(ValueError, match="classes has dtype int64, uint8"):
        table.labels(np.zeros(right, dtype=np.int64), 255)
    with pytest.raises(ValueError, match="depth has dtype float64, float32"):
        table.depth(np.zeros(right))
    with pytest.raises(ValueError, match="the mask excluded is 64 x 48 pixels"):
        ImageToGrid(CAMERA, FISHEYE, excluded=np.zeros(wrong, dtype=bool))
    with pytest.raises(ValueError, match="excluded has dtype uint8, bool"):
        ImageToGrid(CAMERA, FISHEYE, excluded=np.zeros(right, dtype=np.uint8))
    with pytest.raises(ValueError, match="at most 32765 pixels"):
        ImageToGrid(EquirectangularCamera(32768, 16384), FISHEYE)
