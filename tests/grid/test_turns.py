import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import HealpixGrid, discs, turn_classes, window_shift
from healswin.grid.turns import quarter_turned

SUBSETS = [tuple(range(12)), tuple(range(8)), (0, 5, 9), (3,)]


def turned_by_vectors(grid_nside):
    """Where each pixel of the sphere comes by a quarter turn to the east, found by direction."""
    x, y, z = HealpixGrid(grid_nside).vectors().T
    return HealpixGrid(grid_nside).lookup(np.stack([-y, x, z], axis=-1))


def classes_by_comparison(rows, grid):
    """The readable twin: a block is compared with the first block of every class, four times."""
    east = turned_by_vectors(grid.nside)
    first, numbers = [], []
    for block, row in enumerate(np.where(rows >= 0, grid.pixels()[rows], -1)):
        turned = [row]
        for _ in range(3):
            turned.append(np.where(turned[-1] >= 0, east[turned[-1]], -1))
        same = [c for c, (_, other) in enumerate(first) if any((t == other).all() for t in turned)]
        if not same:
            same = [len(first)]
            first.append((block, row))
        numbers.append(same[0])
    return numbers, [block for block, _ in first]


@pytest.mark.parametrize("nside", [1, 2, 8])
def test_a_quarter_turn_is_the_turn_of_the_directions(nside):
    pixels = np.arange(12 * nside**2)
    east = turned_by_vectors(nside)
    np.testing.assert_array_equal(quarter_turned(pixels, nside, 1), east)
    np.testing.assert_array_equal(quarter_turned(east, nside, -1), pixels)
    np.testing.assert_array_equal(quarter_turned(pixels, nside, 2), east[east])
    turns = np.arange(-4, 4)[:, None]
    each = quarter_turned(np.broadcast_to(pixels, (8, pixels.size)), nside, turns)
    np.testing.assert_array_equal(each[1], quarter_turned(pixels, nside, -3))
    np.testing.assert_array_equal(each[4], pixels)
    assert quarter_turned(np.array([-1]), nside, 1).tolist() == [-1]


def blocks_of(kind, grid):
    if kind == "unshifted":
        return np.arange(grid.num_pixels).reshape(-1, 16)
    if kind == "discs":
        return discs(grid, 1.6).keys
    return window_shift(kind, grid, 16).gather.reshape(-1, 16)


@pytest.mark.parametrize("faces", SUBSETS, ids=str)
@pytest.mark.parametrize("kind", ["unshifted", "roll", "vertex", "discs"])
def test_classes_are_those_of_the_comparison(faces, kind):
    grid = HealpixGrid(8, faces)
    rows = blocks_of(kind, grid)
    numbers, first = turn_classes(rows, grid)
    expected_numbers, expected_first = classes_by_comparison(rows, grid)
    assert numbers.tolist() == expected_numbers
    assert first.tolist() == expected_first


@pytest.mark.parametrize(("nside", "window"), [(8, 16), (16, 16), (16, 64)])
def test_the_sphere_has_a_quarter_of_its_windows(nside, window):
    grid = HealpixGrid(nside)
    cells = grid.num_pixels // window
    _, unshifted = turn_classes(np.arange(grid.num_pixels).reshape(-1, window), grid)
    _, shifted = turn_classes(window_shift("vertex", grid, window).gather.reshape(-1, window), grid)
    _, around = turn_classes(discs(grid).keys, grid)
    assert unshifted.size == cells // 4
    assert shifted.size == cells // 4 + 2  # the poles' windows turn into themselves
    assert around.size == grid.num_pixels // 64


@given(
    st.lists(
        st.lists(st.integers(-1, 47), min_size=3, max_size=3),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 3),
)
def test_any_rows(rows, turns):
    """Rows with repetitions and empty rows too, each beside a turned copy of itself."""
    grid = HealpixGrid(2)
    rows = np.array(rows)
    both = np.concatenate([rows, quarter_turned(rows, 2, turns)])
    numbers, first = turn_classes(both, grid)
    expected_numbers, expected_first = classes_by_comparison(both, grid)
    assert numbers.tolist() == expected_numbers
    assert first.tolist() == expected_first
    np.testing.assert_array_equal(numbers[: len(rows)], numbers[len(rows) :])


def test_no_blocks_have_no_classes():
    numbers, first = turn_classes(np.empty((0, 4), dtype=np.int64), HealpixGrid(2))
    assert numbers.size == first.size == 0


@pytest.mark.parametrize("wrong", [-2, 8])
def test_indices_outside_the_grid(wrong):
    with pytest.raises(ValueError, match=f"{wrong}.*the pixels 0 to 7"):
        turn_classes(np.array([[3, wrong]]), HealpixGrid(2, (0, 7)))
