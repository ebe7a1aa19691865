"""What a conversion would read and write, how much and how long: ``convert --dry-run``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numcodecs import Zstd

from data_prep.plan import Plan
from data_prep.sampling import Sampler
from healswin.data.writer import ZSTD_LEVEL, finished_count

# Samples that are converted in memory to foretell size and time.
_TRIED = 3


def summary(plan: Plan, out: Path, workers: int) -> str:
    """What would be read and written, with size and time; a few samples are converted in memory.

    Raises:
        ValueError: If one of these samples cannot be converted.
    """
    frames, root = plan.frames, plan.reader.root
    names = list(plan.cameras)
    files = {path for frame in frames for path in frame.files.values()}
    size = sum((root / path).stat().st_size for path in files)
    lines = [
        f"would read {len(frames)} frames of {len(names)} cameras from {root} "
        f"({len(files)} files, {size / 1e6:.1f} MB)",
        *(f"  {key}: {plan.camera_keys.count(key)} frames" for key in names[:8]),
        *([f"  ... and {len(names) - 8} more calibrations"] if len(names) > 8 else []),
        f"would write {out}, {plan.grid}",
    ]
    stored, seconds = _tried(plan)
    for name, (shape, dtype) in plan.arrays().items():
        raw = int(np.prod(shape)) * np.dtype(dtype).itemsize
        lines.append(
            f"  {name}: {dtype} {shape}, {raw / 1e6:.1f} MB, about {stored[name] / 1e6:.1f} MB "
            "compressed"
        )
    lines += [f"  {name}: {len(indices)} samples" for name, indices in plan.split.items()]
    if plan.crop.sides != [0, 0, 0, 0]:
        lines.append(
            "  cut from the images: {} left, {} top, {} right, {} bottom".format(*plan.crop.sides)
        )
    done = finished_count(out)
    if done:
        lines.append(f"{done} samples are finished already and would be kept")
    lines += [f"would skip {name}: {reason}" for name, reason in plan.skipped.items()]
    total = seconds * len(frames) / workers
    lines.append(f"about {_duration(total)} with {workers} worker(s), without the disk's time")
    return "\n".join(lines)


def _tried(plan: Plan) -> tuple[dict[str, float], float]:
    """Compressed bytes of each array, and seconds a sample, from a few samples."""
    sample, codec = Sampler(plan.job(Path())), Zstd(level=ZSTD_LEVEL)
    count = len(plan.frames)
    indices = np.unique(np.linspace(0, count - 1, _TRIED).astype(int)).tolist()
    bytes_of: dict[str, list[int]] = {name: [] for name in plan.arrays()}
    times: list[float] = []
    # Once without the watch: a camera's table is made when its first frame comes.
    for repeat in range(2):
        for index in indices:
            start = time.perf_counter()
            made = sample(index)
            rows = {**made.values, "valid": made.valid}
            sizes = {name: len(codec.encode(np.ascontiguousarray(rows[name]))) for name in rows}
            if repeat:
                times.append(time.perf_counter() - start)
                for name, size in sizes.items():
                    bytes_of[name].append(size)
    number = {name: len(plan.cameras) if name == "valid" else count for name in bytes_of}
    return {k: float(np.mean(v)) * number[k] for k, v in bytes_of.items()}, float(np.mean(times))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{max(1, rest)} s"
