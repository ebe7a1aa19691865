import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import HealpixGrid, PixelSymmetry, band_limited_map, pixel_symmetries

ALL = pixel_symmetries()
subsets = st.sets(st.integers(0, 11), min_size=1).map(lambda s: tuple(sorted(s)))
symmetries = st.sampled_from(ALL)


def test_there_are_sixteen_and_half_are_rotations():
    assert len(set(ALL)) == len({s.name for s in ALL}) == 16
    assert ALL[0] == PixelSymmetry()
    assert ALL[0].name == "identity"
    assert [s.is_rotation for s in ALL] == [True] * 8 + [False] * 8
    assert len({s.matrix.tobytes() for s in ALL}) == 16
    for symmetry in ALL:
        assert round(np.linalg.det(symmetry.matrix)) == (1 if symmetry.is_rotation else -1)
        np.testing.assert_array_equal(np.abs(symmetry.matrix).sum(axis=0), 1)


@pytest.mark.parametrize(
    ("name", "fixed", "turned"),
    [
        ("turn 90", [0, 0, 1], ([1, 0, 0], [0, 1, 0])),
        ("half turn about longitude 45", [1, 1, 0], ([0, 0, 1], [0, 0, -1])),
        ("mirror at longitude 135", [-1, 1, 2], ([1, 1, 0], [-1, -1, 0])),
        ("mirror at equator", [3, -1, 0], ([0, 0, 1], [0, 0, -1])),
        ("turn 270 and mirror at equator", None, ([0, 1, 2], [1, 0, -2])),
        ("inversion", None, ([1, 2, 3], [-1, -2, -3])),
    ],
)
def test_names_say_what_is_done(name, fixed, turned):
    (symmetry,) = [s for s in ALL if s.name == name]
    if fixed is not None:
        assert symmetry.keeps(np.array(fixed, dtype=float))
    np.testing.assert_array_equal(symmetry.matrix @ turned[0], turned[1])


@given(symmetries, symmetries)
def test_they_form_a_group(a, b):
    np.testing.assert_array_equal((a @ b).matrix, a.matrix @ b.matrix)
    np.testing.assert_array_equal(a.inverse.matrix, a.matrix.T)
    assert a @ a.inverse == a.inverse @ a == PixelSymmetry()


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 16, 32, 64])
def test_pixels_are_permuted_exactly(nside):
    grid = HealpixGrid(nside)
    vectors = grid.vectors()
    for symmetry in ALL:
        gather = symmetry.gather(grid)
        np.testing.assert_array_equal(np.sort(gather), np.arange(grid.num_pixels))
        np.testing.assert_allclose(vectors[gather], vectors @ symmetry.matrix, rtol=0, atol=1e-14)


@given(symmetries, symmetries, st.sampled_from([1, 4, 16]))
def test_gathers_compose_like_the_symmetries(a, b, nside):
    grid = HealpixGrid(nside)
    # T_a T_b f = (f[gather_b])[gather_a]
    np.testing.assert_array_equal((a @ b).gather(grid), b.gather(grid)[a.gather(grid)])


@given(symmetries, st.integers(0, 3).map(lambda k: 2**k))
def test_neighbours_stay_neighbours(symmetry, nside):
    grid = HealpixGrid(nside)
    gather = symmetry.gather(grid)
    neighbours = hp.get_all_neighbours(nside, np.arange(grid.num_pixels), nest=True).T
    where = np.argsort(gather)  # pixel i of the map lies at where[i] in the turned one
    turned = np.where(neighbours >= 0, where[neighbours], -1)
    for pixel in range(0, grid.num_pixels, max(1, grid.num_pixels // 50)):
        assert set(turned[pixel]) == set(neighbours[where[pixel]])


@given(symmetries, subsets)
def test_a_subset_is_permuted_or_refused(symmetry, base_pixels):
    grid = HealpixGrid(4, base_pixels)
    if symmetry.permutes(grid):
        gather = symmetry.gather(grid)
        expected = HealpixGrid(4).vectors()[grid.pixels()] @ symmetry.matrix
        np.testing.assert_array_equal(np.sort(gather), np.arange(grid.num_pixels))
        np.testing.assert_allclose(grid.vectors()[gather], expected, rtol=0, atol=1e-14)
    else:
        with pytest.raises(ValueError, match="not mapped onto themselves") as error:
            symmetry.gather(grid)
        # The faces that it names would do, and contain the grid's.
        named = str(error.value).rpartition("with (")[2].rstrip(",)").split(", ")
        enough = tuple(int(face) for face in named)
        assert symmetry.permutes(HealpixGrid(4, enough))
        assert set(base_pixels) < set(enough)


def test_the_fisheye_domain_keeps_what_keeps_the_pole():
    fisheye = HealpixGrid(8, range(8))
    assert pixel_symmetries(fisheye) == tuple(s for s in ALL if s.keeps((0, 0, 1)))
    assert len(pixel_symmetries(fisheye)) == 8
    assert pixel_symmetries(HealpixGrid(8)) == ALL


def test_the_camera_that_knows_up_keeps_four():
    names = [s.name for s in ALL if s.keeps((0.0, -1.0, 0.0))]
    assert names == [
        "identity",
        "half turn about longitude 90",
        "mirror at equator",
        "mirror at longitude 90",
    ]
    assert [s.name for s in ALL if s.keeps((0.3, 0.2, -0.1))] == ["identity"]


@given(symmetries, st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(any))
def test_keeping_does_not_depend_on_length(symmetry, vector):
    vector = np.round(vector, 3) + np.array([0, 0, 2.0])
    assert symmetry.keeps(vector) == symmetry.keeps(1e6 * vector) == symmetry.keeps(1e-6 * vector)


@pytest.mark.parametrize("vector", [(0, 0, 0), (1, 2), (np.nan, 0, 1), (np.inf, 0, 0)])
def test_no_direction(vector):
    with pytest.raises(ValueError, match="three finite numbers, not all 0"):
        ALL[1].keeps(vector)


@pytest.mark.parametrize("turns", [-1, 4, 0.5])
def test_no_quarter_turn(turns):
    with pytest.raises(ValueError, match=f"quarter_turns={turns} must be 0, 1, 2 or 3"):
        PixelSymmetry(turns)


@pytest.mark.parametrize("lmax", [0, 3, 8])
def test_maps_have_the_spectrum_they_are_made_with(lmax):
    """C_l = 1 / (1 + l) up to one factor, and variance 1."""
    grid = HealpixGrid(8)
    maps = band_limited_map(grid, 400, lmax, seed=1)
    assert maps.shape == (400, grid.num_pixels)
    assert maps.dtype == np.float64
    assert abs(np.mean(maps**2) - 1) < 0.1
    power = np.mean([hp.anafast(m, lmax=lmax + 2) for m in grid.to_ring(maps)], axis=0)
    relative = power[: lmax + 1] * (1 + np.arange(lmax + 1)) / power[0]
    np.testing.assert_allclose(relative, 1, atol=0.25)
    assert (power[lmax + 1 :] < 1e-3 * power[0]).all()


def test_maps_are_the_same_on_every_grid_and_number_of_channels():
    sphere, fisheye = HealpixGrid(8), HealpixGrid(8, range(8))
    maps = band_limited_map(sphere, 3, 6, seed=5)
    np.testing.assert_array_equal(band_limited_map(fisheye, 2, 6, seed=5), maps[:2, : 8 * 64])
    assert not np.allclose(band_limited_map(sphere, 3, 6, seed=6), maps)


def test_the_covariance_of_a_map_depends_on_the_angle_only():
    """Pairs of pixels that a rotation carries into each other are equally correlated."""
    grid = HealpixGrid(2)
    maps = band_limited_map(grid, 2000, 4, seed=2)
    covariance = maps.T @ maps / len(maps)
    cosine = grid.vectors() @ grid.vectors().T
    degrees = np.arange(5)
    weight = (2 * degrees + 1) / (1 + degrees)
    expected = np.polynomial.legendre.legval(cosine, weight / weight.sum())
    np.testing.assert_allclose(covariance, expected, atol=0.13)


@pytest.mark.parametrize(
    ("channels", "lmax", "message"),
    [(0, 3, "channels=0 must be"), (1, -1, "lmax=-1 must"), (1, 12, r"lmax=12 must lie in 0..11")],
)
def test_wrong_maps(channels, lmax, message):
    with pytest.raises(ValueError, match=message):
        band_limited_map(HealpixGrid(4), channels, lmax, seed=0)


@pytest.mark.parametrize("base_pixels", [range(12), range(4, 8)])
def test_the_factors_make_the_gather(base_pixels):
    grid = HealpixGrid(4, base_pixels)
    for symmetry in pixel_symmetries(grid):
        face, inside = symmetry.gather_factors(grid)
        whole = (face[:, None] * grid.nside**2 + inside).ravel()
        np.testing.assert_array_equal(whole, symmetry.gather(grid))
