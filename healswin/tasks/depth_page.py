"""What the page of a test report says of predicted depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from healswin.grid import EquiangularGrid
from healswin.tasks.pages import Results, markdown_table
from healswin.tasks.segmentation_page import COLUMNS
from healswin.tasks.worlds import Worlds

# Rows of the tables, by what they are called in words.
_ROWS = {
    "RMSE (m)": "rmse",
    "MAE (m)": "mae",
    "AbsRel": "abs_rel",
    "SqRel (m)": "sq_rel",
    "RMSE of ln": "rmse_log",
    "SILog": "silog",
    "delta < 1.25": "delta1",
    "delta < 1.25^2": "delta2",
    "delta < 1.25^3": "delta3",
    "RMSE of 1/distance (1/m)": "rmse_inverse",
}
_CHAMFER_ROWS = {
    "Chamfer distance (m)": "chamfer",
    "... predicted to true (m)": "chamfer_from_prediction",
    "... true to predicted (m)": "chamfer_from_truth",
    "Chamfer, squared (m^2)": "chamfer_squared",
}
# What is told of parts of the pixels.
_MAIN = {"RMSE (m)": "rmse", "AbsRel": "abs_rel", "delta < 1.25": "delta1"}


@dataclass(frozen=True)
class DepthPage:
    """Tables and text of a test report, the pictures apart.

    Attributes:
        worlds: What the predictions were compared in.
        results: Scores by column.
        found: What else was counted, by column; see `healswin.tasks.depth_evaluation`.
        ranges: Names of the ranges of true distance.
        sky_depth: Metres that sky counts as where it counts.
    """

    worlds: Worlds
    results: Results
    found: dict[str, dict[str, Any]]
    ranges: list[str]
    sky_depth: float

    def table(self) -> str:
        """The scores without sky."""
        rows = dict(_ROWS)
        if any("chamfer" in scores for scores in self.results.values()):
            rows |= _CHAMFER_ROWS
        return markdown_table(rows, self._columns())

    def definitions(self) -> str:
        """What the columns are, why others are missing, and what the model gains over the prior."""
        own, results = self.worlds.own, self.results
        said = ["Over all pixels of all samples together; sky and unknown distances left out."]
        if own == "resized":
            said.append("*resized*: on the pixels of the resized images.")
            if "sphere" in results:
                said.append("*sphere*: looked up at the valid pixels of the companion's sphere.")
        else:
            said.append("*sphere*: on the grid's pixels.")
        if isinstance(self.worlds.data.prepared.grid, EquiangularGrid):
            said.append("Pixels count by their area.")
        if "image" in results:
            part = "that the lens sees" if own == "resized" else "inside the domain"
            said.append(f"*image*: looked up at the pixels of the full-resolution image {part}.")
        if "image_common" in results:
            said.append("*common*: at those of them that the companion's sphere covers too.")
        if self.worlds.same_split is False:
            said.append("**The companion's test split has other samples.**")
        said += [
            f"Not measured ({COLUMNS[world]}): {reason}."
            for world, reason in self.worlds.absent.items()
            if world != "image_common" or own == "resized"
        ]
        if any("chamfer" in scores for scores in results.values()):
            said.append(
                "*Chamfer distance*: of the predicted points, at the set's own pixels, from the "
                "points of the full-resolution truth and back: the mean distance to the nearest "
                "point both ways, added up; a mean over samples. With squared distances it is the "
                "figure of HEAL-SWIN's publication."
            )
        if f"{own}_prior" in results:
            said.append(
                "*prior*: predicts at each pixel its mean training depth, without looking at the "
                "image."
            )
            said += self._gain()
        return " ".join(said)

    def distances(self) -> str:
        """The main scores over ranges of true distance, and with sky."""
        rows = {
            f"{title}, {name}": f"{name}/{key}"
            for title, key in _MAIN.items()
            for name in self.ranges
        }
        sky = markdown_table(
            {title: f"with_sky/{key}" for title, key in _ROWS.items()}, self._columns()
        )
        tables = [f"## With sky at {self.sky_depth:g} m\n\n{sky}"]
        if rows:
            tables.insert(0, f"## By true distance\n\n{markdown_table(rows, self._columns())}")
        return "\n\n".join(tables)

    def groups(self, name: str, title: str) -> str:
        """The main scores of all groups; nothing if there is none.

        Args:
            name: "cameras" or "angles".
            title: Of the section.
        """
        columns: dict[str, dict[str, float | None]] = {}
        groups: list[str] = []
        for column, found in self.found.items():
            if not found.get(name) or column.endswith("_prior"):
                continue
            groups += [group for group in found[name] if group not in groups]
            world = COLUMNS[column]
            if not columns:  # the worlds differ little in it
                total = sum(scores["pixels"] for scores in found[name].values())
                columns[f"pixels, {world}"] = {
                    group: scores["pixels"] / total for group, scores in found[name].items()
                }
            for words, score in _MAIN.items():
                columns[f"{words}, {world}"] = {
                    group: scores[score] for group, scores in found[name].items()
                }
        if not groups:
            return ""
        return f"## {title}\n\n{markdown_table({group: group for group in groups}, columns)}"

    def _columns(self) -> dict[str, dict[str, float | None]]:
        return {
            title: self.results[name] for name, title in COLUMNS.items() if name in self.results
        }

    def _gain(self) -> list[str]:
        own = self.worlds.own
        model, prior = (self.results[column].get("rmse") for column in (own, f"{own}_prior"))
        if model is None or prior is None:
            return []
        where = "sphere" if own == "sphere" else "resized images"
        gain = f"{abs(model - prior):.4f} m {'below' if model <= prior else 'above'} the prior's"
        return [f"On the {where} the model's RMSE is {gain}."]
