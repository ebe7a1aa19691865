"""Multi-head attention inside windows."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from timm.layers import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional

from healswin.grid import window_coordinates, window_side

Bias = Literal["none", "table"]

# Swin V2 (Liu et al. 2022, arXiv 2111.09883, section 3.2): temperatures are at least 1 / 100 and
# start at 1 / 10; their logarithms are learned.
_LOG_LARGEST_SCALE = math.log(100.0)
_LOG_FIRST_SCALE = math.log(10.0)


class WindowAttention(nn.Module):
    """Self-attention among the tokens of each window.

    Args:
        dim: Channels of the tokens.
        num_heads: Heads; divides dim.
        window_size: Tokens in a window, a power of four.
        bias: "table" adds a learned value for each head and each offset inside the window, "none"
            adds nothing.
        cosine: Cosine attention of Swin V2; otherwise the logits are q k / sqrt(head width).
        dropout: Dropout of the output.
        attention_dropout: Dropout of the attention weights.

    Raises:
        ValueError: If num_heads does not divide dim or window_size is no power of four.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        *,
        bias: Bias = "table",
        cosine: bool = True,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide the {dim} channels")
        if bias not in ("none", "table"):
            raise ValueError(f"bias={bias!r} must be 'none' or 'table'")
        side = window_side(window_size)
        self.num_heads = num_heads
        self.window_size = window_size
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_dropout = nn.Dropout(dropout)
        self.attention_dropout = attention_dropout
        self.logit_scale = (
            nn.Parameter(torch.full((num_heads, 1, 1), _LOG_FIRST_SCALE)) if cosine else None
        )
        self.bias_table: nn.Parameter | None = None
        if bias == "table":
            self.bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, num_heads))
            trunc_normal_(self.bias_table, std=0.02)
            index = relative_position_index(window_size).flatten()
            self.register_buffer("bias_index", index, persistent=False)

    def bias(self) -> Float[Tensor, "heads w w"] | None:
        """The learned bias of every pair of tokens of a window."""
        if self.bias_table is None:
            return None
        pairs = self.bias_table[self.bias_index]
        return pairs.view(self.window_size, self.window_size, self.num_heads).permute(2, 0, 1)

    def forward(
        self,
        x: Float[Tensor, "batch tokens channels"],
        mask: Float[Tensor, "windows 1 w w"] | None = None,
    ) -> Float[Tensor, "batch tokens channels"]:
        """Attend inside windows of consecutive tokens.

        Args:
            x: Tokens, windows one after the other.
            mask: Added to the logits of each window: 0 for pairs that attend, -100 otherwise.
        """
        batch, tokens, channels = x.shape
        windows = tokens // self.window_size
        qkv = self.qkv(x).view(batch, windows, self.window_size, 3, self.num_heads, -1)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)  # (batch, windows, heads, w, width)
        if self.logit_scale is None:
            q = q * q.shape[-1] ** -0.5
        else:
            scale = self.logit_scale.clamp(max=_LOG_LARGEST_SCALE).exp()
            q = functional.normalize(q, dim=-1) * scale.to(q.dtype)
            k = functional.normalize(k, dim=-1)
        logits = q @ k.transpose(-2, -1)
        bias = self.bias()
        if bias is not None:
            logits = logits + bias
        if mask is not None:
            logits = logits + mask
        weights = functional.dropout(logits.softmax(-1), self.attention_dropout, self.training)
        mixed = (weights.to(v.dtype) @ v).transpose(2, 3).reshape(batch, tokens, channels)
        return self.proj_dropout(self.proj(mixed))


def relative_position_index(window_size: int) -> Int64[Tensor, "w w"]:
    """Row of the bias table for every pair of tokens of a window, in nested order.

    The table is indexed by Cartesian offsets inside the window, in the published orientation: rows
    count along y, columns against x, and pair (i, j) has the index
    (row_i - row_j + s - 1) (2 s - 1) + (column_i - column_j + s - 1).
    """
    side = window_side(window_size)
    x, y = (torch.from_numpy(axis) for axis in window_coordinates(window_size))
    row, column = y, side - 1 - x
    row_offset = row[:, None] - row[None, :] + side - 1
    column_offset = column[:, None] - column[None, :] + side - 1
    return row_offset * (2 * side - 1) + column_offset
