"""What a test run and a prediction of `DepthTask` leave behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from healswin.data import PreparedDataModule
from healswin.data.ply import write_ply
from healswin.data.predictions import PredictionFile
from healswin.grid import EquiangularGrid
from healswin.metrics import DepthPrior
from healswin.metrics.depth import range_name
from healswin.tasks.depth import DepthTask
from healswin.tasks.depth_evaluation import DepthClouds, DepthWorldScores, depth_picture
from healswin.tasks.depth_page import DepthPage
from healswin.tasks.evaluation import ImageView
from healswin.tasks.pages import ReportOptions, Results, plain_numbers, spread
from healswin.tasks.sample_pictures import SamplePictures
from healswin.tasks.world_pages import explained_prior, in_order, world_facts
from healswin.tasks.worlds import Worlds
from healswin.viz import write_png

# Worlds in which predicted and true points are compared.
_CLOUD_WORLDS = ("image", "image_common")


class DepthReport:
    """Scores of a test run in every world, beside those of a prior that sees no image.

    The prior predicts at each pixel that pixel's own mean training depth. The worlds are those of
    `healswin.tasks.worlds`. In the image the predicted point cloud, of the set's own pixels, is
    compared with that of the full-resolution truth; of the common pixels with what both domains
    share. Of each world the errors are told by camera and by angle from the optical axis too.

    Args:
        data: What is tested.
        task: What predicts.
        folder: Where the pictures go.
        options: What is asked for.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: DepthTask,
        folder: Path,
        options: ReportOptions,
    ) -> None:
        self._task = task
        self._options = options
        self._worlds = Worlds(data, "depth", options.companion)
        self._clouds = DepthClouds(data, options.companion)
        draw = partial(depth_picture, self._worlds.view)
        self._samples = SamplePictures(data, folder, options, task.best, task.device, draw)
        # Decided by the set, not by the samples of one process: all must agree.
        cameras = {self._worlds.camera_name(i) for i in data.split_indices("test")} - {None}
        self._cameras = sorted(cameras)
        self._scores = {world: self._new_scores(world) for world in self._worlds.worlds}
        self._prior = None
        if options.prior:
            grid = data.prepared.grid
            with explained_prior(data):
                self._prior = DepthPrior.from_depth(
                    (data.prepared.depth(i) for i in data.split_indices("train")),
                    grid.areas() if isinstance(grid, EquiangularGrid) else None,
                ).prediction
            self._prior_on_device = torch.from_numpy(self._prior).to(task.device)
            self._own_prior = task.new_scores().to(task.device)
            worlds = self._worlds.worlds
            self._scores |= {f"{world}_prior": self._new_scores(world) for world in worlds}
        self._page: DepthPage

    def _new_scores(self, world: str) -> DepthWorldScores:
        """An empty count of what is measured in a world."""
        clouds = self._options.chamfer and world in _CLOUD_WORLDS
        scores = self._task.new_scores()
        return DepthWorldScores(scores, self._cameras, self._task.device, chamfer=clouds)

    def add(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Compare a batch with the truth in every world, and draw of it what is chosen."""
        metres = outputs["prediction"].float().cpu().numpy()
        for row, index in enumerate(outputs["sample"].tolist()):
            truth = batch["depth"][row]
            self._count(index, metres[row], "")
            if self._prior is not None:
                self._count(index, self._prior, "_prior")
                self._task.count(self._own_prior, self._prior_on_device, truth)
            known = truth.isfinite()
            error = outputs["prediction"][row][known].double() - truth[known].double()
            self._samples.add(index, float(error.square().mean().sqrt()), metres[row])

    def results(self, logged: dict[str, float | None], strategy: Strategy) -> Results:
        """Scores by column; called by all processes, which draw their best and worst samples.

        Args:
            logged: What the task logged, by name.
            strategy: That of the trainer.
        """
        self._samples.finish(strategy)
        own = self._worlds.own
        found = {column: scores.compute() for column, scores in self._scores.items()}
        results = {column: counted["scores"] for column, counted in found.items()}
        # What the task logged of the same pixels stays as it was logged.
        results[own] = {**results.get(own, {}), **logged}
        if self._prior is not None:
            prior = self._own_prior.compute()
            results[f"{own}_prior"] = plain_numbers(prior)
        self._page = DepthPage(
            worlds=self._worlds,
            results=in_order(results),
            found=in_order(found),
            ranges=[range_name(low, high) for low, high in self._task.ranges],
            sky_depth=self._task.sky_depth,
        )
        return self._page.results

    def facts(self) -> dict[str, Any]:
        """What test.json holds besides the scores."""
        return {
            **world_facts(self._worlds, self._worlds.absent),
            "sky_depth": self._task.sky_depth,
            **{
                name: {column: found[name] for column, found in self._page.found.items()}
                for name in ("cameras", "angles")
            },
            **self._samples.facts("rmse"),
        }

    def table(self, results: Results) -> str:
        """The scores without sky as a Markdown table."""
        return self._page.table()

    def text(self, results: Results) -> str:
        """What the page says below the table, with further tables and the pictures."""
        page = self._page
        sections = [
            page.definitions(),
            page.distances(),
            *page.groups(),
            *self._samples.sections("RMSE {:.4f} m", "no distance is known"),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def _count(self, index: int, prediction: Float32[np.ndarray, " pixels"], ending: str) -> None:
        camera = self._worlds.camera_name(index)
        for view in self._worlds.views(index, prediction):
            scores = self._scores[f"{view.world}{ending}"]
            scores.add(view, camera)
            if scores.has_clouds:
                cloud = self._clouds.predicted(index, prediction, view.world == "image_common")
                scores.add_clouds(cloud, self._clouds.true(index, view))


class DepthPredictions:
    """Predicted depth in ``predictions/depth``, panels of some samples and, if asked for, clouds.

    Where the task predicts a deviation it is stored in ``predictions/deviation``.

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
        task: DepthTask,
        indices: list[int],
        root: Path,
        folder: Path,
        pictures: int,
    ) -> None:
        self._data = data
        self._folder = folder
        self._drawn = spread(indices, pictures)
        self._view = ImageView(data)
        self._sky_depth = task.sky_depth
        self._maps = {"depth": "prediction"}
        if task.log_variance_from is not None:
            self._maps["deviation"] = "deviation"
        maps = dict.fromkeys(self._maps, "float32")
        self.file = PredictionFile(root, data.prepared, indices, maps, {})
        self._clouds: DepthClouds | None = None
        self._axes = "camera"

    def write_points(self, folder: Path, axes: str) -> None:
        """From now on, write a point cloud of every sample that is drawn: ``NAME.ply``.

        Args:
            folder: Where they go.
            axes: "camera" or "vehicle".

        Raises:
            ValueError: If there are samples without a camera, or whose place on the vehicle is not
                known though its axes are wanted.
        """
        prepared = self._data.prepared
        for index in sorted(self._drawn):
            camera = prepared.cameras.get(prepared.sample_camera[index])
            if camera is None:
                raise ValueError(
                    f"points={axes!r}: sample {prepared.sample_names[index]!r} has no camera, so "
                    "that its pixels have no points"
                )
            if axes == "vehicle":
                camera.rotation()
        self._clouds, self._axes, self._points = DepthClouds(self._data), axes, folder

    def add(self, outputs: dict[str, Tensor]) -> None:
        """Store a batch and draw those of its samples that are to be drawn."""
        maps = {name: outputs[key].float().cpu().numpy() for name, key in self._maps.items()}
        for row, index in enumerate(outputs["sample"].tolist()):
            for name, values in maps.items():
                self.file.write(name, index, values[row])
            if index in self._drawn:
                name, metres = self._data.prepared.sample_names[index], maps["depth"][row]
                write_png(self._folder / f"{name}.png", depth_picture(self._view, index, metres))
                if self._clouds is not None:
                    points, colours = self._clouds.drawn(index, metres, self._sky_depth, self._axes)
                    # The header of a PLY file is ASCII.
                    plain = name.encode("ascii", "backslashreplace").decode()
                    comments = (f"sample {plain}", f"metres in {self._axes} axes")
                    write_ply(self._points / f"{name}.ply", points, colours, comments)

    def finish(self, strategy: Strategy) -> None:
        """All samples are stored already."""
