"""HEAL-SWIN: a Swin transformer on the HEALPix grid, with a U-Net decoder for dense prediction.

Carlsson, Gerken, Linander, Spiess, Ohlsson, Petersson, Persson 2024, "HEAL-SWIN: A vision
transformer on the sphere", CVPR, arXiv 2307.07313. The file reads from top to bottom: encoder,
decoder, network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from timm.layers import trunc_normal_
from torch import Tensor, nn

from healswin.grid import HealpixGrid, window_side
from healswin.grid.healpix import is_power_of_four
from healswin.grid.shifts import Shift
from healswin.layers import BlockSettings, PatchEmbed, PatchExpand, PatchMerge, Stage
from healswin.layers.attention import Bias
from healswin.layers.block import NormPlacement
from healswin.models.registry import register_model


class HealSwinEncoder(nn.Module):
    """Patch embedding and the stages from fine to coarse.

    Args:
        patch_embed: From a map to tokens.
        stages: One after the other, from fine to coarse.
        dims: Channels of every stage.
        tokens: Number of tokens of the finest stage.
        dropout: Dropout after the embedding.
        absolute_position: Whether a learned value for every token is added to the embedding.
    """

    def __init__(
        self,
        patch_embed: PatchEmbed,
        stages: Sequence[Stage],
        dims: Sequence[int],
        tokens: int,
        dropout: float,
        absolute_position: bool,
    ) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.position: nn.Parameter | None = None
        if absolute_position:
            self.position = nn.Parameter(torch.zeros(1, tokens, dims[0]))
            trunc_normal_(self.position, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.stages = nn.ModuleList(stages)
        self.merges = nn.ModuleList(PatchMerge(dim) for dim in dims[:-1])
        self.norm = nn.LayerNorm(dims[-1])

    def forward(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> tuple[Float[Tensor, "batch tokens features"], list[Tensor]]:
        """Encode a map.

        Returns:
            Normalised tokens of the last stage, and the inputs of all stages from fine to coarse,
            stage i with shape (batch, N / 4^i, C 2^i).
        """
        x = self.patch_embed(x)
        if self.position is not None:
            x = x + self.position
        x = self.dropout(x)
        inputs = []
        for i, stage in enumerate(self.stages):
            inputs.append(x)
            x = stage(x)
            if i < len(self.merges):
                x = self.merges[i](x)
        return self.norm(x), inputs


class _UpStage(nn.Module):
    """Expand to the finer grid, join the skip connection, apply the blocks."""

    def __init__(self, dim: int, stage: Stage) -> None:
        super().__init__()
        self.expand = PatchExpand(2 * dim, dim)
        self.join = nn.Linear(2 * dim, dim)
        self.stage = stage

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.stage(self.join(torch.cat([self.expand(x), skip], dim=-1)))


class _DenseHead(nn.Module):
    """From the tokens of the finest stage to a value of every class at every pixel."""

    def __init__(self, dim: int, patch_size: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = PatchExpand(dim, dim, children=patch_size)
        self.classes = nn.Linear(dim, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.expand(self.norm(x))).transpose(1, 2)


class HealSwinUNet(nn.Module):
    """HEAL-SWIN for dense prediction: a map goes in, a map of the same grid comes out.

    Args:
        nside: Of the maps; a power of two.
        base_pixels: Faces that the maps cover.
        in_chans: Channels of the input.
        num_classes: Channels of the output.
        embed_dim: Channels C of the finest stage; stage i has C 2^i.
        depths: Blocks of every stage; the decoder repeats them.
        num_heads: Attention heads of every stage.
        patch_size: Pixels in a patch, a power of four.
        window_size: Tokens in a window, a power of four.
        windows: How every second block shifts its windows: "roll", "grid" or "ring".
        shift_size: How far; see `healswin.grid.window_shift`.
        bias: Relative position bias, "table" or "none".
        cosine: Cosine attention (Swin V2) instead of scaled products (V1).
        norm_placement: "post" (Swin V2) or "pre" (V1).
        absolute_position: Add a learned position embedding after the patch embedding.
        mlp_ratio: Hidden channels of the MLPs over the stage's.
        dropout: Dropout after the embedding, the attention and in the MLPs.
        attention_dropout: Dropout of the attention weights.
        drop_path: Largest probability of skipping a branch; rises linearly over the encoder's
            blocks, and the decoder's blocks have those of their encoder twins.

    Raises:
        ValueError: If lists differ in length, or patch, window or shift do not fit the grid; the
            message names the stage.
    """

    def __init__(
        self,
        nside: int,
        base_pixels: Sequence[int] = tuple(range(8)),
        in_chans: int = 3,
        num_classes: int = 10,
        *,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        patch_size: int = 4,
        window_size: int = 64,
        windows: Shift = "ring",
        shift_size: int = 4,
        bias: Bias = "table",
        cosine: bool = True,
        norm_placement: NormPlacement = "post",
        absolute_position: bool = False,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        if len(depths) != len(num_heads) or not depths or min(depths) < 1:
            raise ValueError(
                f"depths={list(depths)} and num_heads={list(num_heads)} must have one entry of at "
                "least 1 for every stage"
            )
        counts = {"in_chans": in_chans, "num_classes": num_classes, "embed_dim": embed_dim}
        for name, value in counts.items():
            if value != int(value) or value < 1:
                raise ValueError(f"{name}={value} must be a whole number of at least 1")
        if min(num_heads) < 1:
            raise ValueError(f"num_heads={list(num_heads)} must be at least 1 each")
        if mlp_ratio <= 0:
            raise ValueError(f"mlp_ratio={mlp_ratio} must be above 0")
        rates = {
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "drop_path": drop_path,
        }
        for name, rate in rates.items():
            if not 0 <= rate < 1:
                raise ValueError(f"{name}={rate} must lie in [0, 1)")
        if not is_power_of_four(patch_size):
            raise ValueError(f"patch_size={patch_size} must be a power of four: 1, 4, 16, 64")
        self.grid = HealpixGrid(nside, tuple(base_pixels))
        self.in_chans = in_chans
        self.num_classes = num_classes
        stages = len(depths)
        coarsest = window_side(patch_size) * 2 ** (stages - 1)
        if coarsest > nside:
            raise ValueError(
                f"nside={nside} is too small for patches of {patch_size} pixels and {stages} "
                f"stages: at least nside {coarsest} is needed"
            )
        settings = BlockSettings(
            window_size=window_size,
            bias=bias,
            cosine=cosine,
            norm_placement=norm_placement,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention_dropout=attention_dropout,
        )
        grids = [self.grid.coarsened(window_side(patch_size) * 2**i) for i in range(stages)]
        dims = [embed_dim * 2**i for i in range(stages)]
        all_rates = torch.linspace(0, drop_path, sum(depths), dtype=torch.float64).tolist()

        def stage(i: int) -> Stage:
            """Stage i of the encoder, or its twin in the decoder."""
            return Stage(
                grids[i],
                dims[i],
                num_heads[i],
                settings,
                windows=windows,
                shift_size=shift_size,
                drop_path=all_rates[sum(depths[:i]) : sum(depths[: i + 1])],
            )

        self.encoder = HealSwinEncoder(
            PatchEmbed(in_chans, embed_dim, patch_size),
            [stage(i) for i in range(stages)],
            dims,
            grids[0].num_pixels,
            dropout,
            absolute_position,
        )
        self.decoder = nn.ModuleList(
            _UpStage(dims[i], stage(i)) for i in reversed(range(stages - 1))
        )
        self.head = _DenseHead(embed_dim, patch_size, num_classes)
        self.apply(_initialise)

    def forward(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> Float[Tensor, "batch classes pixels"]:
        """Predict a map.

        Args:
            x: Map in the order of the grid.

        Raises:
            ValueError: If channels or pixels are not those the network was built for.
        """
        if x.ndim != 3 or x.shape[1:] != (self.in_chans, self.grid.num_pixels):
            raise ValueError(
                f"x has shape {tuple(x.shape)}, (batch, {self.in_chans}, {self.grid.num_pixels}) "
                f"is needed: nside {self.grid.nside}, base pixels {self.grid.base_pixels}"
            )
        x, inputs = self.encoder(x)
        for up, skip in zip(self.decoder, reversed(inputs[:-1]), strict=True):
            x = up(x, skip)
        return self.head(x)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register_model("healswin_unet_paper")
def healswin_unet_paper(
    nside: int, base_pixels: Sequence[int], in_chans: int, num_classes: int, **overrides: object
) -> HealSwinUNet:
    """The published segmentation network, 41.28 M parameters for 3 -> 10 channels."""
    settings = {"dropout": 0.1, "attention_dropout": 0.1, "drop_path": 0.1, **overrides}
    return HealSwinUNet(nside, base_pixels, in_chans, num_classes, **settings)
