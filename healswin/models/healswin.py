"""HEAL-SWIN: a Swin transformer on the HEALPix grid.

Carlsson, Gerken, Linander, Spiess, Ohlsson, Petersson, Persson 2024, "HEAL-SWIN: A vision
transformer on the sphere", CVPR, arXiv 2307.07313. The file reads from top to bottom: encoder,
decoder, heads, network, named configurations. The published network, the presets with vertex
windows and the rotation-robust family are the same class with other arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import torch
from jaxtyping import Float
from timm.layers import trunc_normal_
from torch import Tensor, nn

from healswin.grid import HealpixGrid, window_side
from healswin.grid.healpix import is_power_of_four
from healswin.layers import (
    BlockSettings,
    MeanExpand,
    MeanMerge,
    PatchEmbed,
    PatchExpand,
    PatchMerge,
    RingStem,
    Stage,
    StagePlaces,
    in_runs,
    interpolation,
)
from healswin.layers.bias import Bias, FrameBias, RadialBias, TableBias
from healswin.layers.block import NormPlacement, Windows
from healswin.models.arguments import check_choice, check_count, check_rates, check_stages
from healswin.models.heads import (
    ClassificationHead,
    Head,
    initialise,
    stage_numbers,
    with_other_classes,
)
from healswin.models.registry import register_model, register_network

Stem = Literal["patches", "rings"]
Resampling = Literal["published", "mean"]

# Channels at full resolution, as a part of those of the finest stage.
_THIN = 4


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of a map.

    Attributes:
        tokens: (batch, N / 4^last, C 2^last), the last stage's output, normalised.
        inputs: The inputs of all stages from fine to coarse, (batch, N / 4^i, C 2^i).
        outputs: Their outputs, the last one normalised.
        fine: (batch, pixels, C / 4), the stem's channels at full resolution; with "rings" only.
    """

    tokens: Float[Tensor, "batch tokens features"]
    inputs: list[Tensor]
    outputs: list[Tensor]
    fine: Float[Tensor, "batch pixels thin"] | None


class HealSwinEncoder(nn.Module):
    """Stem and stages from fine to coarse.

    Args:
        stem: From a map to tokens, and for `RingStem` to thin channels of every pixel.
        stages: One after the other, from fine to coarse.
        merges: Between the stages.
        dims: Channels of every stage.
        tokens: Number of tokens of the finest stage.
        dropout: Dropout after the embedding.
        absolute_position: Whether a learned value for every token is added to the embedding.
        norm: Whether the output of the last stage is normalised.
    """

    def __init__(
        self,
        stem: PatchEmbed | RingStem,
        stages: Sequence[Stage],
        merges: Sequence[PatchMerge | MeanMerge],
        dims: Sequence[int],
        tokens: int,
        dropout: float,
        absolute_position: bool,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.patch_embed = stem
        self.position: nn.Parameter | None = None
        if absolute_position:
            self.position = nn.Parameter(torch.zeros(1, tokens, dims[0]))
            trunc_normal_(self.position, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.stages = nn.ModuleList(stages)
        self.merges = nn.ModuleList(merges)
        self.norm = nn.LayerNorm(dims[-1]) if norm else nn.Identity()

    def forward(self, x: Float[Tensor, "batch channels pixels"]) -> Encoded:
        """Encode a map."""
        embedded = self.patch_embed(x)
        x, fine = embedded if isinstance(embedded, tuple) else (embedded, None)
        if self.position is not None:
            x = x + self.position
        x = self.dropout(x)
        inputs, outputs = [], []
        for i, stage in enumerate(self.stages):
            inputs.append(x)
            x = stage(x)
            outputs.append(x)
            if i < len(self.merges):
                x = self.merges[i](x)
        outputs[-1] = self.norm(x)
        return Encoded(outputs[-1], inputs, outputs, fine)


class _UpStage(nn.Module):
    """Expand to the finer grid, join the skip connection, apply the blocks."""

    def __init__(self, dim: int, expand: PatchExpand | MeanExpand, stage: Stage) -> None:
        super().__init__()
        self.expand = expand
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

    def forward(self, x: Tensor, fine: Tensor | None) -> Tensor:
        children = self.expand.children_per_parent
        scores = in_runs(lambda run: self.classes(self.expand(self.norm(run))), x, children)
        return scores.transpose(1, 2)


class _ThinHead(nn.Module):
    """Interpolated to full resolution in few channels, joined with the stem's, then classified."""

    def __init__(
        self,
        tokens: HealpixGrid,
        pixels: HealpixGrid,
        dim: int,
        thin: int,
        joins: bool,
        classes: int,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.reduce = nn.Linear(dim, thin)
        self.interpolate = interpolation(tokens, pixels)
        self.join = nn.Linear(2 * thin if joins else thin, 2 * thin)
        self.act = nn.GELU()
        self.classes = nn.Linear(2 * thin, classes, bias=False)

    def forward(self, x: Tensor, fine: Tensor | None) -> Tensor:
        x = self.interpolate(self.reduce(self.norm(x)))
        if fine is not None:
            x = torch.cat([x, fine], dim=-1)
        scores = in_runs(lambda run: self.classes(self.act(self.join(run))), x)
        return scores.transpose(1, 2)


class HealSwin(nn.Module):
    """HEAL-SWIN: a map goes in; a map of the same grid, a class or features come out.

    The defaults are those of the published network. Every part can be chosen on its own.

    Args:
        nside: Of the maps; a power of two.
        base_pixels: Faces that the maps cover.
        in_chans: Channels of the input.
        num_classes: Channels of the output.
        head: "dense": (batch, num_classes, pixels), through a U-Net decoder. "classification":
            (batch, num_classes), from the mean of the last tokens. "features": a list of maps
            (batch, C 2^i, pixels / patch_size / 4^i), the outputs of the stages, that of the
            network's last stage normalised.
        out_indices: Stages whose features are wanted, negative ones count from the last; default
            all. Later stages are not built.
        embed_dim: Channels C of the finest stage; stage i has C 2^i.
        depths: Blocks of every stage; the decoder repeats them.
        num_heads: Attention heads of every stage.
        patch_size: Pixels in a patch, a power of four.
        window_size: Tokens in a window, a power of four; discs take no notice of it.
        windows: How every second block shifts its windows: "roll", "grid", "ring" or "vertex"; or
            "disc": no windows, every block attends inside geodesic discs.
        shift_size: How far windows are shifted, see `healswin.grid.window_shift`; default half a
            window's side.
        bias: Position bias: "none", "table", "frame", "radial" or "steered", see
            `healswin.layers.bias` and `healswin.layers.Attention`.
        up: Reference vector of the "frame" bias: the pole for maps of the sky or the earth,
            (0, -1, 0) for images whose pole is the optical axis. Off the poles no two windows
            have the same bearings, and the bias takes four times the memory and time.
        chiral: Whether the biases "frame" and "steered" tell left from right.
        cosine: Cosine attention (Swin V2) instead of scaled products (V1).
        norm_placement: "post" (Swin V2) or "pre" (V1).
        stem: "patches", a linear layer on the pixels of a patch, or "rings", see `RingStem`.
        merging: "published", the children concatenated, or "mean", see `MeanMerge`.
        expanding: "published", split into children, or "mean", see `MeanExpand`; the last one, to
            full resolution, is then a thin one that joins the channels of the stem "rings".
        absolute_position: Add a learned position embedding after the patch embedding.
        mlp_ratio: Hidden channels of the MLPs over the stage's.
        dropout: Dropout after the embedding, the attention and in the MLPs.
        attention_dropout: Dropout of the attention weights.
        drop_path: Largest probability of skipping a branch; rises linearly over the encoder's
            blocks, and the decoder's blocks have those of their encoder twins.
        checkpoint_blocks: Compute blocks again in the backward pass instead of keeping what they
            computed: less memory, more time.

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
        head: Head = "dense",
        out_indices: Sequence[int] | None = None,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        patch_size: int = 4,
        window_size: int = 64,
        windows: Windows = "ring",
        shift_size: int | None = None,
        bias: Bias = "table",
        up: Sequence[float] = (0.0, 0.0, 1.0),
        chiral: bool = True,
        cosine: bool = True,
        norm_placement: NormPlacement = "post",
        stem: Stem = "patches",
        merging: Resampling = "published",
        expanding: Resampling = "published",
        absolute_position: bool = False,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.1,
        checkpoint_blocks: bool = False,
    ) -> None:
        # Everything but the grid, for `with_grid`.
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        self._arguments = {k: v for k, v in arguments.items() if k not in ("nside", "base_pixels")}
        check_choice("head", head, get_args(Head))
        check_choice("stem", stem, get_args(Stem))
        check_choice("merging", merging, get_args(Resampling))
        check_choice("expanding", expanding, get_args(Resampling))
        check_count("in_chans", in_chans)
        check_count("num_classes", num_classes)
        check_count("embed_dim", embed_dim)
        check_count("patch_size", patch_size)
        check_count("window_size", window_size)
        if shift_size is not None:
            check_count("shift_size", shift_size)
        check_stages(embed_dim, depths, num_heads)
        rates = {
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "drop_path": drop_path,
        }
        check_rates(rates, mlp_ratio)
        if not is_power_of_four(patch_size):
            raise ValueError(f"patch_size={patch_size} must be a power of four: 1, 4, 16, 64")
        if isinstance(base_pixels, int):
            raise ValueError(
                f"nside={nside} and base_pixels={base_pixels} are no HEALPix grid: flat images of "
                "a height and a width need another network, such as healswin.models.SwinUNet"
            )
        self.grid = HealpixGrid(nside, base_pixels)
        self.in_chans = in_chans
        self.num_classes = num_classes
        coarsest = window_side(patch_size) * 2 ** (len(depths) - 1)
        if coarsest > nside:
            raise ValueError(
                f"nside={nside} is too small for patches of {patch_size} pixels and {len(depths)} "
                f"stages: at least nside {coarsest} is needed"
            )
        self.out_indices = stage_numbers(out_indices, head, len(depths))
        stages = self.out_indices[-1] + 1
        settings = BlockSettings(
            window_size=window_size,
            windows=windows,
            shift_size=shift_size,
            bias=bias,
            up=tuple(up),
            chiral=chiral,
            cosine=cosine,
            norm_placement=norm_placement,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention_dropout=attention_dropout,
        )
        grids = [self.grid.coarsened(window_side(patch_size) * 2**i) for i in range(stages)]
        dims = [embed_dim * 2**i for i in range(stages)]
        places = [StagePlaces(grid, settings) for grid in grids]
        # On the CPU even where the default device is "meta", for it must be read.
        all_rates = torch.linspace(
            0, drop_path, sum(depths), dtype=torch.float64, device="cpu"
        ).tolist()
        thin = max(embed_dim // _THIN, 1)

        def stage(i: int) -> Stage:
            """Stage i of the encoder, or its twin in the decoder."""
            rates = all_rates[sum(depths[:i]) : sum(depths[: i + 1])]
            return Stage(places[i], dims[i], num_heads[i], settings, drop_path=rates)

        def merge(i: int) -> PatchMerge | MeanMerge:
            return MeanMerge(grids[i], dims[i]) if merging == "mean" else PatchMerge(dims[i])

        def expand(i: int) -> PatchExpand | MeanExpand:
            if expanding == "mean":
                return MeanExpand(grids[i + 1], grids[i], dims[i + 1], dims[i])
            return PatchExpand(dims[i + 1], dims[i])

        self.encoder = HealSwinEncoder(
            RingStem(self.grid, in_chans, thin, embed_dim, patch_size)
            if stem == "rings"
            else PatchEmbed(in_chans, embed_dim, patch_size),
            [stage(i) for i in range(stages)],
            [merge(i) for i in range(stages - 1)],
            dims,
            grids[0].num_pixels,
            dropout,
            absolute_position,
            norm=stages == len(depths),
        )
        self.decoder = nn.ModuleList()
        self.head: nn.Module | None = None
        if head == "dense":
            self.decoder.extend(
                _UpStage(dims[i], expand(i), stage(i)) for i in reversed(range(stages - 1))
            )
            self.head = (
                _ThinHead(grids[0], self.grid, embed_dim, thin, stem == "rings", num_classes)
                if expanding == "mean"
                else _DenseHead(embed_dim, patch_size, num_classes)
            )
        elif head == "classification":
            self.head = ClassificationHead(dims[-1], num_classes)
        self.apply(_initialise)
        self.set_grad_checkpointing(checkpoint_blocks)

    @property
    def feature_info(self) -> list[dict[str, int | str]]:
        """Of every stage in ``out_indices``: channels, reduction of the side, nside, name."""
        stages = self.encoder.stages
        return [
            {
                "num_chs": self._arguments["embed_dim"] * 2**i,
                "reduction": self.grid.nside // stages[i].places.grid.nside,
                "nside": stages[i].places.grid.nside,
                "module": f"encoder.stages.{i}",
            }
            for i in self.out_indices
        ]

    def forward(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> Float[Tensor, " batch *result"] | list[Tensor]:
        """Predict.

        Args:
            x: Map in the order of the grid.

        Returns:
            (batch, num_classes, pixels), (batch, num_classes), or the list of the stages' maps
            (batch, channels, tokens), as the head is.

        Raises:
            ValueError: If channels or pixels are not those the network was built for, or the map
                is of whole numbers.
        """
        self._check_map(x)
        encoded = self.encoder(x)
        if self.head is None:
            return [encoded.outputs[i].transpose(1, 2) for i in self.out_indices]
        x = encoded.tokens
        if isinstance(self.head, ClassificationHead):
            return self.head(x)
        for up, skip in zip(self.decoder, reversed(encoded.inputs[:-1]), strict=True):
            x = up(x, skip)
        return self.head(x, encoded.fine)

    def forward_features(
        self, x: Float[Tensor, "batch channels pixels"]
    ) -> Float[Tensor, "batch tokens features"]:
        """Tokens of the last stage built, in NESTED order; normalised if it is the last one."""
        self._check_map(x)
        return self.encoder(x).tokens

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a fresh one for another number of classes.

        Raises:
            ValueError: If there is no head, or num_classes is below 1.
        """
        with_other_classes(self.head, num_classes)
        self.num_classes = self._arguments["num_classes"] = num_classes

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that weight decay should leave alone, as timm's models say.

        Biases, norms, temperatures, position biases and the position embedding.
        """
        positions = (TableBias, RadialBias, FrameBias)
        of_biases = {
            id(p) for m in self.modules() if isinstance(m, positions) for p in m.parameters()
        }
        return {
            name
            for name, p in self.named_parameters()
            if p.ndim == 1
            or id(p) in of_biases
            or name.rpartition(".")[2] in ("position", "logit_scale", "along", "across")
        }

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute blocks again in the backward pass instead of keeping what they computed."""
        self._arguments["checkpoint_blocks"] = enable
        for module in self.modules():
            if isinstance(module, Stage):
                module.checkpoint_blocks = enable

    def with_grid(self, grid: HealpixGrid) -> Self:
        """The same network, with a copy of its weights, for maps of another grid.

        Raises:
            ValueError: If the weights belong to a grid (an absolute position embedding, tables of
                windows that have another size there), or the network does not fit the new one.
        """
        if not isinstance(grid, HealpixGrid):
            raise ValueError(f"grid={grid!r} must be a HealpixGrid(nside, base_pixels)")
        if self.encoder.position is not None:
            raise ValueError(
                f"absolute_position=True has a weight for every token of nside {self.grid.nside}: "
                "such a network cannot be given another grid"
            )
        network = type(self)(grid.nside, grid.base_pixels, **self._arguments)
        weight = next(self.parameters())
        network.to(weight.device, weight.dtype)
        for (name, new), old in zip(network.named_parameters(), self.parameters(), strict=True):
            if new.shape != old.shape:
                raise ValueError(
                    f"{name} has shape {tuple(old.shape)}, {tuple(new.shape)} at nside "
                    f"{grid.nside}: a table belongs to one size of windows, and here a stage's "
                    "differ; bias='frame' or 'radial' serves any grid"
                )
            new.requires_grad_(old.requires_grad)
        network.load_state_dict(self.state_dict())
        modes = {name: module.training for name, module in self.named_modules()}
        for name, module in network.named_modules():
            module.training = modes.get(name, self.training)
        return network

    def extra_repr(self) -> str:
        """What the parts do not tell."""
        return (
            f"{self.grid}, in_chans={self.in_chans}, num_classes={self.num_classes}, "
            f"head={self._arguments['head']!r}"
        )

    def _check_map(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[1:] != (self.in_chans, self.grid.num_pixels):
            raise ValueError(
                f"x has shape {tuple(x.shape)}, (batch, {self.in_chans}, {self.grid.num_pixels}) "
                f"is needed: nside {self.grid.nside}, base pixels {self.grid.base_pixels}"
            )
        if not x.is_floating_point():
            raise ValueError(f"x is {x.dtype}, a map of real numbers is needed: x.float()")


def _initialise(module: nn.Module) -> None:
    """As published, except layers that see few inputs: they keep torch's wider start.

    So does the published embedding of patches. With biases of 0 a patch of zeros would have no
    direction, which cosine attention needs.
    """
    initialise(module)
    if isinstance(module, RingStem):
        module.rings.reset_parameters()
        module.proj.reset_parameters()
    if isinstance(module, (RadialBias, FrameBias)):
        for layer in module.mlp:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()


# The builders of the registry: (grid, in_chans, num_classes, **what differs from the name).

_PUBLISHED = {"dropout": 0.1, "attention_dropout": 0.1, "drop_path": 0.1}
_VERTEX = {"windows": "vertex", "bias": "frame"}
# Scaled products and norms before the branches: sharp cosine attention, as published, doubles what
# untrained discs make of a rotated map's interpolation noise (`benchmarks/structure.py`).
_ISO = {
    "windows": "disc",
    "bias": "steered",
    "cosine": False,
    "norm_placement": "pre",
    "stem": "rings",
    "merging": "mean",
    "expanding": "mean",
}
_SIZES = {
    "tiny": {"embed_dim": 24, "num_heads": (1, 2, 4, 8)},
    "small": {"embed_dim": 48, "num_heads": (2, 4, 8, 16)},
    "base": {"embed_dim": 96, "num_heads": (3, 6, 12, 24)},
}


def _register(name: str, about: str, settings: dict[str, object]) -> None:
    def build(grid: HealpixGrid, in_chans: int, num_classes: int, **overrides: object) -> HealSwin:
        if not isinstance(grid, HealpixGrid):
            raise ValueError(f"grid={grid!r}: {name} works on a HealpixGrid(nside, base_pixels)")
        arguments = {**settings, **overrides}
        return HealSwin(grid.nside, grid.base_pixels, in_chans, num_classes, **arguments)

    build.__doc__ = about
    register_model(name)(build)


register_network("healswin", HealSwin, HealpixGrid)
_register(
    "healswin_unet_paper", "As published, 41.28 M parameters for 3 -> 10 channels.", _PUBLISHED
)
_register(
    "healswin_stanford",
    "The size published for Stanford 2D-3D-S: full sphere, nside 64, about 1.5 M parameters.",
    {
        **_PUBLISHED,
        "embed_dim": 32,
        "depths": (2, 2, 6),
        "num_heads": (1, 2, 4),
        "window_size": 16,
        "shift_size": 2,
    },
)
for _size, _widths in _SIZES.items():
    _register(f"healswin_{_size}", "Vertex windows and the frame bias.", {**_VERTEX, **_widths})
    _register(f"healswin_iso_{_size}", "Robust to any rotation.", {**_ISO, **_widths})
