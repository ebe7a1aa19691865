"""What all models of the registry can be used for, whatever is inside."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from healswin.grid import HealpixGrid, ImageGrid
from healswin.layers import FrameBias, RadialBias, TableBias
from healswin.models import HealSwin, create_model, list_models

MODELS = list_models("*swin*")
# Sizes of one family differ in widths and depths only, see below: one of each will do where a test
# takes seconds.
FAMILIES = ["healswin_tiny", "healswin_iso_tiny", "healswin_unet_paper", "swin_unet_paper"]
HEADS = ["dense", "classification", "features"]
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "drop_path": 0.0}


def is_flat(name):
    return name.startswith("swin")


def family(name):
    """The member of FAMILIES that is like it; the defaults are those of the published networks."""
    name = {"healswin": "healswin_unet_paper", "swin_unet": "swin_unet_paper"}.get(name, name)
    name = name.replace("stanford", "unet_paper")
    return name.replace("small", "tiny").replace("base", "tiny")


def grid_of(name):
    return ImageGrid(16, 16) if is_flat(name) else HealpixGrid(8)


def make(name, depth=1, grid=None, seed=0, gentle=False, **arguments):
    """A tiny instance of a model, with weights that all matter; gentle: near the first ones."""
    torch.manual_seed(seed)
    tiny = {
        "embed_dim": 8,
        "depths": (depth, depth),
        "num_heads": (1, 2),
        "window_size": 4 if is_flat(name) else 16,
        "shift_size": 2 if is_flat(name) else None,
        **NO_DROPOUT,
        **arguments,
    }
    network = create_model(name, grid or grid_of(name), **tiny).eval()
    with torch.no_grad():
        for parameter_name, p in network.named_parameters():
            if gentle:
                p.add_(0.1 * torch.randn_like(p))
            elif p.ndim == 2 and not parameter_name.endswith("table"):
                p.copy_(torch.randn_like(p) * p.shape[1] ** -0.5)
            else:
                p.add_(0.2 * torch.randn_like(p))
    return network


def inputs(network, batch=2, seed=1, dtype=torch.float32):
    grid = network.grid
    shape = (grid.height, grid.width) if isinstance(grid, ImageGrid) else (grid.num_pixels,)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, network.in_chans, *shape, generator=generator, dtype=dtype)


def output(network, x):
    """One tensor, whatever the head."""
    out = network(x)
    return torch.cat([f.flatten(1) for f in out], dim=1) if isinstance(out, list) else out


def close(first, second, tolerance=1e-5):
    torch.testing.assert_close(first, second, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_like_its_family(name):
    network, twin = make(name, depth=2), make(family(name), depth=2)
    assert family(name) in FAMILIES
    assert repr(network) == repr(twin)
    x = inputs(network)
    with torch.no_grad():
        y = network(x)
        assert torch.equal(y, twin(x))
    assert y.std() > 0.1


# Exported, compiled, in other precisions, copied, saved.


@pytest.mark.parametrize("name", FAMILIES)
def test_export_with_any_batch(name):
    network = make(name, depths=(2, 1) if "iso" in name else (1, 1)).double()
    x = inputs(network, dtype=torch.float64)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (x,), dynamic_shapes=shapes, strict=False)
    for batch in (1, 3):
        x = inputs(network, batch, seed=4, dtype=torch.float64)
        with torch.no_grad():
            close(program.module()(x), network(x), 1e-9)


@pytest.mark.parametrize("head", ["classification", "features"])
def test_export_of_other_heads(head):
    network = make("healswin_iso_tiny", depths=(2,), num_heads=(1,), head=head).double()
    x = inputs(network, dtype=torch.float64)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (x,), dynamic_shapes=shapes, strict=False)
    x = inputs(network, 3, seed=4, dtype=torch.float64)
    with torch.no_grad():
        close(output(program.module(), x), output(network, x), 1e-9)


def compile_and_compare(name, backend):
    """One graph forward and one backward that compute what the network does."""
    # Two blocks, where something passes from one to the next.
    network = make(name, depths=(2, 1) if "iso" in name else (1, 1)).double().train()
    x = inputs(network, dtype=torch.float64)
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    gradients = []
    for module in (network, compiled):
        network.zero_grad()
        y = module(x)
        y.square().mean().backward()
        gradients.append([y.detach(), *(p.grad for p in network.parameters())])
    for first, second in zip(*gradients, strict=True):
        close(first, second, 1e-9)


def in_another_process(backend, names):
    """There the shapes of every call are not checked, which a compiler cannot read through."""
    run = [sys.executable, __file__, backend, *names]
    result = subprocess.run(run, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == names


def test_compile_without_graph_breaks():
    in_another_process("eager", FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "names"), [("aot_eager", FAMILIES), ("inductor", ["healswin_iso_tiny"])]
)
def test_compile_forward_and_backward(backend, names):
    in_another_process(backend, names)


class Watch(TorchFunctionMode):
    """Records the dtypes of the input and the output of some functions."""

    def __init__(self, *names):
        super().__init__()
        self.seen = {name: set() for name in names}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", None) in self.seen:
            self.seen[func.__name__].add((args[0].dtype, result.dtype))
        return result


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_is_close_and_sums_in_float32(name, training):
    network = make(name, depth=2, gentle=True).train(training)
    x = inputs(network)
    with torch.no_grad():
        expected = copy.deepcopy(network)(x)  # a copy: a network keeps its biases in evaluation
    biases, norms = [], []
    for module in network.modules():
        if isinstance(module, (TableBias, RadialBias, FrameBias)):
            module.register_forward_hook(lambda _, __, out: biases.append(out.dtype))
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(lambda *norm: norms.append(norm))
    gradients, half = torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16)
    with gradients, half, Watch("softmax", "exp") as watch:
        y = network(x)
    assert y.dtype == torch.bfloat16
    # A bfloat16 has 8 bits; a dozen roundings one after the other leave a few per cent.
    error = (y.float() - expected).norm() / expected.norm()
    assert error.item() < 0.05
    assert set(biases) == (set() if is_flat(name) else {torch.float32})
    single = (torch.float32, torch.float32)
    # In evaluation torch's fused attention has its own softmax.
    assert watch.seen["softmax"] <= {single}
    assert watch.seen["softmax"] or not training
    scales = [n for n, _ in network.named_parameters() if n.endswith("logit_scale")]
    assert watch.seen["exp"] == ({single} if scales else set())
    for norm, (given_,), out in tuple(norms):  # called again below, each adds itself again
        with torch.no_grad():
            exact = norm(given_.float())
        # One rounding of the result, half a unit in the last of 8 bits; none inside.
        torch.testing.assert_close(out.float(), exact, rtol=2**-8, atol=1e-6)
    if training:
        y.float().square().mean().backward()
        assert all(p.grad.dtype == torch.float32 for p in network.parameters())
        assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_double_precision_agrees(name, head):
    network = make(name, depth=2, head=head)
    x = inputs(network)
    with torch.no_grad():
        single = output(network, x)
        double = output(network.double(), x.double())
    assert double.dtype == torch.float64
    assert double.std() > 0.1
    assert (single - double).norm() < 1e-5 * double.norm()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))], ids=["copy", "pickle"]
)
def test_copies_are_whole(name, copied):
    network = make(name, depth=2)
    x = inputs(network)
    with torch.no_grad():
        expected = network(x)
        twin = copied(network)
        # Whatever was kept for evaluation belongs to one network.
        for p in network.parameters():
            p.zero_()
        assert torch.equal(twin(x), expected)
        assert not torch.equal(network(x), expected)
    assert (twin.grid, twin.num_classes) == (network.grid, 10)
    assert twin.feature_info == network.feature_info


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", HEADS)
def test_repr_is_short_and_names_the_grid(name, head):
    network = make(name, head=head)
    text = repr(network)
    first = text.splitlines()[1]
    assert str(network.grid) in first
    assert f"in_chans=3, num_classes=10, head={head!r}" in first
    assert len(text) < 8000
    assert "tensor(" not in text


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_state_dicts_hold_parameters_only_and_load_safely(name, head):
    network, fresh = make(name, depth=2, head=head), make(name, depth=2, head=head, seed=9)
    parameters = {n for n, _ in network.named_parameters()}
    assert set(network.state_dict()) == parameters
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    x = inputs(network)
    with torch.no_grad():
        expected = output(network, x)
        assert not torch.equal(output(fresh, x), expected)
        fresh.load_state_dict(state)
        assert torch.equal(output(fresh, x), expected)


# What is computed.


def flops(network, batch):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(inputs(network, batch))
    return counter.get_total_flops()


@pytest.mark.parametrize("name", FAMILIES)
def test_operations_are_counted(name):
    """Every sample takes the same; biases are made once, at first, and kept in evaluation."""
    network = make(name)
    first, one, two, three = (flops(network, batch) for batch in (1, 1, 2, 3))
    assert three - two == two - one > 0
    if not is_flat(name):
        assert two == 2 * one
    assert one <= first < 2 * one


def test_operations_of_the_published_network():
    """Products of the linear layers and of the attention, a multiplication and an addition each."""
    network = make("healswin_unet_paper", depth=2)
    pixels, channels, window, classes = 768, 8, 16, 10

    def blocks(tokens, c):
        """Two: queries, keys, values, output and MLP; logits and their sum of values."""
        return 2 * (24 * tokens * c**2 + 4 * tokens * window * c)

    tokens = pixels // 4
    expected = 2 * tokens * (4 * 3) * channels  # patch embedding
    expected += 2 * blocks(tokens, channels)  # first stage and its twin in the decoder
    expected += 2 * (tokens // 4) * 4 * channels * 2 * channels  # merging
    expected += blocks(tokens // 4, 2 * channels)
    expected += 2 * (tokens // 4) * 2 * channels * 4 * channels  # expanding
    expected += 2 * tokens * 2 * channels * channels  # joining the skip connection
    expected += 2 * tokens * channels * 4 * channels  # expanding to pixels
    expected += 2 * pixels * channels * classes
    assert flops(network, 3) == 3 * expected


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_gets_a_gradient(name, depth, head):
    """In float64, where what is only rounding can be told from a gradient."""
    network = make(name, depth=depth, head=head).double().train()
    y = output(network, inputs(network, dtype=torch.float64))
    (y * torch.randn_like(y)).sum().backward()
    none = [n for n, p in network.named_parameters() if p.grad is None]
    small = [n for n, p in network.named_parameters() if p.grad.abs().max() < 1e-9]
    assert none == []
    assert small == []


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_checkpointed_blocks_have_the_same_gradients(name, head):
    network = make(name, depth=2, head=head).train()
    x = inputs(network)
    stages = network.stages if is_flat(name) else network.encoder.stages
    calls, results = [], []
    stages[1].blocks[1].mlp.fc1.register_forward_hook(lambda *_: calls.append(1))
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        calls.clear()
        y = output(network, x)
        y.square().mean().backward()
        assert len(calls) == 1 + enable
        results.append([y.detach(), *(p.grad for p in network.parameters())])
    for first, second in zip(*results, strict=True):
        close(first, second)
    # In evaluation nothing is computed again.
    calls.clear()
    network.eval()
    output(network, x).square().mean().backward()
    assert len(calls) == 1


def test_checkpointing_moves_to_another_grid():
    for name in FAMILIES:
        network = make(name).train()
        network.set_grad_checkpointing()
        moved = network.with_grid(network.grid)
        stages = [m for m in moved.modules() if hasattr(m, "checkpoint_blocks")]
        assert len(stages) == 3
        assert all(stage.checkpoint_blocks for stage in stages)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", HEADS)
def test_weight_decay_is_for_matrices(name, head):
    network = make(name, depth=2, head=head)
    parameters = dict(network.named_parameters())
    spared = network.no_weight_decay()
    assert spared < set(parameters)
    assert {n for n, p in parameters.items() if p.ndim <= 1 or n.endswith("bias")} <= spared
    assert {n for n in parameters if "logit_scale" in n or ".bias." in n} <= spared
    # A linear layer of the network proper is not spared.
    for n in parameters:
        if n.endswith(("qkv.weight", "fc1.weight", "reduction.weight", "classes.weight")):
            assert n not in spared
    without, decayed = param_groups_weight_decay(network, 0.05, no_weight_decay_list=spared)
    assert (without["weight_decay"], decayed["weight_decay"]) == (0, 0.05)
    assert {id(p) for p in without["params"]} == {id(parameters[n]) for n in spared}
    assert len(without["params"]) + len(decayed["params"]) == len(parameters)


def test_a_position_embedding_is_not_decayed():
    spared = make("healswin_tiny", absolute_position=True).no_weight_decay()
    assert "encoder.position" in spared
    spared = make("healswin_unet_paper").no_weight_decay()
    assert "encoder.stages.0.blocks.0.attn.bias.table" in spared


# Heads.

FACES = [(3,), (0, 5, 9), tuple(range(8)), tuple(range(12))]


@given(
    st.sampled_from([name for name in FAMILIES if not is_flat(name)]),
    st.sampled_from(FACES),
    st.integers(1, 5),
    st.integers(1, 20),
    st.integers(1, 3),
)
@settings(max_examples=12)
def test_any_base_pixels_channels_and_classes(name, faces, in_chans, num_classes, batch):
    windows = {}
    if name == "healswin_unet_paper" and len(faces) < 8:
        # Ring shifts are defined for the fisheye domain and the sphere.
        windows = {"windows": "roll", "window_size": 4}
    given_ = {"grid": HealpixGrid(8, faces), "in_chans": in_chans, "num_classes": num_classes}
    pixels = 64 * len(faces)
    network = make(name, **given_, **windows)
    x = inputs(network, batch)
    assert x.shape == (batch, in_chans, pixels)
    with torch.no_grad():
        assert network(x).shape == (batch, num_classes, pixels)
        assert network.forward_features(x).shape == (batch, pixels // 16, 16)
        network = make(name, **given_, **windows, head="classification")
        assert network(x).shape == (batch, num_classes)
        network = make(name, **given_, **windows, features_only=True)
        shapes = [feature.shape for feature in network(x)]
    assert shapes == [(batch, 8, pixels // 4), (batch, 16, pixels // 16)]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("chosen", [None, (0,), (1,), (-1,), (0, 1), (-3, -1)])
def test_features_are_those_of_the_stages(name, chosen):
    three = {
        "depths": (1, 1, 1),
        "num_heads": (1, 2, 4),
        "grid": ImageGrid(32, 32) if is_flat(name) else HealpixGrid(16),
        "features_only": True,
    }
    whole, part = make(name, **three), make(name, **three, out_indices=chosen)
    stages = [i % 3 for i in chosen or (0, 1, 2)]
    # Later stages are not built, and nothing else is missing.
    names = set(part.state_dict())
    state = whole.state_dict()
    assert names <= set(state)
    for i in range(3):
        of_stage = {n for n in state if f"stages.{i}." in n}
        assert of_stage & names == (of_stage if i <= max(stages) else set())
    part.load_state_dict({n: state[n] for n in names})
    x = inputs(whole)
    with torch.no_grad():
        expected, features = whole(x), part(x)
    assert len(features) == len(stages) == len(part.feature_info)
    for feature, info, i in zip(features, part.feature_info, stages, strict=True):
        close(feature, expected[i])
        assert feature.shape[1] == info["num_chs"] == 8 * 2**i
        assert info["module"].endswith(f"stages.{i}")
        assert isinstance(part.get_submodule(info["module"]), nn.Module)
        pixels = feature[0, 0].numel() * info["reduction"] ** 2
        assert pixels == whole.grid.num_pixels
        if not is_flat(name):
            assert HealpixGrid(info["nside"]).num_pixels == feature.shape[2]


def test_the_last_feature_is_what_the_heads_see():
    for name in FAMILIES[:-1]:
        network = make(name, features_only=True)
        x = inputs(network)
        with torch.no_grad():
            close(network(x)[-1].transpose(1, 2), network.forward_features(x))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", ["dense", "classification"])
def test_reset_classifier(name, head):
    network = make(name, head=head).double()
    x = inputs(network, dtype=torch.float64)
    before = {n: p.clone() for n, p in network.named_parameters() if "head.classes" not in n}
    network.reset_classifier(4)
    assert network.num_classes == 4
    for other in (network, network.with_grid(network.grid), copy.deepcopy(network)):
        assert other.num_classes == 4
        with torch.no_grad():
            y = other(x)
            assert torch.equal(y, network(x))
        assert (y.shape[:2], y.dtype) == ((2, 4), torch.float64)
    after = {n: p for n, p in network.named_parameters() if "head.classes" not in n}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    for wrong in (0, 2.5):
        with pytest.raises(ValueError, match=f"num_classes={wrong} must be a whole number"):
            network.reset_classifier(wrong)


@pytest.mark.parametrize("name", FAMILIES)
def test_features_have_no_classifier(name):
    with pytest.raises(ValueError, match="no classifier"):
        make(name, features_only=True).reset_classifier(4)


# Another grid.


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", HEADS)
def test_another_grid_is_the_network_built_for_it(name, head):
    network = make(name, depth=2, head=head)
    grids = [HealpixGrid(16), HealpixGrid(8, range(8)), HealpixGrid(16, range(8))]
    if not family(name).endswith("paper"):
        grids += [HealpixGrid(16, (0, 5, 9)), HealpixGrid(8, (11,))]
    if is_flat(name):
        grids = [ImageGrid(32, 16), ImageGrid(48, 64)]
    for grid in grids:
        moved = network.with_grid(grid)
        assert (moved.grid, network.grid) == (grid, grid_of(name))
        built = make(name, depth=2, head=head, grid=grid, seed=9)
        state = network.state_dict()
        assert all(torch.equal(value, state[n]) for n, value in moved.state_dict().items())
        built.load_state_dict(state)
        x = inputs(built)
        with torch.no_grad():
            y = output(moved, x)
            assert torch.equal(y, output(built, x))
        if head == "dense":
            assert y.shape == (2, 10, *x.shape[2:])
        elif head == "classification":
            assert y.shape == (2, 10)
        else:
            assert y[0].numel() == (8 + 16 / 4) * grid.num_pixels / 4


@pytest.mark.parametrize("name", FAMILIES)
def test_another_grid_is_a_copy(name):
    network = make(name).double().train()
    frozen = next(iter(dict(network.named_parameters())))
    network.get_parameter(frozen).requires_grad_(False)
    moved = network.with_grid(network.grid)
    assert moved.training
    assert {p.dtype for p in moved.parameters()} == {torch.float64}
    assert [n for n, p in moved.named_parameters() if not p.requires_grad] == [frozen]
    x = inputs(network, dtype=torch.float64)
    with torch.no_grad():
        expected = moved(x)
        for p in network.parameters():
            p.zero_()
        assert torch.equal(moved(x), expected)
    assert not network.eval().with_grid(network.grid).training


def test_weights_that_belong_to_a_grid_stay_there():
    network = make("healswin_tiny", absolute_position=True)
    with pytest.raises(ValueError, match=r"absolute_position=True .* nside 8"):
        network.with_grid(HealpixGrid(16))
    network = make("healswin_tiny", bias="table")
    with pytest.raises(ValueError, match=r"bias\.table has shape .* at nside 16: a table belongs"):
        network.with_grid(HealpixGrid(16))
    with pytest.raises(ValueError, match=r"grid=ImageGrid.* must be a HealpixGrid"):
        network.with_grid(ImageGrid(16, 16))
    with pytest.raises(ValueError, match=r"nside=2 is too small .* at least nside 4"):
        make("healswin_iso_tiny").with_grid(HealpixGrid(2))


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nside": 2}, "nside=2 is too small .* 2 stages: at least nside 4 is needed"),
        ({"nside": 12}, "nside=12 must be a power of two"),
        ({"window_size": 32}, "window=32 must be a power of four: 4, 16, 64"),
        ({"nside": 4, "depths": (1, 1)}, "nside 1 and 12 tokens: window=16 .* must divide 12"),
        ({"windows": "grid", "base_pixels": range(8)}, "nside 2 .* windows inside one face"),
        ({"windows": "grid"}, "0..7 only, .* use 'vertex' or 'roll'"),
        ({"windows": "ring", "base_pixels": (0, 1)}, "exists for base pixels 0..7 and for all 12"),
        ({"patch_size": 8}, "patch_size=8 must be a power of four: 1, 4, 16"),
        ({"num_heads": (3, 2)}, "3 must divide the 8 channels of stage 0"),
        ({"num_heads": (1, 2, 4)}, "one entry of at least 1 for every stage"),
        ({"base_pixels": (1, 0)}, r"base_pixels=\(1, 0\) must be an increasing"),
        ({"base_pixels": (0, 0)}, "must be an increasing"),
        ({"base_pixels": (0, 12)}, "must lie in 0..11"),
        ({"base_pixels": ()}, "non-empty"),
        ({"head": "depth"}, "head='depth' must be one of .*'dense', 'classification', 'features'"),
        ({"stem": "rows"}, "stem='rows' must be one of"),
        ({"merging": "max"}, "merging='max' must be one of"),
        ({"expanding": "max"}, "expanding='max' must be one of"),
        ({"windows": "disc"}, "bias='table' .* use 'radial', 'steered', 'frame' or 'none'"),
        ({"windows": "vertex", "shift_size": 2}, "windows='vertex' takes none, leave it None"),
        ({"windows": "disc", "bias": "radial", "shift_size": 2}, "takes none"),
        ({"windows": "vertex", "nside": 4}, "nside 1 .* bias='table' needs: use fewer stages"),
        ({"bias": "frame", "up": (0, 0, 0)}, "up=.* must be a vector"),
        ({"shift_size": 0}, "shift_size=0 must be a whole number of at least 1"),
        ({"out_indices": (0,)}, "is for head='features', not for head='dense'"),
        ({"head": "features", "out_indices": (2,)}, "2 stages .* 0 to 1, or -2 to -1"),
        ({"head": "features", "out_indices": (-3,)}, "0 to 1, or -2 to -1"),
        ({"head": "features", "out_indices": (1, -1)}, "each once"),
        ({"head": "features", "out_indices": (1, 0)}, "from fine to coarse"),
        ({"head": "features", "out_indices": ()}, "must name some"),
        ({"head": "features", "out_indices": (0.5,)}, "must name some"),
        ({"in_chans": 0}, "in_chans=0 must be a whole number of at least 1"),
        ({"num_classes": 2.0}, r"num_classes=2\.0 must be a whole number"),
        ({"embed_dim": -8}, "embed_dim=-8 must be a whole number"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_what_would(arguments, message):
    fits = {
        "nside": 8,
        "base_pixels": range(12),
        "embed_dim": 8,
        "depths": (2, 2),
        "num_heads": (1, 2),
        "window_size": 16,
    }
    assert HealSwin(**fits).grid == HealpixGrid(8)
    with pytest.raises(ValueError, match=message):
        HealSwin(**{**fits, **arguments})


@pytest.mark.parametrize("name", [name for name in FAMILIES if not is_flat(name)])
def test_wrong_maps_are_refused(name):
    network = make(name)
    needed = r"\(batch, 3, 768\) is needed: nside 8"
    for shape in [(1, 3, 767), (1, 3, 3072), (1, 4, 768)]:
        for function in (network, network.forward_features):
            with pytest.raises(ValueError, match=needed):
                function(torch.zeros(shape))
    # Below forward, whose annotated shapes are checked here but not for users.
    with pytest.raises(ValueError, match=needed):
        network._check_map(torch.zeros(3, 768))
    for dtype in (torch.uint8, torch.int64, torch.bool):
        with pytest.raises(ValueError, match=f"x is {dtype}, a map of real numbers is needed"):
            network._check_map(torch.zeros(1, 3, 768, dtype=dtype))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model in sys.argv[2:]:
        torch._dynamo.reset()
        compile_and_compare(model, sys.argv[1])
        print(model)
