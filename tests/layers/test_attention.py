import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from healswin.layers import PatchExpand, PatchMerge, WindowAttention, relative_position_index

DATA = Path(__file__).parents[1] / "data"


def attention_twin(layer, x, mask=None):
    """Windowed attention, one window, head and query at a time."""
    batch, tokens, channels = x.shape
    w, heads = layer.window_size, layer.num_heads
    width = channels // heads
    mixed = torch.zeros_like(x)
    q, k, v = functional.linear(x, layer.qkv.weight, layer.qkv.bias).split(channels, dim=-1)
    for b in range(batch):
        for window in range(tokens // w):
            inside = slice(window * w, (window + 1) * w)
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                keys, values = k[b, inside, part], v[b, inside, part]
                for i in range(w):
                    query = q[b, window * w + i, part]
                    if layer.logit_scale is None:
                        logits = keys @ query / math.sqrt(width)
                    else:
                        cosine = keys @ query / (keys.norm(dim=-1) * query.norm())
                        logits = cosine * min(layer.logit_scale[head].exp().item(), 100)
                    if layer.bias_table is not None:
                        index = relative_position_index(w)[i]
                        logits = logits + layer.bias_table[index, head]
                    if mask is not None:
                        logits = logits + mask[window, 0, i]
                    mixed[b, window * w + i, part] = logits.softmax(-1) @ values
    return functional.linear(mixed, layer.proj.weight, layer.proj.bias)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("bias", ["table", "none"])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_is_its_twin(cosine, bias, masked):
    torch.manual_seed(0)
    layer = WindowAttention(8, 2, 4, bias=bias, cosine=cosine).double()
    with torch.no_grad():
        if cosine:
            layer.logit_scale += torch.tensor([3.0, -1.0]).view(2, 1, 1)  # one above the limit
        if bias == "table":
            layer.bias_table.normal_()
        mask = None
        if masked:
            group = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 2, 2]])
            mask = -100.0 * (group[:, :, None] != group[:, None]).double()[:, None]
        x = torch.randn(2, 12, 8, dtype=torch.float64)
        torch.testing.assert_close(layer(x, mask), attention_twin(layer, x, mask))


def test_the_published_orientation_of_the_bias():
    golden = np.load(DATA / "unet_ring_v2.npz")
    assert json.loads(str(golden["meta"]))["window_size"] == 16
    index = golden["sd/layers.0.blocks.0.attn.relative_position_index"]
    np.testing.assert_array_equal(relative_position_index(16).numpy(), index)


@pytest.mark.parametrize("window", [4, 16, 64])
def test_bias_index_depends_on_the_offset_only(window):
    index = relative_position_index(window)
    side = math.isqrt(window)
    assert index.unique().numel() == (2 * side - 1) ** 2
    assert (index.diagonal() == index[0, 0]).all()
    centre = 2 * side * (side - 1)
    torch.testing.assert_close(index + index.T, torch.full_like(index, 2 * centre))


def test_masked_pairs_do_not_attend():
    torch.manual_seed(0)
    layer = WindowAttention(8, 2, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, 2:] = mask[..., 2:, :2] = -100
    x = torch.randn(1, 4, 8)
    changed = x.clone()
    changed[:, 2:] += 1
    with torch.no_grad():
        before, after = layer(x, mask), layer(changed, mask)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_merging_and_expanding_keep_children_together():
    torch.manual_seed(0)
    merge, expand = PatchMerge(6), PatchExpand(12, 6)
    x = torch.randn(2, 16, 6)
    changed = x.clone()
    changed[:, 4:8] += torch.randn(2, 4, 6)
    with torch.no_grad():
        before, after = expand(merge(x)), expand(merge(changed))
    assert before.shape == x.shape
    same = (before == after).all(dim=-1).all(dim=0)
    assert same.tolist() == [True] * 4 + [False] * 4 + [True] * 8
