import copy
import pickle
import re

import pytest
import torch
from torch import nn

from healswin.grid import HealpixGrid
from healswin.layers import Block, BlockSettings, Stage, StagePlaces, block, in_runs
from healswin.layers.bias import Bias

pytestmark = pytest.mark.usefixtures("double")

SPHERE, FISHEYE = tuple(range(12)), tuple(range(8))
DIM, HEADS = 8, 2

KINDS = {
    "ring and table": (HealpixGrid(2, FISHEYE), BlockSettings(4, "ring")),
    "grid, no bias, pre": (
        HealpixGrid(2, FISHEYE),
        BlockSettings(4, "grid", bias="none", norm_placement="pre"),
    ),
    "vertex and table": (HealpixGrid(4, (0, 1, 5)), BlockSettings(16)),
    "vertex and frame": (HealpixGrid(2), BlockSettings(4, bias="frame")),
    "vertex and steered": (HealpixGrid(2, (0, 1, 5, 8)), BlockSettings(4, bias="steered")),
    "disc, no bias": (HealpixGrid(4, (0, 1, 5)), BlockSettings(16, "disc", bias="none")),
    # On the sphere, where four blocks share a class.
    "disc and radial, pre": (
        HealpixGrid(4),
        BlockSettings(16, "disc", bias="radial", norm_placement="pre"),
    ),
    "disc and frame": (
        HealpixGrid(4, (0, 1, 5)),
        BlockSettings(16, "disc", bias="frame", up=(0.0, -1.0, 0.0)),
    ),
    "disc and steered": (HealpixGrid(4, (0, 1, 5)), BlockSettings(16, "disc", bias="steered")),
    "everybody and steered": (HealpixGrid(2), BlockSettings(16, "disc", bias="steered")),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def stage_of(kind, depth=2, drop_path=0.0, **changes):
    grid, settings = KINDS[kind]
    if changes:
        settings = BlockSettings(**{**vars(settings), **changes})
    torch.manual_seed(0)
    stage = Stage(StagePlaces(grid, settings), DIM, HEADS, settings, drop_path=[drop_path] * depth)
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return stage


def tokens_of(stage, batch):
    torch.manual_seed(1)
    return torch.randn(batch, stage.places.grid.num_pixels, DIM)


def with_gradients(stage, x, seed=None):
    """Output, gradient of the input, gradients of all parameters."""
    if seed is not None:
        torch.manual_seed(seed)
    x = x.clone().requires_grad_()
    y = stage(x)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    parameters = list(stage.parameters())
    return y.detach(), *torch.autograd.grad((y * weights).sum(), [x, *parameters])


@kinds
@pytest.mark.parametrize("batch", [1, 3])
def test_runs_of_any_length_give_the_same(kind, batch, monkeypatch):
    stage = stage_of(kind).eval()
    x = tokens_of(stage, batch)
    monkeypatch.setattr(block, "TOKENS_PER_RUN", 10**9)
    with torch.no_grad():
        expected = stage(x)
    expected_gradients = with_gradients(stage, x)
    assert all(g.abs().max() > 0 for g in expected_gradients)
    for tokens in (16, 48):
        monkeypatch.setattr(block, "TOKENS_PER_RUN", tokens * batch)
        with torch.no_grad():
            torch.testing.assert_close(stage(x), expected, rtol=1e-9, atol=1e-9)
        for gradient, whole in zip(with_gradients(stage, x), expected_gradients, strict=True):
            torch.testing.assert_close(gradient, whole, rtol=1e-9, atol=1e-9)


@kinds
def test_samples_of_a_batch_do_not_meet(kind, monkeypatch):
    monkeypatch.setattr(block, "TOKENS_PER_RUN", 32)
    stage = stage_of(kind).eval()
    x = tokens_of(stage, 3)
    with torch.no_grad():
        one_by_one = torch.cat([stage(sample) for sample in x.split(1)])
        torch.testing.assert_close(stage(x), one_by_one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("tokens", [1, 7, 10**9])
def test_functions_of_one_token_in_runs(tokens, monkeypatch):
    monkeypatch.setattr(block, "TOKENS_PER_RUN", tokens)
    layer = nn.Linear(4, 6)
    x = torch.randn(3, 20, 4)
    torch.testing.assert_close(in_runs(layer, x), layer(x))
    doubled = in_runs(lambda run: run.repeat_interleave(2, dim=1), x)
    assert torch.equal(doubled, x.repeat_interleave(2, dim=1))


@pytest.mark.parametrize("kind", ["vertex and table", "grid, no bias, pre", "disc and steered"])
@pytest.mark.parametrize("branch", ["attention", "mlp"])
def test_drop_path_is_one_decision_for_a_sample(kind, branch, monkeypatch):
    """All tokens of a sample skip the branch, or none, whatever the runs."""
    stage = stage_of(kind, depth=1, drop_path=0.75)
    only = stage.blocks[0]
    with torch.no_grad():  # the other branch adds nothing
        if only.norm_after:
            silent = [only.norm2] if branch == "attention" else [only.norm1]
        else:
            silent = [only.mlp.fc2] if branch == "attention" else [only.attn.proj]
        for parameter in silent[0].parameters():
            parameter.zero_()
        batch = 40
        x = tokens_of(stage, batch)
        added = stage.eval()(x) - x
        assert (added.abs().amax(dim=(1, 2)) > 0.1).all()
        stage.train()
        counts = []
        for tokens in (16 * batch, 10**9):
            monkeypatch.setattr(block, "TOKENS_PER_RUN", tokens)
            torch.manual_seed(3)
            result = stage(x) - x
            skipped = (result == 0).all(dim=-1).all(dim=-1)
            # What is kept is scaled by 1 / (1 - 0.75).
            torch.testing.assert_close(result[~skipped], 4 * added[~skipped])
            counts.append(skipped.sum().item())
    assert counts[0] == counts[1]
    assert 20 < counts[0] < 40  # of 40 samples 30 are expected


def test_branches_are_dropped_one_by_one():
    """A sample may skip the attention and keep the MLP, and the other way round."""
    stage = stage_of("vertex and table", depth=1, drop_path=0.5).train()
    only = stage.blocks[0]
    x = tokens_of(stage, 1).expand(64, -1, -1)
    with torch.no_grad():
        results = stage(x)
        kinds = torch.unique(results.flatten(1).round(decimals=9), dim=0)
        assert len(kinds) == 4
        only.eval()
        only.drop_path = 1.0
        assert not torch.equal(stage(x), x)  # in evaluation nothing is dropped


@pytest.mark.parametrize(
    "kind", ["ring and table", "vertex and frame", "vertex and steered", "disc and steered"]
)
def test_checkpointed_blocks_have_the_same_gradients(kind, monkeypatch):
    """Also with dropouts, which are drawn again as they were."""
    monkeypatch.setattr(block, "TOKENS_PER_RUN", 32)
    stage = stage_of(kind, drop_path=0.3, dropout=0.1, attention_dropout=0.1).train()
    x = tokens_of(stage, 2)
    expected = with_gradients(stage, x, seed=5)
    assert not torch.equal(expected[0], with_gradients(stage, x, seed=6)[0])
    stage.checkpoint_blocks = True
    calls = count_calls(stage.blocks[0].mlp)
    for result, truth in zip(with_gradients(stage, x, seed=5), expected, strict=True):
        torch.testing.assert_close(result, truth)
    runs = len(list(stage.places.first.runs(16 // stage.places.first.queries_per_block)))
    assert len(calls) == 2 * runs  # each was computed twice
    with torch.no_grad():
        stage(x)
    assert len(calls) == 3 * runs


def count_calls(module):
    """A list that grows with every call of the module."""
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


CACHED = ["vertex and table", "vertex and frame", "disc and radial, pre", "disc and steered"]


@pytest.mark.parametrize("kind", CACHED)
def test_biases_are_computed_once_in_evaluation(kind):
    stage = stage_of(kind).eval()
    x = tokens_of(stage, 1)
    calls = count_calls(stage.blocks[1].attn.bias)
    with torch.no_grad():
        first = stage(x)
        assert len(calls) == 1
        assert torch.equal(stage(x), first)
    with torch.inference_mode():
        stage(x)
    assert len(calls) == 1
    # With gradients, and in training, they are not kept.
    stage(x)
    stage(x)
    assert len(calls) == 3
    stage.train()
    with torch.no_grad():
        stage(x)
        stage(x)
    assert len(calls) == 5


@torch.enable_grad()
def by_optimizer(stage):
    optimizer = torch.optim.SGD(stage.parameters(), lr=0.3)
    stage(tokens_of(stage, 1)).square().sum().backward()
    for p in stage.parameters():
        p.grad = torch.sign(p.grad)
    optimizer.step()
    return stage


def by_training_in_between(stage):
    return by_optimizer(stage.train()).eval()


def by_loading(stage):
    weights = {name: weight + 0.3 for name, weight in stage.state_dict().items()}
    stage.load_state_dict(weights)
    return stage


def by_assigning(stage):
    weights = {name: weight + 0.3 for name, weight in stage.state_dict().items()}
    stage.load_state_dict(weights, assign=True)
    return stage


def by_hand(stage):
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.mul_(-1)
    return stage


def by_dtype(stage):
    return stage.float()


def by_to(stage):
    return stage.to(dtype=torch.float32)


CHANGES = [by_optimizer, by_training_in_between, by_loading, by_assigning, by_hand, by_dtype, by_to]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", CACHED)
def test_kept_biases_are_dropped_with_the_weights(kind, change):
    stage = stage_of(kind).eval()
    x = tokens_of(stage, 1)
    with torch.no_grad():
        before = stage(x)
        stage = change(stage)
        x = x.to(next(stage.parameters()).dtype)
        after = stage(x)
        assert not torch.equal(after.double(), before)
        # A stage that never kept anything.
        grid, settings = KINDS[kind]
        fresh = Stage(StagePlaces(grid, settings), DIM, HEADS, settings, drop_path=[0.0] * 2)
        fresh = fresh.to(x.dtype).eval()
        fresh.load_state_dict(stage.state_dict())
        assert torch.equal(fresh(x), after)


def test_kept_biases_belong_to_their_places():
    """A block may be used on two grids: its weights know neither."""
    settings = BlockSettings(4, bias="frame")
    torch.manual_seed(0)
    one = Block(DIM, HEADS, settings).eval()
    grid = HealpixGrid(2)
    places = StagePlaces(grid, settings)
    x = torch.randn(1, grid.num_pixels, DIM)
    with torch.no_grad():
        for place in (places.first, places.second, places.first):
            expected = copy.deepcopy(one)(x, place)[0]
            assert torch.equal(one(x, place)[0], expected)


@pytest.mark.parametrize("kind", CACHED)
def test_copies_and_pickles_do_not_carry_kept_biases(kind):
    stage = stage_of(kind).eval()
    x = tokens_of(stage, 1)
    size = len(pickle.dumps(stage))
    with torch.no_grad():
        expected = stage(x)
        assert len(pickle.dumps(stage)) == size
        for other in (copy.deepcopy(stage), pickle.loads(pickle.dumps(stage))):
            calls = count_calls(other.blocks[0].attn.bias)
            assert torch.equal(other(x), expected)
            assert len(calls) == 1
        # The original still has it.
        calls = count_calls(stage.blocks[0].attn.bias)
        stage(x)
    assert not calls


@kinds
def test_mixed_precision_is_near(kind):
    """bfloat16 keeps 8 bits; what is summed over a window must not lose more."""
    stage = stage_of(kind).float().eval()
    x = tokens_of(stage, 2).float()
    expected = stage(x).detach()
    for grad in (True, False):
        with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype=torch.bfloat16):
            result = stage(x)
        assert result.isfinite().all()
        assert (result - expected).norm() < 0.06 * expected.norm()


def message(text):
    return pytest.raises(ValueError, match=re.escape(text))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"windows": "disc"}, "with windows='disc' use 'radial', 'steered', 'frame' or 'none'"),
        ({"shift_size": 2}, "shift_size=2: windows='vertex' takes none, leave it None"),
        (
            {"windows": "disc", "bias": "none", "shift_size": 4},
            "shift_size=4: windows='disc' takes none",
        ),
        ({"windows": "diagonal"}, "windows='diagonal' must be one of ('roll', 'grid', 'ring',"),
        ({"bias": "flat"}, "bias='flat' must be one of ('none', 'table', 'frame', 'radial',"),
        ({"norm_placement": "both"}, "norm_placement='both' must be one of ('post', 'pre')"),
        ({"up": (0.0, 0.0, 0.0)}, "up=(0.0, 0.0, 0.0) must be a vector (x, y, z)"),
        ({"up": (0.0, 1.0)}, "up=(0.0, 1.0) must be a vector (x, y, z)"),
    ],
)
def test_wrong_settings(arguments, text):
    with message(text):
        BlockSettings(16, **arguments)


@pytest.mark.parametrize(
    ("grid", "settings", "text"),
    [
        (
            HealpixGrid(2, (0, 1)),
            BlockSettings(16, "roll"),
            "the stage with nside 2 and 8 tokens: window=16 does not fit",
        ),
        (
            HealpixGrid(2),
            BlockSettings(64, "ring"),
            "the stage with nside 2 and 48 tokens: window=64 does not fit",
        ),
        (
            HealpixGrid(4, (0, 1, 2)),
            BlockSettings(16, "ring"),
            "the stage with nside 4 and 48 tokens: the shift 'ring' exists for base pixels 0..7 "
            "and for all 12, not for (0, 1, 2): use 'vertex'",
        ),
        (
            HealpixGrid(4),
            BlockSettings(16, "grid"),
            "the shift 'grid' exists for base pixels 0..7 only, not for "
            "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11): use 'vertex'",
        ),
        (
            HealpixGrid(1),
            BlockSettings(16, "vertex"),
            "the stage with nside 1 and 12 tokens is no square window, which bias='table' needs",
        ),
        (
            HealpixGrid(4),
            BlockSettings(8, "vertex"),
            "the stage with nside 4 and 192 tokens: window=8 must be a power of four",
        ),
        (
            HealpixGrid(4),
            BlockSettings(16, "roll", 16),
            "the stage with nside 4 and 192 tokens: shift=16 must be less than window=16",
        ),
    ],
)
def test_stages_that_do_not_fit_are_named(grid, settings, text):
    with message(text):
        StagePlaces(grid, settings)


@pytest.mark.parametrize("nside", [2, 4, 8, 16])
@pytest.mark.parametrize("window", [4, 16, 64])
@pytest.mark.parametrize("faces", [SPHERE, (4,), (0, 2, 11)])
def test_vertex_windows_are_no_larger_than_a_face(nside, window, faces):
    grid = HealpixGrid(nside, faces)
    settings = BlockSettings(window, "vertex")
    places = StagePlaces(grid, settings)
    assert places.window_size == min(window, nside**2)
    assert places.first.queries_per_block == places.window_size
    assert places.first.blocks == grid.num_pixels // places.window_size
    if grid.num_pixels == places.window_size:
        assert places.second is None
    else:
        # One window for each of the corners that a pixel of the grid touches; F + 2 on the sphere.
        more = places.second.blocks - places.first.blocks
        assert more == 2 if faces == SPHERE else more > 0
        assert places.second.queries_per_block == places.window_size
    stage = Stage(places, DIM, HEADS, settings, drop_path=[0.0, 0.0])
    side = int(places.window_size**0.5)
    assert len(stage.blocks[1].attn.bias.table) == (2 * side - 1) ** 2


@pytest.mark.parametrize("windows", ["roll", "ring", "grid"])
def test_a_single_window_is_not_shifted(windows):
    """Neither does it matter whether the shift would exist for its base pixels."""
    places = StagePlaces(HealpixGrid(4, (2,)), BlockSettings(16, windows))
    assert places.second is None
    assert places.first.blocks == 1
    assert StagePlaces(HealpixGrid(2, FISHEYE), BlockSettings(4, windows)).second.blocks == 8


@pytest.mark.parametrize(
    ("nside", "windows"), [(1, "vertex"), (1, "disc"), (2, "disc")], ids=lambda v: str(v)
)
@pytest.mark.parametrize("bias", ["none", "frame", "radial", "steered"])
def test_small_stages_attend_globally(nside, windows, bias):
    grid, settings = HealpixGrid(nside, (0, 1, 2, 5)), BlockSettings(16, windows, bias=bias)
    places = StagePlaces(grid, settings)
    assert places.second is None
    torch.manual_seed(0)
    stage = Stage(places, DIM, HEADS, settings, drop_path=[0.0]).eval()
    x = torch.randn(1, grid.num_pixels, DIM)
    changed = x.clone()
    changed[:, 0] += 1
    with torch.no_grad():
        assert (stage(x) != stage(changed)).any(dim=-1).all()


def test_discs_are_the_same_in_every_block():
    places = StagePlaces(HealpixGrid(4), BlockSettings(4, "disc", bias="radial"))
    assert places.second is None
    assert places.first.queries_per_block == places.window_size == 16


def test_the_state_dict_of_a_stage_has_weights_only():
    for kind in KINDS:
        stage = stage_of(kind)
        assert set(stage.state_dict()) == {name for name, _ in stage.named_parameters()}


def test_vectors_are_made_for_a_block_that_takes_them():
    """The first takes none, the last makes none; a single block has the radial bias alone."""
    stage = stage_of("disc and steered", depth=3)
    assert [b.attn.charge is not None for b in stage.blocks] == [True, True, False]
    assert [b.attn.along is not None for b in stage.blocks] == [False, True, True]
    assert [b.attn.across is not None for b in stage.blocks] == [False, True, True]
    even = stage_of("disc and steered", depth=2, chiral=False)
    assert even.blocks[1].attn.along is not None
    assert even.blocks[1].attn.across is None
    alone = stage_of("disc and steered", depth=1).blocks[0].attn
    assert alone.charge is alone.along is None


def test_every_bias_is_tried_here():
    assert {settings.bias for _, settings in KINDS.values()} == set(Bias.__args__)
