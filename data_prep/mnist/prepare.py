"""From pictures of digits to a prepared set: ``healswin-prep mnist``.

Samples are made and written by the shard (`healswin.data.writer`), in any order by any number of
processes; a shard that is whole is noted down, and the same command goes on with the others.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np

from data_prep.mnist.conversion import MnistConversion
from data_prep.mnist.plan import Plan, make_plan
from data_prep.mnist.samples import ShardJob
from data_prep.progress import progress_bar
from data_prep.workers import run_all
from healswin.data.store import PreparedSet
from healswin.data.writer import PreparedSetWriter, SampleWriter, plan_differences

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def prepare_mnist(
    conversion: MnistConversion,
    out: Path,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> str:
    """Make the prepared set `out`, or go on making it.

    Args:
        conversion: What to make.
        out: Where; it is built beside it as ``out.partial``.
        workers: Number of processes; the result does not depend on it.
        overwrite: Replace what `out` holds, when the new set is whole.
        progress: Show a progress bar on stderr.

    Returns:
        What was done, in a line.

    Raises:
        ValueError: If an argument or a source file is wrong, `out` was made with other arguments,
            or another process is making it.
        RuntimeError: If a download fails, the disk is full or a worker died; the same call
            continues.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    out = out.expanduser().resolve()
    source = Path(conversion.source).expanduser().resolve()
    if source.is_dir() and (out.is_relative_to(source) or source.is_relative_to(out)):
        raise ValueError(f"the prepared set {out} and the source {source} must not hold each other")
    plan = make_plan(conversion)
    if (out / "zarr.json").exists() and not overwrite:
        return _whole_already(plan, out)
    try:
        _write(plan, out, workers, overwrite, progress)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise RuntimeError(
                f"the disk of {out} is full: what is finished is kept; make room and run the same "
                "command again, it continues"
            ) from None
        raise
    parts = ", ".join(f"{part.name} {part.count}" for part in plan.parts)
    return f"{out}: {plan.samples} samples ({parts}) of {', '.join(plan.names)}"


def _write(plan: Plan, out: Path, workers: int, overwrite: bool, progress: bool) -> None:
    with PreparedSetWriter(out, plan.as_json(), plan.arrays(), overwrite, plan.shard) as writer:
        pixels = plan.conversion.pixels().num_pixels
        SampleWriter(writer.partial, ["valid"]).write(0, {"valid": np.ones(pixels, dtype=bool)})
        left = [shard for shard in range(writer.units) if shard not in writer.finished]
        job = ShardJob(plan, writer.partial, plan.shard)
        done = writer.units - len(left)
        with progress_bar(writer.units, done, progress, "drawing shards") as advance:
            for shard, facts in run_all(job, left, min(workers, max(1, len(left)))):
                writer.record(shard, facts)
                advance()
        writer.finish(plan.attributes([writer.finished[unit] for unit in range(writer.units)]))


def _whole_already(plan: Plan, out: Path) -> str:
    made = PreparedSet.open(out).attributes
    # The files' names do not matter, what they hold does.
    there = {
        **made.get("conversion", {}),
        "files": sorted(file["sha256"] for file in made.get("source_files", ())),
    }
    wanted = {
        **plan.conversion.arguments(),
        "files": sorted(file["sha256"] for file in plan.originals.files),
    }
    differences = plan_differences({key: there.get(key) for key in wanted}, wanted)
    if differences:
        raise ValueError(
            f"{out} exists, made with other arguments: {differences}; choose another place, or "
            "give --overwrite"
        )
    # Left by a kill in the moment between the set's new name and the end.
    shutil.rmtree(out / ".work", ignore_errors=True)
    return f"{out} is whole already: {plan.samples} samples, nothing to do"
