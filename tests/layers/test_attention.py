import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from healswin.grid import HealpixGrid, discs, window_shift
from healswin.layers import Attention, BlockSettings, Stage, StagePlaces, relative_position_index

pytestmark = pytest.mark.usefixtures("double")

DATA = Path(__file__).parents[1] / "data"
SPHERE, FISHEYE = tuple(range(12)), tuple(range(8))
DIM, HEADS = 8, 2


@dataclass
class Partition:
    """Who attends to whom, as plain tables; -1 is an empty slot.

    Attributes:
        queries: (blocks, q) tokens.
        keys: (blocks, k) tokens.
        attends: (blocks, q, k).
        masked: What is added to the logits of pairs that do not attend.
    """

    queries: np.ndarray
    keys: np.ndarray
    attends: np.ndarray
    masked: float


def partitions(grid, windows, window):
    """The first and the second partition of a stage."""
    if windows == "disc":
        table = discs(grid)
        queries = np.arange(grid.num_pixels).reshape(-1, 16)
        return [Partition(queries, table.keys, table.inside, -math.inf)] * 2
    first = np.arange(grid.num_pixels).reshape(-1, window)
    everyone = np.ones((len(first), window, window), dtype=bool)
    shift = window_shift(windows, grid, window)
    second = shift.gather.reshape(-1, window)
    masked = -math.inf if windows == "vertex" else -100.0
    return [
        Partition(first, first, everyone, -math.inf),
        Partition(second, second, shift.attends(window), masked),
    ]


def angle_from_up(up, here, there):
    """Bearing by spherical trigonometry, counter-clockwise from ``up``; None without direction."""
    up = np.asarray(up, dtype=float) / np.linalg.norm(up)
    side = np.cross(up, [0.6, 0.8, 0.0] if abs(up[2]) > 0.5 else [0.0, 0.6, 0.8])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(up, side), up])
    (x1, y1, z1), (x2, y2, z2) = axes @ here, axes @ there
    if np.hypot(x1, y1) < 1e-6 or np.linalg.norm(here - there) < 1e-6:
        return None
    latitude1, latitude2 = np.arcsin(z1), np.arcsin(z2)
    east = np.arctan2(y2, x2) - np.arctan2(y1, x1)
    return -np.arctan2(
        np.sin(east) * np.cos(latitude2),
        np.cos(latitude1) * np.sin(latitude2)
        - np.sin(latitude1) * np.cos(latitude2) * np.cos(east),
    )


def bias_twin(attn, settings, grid, i, j, slots):
    """Position bias of one pair of pixels, one value for each head."""
    here, there = grid.vectors()[[i, j]]
    distance = math.log1p(np.linalg.norm(here - there) / grid.pixel_spacing)
    if settings.bias == "none":
        return torch.zeros(HEADS)
    if settings.bias == "table":
        (xi, yi), (xj, yj) = (coordinates(slot) for slot in slots)
        side = math.isqrt(settings.window_size)
        return attn.bias.table[(yi - yj + side - 1) * (2 * side - 1) + (xj - xi + side - 1)]
    if settings.bias in ("radial", "steered"):
        return attn.bias.mlp(torch.tensor([distance]))
    angle = angle_from_up(settings.up, here, there)
    waves = [0.0] * 4
    if angle is not None:
        waves = [math.cos(angle), math.cos(2 * angle), math.sin(angle), math.sin(2 * angle)]
    return attn.bias.mlp(torch.tensor([distance, *waves[: 4 if settings.chiral else 2]]))


def coordinates(slot):
    """x and y of a slot: its even and its odd bits."""
    bits = [slot >> k & 1 for k in range(20)]
    return tuple(sum(bit << k for k, bit in enumerate(bits[start::2])) for start in (0, 1))


def attention_twin(attn, settings, grid, partition, x, tangents):
    """One sample, block, head and query at a time; places are those on the sphere, not relative.

    Returns:
        The attended tokens and, if the block has charges, the tangent vectors.
    """
    place = torch.from_numpy(grid.vectors())
    a = grid.pixel_spacing
    width = DIM // HEADS
    mixed = torch.zeros_like(x)
    made = torch.zeros(*x.shape[:2], HEADS, 3)
    q, k, v = functional.linear(x, attn.qkv.weight, attn.qkv.bias).split(DIM, dim=-1)
    rows = zip(partition.queries, partition.keys, partition.attends, strict=True)
    for queries, keys, attends in rows:
        for slot, i in enumerate(queries):
            if i < 0:
                continue
            # A pair of weight exactly zero is left out, one of a large negative logit is not.
            seen = attends[slot] | (partition.masked > -math.inf)
            slots = np.flatnonzero(seen & (keys >= 0))
            js = keys[slots]
            extra = torch.tensor(np.where(attends[slot, slots], 0.0, partition.masked))
            biases = torch.stack(
                [
                    bias_twin(attn, settings, grid, i, j, (slot, s))
                    for s, j in zip(slots, js, strict=True)
                ]
            )
            for sample in range(len(x)):
                for head in range(HEADS):
                    part = slice(head * width, (head + 1) * width)
                    query, key = q[sample, i, part], k[sample, js, part]
                    if attn.logit_scale is None:
                        logits = key @ query / math.sqrt(width)
                    else:
                        cosine = key @ query / (key.norm(dim=-1) * query.norm())
                        logits = cosine * min(attn.logit_scale[head].exp().item(), 100)
                    logits = logits + biases[:, head] + extra
                    if tangents is not None:
                        u = tangents[sample, i, head]
                        direction = attn.along[head, 0, 0] * u
                        if settings.chiral:
                            cross = torch.linalg.cross(place[i], u)
                            direction = direction + attn.across[head, 0, 0] * cross
                        logits = logits + place[js] @ direction / a
                    weights = logits.softmax(-1)
                    mixed[sample, i, part] = weights @ v[sample, js, part]
                    if attn.charge is not None:
                        s = attn.charge(x[sample])[:, head]
                        u = (weights * (s[js] - s[i])) @ (place[js] - place[i]) / a
                        made[sample, i, head] = u - place[i] * (place[i] @ u)
    return attn.proj(mixed), None if attn.charge is None else made


def block_twin(block, settings, grid, partition, x, tangents):
    def mlp(x):
        return block.mlp.fc2(functional.gelu(block.mlp.fc1(x)))

    if settings.norm_placement == "post":
        mixed, made = attention_twin(block.attn, settings, grid, partition, x, tangents)
        x = x + block.norm1(mixed)
        return x + block.norm2(mlp(x)), made
    mixed, made = attention_twin(block.attn, settings, grid, partition, block.norm1(x), tangents)
    x = x + mixed
    return x + mlp(block.norm2(x)), made


def two_blocks(grid, settings):
    """A stage of two blocks with weights that leave nothing small."""
    torch.manual_seed(0)
    stage = Stage(StagePlaces(grid, settings), DIM, HEADS, settings, drop_path=[0.0, 0.0]).eval()
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.normal_(std=0.4)
        for block in stage.blocks:
            if settings.cosine:
                # One head above the limit of 100.
                block.attn.logit_scale.copy_(torch.tensor([5.5, 1.0]).view(2, 1, 1))
    return stage


def check_against_twin(grid, settings, batch=1):
    stage = two_blocks(grid, settings)
    twins = partitions(grid, settings.windows, settings.window_size)
    x = torch.randn(batch, grid.num_pixels, DIM)
    places = [stage.places.first, stage.places.second or stage.places.first]
    y, tangents = x, None
    with torch.no_grad():
        for block, place, partition in zip(stage.blocks, places, twins, strict=True):
            expected, made = block_twin(block, settings, grid, partition, y, tangents)
            fused, fused_made = block(y, place, tangents)
            with torch.enable_grad():
                written, written_made = block(y, place, tangents)
            torch.testing.assert_close(fused, expected, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(written, expected, rtol=1e-9, atol=1e-9)
            assert (fused_made is None) == (written_made is None) == (made is None)
            if made is not None:
                torch.testing.assert_close(fused_made, made, rtol=1e-9, atol=1e-9)
                torch.testing.assert_close(written_made, made, rtol=1e-9, atol=1e-9)
            y, tangents = expected, made
        torch.testing.assert_close(stage(x), y, rtol=1e-8, atol=1e-8)


PLACES = {
    # On the sphere 8 of the vertex windows have an empty quadrant; on a subset more.
    "vertex": (HealpixGrid(2), 4),
    "ring": (HealpixGrid(2, FISHEYE), 4),
    "disc": (HealpixGrid(4, (0, 7)), 16),
}
BIASES = ["none", "table", "frame", "radial", "steered"]


@pytest.mark.parametrize(
    ("windows", "bias"), [(w, b) for w in PLACES for b in BIASES if (w, b) != ("disc", "table")]
)
def test_blocks_are_their_twins(windows, bias):
    grid, window = PLACES[windows]
    check_against_twin(grid, BlockSettings(window, windows, bias=bias), batch=2)


@pytest.mark.parametrize(
    ("windows", "bias", "placement", "cosine"),
    [
        ("vertex", "table", "pre", True),
        ("ring", "none", "post", False),
        ("vertex", "steered", "pre", False),
        ("disc", "radial", "post", False),
        ("disc", "steered", "pre", True),
    ],
)
def test_norm_placement_and_scaled_products(windows, bias, placement, cosine):
    grid, window = PLACES[windows]
    check_against_twin(
        grid, BlockSettings(window, windows, bias=bias, norm_placement=placement, cosine=cosine)
    )


@pytest.mark.parametrize("windows", ["vertex", "disc"])
@pytest.mark.parametrize("bias", ["frame", "steered"])
def test_blocks_that_do_not_tell_left_from_right(windows, bias):
    grid, window = PLACES[windows]
    check_against_twin(grid, BlockSettings(window, windows, bias=bias, chiral=False))


@pytest.mark.parametrize("up", [(0.0, -1.0, 0.0), (0.3, 0.1, -2.0), (0.0, 0.0, -3.0)])
@pytest.mark.parametrize("windows", ["ring", "vertex", "disc"])
def test_bearings_are_taken_against_up(windows, up):
    grid, window = PLACES[windows]
    check_against_twin(grid, BlockSettings(window, windows, bias="frame", up=up))


@pytest.mark.parametrize(
    ("windows", "faces", "bias"),
    [("vertex", (1, 5, 10), "steered"), ("roll", (3, 8), "table"), ("grid", FISHEYE, "radial")],
)
def test_other_shifts_and_larger_windows(windows, faces, bias):
    check_against_twin(HealpixGrid(4, faces), BlockSettings(16, windows, bias=bias))


def changed_by(stage, grid, token):
    """Tokens that look different, in either path, after each block if one token is changed."""
    torch.manual_seed(1)
    x = torch.randn(1, grid.num_pixels, DIM)
    other = x.clone()
    other[:, token] += 1
    results = []
    for block, place in zip(
        stage.blocks, [stage.places.first, stage.places.second or stage.places.first], strict=True
    ):
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                before, after = block(x, place)[0], block(other, place)[0]
            results.append((before != after).any(dim=-1)[0].numpy())
    return results


@pytest.mark.parametrize("bias", ["none", "radial", "steered"])
@pytest.mark.parametrize("token", [0, 31, 77, 191])
def test_a_disc_is_all_a_token_sees(token, bias):
    """Exactly: what lies outside the disc has weight 0, whatever its value."""
    grid = HealpixGrid(4)
    stage = two_blocks(grid, BlockSettings(4, "disc", bias=bias, cosine=False))
    angle = np.arccos(np.clip(grid.vectors() @ grid.vectors()[token], -1, 1))
    near = angle <= 2.5 * grid.pixel_spacing + 1e-9
    for changed in changed_by(stage, grid, token):
        np.testing.assert_array_equal(changed, near)


@pytest.mark.parametrize("bias", ["none", "table", "steered"])
@pytest.mark.parametrize("faces", [SPHERE, (2, 6)])
@pytest.mark.parametrize("token", [0, 21, 31])
def test_a_vertex_window_is_all_a_token_sees(token, faces, bias):
    grid = HealpixGrid(4, faces)
    stage = two_blocks(grid, BlockSettings(4, "vertex", bias=bias, cosine=False))
    unshifted = np.arange(grid.num_pixels) // 4
    shifted = window_shift("vertex", grid, 4).inverse // 4
    results = changed_by(stage, grid, token)
    for changed, window in zip(results, [unshifted] * 2 + [shifted] * 2, strict=True):
        np.testing.assert_array_equal(changed, window == window[token])


@pytest.mark.parametrize(
    ("windows", "faces"), [("ring", FISHEYE), ("grid", FISHEYE), ("roll", (5, 9))]
)
def test_groups_of_published_shifts_do_not_attend_to_each_other(windows, faces):
    """Pairs at -100 have no weight that float64 could show, if the logits are small."""
    grid = HealpixGrid(4, faces)
    settings = BlockSettings(16, windows, cosine=False)
    torch.manual_seed(0)
    stage = Stage(StagePlaces(grid, settings), DIM, HEADS, settings, drop_path=[0.0, 0.0]).eval()
    shift = window_shift(windows, grid, 16)
    window, group = shift.inverse // 16, shift.group[shift.inverse]
    # A token whose window is split between groups.
    split = [t for t in range(grid.num_pixels) if len(set(group[window == window[t]])) > 1]
    for token in (split[0], split[-1]):
        expected = (window == window[token]) & (group == group[token])
        assert expected.sum() < (window == window[token]).sum()
        for changed in changed_by(stage, grid, token)[2:]:
            np.testing.assert_array_equal(changed, expected)


def test_tangents_are_tangent_and_need_differences():
    """Vectors have no radial part, and none are made of equal charges."""
    grid = HealpixGrid(4)
    stage = two_blocks(grid, BlockSettings(16, "disc", bias="steered"))
    block, normal = stage.blocks[0], torch.from_numpy(grid.vectors())
    x = torch.randn(1, grid.num_pixels, DIM)
    with torch.no_grad():
        _, tangents = block(x, stage.places.first)
        assert tangents.norm(dim=-1).max() > 0.1
        radial = torch.einsum("bthc,tc->bth", tangents, normal)
        torch.testing.assert_close(radial, torch.zeros_like(radial))
        block.attn.charge.weight.zero_()
        _, tangents = block(x, stage.places.first)
    torch.testing.assert_close(tangents, torch.zeros_like(tangents))


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="num_heads=3 must divide the 8 channels"):
        Attention(8, 3, 16)


def test_the_table_needs_a_square_window():
    with pytest.raises(ValueError, match="window=8 must be a power of four"):
        Attention(8, 2, 8)


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
