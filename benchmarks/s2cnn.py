"""Speed and memory of the spherical CNNs: python benchmarks/s2cnn.py.

The network is `S2CNNSegmenter` with its defaults, 204,073 parameters, in float32. Forward passes
are in evaluation mode without gradients, training steps are a forward and a backward pass without
an optimizer. Each is compared with its FLOP floor, which is what it costs at the least, counted by
hand, run as plain matrix products: 8.31 GFLOP a sample forward, 20 GFLOP with the backward pass.
One product of 4096 x 768 by 768 x 768 is timed in turn with the network, and gives the rate. The
kept kernel spectrum makes evaluation cheaper than the floor counts; the discrete Fourier transforms
are counted as fast ones there and computed as products here.

* setup: building the network in a process of its own, tables included, without importing torch.
* memory: the highest resident memory of that process (what Linux calls VmHWM; on a GPU what torch
  has allocated) after a forward pass in evaluation mode, and after two training steps. The line
  "torch" is the memory after importing torch and this package.
* b128 (only if asked for, --only b128): one layer S2 128 -> 128 and one SO(3) 128 -> 128 with one
  feature, set-up, forward and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SECTIONS = ("forward", "step", "setup", "memory")
ALL_SECTIONS = (*SECTIONS, "b128")
FLOOR = {"forward": 8.31, "step": 20.0}
PRODUCT = (4096, 768, 768)
TINY = {"bandwidth": 6, "features": (2, 2), "bandwidths": (5, 6), "max_beta": (0.2, 0.2, 0.2)}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=ALL_SECTIONS, default=list(SECTIONS))
    parser.add_argument("--small", action="store_true", help="a tiny network, to try the script")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    if arguments.side:
        print(json.dumps(alone(arguments)))
        return

    import torch

    torch.set_num_threads(arguments.threads)
    print(
        f"{platform.processor() or platform.machine()}, {arguments.device}, {arguments.threads} "
        f"threads, torch {torch.__version__}, median of {arguments.rounds}\n"
    )
    print("| what | batch | time | floor | time / floor | product, GFLOP/s |")
    print("|---|---|---|---|---|---|")
    for batch in arguments.batch:
        for kind in ("forward", "step"):
            if kind in arguments.only:
                print(timed_row(arguments, kind, batch), flush=True)
    rows = []
    if "setup" in arguments.only:
        found = in_a_process(argv, "forward")
        rows.append(("set-up", f"{found['setup']:.2f} s"))
    if "memory" in arguments.only:
        for side in ("forward", "step"):
            found = in_a_process(argv, side)
            rows.append((f"memory: {side}", f"{found['peak']:.0f} MB"))
        rows.append(("memory: torch", f"{found['torch']:.0f} MB"))
    if "b128" in arguments.only:
        for side in ("s2 b128", "so3 b128"):
            found = in_a_process(argv, side)
            text = f"{found['setup']:.1f} s, {found['run']:.2f} s, {found['peak']:.0f} MB"
            rows.append((f"{side}: set-up, forward, memory", text))
    if rows:
        print("\n| what | |\n|---|---|")
        for name, text in rows:
            print(f"| {name} | {text} |")


def timed_row(arguments: argparse.Namespace, kind: str, batch: int) -> str:
    """The network and one plain product, in turn."""
    import torch

    network = build(arguments.small).to(arguments.device)
    x = signal(network, batch).to(arguments.device)
    rows, inner, columns = PRODUCT
    a = torch.randn(rows, inner, device=arguments.device)
    b = torch.randn(inner, columns, device=arguments.device)
    work = {"forward": forward, "step": step}[kind](network, x)

    def product() -> None:
        torch.mm(a, b)

    for _ in range(2):
        work()
        product()
    times = [
        [seconds(f, arguments.device) for f in (work, product)] for _ in range(arguments.rounds)
    ]
    took, one = (statistics.median(column) for column in zip(*times, strict=True))
    rate = 2e-9 * rows * inner * columns / one
    floor = FLOOR[kind] * batch / rate
    return f"| {kind} | {batch} | {took:.3f} s | {floor:.3f} s | {took / floor:.2f} | {rate:.0f} |"


def forward(network: object, x: object) -> Callable[[], object]:
    import torch

    network.eval()

    def work() -> object:
        with torch.no_grad():
            return network(x)

    return work


def step(network: object, x: object) -> Callable[[], object]:
    network.train()

    def work() -> None:
        network.zero_grad(set_to_none=True)
        network(x).square().mean().backward()

    return work


def seconds(work: Callable[[], object], device: str) -> float:
    import torch

    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def build(small: bool) -> object:
    from s2cnn_baselines import S2CNNSegmenter

    return S2CNNSegmenter(**TINY) if small else S2CNNSegmenter()


def signal(network: object, batch: int) -> object:
    import torch

    samples = 2 * network.input_layer.b_in
    return torch.randn(batch, 1, samples, samples, generator=torch.Generator().manual_seed(0))


def in_a_process(argv: Sequence[str], side: str) -> dict[str, float]:
    """What `alone` finds in a process of its own."""
    command = [sys.executable, __file__, *argv, "--side", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def alone(arguments: argparse.Namespace) -> dict[str, float]:
    """Set-up time in seconds, highest memory in MB, and that of torch."""
    import torch

    import s2cnn_baselines

    torch.set_num_threads(arguments.threads)
    found = {"torch": peak_megabytes("cpu")}
    start = time.perf_counter()
    if arguments.side.endswith("b128"):
        b = 12 if arguments.small else 128
        if arguments.side.startswith("s2"):
            grid, kind = s2cnn_baselines.s2_near_identity_grid(), s2cnn_baselines.S2Convolution
        else:
            grid, kind = s2cnn_baselines.so3_near_identity_grid(), s2cnn_baselines.SO3Convolution
        network = kind(1, 1, b, b, grid).to(arguments.device)
        x = torch.randn(1, 1, *(2 if arguments.side.startswith("s2") else 3) * (2 * b,))
        found["setup"] = time.perf_counter() - start
        found["run"] = seconds(forward(network, x.to(arguments.device)), arguments.device)
    else:
        network = build(arguments.small).to(arguments.device)
        found["setup"] = time.perf_counter() - start
        x = signal(network, arguments.batch[0]).to(arguments.device)
        work = {"forward": forward, "step": step}[arguments.side](network, x)
        for _ in range(2):
            work()
    found["peak"] = peak_megabytes(arguments.device)
    return found


def peak_megabytes(device: str) -> float:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e6
    # getrusage's ru_maxrss is no substitute: a new process takes over that of its parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main(sys.argv[1:])
