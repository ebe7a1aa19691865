import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from healswin.grid import HealpixGrid, ImageGrid
from healswin.models import create_model
from healswin.models.swin import SwinUNet, _PatchExpand, swin_unet_paper
from healswin.tasks import SegmentationTask

# Images of 32 x 48 pixels have 4 x 6 windows in the first stage and 2 x 3, of UNIT pixels, in the
# last.
SMALL = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 4, "shift_size": 1}
UNIT = 16


def make(height=32, width=48, seed=0, **arguments):
    torch.manual_seed(seed)
    return SwinUNet(height, width, **{**SMALL, **arguments}).eval()


def images(*shape, dtype=torch.float32, seed=1):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):
        return swin_unet_paper(ImageGrid(640, 768), 3, 10)


def test_the_published_size(paper):
    """41.28 M of the published network: MLPs of the bias for tables, and no bias of the keys."""
    blocks = [(96, 3, 4), (192, 6, 4), (384, 12, 12), (768, 24, 2)]
    difference = sum(
        count * (3 * 512 + 512 * heads - 15**2 * heads - dim) for dim, heads, count in blocks
    )
    parameters = sum(p.numel() for p in paper.parameters())
    assert (parameters - difference) / 1e6 == pytest.approx(41.28, abs=0.005)
    assert parameters / 1e6 == pytest.approx(41.37, abs=0.005)


def test_the_published_windows(paper):
    sizes = [(stage.blocks[0].input_resolution, len(stage.blocks)) for stage in paper.stages]
    assert sizes == [((320, 384), 2), ((160, 192), 2), ((80, 96), 6), ((40, 48), 2)]
    for stage in [*paper.stages, *(up.stage for up in paper.decoder)]:
        assert {block.window_size for block in stage.blocks} == {(8, 8)}
        shifts = [block.shift_size for block in stage.blocks]
        assert shifts == [(0, 0), (2, 2)] * (len(shifts) // 2)
    dropouts = {m.p for m in paper.modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {0.1}
    assert paper(torch.empty(2, 3, 640, 768, device="meta")).shape == (2, 10, 640, 768)


def test_the_builder():
    grid = ImageGrid(32, 48)
    network = swin_unet_paper(grid, 2, 4, **SMALL, dropout=0.3)
    assert (network.grid, network.in_chans, network.num_classes) == (grid, 2, 4)
    assert network.dropout.p == 0.3
    backbone = create_model("swin_unet_paper", grid, **SMALL, features_only=True)
    assert [info["reduction"] for info in backbone.feature_info] == [2, 4]
    with pytest.raises(ValueError, match=r"HealpixGrid.* ImageGrid\(640, 768\)"):
        create_model("swin_unet_paper", HealpixGrid(64))


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (2, 10, 32, 48)),
        ({"in_chans": 1, "num_classes": 3}, (2, 3, 32, 48)),
        ({"patch_size": 1, "window_size": 2}, (2, 10, 32, 48)),
        ({"patch_size": 4, "window_size": 2}, (2, 10, 32, 48)),
        ({"depths": (1,), "num_heads": (2,), "window_size": 8}, (2, 10, 32, 48)),
        ({"shift_size": 0}, (2, 10, 32, 48)),
        ({"height": 16, "width": 16}, (2, 10, 16, 16)),
        ({"head": "classification", "num_classes": 7}, (2, 7)),
    ],
)
def test_shapes(arguments, shape):
    network = make(**arguments)
    x = images(2, network.in_chans, network.grid.height, network.grid.width)
    assert network(x).shape == shape


@pytest.mark.parametrize("arguments", [{"head": "dense"}, {"head": "classification"}])
def test_every_parameter_gets_a_gradient(arguments):
    network = make(**arguments, drop_path=0.0).train()
    network(images(2, 3, 32, 48)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("out_indices", [None, (0,), (0, 1), (-1,)])
def test_every_parameter_of_the_features_gets_a_gradient(out_indices):
    network = make(head="features", out_indices=out_indices, drop_path=0.0).train()
    sum(x.square().sum() for x in network(images(2, 3, 32, 48))).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_the_decoder_sees_both_its_inputs():
    network = make(drop_path=0.0)
    network(images(2, 3, 32, 48)).square().sum().backward()
    expanded, skip = network.decoder[0].join.weight.grad.chunk(2, dim=1)
    assert expanded.any()
    assert skip.any()


def test_weights_start_as_in_healswin():
    network = make(embed_dim=32, mlp_ratio=3.0)
    block = network.stages[1].blocks[0]
    for linear in (block.attn.qkv, block.attn.cpb_mlp[0], block.mlp.fc1, network.decoder[0].join):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert linear.bias is None or not linear.bias.any()
    assert (block.norm1.weight == 1).all()
    assert block.mlp.fc1.weight.shape == (3 * 64, 64)


def test_the_state_dict_holds_parameters_only():
    network = make()
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
    assert any(name.endswith("attn_mask") for name, _ in network.named_buffers())


def test_samples_of_a_batch_do_not_meet():
    network, x = make().double(), images(3, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("head", ["dense", "classification"])
def test_without_shifts_a_turn_by_whole_windows_commutes(head):
    """Nothing knows where a window lies: no position, no border."""
    network = make(head=head, shift_size=0).double()
    x = images(1, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        out = network(x)
        for rows, columns in [(UNIT, 0), (0, UNIT), (UNIT, 2 * UNIT)]:
            turned = network(x.roll((rows, columns), dims=(2, 3)))
            expected = out.roll((rows, columns), dims=(2, 3)) if head == "dense" else out
            torch.testing.assert_close(turned, expected, rtol=0, atol=1e-10)


def test_shifts_join_windows_but_not_opposite_borders():
    network = make(head="features", depths=(2,), num_heads=(1,)).double()
    x = images(1, 3, 32, 48, dtype=torch.float64)
    changed = x.clone()
    changed[..., :2, :2] += 1  # one patch, in the corner of the image
    with torch.no_grad():
        moved = (network(x)[0] - network(changed)[0]).abs().amax(dim=(0, 1)) > 1e-9
    # The unshifted window of 4 x 4 tokens reaches the next shifted one, which ends with token 8.
    expected = torch.zeros(16, 24, dtype=torch.bool)
    expected[:5, :5] = True
    assert torch.equal(moved, expected)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (8, 48), (32, 8), (8, 8)])
def test_shifted_windows_are_their_twin(height, width):
    """Who attends to whom in a shifted block, against a loop over all pairs of tokens."""
    network = make(height, width, head="features", depths=(2,), num_heads=(1,)).double()
    block = network.stages[0].blocks[1]
    rows, columns = height // 2, width // 2
    x = images(1, rows, columns, 8, dtype=torch.float64)

    def window(token, count):
        """Number of the window: one shorter by the shift comes first, its complement last."""
        return 0 if count == 4 else (token + 4 - 1) // 4

    with torch.no_grad():
        before = block(x)
        for row, column in [(0, 0), (rows - 1, columns - 1), (rows // 2, 0), (1, columns // 2)]:
            changed = x.clone()
            changed[0, row, column] += images(8, dtype=torch.float64)
            moved = (block(changed) - before).abs().amax(dim=(0, 3)) > 1e-9
            for r in range(rows):
                for c in range(columns):
                    together = window(r, rows) == window(row, rows)
                    together &= window(c, columns) == window(column, columns)
                    assert moved[r, c] == together


@pytest.mark.parametrize("side", [1, 2, 3])
def test_children_stay_with_their_parent(side):
    expand = _PatchExpand(4, 5, side)
    x = images(2, 3, 4, 4)
    with torch.no_grad():
        out = expand(x)
        for row, column in np.ndindex(3 * side, 4 * side):
            child = row % side * side + column % side
            wide = expand.expand(x[:, row // side, column // side])
            expected = expand.norm(wide[:, 5 * child : 5 * (child + 1)])
            torch.testing.assert_close(out[:, row, column], expected)


def test_features_are_the_stages():
    network = make(head="features")
    x = images(2, 3, 32, 48)
    with torch.no_grad():
        features = network(x)
        assert [f.shape for f in features] == [(2, 8, 16, 24), (2, 16, 8, 12)]
        for feature, info in zip(features, network.feature_info, strict=True):
            assert feature.shape[1] == info["num_chs"]
            assert network.get_submodule(info["module"]).blocks[0].dim == info["num_chs"]
            assert 32 // feature.shape[2] == 48 // feature.shape[3] == info["reduction"]
        torch.testing.assert_close(network.forward_features(x).permute(0, 3, 1, 2), features[-1])


def test_features_of_some_stages():
    x = images(1, 3, 32, 32)
    three = {"depths": (1, 2, 1), "num_heads": (1, 2, 4), "window_size": 2}
    whole = make(32, 32, head="features", **three)
    with torch.no_grad():
        expected = whole(x)
        for chosen, stages in [((0,), 1), ((1,), 2), ((0, 1), 2), ((-3, -1), 3), ((0, 1, 2), 3)]:
            part = make(32, 32, head="features", out_indices=chosen, **three)
            assert len(part.stages) == stages
            part.load_state_dict(
                {n: p for n, p in whole.state_dict().items() if n in part.state_dict()}
            )
            assert [i["num_chs"] for i in part.feature_info] == [8 * 2 ** (i % 3) for i in chosen]
            for feature, i in zip(part(x), chosen, strict=True):
                torch.testing.assert_close(feature, expected[i])


def test_features_need_whole_windows_of_their_stages_only():
    with pytest.raises(ValueError, match="stage 1"):
        make(8, 24, head="features")
    assert make(8, 24, head="features", out_indices=(0,))(images(1, 3, 8, 24))[0].shape[2] == 4


@pytest.mark.parametrize("head", ["dense", "classification"])
def test_the_heads_share_the_encoder(head):
    features, network = make(head="features"), make(head=head, seed=5)
    missing = network.load_state_dict(features.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    x = images(1, 3, 32, 48)
    with torch.no_grad():
        tokens = network.forward_features(x)
        expected = network.norm(features.forward_features(x))
    assert tokens.shape == (1, 8, 12, 16)
    torch.testing.assert_close(tokens, expected)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(1, 8, 12), rtol=0, atol=1e-5)


def test_classification_is_linear_in_the_mean_token():
    network, x = make(head="classification"), images(2, 3, 32, 48)
    with torch.no_grad():
        mean = network.forward_features(x).flatten(1, 2).mean(1)
        expected = mean @ network.head.classes.weight.T + network.head.classes.bias
        torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("head", ["dense", "classification"])
def test_reset_classifier(head):
    network, x = make(head=head).double(), images(2, 3, 32, 48, dtype=torch.float64)
    before = {n: p.clone() for n, p in network.named_parameters() if "head.classes" not in n}
    network.reset_classifier(4)
    assert network.num_classes == 4
    assert network(x).shape[:2] == (2, 4)
    after = {n: p for n, p in network.named_parameters() if "head.classes" not in n}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert 0.01 < network.head.classes.weight.std() < 0.03
    with pytest.raises(ValueError, match="num_classes=0"):
        network.reset_classifier(0)
    with pytest.raises(ValueError, match="no classifier"):
        make(head="features").reset_classifier(4)


def test_weight_decay_is_for_matrices():
    network = make()
    spared = network.no_weight_decay()
    decayed = set(dict(network.named_parameters())) - spared
    last = {name.split(".")[-1] for name in decayed}
    assert last == {"weight"}
    assert "patch_embed.weight" in decayed
    assert "stages.0.blocks.1.attn.qkv.weight" in decayed
    for name in ("attn.logit_scale", "attn.q_bias", "attn.cpb_mlp.0.weight", "norm1.weight"):
        assert f"stages.0.blocks.1.{name}" in spared
    assert spared < set(dict(network.named_parameters()))


def test_checkpointed_blocks_have_the_same_gradients():
    x = images(2, 3, 32, 48)
    gradients = []
    for enable in (False, True):
        network = make(checkpoint_blocks=enable, drop_path=0.0).train()
        calls = []
        block = network.stages[1].blocks[1]
        block.mlp.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        network(x).square().mean().backward()
        assert len(calls) == 1 + enable
        gradients.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])
    network.set_grad_checkpointing(False)
    network(x).sum().backward()
    assert len(calls) == 3


def test_another_size_without_shifts_is_image_beside_image():
    network = make(16, 32, shift_size=0).double()
    first, second = images(2, 1, 3, 16, 32, dtype=torch.float64)
    with torch.no_grad():
        tall = network.with_grid(ImageGrid(32, 32))(torch.cat([first, second], dim=2))
        expected = torch.cat([network(first), network(second)], dim=2)
    torch.testing.assert_close(tall, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("head", ["dense", "classification", "features"])
@pytest.mark.parametrize("size", [(16, 16), (16, 64), (64, 16), (48, 32)])
def test_another_size_is_the_network_built_for_it(head, size):
    network, expected = make(head=head), make(*size, head=head, seed=9)
    expected.load_state_dict(network.state_dict())
    other = network.with_grid(ImageGrid(*size))
    assert other.grid == ImageGrid(*size)
    assert network.grid == ImageGrid(32, 48)
    x = images(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(other(x), expected(x))
        back = other.with_grid(network.grid)
        x = images(1, 3, 32, 48)
        torch.testing.assert_close(back(x), network(x))


def test_another_size_is_a_copy():
    network = make().double().train()
    other = network.with_grid(ImageGrid(16, 16))
    assert other.training
    assert {t.dtype for t in [*other.parameters(), *other.buffers()]} == {
        torch.float64,
        torch.int64,
    }
    with torch.no_grad():
        other.patch_embed.weight.zero_()
    assert network.patch_embed.weight.any()
    with pytest.raises(ValueError, match=r"ImageGrid\(640, 768\)"):
        network.with_grid(HealpixGrid(16))
    with pytest.raises(ValueError, match="height=40 is 10 tokens of stage 1"):
        network.with_grid(ImageGrid(40, 32))


def test_dropouts_act_in_training_only():
    rates = {"dropout": 0.2, "attention_dropout": 0.2, "drop_path": 0.2}
    network, x = make(**rates).train(), images(1, 3, 32, 48)
    tokens = []
    network.stages[0].register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))
        assert 0.15 < (tokens[0] == 0).double().mean() < 0.25
        network.eval()
        assert torch.equal(network(x), network(x))


def test_drop_path_rises_over_the_encoder_and_is_used_again():
    network = make(drop_path=0.3)
    rate = [getattr(b.drop_path1, "drop_prob", 0.0) for s in network.stages for b in s.blocks]
    assert rate == pytest.approx([0.0, 0.1, 0.2, 0.3])
    decoder = [getattr(b.drop_path2, "drop_prob", 0.0) for b in network.decoder[0].stage.blocks]
    assert decoder == pytest.approx(rate[:2])


def test_double_precision_agrees():
    network, x = make(), images(1, 3, 32, 48)
    with torch.no_grad():
        single, double = network(x), network.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=0, atol=1e-4)


def test_bfloat16_agrees_roughly_and_has_finite_gradients():
    network, x = make(), images(2, 3, 32, 48)
    with torch.no_grad():
        expected = network.forward_features(x)
    with torch.autocast("cpu", torch.bfloat16):
        features, out = network.forward_features(x), network(x)
    assert features.dtype == out.dtype == torch.bfloat16
    assert (features - expected).norm() < 0.1 * expected.norm()
    out.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("head", ["dense", "classification", "features"])
def test_export_with_any_batch(head):
    network = make(head=head)
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        network, (images(2, 3, 32, 48),), dynamic_shapes=({0: batch},), strict=False
    )
    x = images(3, 3, 32, 48, seed=4)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_are_whole(copied):
    network, x = make(), images(1, 3, 32, 48)
    twin = copied(network)
    with torch.no_grad():
        expected = network(x)
        network.patch_embed.weight.zero_()
        torch.testing.assert_close(twin(x), expected)
    assert twin.grid == network.grid


def test_repr_names_the_images_and_the_head():
    text = repr(make(head="classification"))
    assert "ImageGrid(height=32, width=48), in_chans=3, num_classes=10" in text
    assert "head='classification'" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 40}, "height=40 is 10 tokens of stage 1, .* 16, such as 32 or 48"),
        ({"height": 33}, r"height=33 is 16\.5 tokens of stage 0"),
        ({"width": 8}, "width=8 is 2 tokens of stage 1, .* multiple of 16, such as 16"),
        ({"window_size": 32}, "height=32 is 16 tokens of stage 0, .*windows of 32"),
        ({"height": 0}, "height=0 must be a whole number"),
        ({"width": 48.0}, r"width=48\.0 must be a whole number"),
        ({"num_heads": (3, 2)}, r"num_heads=\[3, 2\]: 3 must divide the 8 channels of stage 0"),
        ({"num_heads": (1, 0)}, "must be at least 1 each"),
        ({"num_heads": (1,)}, "one entry of at least 1 for every stage"),
        ({"depths": (), "num_heads": ()}, "one entry of at least 1 for every stage"),
        ({"depths": (0, 1)}, "one entry of at least 1 for every stage"),
        ({"shift_size": 4}, "shift_size=4 must be .* less than window_size=4"),
        ({"shift_size": -1}, "shift_size=-1"),
        ({"window_size": 0}, "window_size=0"),
        ({"patch_size": 1.5}, r"patch_size=1\.5"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"in_chans": 0}, "in_chans=0"),
        ({"embed_dim": 0}, "embed_dim=0"),
        ({"drop_path": 1.5}, r"drop_path=1\.5"),
        ({"dropout": -0.1}, r"dropout=-0\.1"),
        ({"mlp_ratio": 0.0}, r"mlp_ratio=0\.0"),
        ({"head": "depth"}, "head='depth' must be one of"),
        ({"out_indices": (0,)}, "is for head='features', not for head='dense'"),
        ({"head": "features", "out_indices": (2,)}, "2 stages from fine to coarse"),
        ({"head": "features", "out_indices": (-3,)}, "0 to 1, or -2 to -1"),
        ({"head": "features", "out_indices": (1, 0)}, "from fine to coarse"),
        ({"head": "features", "out_indices": (1, -1)}, "each once"),
        ({"head": "features", "out_indices": ()}, "must name some"),
        ({"head": "features", "out_indices": (0.5,)}, "must name some"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("shape", [(1, 3, 48, 32), (1, 1, 32, 48)])
def test_wrong_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, 3, 32, 48\) is needed"):
        make()(torch.zeros(shape))


def test_what_is_no_batch_of_images_is_refused():
    """Below forward, whose annotated shapes are checked here but not for users."""
    with pytest.raises(ValueError, match=r"x is torch\.uint8"):
        make()._encode(torch.zeros(1, 3, 32, 48, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"x has shape \(3, 32, 48\)"):
        make()._encode(torch.zeros(3, 32, 48))


def test_the_segmentation_task_trains_on_images():
    torch.manual_seed(0)
    task = SegmentationTask(
        grid=ImageGrid(16, 16).to_dict(),
        in_chans=3,
        class_names=["void", "road"],
        network=partial(SwinUNet, drop_path=0.0, **{**SMALL, "embed_dim": 16}),
        optimizer=partial(torch.optim.Adam, lr=5e-3),
    )
    task.log = lambda *_, **__: None
    semantic = (images(4, 4, 4) > 0).long().repeat_interleave(4, 1).repeat_interleave(4, 2)
    image = images(4, 3, 16, 16) + 2 * semantic[:, None]
    semantic[:, :2] = 255
    image, semantic = image.flatten(2), semantic.flatten(1)
    batch = {"image": image, "semantic": semantic, "sample": torch.arange(4)}
    optimizer = task.configure_optimizers()["optimizer"]
    task.train()
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        losses.append(task.training_step(batch, step))
        losses[-1].backward()
        optimizer.step()
    # The best of them: single steps of so large a rate may lead astray.
    assert min(losses) < 0.5 * losses[0]
    task.eval()
    with torch.no_grad():
        result = task.test_step(batch, 0)
    assert result["prediction"].shape == (4, 256)
    hits = (result["prediction"] == semantic)[semantic != 255].double().mean()
    assert task.test_scores.compute()["accuracy"] == pytest.approx(hits.item())
    assert torch.equal(task.predict_step(batch, 0)["prediction"], result["prediction"])
