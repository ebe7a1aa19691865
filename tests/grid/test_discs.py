import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healswin.grid import HealpixGrid, discs


@functools.cache
def angles(grid):
    """Angles between all pixels: arctangent of sine and cosine, accurate at every distance."""
    v = grid.vectors()
    sine = np.linalg.norm(np.cross(v[:, None], v[None]), axis=-1)
    return np.arctan2(sine, v @ v.T)


def membership(grid, tables):
    """(pixels, pixels) bool: whether the second lies in the disc of the first."""
    member = np.zeros((grid.num_pixels, grid.num_pixels), dtype=int)
    block, query, slot = np.nonzero(tables.inside)
    np.add.at(member, (16 * block + query, tables.keys[block, slot]), 1)
    assert member.max() == 1
    return member.astype(bool)


@pytest.mark.parametrize("nside", [4, 8])
@pytest.mark.parametrize("radius", [0.1, 1.0, 1.7, 2.5, 4.0, 7.3, 1000.0])
def test_discs_are_those_of_all_distances(nside, radius):
    grid = HealpixGrid(nside)
    tables = discs(grid, radius)
    near = angles(grid) <= radius * grid.pixel_spacing + 1e-9
    np.testing.assert_array_equal(membership(grid, tables), near)
    counts = [int(block.any(axis=0).sum()) for block in near.reshape(-1, 16, grid.num_pixels)]
    np.testing.assert_array_equal((tables.keys >= 0).sum(axis=1), counts)
    assert tables.keys.shape[1] == -(-max(counts) // 8) * 8


@pytest.mark.parametrize("nside", [4, 8, 16])
def test_membership_is_symmetric_and_holds_the_query(nside):
    grid = HealpixGrid(nside)
    member = membership(grid, discs(grid))
    assert member.diagonal().all()
    np.testing.assert_array_equal(member, member.T)


@pytest.mark.parametrize("nside", [4, 8])
def test_discs_are_mapped_onto_themselves(nside):
    """By the 16 rotations and reflections that permute the pixels, down to equal distances."""
    grid = HealpixGrid(nside)
    # One of the radii is the distance of two neighbours, at which other pixels lie too.
    for radius in (2.5, angles(grid)[0, 1] / grid.pixel_spacing):
        member = membership(grid, discs(grid, radius))
        for signs in itertools.product((1, -1), repeat=3):
            for order in ([0, 1, 2], [1, 0, 2]):
                moved = grid.lookup((grid.vectors() * signs)[:, order])
                np.testing.assert_array_equal(np.sort(moved), np.arange(grid.num_pixels))
                np.testing.assert_array_equal(member[moved][:, moved], member)


@pytest.mark.parametrize("nside", [4, 8, 32])
def test_quarter_turns_keep_the_slots(nside):
    grid = HealpixGrid(nside)
    x, y, z = grid.vectors().T
    moved = grid.lookup(np.stack([-y, x, z], axis=-1))
    tables = discs(grid)
    blocks = moved.reshape(-1, 16)[:, 0] // 16
    turned = np.where(tables.keys >= 0, moved[tables.keys], -1)
    np.testing.assert_array_equal(turned, tables.keys[blocks])
    np.testing.assert_array_equal(tables.inside, tables.inside[blocks])


@settings(max_examples=30)
@given(
    st.sets(st.integers(0, 11), min_size=1), st.sampled_from([4, 8]), st.sampled_from([1.3, 2.5])
)
def test_a_subset_is_the_sphere_without_some_keys(faces, nside, radius):
    grid = HealpixGrid(nside, tuple(sorted(faces)))
    sphere, subset = discs(HealpixGrid(nside), radius), discs(grid, radius)
    blocks = grid.pixels()[::16] // 16
    keys = sphere.keys[blocks]
    known = np.isin(keys // nside**2, grid.base_pixels)
    np.testing.assert_array_equal(subset.keys >= 0, known)
    np.testing.assert_array_equal(grid.pixels()[subset.keys[known]], keys[known])
    np.testing.assert_array_equal(subset.inside, sphere.inside[blocks] & known[:, None])


@pytest.mark.parametrize("nside", [4, 8, 16, 32, 64])
def test_a_block_fits_into_72_slots(nside):
    tables = discs(HealpixGrid(nside))
    slots = tables.keys.shape[1]
    assert slots <= 72
    assert slots % 8 == 0
    filled = tables.keys >= 0
    # Empty slots come last, every key is seen by a query, and no key comes twice.
    assert (filled[:, :-1] >= filled[:, 1:]).all()
    np.testing.assert_array_equal(tables.inside.any(axis=1), filled)
    for row, some in zip(tables.keys[::7], filled[::7], strict=True):
        assert len(set(row[some])) == some.sum()


@pytest.mark.parametrize(
    ("nside", "radius", "message"),
    [
        (2, 2.5, "nside=2: blocks of 16 pixels need nside 4 or more"),
        (4, 0.0, "radius=0.0 must be a positive number"),
        (4, -1.0, "radius=-1.0"),
        (4, np.inf, "radius=inf"),
        (4, np.nan, "radius=nan"),
    ],
)
def test_wrong_arguments(nside, radius, message):
    with pytest.raises(ValueError, match=message):
        discs(HealpixGrid(nside), radius)
