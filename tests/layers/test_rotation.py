"""Batched rotation of maps: the twins of one map, of healpy, and of exact symmetries."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.equivariance import Rotation, haar_rotations, rotation_about
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid, pixel_symmetries
from healswin.layers.rotation import MapRotation

SPHERE = HealpixGrid(8)
GRIDS = [SPHERE, EquiangularGrid(8), EquiangularGrid(8, "driscoll-healy")]
each = pytest.mark.parametrize("grid", GRIDS, ids=str)


def maps_on(grid, batch=3, channels=2):
    """Random values; all points at a pole have one, as every function on the sphere does."""
    draws = torch.Generator().manual_seed(0)
    maps = torch.randn(batch, channels, grid.num_pixels, generator=draws)
    if isinstance(grid, EquiangularGrid) and grid.sampling == "driscoll-healy":
        maps[..., : 2 * grid.bandwidth] = maps[..., :1].clone()
    return maps


def rotations(count, seed=0):
    return torch.from_numpy(haar_rotations(count, seed))


def test_every_map_is_turned_by_its_own_rotation():
    """The twin: `equivariance.Rotation`, one map at a time, float64 tables."""
    maps, turns = maps_on(SPHERE), rotations(3)
    turned = MapRotation(SPHERE)(maps, turns.float())
    for row in range(3):
        expected = Rotation(turns[row].numpy(), SPHERE)(maps[row : row + 1])
        torch.testing.assert_close(turned[row : row + 1], expected, atol=2e-5, rtol=0)


@each
def test_nearest_is_the_grids_lookup(grid):
    labels = torch.arange(grid.num_pixels).repeat(4, 1)
    turns = rotations(4)
    turned = MapRotation(grid).nearest(labels, turns.float())
    for row in range(4):
        expected = grid.lookup(grid.vectors() @ turns[row].numpy())
        # Elsewhere only within rounding of a border.
        assert (turned[row].numpy() == expected).mean() > 0.995
    assert turned.dtype == labels.dtype


@each
def test_images_are_interpolated_as_the_grid_says(grid):
    maps, turns = maps_on(grid), rotations(3, seed=5)
    turned = MapRotation(grid)(maps, turns.float())
    for row in range(3):
        index, weights = grid.interpolation(grid.vectors() @ turns[row].numpy())
        expected = (maps[row].numpy()[:, index] * weights).sum(-1)
        np.testing.assert_allclose(turned[row], expected, atol=5e-5)


@each
def test_nothing_happens_without_a_turn(grid):
    maps = maps_on(grid)
    turned = MapRotation(grid)(maps, torch.eye(3).expand(3, 3, 3))
    torch.testing.assert_close(turned, maps, atol=1e-5, rtol=0)


def test_pixel_symmetries_are_exact():
    maps, rotation = maps_on(SPHERE, batch=1), MapRotation(SPHERE)
    for symmetry in pixel_symmetries(SPHERE)[:8]:
        matrix = torch.from_numpy(symmetry.matrix)[None].float()
        expected = maps[..., torch.from_numpy(symmetry.gather(SPHERE))]
        torch.testing.assert_close(rotation(maps, matrix), expected, atol=2e-5, rtol=0)
        labels = torch.arange(SPHERE.num_pixels)[None]
        expected = labels[..., torch.from_numpy(symmetry.gather(SPHERE))]
        assert torch.equal(rotation.nearest(labels, matrix), expected)


@pytest.mark.parametrize("grid", GRIDS[1:], ids=str)
def test_turns_by_grid_steps_are_exact(grid):
    maps, b = maps_on(grid, batch=1), grid.bandwidth
    for steps in (1, 3, b, 2 * b - 1):
        matrix = rotation_about((0, 0, 1), math.pi * steps / b)
        turned = MapRotation(grid)(maps, torch.from_numpy(matrix)[None].float())
        expected = maps.unflatten(-1, grid.shape).roll(steps, -1).flatten(2)
        torch.testing.assert_close(turned, expected, atol=2e-5, rtol=0)


@each
@given(seed=st.integers(0, 1000))
def test_smooth_maps_turn_with_the_rotation(grid, seed):
    """p . a becomes p . R a."""
    axis = torch.tensor([0.6, -0.48, 0.64])
    turn = rotations(1, seed).float()
    points = torch.from_numpy(grid.vectors()).float()
    turned = MapRotation(grid)((points @ axis)[None, None], turn)
    torch.testing.assert_close(turned[0, 0], points @ turn[0] @ axis, atol=0.1, rtol=0)


@each
def test_there_and_back(grid):
    """What is lost by interpolation is second order for a smooth map."""
    points = torch.from_numpy(grid.vectors()).float()
    maps = (points[:, 0] * points[:, 1] + points[:, 2])[None, None].repeat(2, 1, 1)
    turns, rotation = rotations(2, seed=2).float(), MapRotation(grid)
    back = rotation(rotation(maps, turns), turns.transpose(1, 2))
    assert (back - maps).abs().max() < 0.15
    assert (back - maps).square().mean().sqrt() < 0.03


def test_other_maps_of_the_batch_do_not_matter():
    maps, turns, rotation = maps_on(SPHERE, batch=5), rotations(5).float(), MapRotation(SPHERE)
    together = rotation(maps, turns)
    for row in range(5):
        assert torch.equal(together[row], rotation(maps[row : row + 1], turns[row : row + 1])[0])


def test_gradients_flow_and_precision_stays():
    rotation = MapRotation(SPHERE)
    maps = maps_on(SPHERE).double().requires_grad_()
    rotation(maps, rotations(3)).sum().backward()
    # Every pixel gives what it weighs: the weights add up to 1 for each turned pixel.
    assert maps.grad.sum() == pytest.approx(maps.numel(), rel=1e-6)
    half = rotation(maps_on(SPHERE).bfloat16(), rotations(3))
    assert half.dtype == torch.bfloat16


def test_autocast_does_not_blur_directions():
    maps, turns, rotation = maps_on(SPHERE), rotations(3).float(), MapRotation(SPHERE)
    with torch.autocast("cpu", torch.bfloat16):
        inside = rotation(maps, turns)
    assert torch.equal(inside, rotation(maps, turns))


def test_a_state_dict_holds_nothing():
    assert not MapRotation(SPHERE).state_dict()


COMPILED = """
import torch
from healswin.equivariance import haar_rotations
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.layers.rotation import MapRotation

turns = torch.from_numpy(haar_rotations(3, 0)).float()
for grid in (HealpixGrid(8), EquiangularGrid(8)):
    maps, rotation = torch.randn(3, 2, grid.num_pixels), MapRotation(grid)
    compiled = torch.compile(rotation, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(maps, turns), rotation(maps, turns))
"""


@pytest.mark.slow
def test_it_compiles_whole():
    """In another process: the shape checks of the tests cannot be compiled."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each
def test_a_gpu_agrees(grid):
    maps, turns, rotation = maps_on(grid), rotations(3).float(), MapRotation(grid)
    labels = torch.arange(grid.num_pixels).repeat(3, 1)
    here, labelled = rotation(maps, turns), rotation.nearest(labels, turns)
    rotation.cuda()
    there = rotation(maps.cuda(), turns.cuda()).cpu()
    torch.testing.assert_close(there, here, atol=1e-4, rtol=0)
    nearest = rotation.nearest(labels.cuda(), turns.cuda()).cpu()
    assert (nearest == labelled).float().mean() > 0.995


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        (HealpixGrid(4, range(8)), "full sphere is needed"),
        (ImageGrid(8, 8), "no grid of the sphere"),
    ],
)
def test_grids_that_cannot_be_rotated(grid, match):
    with pytest.raises(ValueError, match=match):
        MapRotation(grid)


def test_bad_input():
    rotation, maps, turns = MapRotation(SPHERE), maps_on(SPHERE), rotations(3).float()
    with pytest.raises(ValueError, match="take `nearest`"):
        rotation(maps.long(), turns)
    with pytest.raises(ValueError, match="3 axes with 768 pixels"):
        rotation(maps[..., 1:], turns)
    with pytest.raises(ValueError, match=r"\(3, 3, 3\) is needed"):
        rotation(maps, turns[:2])
    for wrong in (2 * turns, -turns, turns * math.nan):
        with pytest.raises(ValueError, match="no rotation matrix"):
            rotation.nearest(maps[:, 0], wrong)
