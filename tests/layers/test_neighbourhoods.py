import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import HealpixGrid, discs, pixel_symmetries, window_shift
from healswin.layers import Neighbourhoods
from healswin.layers.neighbourhoods import (
    EXACT_MASK,
    PUBLISHED_MASK,
    discs_of,
    everybody,
    windows_of,
)

pytestmark = pytest.mark.usefixtures("double")

Z = (0.0, 0.0, 1.0)
SPHERE, FISHEYE = tuple(range(12)), tuple(range(8))

subsets = st.sets(st.integers(0, 11), min_size=1).map(lambda s: tuple(sorted(s)))
kinds = st.sampled_from(["unshifted", "roll", "vertex", "disc", "everybody"])


def make(kind, grid, window=16, pairs="none", up=Z, steered=False):
    """A partition, and the grid index of what lies in each slot of its queries and keys."""
    if kind == "everybody":
        places = everybody(grid, pairs, up, steered)
    elif kind == "disc":
        places = discs_of(grid, pairs, up, steered)
        keys = discs(grid).keys
        return places, np.arange(grid.num_pixels).reshape(len(keys), -1), keys
    else:
        shift = None if kind == "unshifted" else window_shift(kind, grid, window)
        masked = EXACT_MASK if kind == "vertex" else PUBLISHED_MASK
        places = windows_of(grid, window, shift, masked, pairs, up, steered)
    queries = np.full(places.blocks * places.queries_per_block, -1)
    slots = np.arange(grid.num_pixels) if places.inverse is None else places.inverse.numpy()
    queries[slots] = np.arange(grid.num_pixels)
    queries = queries.reshape(places.blocks, -1)
    return places, queries, queries


def class_of(places, table):
    """The entry of a table of classes for every block."""
    classes = np.zeros(places.blocks, dtype=int)
    if places.pair_class is not None:
        classes = places.pair_class.numpy()
    return table.numpy()[classes]


def real_pairs(queries, keys):
    """(blocks, q, k): whether there is a pixel in both slots."""
    return (queries >= 0)[:, :, None] & (keys >= 0)[:, None, :]


@given(subsets, st.sampled_from([4, 8]), kinds)
def test_restoring_undoes_regrouping(faces, nside, kind):
    grid = HealpixGrid(nside, faces)
    places, queries, _ = make(kind, grid)
    x = torch.randn(2, grid.num_pixels, 3, generator=torch.Generator().manual_seed(0))
    regrouped = places.regroup(x)
    assert regrouped.shape[1] == places.blocks * places.queries_per_block
    assert torch.equal(places.restore(regrouped), x)
    filled = torch.from_numpy(queries.ravel() >= 0)
    assert filled.sum() == grid.num_pixels
    assert torch.equal(regrouped[:, filled], x[:, queries.ravel()[filled]])
    # And the other way round, for what lies in filled slots.
    slots = torch.randn(2, filled.numel(), 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(places.regroup(places.restore(slots))[:, filled], slots[:, filled])


@given(
    subsets, st.sampled_from([4, 8]), st.sampled_from([4, 16]), st.sampled_from(["roll", "vertex"])
)
def test_blocks_are_the_windows_and_those_with_masks_come_last(faces, nside, window, kind):
    grid = HealpixGrid(nside, faces)
    places, queries, _ = make(kind, grid, window)
    shift = window_shift(kind, grid, window)
    assert sorted(map(tuple, queries)) == sorted(map(tuple, shift.gather.reshape(-1, window)))

    group = np.full(grid.num_pixels + 1, -1)  # the last entry for empty slots
    group[:-1] = shift.group[shift.inverse]
    attends = group[queries][:, :, None] == group[queries][:, None, :]
    masked = 0 if places.mask is None else len(places.mask)
    assert attends[: places.blocks - masked].all()
    if masked:
        value = -np.inf if kind == "vertex" else -100
        expected = np.where(attends[places.blocks - masked :], 0, value)
        np.testing.assert_array_equal(places.mask[:, 0].numpy(), expected)
        assert (expected < 0).any(axis=(1, 2)).all()  # no mask that masks nothing


@pytest.mark.parametrize(
    ("kind", "faces"),
    [
        ("unshifted", SPHERE),
        ("roll", SPHERE),
        ("ring", FISHEYE),
        ("vertex", SPHERE),
        ("vertex", (3,)),
    ],
)
def test_runs_cover_all_blocks_once_with_their_masks(kind, faces):
    places, _, _ = make(kind, HealpixGrid(8, faces), 16)
    whole = torch.zeros(places.blocks, 1, 16, 16)
    if places.mask is not None:
        whole[places.blocks - len(places.mask) :] = places.mask
    for blocks_per_run in (1, 3, 7, places.blocks - 1, places.blocks, places.blocks + 5, 10**9):
        seen, masks = [], []
        for run, mask in places.runs(blocks_per_run):
            length = run.stop - run.start
            assert 0 < length <= blocks_per_run
            seen += range(run.start, run.stop)
            masks.append(torch.zeros(length, 1, 16, 16))
            if mask is not None:
                assert 0 < len(mask) <= length
                masks[-1][length - len(mask) :] = mask
        assert seen == list(range(places.blocks))
        assert torch.equal(torch.cat(masks), whole)


@given(subsets, kinds)
def test_distances_are_those_of_every_block(faces, kind):
    """Of all blocks, though they are computed for one block of each class only."""
    grid = HealpixGrid(4, faces)
    places, queries, keys = make(kind, grid, 4, "radial")
    log_distance = places.distance[:, 0][places.distance_index]
    vectors = grid.vectors()
    chord = np.linalg.norm(vectors[queries][:, :, None] - vectors[keys][:, None], axis=-1)
    real = real_pairs(queries, keys)
    found = np.expm1(class_of(places, log_distance)) * grid.pixel_spacing
    np.testing.assert_allclose(found[real], chord[real], rtol=0, atol=2e-9)


@pytest.mark.parametrize("kind", ["unshifted", "vertex", "disc", "everybody"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_symmetric_pairs_have_the_same_bits(kind, dtype):
    """Under all 16 symmetries of the pixels, in any precision."""
    grid = HealpixGrid(4)
    places, queries, keys = make(kind, grid, 4, "radial")
    places = places.to(dtype)
    values = class_of(places, places.distance[:, 0][places.distance_index])
    assert values.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    table = np.full((grid.num_pixels, grid.num_pixels), np.nan, dtype=values.dtype)
    block, slot, key_slot = np.nonzero(real_pairs(queries, keys))
    table[queries[block, slot], keys[block, key_slot]] = values[block, slot, key_slot]
    assert np.isfinite(table).any(axis=1).all()
    for symmetry in pixel_symmetries():
        gather = symmetry.gather(grid)
        np.testing.assert_array_equal(table[np.ix_(gather, gather)], table)
    # Distances are equal both ways, too, and few.
    both = np.isfinite(table) & np.isfinite(table.T)
    np.testing.assert_array_equal(table[both], table.T[both])
    assert np.unique(table[both]).size < both.sum() / 8


@given(
    subsets,
    kinds,
    st.sampled_from([Z, (0.0, 0.0, -2.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.4, 0.2, -0.7)]),
)
def test_bearings_are_those_of_every_block(faces, kind, up):
    """By another route: both points as complex numbers of the stereographic map about the query."""
    grid = HealpixGrid(4, faces)
    places, queries, keys = make(kind, grid, 4, "frame", up)
    features = class_of(places, places.bearing)
    vectors = grid.vectors()
    towards = np.array(up) / np.linalg.norm(up)
    for block in range(0, len(queries), 3):
        slot = block // 3 % queries.shape[1]
        here = queries[block, slot]
        if here < 0:
            continue
        axis = vectors[here]
        right = np.cross([0.1, 0.7, 0.3], axis)
        right /= np.linalg.norm(right)
        plane = right + 1j * np.cross(axis, right)  # counter-clockwise seen from outside
        for key, (log_distance, cos, sin) in zip(keys[block], features[block, slot], strict=True):
            if key < 0:
                continue
            distance = np.linalg.norm(vectors[key] - axis) / grid.pixel_spacing
            assert abs(log_distance - np.log1p(distance)) < 1e-9
            up_flat, key_flat = plane @ towards, plane @ vectors[key]
            if abs(up_flat) < 1e-6 or abs(key_flat) < 1e-6:
                assert cos == sin == 0
            else:
                turn = key_flat / up_flat
                assert abs(complex(cos, sin) - turn / abs(turn)) < 1e-8


def test_bearings_on_the_equator():
    """With z up, an eastern neighbour on the equator is a quarter turn clockwise from up."""
    grid = HealpixGrid(4)
    places, _, _ = make("everybody", grid, pairs="frame")
    equator = np.flatnonzero(np.abs(grid.vectors()[:, 2]) < 1e-9)
    _, longitude = grid.angles()
    step = np.sort(longitude[equator])[1] - np.sort(longitude[equator])[0]
    for here in equator:
        east = (longitude[equator] - longitude[here]) % (2 * np.pi)
        for turn, sine in ((step, -1), (2 * np.pi - step, 1), (3 * step, -1)):
            key = equator[np.abs(east - turn).argmin()]
            _, cos, sin = places.bearing[0, here, key].tolist()
            assert abs(cos) < 1e-12
            assert abs(sin - sine) < 1e-12
        assert places.bearing[0, here, here].tolist() == [0, 0, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_there_is_no_bearing_where_up_is_overhead_or_the_pair_is_one_axis(sign):
    """Pixels 4 and 6 of nside 1 are the directions x and -x."""
    places, _, _ = make("everybody", HealpixGrid(1), pairs="frame", up=(3.0 * sign, 0, 0))
    none = (places.bearing[0, :, :, 1:] == 0).all(dim=-1).numpy()
    antipode = [10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1]  # 4 and 6, 5 and 7, northern and southern
    expected = np.eye(12, dtype=bool)
    expected[np.arange(12), antipode] = True
    expected[[4, 6]] = True
    np.testing.assert_array_equal(none, expected)
    # All the others are unit vectors, and nothing is not a number.
    length = places.bearing[0, :, :, 1:].norm(dim=-1).numpy()
    np.testing.assert_allclose(length, np.where(expected, 0.0, 1.0), rtol=0, atol=1e-12)
    assert places.bearing.isfinite().all()


@pytest.mark.parametrize("kind", ["unshifted", "roll", "vertex", "disc"])
@pytest.mark.parametrize("faces", [SPHERE, (0, 1, 6)])
def test_classes_agree_with_no_classes(kind, faces):
    """A vector that is z for all purposes but one: it has no quarter turns."""
    grid = HealpixGrid(8, faces)
    few, queries, keys = make(kind, grid, 16, "frame")
    all_blocks, _, _ = make(kind, grid, 16, "frame", (1e-30, 0.0, 1.0))
    assert len(all_blocks.bearing) == all_blocks.blocks
    if faces == SPHERE:
        assert len(few.bearing) <= few.blocks / 2
    real = real_pairs(queries, keys)
    np.testing.assert_allclose(
        class_of(few, few.bearing)[real],
        class_of(all_blocks, all_blocks.bearing)[real],
        rtol=0,
        atol=1e-9,
    )
    if kind == "disc":
        masks = class_of(few, few.class_mask), class_of(all_blocks, all_blocks.class_mask)
        np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("faces", [SPHERE, (0, 1, 6)])
@pytest.mark.parametrize("pairs", ["none", "radial", "frame"])
def test_discs_mask_what_lies_outside(faces, pairs):
    grid = HealpixGrid(8, faces)
    places, queries, keys = make("disc", grid, pairs=pairs)
    table = discs(grid)
    mask = class_of(places, places.class_mask)[:, 0]
    np.testing.assert_array_equal(mask, np.where(table.inside, 0, -np.inf))
    np.testing.assert_array_equal(places.keys.numpy(), np.maximum(table.keys, 0))
    assert places.mask is None
    np.testing.assert_array_equal(queries.ravel(), np.arange(grid.num_pixels))
    assert (mask[~real_pairs(queries, keys)] == -np.inf).all()


@given(subsets, kinds)
def test_places_differ_from_those_on_the_sphere_by_one_vector_a_block(faces, kind):
    grid = HealpixGrid(4, faces)
    places, queries, keys = make(kind, grid, 4, "radial", steered=True)
    vectors = grid.vectors()
    normal = places.query_normal.numpy()
    np.testing.assert_array_equal(normal[queries >= 0], vectors[queries[queries >= 0]])
    for tokens, table in ((queries, places.query_place), (keys, places.key_place)):
        offset = vectors[tokens] - table.numpy() * grid.pixel_spacing
        offset -= (vectors[queries] - places.query_place.numpy() * grid.pixel_spacing)[:, :1]
        assert np.abs(offset[tokens >= 0]).max() < 1e-12
    # Measured from the middle of the real queries.
    real = (queries >= 0)[..., None]
    middle = (places.query_place.numpy() * real).sum(axis=1)
    np.testing.assert_allclose(middle, 0, atol=1e-10)


def test_keys_without_a_mask_and_keys_with_a_finite_one():
    """The defaults and the values of the constructor hold for gathered keys as for windows."""
    grid = HealpixGrid(2, (0, 4))
    queries = np.arange(grid.num_pixels).reshape(-1, 4)
    keys = np.roll(queries, 1, axis=0)
    assert Neighbourhoods(grid, queries, keys).class_mask is None
    attends = np.ones((2, 4, 4), dtype=bool)
    attends[:, 0, 3] = False
    places = Neighbourhoods(grid, queries, keys, attends, masked=-100.0)
    expected = torch.zeros(len(places.class_mask), 1, 4, 4)
    expected[:, 0, 0, 3] = -100
    assert torch.equal(places.class_mask, expected)


def test_tables_are_not_saved_and_say_their_size():
    places, _, _ = make("vertex", HealpixGrid(4), 16, "frame", steered=True)
    assert not places.state_dict()
    assert repr(places) == "Neighbourhoods(blocks=14, queries=16, keys=16, masked=8)"
