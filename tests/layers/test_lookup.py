"""Directions to pixels in torch: as healpy and the grids answer, within the rounding of float32."""

import healpy as hp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.layers.lookup import EquiangularLookup, HealpixLookup

NSIDES = [1, 2, 8, 64, 1024]
EQUIANGULAR = [EquiangularGrid(b, s) for b in (1, 2, 30) for s in ("soft", "driscoll-healy")]
DTYPES = [torch.float64, torch.float32]


@pytest.fixture(autouse=True)
def tables_in_double():
    """As for the twins: what is left is the rounding of the directions."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def all_over():
    """Random directions, many near poles, and those where borders and seams are."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(20_000, 3))
    directions[:2000, :2] *= 10.0 ** random.uniform(-8, 0, (2000, 1))
    longitude, height = np.meshgrid(
        np.arange(-8, 9) * np.pi / 8, [-1, -0.9, -2 / 3, -0.5, 0, 1 / 3, 2 / 3, 0.99, 1]
    )
    across = np.sqrt(1 - height**2)
    special = [across * np.cos(longitude), across * np.sin(longitude), height]
    special = np.stack(special, axis=-1).reshape(-1, 3)
    directions = np.concatenate([directions, special, special + random.normal(0, 1e-9, (153, 3))])
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


DIRECTIONS = all_over()
# Any direction: longitude, and a height that reaches the poles and the borders of the belt.
HEIGHTS = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, -2 / 3, 0.0, 2 / 3, 1.0]))
LONGITUDES = st.one_of(st.floats(-10, 10), st.integers(-8, 8).map(lambda k: k * np.pi / 4))
POINTS = st.lists(st.tuples(LONGITUDES, HEIGHTS), min_size=1, max_size=20)


def as_directions(points):
    longitude, height = np.array(points).T
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), height], axis=-1)


def assert_contained(directions, index, nearest, centres, reach):
    """The pixels are the nearest ones, or within `reach` of the border to them."""
    expected = nearest(directions)
    for row in np.flatnonzero(index != expected):
        steps = np.random.default_rng(0).normal(size=(200, 3)) * reach
        assert index[row] in nearest(directions[row] + steps)
    # Whatever happened at borders, the pixel is one of those around.
    apart = np.linalg.norm(directions - centres[index], axis=1)
    assert apart.max() < 1.2 * np.linalg.norm(directions - centres[expected], axis=1).max() + reach


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("nside", NSIDES)
def test_nearest_is_healpys(nside, dtype):
    directions = torch.from_numpy(DIRECTIONS).to(dtype)
    index = HealpixLookup(nside).nearest(directions).numpy()
    exact = directions.double().numpy()
    expected = hp.vec2pix(nside, *exact.T, nest=True)
    # At exact borders rounding decides; all other directions must agree in float64.
    assert (index != expected)[:20_000].mean() <= (0 if dtype == torch.float64 else 1e-3)
    assert_contained(
        exact,
        index,
        lambda v: hp.vec2pix(nside, *v.T, nest=True),
        HealpixGrid(nside).vectors(),
        1e-11 if dtype == torch.float64 else 3e-6,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 5e-8), (torch.float32, 3e-6)])
@pytest.mark.parametrize("nside", NSIDES)
def test_corners_are_healpys(nside, dtype, tolerance):
    """Values that jump by about 1 from pixel to pixel; the error grows with the resolution.

    In float64 what is left is healpy's, which takes the cosine of the angle to a pole.
    """
    values = np.random.default_rng(1).normal(size=12 * nside**2)
    directions = torch.from_numpy(DIRECTIONS).to(dtype)
    terms = HealpixLookup(nside).corners(directions)
    total = sum(values[index.numpy()] * weight.double().numpy() for index, weight in terms)
    theta, phi = hp.vec2ang(directions.double().numpy())
    expected = hp.get_interp_val(values, theta, phi, nest=True)
    np.testing.assert_allclose(total, expected, atol=tolerance * max(nside, 4), rtol=0)
    weights = torch.stack([weight for _, weight in terms])
    assert weights.min() >= -1e-6
    torch.testing.assert_close(weights.sum(0), torch.ones_like(weights[0]))


@given(points=POINTS, nside=st.sampled_from([1, 4, 16]))
def test_corners_anywhere(points, nside):
    directions = as_directions(points)
    values = np.random.default_rng(nside).normal(size=12 * nside**2)
    terms = HealpixLookup(nside).corners(torch.from_numpy(directions))
    total = sum(values[index.numpy()] * weight.numpy() for index, weight in terms)
    theta, phi = hp.vec2ang(directions)
    expected = hp.get_interp_val(values, theta, phi, nest=True)
    # healpy takes the height of the angle: near a pole it is off by the root of the rounding.
    np.testing.assert_allclose(total, expected, atol=2e-7 * nside, rtol=0)


@given(points=POINTS, nside=st.sampled_from([1, 4, 16]))
def test_nearest_anywhere(points, nside):
    directions = as_directions(points)
    index = HealpixLookup(nside).nearest(torch.from_numpy(directions)).numpy()
    centres = HealpixGrid(nside).vectors()
    assert_contained(directions, index, lambda v: hp.vec2pix(nside, *v.T, nest=True), centres, 1e-9)


@pytest.mark.parametrize("nside", [1, 4, 32])
@pytest.mark.parametrize("dtype", DTYPES)
def test_centres_are_their_own(nside, dtype):
    grid = HealpixGrid(nside)
    lookup = HealpixLookup(nside)
    centres = torch.from_numpy(grid.vectors()).to(dtype)
    own = torch.arange(grid.num_pixels)
    assert torch.equal(lookup.nearest(centres), own)
    weight = sum(weight * (index == own) for index, weight in lookup.corners(centres))
    torch.testing.assert_close(weight, torch.ones_like(weight), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", EQUIANGULAR, ids=str)
def test_equiangular_grids_are_their_twins(grid, dtype):
    lookup = EquiangularLookup(grid)
    directions = torch.from_numpy(DIRECTIONS).to(dtype)
    exact = directions.double().numpy()
    nearest = lookup.nearest(directions).numpy()
    # Ties at the special directions, where rounding decides.
    assert (nearest != grid.lookup(exact))[:20_000].mean() <= (dtype == torch.float32) * 1e-3
    values = np.random.default_rng(1).normal(size=grid.num_pixels)
    index, weight = grid.interpolation(exact)
    expected = (values[index] * weight).sum(-1)
    terms = lookup.corners(directions)
    total = sum(values[i.numpy()] * w.double().numpy() for i, w in terms)
    # On the border of two cells beyond a pole the four points change; the poles themselves have
    # every longitude.
    poles = np.hypot(*exact[:, :2].T) < 1e-6
    tolerance = 1e-9 if dtype == torch.float64 else 1e-6 * grid.bandwidth + 1e-6
    np.testing.assert_allclose(total[~poles], expected[~poles], atol=tolerance, rtol=0)
    assert np.abs(total).max() <= np.abs(values).max() + 1e-6


@given(points=POINTS, grid=st.sampled_from(EQUIANGULAR))
def test_equiangular_interpolation_is_bilinear(points, grid):
    """z, x and y are reproduced to the second order; weights are a partition of 1."""
    directions = as_directions(points)
    index, weights = grid.interpolation(directions)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)
    assert weights.min() >= 0
    mixed = (grid.vectors()[index] * weights[..., None]).sum(axis=1)
    # Half the square of a step each way is the error of linear interpolation, 2 steps at a pole.
    step = np.pi / grid.bandwidth
    np.testing.assert_allclose(mixed, directions, atol=0.55 * step**2)


@pytest.mark.parametrize("grid", EQUIANGULAR, ids=str)
def test_across_a_pole_comes_the_opposite_meridian(grid):
    """At a pole: the mean of two opposite points of the ring beside it, or the pole's own point."""
    index, weights = grid.interpolation(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    size, b = 2 * grid.bandwidth, grid.bandwidth
    for row, ring in ((0, 0), (1, size - 1)):
        taken = index[row][weights[row] > 1e-12]
        assert (taken // size == ring).all()
        if grid.sampling == "soft" or ring:
            assert sorted(taken % size) == [0, b]
            np.testing.assert_allclose(weights[row][weights[row] > 1e-12], 0.5)


def test_what_is_no_direction_has_no_weight():
    index, weights = EquiangularGrid(4).interpolation(np.array([[0.0, 0, 0], [np.nan, 1, 0]]))
    assert not index.any()
    assert not weights.any()
