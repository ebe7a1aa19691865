"""What the page of a test report says of a segmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from healswin.grid import EquiangularGrid
from healswin.tasks.pages import Results, markdown_table
from healswin.tasks.segmentation import BACKGROUND, VOID
from healswin.tasks.worlds import NO_CAMERA, NO_SOURCES, Worlds

# Columns of the table: where the labels are compared, and who predicted.
COLUMNS = {
    "resized": "resized",
    "resized_prior": "resized, prior",
    "sphere": "sphere",
    "sphere_prior": "sphere, prior",
    "sphere_valid": "sphere, valid",
    "image": "image",
    "image_prior": "image, prior",
    "image_common": "common",
    "image_common_prior": "common, prior",
}

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
        return _HEADLINES[self.headline]

    def table(self) -> str:
        """The scores: means first, then the IoU of every class."""
        names, scores = self._class_names, self.results.values()
        rows = {}
        if VOID in names:
            rows[_HEADLINES["miou_without_void"]] = "miou_without_void"
        if BACKGROUND in names:
            rows[_HEADLINES["miou_without_background"]] = "miou_without_background"
            rows["accuracy without background"] = "accuracy_without_background"
        rows |= {"mIoU": "miou", "accuracy": "accuracy"}
        if any(f"boundary_{self.headline}" in column for column in scores):
            rows[f"boundary {self.headline_in_words}"] = f"boundary_{self.headline}"
        if any("calibration_error" in column for column in scores):
            rows["calibration error"] = "calibration_error"
        rows |= {name: f"iou/{name}" for name in names}
        columns: dict[str, dict[str, float | None]] = {}
        for name, title in self._columns().items():
            columns[title] = self.results[name]
            prefix = "unweighted/"
            plain = {
                k.removeprefix(prefix): v for k, v in self.results[name].items() if prefix in k
            }
            if plain:
                columns[f"{title}, unweighted"] = plain
        return markdown_table(rows, columns)

    def definitions(self) -> str:
        """What the columns are, why others are missing, and what the model gains over the prior."""
        own, results = self.worlds.own, self.results
        said = ["IoU over all of them together; means over the classes that occur."]
        if own == "resized":
            said.append("*resized*: on the pixels of the resized images.")
            if "sphere" in results:
                said.append("*sphere*: looked up at the valid pixels of the companion's sphere.")
        else:
            said.append("*sphere*: on the grid's pixels.")
        if isinstance(self.worlds.data.prepared.grid, EquiangularGrid):
            said.append(
                "Pixels count by their area; *unweighted*: every pixel counts once, as in "
                "published figures for this grid."
            )
        if "sphere_valid" in results:
            said.append(
                "The set was made with `--invalid void`: pixels that the camera does not see are "
                "void and count in *sphere*; *sphere, valid* leaves them out."
            )
        if "image" in results:
            part = "that the lens sees" if own == "resized" else "inside the domain"
            said.append(
                "*image*: projected back through the camera, on the pixels of the full-resolution "
                f"image {part}."
            )
        if "image_common" in results:
            said.append(
                "*common*: on those of them that the companion's sphere covers too; on the very "
                "same pixels a model of the companion is measured in its column *image*."
            )
        if self.worlds.same_split is False:
            said.append("**The companion's test split has other samples.**")
        said += self._reasons()
        if f"{own}_prior" in results:
            said.append(
                "*prior*: predicts at each pixel its most frequent training class, without looking "
                "at the image."
            )
            said += self._gain()
        return " ".join(said)

    def boundaries(self) -> str:
        """The boundary IoU of every class; nothing if it was not measured."""
        key = f"boundary_{self.headline}"
        columns = {t: self.results[n] for n, t in self._columns().items() if key in self.results[n]}
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

    def groups(self, name: str, title: str) -> str:
        """The scores of all groups; nothing if there is none.

        Args:
            name: "cameras" or "angles".
            title: Of the section.
        """
        columns: dict[str, dict[str, float | None]] = {}
        groups: list[str] = []
        for column, found in self.found.items():
            if not found[name]:
                continue
            groups += [group for group in found[name] if group not in groups]
            world = COLUMNS[column]
            if not columns:  # the worlds differ little in it
                total = sum(scores["pixels"] for scores in found[name].values())
                columns[f"pixels, {world}"] = {
                    group: scores["pixels"] / total for group, scores in found[name].items()
                }
            for score, words in ((self.headline, self.headline_in_words), ("accuracy", "accuracy")):
                columns[f"{words}, {world}"] = {
                    group: scores[score] for group, scores in found[name].items()
                }
        if not groups:
            return ""
        return f"## {title}\n\n{markdown_table({group: group for group in groups}, columns)}"

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

    def _columns(self) -> dict[str, str]:
        return {name: title for name, title in COLUMNS.items() if name in self.results}

    def _reasons(self) -> list[str]:
        """Why worlds are missing; nobody looks for common pixels beside those of the image."""
        missing = {
            world: reason
            for world, reason in self.absent.items()
            if world != "image_common" or self.worlds.own == "resized"
        }
        reasons = {
            reason: _IN_WORDS.get(
                reason,
                f"Not measured ({' and '.join(COLUMNS[w] for w in missing if missing[w] == reason)}"
                f"): {reason}.",
            )
            for reason in missing.values()
        }
        return list(reasons.values())

    def _gain(self) -> list[str]:
        own = self.worlds.own
        model, prior = (self.results[column][self.headline] for column in (own, f"{own}_prior"))
        if model is None or prior is None:
            return []
        where = "sphere" if own == "sphere" else "resized images"
        side = "above" if model >= prior else "below"
        return [
            f"On the {where} the model's {self.headline_in_words} is {abs(model - prior):.4f} "
            f"{side} the prior's."
        ]
