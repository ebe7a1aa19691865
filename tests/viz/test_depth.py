"""Depth in pictures: sky and unknown are told apart, errors have a sign, nothing is invented."""

import numpy as np
import pytest

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.viz import ColourScale, depth_errors, depth_panel, scale_bar
from healswin.viz.colour import EMPTY, IGNORED, SKY, UNKNOWN, depth_scale
from healswin.viz.depth import RATIOS

GRID = HealpixGrid(8, range(8))


def arguments(**changes):
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 40, (60, 80)).astype(np.float32)
    truth[:10], truth[:, :10] = np.inf, np.nan
    prediction = 1.3 * rng.uniform(1, 40, (60, 80)).astype(np.float32)
    prediction[:, -5:] = np.nan
    on_sphere = rng.uniform(1, 40, GRID.num_pixels).astype(np.float32)
    on_sphere[:40] = np.inf
    return {
        "image": rng.integers(0, 256, (60, 80, 3)).astype(np.uint8),
        "truth": truth,
        "prediction": prediction,
        "grid": GRID,
        "sphere_image": rng.integers(0, 256, (GRID.num_pixels, 3)).astype(np.uint8),
        "sphere_truth": on_sphere,
        "sphere_prediction": np.minimum(np.roll(on_sphere, 5), 40),
        "title": "sample",
        "height": 160,
    } | changes


def brightness(colours):
    """Rec. 709 luminance of RGB."""
    return np.asarray(colours) @ np.array([0.2126, 0.7152, 0.0722])


def test_distances_darken_evenly_and_sky_and_unknown_are_no_distance():
    scale = ColourScale(1, 100, "depth")
    steps = np.geomspace(1, 100, 20).astype(np.float32)
    lightness = brightness(scale(steps))
    assert (np.diff(lightness) < 0).all()
    # As many times farther, as much darker: no step is more than three times another.
    assert np.diff(lightness).min() > 3 * np.diff(lightness).max()
    others = scale(np.array([np.inf, np.nan], dtype=np.float32))
    assert tuple(others[0]) == SKY
    assert tuple(others[1]) == UNKNOWN
    apart = np.abs(scale(np.geomspace(1, 100, 300))[:, None].astype(int) - others.astype(int))
    assert apart.sum(axis=-1).min() > 60


def test_errors_are_white_where_right_blue_where_too_near_red_where_too_far():
    truth = np.array([2, 2, 2, 2, 2, np.inf, np.nan, 2, 2], dtype=np.float32)
    prediction = np.array([2, 1, 4, 0.5, 40, 3, 3, np.nan, -1], dtype=np.float32)
    picture = depth_errors(truth, prediction).astype(int)
    assert (picture[0] > 235).all()
    near, far = picture[1], picture[2]
    assert near[2] > near[0] + 60
    assert far[0] > far[2] + 60
    # Beyond the scale: its ends.
    np.testing.assert_array_equal(picture[[3, 8]], picture[[1, 1]])
    np.testing.assert_array_equal(picture[4], far)
    # Nothing is right or wrong about the sky, the unknown and what was not predicted.
    np.testing.assert_array_equal(picture[[5, 6, 7]], [IGNORED] * 3)


def test_a_factor_looks_alike_near_and_far():
    factor = np.float32(1.5)
    near, far = np.array([0.7], np.float32), np.array([300], np.float32)
    np.testing.assert_array_equal(
        depth_errors(near, factor * near), depth_errors(far, factor * far)
    )


def test_panel_has_eight_pictures_and_both_scales():
    panel = depth_panel(**arguments())
    assert panel.dtype == np.uint8
    assert panel.shape[1] > 4 * 160 * 80 / 60
    assert panel.shape[0] > 2 * 160
    for colour in (SKY, UNKNOWN, IGNORED):
        assert (panel[-120:] == colour).all(axis=-1).any()
    truth = arguments()["truth"]
    scale = depth_scale(np.concatenate([truth.ravel(), arguments()["sphere_truth"]]))
    below = panel[-120:].astype(int)
    for colour in (*scale(np.array([scale.low, scale.high])), *RATIOS(np.array([0.5, 1, 2]))):
        # The bar's outermost columns stand a little inside the scale.
        assert np.abs(below - colour).max(axis=-1).min() < 8


def test_flat_images_have_no_sphere():
    both = depth_panel(**arguments())
    without = dict.fromkeys(("grid", "sphere_image", "sphere_truth", "sphere_prediction"))
    flat = depth_panel(**arguments(**without))
    assert both.shape[0] - flat.shape[0] == 160 + 30
    assert both.shape[1] == flat.shape[1]


@pytest.mark.parametrize("grid", [GRID, EquiangularGrid(12, "driscoll-healy")])
def test_without_a_camera_the_upper_row_is_left_out(grid):
    depth = np.linspace(1, 30, grid.num_pixels, dtype=np.float32)
    values = {"grid": grid, "sphere_truth": depth, "sphere_prediction": depth[::-1].copy()}
    values["sphere_image"] = np.zeros((grid.num_pixels, 3), np.uint8)
    panel = depth_panel(**arguments(image=None, truth=None, prediction=None, **values))
    with_image = depth_panel(**arguments(**values))
    assert panel.shape[1] > 4 * 160
    assert with_image.shape[0] - panel.shape[0] == 160 + 30


@pytest.mark.parametrize(
    ("absent", "places"), [((), 0), (("truth",), 2), (("image",), 1), (("sphere_truth",), 2)]
)
def test_absent_sources_leave_empty_places(absent, places):
    """A truth that is absent empties its own place and that of the errors."""
    panel = depth_panel(**arguments(**dict.fromkeys(absent)))
    share = (panel == EMPTY).all(axis=-1).sum() / (160 * round(160 * 80 / 60))
    assert 0.9 * places <= share <= places + 0.02


def test_scales_stand_side_by_side_where_there_is_room():
    narrow, wide = (depth_panel(**arguments(height=height)) for height in (160, 240))
    bars = narrow.shape[0] - 2 * 160, wide.shape[0] - 2 * 240
    assert bars[0] - bars[1] == len(scale_bar(RATIOS, "a", 400))


def test_a_right_prediction_has_no_error():
    truth = arguments()["truth"]
    panel = depth_panel(
        **arguments(prediction=truth, sphere_prediction=arguments()["sphere_truth"])
    )
    worst = RATIOS(np.array([0.5, 2.0]))
    above = panel[: panel.shape[0] - 140]
    for colour in worst:
        assert not (above == colour).all(axis=-1).any()


def test_nothing_known_is_no_error():
    nothing = np.full((60, 80), np.nan, np.float32)
    panel = depth_panel(**arguments(truth=nothing, sphere_truth=None))
    assert panel.ndim == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": None, "sphere_prediction": None}, "there is nothing to compare"),
        ({"grid": None}, "grid is None"),
        ({"prediction": np.zeros((60, 81), np.float32)}, r"truth has shape \(60, 80\)"),
        ({"sphere_truth": np.zeros(3, np.float32)}, r"truth has shape \(3,\)"),
        ({"title": "long " * 100}, "does not fit"),
    ],
)
def test_panel_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        depth_panel(**arguments(**changes))


def test_the_middle_of_a_ratio_is_one():
    assert RATIOS.position(np.array([0.5, 1.0, 2.0])).tolist() == [0, 0.5, 1]
    assert RATIOS.ticks() == [0.5, 0.71, 1, 1.41, 2]
    with pytest.raises(ValueError, match=r"low=0.5 must be 1 / high=3"):
        ColourScale(0.5, 3, "ratio")
