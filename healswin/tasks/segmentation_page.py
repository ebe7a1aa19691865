"""What the page of a test report says of a segmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from healswin.grid import EquiangularGrid
from healswin.tasks.pages import Results, markdown_table
from healswin.tasks.segmentation import BACKGROUND, VOID
from healswin.tasks.world_pages import (
    COLUMNS,
    Wording,
    by_title,
    definitions,
    group_tables,
    missing_worlds,
)
from healswin.tasks.worlds import NO_CAMERA, NO_SOURCES, Worlds

# Rows of the table that are means, and what they are called in words.
_HEADLINES = {
    "miou_without_void": "mIoU without void",
    "miou_without_background": "mIoU without background",
}

# Of a matrix with more classes only the largest mistakes are shown.
_LARGEST_MATRIX = 12
_MISTAKES = 20

# What is said of worlds that cannot be measured; other reasons are said as they are.
_IN_WORDS = {
    NO_SOURCES: "The source images are absent, so nothing was measured in the image.",
    NO_CAMERA: "The samples have no camera, so there is no image in which anything could be "
    "measured.",
}


@dataclass(frozen=True)
class SegmentationPage:
    """Tables and text of a test report, the pictures apart.

    Attributes:
        worlds: What the predictions were compared in.
        headline: Name of the score that is looked at first.
        results: Scores by column.
        found: What else was counted, by column; see `healswin.tasks.world_scores`.
        distances: How the band at the boundaries is defined, by column.
        absent: Why some worlds were not measured.
    """

    worlds: Worlds
    headline: str
    results: Results
    found: dict[str, dict[str, Any]]
    distances: dict[str, dict[str, float] | None]
    absent: dict[str, str]

    @property
    def headline_in_words(self) -> str:
        """The headline as it is called in the tables."""
        if self.headline == "miou_without_void" and VOID not in self._class_names:
            return "mIoU"  # without such a class both are the same
        return _HEADLINES[self.headline]

    def table(self) -> str:
        """The scores: means first, then the IoU of every class."""
        names, every = self._class_names, self.results.values()
        rows = {}
        if VOID in names:
            rows[_HEADLINES["miou_without_void"]] = "miou_without_void"
        if BACKGROUND in names:
            rows[_HEADLINES["miou_without_background"]] = "miou_without_background"
            rows["accuracy without background"] = "accuracy_without_background"
        rows |= {"mIoU": "miou", "accuracy": "accuracy"}
        if any(f"boundary_{self.headline}" in column for column in every):
            rows[f"boundary {self.headline_in_words}"] = f"boundary_{self.headline}"
        if any("calibration_error" in column for column in every):
            rows["calibration error"] = "calibration_error"
        rows |= {name: f"iou/{name}" for name in names}
        columns: dict[str, dict[str, float | None]] = {}
        for title, scores in by_title(self.results).items():
            columns[title] = scores
            prefix = "unweighted/"
            plain = {k.removeprefix(prefix): v for k, v in scores.items() if prefix in k}
            if plain:
                columns[f"{title}, unweighted"] = plain
        return markdown_table(rows, columns)

    def definitions(self) -> str:
        """What the columns are, why others are missing, and what the model gains over the prior."""
        first = "IoU over all of them together; means over the classes that occur."
        counting = []
        if isinstance(self.worlds.data.prepared.grid, EquiangularGrid):
            counting.append(
                "Pixels count by their area; *unweighted*: every pixel counts once, as in "
                "published figures for this grid."
            )
        if "sphere_valid" in self.results:
            counting.append(
                "The set was made with `--invalid void`: pixels that the camera does not see are "
                "void and count in *sphere*; *sphere, valid* leaves them out."
            )
        wording = Wording(
            headline=self.headline,
            headline_in_words=self.headline_in_words,
            unit="",
            best="max",
            prior="its most frequent training class",
            image="projected back through the camera, on the pixels of the full-resolution image",
            common="on those of them that the companion's sphere covers too; on the very same "
            "pixels a model of the companion is measured in its column *image*",
        )
        said = definitions(self.worlds, self.results, wording, counting, self._reasons())
        return " ".join([first, *said])

    def boundaries(self) -> str:
        """The boundary IoU of every class; nothing if it was not measured."""
        key = f"boundary_{self.headline}"
        columns = {t: scores for t, scores in by_title(self.results).items() if key in scores}
        if not columns:
            return ""
        bands = {}
        for distance in filter(None, self.distances.values()):
            if "radians" in distance:
                every = distance["one_pixel_in"]
                looked = "" if every == 1 else f" (looked at one pixel in {every})"
                bands[f"{math.degrees(distance['radians']):.1f} degrees on the sphere{looked}"] = 0
            else:
                bands[f"{distance['share_of_diagonal']:.0%} of the diagonal in the image"] = 0
        rows = {self.headline_in_words: key, **{n: f"boundary_iou/{n}" for n in self._class_names}}
        return (
            "## At the boundaries\n\n"
            "Boundary IoU: the IoU of those pixels of a class alone that lie near another class, "
            f"within {' and within '.join(bands)}.\n\n{markdown_table(rows, columns)}"
        )

    def groups(self) -> list[str]:
        """The main scores by camera and by angle; nothing where there is no such group."""
        return group_tables(
            self.found, {self.headline_in_words: self.headline, "accuracy": "accuracy"}
        )

    def mistakes(self) -> str:
        """The confusion matrix, or of a large one its largest mistakes."""
        if not self.found:
            return ""
        column, names = next(iter(self.found)), self._class_names
        counts = np.array(self.found[column]["confusion"], dtype=np.float64)
        true = counts.sum(axis=1, keepdims=True)
        shares = 100 * np.divide(counts, true, out=np.full_like(counts, np.nan), where=true > 0)
        where = f"*{COLUMNS[column]}*"
        if len(names) > _LARGEST_MATRIX:
            wrong = counts * (1 - np.eye(len(names)))
            order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]
            pairs = [divmod(int(place), len(names)) for place in order]
            lines = [
                "| truth | prediction | % of all pixels | % of the true class |",
                "|---|---|---:|---:|",
                *(
                    f"| {names[t]} | {names[p]} | {100 * wrong[t, p] / counts.sum():.2f} | "
                    f"{shares[t, p]:.1f} |"
                    for t, p in pairs
                    if wrong[t, p]
                ),
            ]
            said = f"The largest mistakes, {where}; test.json holds the whole matrix."
        else:
            cells = [[f"{s:.1f}" if np.isfinite(s) else "-" for s in row] for row in shares]
            width = max(len(name) for name in (*names, "truth"))
            widths = [max(len(name), 5) for name in names]
            heads = " | ".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True))
            lines = [
                f"| {'truth':{width}} | {heads} |",
                f"|{'-' * (width + 2)}|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|",
            ]
            for name, row in zip(names, cells, strict=True):
                text = " | ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True))
                lines.append(f"| {name:{width}} | {text} |")
            said = (
                f"Of the pixels of each true class (rows) the share in % that is predicted as each "
                f"class (columns), {where}."
            )
        return "\n".join(["## What is taken for what", "", said, "", *lines])

    @property
    def _class_names(self) -> list[str]:
        return self.worlds.data.class_names

    def _reasons(self) -> list[str]:
        """Why worlds are missing; a reason that several share is said once."""
        missing = missing_worlds(self.worlds, self.absent)
        reasons = {
            reason: _IN_WORDS.get(
                reason,
                f"Not measured ({' and '.join(COLUMNS[w] for w in missing if missing[w] == reason)}"
                f"): {reason}.",
            )
            for reason in missing.values()
        }
        return list(reasons.values())
