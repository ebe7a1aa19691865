"""What the page of a test report says of predicted depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from healswin.grid import EquiangularGrid
from healswin.tasks.pages import Results, markdown_table
from healswin.tasks.world_pages import (
    COLUMNS,
    Wording,
    by_title,
    definitions,
    group_tables,
    missing_worlds,
)
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

_WORDING = Wording(
    headline="rmse",
    headline_in_words="RMSE",
    unit=" m",
    best="min",
    prior="its mean training depth",
    image="looked up at the pixels of the full-resolution image",
    common="at those of them that the companion's sphere covers too",
)


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
        return markdown_table(rows, by_title(self.results))

    def definitions(self) -> str:
        """What the columns are, why others are missing, and what the model gains over the prior."""
        first = "Over all pixels of all samples together; sky and unknown distances left out."
        counting, further = [], []
        if isinstance(self.worlds.data.prepared.grid, EquiangularGrid):
            counting.append("Pixels count by their area.")
        reasons = [
            f"Not measured ({COLUMNS[world]}): {reason}."
            for world, reason in missing_worlds(self.worlds, self.worlds.absent).items()
        ]
        if any("chamfer" in scores for scores in self.results.values()):
            further.append(
                "*Chamfer distance*: of the predicted points, at the set's own pixels, from the "
                "points of the full-resolution truth and back: the mean distance to the nearest "
                "point both ways, added up; a mean over samples. With squared distances it is the "
                "figure of HEAL-SWIN's publication."
            )
        said = definitions(self.worlds, self.results, _WORDING, counting, reasons, further)
        return " ".join([first, *said])

    def distances(self) -> str:
        """The main scores over ranges of true distance, and with sky."""
        rows = {
            f"{title}, {name}": f"{name}/{key}"
            for title, key in _MAIN.items()
            for name in self.ranges
        }
        columns = by_title(self.results)
        sky = markdown_table({title: f"with_sky/{key}" for title, key in _ROWS.items()}, columns)
        tables = [f"## With sky at {self.sky_depth:g} m\n\n{sky}"]
        if rows:
            tables.insert(0, f"## By true distance\n\n{markdown_table(rows, columns)}")
        return "\n\n".join(tables)

    def groups(self) -> list[str]:
        """The main scores by camera and by angle; nothing where there is no such group."""
        return group_tables(self.found, _MAIN)
