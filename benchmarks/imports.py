"""How long imports take beyond torch's, each in a fresh process: python benchmarks/imports.py.

The time on the clock counts; that on the processor says what it would be on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import sys, time
if sys.argv[1] == "with":
    import torch
start = time.perf_counter(), time.process_time()
import {module}
print(time.perf_counter() - start[0], time.process_time() - start[1])
"""
# What is imported, and whether torch is there before.
MODULES = {
    "torch": "without",
    "healswin": "without",
    "healswin.resample": "without",
    "healswin.models": "with",
    "healswin.zoo.load": "with",
    "healswin.apply.application": "with",
    "healswin.tasks": "with",
    "healswin.cli": "with",
}


def main() -> None:
    """Print a table of medians and minima in seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes for each (default: 5)")
    rounds = parser.parse_args().rounds
    print("| import | torch before | clock: median (min), s | processor: median (min), s |")
    print("|---|---|---:|---:|")
    for module, torch in MODULES.items():
        command = [sys.executable, "-c", PROGRAM.format(module=module), torch]
        runs = [subprocess.check_output(command, text=True).split() for _ in range(rounds)]
        cells = [
            f"{statistics.median(times):.2f} ({min(times):.2f})"
            for times in ([float(run[clock]) for run in runs] for clock in (0, 1))
        ]
        before = "yes" if torch == "with" else "no"
        print(f"| {module} | {before} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
