"""How much the parts of the networks depend on the orientation: python benchmarks/structure.py.

Prints `healswin.equivariance.structural_error` of stacks of four blocks of each kind, and of four
residual units x + expand(merge(x)), as Markdown tables: the mean over seeds, with the smallest and
the largest. Pointwise blocks, whose error is that of the measure itself, stand beside them.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from healswin.equivariance import structural_error
from healswin.grid import HealpixGrid
from healswin.layers import (
    BlockSettings,
    MeanExpand,
    MeanMerge,
    PatchExpand,
    PatchMerge,
    Stage,
    StagePlaces,
)

BLOCKS = 4
WINDOW = 64
MIXERS = {
    "discs, radial bias": ("disc", "radial"),
    "discs, steered bias": ("disc", "steered"),
    "discs, no bias": ("disc", "none"),
    "vertex windows, radial bias": ("vertex", "radial"),
    "published: ring windows, table bias": ("ring", "table"),
}


class Nothing(nn.Module):
    """A branch that adds nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the shape of x."""
        return torch.zeros_like(x)


class DownAndUp(nn.Module):
    """x + expand(merge(x)): to half the nside and back.

    Args:
        merge: From the grid to the one of half the nside, C -> 2 C.
        expand: Back, 2 C -> C.
    """

    def __init__(self, merge: nn.Module, expand: nn.Module) -> None:
        super().__init__()
        self.merge, self.expand = merge, expand

    def forward(self, x: Tensor) -> Tensor:
        """(1, pixels, channels) -> the same."""
        return x + self.expand(self.merge(x))


def stack(places: StagePlaces, settings: BlockSettings, channels: int, heads: int) -> nn.Module:
    return Stage(places, channels, heads, settings, drop_path=[0.0] * BLOCKS)


def pointwise(places: StagePlaces, settings: BlockSettings, channels: int) -> nn.Module:
    stage = stack(places, settings, channels, 1)
    for block in stage.blocks:
        block.attn.proj = Nothing()
    return stage


def resampling(grid: HealpixGrid, channels: int, kind: str) -> nn.Module:
    coarse = grid.coarsened(2)

    def unit() -> nn.Module:
        if kind == "mean":
            merge = MeanMerge(grid, channels)
            return DownAndUp(merge, MeanExpand(coarse, grid, 2 * channels, channels))
        return DownAndUp(PatchMerge(channels), PatchExpand(2 * channels, channels))

    return nn.Sequential(*[unit() for _ in range(BLOCKS)])


def mixer_rows(
    error: Callable[[Callable[[], nn.Module]], str],
    grid: HealpixGrid,
    channels: int,
    heads: Sequence[int],
) -> Iterator[list[str]]:
    """Rows of the table of mixers; `error` measures what a function builds."""
    for name, (windows, bias) in MIXERS.items():
        # The tables of the places know the windows and the bias, and nothing else of the settings.
        places = StagePlaces(grid, BlockSettings(WINDOW, windows, bias=bias))
        for cosine, norms in itertools.product((True, False), ("post", "pre")):
            settings = BlockSettings(
                WINDOW, windows, bias=bias, cosine=cosine, norm_placement=norms
            )
            builders = [partial(stack, places, settings, channels, h) for h in heads]
            attention = "cosine" if cosine else "scaled products"
            yield [name, attention, norms, *(error(build) for build in builders)]
    for norms in ("post", "pre"):
        settings = BlockSettings(WINDOW, "disc", bias="none", norm_placement=norms)
        figure = error(partial(pointwise, StagePlaces(grid, settings), settings, channels))
        yield ["pointwise MLPs only", "", norms, *[figure] * len(heads)]


def print_row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nside", type=int, default=32)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--heads", default="1,2,4", help="numbers of heads, one column each")
    parser.add_argument("--lmax", type=int, default=24, help="highest degree of the input")
    parser.add_argument("--rotations", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    grid = HealpixGrid(arguments.nside)
    heads = [int(h) for h in arguments.heads.split(",")]

    def error(build: Callable[[], nn.Module]) -> str:
        errors = []
        for seed in range(arguments.seeds):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)  # of the biases, which the measure leaves alone
                part = build()
            errors.append(
                structural_error(
                    part,
                    nside=arguments.nside,
                    lmax=arguments.lmax,
                    channels=arguments.channels,
                    rotations=arguments.rotations,
                    seed=seed,
                )
            )
        mean = sum(errors) / len(errors)
        return f"{mean:.3f} ({min(errors):.3f} to {max(errors):.3f})"

    print(
        f"Structural error: {BLOCKS} blocks, nside {arguments.nside}, {arguments.channels} "
        f"channels, degrees up to {arguments.lmax}, {arguments.rotations} rotations; mean over "
        f"{arguments.seeds} seeds (smallest to largest). torch {torch.__version__}.\n"
    )
    print_row(["blocks", "attention", "norms", *(f"heads: {h}" for h in heads)])
    print_row(["---"] * 3 + ["---:"] * len(heads))
    for row in mixer_rows(error, grid, arguments.channels, heads):
        print_row(row)
    print()
    print_row(["x + expand(merge(x))", "error"])
    print_row(["---", "---:"])
    for name, kind in (("mean, mean", "mean"), ("published, published", "published")):
        print_row([name, error(partial(resampling, grid, arguments.channels, kind))])


if __name__ == "__main__":
    main(sys.argv[1:])
