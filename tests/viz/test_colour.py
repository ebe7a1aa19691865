"""Colours of labels, overlays, error maps and scales."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.viz import (
    ColourScale,
    colourise,
    depth_scale,
    error_map,
    overlay,
    value_scale,
)
from healswin.viz.colour import (
    IGNORED,
    SKY,
    UNKNOWN,
    WRONG,
    blend,
    boundaries,
    scale_colours,
)

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


@pytest.mark.parametrize("kind", ["depth", "sequential", "diverging"])
def test_scales_have_their_colours_at_their_ends(kind):
    scale = ColourScale(2.0, 50.0, kind)
    values = np.array([[1.0, 2.0, 50.0], [90.0, np.nan, np.inf]], np.float32)
    picture = scale(values)
    assert picture.dtype == np.uint8
    ends = scale_colours(kind, np.array([0.0, 1.0]))
    assert np.array_equal(picture[0], [ends[0], ends[0], ends[1]])
    assert np.array_equal(picture[1], [ends[1], UNKNOWN, SKY])


@pytest.mark.parametrize("kind", ["depth", "sequential"])
def test_scales_go_from_dark_to_bright_or_back(kind):
    luma = scale_colours(kind, np.linspace(0, 1, 50)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) < 0).all() if kind == "depth" else (np.diff(luma) > 0).all()
    # What is unknown is told from all that is known.
    distance = np.abs(scale_colours("depth", np.linspace(0, 1, 50)).astype(int) - UNKNOWN)
    assert distance.max(axis=1).min() > 30


def test_the_middle_of_a_scale():
    assert ColourScale(1.0, 100.0, "depth").position(np.array([10.0])) == pytest.approx(0.5)
    assert ColourScale(-2.0, 4.0).position(np.array([1.0])) == pytest.approx(0.5)
    middle = ColourScale(-3.0, 3.0, "diverging")(np.array([0.0]))
    assert middle.min() > 235


@given(
    low=st.floats(-1e4, 1e4),
    width=st.floats(1e-2, 1e6),
    kind=st.sampled_from(["depth", "sequential"]),
)
def test_ticks_are_a_few_increasing_values_on_the_scale(low, width, kind):
    if kind == "depth":
        low, width = abs(low) + 1e-2, max(width, 9 * (abs(low) + 1e-2))
    scale = ColourScale(low, low + width, kind)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert (np.diff(ticks) > 0).all()
    positions = scale.position(np.array(ticks))
    assert positions.min() >= 0
    assert positions.max() <= 1
    assert len({f"{tick:.4g}" for tick in ticks}) == len(ticks) or width < 1e-3 * abs(low)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 1.0), "low=1.0 must be below high=1.0"),
        ((0.0, np.inf), "both finite"),
        ((0.0, 1.0, "depth"), "low=0.0 must be positive"),
        ((0.0, 1.0, "rainbow"), "kind='rainbow'"),
    ],
)
def test_scales_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        ColourScale(*arguments)


def test_scale_of_depths():
    depth = np.geomspace(1, 80, 1001).astype(np.float32)
    scale = depth_scale(np.concatenate([depth, [np.inf, np.nan, 0]]).astype(np.float32))
    assert scale.kind == "depth"
    assert 1 < scale.low < 1.2
    assert 70 < scale.high < 80
    for odd in ([], [np.inf, np.nan], [3.0, 3.0], [0.0]):
        assert depth_scale(np.array(odd, np.float32)).low > 0


def test_scale_of_values():
    values = np.linspace(-3, 2, 1001).astype(np.float32)
    scale = value_scale(values)
    assert (scale.kind, scale.low) == ("diverging", -scale.high)
    assert value_scale(values + 3).kind == "sequential"
    for odd in ([], [np.nan], [5.0, 5.0], [0.0], [-1e-30]):
        scale = value_scale(np.array(odd, np.float32))
        assert scale.low < scale.high
