"""Colours of labels, overlays and error maps."""

import numpy as np
import pytest

from healswin.viz import colourise, error_map, overlay
from healswin.viz.colour import IGNORED, WRONG, blend, boundaries

COLOURS = [(0, 0, 0), (200, 10, 20), (10, 250, 30)]


def test_every_label_has_exactly_its_colour():
    labels = np.array([[0, 1, 255], [2, 2, 1]], np.uint8)
    picture = colourise(labels, COLOURS)
    expected = [
        [COLOURS[0], COLOURS[1], IGNORED],
        [COLOURS[2], COLOURS[2], COLOURS[1]],
    ]
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
def test_any_shape_any_integer(shape):
    assert colourise(np.zeros(shape, np.int64), COLOURS).shape == (*shape, 3)


def test_label_without_colour_is_named():
    with pytest.raises(ValueError, match=r"class 3; there are colours for 0\.\.2"):
        colourise(np.array([0, 3]), COLOURS)


@pytest.mark.parametrize("colours", [[(0, 0)], [(0, 0, 256)], [(-1, 0, 0)], (1, 2, 3)])
def test_colours_must_be_triples(colours):
    with pytest.raises(ValueError, match="RGB triple"):
        colourise(np.array([0]), colours)


def test_overlay_blends_inside_and_leaves_the_ignored_alone():
    image = np.full((5, 6, 3), 100, np.uint8)
    labels = np.ones((5, 6), np.uint8)
    labels[:, 3:] = 2
    labels[4] = 255
    picture = overlay(image, labels, COLOURS, alpha=0.25)
    assert np.array_equal(picture[1, 1], [125, 78, 80])  # 0.75 * 100 + 0.25 * (200, 10, 20)
    assert np.array_equal(picture[1, 4], [78, 138, 82])  # 77.5 and 137.5 rounded to even
    assert np.array_equal(picture[1, 2], [100, 5, 10])  # the line between them
    assert (picture[4] == 100).all()


@pytest.mark.parametrize(
    ("image", "alpha", "message"),
    [
        (np.zeros((4, 5, 3), np.uint8), 0.5, r"expected uint8 \(4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.float32), 0.5, "float32"),
        (np.zeros((4, 4, 3), np.uint8), 1.5, "alpha=1.5"),
    ],
)
def test_overlay_refuses(image, alpha, message):
    with pytest.raises(ValueError, match=message):
        overlay(image, np.zeros((4, 4), np.uint8), COLOURS, alpha)


def test_error_map_marks_wrong_right_and_ignored():
    truth = np.array([[1, 1, 255]], np.uint8)
    prediction = np.array([[1, 2, 2]], np.uint8)
    image = np.full((1, 3, 3), 50, np.uint8)
    right, wrong, ignored = error_map(image, truth, prediction)[0]
    assert len(set(right.tolist())) == 1
    assert wrong[0] > 2 * max(wrong[1], wrong[2])
    assert tuple(ignored) == IGNORED
    plain = error_map(None, truth, prediction)[0]
    assert np.abs(plain[1].astype(int) - WRONG).max() < 40


def test_error_map_refuses_other_shapes():
    with pytest.raises(ValueError, match="prediction has shape"):
        error_map(None, np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_blend_is_exact_at_its_ends():
    below, above = np.random.default_rng(0).integers(0, 256, (2, 7, 3)).astype(np.uint8)
    assert np.array_equal(blend(below, above, 0), below)
    assert np.array_equal(blend(below, above, 1), above)


def test_boundaries_are_one_pixel_wide():
    regions = np.zeros((4, 6), np.int64)
    regions[:, 3:] = 1
    assert np.flatnonzero(boundaries(regions).any(axis=0)).tolist() == [2]
    assert not boundaries(np.zeros((4, 6), np.int64)).any()
