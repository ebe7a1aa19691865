from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from healswin.grid import SHIFTS, HealpixGrid, window_coordinates, window_shift, window_side

DATA = Path(__file__).parents[1] / "data"
FISHEYE = tuple(range(8))


@pytest.mark.parametrize(("nside", "window", "shift"), [(16, 64, 4), (16, 16, 2), (8, 16, 2)])
@pytest.mark.parametrize("strategy", ["ring", "grid"])
def test_published_tables(strategy, nside, window, shift):
    golden = np.load(DATA / f"shifts_n{nside}_w{window}_s{shift}.npz")
    tables = window_shift(strategy, HealpixGrid(nside, FISHEYE), window, shift)
    np.testing.assert_array_equal(tables.gather, golden[f"{strategy}_idx"])
    np.testing.assert_array_equal(tables.group, golden[f"{strategy}_group"])


@st.composite
def shift_arguments(draw):
    nside = 2 ** draw(st.integers(0, 5))
    window = 4 ** draw(st.integers(1, 3))
    strategy = draw(st.sampled_from(SHIFTS))
    some_faces = tuple(sorted(draw(st.sets(st.integers(0, 11), min_size=1))))
    faces = {
        "roll": some_faces,
        "vertex": some_faces,
        "grid": FISHEYE,
        "ring": draw(st.sampled_from([FISHEYE, tuple(range(12))])),
    }[strategy]
    grid = HealpixGrid(nside, faces)
    side = window_side(window)
    assume(grid.num_pixels % window == 0 and grid.num_pixels > window)
    if strategy in ("grid", "vertex"):
        assume(side <= nside)
        return strategy, grid, window, draw(st.sampled_from([None, side // 2]))
    return strategy, grid, window, draw(st.integers(1, min(window - 1, 2 * side)))


@given(shift_arguments())
def test_every_pixel_is_in_exactly_one_slot(arguments):
    _, grid, _, _ = arguments
    tables = window_shift(*arguments)
    filled = tables.gather >= 0
    np.testing.assert_array_equal(np.sort(tables.gather[filled]), np.arange(grid.num_pixels))
    np.testing.assert_array_equal(tables.gather[tables.inverse], np.arange(grid.num_pixels))
    np.testing.assert_array_equal(tables.group >= 0, filled)
    assert filled.all() or arguments[0] == "vertex"


@pytest.mark.parametrize("strategy", SHIFTS)
@pytest.mark.parametrize("window", [4, 16, 64])
def test_half_a_window_is_the_default(strategy, window):
    grid = HealpixGrid(8, FISHEYE)
    default = window_shift(strategy, grid, window)
    half = window_shift(strategy, grid, window, window_side(window) // 2)
    np.testing.assert_array_equal(default.gather, half.gather)
    np.testing.assert_array_equal(default.group, half.group)
    assert (default.gather[: grid.num_pixels] != np.arange(grid.num_pixels)).any()


@given(shift_arguments())
def test_attends_is_an_equivalence(arguments):
    attends = window_shift(*arguments).attends(arguments[2])
    assert attends.diagonal(axis1=1, axis2=2).all()
    np.testing.assert_array_equal(attends, attends.transpose(0, 2, 1))
    np.testing.assert_array_equal(attends, (attends @ attends).astype(bool))


def test_roll_is_the_formula():
    tables = window_shift("roll", HealpixGrid(4, (2, 7)), 16, 5)
    np.testing.assert_array_equal(tables.gather, (np.arange(32) + 5) % 32)
    assert tables.group.tolist() == [0] * 16 + [1] * 11 + [2] * 5


@pytest.mark.parametrize("nside", [4, 16])
def test_ring_on_the_full_sphere_shifts_rings(nside):
    grid = HealpixGrid(nside)
    tables = window_shift("ring", grid, 16, 3)
    ring = np.random.default_rng(0).normal(size=grid.num_pixels)
    shifted = grid.to_ring(grid.from_ring(ring)[tables.gather])
    np.testing.assert_array_equal(shifted, np.roll(ring, 3))
    assert not tables.group.any()


@pytest.mark.parametrize("nside", [8, 16])
def test_grid_attends_across_the_seams_of_the_northern_faces(nside):
    """Pixels that attend to each other are neighbours in space, across faces too."""
    grid = HealpixGrid(nside, FISHEYE)
    side = 4
    tables = window_shift("grid", grid, side * side, side // 2)
    vectors = grid.vectors()[tables.gather].reshape(-1, side * side, 3)
    attends = tables.attends(side * side)
    distance = np.linalg.norm(vectors[:, :, None] - vectors[:, None], axis=-1)
    unshifted = grid.vectors().reshape(-1, side * side, 3)
    longest = np.linalg.norm(unshifted[:, :, None] - unshifted[:, None], axis=-1).max()
    whole = tables.group.reshape(-1, side * side) == 0
    assert (distance * (attends & whole[:, :, None])).max() < 1.3 * longest
    faces = tables.gather.reshape(-1, side * side) // nside**2
    crossing = [len(np.unique(f[w])) > 1 for f, w in zip(faces, whole, strict=True)]
    assert any(crossing)


def test_windows_are_squares_of_their_face():
    grid = HealpixGrid(16)
    _, x, y = grid.face_xy()
    inside_x, inside_y = window_coordinates(16)
    for window in (0, 7, 100):
        part = slice(16 * window, 16 * window + 16)
        np.testing.assert_array_equal(x[part] - x[part].min(), inside_x)
        np.testing.assert_array_equal(y[part] - y[part].min(), inside_y)


@pytest.mark.parametrize("window", [0, 2, 8, 32, 60, -4])
def test_a_window_must_be_a_square(window):
    with pytest.raises(ValueError, match=f"window={window} must be a power of four"):
        window_side(window)


@pytest.mark.parametrize(
    ("strategy", "faces", "window", "shift", "message"),
    [
        ("ring", (0, 1), 4, 1, "'ring' exists for base pixels 0..7 and for all 12"),
        ("ring", (0, 1), 4, 1, "use 'vertex' or 'roll'"),
        ("grid", range(12), 4, 1, "'grid' exists for base pixels 0..7 only"),
        ("grid", range(12), 4, 1, "use 'vertex' or 'roll'"),
        ("grid", FISHEYE, 64, 4, "larger than a face"),
        ("grid", FISHEYE, 16, 1, "always 2 pixels"),
        ("roll", FISHEYE, 16, 16, "less than window=16"),
        ("roll", (0,), 64, 4, "must divide 16 pixels"),
        ("ring", FISHEYE, 16, 0, "shift=0"),
        ("diagonal", FISHEYE, 16, 1, "'diagonal' must be one of"),
    ],
)
def test_wrong_arguments(strategy, faces, window, shift, message):
    with pytest.raises(ValueError, match=message):
        window_shift(strategy, HealpixGrid(4, tuple(faces)), window, shift)
