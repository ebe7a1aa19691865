import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import ImageGrid

extents = st.integers(1, 2000)
factors = st.integers(1, 64)


@given(extents, extents, factors)
def test_coarsening_divides_and_keeps_every_pixel(height, width, factor):
    fine = ImageGrid(height * factor, width * factor)
    coarse = fine.coarsened(factor)
    assert coarse == ImageGrid(height, width)
    assert coarse.num_pixels * factor**2 == fine.num_pixels


@given(factors, factors)
def test_coarsening_twice_is_coarsening_by_the_product(first, second):
    grid = ImageGrid(3 * first * second, 5 * first * second)
    assert grid.coarsened(first).coarsened(second) == grid.coarsened(first * second)


@given(extents, extents, factors)
def test_coarsening_refuses_what_does_not_divide(height, width, factor):
    if height % factor or width % factor:
        message = f"factor={factor} must divide height={height} and width={width}"
        with pytest.raises(ValueError, match=message):
            ImageGrid(height, width).coarsened(factor)
    else:
        assert ImageGrid(height, width).coarsened(factor).height == height // factor


@pytest.mark.parametrize("wrong", [0, -4, 2.0, "640", None, 1.5])
def test_wrong_extents(wrong):
    with pytest.raises(ValueError, match=r"height=.* must be a whole number of at least 1"):
        ImageGrid(wrong, 4)
    with pytest.raises(ValueError, match=r"width=.* must be a whole number of at least 1"):
        ImageGrid(4, wrong)
    with pytest.raises(ValueError, match=r"factor=.* must be a whole number of at least 1"):
        ImageGrid(4, 4).coarsened(wrong)


def test_it_is_a_value():
    grid = ImageGrid(np.int64(640), np.int32(768))
    assert (type(grid.height), type(grid.width)) == (int, int)
    assert grid == ImageGrid(640, 768) == pickle.loads(pickle.dumps(grid))
    assert {grid: "image"}[ImageGrid(640, 768)] == "image"
    assert repr(grid) == "ImageGrid(height=640, width=768)"
    assert grid != ImageGrid(768, 640)
    with pytest.raises(dataclasses.FrozenInstanceError):
        grid.height = 1
