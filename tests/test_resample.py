import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import RadialPolynomialCamera, read_calibration
from healswin.grid import HealpixGrid
from healswin.resample import GridToImage, ImageToGrid

CAMERA = RadialPolynomialCamera(
    (34.0, -3.2, 4.8, -0.7), 128, 97, cx_offset=0.4, cy_offset=-0.3, aspect_ratio=1.02, name="FV"
)
FISHEYE = HealpixGrid(32, range(8))


def bilinear_twin(image, coordinates):
    """Bilinear values at (u, v), borders replicated, in float64 and in plain steps."""
    height, width = image.shape[:2]
    result = np.empty((len(coordinates), image.shape[2]))
    for i, (u, v) in enumerate(coordinates):
        left, top = int(np.floor(u)), int(np.floor(v))
        right_share, lower_share = u - left, v - top
        columns = np.clip([left, left + 1], 0, width - 1)
        rows = np.clip([top, top + 1], 0, height - 1)
        corners = image[np.ix_(rows, columns)].astype(np.float64)
        upper = corners[0, 0] * (1 - right_share) + corners[0, 1] * right_share
        lower = corners[1, 0] * (1 - right_share) + corners[1, 1] * right_share
        result[i] = upper * (1 - lower_share) + lower * lower_share
    return result


class Identity:
    """A camera for which every grid pixel lies on given image coordinates."""

    name, width, height = "given", 128, 97

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


@given(st.integers(0, 255), st.sampled_from([1, 3, 4]), st.sampled_from(["camera", "vehicle"]))
def test_a_constant_image_stays_constant(value, channels, pole):
    image = np.full((97, 128, channels), value, dtype=np.uint8)
    table = ImageToGrid(CAMERA, FISHEYE, pole)
    sphere = table.bilinear(image)
    assert table.valid.any()
    assert not table.valid.all()
    assert (sphere[table.valid] == value).all()
    assert (sphere[~table.valid] == 0).all()
    # Back through the camera, pixels that it did not see must not mix in.
    back = GridToImage(CAMERA, FISHEYE, pole)
    assert (back.bilinear(sphere)[back.covered] == value).all()
    assert (back.bilinear(sphere)[~back.covered] == 0).all()


@pytest.mark.parametrize("nside", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("faces", [range(8), range(12), (0, 5)])
def test_a_constant_survives_both_ways_on_any_grid(nside, faces):
    grid = HealpixGrid(nside, faces)
    there, back = ImageToGrid(CAMERA, grid), GridToImage(CAMERA, grid)
    sphere = there.bilinear(np.full((97, 128, 1), 0.7, dtype=np.float32))
    assert there.valid.any()
    np.testing.assert_allclose(back.bilinear(sphere)[back.covered], 0.7, rtol=1e-5)


def test_integer_coordinates_return_the_pixel_itself():
    random = np.random.default_rng(2)
    image = random.integers(0, 256, size=(97, 128, 3), dtype=np.uint8)
    grid = HealpixGrid(16)
    pixels = random.integers(0, [128, 97], size=(grid.num_pixels, 2))
    pixels[:4] = [[0, 0], [127, 0], [0, 96], [127, 96]]
    table = ImageToGrid(Identity(pixels.astype(np.float64)), grid)
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
    assert (ImageToGrid(Identity(edge), grid).bilinear(image) == 200).all()


@pytest.mark.parametrize("pole", ["camera", "vehicle"])
def test_image_to_grid_to_image_keeps_a_smooth_image(pole):
    u, v = np.meshgrid(np.arange(128), np.arange(97))
    image = (128 + 60 * np.sin(u / 15) + 40 * np.cos(v / 12))[..., None].astype(np.float32)
    grid = HealpixGrid(128)
    there, back = ImageToGrid(CAMERA, grid, pole), GridToImage(CAMERA, grid, pole)
    again = back.bilinear(there.bilinear(image))
    inner = back.covered.copy()
    inner[[0, 1, -2, -1]], inner[:, [0, 1, -2, -1]] = False, False
    assert np.abs(again - image)[inner].max() < 2.0


def test_grid_to_image_takes_the_containing_pixel():
    back = GridToImage(CAMERA, FISHEYE)
    labels = (np.arange(FISHEYE.num_pixels) % 251).astype(np.uint8)
    picture = back.nearest(labels, 255)
    rays = CAMERA.unproject(np.array([[[10.0, 20.0], [64.0, 48.0]]]))
    expected = labels[FISHEYE.lookup(rays)]
    assert [[picture[20, 10], picture[48, 64]]] == expected.tolist()
    assert (picture[~back.covered] == 255).all()


def test_the_optical_axis_is_the_north_pole():
    table = ImageToGrid(CAMERA, HealpixGrid(64))
    north = HealpixGrid(64).lookup(np.array([0.0, 0.0, 1.0]))
    assert np.abs(table.coordinates[north] - CAMERA.principal_point).max() < 1


def test_wrong_sizes_are_named():
    table, back = ImageToGrid(CAMERA, FISHEYE), GridToImage(CAMERA, FISHEYE)
    with pytest.raises(ValueError, match=r"64 x 48 pixels.*'FV' is for 128 x 97"):
        table.bilinear(np.zeros((48, 64, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="dtype float64"):
        table.bilinear(np.zeros((97, 128, 3)))
    with pytest.raises(ValueError, match="64 x 48"):
        table.nearest(np.zeros((48, 64), dtype=np.uint8), 255)
    with pytest.raises(ValueError, match="8192 pixels"):
        back.nearest(np.zeros(12, dtype=np.uint8), 255)
    with pytest.raises(ValueError, match="invalid=300 cannot be held by uint8"):
        table.nearest(np.zeros((97, 128), dtype=np.uint8), 300)
    with pytest.raises(ValueError, match="dtype int64"):
        back.bilinear(np.zeros((FISHEYE.num_pixels, 1), dtype=np.int64))


def test_a_real_photograph_survives_nside_256():
    """HEALSWIN_SAMPLE_DATA names a folder with front.jpg and front.json (1280 x 966, WoodScape)."""
    folder = os.environ.get("HEALSWIN_SAMPLE_DATA")
    if not folder:
        pytest.skip("HEALSWIN_SAMPLE_DATA is not set")
    photograph = cv2.cvtColor(cv2.imread(str(Path(folder) / "front.jpg")), cv2.COLOR_BGR2RGB)
    camera = read_calibration(Path(folder) / "front.json")
    assert json.loads((Path(folder) / "front.json").read_text()) == camera.to_dict()
    grid = HealpixGrid(256, range(8))
    back = GridToImage(camera, grid)
    again = back.bilinear(ImageToGrid(camera, grid).bilinear(photograph))
    error = (again.astype(np.float64) - photograph)[back.covered]
    psnr = 10 * np.log10(255**2 / np.mean(error**2))
    print(f"PSNR {psnr:.2f} dB over {back.covered.mean():.1%} of the image")
    # The lower corners of the image look into the four southern faces. 27.22 dB over 93.3 % were
    # measured; the grid has fewer pixels than the photograph.
    assert back.covered.mean() > 0.93
    assert psnr > 27
