"""Cutting the sides of images, with their calibrations."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synwoodscape_folder import HEIGHT, WIDTH, tiny_camera, write_synwoodscape

from data_prep.conversion import Conversion
from data_prep.convert import convert
from data_prep.crop import Crop, green_strips
from healswin.cameras.base import pixel_grid
from healswin.data import PreparedSet
from healswin.data.sources import source_image, source_labels

sides = st.integers(0, 10)


@given(sides, sides, sides, sides)
def test_a_pixel_keeps_its_ray(left, top, right, bottom):
    crop, camera = Crop(left, top, right, bottom), tiny_camera()
    pixels = pixel_grid(camera.width, camera.height)
    part = crop.calibrated(camera)
    inner = crop.cut(pixels)
    assert inner.shape == (part.height, part.width, 2)
    np.testing.assert_allclose(
        part.unproject(pixel_grid(part.width, part.height)), camera.unproject(inner), atol=1e-12
    )


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match=r"crop=\[40, 0, 24, 0\]: nothing is left of the 64 x 48"):
        Crop(left=40, right=24).calibrated(tiny_camera())


def striped(image, top, bottom, random):
    """A copy with green rows, a tenth of whose pixels have other colours."""
    image = image.copy()
    for rows in (slice(0, top), slice(len(image) - bottom, None)):
        strip = image[rows]
        green = random.uniform(size=strip.shape[:2]) > 0.1
        strip[green] = (10, 200, 15)
    return image


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 100))
def test_green_strips_are_found(top, bottom, seed):
    random = np.random.default_rng(seed)
    street = random.integers(60, 200, (100, 160, 3)).astype(np.uint8)
    assert green_strips(striped(street, top, bottom, random)) == Crop(top=top, bottom=bottom)


def test_a_meadow_is_no_strip():
    image = np.full((100, 160, 3), (90, 90, 100), dtype=np.uint8)
    image[70:] = (40, 160, 30)
    assert green_strips(image) == Crop()


@pytest.fixture
def source(tmp_path):
    """Pictures with 2 green rows at the top and 1 or 2 at the bottom."""
    root = write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV", "RV"))
    random = np.random.default_rng(0)
    for file in (root / "rgb_images").iterdir():
        bottom = 2 if file.stem.endswith("RV") else 1
        cv2.imwrite(str(file), striped(cv2.imread(str(file)), 2, bottom, random))
    return root


@pytest.mark.parametrize("crop", ["green", (0, 2, 0, 2)])
def test_the_cropped_set_and_its_way_back_to_the_sources(source, tmp_path, crop):
    convert(Conversion(source, nside=32, crop=crop), tmp_path / "set", progress=False)
    prepared = PreparedSet.open(tmp_path / "set")
    camera = prepared.cameras["FV"]
    assert prepared.attributes["crop"] == [0, 2, 0, 2]
    assert (camera.width, camera.height) == (WIDTH, HEIGHT - 4)
    assert source_image(prepared, 0).shape == (HEIGHT - 4, WIDTH, 3)
    assert source_labels(prepared, 0).shape == (HEIGHT - 4, WIDTH)

    convert(Conversion(source, nside=32), tmp_path / "whole", progress=False)
    whole = PreparedSet.open(tmp_path / "whole")
    valid = prepared.valid("FV")
    assert valid.sum() < whole.valid("FV").sum()
    assert not (valid & ~whole.valid("FV")).any()
    np.testing.assert_array_equal(prepared.semantic(0)[valid], whole.semantic(0)[valid])
    green = (prepared.image(0).astype(int) * (-1, 1, -1)).sum(axis=1) > 170
    assert not green.any()
    assert ((whole.image(0).astype(int) * (-1, 1, -1)).sum(axis=1) > 170).any()
