import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import HealpixGrid

subsets = st.sets(st.integers(0, 11), min_size=1).map(lambda s: tuple(sorted(s)))
nsides = st.integers(0, 5).map(lambda k: 2**k)
grids = st.builds(HealpixGrid, nsides, subsets)

# Poles, equator, seams of the faces and the corners where only seven pixels meet a neighbour.
AWKWARD = np.array(
    [
        [0, 0, 1],
        [0, 0, -1],
        [1, 0, 0],
        [0, -1, 0],
        [1, 1, 0],
        [-1, 1, 0],
        [np.sqrt(5) / 3, 0, 2 / 3],
        [0, np.sqrt(5) / 3, -2 / 3],
        [1e-12, 0, 1],
    ]
)


@given(grids)
def test_pixels_are_blocks_of_their_faces(grid):
    face, x, y = grid.face_xy()
    assert grid.pixels().shape == (grid.num_pixels,)
    np.testing.assert_array_equal(face, np.repeat(grid.base_pixels, grid.nside**2))
    np.testing.assert_array_equal(grid.pixels(), hp.xyf2pix(grid.nside, x, y, face, nest=True))


@given(grids)
def test_lookup_inverts_vectors(grid):
    np.testing.assert_array_equal(grid.lookup(grid.vectors()), np.arange(grid.num_pixels))


@given(grids)
def test_lookup_of_other_faces_is_minus_one(grid):
    others = tuple(set(range(12)) - set(grid.base_pixels))
    if others:
        missing = HealpixGrid(grid.nside, tuple(sorted(others)))
        assert (grid.lookup(missing.vectors()) == -1).all()


def test_lookup_agrees_with_healpy_at_awkward_points():
    for nside in (1, 4, 64):
        expected = hp.vec2pix(nside, *AWKWARD.T, nest=True)
        np.testing.assert_array_equal(HealpixGrid(nside).lookup(AWKWARD), expected)
        np.testing.assert_array_equal(HealpixGrid(nside).lookup(7 * AWKWARD), expected)


def test_lookup_of_no_number_is_minus_one():
    directions = np.array([[np.nan, 0, 1], [0, 0, 1], [0, 0, 0], [np.inf, 0, 0]])
    assert HealpixGrid(2).lookup(directions).tolist() == [-1, 3, -1, -1]
    assert not HealpixGrid(2).interpolation(directions)[1][[0, 2, 3]].any()


@given(grids)
def test_ring_round_trip(grid):
    values = np.random.default_rng(0).normal(size=(2, grid.num_pixels))
    ring = grid.to_ring(values)
    assert ring.shape == (2, 12 * grid.nside**2)
    assert np.isnan(ring).sum() == 2 * (12 - len(grid.base_pixels)) * grid.nside**2
    np.testing.assert_array_equal(grid.from_ring(ring), values)


@given(nsides)
def test_ring_agrees_with_healpy(nside):
    ring = np.arange(12 * nside**2)
    np.testing.assert_array_equal(HealpixGrid(nside).from_ring(ring), hp.reorder(ring, r2n=True))


def test_to_ring_refuses_a_fill_value_the_dtype_cannot_hold():
    labels = np.zeros(8, dtype=np.uint8)
    with pytest.raises(ValueError, match="fill=nan cannot be held by uint8"):
        HealpixGrid(1, range(8)).to_ring(labels)
    ring = HealpixGrid(1, range(8)).to_ring(labels, fill=255)
    assert (ring == 255).sum() == 4


@given(grids, st.integers(0, 2**32 - 1))
def test_interpolation_weights_are_a_mean_of_grid_pixels(grid, seed):
    directions = np.random.default_rng(seed).normal(size=(50, 3))
    index, weights = grid.interpolation(directions)
    assert index.shape == weights.shape == (50, 4)
    assert ((index >= 0) & (index < grid.num_pixels)).all()
    assert (weights >= 0).all()
    total = weights.sum(axis=-1)
    assert (np.isclose(total, 1) | (total == 0)).all()
    inside = grid.lookup(directions) >= 0
    assert np.isclose(total[inside], 1).all()


def test_interpolation_at_centres_is_the_pixel_itself():
    grid = HealpixGrid(8)
    index, weights = grid.interpolation(grid.vectors())
    own = index == np.arange(grid.num_pixels)[:, None]
    np.testing.assert_allclose((weights * own).sum(axis=-1), 1, atol=1e-9)


def test_interpolation_of_a_constant_is_constant_at_awkward_points():
    index, weights = HealpixGrid(4).interpolation(AWKWARD)
    np.testing.assert_allclose((weights * np.ones(192)[index]).sum(-1), 1)


@given(grids)
def test_area_and_spacing(grid):
    full = 12 * grid.nside**2
    assert grid.pixel_area * full == pytest.approx(4 * np.pi)
    assert grid.pixel_spacing**2 == pytest.approx(grid.pixel_area)


def test_coarsened_keeps_parents():
    grid = HealpixGrid(8, (1, 5))
    coarse = grid.coarsened(4)
    parents = coarse.lookup(grid.vectors())
    np.testing.assert_array_equal(parents, np.arange(grid.num_pixels) // 16)
    with pytest.raises(ValueError, match="factor=3"):
        grid.coarsened(3)
    with pytest.raises(ValueError, match="factor=16"):
        grid.coarsened(16)


def test_a_grid_is_a_value():
    assert HealpixGrid(4, [0, 1]) == HealpixGrid(4, (0, 1))
    assert hash(HealpixGrid(4, range(8))) == hash(HealpixGrid(np.int64(4), tuple(range(8))))


@pytest.mark.parametrize("nside", [0, 3, -4, 2**30, 2.5, "4"])
def test_nside_must_be_a_power_of_two(nside):
    with pytest.raises(ValueError, match="nside="):
        HealpixGrid(nside)


@pytest.mark.parametrize("base_pixels", [(), (3, 2), (1, 1), (-1,), (12,), 8])
def test_base_pixels_must_be_increasing_faces(base_pixels):
    with pytest.raises(ValueError, match="base_pixels="):
        HealpixGrid(4, base_pixels)


def test_from_ring_refuses_another_nside():
    with pytest.raises(ValueError, match="48 pixels"):
        HealpixGrid(4).from_ring(np.zeros(48))
    with pytest.raises(ValueError, match="the grid has 192"):
        HealpixGrid(4).to_ring(np.zeros(48))
