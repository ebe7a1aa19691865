"""Which of the 16 symmetries of the pixels a whole network keeps, to rounding."""

import itertools

import pytest
import torch

from healswin.equivariance import PixelPermutation, check_equivariance
from healswin.grid import HealpixGrid, pixel_symmetries
from healswin.models import create_model, list_models

EXACT = 1e-10
SPHERE, FISHEYE = HealpixGrid(8), HealpixGrid(8, range(8))
# Tokens of nside 4, 2 and 1: discs first, then everybody attends to everybody.
THREE_STAGES = {"embed_dim": 8, "depths": (2, 2, 2), "num_heads": (1, 2, 4)}
TWO_STAGES = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 16}
WITHOUT_A_GRID = {"stem": "rings", "merging": "mean", "expanding": "mean"}
UPS = [(0, 0, 1), (0, -1, 0), (1, 1, 0)]


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(name, grid, seed=0, **arguments):
    """A network in which everything that can be learned matters, as after training."""
    torch.manual_seed(seed)
    network = create_model(name, grid, **arguments).eval()
    with torch.no_grad():
        for parameter_name, p in network.named_parameters():
            if p.ndim == 2 and not parameter_name.endswith("table"):
                p.copy_(torch.randn_like(p) * p.shape[1] ** -0.5)
            else:
                p.add_(0.3 * torch.randn_like(p))
    return network


def errors(network, symmetries=None):
    """Largest deviation under each symmetry that maps the network's grid onto itself."""
    grid = network.grid
    x = torch.randn(
        1, network.in_chans, grid.num_pixels, generator=torch.Generator().manual_seed(5)
    )
    with torch.no_grad():
        y = network(x)
    assert 0.2 < y.abs().max() < 100
    whole = y.ndim == 2
    # A map that is the same everywhere would be symmetric, too.
    assert whole or y.std(dim=-1).max() > 1e-2
    symmetries = pixel_symmetries(grid) if symmetries is None else symmetries
    report = check_equivariance(
        network,
        x,
        {s: PixelPermutation(s, grid) for s in symmetries},
        tolerance=None,
        transform_output=(lambda scores: scores) if whole else None,
    )
    return {s: error.absolute for s, error in report.errors.items()}


@pytest.mark.parametrize("grid", [SPHERE, FISHEYE, HealpixGrid(16), HealpixGrid(16, range(8))])
@pytest.mark.parametrize("chiral", [False, True])
def test_iso_keeps_rotations_and_if_not_chiral_reflections(grid, chiral):
    found = errors(make("healswin_iso_tiny", grid, **THREE_STAGES, chiral=chiral))
    assert len(found) == (16 if grid.is_full_sphere else 8)
    rotations = [error for s, error in found.items() if s.is_rotation]
    reflections = [error for s, error in found.items() if not s.is_rotation]
    assert len(rotations) == len(reflections)
    assert max(rotations) < EXACT
    if chiral:
        assert max(reflections) > 1e-6
    else:
        assert max(reflections) < EXACT


@pytest.mark.parametrize("name", list_models("healswin_iso_*"))
def test_every_iso_model_keeps_all_symmetries(name):
    network = make(name, SPHERE, **TWO_STAGES, chiral=False, seed=1)
    assert max(errors(network).values()) < EXACT


@pytest.mark.parametrize("chiral", [False, True])
def test_the_class_of_a_turned_map_is_the_same(chiral):
    network = make(
        "healswin_iso_tiny", SPHERE, **THREE_STAGES, chiral=chiral, head="classification"
    )
    found = errors(network)
    assert max(error for s, error in found.items() if s.is_rotation or not chiral) < EXACT
    if chiral:
        assert max(found.values()) > 1e-6


@pytest.mark.parametrize("faces", [range(4), (4, 5, 6, 7), (0, 2, 8, 10), (1,)])
def test_iso_keeps_the_symmetries_of_any_base_pixels(faces):
    network = make("healswin_iso_tiny", HealpixGrid(8, faces), **TWO_STAGES, chiral=False)
    found = errors(network)
    assert len(found) >= 2
    assert max(found.values()) < EXACT


def test_features_turn_with_the_map():
    network = make("healswin_iso_tiny", SPHERE, **THREE_STAGES, chiral=False, features_only=True)
    x = torch.randn(1, 3, SPHERE.num_pixels)
    grids = [HealpixGrid(info["nside"]) for info in network.feature_info]
    assert [grid.nside for grid in grids] == [4, 2, 1]
    with torch.no_grad():
        features = network(x)
        for symmetry in pixel_symmetries():
            turned = network(PixelPermutation(symmetry, SPHERE)(x))
            for grid, before, after in zip(grids, features, turned, strict=True):
                expected = PixelPermutation(symmetry, grid)(before)
                torch.testing.assert_close(after, expected, rtol=0, atol=EXACT)
        assert features[0].std() > 0.1


def test_single_precision_is_as_symmetric_as_it_rounds():
    torch.set_default_dtype(torch.float32)
    network = make("healswin_iso_tiny", SPHERE, **THREE_STAGES, chiral=False)
    assert max(errors(network).values()) < 1e-5


@pytest.mark.parametrize("windows", ["disc", "vertex"])
@pytest.mark.parametrize("chiral", [False, True])
@pytest.mark.parametrize("up", UPS)
def test_a_frame_keeps_what_keeps_its_up(up, chiral, windows):
    """All that keeps up, or its rotations; everything else is noticed."""
    frame = {"bias": "frame", "windows": windows, "up": up, "chiral": chiral, **WITHOUT_A_GRID}
    found = errors(make("healswin_tiny", SPHERE, **TWO_STAGES, **frame))
    kept = {s for s in found if s.keeps(up) and (s.is_rotation or not chiral)}
    assert len(kept) == {(0, 0, 1): 8, (0, -1, 0): 4, (1, 1, 0): 4}[up] // (1 + chiral)
    assert max(found[s] for s in kept) < EXACT
    assert min(error for s, error in found.items() if s not in kept) > 1e-4


@pytest.mark.parametrize("up", UPS)
def test_only_the_direction_of_up_counts(up):
    frame = {"bias": "frame", "windows": "vertex", **WITHOUT_A_GRID}
    first = make("healswin_tiny", SPHERE, **TWO_STAGES, **frame, up=up)
    second = make("healswin_tiny", SPHERE, **TWO_STAGES, **frame, up=[7.5 * v for v in up])
    x = torch.randn(1, 3, SPHERE.num_pixels)
    with torch.no_grad():
        torch.testing.assert_close(first(x), second(x), rtol=0, atol=EXACT)


@pytest.mark.parametrize("bias", ["radial", "steered", "none"])
def test_vertex_windows_keep_all_symmetries(bias):
    vertex = {"windows": "vertex", "bias": bias, "chiral": False, **WITHOUT_A_GRID}
    assert max(errors(make("healswin_tiny", SPHERE, **TWO_STAGES, **vertex)).values()) < EXACT


@pytest.mark.parametrize(
    "part",
    [
        {"merging": "published"},
        {"expanding": "published"},
        {"stem": "patches"},
        {"windows": "ring"},
        {"windows": "roll"},
        {"windows": "vertex", "bias": "table"},
    ],
    ids=str,
)
def test_every_part_of_the_published_design_breaks_them(part):
    arguments = {"windows": "vertex", "bias": "radial", **WITHOUT_A_GRID, **part}
    found = errors(make("healswin_tiny", SPHERE, **TWO_STAGES, **arguments))
    turns = [e for s, e in found.items() if s.is_rotation and s.mirrors_longitude]
    assert len(turns) == 4
    assert min(turns) > 1e-3


def test_the_published_network_keeps_none():
    found = errors(make("healswin_unet_paper", HealpixGrid(16), **THREE_STAGES, window_size=16))
    identity = [error for s, error in found.items() if s.name == "identity"]
    assert identity == [0]
    assert sorted(found.values())[1] > 1e-3


def test_unshifted_published_windows_keep_quarter_turns_only():
    """They rename faces; ring shifts break them where one ring ends and the next begins."""
    for depths, kept in [((1, 1), True), ((2, 2), False)]:
        arguments = {**TWO_STAGES, "depths": depths}
        found = errors(make("healswin_unet_paper", HealpixGrid(16), **arguments))
        quarters = [e for s, e in found.items() if s.is_rotation and not s.mirrors_longitude]
        others = [e for s, e in found.items() if not s.is_rotation or s.mirrors_longitude]
        assert (len(quarters), len(others)) == (4, 12)
        assert (max(quarters) < EXACT) == kept
        assert min(others) > 1e-3


CHOICES = [
    (windows, bias)
    for windows, bias in itertools.product(
        ("roll", "grid", "ring", "vertex", "disc"), ("none", "table", "frame", "radial", "steered")
    )
    if (windows, bias) != ("disc", "table")
]


@pytest.mark.parametrize(("windows", "bias"), CHOICES)
def test_every_combination_runs(windows, bias):
    """With each stem, merging and expanding; each choice is seen in the output."""
    x = torch.randn(2, 3, FISHEYE.num_pixels)
    outputs = []
    for part in ({}, {"stem": "rings"}, {"merging": "mean"}, {"expanding": "mean"}, WITHOUT_A_GRID):
        network = make(
            "healswin_unet_paper",
            FISHEYE,
            **{**TWO_STAGES, "embed_dim": 4, "window_size": 4},
            windows=windows,
            bias=bias,
            **part,
        )
        with torch.no_grad():
            outputs.append(network(x))
        assert outputs[-1].shape == (2, 10, FISHEYE.num_pixels)
        assert outputs[-1].isfinite().all()
    for first, second in itertools.combinations(outputs, 2):
        assert not torch.allclose(first, second)
