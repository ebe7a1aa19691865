"""Position biases: what is added to the logit of a pair, for each head, because of where it lies.

* `TableBias`: a learned value for each Cartesian offset inside a window (the published models).
* `RadialBias`: a learned function of the distance.
* `FrameBias`: a learned function of distance and bearing against a reference vector.

The last two know no window and no grid: their weights serve any nside.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from timm.layers import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional

from healswin.grid import window_coordinates, window_side
from healswin.layers.neighbourhoods import Neighbourhoods

Bias = Literal["none", "table", "frame", "radial", "steered"]

# Hidden units of the learned functions. Swin V2's has 512 for a few hundred offsets; here every
# pair of a stage goes through it.
_HIDDEN = 16


class TableBias(nn.Module):
    """A learned value for every head and every offset inside a window.

    Args:
        num_heads: Heads.
        window_size: Tokens in a window, a power of four.
    """

    index: Int64[Tensor, " pairs"]

    def __init__(self, num_heads: int, window_size: int) -> None:
        super().__init__()
        side = window_side(window_size)
        self.window_size = window_size
        self.table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, num_heads))
        trunc_normal_(self.table, std=0.02)
        index = relative_position_index(window_size).flatten()
        self.register_buffer("index", index, persistent=False)

    def forward(self, places: Neighbourhoods) -> Float[Tensor, "1 heads w w"]:
        """The bias of every pair of tokens of a window, the same for all windows."""
        pairs = self.table[self.index].view(self.window_size, self.window_size, -1)
        return pairs.permute(2, 0, 1)[None]


class RadialBias(nn.Module):
    """b_h(i, j) = MLP_h(log(1 + |p_i - p_j| / a)), a the pixel spacing.

    Distances know no direction and no place. It is computed once for each distinct distance.

    Args:
        num_heads: Heads.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.mlp = _function(1, num_heads)

    def forward(self, places: Neighbourhoods) -> Float[Tensor, "classes heads q k"]:
        """The bias of every pair, for each class of blocks."""
        values = self.mlp(places.distance)
        return functional.embedding(places.distance_index, values).permute(0, 3, 1, 2)


class FrameBias(nn.Module):
    """MLP_h(log(1 + |p_i - p_j| / a), cos b, sin b, cos 2b, sin 2b), b the bearing of j from i.

    The bearing is taken against the direction to a reference vector: the pole for maps of the sky
    or the earth, "up" for images. Exact under the rotations that keep the vector; without the
    sines (``chiral=False``) under the reflections that keep it, too.

    Args:
        num_heads: Heads.
        chiral: Whether left and right of the reference direction are told apart.
    """

    def __init__(self, num_heads: int, chiral: bool = True) -> None:
        super().__init__()
        self.chiral = chiral
        self.mlp = _function(5 if chiral else 3, num_heads)

    def forward(self, places: Neighbourhoods) -> Float[Tensor, "classes heads q k"]:
        """The bias of every pair, for each class of blocks."""
        distance, cos, sin = places.bearing.unbind(-1)
        features = [distance, cos, cos * cos - sin * sin]
        if self.chiral:
            features += [sin, 2 * cos * sin]
        return self.mlp(torch.stack(features, dim=-1)).permute(0, 3, 1, 2)


def make_bias(bias: Bias, num_heads: int, window_size: int, chiral: bool) -> nn.Module | None:
    """The module of a bias; "steered" has the radial one beside what the attention adds."""
    if bias == "table":
        return TableBias(num_heads, window_size)
    if bias in ("radial", "steered"):
        return RadialBias(num_heads)
    return FrameBias(num_heads, chiral) if bias == "frame" else None


def _function(features: int, num_heads: int) -> nn.Sequential:
    # No last bias: softmax takes no notice of what is added to all logits of a row.
    last = nn.Linear(_HIDDEN, num_heads, bias=False)
    return nn.Sequential(nn.Linear(features, _HIDDEN), nn.GELU(), last)


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
