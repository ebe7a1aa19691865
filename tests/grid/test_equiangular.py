import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid, grid_from_dict

bandwidths = st.integers(1, 24)
samplings = st.sampled_from(["soft", "driscoll-healy"])
grids = st.builds(EquiangularGrid, bandwidths, samplings)


@given(grids)
def test_areas_cover_the_sphere(grid):
    areas = grid.areas()
    assert areas.shape == (grid.num_pixels,)
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(4 * np.pi, rel=1e-12)


@given(grids)
def test_every_point_finds_itself(grid):
    vectors = grid.vectors()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-12)
    found = grid.lookup(vectors * 3.0)
    if grid.sampling == "driscoll-healy":
        # All points of the first ring are the pole.
        found[: 2 * grid.bandwidth] = np.arange(2 * grid.bandwidth)
    np.testing.assert_array_equal(found, np.arange(grid.num_pixels))


@given(bandwidths, samplings, st.integers(0, 2**32 - 1))
def test_lookup_shares_directions_out_by_area(bandwidth, sampling, seed):
    """The mean of a function over many directions is its sum over cells weighted by area."""
    grid = EquiangularGrid(bandwidth, sampling)
    directions = np.random.default_rng(seed).normal(size=(4000, 3))
    share = np.bincount(grid.lookup(directions), minlength=grid.num_pixels) / 4000
    expected = grid.areas() / (4 * np.pi)
    assert np.abs(share - expected).max() < 6 * np.sqrt(expected.max() / 4000) + 1e-3


def test_lookup_takes_the_nearest_ring_and_longitude():
    grid = EquiangularGrid(3, "driscoll-healy")
    theta, phi = (
        np.pi / 6 * np.array([0.4, 0.6, 5.4, 5.9]),
        np.pi / 3 * np.array([0.4, -0.4, 5.6, 1]),
    )
    vectors = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1
    )
    assert grid.lookup(vectors).tolist() == [0, 6, 30, 31]
    assert grid.lookup(np.array([[np.nan, 0, 1], [0, 0, 0]])).tolist() == [-1, -1]


def test_the_two_samplings_are_half_a_step_apart():
    soft, other = EquiangularGrid(5), EquiangularGrid(5, "driscoll-healy")
    np.testing.assert_allclose(soft.colatitudes() - other.colatitudes(), np.pi / 20)
    np.testing.assert_array_equal(soft.longitudes(), other.longitudes())
    assert other.colatitudes()[0] == 0


@pytest.mark.parametrize(
    "grid",
    [
        HealpixGrid(4, (0, 3, 5)),
        EquiangularGrid(6),
        EquiangularGrid(6, "driscoll-healy"),
        ImageGrid(12, 20),
    ],
    ids=str,
)
def test_grids_are_plain_values_and_back(grid):
    assert grid_from_dict({**grid.to_dict(), "pole": "camera"}) == grid
    assert pickle.loads(pickle.dumps(grid)) == grid
    assert np.prod(grid.shape) == grid.num_pixels


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({}, "grid=None is not known"),
        ({"grid": "cube"}, r"grid='cube' is not known, known are \('healpix', 'soft'"),
        ({"grid": "healpix", "nside": 4}, "'healpix' lacks 'base_pixels'"),
        ({"grid": "soft", "bandwidth": 0}, "bandwidth=0 must be a whole number of at least 1"),
        ({"grid": "image", "height": 4}, "'image' lacks 'width'"),
    ],
)
def test_what_is_no_grid(values, match):
    with pytest.raises(ValueError, match=match):
        grid_from_dict(values)


@pytest.mark.parametrize("arguments", [(2.5,), (True,), (-1,), (4, "equal")])
def test_refused_at_construction(arguments):
    with pytest.raises(ValueError, match=r"bandwidth=|sampling='equal'"):
        EquiangularGrid(*arguments)
