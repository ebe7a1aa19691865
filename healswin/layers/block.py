"""The transformer block, and the stage of blocks at one resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from healswin.grid import HealpixGrid, window_count, window_shift, window_side
from healswin.layers.attention import Attention, Steer
from healswin.layers.bias import Bias
from healswin.layers.gathers import gather_runs
from healswin.layers.neighbourhoods import (
    EXACT_MASK,
    PUBLISHED_MASK,
    Neighbourhoods,
    discs_of,
    everybody,
    windows_of,
)

# More tokens, with the empty slots of windows, than a stage can have.
_ALL = 2**40

NormPlacement = Literal["post", "pre"]
Windows = Literal["roll", "grid", "ring", "vertex", "disc"]

# Tokens that go through a block at a time on a CPU. The working set of so many, some megabytes,
# stays in its caches, and the allocator hands the same memory out again; a whole fine stage would
# be written to fresh memory a dozen times (`benchmarks/model.py --only runs` measures it).
TOKENS_PER_RUN = 4096


@dataclass(frozen=True)
class BlockSettings:
    """What all blocks of a network have in common.

    Args:
        window_size: Tokens in a window, a power of four; discs take no notice of it.
        windows: "roll", "grid", "ring" or "vertex": how every second block shifts its windows, see
            `healswin.grid.window_shift`. "disc": every block attends inside geodesic discs.
        shift_size: How far windows are shifted; None: half a window's side.
        bias: Position bias, see `healswin.layers.bias`.
        up: Reference vector of the "frame" bias; the others take no notice of it.
        chiral: Whether "frame" and "steered" tell left from right.
        cosine: Cosine attention, see `Attention`.
        norm_placement: "post" or "pre", see `Block`.
        mlp_ratio: Hidden channels of the MLP over the block's.
        dropout: Dropout in the MLP and after the attention.
        attention_dropout: Dropout of the attention weights.

    Raises:
        ValueError: If a choice does not exist, or two do not go together.
    """

    window_size: int
    windows: Windows = "vertex"
    shift_size: int | None = None
    bias: Bias = "table"
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    chiral: bool = True
    cosine: bool = True
    norm_placement: NormPlacement = "post"
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        choices = {"windows": Windows, "bias": Bias, "norm_placement": NormPlacement}
        for name, choice in choices.items():
            if getattr(self, name) not in get_args(choice):
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be one of {get_args(choice)}"
                )
        if self.windows == "disc" and self.bias == "table":
            raise ValueError(
                "bias='table' belongs to the offsets inside a window: with windows='disc' use "
                "'radial', 'steered', 'frame' or 'none'"
            )
        if self.windows in ("vertex", "disc") and self.shift_size is not None:
            raise ValueError(
                f"shift_size={self.shift_size}: windows={self.windows!r} takes none, leave it None"
            )
        if len(self.up) != 3 or not all(map(math.isfinite, self.up)) or not any(self.up):
            raise ValueError(f"up={self.up} must be a vector (x, y, z) of any length above zero")


class Mlp(nn.Module):
    """Linear, GELU, linear.

    Args:
        dim: Channels of the tokens.
        hidden_dim: Channels in between.
        dropout: Dropout after both.
    """

    def __init__(self, dim: int, hidden_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*any channels"]) -> Float[Tensor, "*any channels"]:
        """Apply to every token by itself."""
        x = self.fc1(x)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or self.fc1._forward_hooks:
            x = functional.gelu(x)
        else:
            # In place: on a CPU fresh memory costs more than the function.
            torch.ops.aten.gelu_(x)
        return self.dropout(self.fc2(self.dropout(x)))


class Block(nn.Module):
    """Attention inside windows or discs, then an MLP, both with residual connections.

    With "post" (Swin V2) the branches are normalised, x + drop_path(norm(f(x))); with "pre"
    (Swin V1) their inputs, x + drop_path(f(norm(x))).

    Args:
        dim: Channels of the tokens.
        num_heads: Attention heads.
        settings: What the blocks of the network have in common.
        drop_path: Probability that a sample skips a branch.
        takes_tangents: See `Attention`.
        makes_tangents: See `Attention`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        settings: BlockSettings,
        drop_path: float = 0.0,
        *,
        takes_tangents: bool = False,
        makes_tangents: bool = False,
    ) -> None:
        super().__init__()
        self.norm_after = settings.norm_placement == "post"
        self.attn = Attention(
            dim,
            num_heads,
            settings.window_size,
            bias=settings.bias,
            cosine=settings.cosine,
            dropout=settings.dropout,
            attention_dropout=settings.attention_dropout,
            chiral=settings.chiral,
            takes_tangents=takes_tangents,
            makes_tangents=makes_tangents,
        )
        self.norm1 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * settings.mlp_ratio), settings.dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.drop_path = drop_path

    def forward(
        self,
        x: Float[Tensor, "batch tokens channels"],
        places: Neighbourhoods,
        tangents: Float[Tensor, "batch tokens heads 3"] | None = None,
    ) -> tuple[Float[Tensor, "batch tokens channels"], Tensor | None]:
        """One block.

        Args:
            x: Tokens.
            places: Who attends to whom.
            tangents: Tangent vectors of the block before, with the steered bias.

        Returns:
            Tokens, and tangent vectors if the next block takes them.
        """
        branches = self._kept_branches(x), self._kept_branches(x)
        bias = self.attn.pair_bias(places)
        per_run = max(1, tokens_per_run(x) // places.queries_per_block)
        if torch.compiler.is_compiling() and places.keys is not None:
            per_run = places.blocks  # gathers by runs have a backward pass that is not traced
        runs = list(places.runs(per_run))
        shared = bias is None or len(bias) == 1
        if not shared and places.pair_class is not None:
            bias = bias.index_select(0, places.pair_class)
        biases = [bias] * len(runs) if shared else bias.split(per_run)

        sources = [None] * len(runs)
        if places.keys is not None:
            every = self.attn.sources(x if self.norm_after else self.norm1(x))
            sources = gather_runs(every, places.keys.split(per_run))

        queries = places.regroup(x).unflatten(1, (places.blocks, places.queries_per_block))
        queries = queries.split(per_run, dim=1)
        if tangents is not None:
            tangents = places.regroup(tangents).unflatten(1, (places.blocks, -1))
            tangents = tangents.split(per_run, dim=1)
        results, made = [], []
        for i, (run, mask) in enumerate(runs):
            steer = None
            if places.key_place is not None:
                steer = Steer(
                    None if tangents is None else tangents[i],
                    places.query_normal[run],
                    places.query_place[run],
                    places.key_place[run],
                )
            result, new = self._run(queries[i], sources[i], biases[i], mask, steer, branches)
            results.append(result)
            made.append(new)
        x = places.restore(_joined(results).flatten(1, 2))
        return x, None if made[0] is None else places.restore(_joined(made).flatten(1, 2))

    def _run(
        self,
        x: Tensor,
        sources: Tensor | None,
        bias: Tensor | None,
        mask: Tensor | None,
        steer: Steer | None,
        branches: tuple[Tensor | None, Tensor | None],
    ) -> tuple[Tensor, Tensor | None]:
        """The whole block for some of its windows: nothing in it looks beyond them."""
        if self.norm_after:
            mixed, tangents = self.attn(x, sources, bias, mask, steer)
            x = x + _kept(self.norm1(mixed), branches[0])
            return x + _kept(self.norm2(self.mlp(x)), branches[1]), tangents
        mixed, tangents = self.attn(self.norm1(x), sources, bias, mask, steer)
        x = x + _kept(mixed, branches[0])
        return x + _kept(self.mlp(self.norm2(x)), branches[1]), tangents

    def _kept_branches(self, x: Tensor) -> Tensor | None:
        """Drop path (Huang et al. 2016, arXiv 1603.09382), drawn once for all runs of a sample."""
        if not self.training or self.drop_path == 0:
            return None
        keep = 1 - self.drop_path
        return x.new_empty(len(x), 1, 1, 1).bernoulli_(keep).div_(keep)


class StagePlaces(nn.Module):
    """The partitions of a stage's tokens: the first, and that of every second block.

    Windows are shifted in every second block, except where the stage is exactly one window. Discs
    are the same in every block, on stages of fewer than 4 x 4 tokens a face all attend to all.
    "vertex" windows are no larger than a face, and of one token a face all attend to all.

    Args:
        grid: The grid whose pixels are the stage's tokens.
        settings: What the blocks of the network have in common.

    Raises:
        ValueError: If the window does not fit the stage, or the strategy its base pixels.
    """

    def __init__(self, grid: HealpixGrid, settings: BlockSettings) -> None:
        super().__init__()
        self.grid = grid
        kinds = {"frame": "frame", "radial": "radial", "steered": "radial"}
        kind = kinds.get(settings.bias, "none")
        extras = (kind, settings.up, settings.bias == "steered")
        self.second: Neighbourhoods | None = None
        self.window_size = settings.window_size
        if settings.windows == "disc":
            window_side(settings.window_size)  # discs have no windows, but a wrong one is a mistake
            self.first = everybody(grid, *extras) if grid.nside < 4 else discs_of(grid, *extras)
            self.window_size = self.first.queries_per_block
            return
        if settings.windows == "vertex":
            if grid.nside == 1 and settings.bias == "table":
                raise ValueError(
                    f"the stage with nside 1 and {grid.num_pixels} tokens is no square window, "
                    "which bias='table' needs: use fewer stages, a smaller patch or another bias"
                )
            self.window_size = min(settings.window_size, grid.nside**2)
        masked = EXACT_MASK if settings.windows == "vertex" else PUBLISHED_MASK
        try:
            if settings.windows == "vertex" and grid.nside == 1:
                self.first = everybody(grid, *extras)
                return
            single = window_count(grid.num_pixels, self.window_size) == 1
            self.first = windows_of(grid, self.window_size, None, masked, *extras)
            if not single:
                shift = window_shift(settings.windows, grid, self.window_size, settings.shift_size)
                self.second = windows_of(grid, self.window_size, shift, masked, *extras)
        except ValueError as error:
            raise ValueError(
                f"the stage with nside {grid.nside} and {grid.num_pixels} tokens: {error}"
            ) from None


class Stage(nn.Module):
    """Blocks at one resolution.

    Args:
        places: Partitions of the tokens; stages of one resolution share them.
        dim: Channels of the tokens.
        num_heads: Attention heads.
        settings: What the blocks of the network have in common.
        drop_path: One probability for each block; their number is the depth.
    """

    def __init__(
        self,
        places: StagePlaces,
        dim: int,
        num_heads: int,
        settings: BlockSettings,
        *,
        drop_path: Sequence[float],
    ) -> None:
        super().__init__()
        self.places = places
        self.checkpoint_blocks = False
        settings = replace(settings, window_size=places.window_size)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                num_heads,
                settings,
                rate,
                takes_tangents=i > 0,
                makes_tangents=i + 1 < len(drop_path),
            )
            for i, rate in enumerate(drop_path)
        )

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """The tokens after all blocks, with the first and the second partition in turn."""
        tangents = None
        for i, block in enumerate(self.blocks):
            places = self.places.first
            if i % 2 and self.places.second is not None:
                places = self.places.second
            if self.checkpoint_blocks and self.training and torch.is_grad_enabled():
                x, tangents = checkpoint(block, x, places, tangents, use_reentrant=False)
            else:
                x, tangents = block(x, places, tangents)
        return x


def tokens_per_run(x: Float[Tensor, "batch tokens channels"]) -> int:
    """How many tokens of each sample to process at a time on a CPU; elsewhere all of them.

    An exported program has no runs: it may be meant for any device.
    """
    if x.device.type != "cpu" or torch.compiler.is_exporting():
        return _ALL
    if torch.compiler.is_compiling():
        return TOKENS_PER_RUN  # the size of the batch may be a symbol
    return max(1, TOKENS_PER_RUN // max(1, x.shape[0]))


def in_runs(
    function: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch tokens channels"],
    children: int = 1,
) -> Float[Tensor, "batch results channels2"]:
    """Apply a function that looks at one token at a time to one run of tokens after another.

    Args:
        function: From tokens to tokens; may make several of one.
        x: Tokens.
        children: How many it makes of one.

    Returns:
        What it makes of all tokens at once, in less memory.
    """
    run = max(1, tokens_per_run(x) // children)
    return _joined([function(tokens) for tokens in x.split(run, dim=1)])


def _joined(runs: Sequence[Tensor]) -> Tensor:
    return runs[0] if len(runs) == 1 else torch.cat(runs, dim=1)


def _kept(branch: Tensor, keep: Tensor | None) -> Tensor:
    return branch if keep is None else branch * keep
