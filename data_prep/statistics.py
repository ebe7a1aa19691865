"""The statistics of a whole set's training split, worked out anew: ``healswin-prep stats``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from data_prep.describe import as_text, class_table, depth_text, label_table, numbers
from data_prep.progress import progress_bar
from data_prep.stats import sample_sums, totals
from healswin.data.store import PreparedSet
from healswin.data.writer import sync


def statistics(data: Path, progress: bool = True) -> str:
    """Work out the statistics of the training split in one pass and store them in the set.

    A conversion has stored the same figures; they are other ones if the set was changed since, in
    its split for instance. All other attributes stay as they are.

    Args:
        data: A whole prepared set.
        progress: Show a progress bar on stderr.

    Returns:
        The figures as tables, and whether they were there already.

    Raises:
        ValueError: If there is no whole prepared set, or a sample is damaged.
        OSError: If the set may not be written.
    """
    prepared = PreparedSet.open(data)
    found = _training_statistics(prepared, progress)
    attributes = {**prepared.attributes, **found}
    if attributes == prepared.attributes:
        outcome = f"{prepared.root} holds these figures already"
    else:
        _store(prepared.root, attributes)
        outcome = f"stored in {prepared.root / 'zarr.json'}"
    return f"{as_text(*_tables(prepared, attributes))}\n{outcome}"


def _training_statistics(prepared: PreparedSet, progress: bool) -> dict[str, Any]:
    training = prepared.split["train"]
    # The samples of a camera, of which there may be tens of thousands, share their field of view.
    valid_of = lru_cache(maxsize=16)(prepared.valid)
    samples = []
    with progress_bar(len(training), 0, progress, "statistics") as advance:
        for index in training:
            values = {"image": prepared.image(index)}
            if "semantic" in prepared.tasks:
                values["semantic"] = prepared.semantic(index)
            if "depth" in prepared.tasks:
                values["depth"] = prepared.depth(index)
            if "label" in prepared.tasks:
                values["label"] = np.int64(prepared.label(index))
            valid = valid_of(prepared.sample_camera[index])
            samples.append(sample_sums(values, valid, prepared.num_classes))
            advance()
    return totals(samples, len(prepared.label_names))


def _store(root: Path, attributes: dict[str, Any]) -> None:
    """Zarr writes the file beside its place and renames it: a reader sees the old or the new."""
    import zarr

    zarr.open_group(root, mode="r+").attrs.put(attributes)
    sync(root / "zarr.json")


def _tables(prepared: PreparedSet, attributes: dict[str, Any]) -> list[Table]:
    facts = Table(show_header=False)
    facts.add_row("set", str(prepared.root))
    facts.add_row("training samples", str(len(prepared.split["train"])))
    facts.add_row("image mean", numbers(attributes["image_mean"]))
    facts.add_row("image std", numbers(attributes["image_std"]))
    if "depth" in prepared.tasks:
        depth = attributes["depth_statistics"]
        facts.add_row("depth without sky", depth_text(depth))
        facts.add_row("pixels with depth", str(depth["count"]))
    tables = [facts]
    if prepared.num_classes:
        tables.append(class_table(attributes))
    if prepared.label_names:
        tables.append(label_table(attributes))
    return tables
