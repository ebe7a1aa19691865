import itertools
from collections import defaultdict

import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import (
    EDGES,
    HealpixGrid,
    neighbours,
    window_coordinates,
    window_shift,
    window_side,
)

SIZES = [(2, 4), (4, 4), (4, 16), (8, 4), (8, 16), (8, 64), (16, 64), (16, 256), (32, 64)]
SMALL_SIZES = [(2, 4), (4, 4), (4, 16), (8, 16), (8, 64), (16, 64)]


def windows_of(grid, window):
    """Full-sphere pixels in the slots of each vertex window, -1 in empty slots."""
    gather = window_shift("vertex", grid, window).gather.reshape(-1, window)
    return np.where(gather >= 0, grid.pixels()[gather], -1)


def window_of_pixel(tables, window):
    return tables.inverse // window


# The 16 rotations and reflections that permute the pixels: x and y swapped or not, either sign of
# each coordinate.
SYMMETRIES = [
    np.diag(signs).astype(float)[order]
    for signs in itertools.product((1, -1), repeat=3)
    for order in ([0, 1, 2], [1, 0, 2])
]


@pytest.mark.parametrize(("nside", "window"), SIZES)
def test_windows_on_the_sphere(nside, window):
    grid = HealpixGrid(nside)
    tables = window_shift("vertex", grid, window)
    pixels = tables.gather.reshape(-1, window)
    assert len(pixels) == grid.num_pixels // window + 2
    quadrants = (pixels.reshape(-1, 4, window // 4) >= 0).all(axis=2).sum(axis=1)
    assert (quadrants == 3).sum() == 8
    assert (quadrants == 4).sum() == len(pixels) - 8
    assert (tables.gather < 0).sum() == 2 * window
    np.testing.assert_array_equal(np.sort(tables.gather)[2 * window :], np.arange(grid.num_pixels))
    np.testing.assert_array_equal(tables.gather[tables.inverse], np.arange(grid.num_pixels))


@pytest.mark.parametrize(("nside", "window"), SMALL_SIZES)
def test_a_window_is_the_quadrants_that_touch_a_vertex(nside, window):
    """The readable twin: vertices and quadrants are matched by the positions of their corners."""
    side = window_side(window)
    mesh, quarter = nside // side, 2 * nside // side

    def corners(n, pixel):
        return {tuple(c) for c in np.round(hp.boundaries(n, pixel, nest=True).T, 6) + 0.0}

    vertices = set().union(*(corners(mesh, cell) for cell in range(12 * mesh**2)))
    touching = defaultdict(set)
    for quadrant in range(12 * quarter**2):
        for vertex in corners(quarter, quadrant) & vertices:
            touching[vertex].add(quadrant)
    expected = {frozenset(quadrants) for quadrants in touching.values()}

    pixels = windows_of(HealpixGrid(nside), window)
    found = {frozenset(row[row >= 0] // (window // 4)) for row in pixels}
    assert len(expected) == len(pixels)
    assert found == expected


@pytest.mark.parametrize(("nside", "window"), SIZES)
def test_slots_beside_each_other_are_pixels_beside_each_other(nside, window):
    """Quadrants of every face are turned to fit: no seam of a full window is torn."""
    grid = HealpixGrid(nside)
    x, y = window_coordinates(window)
    side = window_side(window)
    pixels = windows_of(grid, window)
    square = np.empty((len(pixels), side, side), dtype=np.int64)
    square[:, x, y] = pixels
    across_an_edge = neighbours(grid)[:, list(EDGES)]
    half = side // 2
    for a, b in ((square[:, 1:], square[:, :-1]), (square[:, :, 1:], square[:, :, :-1])):
        full = (a >= 0) & (b >= 0)
        # An empty quadrant takes its own pairs and those of one seam, in each direction.
        assert (~full).sum() == 8 * (half * (half - 1) + half)
        assert (across_an_edge[a[full]] == b[full, None]).any(axis=1).all()


@pytest.mark.parametrize(("nside", "window"), [(4, 4), (8, 16), (16, 16), (16, 64)])
def test_offsets_inside_a_face_are_those_of_an_unshifted_window(nside, window):
    face, x, y = HealpixGrid(nside).face_xy()
    side = window_side(window)
    inside_x, inside_y = window_coordinates(window)
    pixels = windows_of(HealpixGrid(nside), window)
    pixels = pixels[(pixels >= 0).all(axis=1)]
    pixels = pixels[(face[pixels] == face[pixels[:, :1]]).all(axis=1)]
    assert len(pixels) == 12 * (nside // side - 1) ** 2
    for row in pixels:
        np.testing.assert_array_equal(x[row] - x[row].min(), inside_x)
        np.testing.assert_array_equal(y[row] - y[row].min(), inside_y)
        assert x[row].min() % side == side // 2
        assert y[row].min() % side == side // 2


@pytest.mark.parametrize(("nside", "window"), SIZES)
def test_no_window_is_wide(nside, window):
    grid = HealpixGrid(nside)
    tables = window_shift("vertex", grid, window)
    shifted = grid.vectors()[tables.gather].reshape(-1, window, 3)
    unshifted = grid.vectors().reshape(-1, window, 3)

    def distances(vectors):
        return np.linalg.norm(vectors[:, :, None] - vectors[:, None], axis=-1)

    pixels = (tables.group >= 0).reshape(-1, window)
    both = tables.attends(window) & pixels[:, :, None] & pixels[:, None]
    assert both.sum() >= grid.num_pixels * window * 3 // 4
    assert distances(shifted)[both].max() < 1.3 * distances(unshifted).max()


@pytest.mark.parametrize(("nside", "window"), SMALL_SIZES)
@pytest.mark.parametrize("matrix", SYMMETRIES, ids=lambda m: str(m.astype(int).tolist()))
def test_both_partitions_are_mapped_onto_themselves(nside, window, matrix):
    grid = HealpixGrid(nside)
    moved = grid.lookup(grid.vectors() @ matrix.T)
    np.testing.assert_array_equal(np.sort(moved), np.arange(grid.num_pixels))
    unshifted = np.arange(grid.num_pixels) // window
    shifted = window_of_pixel(window_shift("vertex", grid, window), window)
    for labels in (unshifted, shifted):
        # Windows are mapped one to one if no window goes to two and none comes from two.
        pairs = np.unique(np.stack([labels, labels[moved]]), axis=1)
        assert pairs.shape[1] == labels.max() + 1
        assert len(np.unique(pairs[1])) == labels.max() + 1


@pytest.mark.parametrize(("nside", "window"), SMALL_SIZES)
def test_a_quarter_turn_keeps_the_slots(nside, window):
    grid = HealpixGrid(nside)
    x, y, z = grid.vectors().T
    moved = grid.lookup(np.stack([-y, x, z], axis=-1))
    pixels = windows_of(grid, window)
    turned = np.where(pixels >= 0, moved[pixels], -1)
    rows = {tuple(row) for row in pixels.tolist()}
    assert all(tuple(row) in rows for row in turned[:-2].tolist())
    # The window of a pole turns about its own centre.
    for before, after in zip(pixels[-2:], turned[-2:], strict=True):
        np.testing.assert_array_equal(np.sort(after), np.sort(before))
        assert (after != before).all()


def test_the_last_windows_are_the_poles():
    z = HealpixGrid(8).vectors()[:, 2]
    pixels = windows_of(HealpixGrid(8), 16)
    assert z[pixels[-2]].max() == z.max()
    assert z[pixels[-1]].min() == z.min()


@pytest.mark.parametrize("window", [4, 16])
def test_all_subsets_of_base_pixels(window):
    """Every subset has the windows of the sphere without the quadrants of its missing faces."""
    sphere = windows_of(HealpixGrid(4), window)
    for faces in itertools.chain.from_iterable(
        itertools.combinations(range(12), count) for count in range(1, 13)
    ):
        grid = HealpixGrid(4, faces)
        tables = window_shift("vertex", grid, window)
        pixels = np.where(tables.gather >= 0, grid.pixels()[tables.gather], -1)
        known = np.isin(sphere // 16, faces)
        expected = np.where(known, sphere, -1)[known.any(axis=1)]
        np.testing.assert_array_equal(pixels, expected.ravel())
        np.testing.assert_array_equal(tables.group, np.where(expected.ravel() >= 0, 0, -1))
        np.testing.assert_array_equal(tables.gather[tables.inverse], np.arange(grid.num_pixels))


@st.composite
def sizes(draw):
    log_nside = draw(st.integers(1, 5))
    faces = tuple(sorted(draw(st.sets(st.integers(0, 11), min_size=1))))
    return HealpixGrid(2**log_nside, faces), 4 ** draw(st.integers(1, log_nside))


@given(sizes())
def test_empty_slots_are_alone(size):
    grid, window = size
    tables = window_shift("vertex", grid, window)
    empty = (tables.gather < 0).reshape(-1, window)
    attends = tables.attends(window)
    np.testing.assert_array_equal(attends, empty[:, :, None] == empty[:, None, :])
    assert attends.any(axis=2).all()
    assert not empty.all(axis=1).any()
    # Whole quadrants are empty, and no others.
    quadrants = empty.reshape(-1, 4, window // 4)
    np.testing.assert_array_equal(quadrants.all(axis=2), quadrants.any(axis=2))
    assert (~empty).sum() == grid.num_pixels


@pytest.mark.parametrize(
    ("nside", "faces", "window", "shift", "message"),
    [
        (4, range(12), 1, None, "window=1: the shift 'vertex' needs windows of 4 pixels or more"),
        (4, range(12), 64, None, "window=64 is larger than a face of 16 pixels"),
        (1, range(12), 4, None, "window=4 is larger than a face of 1 pixels"),
        (4, (0, 5), 64, None, "must divide 32 pixels"),
        (4, range(12), 16, 1, "shift=1: the shift 'vertex' with window=16 is always 2 pixels"),
        (4, range(12), 16, 0, "shift=0: the shift 'vertex'"),
    ],
)
def test_wrong_arguments(nside, faces, window, shift, message):
    with pytest.raises(ValueError, match=message):
        window_shift("vertex", HealpixGrid(nside, tuple(faces)), window, shift)
