"""Whole figures: everything is there, nothing is asked for that is absent."""

import numpy as np
import pytest

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.viz import comparison_panel, image_panel, windows_figure
from healswin.viz.colour import EMPTY
from healswin.viz.panel import _WINDOW_COLOURS, _window_colours

GRID = HealpixGrid(8, range(8))
NAMES = ["void", "road", "sky"]
COLOURS = [(0, 0, 0), (128, 64, 128), (70, 130, 180)]


def arguments(**changes):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (60, 80)).astype(np.uint8)
    truth[:, :10] = 255
    prediction = truth.copy()
    prediction[:30] = np.where(truth[:30] == 255, 255, 1)
    on_sphere = rng.integers(0, 3, GRID.num_pixels).astype(np.uint8)
    return {
        "grid": GRID,
        "image": rng.integers(0, 256, (60, 80, 3)).astype(np.uint8),
        "truth": truth,
        "prediction": prediction,
        "sphere_image": rng.integers(0, 256, (GRID.num_pixels, 3)).astype(np.uint8),
        "sphere_truth": on_sphere,
        "sphere_prediction": np.roll(on_sphere, 5),
        "class_names": NAMES,
        "class_colours": COLOURS,
        "title": "sample",
        "height": 160,
    } | changes


def test_panel_has_eight_pictures_and_the_legend():
    panel = comparison_panel(**arguments())
    assert panel.dtype == np.uint8
    assert panel.shape[1] > 4 * 160 * 80 / 60
    assert panel.shape[0] > 2 * 160
    for colour in COLOURS:
        assert (panel[-30:] == colour).all(axis=-1).any()
    # The ball is round: white paper in the corners of its place, colours in its middle.
    assert (panel == 255).all(axis=-1).mean() > 0.1


def flat_arguments(**changes):
    of_image = ("image", "truth", "prediction", "class_names", "class_colours", "title", "height")
    return {name: arguments()[name] for name in of_image} | changes


def test_a_flat_panel_is_the_upper_row():
    """Without the sphere what is left of the comparison is the same, pixel by pixel."""
    flat, both = image_panel(**flat_arguments()), comparison_panel(**arguments())
    row = flat.shape[0] - both.shape[0]
    assert row < -160
    assert flat.shape[1] == both.shape[1]
    title_and_pictures = 44 + 30 + 160
    np.testing.assert_array_equal(flat[:title_and_pictures], both[:title_and_pictures])
    legend = flat[title_and_pictures:]
    np.testing.assert_array_equal(legend, both[-len(legend) :])


@pytest.mark.parametrize(("absent", "places"), [("image", 1), ("truth", 2)])
def test_absent_places_of_a_flat_panel_are_grey(absent, places):
    panel = image_panel(**flat_arguments(**{absent: None}))
    grey = (panel == EMPTY).all(axis=-1).sum()
    one = 160 * round(160 * 80 / 60)
    assert (places - 0.2) * one < grey <= places * one


def test_a_flat_panel_says_what_does_not_fit():
    with pytest.raises(ValueError, match="truth has shape"):
        image_panel(**flat_arguments(truth=np.zeros((3, 4), np.uint8)))
    with pytest.raises(ValueError, match="3 class_names and 2 class_colours"):
        image_panel(**flat_arguments(class_colours=COLOURS[:2]))


def test_title_adds_a_line():
    with_title = comparison_panel(**arguments())
    without = comparison_panel(**arguments(title=""))
    assert with_title.shape[0] > without.shape[0]
    assert np.array_equal(with_title[-without.shape[0] :], without)


@pytest.mark.parametrize(
    ("absent", "places"),
    [
        ((), 0),
        (("truth",), 2),
        (("image",), 1),
        (("image", "truth"), 3),
        (("truth", "sphere_truth"), 4),
    ],
)
def test_absent_sources_leave_empty_places(absent, places):
    """A truth that is absent empties its own place and that of the errors."""
    panel = comparison_panel(**arguments(**dict.fromkeys(absent)))
    share = (panel == EMPTY).all(axis=-1).sum() / (160 * round(160 * 80 / 60))
    # "source absent" covers a part of each place.
    assert 0.9 * places <= share <= places + 0.02


@pytest.mark.parametrize("grid", [GRID, EquiangularGrid(12, "driscoll-healy")])
def test_without_a_camera_the_upper_row_is_left_out(grid):
    labels = np.arange(grid.num_pixels) % 3
    values = {
        "grid": grid,
        "sphere_image": np.zeros((grid.num_pixels, 3), np.uint8),
        "sphere_truth": labels,
        "sphere_prediction": labels[::-1],
    }
    panel = comparison_panel(**arguments(image=None, truth=None, prediction=None, **values))
    with_image = comparison_panel(**arguments(truth=None, prediction=None, **values))
    assert panel.shape[1] > 4 * 160
    assert with_image.shape[0] - panel.shape[0] > 160
    for colour in COLOURS:
        assert (panel == colour).all(axis=-1).any()


def test_only_classes_that_occur_are_in_the_legend():
    ones = np.ones(GRID.num_pixels, np.uint8)
    panel = comparison_panel(
        **arguments(
            image=None, truth=None, prediction=None, sphere_truth=ones, sphere_prediction=ones
        )
    )
    assert (panel[-30:] == COLOURS[1]).all(axis=-1).any()
    assert not (panel[-30:] == COLOURS[2]).all(axis=-1).any()


def test_nothing_labelled_is_no_error():
    nothing = np.full(GRID.num_pixels, 255, np.uint8)
    panel = comparison_panel(
        **arguments(truth=None, sphere_truth=nothing, sphere_prediction=nothing)
    )
    assert panel.ndim == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": NAMES[:2]}, "2 class_names and 3 class_colours"),
        ({"prediction": np.zeros((60, 81), np.uint8)}, "truth has shape"),
        ({"sphere_truth": np.zeros(3, np.uint8)}, "truth has shape"),
        ({"sphere_prediction": np.full(GRID.num_pixels, 7, np.uint8)}, "class 7"),
        ({"image": np.zeros((61, 80, 3), np.uint8)}, "image is"),
        ({"title": "long " * 100}, "does not fit"),
    ],
)
def test_panel_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        comparison_panel(**arguments(**changes))


def test_windows_figure_has_a_ball_for_every_entry():
    number = np.arange(GRID.num_pixels)
    one = windows_figure(GRID, {"Windows": number // 16}, size=120)
    two = windows_figure(GRID, {"Windows": number // 16, "Larger": number // 64}, size=120)
    assert one.shape[0] == two.shape[0]
    assert two.shape[1] - one.shape[1] == 120 + 14
    assert np.array_equal(one[:, : 120 + 14], two[:, : 120 + 14])


def test_touching_windows_have_different_colours():
    rng = np.random.default_rng(0)
    windows = np.kron(np.arange(36).reshape(6, 6)[rng.permutation(6)], np.ones((4, 4), np.int64))
    picture = _window_colours(windows).astype(int)
    for axis in (0, 1):
        border = np.diff(windows, axis=axis) != 0
        differs = (np.diff(picture, axis=axis) != 0).any(axis=-1)
        assert np.array_equal(border, differs)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= len(_WINDOW_COLOURS)


def test_pixels_without_a_window_are_empty():
    assert (_window_colours(np.full((3, 3), -1)) == EMPTY).all()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({}, "windows is empty"),
        ({"a": np.zeros(3, np.int64)}, r"windows\['a'\]"),
        ({"a": np.zeros(GRID.num_pixels)}, "float64"),
    ],
)
def test_windows_figure_refuses(windows, message):
    with pytest.raises(ValueError, match=message):
        windows_figure(GRID, windows, size=30)
