import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.cameras import Camera
from healswin.grid import HealpixGrid
from healswin.resample import HealpixMap, MapToGrid

ORDERS = st.sampled_from(["ring", "nested"])
FACES = st.sampled_from([(0, 1, 2, 3, 4, 5, 6, 7), tuple(range(12)), (2, 9)])


def random_map(nside, seed, share=0.7, channels=2):
    random = np.random.default_rng(seed)
    values = random.normal(size=(12 * nside**2, channels)).astype(np.float32)
    valid = random.random(12 * nside**2) < share
    values[~valid] = np.nan
    return values, valid


def unseen(values, valid):
    """As healpy wants a map: (channels, pixels) with its own value for what is not there."""
    return np.where(valid, values.T.astype(np.float64), hp.UNSEEN)


@given(ORDERS, FACES, st.sampled_from([1, 4, 16]), st.integers(0, 2**16))
def test_the_same_nside_is_a_permutation(order, faces, nside, seed):
    grid = HealpixGrid(nside, faces)
    values, valid = random_map(nside, seed)
    got, known = MapToGrid(HealpixMap(nside, order), grid).sample(values, valid)
    nested = grid.from_ring if order == "ring" else lambda array: array[..., grid.pixels()]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(known, nested(valid))
    np.testing.assert_array_equal(got[known], nested(values.T).T[known])
    assert (got[~known] == 0).all()


@given(ORDERS, FACES, st.sampled_from([(2, 1), (8, 4), (16, 4)]), st.integers(0, 2**16))
def test_a_finer_map_is_averaged_as_healpy_does(order, faces, nsides, seed):
    fine, coarse = nsides
    grid = HealpixGrid(coarse, faces)
    values, valid = random_map(fine, seed, share=0.3)
    got, known = MapToGrid(HealpixMap(fine, order), grid).sample(values, valid)
    healpy_order = {"ring": "RING", "nested": "NESTED"}[order]
    expected = np.array(
        hp.ud_grade(list(unseen(values, valid)), coarse, order_in=healpy_order, order_out="NESTED")
    )[:, grid.pixels()].T
    np.testing.assert_array_equal(known, ~hp.mask_bad(expected[:, 0]))
    np.testing.assert_allclose(got[known], expected[known], rtol=1e-5, atol=1e-6)
    assert (got[~known] == 0).all()


@given(ORDERS, FACES, st.sampled_from([(1, 2), (4, 8), (4, 32)]), st.integers(0, 2**16))
def test_a_coarser_map_is_interpolated_as_healpy_does(order, faces, nsides, seed):
    coarse, fine = nsides
    grid = HealpixGrid(fine, faces)
    values, valid = random_map(coarse, seed, share=1.1)
    got, known = MapToGrid(HealpixMap(coarse, order), grid).sample(values, valid)
    theta, phi = grid.angles()
    expected = [hp.get_interp_val(v, theta, phi, nest=order == "nested") for v in values.T]
    assert known.all()
    np.testing.assert_allclose(got, np.array(expected).T, rtol=1e-4, atol=1e-5)


@given(ORDERS, st.sampled_from([4, 8, 32]), st.integers(0, 2**16))
def test_what_is_not_valid_takes_no_part(order, nside, seed):
    """A constant stays one however many pixels are missing."""
    source = HealpixMap(8, order)
    values, valid = random_map(8, seed, share=0.4)
    values[valid] = 3.25
    got, known = MapToGrid(source, HealpixGrid(nside)).sample(values, valid)
    np.testing.assert_array_equal(got, np.where(known[:, None], np.full_like(got, 3.25), 0))
    assert 0 < known.sum() < known.size
    nothing, known = MapToGrid(source, HealpixGrid(nside)).sample(values, np.zeros_like(valid))
    assert not known.any()
    assert (nothing == 0).all()


@pytest.mark.parametrize("nside", [4, 8, 16])
def test_the_two_orders_agree(nside):
    values, valid = random_map(8, 3)
    to_nested = hp.nest2ring(8, np.arange(768))
    grid = HealpixGrid(nside, (1, 4, 11))
    ring = MapToGrid(HealpixMap(8, "ring"), grid).sample(values, valid)
    nested = MapToGrid(HealpixMap(8, "nested"), grid).sample(values[to_nested], valid[to_nested])
    np.testing.assert_array_equal(ring[0], nested[0])
    np.testing.assert_array_equal(ring[1], nested[1])


def test_a_map_is_a_plain_value():
    source = HealpixMap(64, "ring", name="sky")
    assert source.num_pixels == 12 * 64**2
    assert source == HealpixMap(64, "ring", "sky")
    assert hash(source) == hash(HealpixMap(64, "ring", "sky"))
    assert source.to_dict() == {
        "intrinsic": {"model": "healpix", "nside": 64, "order": "ring"},
        "name": "sky",
    }
    assert not isinstance(source, Camera)


def test_wrong_maps_are_named():
    with pytest.raises(ValueError, match="nside=12 must be a power of two"):
        HealpixMap(12, "ring")
    with pytest.raises(ValueError, match="order='RING' must be 'ring' or 'nested'"):
        HealpixMap(8, "RING")
    table = MapToGrid(HealpixMap(4, "ring"), HealpixGrid(2))
    valid = np.ones(192, dtype=bool)
    with pytest.raises(ValueError, match=r"values has shape \(12, 1\), .* 192 pixels .* nside 4"):
        table.sample(np.zeros((12, 1), dtype=np.float32), valid[:12])
    with pytest.raises(ValueError, match="values has dtype float64, float32"):
        table.sample(np.zeros((192, 1)), valid)
    with pytest.raises(ValueError, match="valid has dtype float32, bool"):
        table.sample(np.zeros((192, 1), dtype=np.float32), valid.astype(np.float32))
