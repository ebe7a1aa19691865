"""Items on a canvas: whole, without overlap, everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.mnist.canvas import boxes, compose, most_items, place_items

SEEDS = st.integers(0, 10**6)


def pictures(rng, count, side, largest):
    """Pictures whose content fills a box of at most `largest` along each side."""
    images = np.zeros((count, side, side), dtype=np.uint8)
    for image in images:
        height, width = rng.integers(1, largest + 1, 2)
        top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
        image[top : top + height, left : left + width] = rng.integers(1, 256, (height, width))
    return images


@given(seed=SEEDS, largest=st.sampled_from([3, 9]))
def test_boxes_hold_all_of_a_picture_and_no_more(seed, largest):
    images = pictures(np.random.default_rng(seed), 5, 9, largest)
    for image, (top, bottom, left, right) in zip(images, boxes(images), strict=True):
        inside = image[top:bottom, left:right]
        assert inside.sum(dtype=int) == image.sum(dtype=int)
        for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
            assert side.any()


def test_the_box_of_an_empty_picture_is_all_of_it():
    np.testing.assert_array_equal(boxes(np.zeros((1, 7, 7), dtype=np.uint8)), [[0, 7, 0, 7]])


@given(seed=SEEDS, items=st.integers(1, 4), largest=st.sampled_from([12, 20, 28]))
def test_items_are_whole_and_do_not_overlap(seed, items, largest):
    rng = np.random.default_rng(seed)
    images = pictures(rng, items, 28, largest)
    found = boxes(images)
    classes = list(range(1, items + 1))
    canvas, owner = compose(images, classes, found, place_items(found, 28, 60, rng), 60)
    # Had they overlapped, or left the canvas, something would be missing.
    np.testing.assert_array_equal(
        np.bincount(canvas.ravel(), minlength=256)[1:],
        np.bincount(images.ravel(), minlength=256)[1:],
    )
    for number, image in zip(classes, images, strict=True):
        own = canvas[(owner == number) & (canvas > 0)]
        np.testing.assert_array_equal(own, image[image > 0])


@given(seed=SEEDS)
def test_the_border_of_an_item_belongs_to_it(seed):
    """What lies within a pixel of an item's box has its class, unless another item is there."""
    rng = np.random.default_rng(seed)
    images = pictures(rng, 2, 9, 9)
    found = boxes(images)
    canvas, owner = compose(images, [3, 5], found, place_items(found, 9, 30, rng), 30)
    rows, columns = np.nonzero(canvas)
    for down, right in np.ndindex(3, 3):
        i, j = np.clip(rows + down - 1, 0, 29), np.clip(columns + right - 1, 0, 29)
        assert (owner[i, j] > 0).all()
    assert set(np.unique(owner)) == {0, 3, 5}


def test_every_place_is_reached():
    """A single item of 2 x 2 on a canvas of 5 x 5: sixteen places, about equally often."""
    rng = np.random.default_rng(3)
    box = np.array([[4, 6, 1, 3]])
    counts = np.zeros((4, 4), dtype=int)
    for _ in range(3200):
        ((row, column),) = place_items(box, 8, 5, rng)
        counts[row, column] += 1
    # 200 each: five standard deviations of 14.
    assert counts.min() > 130
    assert counts.max() < 270


def test_items_that_fill_their_pictures_go_into_a_raster():
    box = np.tile([0, 28, 0, 28], (4, 1))
    seen = set()
    for seed in range(40):
        places = place_items(box, 28, 60, np.random.default_rng(seed))
        assert {(row >= 28, column >= 28) for row, column in places} == {
            (False, False),
            (False, True),
            (True, False),
            (True, True),
        }
        assert all(0 <= value <= 32 for place in places for value in place)
        seen.add(places[0])
    # In any of the four cells, and anywhere in it: 4 x 9 places.
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("side", "canvas", "most"), [(28, 28, 1), (28, 55, 1), (28, 60, 4), (28, 27, 0)]
)
def test_how_many_pictures_fit(side, canvas, most):
    assert most_items(side, canvas) == most
