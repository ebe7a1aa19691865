"""SWIN-UNet: the flat baseline of HEAL-SWIN, a Swin transformer on images with a U-Net decoder.

It is the network that HEAL-SWIN is compared with on the images of the same cameras (Carlsson et
al. 2024, arXiv 2307.07313, section 4): same depth, width and decoder, square windows of an image
in place of windows of the sphere. The U-Net is Swin-Unet's (Cao et al. 2021, arXiv 2105.05537). The
file reads from top to bottom: stage, merging and expanding, heads, network.

The blocks are timm's of Swin V2 (Liu et al. 2022, arXiv 2111.09883): cosine attention, norms after
the branches. Merging is timm's of Swin V1, which normalises before the linear layer, as HEAL-SWIN
does. Two things differ from the published flat network, which are timm's:

* the relative position bias is Swin V2's, 16 sigmoid(MLP(offset on a logarithmic scale)), in place
  of a table with a value for every offset; the number of parameters is the same to a quarter
  of a percent;
* keys have no bias, queries and values do.

Weights start as in HEAL-SWIN, truncated normal of 0.02, not as in timm's own Swin V2, whose norms
after the branches start at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Self, get_args

import torch
from jaxtyping import Float
from timm.models.swin_transformer import PatchMerging
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from healswin.grid import ImageGrid
from healswin.models.arguments import check_choice, check_count, check_rates, check_stages
from healswin.models.heads import (
    ClassificationHead,
    Head,
    initialise,
    stage_numbers,
    with_other_classes,
)
from healswin.models.registry import register_model, register_network


class _Stage(nn.Module):
    """Blocks at one resolution; every second one attends inside shifted windows.

    Args:
        grid: The grid whose pixels are the stage's tokens; holds whole windows.
        dim: Channels of the tokens.
        num_heads: Attention heads.
        window_size: Rows, and columns, of tokens in a window.
        shift_size: Tokens by which the shifted windows are shifted, down and to the right.
        mlp_ratio: Hidden channels of the MLP over the block's.
        dropout: Dropout in the MLP and after the attention.
        attention_dropout: Dropout of the attention weights.
        drop_path: One probability for each block; their number is the depth.
    """

    def __init__(
        self,
        grid: ImageGrid,
        dim: int,
        num_heads: int,
        *,
        window_size: int,
        shift_size: int,
        mlp_ratio: float,
        dropout: float,
        attention_dropout: float,
        drop_path: Sequence[float],
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift_size = shift_size
        self.checkpoint_blocks = False
        # always_partition: windows and shifts are those that fit() says, timm does not adapt them.
        self.blocks = nn.ModuleList(
            SwinTransformerV2Block(
                dim,
                (grid.height, grid.width),
                num_heads,
                window_size=window_size,
                shift_size=0,
                always_partition=True,
                mlp_ratio=mlp_ratio,
                proj_drop=dropout,
                attn_drop=attention_dropout,
                drop_path=rate,
            )
            for rate in drop_path
        )
        self.fit(grid)

    def fit(self, grid: ImageGrid) -> None:
        """Lay the windows over a grid; no parameter depends on it.

        Windows are not shifted along an axis of exactly one window: there is nothing to connect.
        """
        size = (grid.height, grid.width)
        shift = tuple(self.shift_size if tokens > self.window_size else 0 for tokens in size)
        for i, block in enumerate(self.blocks):
            block.input_resolution = size
            block.shift_size = shift if i % 2 else (0, 0)
            # A non-persistent buffer, as timm declares it; None without a shift.
            block.attn_mask = block.get_attn_mask(block.norm1.weight.new_empty(1, *size, 1))

    def forward(
        self, x: Float[Tensor, "batch rows columns channels"]
    ) -> Float[Tensor, "batch rows columns channels"]:
        """Apply the blocks, unshifted and shifted in turn."""
        for block in self.blocks:
            if self.checkpoint_blocks and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


class _PatchExpand(nn.Module):
    """A token becomes a square of tokens: a linear layer without bias, split, normalised.

    Args:
        dim: Channels of the parents.
        out_dim: Channels of the children.
        side: Rows, and columns, of children that a parent gets; they are split row by row.
    """

    def __init__(self, dim: int, out_dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.expand = nn.Linear(dim, side**2 * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(
        self, x: Float[Tensor, "batch rows columns channels"]
    ) -> Float[Tensor, "batch fine_rows fine_columns expanded"]:
        """(batch, rows, columns, dim) -> (batch, side rows, side columns, out_dim)."""
        batch, rows, columns, _ = x.shape
        side = self.side
        x = self.expand(x).reshape(batch, rows, columns, side, side, -1)
        return self.norm(x.transpose(2, 3).reshape(batch, rows * side, columns * side, -1))


class _UpStage(nn.Module):
    """Expand to the finer grid, join the skip connection, apply the blocks."""

    def __init__(self, dim: int, stage: _Stage) -> None:
        super().__init__()
        self.expand = _PatchExpand(2 * dim, dim, side=2)
        self.join = nn.Linear(2 * dim, dim)
        self.stage = stage

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.stage(self.join(torch.cat([self.expand(x), skip], dim=-1)))


class _DenseHead(nn.Module):
    """From the tokens of the finest stage to a value of every class at every pixel."""

    def __init__(self, dim: int, patch_size: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = _PatchExpand(dim, dim, side=patch_size)
        self.classes = nn.Linear(dim, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.expand(self.norm(x))).permute(0, 3, 1, 2)


class SwinUNet(nn.Module):
    """SWIN-UNet on images: the flat counterpart of HEAL-SWIN.

    Images are cut into patches, which are the tokens of the finest stage; every further stage has
    half the rows and columns and twice the channels. Height and width must be whole windows at
    every stage, i.e. multiples of patch_size 2^(stages - 1) window_size: padded tokens would
    take part in the attention. 640 x 768 fits the default values.

    Args:
        height: Rows of the images.
        width: Columns of the images.
        in_chans: Channels of the input.
        num_classes: Channels of the output; not used by "features".
        head: What comes out. "dense": a value of every class at every pixel, (batch, num_classes,
            height, width), through the decoder. "classification": (batch, num_classes) from the
            mean of the last tokens. "features": a list of the outputs of stages, as the backbone
            of a network of your own.
        out_indices: Stages whose outputs "features" gives, from fine to coarse; -1 is the
            last. Stages beyond them are not built. Default: all of them.
        embed_dim: Channels C of the finest stage; stage i has C 2^i.
        depths: Blocks of every stage; the decoder repeats them.
        num_heads: Attention heads of every stage.
        patch_size: Rows, and columns, of pixels in a patch.
        window_size: Rows, and columns, of tokens in a window.
        shift_size: Tokens by which every second block shifts its windows, down and to the right;
            0 shifts none. A stage is not shifted along an axis of exactly one window.
        mlp_ratio: Hidden channels of the MLPs over the stage's.
        dropout: Dropout after the embedding, the attention and in the MLPs.
        attention_dropout: Dropout of the attention weights.
        drop_path: Largest probability of skipping a branch; rises linearly over the encoder's
            blocks, and the decoder's blocks have those of their encoder twins.
        checkpoint_blocks: Recompute the blocks in the backward pass instead of keeping what they
            computed: less memory, more time, same gradients.

    Attributes:
        grid: Height and width of the images.
        feature_info: For each of the stages that "features" gives (all of them for other heads) a
            dict with timm's names: ``num_chs``, its channels, ``reduction``, the pixels along a
            side of one of its tokens, and ``module``, its name.

    Raises:
        ValueError: If lists differ in length, or height or width are no whole windows; the message
            names the stage and what fits.
    """

    def __init__(
        self,
        height: int,
        width: int,
        in_chans: int = 3,
        num_classes: int = 10,
        *,
        head: Head = "dense",
        out_indices: Sequence[int] | None = None,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        patch_size: int = 2,
        window_size: int = 8,
        shift_size: int = 2,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.1,
        checkpoint_blocks: bool = False,
    ) -> None:
        super().__init__()
        sizes = {
            "in_chans": in_chans,
            "num_classes": num_classes,
            "embed_dim": embed_dim,
            "patch_size": patch_size,
            "window_size": window_size,
        }
        for name, value in sizes.items():
            check_count(name, value)
        check_choice("head", head, get_args(Head))
        check_stages(embed_dim, depths, num_heads)
        rates = {
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "drop_path": drop_path,
        }
        check_rates(rates, mlp_ratio)
        if shift_size != int(shift_size) or not 0 <= shift_size < window_size:
            raise ValueError(
                f"shift_size={shift_size} must be a whole number of at least 0, less than "
                f"window_size={window_size}"
            )
        dims = [embed_dim * 2**i for i in range(len(depths))]

        self.head_name = head
        self.in_chans = in_chans
        self.num_classes = num_classes
        self.patch_size = patch_size
        self.window_size = window_size
        self.out_indices = stage_numbers(out_indices, head, len(depths))
        self.feature_info = [
            {"num_chs": dims[i], "reduction": patch_size * 2**i, "module": f"stages.{i}"}
            for i in self.out_indices
        ]
        stages = self.out_indices[-1] + 1
        self.num_features = dims[stages - 1]
        if isinstance(width, Sequence):
            raise ValueError(
                f"height={height} and width={width!r} are no image: maps of the sphere need "
                "another network, such as healswin.models.HealSwin, or data of resized images "
                "(healswin-prep convert --grid image)"
            )
        self.grid = ImageGrid(height, width)
        grids = self._stage_grids(self.grid, stages)
        # On the CPU even where the default device is "meta", for it must be read.
        all_rates = torch.linspace(
            0, drop_path, sum(depths), dtype=torch.float64, device="cpu"
        ).tolist()

        def stage(i: int) -> _Stage:
            """Stage i of the encoder, or its twin in the decoder."""
            return _Stage(
                grids[i],
                dims[i],
                num_heads[i],
                window_size=window_size,
                shift_size=shift_size,
                mlp_ratio=mlp_ratio,
                dropout=dropout,
                attention_dropout=attention_dropout,
                drop_path=all_rates[sum(depths[:i]) : sum(depths[: i + 1])],
            )

        self.patch_embed = nn.Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)
        self.dropout = nn.Dropout(dropout)
        self.stages = nn.ModuleList(stage(i) for i in range(stages))
        self.merges = nn.ModuleList(PatchMerging(dim) for dim in dims[: stages - 1])
        self.decoder = nn.ModuleList()
        if head == "dense":
            self.norm = nn.LayerNorm(self.num_features)
            self.decoder.extend(_UpStage(dims[i], stage(i)) for i in reversed(range(stages - 1)))
            self.head = _DenseHead(embed_dim, patch_size, num_classes)
        elif head == "classification":
            self.norm = nn.LayerNorm(self.num_features)
            self.head = ClassificationHead(self.num_features, num_classes)
        else:
            # As in timm's backbones: a parameter that no output depends on would get no gradient.
            self.norm = nn.Identity()
            self.head = nn.Identity()
        self.apply(initialise)
        self.set_grad_checkpointing(checkpoint_blocks)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> (
        Float[Tensor, "batch classes height width"] | Float[Tensor, "batch classes"] | list[Tensor]
    ):
        """What the head makes of an image.

        Args:
            x: Images.

        Returns:
            "dense": (batch, num_classes, height, width). "classification": (batch, num_classes).
            "features": the outputs of the stages `out_indices`, not normalised, stage i with shape
            (batch, C 2^i, height / (patch_size 2^i), width / (patch_size 2^i)).

        Raises:
            ValueError: If channels, height or width are not those the network was built for, or x
                holds whole numbers.
        """
        inputs, outputs = self._encode(x)
        if self.head_name == "features":
            return [outputs[i].permute(0, 3, 1, 2) for i in self.out_indices]
        x = self.norm(outputs[-1])
        # Without a dense head there is no decoder.
        for up, skip in zip(self.decoder, reversed(inputs[:-1]), strict=False):
            x = up(x, skip)
        return self.head(x)

    def forward_features(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch rows columns features"]:
        """Normalised tokens of the last stage; with "features" they are not normalised.

        Args:
            x: Images.

        Raises:
            ValueError: If channels, height or width are not those the network was built for, or x
                holds whole numbers.
        """
        return self.norm(self._encode(x)[1][-1])

    def _encode(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs and outputs of the stages, from fine to coarse, (batch, rows, columns, C 2^i)."""
        wanted = (self.in_chans, self.grid.height, self.grid.width)
        if x.ndim != 4 or x.shape[1:] != wanted:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, (batch, {', '.join(map(str, wanted))}) is needed; "
                "with_grid gives the same network for images of another size"
            )
        if not x.is_floating_point():
            raise ValueError(f"x is {x.dtype}, normalised floating-point images are needed")
        x = self.dropout(self.patch_embed(x).permute(0, 2, 3, 1))
        inputs, outputs = [], []
        for i, stage in enumerate(self.stages):
            inputs.append(x)
            outputs.append(stage(x))
            if i < len(self.merges):
                x = self.merges[i](outputs[-1])
        return inputs, outputs

    def with_grid(self, grid: ImageGrid) -> Self:
        """A copy of the network for images of another size, with the same weights.

        No parameter depends on the size: only the windows are laid anew.

        Args:
            grid: Height and width of the images.

        Raises:
            ValueError: If the grid is not one of images, or holds no whole windows at some stage.
        """
        grids = self._stage_grids(_as_image_grid(grid), len(self.stages))
        network = deepcopy(self)
        network.grid = grid
        for i, stage in enumerate(network.stages):
            stage.fit(grids[i])
        for i, up in enumerate(reversed(network.decoder)):
            up.stage.fit(grids[i])
        return network

    def reset_classifier(self, num_classes: int) -> None:
        """Give the head a new last layer with fresh weights, for other classes.

        Args:
            num_classes: Channels of the output.

        Raises:
            ValueError: If num_classes is not a whole number of at least 1, or there is no
                classifier.
        """
        with_other_classes(None if self.head_name == "features" else self.head, num_classes)
        self.num_classes = num_classes

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that weight decay should leave alone, as timm's optimizers ask.

        These are all vectors (biases and norms), and what sets logits: their scales, and the MLPs
        of the relative position bias.
        """
        return {
            name
            for name, parameter in self.named_parameters()
            if parameter.ndim <= 1 or "logit_scale" in name or "cpb_mlp" in name
        }

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass, or keep what they computed."""
        for module in self.modules():
            if isinstance(module, _Stage):
                module.checkpoint_blocks = enable

    def extra_repr(self) -> str:
        """What the parts do not tell."""
        return (
            f"{self.grid}, in_chans={self.in_chans}, num_classes={self.num_classes}, "
            f"head={self.head_name!r}"
        )

    def _stage_grids(self, grid: ImageGrid, stages: int) -> list[ImageGrid]:
        """The grids of the stages' tokens, if all of them hold whole windows."""
        coarsest = self.patch_size * 2 ** (stages - 1) * self.window_size
        for name, pixels in (("height", grid.height), ("width", grid.width)):
            for i in range(stages):
                token = self.patch_size * 2**i
                if pixels % (token * self.window_size):
                    below = pixels // coarsest * coarsest
                    fits = f"{below} or {below + coarsest}" if below else f"{coarsest}"
                    raise ValueError(
                        f"{name}={pixels} is {pixels / token:g} tokens of stage {i}, no whole "
                        f"number of windows of {self.window_size}: with {stages} stages of patches "
                        f"of {self.patch_size} pixels {name} must be a multiple of {coarsest}, "
                        f"such as {fits}"
                    )
        return [grid.coarsened(self.patch_size * 2**i) for i in range(stages)]


def _as_image_grid(grid: ImageGrid) -> ImageGrid:
    """The grid itself, if it is one of images.

    Raises:
        ValueError: If it is another grid.
    """
    if not isinstance(grid, ImageGrid):
        raise ValueError(
            f"grid={grid} is no grid of an image: a flat network needs one, such as "
            "ImageGrid(640, 768)"
        )
    return grid


register_network("swin_unet", SwinUNet, ImageGrid)


@register_model("swin_unet_paper")
def swin_unet_paper(
    grid: ImageGrid, in_chans: int, num_classes: int, **arguments: object
) -> SwinUNet:
    """The published flat baseline, 41.37 M parameters for 3 -> 10 channels, for 640 x 768 images.

    Carlsson et al. 2024, arXiv 2307.07313. What differs from it stands at the head of this file.

    Raises:
        ValueError: If the grid is not one of images, or an argument does not fit.
    """
    grid = _as_image_grid(grid)
    settings = {"dropout": 0.1, "attention_dropout": 0.1, "drop_path": 0.1, **arguments}
    return SwinUNet(grid.height, grid.width, in_chans, num_classes, **settings)
