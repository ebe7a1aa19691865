"""Patch embedding, merging and expanding: from one nside to another by reshapes.

HEAL-SWIN (Carlsson et al. 2024, arXiv 2307.07313, section 3): patches and the four children of a
pixel are consecutive in NESTED order.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from healswin.grid import window_side


class PatchEmbed(nn.Module):
    """Linear embedding of patches of consecutive nested pixels.

    Args:
        in_chans: Channels of the map.
        embed_dim: Channels of the tokens.
        patch_size: Pixels in a patch, a power of four.

    Raises:
        ValueError: If patch_size is no power of four.
    """

    def __init__(self, in_chans: int, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        window_side(patch_size)
        self.proj = nn.Conv1d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> Float[Tensor, "batch tokens embed"]:
        """Embed a map into pixels / patch_size tokens."""
        return self.proj(x).transpose(1, 2)


class PatchMerge(nn.Module):
    """Four children become their parent: concatenated, normalised, 4 C -> 2 C without bias.

    Args:
        dim: Channels C of the children.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(
        self, x: Float[Tensor, "batch children channels"]
    ) -> Float[Tensor, "batch parents merged"]:
        """(batch, 4 n, C) -> (batch, n, 2 C)."""
        return self.reduction(self.norm(x.unflatten(1, (-1, 4)).flatten(2)))


class PatchExpand(nn.Module):
    """A pixel becomes its children: a linear layer without bias, split, normalised.

    Args:
        dim: Channels C of the parents.
        out_dim: Channels of the children.
        children: How many children a parent gets; 4 between stages, the patch size at the end.
    """

    def __init__(self, dim: int, out_dim: int, children: int = 4) -> None:
        super().__init__()
        self.children_per_parent = children
        self.expand = nn.Linear(dim, children * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(
        self, x: Float[Tensor, "batch parents channels"]
    ) -> Float[Tensor, "batch children expanded"]:
        """(batch, n, C) -> (batch, children n, out_dim)."""
        children = self.expand(x).unflatten(-1, (self.children_per_parent, -1)).flatten(1, 2)
        return self.norm(children)
