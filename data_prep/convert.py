"""From a folder of images to a prepared set: ``healswin-prep convert``.

Everything that can be wrong is looked at before the first image is decoded (`data_prep.plan`);
then samples are converted in any order by any number of workers (`data_prep.sampling`), noted
down as they are finished (`healswin.data.writer`) and summed up in their order.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data_prep.plan import Conversion, Plan, make_plan
from data_prep.progress import progress_bar
from data_prep.sampling import LabelCheck
from data_prep.workers import run_all
from healswin.data.store import PreparedSet, partial_path
from healswin.data.writer import PreparedSetWriter, plan_differences


def convert(
    conversion: Conversion,
    out: Path,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = True,
) -> str:
    """Make the prepared set `out`, or go on making it.

    Args:
        conversion: What to make.
        out: Where; it is built beside it as ``out.partial``.
        workers: Number of processes; the result does not depend on it.
        overwrite: Replace what `out` holds, when the new set is whole.
        dry_run: Check the source and say what would be made, without writing anything.
        progress: Show a progress bar on stderr.

    Returns:
        A sentence or table that says what was done.

    Raises:
        ValueError: If an argument or a source file is wrong, `out` was made with other arguments,
            or another process is making it.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    source, out = conversion.source.expanduser().resolve(), out.expanduser().resolve()
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise ValueError(f"the prepared set {out} and the source {source} must not hold each other")
    if (out / "zarr.json").exists() and not overwrite and not dry_run:
        made = PreparedSet.open(out)
        differences = plan_differences(
            made.attributes.get("conversion", {}), conversion.arguments()
        )
        if differences:
            raise ValueError(
                f"{out} exists, made with other arguments: {differences}; choose another place, or "
                "give --overwrite"
            )
        # Left by a kill in the moment between the set's new name and the end.
        shutil.rmtree(out / ".work", ignore_errors=True)
        return f"{out} is whole already: {len(made)} samples, nothing to do"
    plan = make_plan(conversion)
    if dry_run:
        return plan.summary(out)
    begun = partial_path(out).exists()
    if not begun:
        _check_labels(plan, list(range(len(plan.frames))), workers, progress)
    with PreparedSetWriter(out, plan.as_json(), plan.arrays(), overwrite) as writer:
        # A source file that was mended since its sample was finished is converted again.
        done = {i for i, facts in writer.finished.items() if plan.is_current(i, facts)}
        left = [index for index in range(len(plan.frames)) if index not in done]
        if begun:
            _check_labels(plan, left, workers, progress)
        job = plan.job(writer.partial)
        with progress_bar(len(plan.frames), len(done), progress) as advance:
            for index, facts in run_all(job, left, min(workers, max(1, len(left)))):
                writer.record(index, facts)
                advance()
        finished = [writer.finished[index] for index in range(len(plan.frames))]
        writer.finish(plan.attributes(finished))
    parts = ", ".join(f"{name} {len(indices)}" for name, indices in plan.split.items())
    return f"{out}: {len(plan.frames)} samples ({parts}), {len(left)} of them converted now"


def _check_labels(plan: Plan, indices: list[int], workers: int, progress: bool) -> None:
    """Look at all label ids before the long work; they are the one thing that only decoding shows.

    Raises:
        ValueError: If a label file is damaged or holds an unknown id; the message names it.
    """
    if plan.classes is None or not indices:
        return
    labels = LabelCheck(plan.reader, plan.frames, plan.classes)
    with progress_bar(len(indices), 0, progress, "checking labels") as advance:
        for _ in run_all(labels, indices, min(workers, len(indices))):
            advance()
