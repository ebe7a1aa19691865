"""What the pages of all tasks are made of: tables, plain numbers, samples to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from healswin.data import PreparedSet

# Scores by name, of each column of a table.
Results = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class ReportOptions:
    """What a report is asked for; see `healswin.tasks.TestReport`, which has the same arguments.

    Attributes:
        pictures: How many samples are drawn, spread evenly over the split; -1 draws all.
        prior: Whether the prior is measured.
        companion: The set on whose pixels flat and spherical networks are compared.
        extremes: How many of the best and how many of the worst samples are drawn.
        boundary: Whether the scores at the boundaries of the classes are measured.
        calibration: Whether it is measured how often a prediction is right that is said to be sure.
        chamfer: Whether the distance between predicted and true point clouds is measured.
    """

    pictures: int = 4
    prior: bool = True
    companion: PreparedSet | None = None
    extremes: int = 2
    boundary: bool = True
    calibration: bool = True
    chamfer: bool = True


def markdown_table(
    rows: Mapping[str, str], columns: Mapping[str, Mapping[str, float | None]]
) -> str:
    """Scores as a Markdown table, aligned so that it can be read as it is.

    Args:
        rows: Key of the score of each row, by the row's title.
        columns: Scores of each column, by the column's title; "-" where there is none.
    """
    width = max(len(title) for title in rows)
    texts = {
        head: ["-" if scores.get(key) is None else f"{scores[key]:.4f}" for key in rows.values()]
        for head, scores in columns.items()
    }
    # Numbers below 10 are 6 wide.
    widths = {head: max(6, *map(len, (head, *cells))) for head, cells in texts.items()}
    lines = [
        f"| {'':{width}} | " + " | ".join(f"{head:>{widths[head]}}" for head in texts) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * (widths[head] + 1) + ":" for head in texts) + "|",
    ]
    for row, title in enumerate(rows):
        cells = (f"{texts[head][row]:>{widths[head]}}" for head in texts)
        lines.append(f"| {title:{width}} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plain_number(value: Tensor | float) -> float | None:
    """A plain number; None for classes that do not occur, which JSON has no NaN for."""
    number = float(value)
    return None if math.isnan(number) else number


def plain_numbers(scores: Mapping[str, Tensor | float]) -> dict[str, float | None]:
    """Scores by name as `plain_number`."""
    return {name: plain_number(value) for name, value in scores.items()}


def check_pictures(pictures: int) -> int:
    """A number of pictures.

    Raises:
        ValueError: If it is below -1.
    """
    if pictures < -1:
        raise ValueError(f"pictures={pictures} must be a number of samples, or -1 for all")
    return pictures


def remove_pictures(folder: Path) -> None:
    """Remove the pictures of an earlier run, which show other weights."""
    for picture in folder.glob("*.png"):
        picture.unlink()


def spread(indices: list[int], count: int) -> set[int]:
    """`count` of the indices, evenly spread; all of them for -1."""
    if count < 0 or count >= len(indices):
        return set(indices)
    positions = np.linspace(0, len(indices) - 1, count).round().astype(int)
    return {indices[position] for position in positions}
