"""Conversions that are killed: what they leave, and that they continue to the same result."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from synwoodscape_folder import tree_bytes, write_synwoodscape

from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedSet

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = ["--nside", "32", "--tasks", "semantic,depth"]
FLAT = ["--grid", "image", "--size", "80x96", "--tasks", "semantic,depth"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_synwoodscape(tmp_path_factory.mktemp("source") / "set", scenes=15)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    run_here(source, out)
    return tree_bytes(out)


def run_here(source, out, **grid):
    conversion = Conversion(source, **(grid or {"nside": 32}), tasks=("semantic", "depth"))
    return convert(conversion, out, progress=False)


def start(source, out, workers, arguments=ARGUMENTS):
    command = [sys.executable, "-m", "data_prep.cli", "convert", str(source), str(out)]
    return subprocess.Popen(
        [*command, *arguments, "--workers", str(workers)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finished_samples(out):
    try:
        return (
            (out.with_name(out.name + ".partial") / ".work/finished.jsonl")
            .read_bytes()
            .count(b"\n")
        )
    except FileNotFoundError:
        return 0


def kill_after(process, out, samples, delay=0.0):
    """Kill the process once it has finished some samples; whether it was still at work."""
    while finished_samples(out) < samples and process.poll() is None:
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return not out.exists()


def children(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_conversion_is_no_set_and_continues(source, undisturbed, tmp_path):
    # On a busy machine the conversion may be over before this process notices its second sample.
    places = [tmp_path / str(attempt) for attempt in range(5)]
    killed = (out for out in places if kill_after(start(source, out, 1), out, samples=2))
    out = next(killed)
    with pytest.raises(ValueError, match=r"not finished.*same .*command again"):
        PreparedSet.open(out)
    before = finished_samples(out)
    assert f"{60 - before} of them converted now" in run_here(source, out)
    assert tree_bytes(out) == undisturbed


def test_a_killed_conversion_to_flat_images_continues(tmp_path):
    source = write_synwoodscape(tmp_path / "source", scenes=5)
    places = [tmp_path / str(attempt) for attempt in range(5)]
    started = ((out, start(source, out, 1, FLAT)) for out in places)
    out = next(out for out, process in started if kill_after(process, out, samples=2))
    before = finished_samples(out)
    grid = {"grid": "image", "size": (80, 96)}
    assert f"{20 - before} of them converted now" in run_here(source, out, **grid)
    run_here(source, tmp_path / "undisturbed", **grid)
    assert tree_bytes(out) == tree_bytes(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kills_at_many_points(source, undisturbed, tmp_path, workers):
    random = np.random.default_rng(workers)
    kills = 0
    for attempt in range(10):
        out = tmp_path / f"set{attempt}"
        # Killed up to three times before it may end.
        for samples in sorted(random.integers(1, 55, size=random.integers(1, 4))):
            process = start(source, out, workers)
            kills += kill_after(process, out, samples, delay=random.uniform(0, 0.01))
        run_here(source, out)
        assert tree_bytes(out) == undisturbed
        assert sorted(path.name for path in tmp_path.iterdir()) == [out.name]
        out.rename(tmp_path.parent / f"{tmp_path.name}-{attempt}")
    assert kills >= 10


@pytest.mark.slow
def test_kills_before_the_first_sample(source, undisturbed, tmp_path):
    random = np.random.default_rng(5)
    out = tmp_path / "set"
    for _ in range(8):
        process = start(source, out, workers=1)
        partial = out.with_name("set.partial")
        while not partial.exists() and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.03))
        process.kill()
        process.wait()
    run_here(source, out)
    assert tree_bytes(out) == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_end_with_their_parent(source, tmp_path):
    out = tmp_path / "set"
    process = start(source, out, workers=2)
    while finished_samples(out) < 1 and process.poll() is None:
        time.sleep(0.001)
    workers = children(process.pid)
    process.kill()
    process.wait()
    assert len(workers) >= 2
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if is_alive(pid)]


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_the_rest_continues(source, undisturbed, tmp_path):
    out = tmp_path / "set"
    command = [sys.executable, "-m", "data_prep.cli", "convert", str(source), str(out)]
    process = subprocess.Popen(
        [*command, *ARGUMENTS, "--workers", "2"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while finished_samples(out) < 1 and process.poll() is None:
        time.sleep(0.001)
    # The pool's workers come after multiprocessing's resource tracker.
    os.kill(max(children(process.pid)), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a worker process died" in errors
    run_here(source, out)
    assert tree_bytes(out) == undisturbed


def test_a_second_conversion_into_the_same_place_is_refused(source, tmp_path):
    out = tmp_path / "set"
    work = tmp_path / "set.partial/.work"
    work.mkdir(parents=True)
    with (work / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=r"another conversion is writing .*set at this moment"):
            run_here(source, out)
    assert "60 of them converted now" in run_here(source, out)
