"""The HEAL-SWIN U-Net written out plainly: the other side of `benchmarks/model.py`.

What a straightforward implementation does: every shifted block gathers its tokens, cuts windows,
writes the softmax attention out, adds a mask to every window whether it needs one or not, and
gathers back. Sizes and parameter names are those of `HealSwin`, so that its weights load here and
both sides give the same output (`benchmarks/model.py` compares them before it measures).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from healswin.grid import HealpixGrid, window_shift
from healswin.layers import relative_position_index


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        side = math.isqrt(window)
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.bias = nn.Module()
        self.bias.table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.register_buffer("index", relative_position_index(window).flatten(), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        windows, w, dim = x.shape
        qkv = self.qkv(x).reshape(windows, w, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        logits = functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-1).mT
        logits = logits * self.logit_scale.clamp(max=math.log(100.0)).exp()
        bias = self.bias.table[self.index].view(w, w, -1).permute(2, 0, 1).contiguous()
        logits = logits + bias
        if mask is not None:
            count = mask.shape[0]
            logits = logits.view(windows // count, count, self.heads, w, w) + mask[None, :, None]
            logits = logits.view(windows, self.heads, w, w)
        x = (logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(windows, w, dim)
        return self.proj(x)


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, grid: HealpixGrid, dim: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.attn, self.mlp = Attention(dim, heads, window), Mlp(dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.window, self.shifted = window, shifted
        if shifted:
            shift = window_shift("ring", grid, window, math.isqrt(window) // 2)
            mask = torch.zeros(shift.attends(window).shape)
            mask[~torch.from_numpy(shift.attends(window))] = -100.0
            self.register_buffer("mask", mask, persistent=False)
            self.register_buffer("gather", torch.from_numpy(shift.gather), persistent=False)
            self.register_buffer("inverse", torch.from_numpy(shift.inverse), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        shortcut = x
        if self.shifted:
            x = x[:, self.gather]
        x = x.reshape(-1, self.window, dim)
        x = self.attn(x, self.mask if self.shifted else None).reshape(batch, tokens, dim)
        if self.shifted:
            x = x[:, self.inverse]
        x = shortcut + self.norm1(x)
        return x + self.norm2(self.mlp(x))


class Stage(nn.Module):
    def __init__(self, grid: HealpixGrid, dim: int, heads: int, window: int, depth: int) -> None:
        super().__init__()
        shifts = grid.num_pixels > window
        self.blocks = nn.ModuleList(
            Block(grid, dim, heads, window, shifts and i % 2 == 1) for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Merge(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        return self.reduction(self.norm(x.reshape(batch, tokens // 4, 4 * dim)))


class Expand(nn.Module):
    def __init__(self, dim: int, out: int, children: int) -> None:
        super().__init__()
        self.children_per_parent = children
        self.expand, self.norm = nn.Linear(dim, children * out, bias=False), nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        return self.norm(self.expand(x).reshape(batch, tokens * self.children_per_parent, -1))


class PatchEmbed(nn.Module):
    def __init__(self, in_chans: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv1d(in_chans, dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).transpose(1, 2)


class Encoder(nn.Module):
    def __init__(self, stages, dims, in_chans: int, patch: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(in_chans, dims[0], patch)
        self.stages = nn.ModuleList(stages)
        self.merges = nn.ModuleList(Merge(dim) for dim in dims[:-1])
        self.norm = nn.LayerNorm(dims[-1])


class Up(nn.Module):
    def __init__(self, dim: int, stage: Stage) -> None:
        super().__init__()
        self.expand, self.join, self.stage = Expand(2 * dim, dim, 4), nn.Linear(2 * dim, dim), stage


class Head(nn.Module):
    def __init__(self, dim: int, patch: int, num_classes: int) -> None:
        super().__init__()
        self.norm, self.expand = nn.LayerNorm(dim), Expand(dim, dim, patch)
        self.classes = nn.Linear(dim, num_classes, bias=False)


class PlainTwin(nn.Module):
    """HEAL-SWIN as published, ring shift, cosine attention, post-norm; no dropout."""

    def __init__(
        self,
        nside: int,
        base_pixels,
        in_chans: int = 3,
        num_classes: int = 10,
        *,
        embed_dim: int = 96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        patch_size: int = 4,
        window_size: int = 64,
    ) -> None:
        super().__init__()
        grid = HealpixGrid(nside, base_pixels)
        patch_side = math.isqrt(patch_size)
        dims = [embed_dim * 2**i for i in range(len(depths))]

        def stage(i: int) -> Stage:
            return Stage(
                grid.coarsened(patch_side * 2**i), dims[i], num_heads[i], window_size, depths[i]
            )

        self.encoder = Encoder([stage(i) for i in range(len(depths))], dims, in_chans, patch_size)
        self.decoder = nn.ModuleList(Up(dims[i], stage(i)) for i in reversed(range(len(dims) - 1)))
        self.head = Head(embed_dim, patch_size, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder.patch_embed(x)
        skips = []
        for i, stage in enumerate(self.encoder.stages):
            skips.append(x)
            x = stage(x)
            if i < len(self.encoder.merges):
                x = self.encoder.merges[i](x)
        x = self.encoder.norm(x)
        for up, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = up.stage(up.join(torch.cat([up.expand(x), skip], dim=-1)))
        return self.head.classes(self.head.expand(self.head.norm(x))).transpose(1, 2)
