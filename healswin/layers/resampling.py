"""From one nside to another without a trace of the grid: means down, interpolation up.

`healswin.layers.patches` joins and splits children by position, as published; a network can then
tell the four children of a pixel apart, and with them directions and places. Here all children are
alike, and what goes down or up is filtered, so that a rotated map gives a rotated result.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from healswin.grid import CORNERS, EDGES, HealpixGrid, neighbours
from healswin.layers.gathers import WeightedSum

# Width of the interpolation in coarse pixel spacings: narrower, the parents show as steps; wider,
# children lose what the parents know.
_SIGMA = 0.6


def blur(grid: HealpixGrid) -> WeightedSum:
    """Mean over every pixel and its neighbours."""
    own = np.arange(grid.num_pixels)[:, None]
    return _mean(grid, np.concatenate([own, neighbours(grid)], axis=1))


def interpolation(coarse: HealpixGrid, fine: HealpixGrid) -> WeightedSum:
    """From a coarse grid to a fine one: Gaussian weights of the parent and its neighbours.

    The weights are exp(-d^2 / 2 sigma^2), d the distance in coarse pixel spacings and sigma 0.6,
    divided by their sum. By the structural measure (`benchmarks/structure.py`) it disturbs rotated
    maps less than spherical bilinear interpolation, whose four points change with every ring.
    """
    parents = np.arange(coarse.num_pixels).repeat((fine.nside // coarse.nside) ** 2)
    index = np.concatenate([parents[:, None], neighbours(coarse)[parents]], axis=1)
    offset = coarse.vectors()[index] - fine.vectors()[:, None]
    distance = (offset**2).sum(axis=-1) / coarse.pixel_spacing**2
    weight = np.exp(-distance / (2 * _SIGMA**2)) * (index >= 0)
    weight /= weight.sum(axis=1, keepdims=True)
    return WeightedSum(index, weight, coarse.num_pixels)


def _mean(grid: HealpixGrid, index: np.ndarray) -> WeightedSum:
    known = index >= 0
    weight = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return WeightedSum(index, weight, grid.num_pixels)


class MeanMerge(nn.Module):
    """Four children become their parent: blurred, normalised, averaged, C -> 2 C without bias.

    Args:
        grid: The grid of the children.
        dim: Channels C of the children.
    """

    def __init__(self, grid: HealpixGrid, dim: int) -> None:
        super().__init__()
        self.blur = blur(grid)
        self.norm = nn.LayerNorm(dim)
        self.reduction = nn.Linear(dim, 2 * dim, bias=False)

    def forward(
        self, x: Float[Tensor, "batch children channels"]
    ) -> Float[Tensor, "batch parents merged"]:
        """(batch, 4 n, C) -> (batch, n, 2 C)."""
        return self.reduction(self.norm(self.blur(x)).unflatten(1, (-1, 4)).mean(dim=2))


class MeanExpand(nn.Module):
    """From parents to children: a linear layer without bias, normalised, interpolated.

    Args:
        coarse: The grid of the parents.
        fine: The grid of the children.
        dim: Channels of the parents.
        out_dim: Channels of the children.
    """

    def __init__(self, coarse: HealpixGrid, fine: HealpixGrid, dim: int, out_dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)
        self.interpolate = interpolation(coarse, fine)

    def forward(
        self, x: Float[Tensor, "batch parents channels"]
    ) -> Float[Tensor, "batch children expanded"]:
        """(batch, n, C) -> (batch, children, out_dim)."""
        return self.interpolate(self.norm(self.expand(x)))


class RingStem(nn.Module):
    """Tokens from ring means: the pixel, its edge neighbours' mean, its corner neighbours' mean.

    They are embedded at full resolution into a few channels, which a head of full resolution can
    use again; the tokens are the means of the pixels of a patch.

    Args:
        grid: The grid of the maps.
        in_chans: Channels of the map.
        thin_dim: Channels at full resolution.
        embed_dim: Channels of the tokens.
        patch_size: Pixels in a patch, a power of four.
    """

    def __init__(
        self, grid: HealpixGrid, in_chans: int, thin_dim: int, embed_dim: int, patch_size: int
    ) -> None:
        super().__init__()
        around = neighbours(grid)
        self.patch_size = patch_size
        self.edges = _mean(grid, around[:, EDGES])
        self.corners = _mean(grid, around[:, CORNERS])
        self.rings = nn.Linear(3 * in_chans, thin_dim)
        self.act = nn.GELU()
        self.proj = nn.Linear(thin_dim, embed_dim)

    def forward(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> tuple[Float[Tensor, "batch tokens embed"], Float[Tensor, "batch pixels thin"]]:
        """Embed a map; returns the tokens, and the thin channels of every pixel."""
        x = x.transpose(1, 2)
        fine = self.act(self.rings(torch.cat([x, self.edges(x), self.corners(x)], dim=-1)))
        return self.proj(fine.unflatten(1, (-1, self.patch_size)).mean(dim=2)), fine
