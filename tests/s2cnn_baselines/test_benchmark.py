"""The benchmark runs, at a tiny size."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "s2cnn.py"


@pytest.mark.slow
def test_the_benchmark_prints_its_tables():
    sections = ["forward", "step", "setup", "memory", "b128"]
    command = [sys.executable, SCRIPT, "--small", "--rounds", "1", "--threads", "1", "--only"]
    done = subprocess.run([*command, *sections], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for name in ("forward", "step", "set-up", "memory: step", "so3 b128: set-up, forward, memory"):
        assert name in names
