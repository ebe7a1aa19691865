from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import EquirectangularCamera, PinholeCamera, RadialPolynomialCamera
from healswin.cameras.base import pixel_grid
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

CAMERA = RadialPolynomialCamera(
    (34.0, -3.2, 4.8, -0.7), 128, 97, cx_offset=0.4, cy_offset=-0.3, aspect_ratio=1.02, name="FV"
)
PANORAMA = EquirectangularCamera(96, 48)
TELEPHOTO = PinholeCamera(width=64, height=48, fx=400.0, fy=400.0, cx=31.5, cy=23.5)
COARSE = HealpixGrid(4, (0, 1, 2, 3, 5, 7))


class Twin:
    """Each pixel from its children on the finer grid, one after another.

    The finer grid is sampled without antialiasing, which has twins of its own.
    """

    def __init__(self, camera, grid, pole, excluded, oversampling):
        fine = HealpixGrid(grid.nside * 2**oversampling, grid.base_pixels)
        self.fine = ImageToGrid(camera, fine, pole, excluded=excluded)
        self.centre = ImageToGrid(camera, grid, pole, excluded=excluded)
        self.children = 4**oversampling

    def pixels(self, fine, centre, join, invalid):
        """One value a pixel: `join` of its valid children, of the centre where there are none."""
        result = []
        for pixel, valid in enumerate(self.centre.valid):
            own = range(pixel * self.children, (pixel + 1) * self.children)
            values = [fine[i] for i in own if self.fine.valid[i]] or [centre[pixel]]
            result.append(join(values) if valid else invalid)
        return np.array(result)

    def bilinear(self, image):
        values = self.fine.bilinear(image).astype(np.float64), self.centre.bilinear(image)
        return self.pixels(*values, lambda v: np.mean(v, axis=0), np.zeros(image.shape[2]))

    def labels(self, classes, invalid):
        values = [table.nearest(classes, invalid) for table in (self.fine, self.centre)]
        return self.pixels(*values, most_frequent, invalid)

    def depth(self, depth):
        values = [table.nearest(depth, np.nan) for table in (self.fine, self.centre)]
        return self.pixels(*values, lower_median, np.nan)


def most_frequent(classes):
    votes = Counter(int(c) for c in classes if c != 255) or Counter({255: 1})
    return min(votes, key=lambda c: (-votes[c], c))


def lower_median(depths):
    known = sorted(d for d in depths if not np.isnan(d))
    return known[(len(known) - 1) // 2] if known else np.nan


@pytest.mark.parametrize(
    ("camera", "grid", "pole"),
    [
        (CAMERA, COARSE, "camera"),
        (CAMERA, HealpixGrid(16, range(8)), "vehicle"),
        (PANORAMA, HealpixGrid(8), "zenith"),
        (TELEPHOTO, HealpixGrid(64, (0, 1, 2, 3)), "camera"),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_a_pixel_is_made_of_its_valid_children(camera, grid, pole, masked):
    random = np.random.default_rng(0)
    shape = (camera.height, camera.width)
    # Blocks and single pixels, so that pixels have none, some and all of their children.
    blocks = np.kron(random.random((-(-shape[0] // 8), -(-shape[1] // 8))), np.ones((8, 8))) < 0.3
    excluded = blocks[: shape[0], : shape[1]] | (random.random(shape) < 0.5) if masked else None
    table = ImageToGrid(camera, grid, pole, antialias=True, excluded=excluded)
    assert table.oversampling > 0
    assert table.valid.sum() > 20
    twin = Twin(camera, grid, pole, excluded, table.oversampling)
    np.testing.assert_array_equal(table.valid, twin.centre.valid)
    np.testing.assert_array_equal(table.coordinates, twin.centre.coordinates)

    image = random.uniform(0, 255, size=(*shape, 3)).astype(np.float32)
    np.testing.assert_allclose(table.bilinear(image), twin.bilinear(image), rtol=1e-4, atol=1e-3)
    image = image.astype(np.uint8)
    got = table.bilinear(image)
    assert got.dtype == np.uint8
    # Rounded: half a step from the mean of the rounded children.
    assert np.abs(got - twin.bilinear(image)).max() <= 0.5 + 1e-9

    classes = random.choice([0, 1, 2, 255], size=shape).astype(np.uint8)
    got = table.labels(classes, 77)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, twin.labels(classes, 77))

    depth = random.uniform(0, 50, size=shape).astype(np.float32)
    depth[random.random(shape) < 0.3] = np.inf
    depth[random.random(shape) < 0.4] = np.nan
    got = table.depth(depth)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, twin.depth(depth))


def test_a_pixel_without_a_valid_child_takes_its_centre():
    # The image is hardly coarser than the children, so that some pixels hold a centre alone.
    camera = replace(TELEPHOTO, fx=490.0, fy=490.0)
    grid = HealpixGrid(128, (0, 1, 2, 3))
    centres = ImageToGrid(camera, grid)
    # Of the image only the pixels nearest to the centres are left.
    index = np.arange(camera.width * camera.height).reshape(camera.height, camera.width)
    excluded = ~np.isin(index, centres.nearest(index, -1))
    table = ImageToGrid(camera, grid, antialias=True, excluded=excluded)
    np.testing.assert_array_equal(table.valid, centres.valid)
    twin = Twin(camera, grid, "camera", excluded, table.oversampling)
    alone = table.valid & ~twin.fine.valid.reshape(-1, twin.children).any(axis=1)
    assert alone.any()

    random = np.random.default_rng(2)
    image = random.integers(0, 256, size=(*index.shape, 3), dtype=np.uint8)
    depth = index.astype(np.float32)
    np.testing.assert_array_equal(table.bilinear(image)[alone], centres.bilinear(image)[alone])
    np.testing.assert_array_equal(table.depth(depth)[alone], centres.depth(depth)[alone])


def test_a_valid_pixel_of_which_nothing_is_known_stays_unknown():
    table = ImageToGrid(CAMERA, COARSE, antialias=True)
    unknown = np.full((97, 128), np.nan, dtype=np.float32)
    assert np.isnan(table.depth(unknown)).all()
    assert (table.labels(np.full((97, 128), 255, dtype=np.uint8), 0)[table.valid] == 255).all()
    # Sky is known: it is far.
    far = np.full((97, 128), np.inf, dtype=np.float32)
    np.testing.assert_array_equal(np.isinf(table.depth(far)), table.valid)


@given(st.integers(0, 255), st.sampled_from([1, 3, 4]), st.sampled_from([4, 8, 16]))
def test_a_constant_image_stays_constant(value, channels, nside):
    table = ImageToGrid(CAMERA, HealpixGrid(nside, range(8)), antialias=True)
    image = np.full((97, 128, channels), value, dtype=np.uint8)
    assert (table.bilinear(image)[table.valid] == value).all()
    assert (table.bilinear(image)[~table.valid] == 0).all()
    if channels == 1:
        assert (table.labels(image[..., 0], 255)[table.valid] == value).all()
        depth = image[..., 0].astype(np.float32)
        assert (table.depth(depth)[table.valid] == value).all()


def test_thin_stripes_become_grey():
    image = np.zeros((97, 128, 1), dtype=np.uint8)
    image[:, ::2] = 200
    grid = HealpixGrid(8, range(4))
    points, averaged = ImageToGrid(CAMERA, grid), ImageToGrid(CAMERA, grid, antialias=True)
    contrast = points.bilinear(image)[points.valid].std()
    assert contrast > 30
    assert averaged.bilinear(image)[averaged.valid].std() < contrast / 5
    assert abs(averaged.bilinear(image)[averaged.valid].mean() - 100) < 2


@pytest.mark.parametrize("camera", [CAMERA, PANORAMA, TELEPHOTO])
@pytest.mark.parametrize("nside", [4, 16, 64, 256, 512])
def test_the_finer_grid_is_just_as_fine_as_the_image(camera, nside):
    rays = camera.unproject(pixel_grid(camera.width, camera.height))
    along_u = np.linalg.norm(np.diff(rays[1:], axis=1), axis=-1)
    along_v = np.linalg.norm(np.diff(rays[:, 1:], axis=0), axis=-1)
    finest = np.nanmin(np.maximum(along_u, along_v))

    grid = HealpixGrid(nside, (0,))
    k = ImageToGrid(camera, grid, antialias=True).oversampling
    # The sides are measured between pixels here, and not at them.
    assert grid.pixel_spacing / 2**k <= 1.02 * finest
    assert k == 0 or grid.pixel_spacing / 2 ** (k - 1) > 0.98 * finest
    assert ImageToGrid(camera, grid).oversampling == 0


def test_a_grid_as_fine_as_the_image_needs_no_antialiasing():
    random = np.random.default_rng(1)
    image = random.integers(0, 256, size=(97, 128, 3), dtype=np.uint8)
    grid = HealpixGrid(128, (0, 6))
    plain, table = ImageToGrid(CAMERA, grid), ImageToGrid(CAMERA, grid, antialias=True)
    assert table.oversampling == 0
    np.testing.assert_array_equal(table.bilinear(image), plain.bilinear(image))
    np.testing.assert_array_equal(table.labels(image[..., 0], 9), plain.labels(image[..., 0], 9))


def test_an_image_too_fine_for_the_grid_is_refused():
    camera = PinholeCamera(width=64, height=48, fx=1e4, fy=1e4, cx=31.5, cy=23.5, name="telescope")
    with pytest.raises(ValueError, match=r"'telescope' is .* times as fine .* nside 16, .* 16384"):
        ImageToGrid(camera, HealpixGrid(16), antialias=True)
    assert ImageToGrid(camera, HealpixGrid(16)).oversampling == 0
