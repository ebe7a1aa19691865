"""The projection: its inverse, turns, the fast path against a readable one, published arrays."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data_prep.mnist.projection import (
    HEIGHT,
    UP,
    Projector,
    canvas_directions,
    canvas_positions,
    published_picture,
    published_positions,
)
from healswin.equivariance import haar_rotations
from healswin.grid import EquiangularGrid, HealpixGrid

GRIDS = [
    HealpixGrid(8),
    HealpixGrid(4, (2, 3, 5, 8, 11)),
    EquiangularGrid(9),
    EquiangularGrid(8, "driscoll-healy"),
]
SIDES = st.sampled_from([5, 28, 60])
SEEDS = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def golden():
    return np.load(Path(__file__).parent / "data/projection.npz", allow_pickle=False)


def bilinear(canvas, row, column):
    """One pixel, straight from the definition: cells, bilinear between their middles, else 0."""
    side = len(canvas)
    if not (-0.5 <= row <= side - 0.5 and -0.5 <= column <= side - 0.5):
        return 0.0
    value = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            weight = (1 - abs(row - i)) * (1 - abs(column - j))
            value += weight * float(canvas[min(max(i, 0), side - 1), min(max(j, 0), side - 1)])
    return value


def on_border(rows, columns, side):
    """Where a rounding error decides whether a pixel is on the canvas."""
    distance = np.maximum(np.abs(rows - side / 2 + 0.5), np.abs(columns - side / 2 + 0.5))
    return np.abs(distance - side / 2) < 1e-4 * side


@given(side=SIDES, seed=SEEDS)
def test_positions_and_directions_are_inverse(side, seed):
    positions = np.random.default_rng(seed).uniform(-0.5, side - 0.5, (50, 2))
    directions = canvas_directions(positions, side)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(canvas_positions(directions, side), positions, atol=1e-9 * side)


@pytest.mark.parametrize("side", [28, 60])
def test_where_the_canvas_is(side):
    middle = np.array([[side / 2 - 0.5, side / 2 - 0.5]])
    np.testing.assert_allclose(canvas_directions(middle, side), [[0, 0, -1]], atol=1e-12)
    ends = np.array([[-0.5, side / 2 - 0.5], [-0.5, -0.5]])
    edge, corner = np.degrees(np.arccos(-canvas_directions(ends, side)[:, 2]))
    assert edge == pytest.approx(73.7, abs=0.1)
    assert corner == pytest.approx(93.4, abs=0.1)
    # From the middle the top of the canvas, its first row, is where UP points.
    top = canvas_directions(np.add(middle, [-1, 0]), side)[0]
    np.testing.assert_allclose(top[:2] / np.linalg.norm(top[:2]), UP[:2], atol=1e-12)
    # Seen from within, with UP up, columns grow to the right: right is forward x up.
    right = canvas_directions(np.add(middle, [0, 1]), side)[0]
    np.testing.assert_allclose(
        right[:2] / np.linalg.norm(right[:2]), np.cross([0, 0, -1], UP)[:2], atol=1e-12
    )
    # It covers 0.41 of the sphere, and nothing around the north pole.
    vectors = HealpixGrid(32).vectors()
    inside = (np.abs(canvas_positions(vectors, side) - side / 2 + 0.5) <= side / 2).all(axis=1)
    assert inside.mean() == pytest.approx(0.413, abs=0.002)
    assert vectors[inside, 2].max() < 0.07
    near = canvas_positions(np.array([[0.0, 0, 1], [4e-4, 0, math.sqrt(1 - 16e-8)]]), side)
    assert (near < -0.5).any(axis=1).all()


@given(seed=SEEDS, side=SIDES, grid=st.sampled_from(GRIDS), upright=st.booleans())
def test_fast_path_equals_the_definition(seed, side, grid, upright):
    rng = np.random.default_rng(seed)
    canvas = rng.integers(0, 256, (side, side), dtype=np.uint8)
    rotation = None if upright else haar_rotations(1, rng)[0]
    projector = Projector(grid, side)
    rows, columns = projector.positions(rotation)
    picture = projector.picture(canvas, rows, columns)
    vectors = grid.vectors() if upright else grid.vectors() @ rotation.T
    exact = canvas_positions(vectors, side)
    expected = np.array([bilinear(canvas, *position) for position in exact])
    certain = ~on_border(*exact.T, side)
    assert certain.sum() > 0.9 * len(certain)
    # Rounded, from float32 positions: those far from the pole of projection are good to 1e-5.
    error = np.abs(picture - expected)[certain]
    assert error.max() < 0.5 + 255 * 1e-5 * side


@given(seed=SEEDS, side=SIDES, grid=st.sampled_from(GRIDS), value=st.integers(1, 255))
def test_a_constant_canvas_stays_constant(seed, side, grid, value):
    canvas = np.full((side, side), value, dtype=np.uint8)
    projector = Projector(grid, side)
    rows, columns = projector.positions(haar_rotations(1, seed)[0])
    picture = projector.picture(canvas, rows, columns)
    inside = np.maximum(np.abs(rows - side / 2 + 0.5), np.abs(columns - side / 2 + 0.5)) <= side / 2
    assert inside.any()
    np.testing.assert_array_equal(picture, np.where(inside, value, 0))


@given(seed=SEEDS, quarter=st.integers(0, 3))
def test_a_quarter_turn_about_the_axis_turns_the_canvas(seed, quarter):
    """R p of a grid that is the same after the turn: the same picture from a turned canvas."""
    side, grid = 28, EquiangularGrid(8)
    canvas = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    projector = Projector(grid, side)
    c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter]
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    exact = canvas_positions(grid.vectors() @ rotation.T, side)
    assume(not on_border(*exact.T, side).any())
    turned = projector.picture(canvas, *projector.positions(rotation))
    # Longitudes alpha + 90 degrees: points move by 2b / 4 = 4 along their ring.
    upright = projector.picture(canvas, *projector.positions(None)).reshape(grid.shape)
    np.testing.assert_allclose(
        turned.reshape(grid.shape).astype(int), np.roll(upright, -4 * quarter, axis=1), atol=1
    )
    # And the same as the canvas itself turned: rows along x, columns along y.
    by_canvas = projector.picture(
        np.ascontiguousarray(np.rot90(canvas, -quarter)), *projector.positions(None)
    )
    np.testing.assert_allclose(turned.astype(int), by_canvas, atol=1)


@given(seed=SEEDS, grid=st.sampled_from(GRIDS))
def test_a_turned_projection_is_that_of_the_turned_grid(seed, grid):
    rotation = haar_rotations(1, seed)[0]
    projector = Projector(grid, 28)
    rows, columns = projector.positions(rotation)
    exact = canvas_positions(grid.vectors() @ rotation.T, 28)
    near = ((exact > -2) & (exact < 29)).all(axis=1)
    np.testing.assert_allclose(np.stack([rows, columns], axis=1)[near], exact[near], atol=1e-4)


def test_no_picture_is_darker_than_its_canvas():
    """In the middle of a pixel stands its value, to the last grey level."""
    canvas = np.arange(28 * 28).reshape(28, 28).astype(np.uint8)
    rows, columns = np.mgrid[0:28, 0:28].reshape(2, -1).astype(np.float32)
    picture = Projector(HealpixGrid(4), 28).picture(canvas, rows, columns)
    np.testing.assert_array_equal(picture, canvas.ravel())


@pytest.mark.parametrize("turned", [False, True])
def test_published_arrays(golden, turned):
    vectors = EquiangularGrid(30, "driscoll-healy").vectors()
    if turned:
        vectors = vectors @ golden["rotation"].T
    positions = published_positions(vectors, 28)
    expected = golden["proj_rot" if turned else "proj"].reshape(6, -1)
    masks = golden["mask_rot" if turned else "mask"].reshape(6, -1)
    found = np.stack([published_picture(canvas, positions) for canvas in golden["digits"]])
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 2
    # The published masks are thresholds of the published pictures.
    classes = (golden["labels"] + 1)[:, None]
    np.testing.assert_array_equal(masks, (expected > 150) * classes)


@given(seed=SEEDS, side=st.sampled_from([8, 28]))
def test_published_sampling_equals_its_definition(seed, side):
    rng = np.random.default_rng(seed)
    canvas = rng.integers(0, 256, (side, side), dtype=np.uint8)
    vectors = HealpixGrid(4).vectors() @ haar_rotations(1, rng)[0].T
    values = []
    for x, y, z in vectors:
        total, c = 0.0, [side * (q * (HEIGHT + 1) / (HEIGHT - z) + 1.5) / 3 for q in (x, y)]
        for i in (-1, 1):
            for j in (-1, 1):
                row, column = int(c[0]) + i, int(c[1]) + j
                weight = (1 + i * (c[0] - int(c[0]))) * (1 + j * (c[1] - int(c[1])))
                if 0 <= row < side and 0 <= column < side:
                    total += weight * float(canvas[row, column])
        values.append(total)
    values = np.array(values) - min(values)
    expected = values * 255 / values.max()
    found = published_picture(canvas, published_positions(vectors, side))
    assert np.abs(found - np.floor(expected)).max() <= 1


def test_an_empty_canvas_is_published_as_an_empty_picture():
    positions = published_positions(HealpixGrid(2).vectors(), 8)
    assert not published_picture(np.zeros((8, 8), dtype=np.uint8), positions).any()
