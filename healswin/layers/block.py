"""The transformer block, and the stage of alternating unshifted and shifted blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from healswin.grid import HealpixGrid, WindowShift, window_count, window_shift
from healswin.grid.shifts import Shift
from healswin.layers.attention import Bias, WindowAttention

NormPlacement = Literal["post", "pre"]

# What is added to the logits of pairs that do not attend. Finite, as in Swin: a row in which every
# pair is masked still has a softmax. Published weights were trained with this value.
MASKED = -100.0


@dataclass(frozen=True)
class BlockSettings:
    """What all blocks of a network have in common.

    Args:
        window_size: Tokens in a window, a power of four.
        bias: Relative position bias, see `WindowAttention`.
        cosine: Cosine attention, see `WindowAttention`.
        norm_placement: "post" or "pre", see `Block`.
        mlp_ratio: Hidden channels of the MLP over the block's.
        dropout: Dropout in the MLP and after the attention.
        attention_dropout: Dropout of the attention weights.

    Raises:
        ValueError: If norm_placement is neither of the two.
    """

    window_size: int
    bias: Bias = "table"
    cosine: bool = True
    norm_placement: NormPlacement = "post"
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.norm_placement not in ("post", "pre"):
            raise ValueError(f"norm_placement={self.norm_placement!r} must be 'post' or 'pre'")


class Block(nn.Module):
    """Attention inside windows, then an MLP, both with residual connections.

    With "post" (Swin V2) the branches are normalised, x + drop_path(norm(f(x))); with "pre"
    (Swin V1) their inputs, x + drop_path(f(norm(x))).

    Args:
        dim: Channels of the tokens.
        num_heads: Attention heads.
        settings: What the blocks of the network have in common.
        drop_path: Probability that a sample skips a branch.
    """

    def __init__(
        self, dim: int, num_heads: int, settings: BlockSettings, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm_after = settings.norm_placement == "post"
        self.attn = WindowAttention(
            dim,
            num_heads,
            settings.window_size,
            bias=settings.bias,
            cosine=settings.cosine,
            dropout=settings.dropout,
            attention_dropout=settings.attention_dropout,
        )
        self.norm1 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden_features=int(dim * settings.mlp_ratio), drop=settings.dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], shift: ShiftTables | None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        """One block; with ``shift`` its windows are the shifted ones."""
        if self.norm_after:
            x = x + self.drop_path(self.norm1(self._attend(x, shift)))
            return x + self.drop_path(self.norm2(self.mlp(x)))
        x = x + self.drop_path(self._attend(self.norm1(x), shift))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, shift: ShiftTables | None) -> Tensor:
        if shift is None:
            return self.attn(x)
        regrouped = x.index_select(1, shift.gather)
        return self.attn(regrouped, shift.mask).index_select(1, shift.inverse)


class ShiftTables(nn.Module):
    """The tables of a window shift as buffers, shared by the shifted blocks of a stage.

    Args:
        shift: Gather index, groups and inverse.
        window_size: Tokens in a window.
    """

    gather: Int64[Tensor, " slots"]
    inverse: Int64[Tensor, " tokens"]
    mask: Float[Tensor, "windows 1 w w"] | None

    def __init__(self, shift: WindowShift, window_size: int) -> None:
        super().__init__()
        attends = torch.from_numpy(shift.attends(window_size))
        mask = torch.zeros(attends.shape).masked_fill(~attends, MASKED)[:, None]
        self.register_buffer("gather", torch.from_numpy(shift.gather), persistent=False)
        self.register_buffer("inverse", torch.from_numpy(shift.inverse), persistent=False)
        self.register_buffer("mask", None if attends.all() else mask, persistent=False)


class Stage(nn.Module):
    """Blocks at one resolution; every second one attends inside shifted windows.

    A stage of exactly one window is not shifted: there is nothing to connect.

    Args:
        grid: The grid whose pixels are the stage's tokens.
        dim: Channels of the tokens.
        num_heads: Attention heads.
        settings: What the blocks of the network have in common.
        windows: Shift strategy, see `healswin.grid.window_shift`.
        shift_size: How far the shifted windows are shifted.
        drop_path: One probability for each block; their number is the depth.

    Raises:
        ValueError: If the window does not fit the stage, or the strategy its base pixels.
    """

    def __init__(
        self,
        grid: HealpixGrid,
        dim: int,
        num_heads: int,
        settings: BlockSettings,
        *,
        windows: Shift,
        shift_size: int,
        drop_path: Sequence[float],
    ) -> None:
        super().__init__()
        window = settings.window_size
        self.shift: ShiftTables | None = None
        try:
            if window_count(grid.num_pixels, window) > 1:
                shift = window_shift(windows, grid, window, shift_size)
                if len(drop_path) > 1:
                    self.shift = ShiftTables(shift, window)
        except ValueError as error:
            raise ValueError(
                f"the stage with nside {grid.nside} and {grid.num_pixels} tokens: {error}"
            ) from None
        self.blocks = nn.ModuleList(
            Block(dim, num_heads, settings, drop_path=rate) for rate in drop_path
        )

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Apply the blocks, unshifted and shifted in turn."""
        for i, block in enumerate(self.blocks):
            x = block(x, self.shift if i % 2 else None)
        return x
