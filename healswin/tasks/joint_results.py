"""What a test run and a prediction of `JointTask` leave behind: what its two tasks would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import Strategy
from torch import Tensor

from healswin.data import PreparedDataModule
from healswin.tasks.depth_results import DepthPredictions, DepthReport
from healswin.tasks.joint import JointTask, heads_of
from healswin.tasks.pages import ReportOptions, Results, remove_pictures
from healswin.tasks.segmentation_results import SegmentationPredictions, SegmentationReport

_TITLES = {"segmentation": "Segmentation", "depth": "Depth"}


class JointReport:
    """The reports of segmentation and depth, one after the other.

    Args:
        data: What is tested.
        task: What predicts.
        folder: Where the pictures go: beside it, ``report_segmentation`` and ``report_depth``.
        options: What is measured and drawn.
    """

    def __init__(
        self, data: PreparedDataModule, task: JointTask, folder: Path, options: ReportOptions
    ) -> None:
        folders = {name: folder.with_name(f"{folder.name}_{name}") for name in _TITLES}
        if task.trainer.is_global_zero:
            for pictures in folders.values():
                remove_pictures(pictures)
        self._reports = {
            "segmentation": SegmentationReport(
                data, task.segmentation, folders["segmentation"], options
            ),
            "depth": DepthReport(data, task.depth, folders["depth"], options),
        }

    def add(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Note a batch."""
        for report, said in zip(self._reports.values(), heads_of(outputs), strict=True):
            report.add(said, batch)

    def results(
        self, logged: dict[str, float | None], strategy: Strategy
    ) -> dict[str, dict[str, Results]]:
        """Scores by task and column; called by all processes.

        Args:
            logged: What the task logged, by name.
            strategy: That of the trainer.
        """
        results = {}
        for name, report in self._reports.items():
            prefix = f"{name}/"
            own = {k.removeprefix(prefix): v for k, v in logged.items() if k.startswith(prefix)}
            results[name] = report.results(own, strategy)
        return results

    def facts(self) -> dict[str, Any]:
        """What test.json holds besides the scores, by task."""
        return {"facts": {name: report.facts() for name, report in self._reports.items()}}

    def table(self, results: dict[str, Results]) -> str:
        """Both tables."""
        return "\n\n".join(
            f"## {_TITLES[name]}\n\n{report.table(results[name])}"
            for name, report in self._reports.items()
        )

    def text(self, results: dict[str, Results]) -> str:
        """What the page says below the tables."""
        return "\n\n".join(
            f"## {_TITLES[name]}: more\n\n{report.text(results[name])}"
            for name, report in self._reports.items()
        )


class JointPredictions:
    """Predicted classes and depth in one file, and panels of both.

    Args:
        data: What is predicted.
        task: What predicts.
        indices: The samples.
        root: Where the predictions go.
        folder: Where the pictures go: beside it, ``pictures_segmentation`` and ``pictures_depth``.
        pictures: How many samples are drawn, spread evenly over them; -1 draws all.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: JointTask,
        indices: list[int],
        root: Path,
        folder: Path,
        pictures: int,
    ) -> None:
        folders = {name: folder.with_name(f"{folder.name}_{name}") for name in _TITLES}
        if task.trainer.is_global_zero:
            for place in folders.values():
                remove_pictures(place)
        self._classes = SegmentationPredictions(
            data, task.segmentation, indices, root, folders["segmentation"], pictures
        )
        self._depth = DepthPredictions(data, task.depth, indices, root, folders["depth"], pictures)
        self.file = self._classes.file.joined(self._depth.file)
        self._classes.file = self._depth.file = self.file

    def write_points(self, folder: Path, axes: str) -> None:
        """As `DepthPredictions.write_points`."""
        self._depth.write_points(folder, axes)

    def add(self, outputs: dict[str, Tensor]) -> None:
        """Store a batch."""
        classes, depth = heads_of(outputs)
        self._classes.add(classes)
        self._depth.add(depth)

    def finish(self, strategy: Strategy) -> None:
        """Both store what is left."""
        self._classes.finish(strategy)
        self._depth.finish(strategy)
