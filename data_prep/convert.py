"""From a folder of images to a prepared set: ``healswin-prep convert``.

Everything that can be wrong is looked at before the first image is decoded (`data_prep.plan`);
then samples are converted in any order by any number of workers (`data_prep.sampling`), noted
down as they are finished (`healswin.data.writer`) and summed up in their order.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from data_prep.conversion import Conversion
from data_prep.dry_run import summary
from data_prep.plan import Plan, make_plan
from data_prep.progress import progress_bar
from data_prep.sampling import ContentCheck
from data_prep.workers import run_all, run_in_threads
from healswin.data.store import PreparedSet
from healswin.data.writer import PreparedSetWriter, begun_plan, plan_differences

# Label images that are decoded before the work starts, spread over the source.
_LABELS_LOOKED_AT = 200

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def convert(
    conversion: Conversion,
    out: Path,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    on_error: str = "stop",
    progress: bool = True,
) -> str:
    """Make the prepared set `out`, or go on making it.

    With ``on_error="skip"`` all files are decoded once before the work starts, so that it is known
    which frames the set has; what is left out is decided then, and kept by a resumed conversion.

    Args:
        conversion: What to make.
        out: Where; it is built beside it as ``out.partial``.
        workers: Number of processes; the result does not depend on it.
        overwrite: Replace what `out` holds, when the new set is whole.
        dry_run: Check the source and say what would be made, without writing anything.
        on_error: "stop" at a source file that is wrong, or "skip" its frame.
        progress: Show a progress bar on stderr.

    Returns:
        What was done, in a few lines.

    Raises:
        ValueError: If an argument or a source file is wrong, `out` was made with other arguments,
            or another process is making it.
        RuntimeError: If the disk is full or a worker died; the same call continues.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    source, out = conversion.source.expanduser().resolve(), out.expanduser().resolve()
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise ValueError(f"the prepared set {out} and the source {source} must not hold each other")
    if (out / "zarr.json").exists() and not overwrite:
        return _whole_already(conversion, out)
    _check_writable(out)
    begun = None if overwrite else begun_plan(out)
    plan = make_plan(conversion, on_error, begun.get("skipped") if begun else None)
    if begun is None and not (dry_run and on_error == "stop"):
        plan = _checked(plan, range(len(plan.frames)), on_error, workers, progress)
    if dry_run:
        return summary(plan, out, workers)
    try:
        converted = _write(plan, out, workers, overwrite, begun is not None, progress)
    except PermissionError as error:
        raise ValueError(f"{error.filename or out} may not be written: no permission") from None
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise RuntimeError(
                f"the disk of {out} is full: what is finished is kept; make room and run the same "
                "command again, it continues"
            ) from None
        raise
    parts = ", ".join(f"{name} {len(indices)}" for name, indices in plan.split.items())
    arrays = ", ".join(["image", *plan.conversion.tasks])
    lines = [
        f"{out}: {len(plan.frames)} samples ({parts}) of {arrays}, {converted} of them converted "
        "now"
    ]
    if plan.skipped:
        lines.append(f"{len(plan.skipped)} frames were skipped (--overwrite tries them again):")
        lines += [f"  {name}: {reason}" for name, reason in plan.skipped.items()]
    return "\n".join(lines)


def _check_writable(out: Path) -> None:
    """Refuse a place where nothing can be written, before the long look through the source."""
    place = out
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise ValueError(f"{out} cannot be made: {place} is a file")
    if not os.access(place if place != out else out.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{out} may not be written: no permission in {place}")


def _whole_already(conversion: Conversion, out: Path) -> str:
    made = PreparedSet.open(out)
    there = {"grid": "healpix", **made.attributes.get("conversion", {})}
    wanted = {"grid": conversion.grid}
    if there["grid"] == conversion.grid:  # all that belongs to another grid differs with it
        wanted |= conversion.stated()
    differences = plan_differences({key: there.get(key) for key in wanted}, wanted)
    if differences:
        raise ValueError(
            f"{out} exists, made with other arguments: {differences}; choose another place, or "
            "give --overwrite"
        )
    # Left by a kill in the moment between the set's new name and the end.
    shutil.rmtree(out / ".work", ignore_errors=True)
    skipped = len(made.attributes.get("skipped", ()))
    without = f" ({skipped} frames were skipped, --overwrite tries them again)" if skipped else ""
    return f"{out} is whole already: {len(made)} samples, nothing to do{without}"


def _write(
    plan: Plan, out: Path, workers: int, overwrite: bool, check_left: bool, progress: bool
) -> int:
    """Convert what is not finished; return the number of samples."""
    with PreparedSetWriter(out, plan.as_json(), plan.arrays(), overwrite) as writer:
        # A source file that was mended since its sample was finished is converted again.
        done = {i for i, facts in writer.finished.items() if plan.is_current(i, facts)}
        left = [index for index in range(len(plan.frames)) if index not in done]
        if check_left:
            _checked(plan, left, "stop", workers, progress)
        job = plan.job(writer.partial)
        with progress_bar(len(plan.frames), len(done), progress) as advance:
            for index, facts in run_all(job, left, min(workers, max(1, len(left)))):
                writer.record(index, facts)
                advance()
        finished = [writer.finished[index] for index in range(len(plan.frames))]
        writer.finish(plan.attributes(finished))
    return len(left)


def _checked(
    plan: Plan, indices: Sequence[int], on_error: str, workers: int, progress: bool
) -> Plan:
    """The plan without the frames whose files turn out to be wrong when they are decoded.

    With "stop" only labels are looked at, and of many only some: a class list that does not fit
    shows there, and is better known before the work than after half of it. Each label is checked
    again when it is converted.

    Raises:
        ValueError: With "stop", if a file is wrong; the message names it.
    """
    skip = on_error == "skip"
    kinds = ("image", *plan.conversion.tasks) if skip else ("semantic",)
    if not set(kinds) <= {"image", *plan.conversion.tasks} or not indices:
        return plan
    if not skip:
        indices = indices[:: -(-len(indices) // _LABELS_LOOKED_AT)]
    check = ContentCheck(plan.reader, plan.frames, plan.classes, kinds, skip)
    failures: dict[str, str] = {}
    what = "checking files" if skip else "checking labels"
    with progress_bar(len(indices), 0, progress, what) as advance:
        for index, reason in run_in_threads(check, indices, workers):
            if reason:
                failures[plan.frames[index].name] = reason
            advance()
    return plan.without(failures) if failures else plan
