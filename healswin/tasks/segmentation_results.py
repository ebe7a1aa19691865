"""What a test run and a prediction of `SegmentationTask` leave behind."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from healswin.data import PreparedDataModule
from healswin.data.predictions import PredictionFile
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.metrics import PixelPrior
from healswin.tasks.evaluation import ImageView
from healswin.tasks.pages import ReportOptions, Results, plain_numbers, spread
from healswin.tasks.sample_pictures import SamplePictures
from healswin.tasks.segmentation import SegmentationTask, with_headline
from healswin.tasks.segmentation_page import SegmentationPage
from healswin.tasks.world_pages import COLUMNS, explained_prior, in_order, world_facts
from healswin.tasks.world_scores import WorldScores, sample_score
from healswin.tasks.worlds import Worlds
from healswin.viz import write_png
from healswin.viz.reliability import reliability_diagram

# Picture of the calibration, in the folder of pictures.
_RELIABILITY = "reliability.png"


class SegmentationReport:
    """Scores of a test run in every world, beside those of the pixel prior.

    The worlds are the sphere, the full-resolution image and, of flat images, the part of it that a
    companion on the sphere covers (`healswin.tasks.worlds`). Those that cannot be measured are left
    out, and the report says why. The prior predicts at each pixel of the set that pixel's own most
    frequent training class: it knows that the sky is up and sees no image.

    Args:
        data: What is tested.
        task: What predicts.
        folder: Where the pictures go.
        options: What the report is asked for.

    Raises:
        ValueError: If the classes of task and data differ, or the companion does not fit the data.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: SegmentationTask,
        folder: Path,
        options: ReportOptions,
    ) -> None:
        if list(data.class_names) != task.class_names:
            raise ValueError(
                f"class_names={task.class_names} of the task are not those of "
                f"{data.prepared.root}, {data.class_names}: convert the data to the task's classes"
            )
        self._data = data
        self._task = task
        self._folder = folder
        self._options = options
        self._worlds = Worlds(data, "semantic", options.companion)
        self._absent = dict(self._worlds.absent)
        self._headline = task.headline(data.class_names)
        draw = self._worlds.view.panel
        self._samples = SamplePictures(data, folder, options, task.best, task.device, draw)
        self._template = task.new_scores(on_grid=False).to(task.device)
        # Decided by the set, not by the samples of one process: all must agree.
        cameras = {self._worlds.camera_name(i) for i in data.split_indices("test")}
        self._cameras = sorted(cameras, key=lambda name: name or "")
        self._scores = {world: self._new_scores(world) for world in self._worlds.worlds}
        self._prior_scores: dict[str, WorldScores] = {}
        self._prior = None
        if options.prior:
            prepared = data.prepared
            with explained_prior(data):
                self._prior = PixelPrior.from_labels(
                    (prepared.semantic(i) for i in data.split_indices("train")),
                    data.num_classes,
                    data.ignore_index,
                    prepared.grid.areas() if isinstance(prepared.grid, EquiangularGrid) else None,
                ).prediction
            self._prior_on_device = torch.from_numpy(self._prior).to(task.device).long()
            self._own_prior = task.new_scores().to(task.device)
            others = [world for world in self._worlds.worlds if world != self._worlds.own]
            self._prior_scores = {world: self._new_scores(world, plain=True) for world in others}
        self._page: SegmentationPage

    def _new_scores(self, world: str, plain: bool = False) -> WorldScores:
        """An empty count of what is measured in a world; of the prior the plain scores only."""
        grid = None
        if world == "sphere":
            grid = self._data.prepared.grid
            if isinstance(grid, ImageGrid):
                grid = self._options.companion.grid
        # Boundaries are not measured on equiangular grids, which hold small pictures.
        boundary = not isinstance(grid, EquiangularGrid)
        return WorldScores(
            self._template,
            self._cameras,
            self._task.device,
            weighted=isinstance(grid, EquiangularGrid),
            grid=grid if isinstance(grid, HealpixGrid) else None,
            boundary=self._options.boundary and boundary and not plain,
            calibration=self._options.calibration and not plain,
        )

    def add(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Count a batch in every world and draw of it what is chosen."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        sure = None
        if self._options.calibration and "confidence" in outputs:
            sure = outputs["confidence"].float().cpu().numpy()
        for row, index in enumerate(outputs["sample"].tolist()):
            camera = self._worlds.camera_name(index)
            confidence = {} if sure is None else self._worlds.extra(index, sure[row])
            confusions = [
                self._scores[view.world].add(view, camera, confidence.get(view.world))
                for view in self._worlds.views(index, labels[row])
            ]
            if not confusions:  # flat images without their sources
                scores = self._task.new_scores(on_grid=False).to(self._task.device)
                self._task.count(scores, outputs["prediction"][row], batch["semantic"][row])
                confusions = [scores.confusion]
            score = sample_score(self._template, confusions[0], self._headline)
            self._samples.add(index, score, labels[row])
            if self._prior is not None:
                self._task.count(self._own_prior, self._prior_on_device, batch["semantic"][row])
            if self._prior_scores:
                for view in self._worlds.views(index, self._prior):
                    if view.world in self._prior_scores:
                        self._prior_scores[view.world].add(view, camera)

    def results(self, logged: dict[str, float | None], strategy: Strategy) -> Results:
        """Scores by column; called by all processes, which draw their best and worst samples.

        Args:
            logged: What the task logged, by name.
            strategy: That of the trainer.
        """
        self._samples.finish(strategy)
        own = self._worlds.own
        results = {own: dict(logged)}
        if self._prior is not None:
            prior = with_headline(self._own_prior.compute())
            results[f"{own}_prior"] = plain_numbers(prior)
        found = {world: scores.compute() for world, scores in self._scores.items()}
        priors = {world: scores.compute() for world, scores in self._prior_scores.items()}
        for world, counted in found.items():
            if counted is None:
                self._absent[world] = f"all pixels are ignored ({self._data.ignore_index})"
                continue
            column = self._column(world)
            # What the task logged of the same pixels stays as it was logged.
            results[column] = {**counted["scores"], **(logged if column == own else {})}
            if world in priors:
                results[f"{column}_prior"] = priors[world]["scores"]
        self._page = SegmentationPage(
            worlds=self._worlds,
            headline=self._headline,
            results=in_order(results),
            found={self._column(w): counted for w, counted in found.items() if counted},
            distances={self._column(w): scores.distance for w, scores in self._scores.items()},
            absent=self._absent,
        )
        return self._page.results

    def facts(self) -> dict[str, Any]:
        """What test.json holds besides the scores."""
        return {
            **world_facts(self._worlds, self._absent),
            "class_names": self._data.class_names,
            **{
                name: {column: found.get(name) for column, found in self._page.found.items()}
                for name in ("confusion", "cameras", "angles", "calibration")
            },
            "boundary_distance": self._page.distances,
            **self._samples.facts(self._headline),
        }

    def table(self, results: Results) -> str:
        """The scores as a Markdown table: means first, then the IoU of every class."""
        return self._page.table()

    def text(self, results: Results) -> str:
        """What the page says below the table, with the pictures."""
        page = self._page
        sections = [
            page.definitions(),
            page.boundaries(),
            *page.groups(),
            page.mistakes(),
            self._reliability(),
            *self._pictures(),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def _column(self, world: str) -> str:
        """The column of a world: valid pixels of the sphere have their own where others count."""
        prepared = self._data.prepared
        void = world == self._worlds.own and prepared.attributes.get("invalid") == "void"
        return f"{world}_valid" if void else world

    def _reliability(self) -> str:
        """Draw the calibration; nothing if it was not measured."""
        bins = {}
        for column, found in self._page.found.items():
            if "calibration" in found:
                error = found["calibration"]["ece"]
                bins[f"{COLUMNS[column]}: calibration error {error:.4f}"] = {
                    name: [math.nan if value is None else value for value in values]
                    for name, values in found["calibration"].items()
                    if isinstance(values, list)
                }
        if not bins:
            return ""
        write_png(self._folder / _RELIABILITY, reliability_diagram(bins))
        return (
            "## Calibration\n\nThe confidence of a pixel is the probability of its likeliest "
            "class. The calibration error is the mean over all pixels of the distance between the "
            "mean confidence and the accuracy of pixels of like confidence.\n\n"
            f"![Confidence and accuracy]({self._folder.name}/{_RELIABILITY})"
        )

    def _pictures(self) -> list[str]:
        """The sections with pictures: best, worst, and evenly spread samples."""
        where = next(iter(self._page.found), self._worlds.own)
        words = self._page.headline_in_words
        said = f"By the {words} of each on its own, *{COLUMNS[where]}*."
        return self._samples.sections("{:.4f}", "all pixels are ignored", [said])


class SegmentationPredictions:
    """Predicted classes in ``predictions/semantic``, and panels of some samples.

    Args:
        data: What is predicted.
        task: What predicts.
        indices: The samples.
        root: Where the predictions go.
        folder: Where the pictures go.
        pictures: How many samples are drawn, spread evenly over them; -1 draws all.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: SegmentationTask,
        indices: list[int],
        root: Path,
        folder: Path,
        pictures: int,
    ) -> None:
        self._data = data
        self._folder = folder
        self._drawn = spread(indices, pictures)
        self._view = ImageView(data)
        names = {"class_names": data.class_names, "class_colours": data.class_colours}
        self.file = PredictionFile(root, data.prepared, indices, {"semantic": "uint8"}, names)

    def add(self, outputs: dict[str, Tensor]) -> None:
        """Store a batch and draw those of its samples that are to be drawn."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        for index, prediction in zip(outputs["sample"].tolist(), labels, strict=True):
            self.file.write("semantic", index, prediction)
            if index in self._drawn:
                name = self._data.prepared.sample_names[index]
                write_png(self._folder / f"{name}.png", self._view.panel(index, prediction))

    def finish(self, strategy: Strategy) -> None:
        """All samples are stored already."""
