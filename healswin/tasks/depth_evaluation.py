"""Predicted depth as scores, point clouds and pictures: what reports and predictions need."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from healswin.cameras.base import pole_rotation
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.views import view_of
from healswin.grid import ImageGrid
from healswin.metrics import ChamferScore, DepthScores
from healswin.metrics.depth_groups import GroupedDepth
from healswin.metrics.groups import angle_groups
from healswin.resample import DepthToPoints
from healswin.tasks.evaluation import ImageView, as_picture
from healswin.tasks.pages import plain_numbers
from healswin.tasks.world_pages import RINGS
from healswin.tasks.worlds import View
from healswin.viz import depth_panel

# Surround rigs have four cameras; bounded where every sample is calibrated anew.
_TABLES_KEPT = 8


class DepthWorldScores:
    """Everything that is counted of predicted depth in one world.

    All states are sums, kept on the task's device, so that `compute` adds up all processes.

    Args:
        scores: An empty metric.
        cameras: Names of the cameras that may come; empty for samples without one.
        device: Of the task.
        chamfer: Whether the distance between point clouds is measured.
    """

    def __init__(
        self,
        scores: DepthScores,
        cameras: Sequence[str],
        device: torch.device,
        chamfer: bool = False,
    ) -> None:
        self._device = device
        self._cameras = list(cameras)
        self._scores = scores.to(device)
        self._by_camera = GroupedDepth(self._cameras).to(device) if cameras else None
        self._by_angle = GroupedDepth(RINGS).to(device) if cameras else None
        self._chamfer = ChamferScore().to(device) if chamfer else None

    @property
    def has_clouds(self) -> bool:
        """Whether the distance between point clouds is measured."""
        return self._chamfer is not None

    def add(self, view: View, camera: str | None) -> None:
        """Count the pixels of a sample.

        Args:
            view: Its prediction and truth.
            camera: The name of its camera, None without one.
        """
        prediction, truth = self._tensor(view.prediction), self._tensor(view.truth)
        areas = None if view.areas is None else self._tensor(view.areas)
        self._scores.update(prediction, truth, areas)
        if camera is not None:
            self._by_camera.update(prediction, truth, self._cameras.index(camera), areas)
            rings = angle_groups(self._tensor(view.angle), len(RINGS))
            self._by_angle.update(prediction, truth, rings, areas)

    def add_clouds(
        self, prediction: Float32[np.ndarray, "n 3"], truth: Float32[np.ndarray, "m 3"]
    ) -> None:
        """Measure the clouds of a sample; one without any point has no distance.

        Args:
            prediction: Points (n, 3) in metres.
            truth: Points (m, 3) in metres.
        """
        if self._chamfer is not None and len(prediction) and len(truth):
            self._chamfer.update(self._tensor(prediction), self._tensor(truth))

    def compute(self) -> dict[str, Any]:
        """What was counted, as plain values; called by all processes.

        Returns:
            ``scores`` by name (those of `DepthScores` and `ChamferScore`), and those without sky of
            each of the ``cameras`` and the ``angles``, which are empty without a camera.
        """
        scores = self._scores.compute()
        if self._chamfer is not None:
            scores |= self._chamfer.compute()
        found: dict[str, Any] = {"scores": plain_numbers(scores)}
        for name, grouped in (("cameras", self._by_camera), ("angles", self._by_angle)):
            groups = {} if grouped is None else grouped.compute()
            found[name] = {group: plain_numbers(figures) for group, figures in groups.items()}
        return found

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device)


class DepthClouds:
    """Point clouds of the samples of a set, in camera axes.

    Args:
        data: What is predicted.
        companion: Of flat images: the HEALPix set whose domain is common to both.
    """

    def __init__(self, data: PreparedDataModule, companion: PreparedSet | None = None) -> None:
        self._prepared = data.prepared
        self._companion = companion
        self._of_grid = lru_cache(maxsize=_TABLES_KEPT)(self._make_grid_table)
        self._of_image = lru_cache(maxsize=_TABLES_KEPT)(self._make_image_table)
        self._in_common = lru_cache(maxsize=_TABLES_KEPT)(self._find_common)

    def predicted(
        self, sample: int, prediction: Float32[np.ndarray, " pixels"], common: bool = False
    ) -> Float32[np.ndarray, "n 3"]:
        """The points at the set's own pixels whose true depth is finite.

        As published, the truth decides where there is something (HEAL-SWIN's code, evaluation of
        the Chamfer distance): a network that has not learned the sky says nothing sensible of it.

        Args:
            sample: Index into the set.
            prediction: Metres of every pixel.
            common: Whether only pixels inside the companion's base pixels count.
        """
        key = self._prepared.sample_camera[sample]
        chosen = np.isfinite(self._prepared.depth(sample))
        if common:
            chosen &= self._in_common(key)
        return self._of_grid(key)(prediction, chosen=chosen)

    def true(self, sample: int, view: View) -> Float32[np.ndarray, "m 3"]:
        """The points of the full-resolution truth.

        Args:
            sample: Index into the set.
            view: Of a world whose pixels are those of the image.
        """
        depth = view.as_map(view.truth, np.nan)
        return self._of_image(self._prepared.sample_camera[sample])(depth)

    def drawn(
        self,
        sample: int,
        prediction: Float32[np.ndarray, " pixels"],
        sky_depth: float,
        axes: str,
    ) -> tuple[Float32[np.ndarray, "n 3"], UInt8[np.ndarray, "n 3"]]:
        """The points at all pixels that the lens sees, without asking the truth, and their colours.

        Args:
            sample: Index into the set.
            prediction: Metres of every pixel.
            sky_depth: Metres from which on a pixel is taken for sky and left out.
            axes: "camera" or "vehicle".

        Raises:
            ValueError: If the axes of the vehicle are not known.
        """
        key = self._prepared.sample_camera[sample]
        table = self._of_grid(key)
        chosen = self._prepared.valid(key) & (prediction < sky_depth)
        image = as_picture(self._prepared.image(sample))
        return (
            table(prediction, axes, chosen),
            image[table.known(prediction) & chosen],
        )

    def _make_grid_table(self, key: str) -> DepthToPoints:
        prepared = self._prepared
        return DepthToPoints(prepared.cameras[key], prepared.grid, prepared.pole)

    def _make_image_table(self, key: str) -> DepthToPoints:
        return DepthToPoints(self._prepared.cameras[key])

    def _find_common(self, key: str) -> Bool[np.ndarray, " pixels"]:
        """The pixels of a flat image whose rays meet the companion's base pixels."""
        rays = self._of_grid(key).rays
        turn = pole_rotation(self._prepared.cameras[key], self._companion.pole)
        seen = np.isfinite(rays).all(axis=1)
        seen[seen] = self._companion.grid.lookup(rays[seen] @ turn) >= 0
        return seen


def depth_picture(
    view: ImageView, sample: int, prediction: Float32[np.ndarray, " pixels"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Image, true and predicted depth and the error, in the image and on the sphere.

    Flat sets have no sphere but their companion's; theirs are the resized images where the sources
    are absent.

    Args:
        view: Looks maps up in the images.
        sample: Index into the set.
        prediction: Metres of every pixel of the set.
    """
    data, prepared = view.data, view.data.prepared
    key, title = prepared.sample_camera[sample], prepared.sample_names[sample]
    stored = prepared.depth(sample) if "depth" in prepared.tasks else None
    in_image = None
    if key in prepared.cameras:
        in_image = view.table(key).nearest(prediction, np.nan)
    image, truth = data.source_image(sample), data.image_depth(sample)
    if isinstance(prepared.grid, ImageGrid):
        if image is None or in_image is None:
            shape = prepared.grid.shape
            image = as_picture(prepared.image(sample)).reshape(*shape, 3)
            truth = None if stored is None else stored.reshape(shape)
            in_image = prediction.reshape(shape)
        there = view.companion
        if there is None:
            return depth_panel(image=image, truth=truth, prediction=in_image, title=title)
        row = there.sample_names.index(title)
        prediction = view.sphere_table(key).nearest(prediction, np.nan)
        stored = there.depth(row) if "depth" in there.tasks else None
    else:
        there, row = prepared, sample
    centre, up = view_of(there, row)
    return depth_panel(
        image=image,
        truth=truth,
        prediction=in_image,
        grid=there.grid,
        sphere_image=as_picture(there.image(row)),
        sphere_truth=stored,
        sphere_prediction=prediction,
        title=title,
        centre=centre,
        up=up,
    )
