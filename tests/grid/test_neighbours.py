import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import CORNERS, EDGES, HealpixGrid, neighbours

SW, W, NW, N, NE, E, SE, S = range(8)


@st.composite
def grids(draw):
    faces = tuple(sorted(draw(st.sets(st.integers(0, 11), min_size=1))))
    return HealpixGrid(2 ** draw(st.integers(0, 4)), faces)


@pytest.mark.parametrize("nside", [1, 2, 4])
def test_neighbours_share_an_edge_or_a_corner(nside):
    """Every pixel that shares two corners is an edge neighbour, one that shares one a corner's."""
    grid = HealpixGrid(nside)
    corners = [
        {tuple(c) for c in np.round(hp.boundaries(nside, p, nest=True).T, 6) + 0.0}
        for p in range(grid.num_pixels)
    ]
    table = neighbours(grid)
    for pixel in range(grid.num_pixels):
        shared = [len(corners[pixel] & other) for other in corners]
        by_edge, by_corner = table[pixel, list(EDGES)], table[pixel, list(CORNERS)]
        assert sorted(by_edge) == [p for p, count in enumerate(shared) if count == 2]
        assert sorted(by_corner[by_corner >= 0]) == [p for p, c in enumerate(shared) if c == 1]


@pytest.mark.parametrize("nside", [2, 4, 16])
def test_directions_inside_a_face(nside):
    face, x, y = HealpixGrid(nside).face_xy()
    table = neighbours(HealpixGrid(nside))
    steps = {SW: (-1, 0), W: (-1, 1), NW: (0, 1), N: (1, 1)}
    steps |= {NE: (1, 0), E: (1, -1), SE: (0, -1), S: (-1, -1)}
    for column, (dx, dy) in steps.items():
        there = table[:, column]
        inside = (x + dx >= 0) & (x + dx < nside) & (y + dy >= 0) & (y + dy < nside)
        np.testing.assert_array_equal(face[there[inside]], face[inside])
        np.testing.assert_array_equal(x[there[inside]], x[inside] + dx)
        np.testing.assert_array_equal(y[there[inside]], y[inside] + dy)
        outside = ~inside & (there >= 0)
        assert (face[there[outside]] != face[outside]).all()


@given(grids())
def test_being_neighbours_is_mutual(grid):
    table = neighbours(grid)
    for columns in (list(EDGES), list(CORNERS)):
        pixel, column = np.nonzero(table[:, columns] >= 0)
        back = table[table[:, columns][pixel, column]][:, columns]
        assert (back == pixel[:, None]).any(axis=1).all()


@given(grids())
def test_a_subset_has_the_neighbours_of_the_sphere(grid):
    sphere = neighbours(HealpixGrid(grid.nside))[grid.pixels()]
    table = neighbours(grid)
    known = table >= 0
    np.testing.assert_array_equal(known, np.isin(sphere // grid.nside**2, grid.base_pixels))
    np.testing.assert_array_equal(grid.pixels()[table[known]], sphere[known])


@pytest.mark.parametrize("nside", [1, 2, 8])
def test_missing_neighbours_lie_where_three_faces_meet(nside):
    missing = (neighbours(HealpixGrid(nside)) < 0).sum(axis=0)
    assert missing[list(EDGES)].tolist() == [0, 0, 0, 0]
    assert missing[list(CORNERS)].tolist() == [8, 4, 8, 4]


@given(grids())
def test_grid_index_is_the_inverse_of_pixels(grid):
    np.testing.assert_array_equal(grid.index_of(grid.pixels()), np.arange(grid.num_pixels))
    sphere = np.arange(12 * grid.nside**2)
    index = grid.index_of(sphere)
    assert (index >= 0).sum() == grid.num_pixels
    np.testing.assert_array_equal(grid.pixels()[index[index >= 0]], sphere[index >= 0])
    assert grid.index_of(np.array([[-1]])).tolist() == [[-1]]
