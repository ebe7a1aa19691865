"""Speed and memory of the networks: python benchmarks/model.py.

Each figure is of two sides, measured in turn (A B A B ...) in one run, and the ratio of their
medians. Forward passes are in evaluation mode without gradients; a training step is a forward and a
backward pass, without an optimizer; there is no dropout on either side. Sections (--only):

* forward, step: the network against `PlainTwin`, the same network written out plainly, with the
  same weights, after a check that both give the same output. --compile adds torch.compile of ours.
* gemm: the same network against the plain matrix products in it, and nothing else.
* memory: the highest memory of a training step, beyond that of the process before the network is
  built; each side in a process of its own, with and without block checkpointing. On a CPU it is
  what Linux calls VmHWM, on a GPU what torch has allocated.
* construction: building the network, at the values of --construction-nside.
* iso: healswin_iso_base against healswin_base.
* runs, fused: our network against itself, tokens in runs that fit the caches against whole stages,
  fused attention against written-out products. Not measured unless asked for.

Only healswin_unet_paper has a twin; other presets are measured against their matrix products.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import math
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from plain_twin import PlainTwin
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from healswin import HealpixGrid, create_model

PAPER = "healswin_unet_paper"
SECTIONS = ("forward", "step", "gemm", "memory", "construction", "iso")
OURSELVES = ("runs", "fused")
SMALL = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 16}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "drop_path": 0.0}
AGREEMENT = 1e-4

Work = Callable[[], object]
# Batch, rows, inner and columns of a product of stacks of matrices.
Product = tuple[int, int, int, int]


class Products(TorchDispatchMode):
    """Counts the matrix products that are computed while it is entered, by their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Note the operation's sizes, and compute it."""
        name = function.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            a, b = args[-2:]
            self.counts[math.prod(a.shape[:-2]), a.shape[-2], a.shape[-1], b.shape[-1]] += 1
        elif name in ("convolution", "convolution_backward"):
            x, weight = args[:2] if name == "convolution" else args[1:3]
            out, inside = weight.shape[0], math.prod(weight.shape[1:])
            # Patches do not overlap: every input is in one of them. Backward it is one product,
            # for the weight: the map needs no gradient.
            self.counts[1, x.numel() // inside, inside, out] += 1
        elif name.startswith("_scaled_dot_product") and "backward" not in name:
            q, k, v = (t.shape for t in args[:3])
            stack = math.prod(q[:-2])
            self.counts[stack, q[-2], q[-1], k[-2]] += 1
            self.counts[stack, q[-2], k[-2], v[-1]] += 1
        elif name.startswith("_scaled_dot_product"):
            # The logits again, and two products for each of the forward pass.
            q, k = (t.shape for t in args[1:3])
            self.counts[math.prod(q[:-2]), q[-2], q[-1], k[-2]] += 5
        return function(*args, **(kwargs or {}))


class Bench:
    """One run: its device and sizes, and the rows of its table.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.grid = HealpixGrid(arguments.nside, arguments.base_pixels)
        self.model = arguments.model
        self.device = torch.device(arguments.device)
        self.bf16 = arguments.dtype == "bf16"
        self.rounds = arguments.rounds
        self.size = SMALL if arguments.small else {}
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(arguments.batch, 3, self.grid.num_pixels, generator=generator)
        self.x = x.to(self.device)

    def ours(self, model: str, grid: HealpixGrid | None = None) -> nn.Module:
        torch.manual_seed(0)
        network = create_model(model, grid or self.grid, **NO_DROPOUT, **self.size)
        return network.to(self.device)

    def twin(self, grid: HealpixGrid | None = None) -> nn.Module:
        grid = grid or self.grid
        return PlainTwin(grid.nside, grid.base_pixels, **self.size).to(self.device)

    def autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def forward(self, network: nn.Module) -> Work:
        """A forward pass of the network, in evaluation mode."""

        def work() -> Tensor:
            set_mode(network, training=False)
            with torch.no_grad(), self.autocast():
                return network(self.x)

        return work

    def step(self, network: nn.Module) -> Work:
        """A forward and a backward pass of the network."""

        def work() -> None:
            set_mode(network, training=True)
            network.zero_grad(set_to_none=True)
            with self.autocast():
                output = network(self.x)
            output.float().square().mean().backward()

        return work

    def kinds(self) -> dict[str, Callable[[nn.Module], Work]]:
        return {"forward": self.forward, "step": self.step}

    def products(self, work: Work) -> tuple[Work, float]:
        """The matrix products of some work by themselves, and how many GFLOP they are."""
        with Products() as seen:
            work()
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        operands = []
        for (stack, m, k, n), count in seen.counts.items():
            a = torch.randn(stack, m, k, device=self.device, dtype=dtype)
            b = torch.randn(stack, k, n, device=self.device, dtype=dtype)
            c = torch.empty(stack, m, n, device=self.device, dtype=dtype)
            # A stack of one is a plain product, as in a linear layer.
            operands.append((count, *((a[0], b[0], c[0]) if stack == 1 else (a, b, c))))

        def multiply() -> None:
            for count, a, b, c in operands:
                for _ in range(count):
                    torch.matmul(a, b, out=c)

        flop = sum(2 * math.prod(sizes) * count for sizes, count in seen.counts.items())
        return multiply, flop / 1e9

    def seconds(self, work: Work) -> float:
        self.synchronise()
        start = time.perf_counter()
        work()
        self.synchronise()
        return time.perf_counter() - start

    def synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def in_turn(self, name: str, reference: Work, measured: Work, *, warm: bool = True) -> None:
        """Time two sides in turn and print their row."""
        sides = (reference, measured)
        if warm:
            for side in sides:
                side()
        times = [[self.seconds(side) for side in sides] for _ in range(self.rounds)]
        columns = list(zip(*times, strict=True))
        medians = [statistics.median(column) for column in columns]
        texts = [
            f"{1e3 * median:.1f} ms ({1e3 * min(column):.1f})"
            for median, column in zip(medians, columns, strict=True)
        ]
        print_row([name, *texts, f"{medians[0] / medians[1]:.2f}"])


def set_mode(network: nn.Module, *, training: bool) -> None:
    """Once only: going through hundreds of parts would be measured with the rest."""
    if network.training != training:
        network.train(training)


def print_row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def assert_same_output(bench: Bench, reference: nn.Module, measured: nn.Module) -> None:
    """In float32 and evaluation mode, relative to the largest output."""
    reference.eval()
    measured.eval()
    with torch.no_grad():
        expected, output = reference(bench.x), measured(bench.x)
    difference = ((output - expected).abs().max() / expected.abs().max()).item()
    if not difference <= AGREEMENT:
        raise AssertionError(f"the sides differ by {difference:.1e}, above {AGREEMENT:g}")


def against_twin(bench: Bench, sections: set[str], compiled: bool) -> Iterator[str]:
    """Rows of forward and step; yields what took time beside them."""
    ours, twin = bench.ours(PAPER), bench.twin()
    twin.load_state_dict(ours.state_dict())
    assert_same_output(bench, twin, ours)
    for kind, work in bench.kinds().items():
        if kind in sections:
            bench.in_turn(f"{kind}: plain twin, ours", work(twin), work(ours))
    if not compiled:
        return
    fast = torch.compile(ours)
    for kind, work in bench.kinds().items():
        if kind in sections:
            first = bench.seconds(work(fast))
            name = f"{kind}: plain twin, ours compiled"
            bench.in_turn(name, work(twin), work(fast))
            if kind == "forward":
                assert_same_output(bench, twin, fast)
            yield f"compiling, {kind}: {first:.1f} s until the end of the first call"


def against_products(bench: Bench) -> Iterator[str]:
    """Rows of the matrix products alone; yields how many there are and how fast they go."""
    ours = bench.ours(bench.model)
    # The twin computes whole stages at once: its products are as large as they can be.
    plain = bench.twin() if bench.model == PAPER else ours
    for kind, work in bench.kinds().items():
        multiply, gflop = bench.products(work(plain))
        bench.in_turn(f"{kind}: its matrix products alone, ours", multiply, work(ours))
        seconds = min(bench.seconds(multiply) for _ in range(bench.rounds))
        yield f"matrix products, {kind}: {gflop:.1f} GFLOP, {gflop / seconds:.0f} GFLOP/s"


def against_ourselves(bench: Bench, sections: set[str]) -> None:
    ours = bench.ours(bench.model)
    whole = mock.patch("healswin.layers.block.TOKENS_PER_RUN", 2**30)
    choice = "healswin.layers.attention.fused_is_faster"
    written_out, fused = mock.patch(choice, never), mock.patch(choice, always)
    for kind, work in bench.kinds().items():
        run = work(ours)
        if "runs" in sections:
            bench.in_turn(f"{kind}: whole stages, runs of tokens", whole(run), run)
        if "fused" in sections:
            name = f"{kind}: written-out attention, fused"
            bench.in_turn(name, written_out(run), fused(run))


# Functions, for a mock would keep the tensors it is called with.
def never(q: Tensor, dropout: bool) -> bool:
    return False


def always(q: Tensor, dropout: bool) -> bool:
    return True


def construction(bench: Bench, nsides: Sequence[int]) -> None:
    for nside in nsides:
        grid = HealpixGrid(nside, bench.grid.base_pixels)
        name = "plain twin, ours" if bench.model == PAPER else f"{PAPER}, {bench.model}"
        plain = (
            partial(bench.twin, grid) if bench.model == PAPER else partial(bench.ours, PAPER, grid)
        )
        ours = partial(bench.ours, bench.model, grid)
        bench.in_turn(f"construction at nside {nside}: {name}", plain, ours, warm=False)


def peak_memory(bench: Bench, side: str) -> int:
    """Bytes of one training step, beyond what the process has before the network is built."""
    before = peak_bytes(bench.device)
    network = bench.twin() if side == "twin" else bench.ours(bench.model)
    if side == "checkpointed":
        network.set_grad_checkpointing()
    bench.step(network)()
    return peak_bytes(bench.device) - before


def peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # getrusage's ru_maxrss is no substitute: a new process takes over that of its parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def memory(bench: Bench, argv: Sequence[str]) -> None:
    """Rows of memory, from this script in other processes."""

    def megabytes(side: str) -> float:
        command = [sys.executable, __file__, *argv, "--memory-side", side]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6

    sides = ["twin", "ours", "checkpointed"] if bench.model == PAPER else ["ours", "checkpointed"]
    reference = sides[0]
    found = {side: megabytes(side) for side in sides}
    titles = {"twin": "plain twin", "ours": "ours", "checkpointed": "ours with checkpointing"}
    for side in sides[1:]:
        print_row(
            [
                f"memory of a step: {titles[reference]}, {titles[side]}",
                f"{found[reference]:.0f} MB",
                f"{found[side]:.0f} MB",
                f"{found[reference] / found[side]:.2f}",
            ]
        )


def iso(bench: Bench) -> None:
    base, iso = bench.ours("healswin_base"), bench.ours("healswin_iso_base")
    for kind, work in bench.kinds().items():
        bench.in_turn(f"{kind}: healswin_base, healswin_iso_base", work(base), work(iso))


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def base_pixels(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last) + 1)) if last else tuple(map(int, text.split(",")))


def sections_of(text: str) -> set[str]:
    chosen = set(text.split(","))
    if chosen - {*SECTIONS, *OURSELVES}:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {(*SECTIONS, *OURSELVES)}")
    return chosen


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default=PAPER, help="name of a preset")
    add("--nside", type=int, default=128)
    add("--base-pixels", type=base_pixels, default="0-7", help="e.g. 0-7 or 0,1,4")
    add("--batch", type=int, default=1)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--dtype", choices=("float32", "bf16"), default="float32", help="bf16: by autocast")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=2)
    add("--compile", action="store_true", help="measure torch.compile of ours, too")
    add("--only", type=sections_of, default=",".join(SECTIONS), help="sections, e.g. forward,step")
    add("--construction-nside", default="128,256")
    add("--small", action="store_true", help="two stages of few channels, to try the script")
    add("--memory-side", choices=("twin", "ours", "checkpointed"), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments)
    if arguments.memory_side:
        print(peak_memory(bench, arguments.memory_side))
        return
    print(
        f"{arguments.model}{' (small)' if arguments.small else ''}, nside {arguments.nside}, "
        f"{len(bench.grid.base_pixels)} base pixels, batch {arguments.batch}, {arguments.dtype}. "
        f"{machine(bench.device)}, {arguments.threads} threads, torch {torch.__version__}, "
        f"{datetime.date.today()}.\n"
    )
    print_row(["A, B", "A: median (min)", "B: median (min)", "A / B"])
    print_row(["---", "---:", "---:", "---:"])
    notes: list[str] = []
    chosen = arguments.only
    if chosen & {"forward", "step"} and arguments.model == PAPER:
        notes += against_twin(bench, chosen, arguments.compile)
    if "gemm" in chosen:
        notes += against_products(bench)
    if "memory" in chosen:
        memory(bench, argv)
    if "construction" in chosen:
        construction(bench, [int(n) for n in arguments.construction_nside.split(",")])
    if "iso" in chosen:
        iso(bench)
    if chosen & set(OURSELVES):
        against_ourselves(bench, chosen)
    print()
    for note in notes:
        print(f"* {note}")


if __name__ == "__main__":
    main(sys.argv[1:])
