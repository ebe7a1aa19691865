"""Trains the configurations of configs/mnist one after the other, in any number of calls.

    python benchmarks/mnist.py --minutes 60 --source FOLDER --runs classification/cnn_58k_r_r:0,1
    python benchmarks/mnist.py --minutes 60 --source FOLDER --runs classification/cnn_58k_r_r@0.1:0
    python benchmarks/mnist.py --table

A run is a configuration, a seed, and the part of the training images that is used: of a part there
are as many more epochs, so that all runs see equally many images. Each is trained, tested and put
under rotations by the commands of the command line, which are printed; a call stops when its
minutes are over and the next one goes on from the last whole epoch. What a finished run measured
goes to OUT/results.json, with the commit, the machine and the time; ``--table`` prints it in
Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# Seconds that a test after the last epoch may still take when the minutes are over.
GRACE = 60


@dataclass(frozen=True)
class Run:
    """One configuration of configs/mnist with one seed and a part of the training images."""

    name: str
    seed: int
    fraction: float = 1.0

    @property
    def config(self) -> Path:
        return ROOT / "configs" / "mnist" / f"{self.name}.yaml"

    @property
    def label(self) -> str:
        return self.name if self.fraction == 1 else f"{self.name}@{self.fraction:g}"

    @property
    def trained(self) -> Run:
        """The run whose weights this one tests: trained upright, NR/R is NR/NR."""
        if self.name.endswith("_nr_r"):
            return Run(self.name.removesuffix("_r") + "_nr", self.seed, self.fraction)
        return self

    def folder(self, out: Path) -> Path:
        return out / self.label / f"seed{self.seed}"


class OutOfTimeError(Exception):
    """The call's minutes are over."""


class Clock:
    """What is left of a call."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        return self.end - time.monotonic()

    def call(self, command: list[str], log: Path) -> float:
        """Run a command, its output appended to a log; stop it when the time is over.

        Returns:
            The seconds it took.
        """
        if self.left() <= 0:
            raise OutOfTimeError
        print("$", shlex.join(command), flush=True)
        start = time.monotonic()
        with log.open("a", encoding="utf-8") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
            try:
                code = process.wait(timeout=self.left())
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # Lightning ends the batch and closes its files
                try:
                    process.wait(timeout=GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                raise OutOfTimeError from None
        if code:
            tail = log.read_text(encoding="utf-8").splitlines()[-15:]
            sys.exit(f"{shlex.join(command)} ended with {code}:\n" + "\n".join(tail))
        return time.monotonic() - start


def healswin(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "healswin", *arguments]


def train(run: Run, arguments: argparse.Namespace, clock: Clock) -> None:
    """Train, test and measure one run, as far as the time reaches."""
    checkpoint, seconds = fit(run.trained, arguments, clock)
    folder = run.folder(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    root, prepare = data_of(run, arguments)
    clock.call(
        healswin(
            *("test", "--ckpt_path", str(checkpoint), "--data.root", root),
            *("--data.prepare", prepare, "--trainer.default_root_dir", str(folder)),
        ),
        folder / "log.txt",
    )
    # Rotated digits that are turned again tell nothing new.
    if run == run.trained:
        under = ["robustness", str(checkpoint), root, "--out", str(folder), "--rotations", "50"]
        clock.call(healswin(*under, "--limit", str(arguments.limit)), folder / "log.txt")
    _store(run, checkpoint, seconds, arguments)


def fit(run: Run, arguments: argparse.Namespace, clock: Clock) -> tuple[Path, float]:
    """Train a run, from where it stopped, unless it is trained.

    Returns:
        Its best weights, and the seconds that the training took over all calls.
    """
    folder = run.folder(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    root, prepare = data_of(run, arguments)
    last, best = folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "best.ckpt"
    seconds = _read(folder / "seconds.json", {"fit": 0.0, "epochs_done": False})
    if not seconds["epochs_done"]:
        command = healswin(
            *("fit", "--config", str(run.config.relative_to(ROOT)), "--seed_everything"),
            *(str(run.seed), "--data.seed", str(run.seed), "--data.root", root),
            *("--data.prepare", prepare, "--trainer.default_root_dir", str(folder)),
            *("--trainer.enable_progress_bar", "false", *part_of(run), *arguments.more),
        )
        if last.is_file():
            command += ["--ckpt_path", str(last)]
        start = time.monotonic()
        try:
            clock.call(command, folder / "log.txt")
            seconds["epochs_done"] = _is_whole(folder)
        finally:
            seconds["fit"] += time.monotonic() - start
            (folder / "seconds.json").write_text(json.dumps(seconds))
    if not seconds["epochs_done"]:
        sys.exit(f"{folder}: the training was stopped from outside; the same command goes on")
    return (best if best.is_file() else last), seconds["fit"]


def _is_whole(folder: Path) -> bool:
    """Whether a training reached its last epoch; told to stop, it ends as if nothing were wrong."""
    import torch

    newest = max((folder / "logs").glob("*/config.yaml"), key=lambda path: path.stat().st_mtime)
    epochs = yaml.safe_load(newest.read_text())["trainer"]["max_epochs"]
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True, mmap=True)
    return last["epoch"] + 1 >= epochs


def part_of(run: Run) -> list[str]:
    """Arguments that train on a part of the images for as many more epochs."""
    if run.fraction == 1:
        return []
    config = yaml.safe_load(run.config.read_text())
    epochs = str(math.ceil(config["trainer"]["max_epochs"] / run.fraction))
    more = ["--data.train_fraction", str(run.fraction), "--trainer.max_epochs", epochs]
    if "lr_scheduler" in config["model"]["init_args"]:
        more += ["--model.init_args.lr_scheduler.init_args.T_max", epochs]
    return more


def data_of(run: Run, arguments: argparse.Namespace) -> tuple[str, str]:
    """Folder of a run's data, and the arguments of healswin-prep that make them."""
    data = yaml.safe_load(run.config.read_text())["data"]
    prepare = data["prepare"]
    if arguments.source:
        kind, _, rest = prepare.split(" ", 2)
        prepare = f"{kind} {shlex.quote(str(arguments.source))} {rest}"
    return str(arguments.data / Path(data["root"]).name), prepare


def _store(run: Run, checkpoint: Path, seconds: float, arguments: argparse.Namespace) -> None:
    folder = run.folder(arguments.out)
    # The paths of this machine say nothing elsewhere.
    test = {
        key: value
        for key, value in _read(folder / "test.json", {}).items()
        if key not in ("checkpoint", "data")
    }
    results = _read(arguments.out / "results.json", {})
    results[f"{run.label}:{run.seed}"] = {
        "commit": _commit(),
        "hardware": hardware(),
        "date": time.strftime("%Y-%m-%d"),
        "parameters": parameters(checkpoint),
        "fit_seconds": round(seconds),
        "test": test,
        "robustness": _read(folder / "robustness.json", {}),
    }
    temporary = arguments.out / "results.json.new"
    temporary.write_text(json.dumps(results, indent=1))
    temporary.replace(arguments.out / "results.json")


def _read(path: Path, otherwise: dict) -> dict:
    return json.loads(path.read_text()) if path.is_file() else otherwise


def _commit() -> str:
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def hardware() -> str:
    """The machine in words."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.machine()}"


def parameters(checkpoint: Path) -> int:
    """Number of values in the network of a checkpoint."""
    import torch

    weights = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    return sum(values.numel() for name, values in weights.items() if name.startswith("network."))


def table(results: dict[str, dict]) -> str:
    """Finished runs as Markdown, the seeds of one configuration in one row."""
    rows: dict[str, list[dict]] = {}
    for name, result in results.items():
        rows.setdefault(name.rpartition(":")[0], []).append(result)
    lines = [
        "| configuration | parameters | seeds | test score | turned at random | kept | training |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(rows):
        of_seeds = rows[name]
        test = [headline(r["test"]) for r in of_seeds]
        under = [r["robustness"] for r in of_seeds]
        random = [r["random"][r["headline"]] if r else {} for r in under]
        turned = [scores.get("mean") for scores in random]
        kept = [scores.get("kept") for scores in random]
        minutes = statistics.mean(r["fit_seconds"] for r in of_seeds) / 60
        lines.append(
            f"| `{name}` | {of_seeds[0]['parameters']:,} | {len(of_seeds)} | {spread(test)} | "
            f"{spread(turned)} | {spread(kept)} | {minutes:.0f} min |"
        )
    return "\n".join(lines)


def headline(test: dict) -> float:
    """Accuracy of a classifier, non-background mIoU of a segmenter."""
    if test["task"] == "classification":
        return test["results"]["model"]["accuracy"]
    return test["results"]["sphere"]["miou_without_background"]


def spread(values: list[float | None]) -> str:
    """Mean and, of several values, their standard deviation; - if one is not defined."""
    if None in values:
        return "-"
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("--minutes", type=float, default=60.0, help="length of this call (default: %(default)s)")
    add("--source", type=Path, help="folder of the MNIST files; downloaded if not given")
    add(
        "--runs",
        nargs="*",
        default=[],
        metavar="NAME[@PART]:SEEDS",
        help="e.g. segmentation/fashion_cnn_5m:0",
    )
    add("--data", type=Path, default=Path("data/mnist"), help="prepared sets")
    add("--out", type=Path, default=Path("runs/mnist"), help="runs and results.json")
    add("--limit", type=int, default=1000, help="test samples under rotations")
    add("--table", action="store_true", help="print what is finished and stop")
    add("--more", nargs=argparse.REMAINDER, default=[], help="further arguments of healswin fit")
    arguments = parser.parse_args(argv)
    arguments.data, arguments.out = arguments.data.absolute(), arguments.out.absolute()
    return arguments


def runs_of(names: list[str]) -> list[Run]:
    """NAME:0,1 -> two runs; NAME@0.1:0 -> one on a tenth of the images."""
    runs = []
    for name in names:
        label, _, seeds = name.partition(":")
        config, _, fraction = label.partition("@")
        runs += [Run(config, int(seed), float(fraction or 1)) for seed in (seeds or "0").split(",")]
    for run in runs:
        if not run.config.is_file():
            sys.exit(f"{run.name}: there is no {run.config}")
    return runs


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = arguments.out / "results.json"
    if not arguments.table:
        clock = Clock(arguments.minutes)
        try:
            for run in runs_of(arguments.runs):
                if f"{run.label}:{run.seed}" in _read(results, {}):
                    continue
                train(run, arguments, clock)
        except OutOfTimeError:
            print("the minutes are over; the same command goes on")
    print(table(_read(results, {})))


if __name__ == "__main__":
    main()
