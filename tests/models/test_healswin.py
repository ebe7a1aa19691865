import json
from pathlib import Path

import numpy as np
import pytest
import torch

from healswin import HealpixGrid, create_model
from healswin.models import HealSwin, from_published

DATA = Path(__file__).parents[1] / "data"
SMALL = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 16, "shift_size": 2}


def published(name):
    golden = np.load(DATA / f"{name}.npz")
    meta = json.loads(str(golden["meta"]))
    network = HealSwin(
        meta["nside"],
        tuple(range(meta["base_pix"])),
        meta["in_channels"],
        meta["out_channels"],
        embed_dim=meta["embed_dim"],
        depths=meta["depths"],
        num_heads=meta["num_heads"],
        patch_size=meta["patch_size"],
        window_size=meta["window_size"],
        windows={"ring_shift": "ring", "nest_grid_shift": "grid"}[meta["shift_strategy"]],
        shift_size=meta["shift_size"],
        bias="table" if meta["rel_pos_bias"] == "flat" else "none",
        cosine=meta["use_cos_attn"],
        norm_placement="post" if meta["use_v2_norm_placement"] else "pre",
        absolute_position=meta["ape"],
    )
    state = {k[3:]: torch.from_numpy(golden[k]) for k in golden.files if k.startswith("sd/")}
    return golden, network, state


@pytest.mark.parametrize("name", ["unet_ring_v2", "unet_grid_v1"])
def test_published_weights_give_the_published_output(name):
    golden, network, state = published(name)
    network.load_state_dict(from_published(state))
    with torch.no_grad():
        output = network.eval()(torch.from_numpy(golden["x"]))
    assert (output - torch.from_numpy(golden["y"])).abs().max() < 1e-5


def test_only_derived_buffers_are_left_out():
    _, network, state = published("unet_ring_v2")
    derived = [k for k in state if k.endswith(("attn_mask", "relative_position_index"))]
    assert len(from_published(state)) == len(state) - len(derived) == len(network.state_dict())


def test_deeper_decoders_are_mapped():
    names = {
        "decoder.layers_up.2.upsample.expand.weight": "decoder.2.expand.expand.weight",
        "decoder.layers_up.3.blocks.1.attn.relative_position_bias_table": (
            "decoder.2.stage.blocks.1.attn.bias.table"
        ),
        "decoder.concat_back_dim.1.bias": "decoder.0.join.bias",
        "layers.2.downsample.norm.weight": "encoder.merges.2.norm.weight",
    }
    network = create_model("healswin_unet_paper", HealpixGrid(64, range(8)), embed_dim=24)
    mapped = from_published({name: torch.zeros(1) for name in names})
    assert list(mapped) == list(names.values())
    assert set(mapped) <= set(network.state_dict())
    with pytest.raises(ValueError, match=r"'layers\.0\.conv' is no parameter"):
        from_published({"layers.0.conv": torch.zeros(1)})


def test_the_state_dict_holds_parameters_only():
    network = HealSwin(16, **SMALL)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_weights_move_between_grids():
    """No parameter depends on the grid, so a model trained at one nside runs at another."""
    torch.manual_seed(0)
    small, large = HealSwin(16, **SMALL), HealSwin(32, tuple(range(12)), **SMALL)
    large.load_state_dict(small.state_dict())
    assert large(torch.randn(1, 3, 12 * 32**2)).shape == (1, 10, 12 * 32**2)


@pytest.mark.parametrize(
    ("faces", "windows"), [((3,), "roll"), ((0, 5, 9), "roll"), (tuple(range(12)), "ring")]
)
def test_any_base_pixels_and_channels(faces, windows):
    network = HealSwin(16, faces, 2, 4, windows=windows, **SMALL).eval()
    assert network(torch.randn(2, 2, len(faces) * 256)).shape == (2, 4, len(faces) * 256)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = HealSwin(16, absolute_position=True, **SMALL)
    network(torch.randn(2, 3, 2048)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_samples_of_a_batch_do_not_meet():
    torch.manual_seed(0)
    network = HealSwin(16, **SMALL).eval()
    x = torch.randn(3, 3, 2048)
    with torch.no_grad():
        together, alone = network(x), network(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


def test_a_quarter_turn_about_the_pole_commutes():
    """Turning by 90 degrees about z renames faces; with `roll` left out nothing else changes."""
    torch.manual_seed(0)
    network = HealSwin(16, **{**SMALL, "depths": (1, 1)}).double().eval()
    x = torch.randn(1, 3, 8, 256, dtype=torch.float64)

    def turned(maps):
        faces = maps.reshape(*maps.shape[:2], 2, 4, 256)
        return faces.roll(1, dims=3).reshape(*maps.shape[:2], -1)

    with torch.no_grad():
        first, second = network(turned(x)), turned(network(x.flatten(2)))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


def test_dropouts_act_in_training_only():
    torch.manual_seed(0)
    rates = {"dropout": 0.2, "attention_dropout": 0.2, "drop_path": 0.2}
    network = HealSwin(16, **SMALL, **rates)
    x = torch.randn(1, 3, 2048)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


def test_drop_path_rises_over_the_encoder_and_is_used_again():
    network = HealSwin(16, drop_path=0.3, **SMALL)
    rate = [block.drop_path for stage in network.encoder.stages for block in stage.blocks]
    assert rate == pytest.approx([0.0, 0.1, 0.2, 0.3])
    decoder = [block.drop_path for block in network.decoder[0].stage.blocks]
    assert decoder == pytest.approx(rate[:2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nside": 12}, "nside=12"),
        ({"nside": 2}, "nside=2 is too small"),
        ({"window_size": 32}, "window=32 must be a power of four"),
        ({"window_size": 1024}, "must divide 512 pixels"),
        ({"patch_size": 8}, "patch_size=8 must be a power of four"),
        ({"num_heads": (3, 2)}, "3 must divide the 8 channels of stage 0"),
        ({"num_heads": (1,)}, "one entry of at least 1 for every stage"),
        ({"windows": "spiral"}, "'spiral' must be one of"),
        ({"base_pixels": (0, 1)}, "'ring' exists for base pixels 0..7"),
        ({"norm_placement": "middle"}, "norm_placement='middle'"),
        ({"bias": "cosine"}, "bias='cosine'"),
        ({"windows": "spiral", "depths": (1, 1)}, "'spiral' must be one of"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"embed_dim": 0}, "embed_dim=0"),
        ({"num_heads": (0, 1)}, r"num_heads=\[0, 1\] must be at least 1"),
        ({"drop_path": 1.5}, "drop_path=1.5"),
        ({"mlp_ratio": 0.0}, "mlp_ratio=0.0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HealSwin(**{"nside": 16, **SMALL, **arguments})


def test_wrong_maps_are_refused():
    network = HealSwin(16, **SMALL)
    with pytest.raises(ValueError, match=r"\(1, 3, 8192\), \(batch, 3, 2048\) is needed"):
        network(torch.zeros(1, 3, 8192))


@pytest.mark.parametrize("stem", ["patches", "rings"])
def test_empty_parts_of_a_map_have_gradients_of_ordinary_size(stem):
    """A patch of zeros has a direction all the same, which cosine attention needs."""
    torch.manual_seed(0)
    network = HealSwin(16, stem=stem, **SMALL)
    x = torch.randn(1, 3, 2048)
    x[..., :512] = 0
    network(x).square().sum().backward()
    assert max(p.grad.abs().max() for p in network.parameters()) < 1e6


def test_weights_changed_behind_the_back_of_autograd_count_at_once():
    torch.manual_seed(0)
    network = HealSwin(16, **{**SMALL, "windows": "vertex", "bias": "frame", "shift_size": None})
    network.eval()
    x = torch.randn(1, 3, 2048)
    with torch.no_grad():
        network(x)
        for parameter in network.parameters():
            parameter.data.mul_(2)  # as averages of weights are swapped in
        changed = network(x)
        assert torch.equal(changed, network.train().eval()(x))
