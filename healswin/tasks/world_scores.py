"""Everything that is counted of class predictions in one world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Num
from torch import Tensor

from healswin.grid import HealpixGrid
from healswin.metrics import SegmentationScores
from healswin.metrics.boundary import RATIO, BoundaryScores, SphereBand, image_band
from healswin.metrics.calibration import CalibrationError
from healswin.metrics.groups import GroupedConfusion, angle_groups, grouped_confusion
from healswin.tasks.pages import plain_number, plain_numbers
from healswin.tasks.segmentation import with_headline
from healswin.tasks.world_pages import RINGS
from healswin.tasks.worlds import View

# On a finer grid the boundary is looked at one pixel in 4^k, so that it is at no more than these.
_BOUNDARY_POINTS = 2**14

# Stands for the camera of samples that no camera took.
_NO_CAMERA = "no camera"

_IGNORED = 255  # what `View.as_map` gets as background


class WorldScores:
    """IoU and its confusion matrix by camera and by angle, boundary IoU, calibration.

    All states are sums, kept on the task's device, so that `compute` adds up all processes.

    Args:
        scores: An empty metric that says how scores are made of a confusion matrix.
        cameras: Names of the cameras that may come; None among them for samples without one.
        device: Of the task.
        weighted: Whether pixels count by their area.
        grid: Of the world's pixels if it is a HEALPix sphere; None in an image.
        boundary: Whether the boundaries are measured.
        calibration: Whether the calibration is.
    """

    def __init__(
        self,
        scores: SegmentationScores,
        cameras: Sequence[str | None],
        device: torch.device,
        weighted: bool = False,
        grid: HealpixGrid | None = None,
        boundary: bool = True,
        calibration: bool = True,
    ) -> None:
        self._scores = scores
        self._cameras = [camera or _NO_CAMERA for camera in cameras]
        classes = scores.num_classes
        self._by_camera = GroupedConfusion(self._cameras, classes, weighted).to(device)
        self._by_angle = GroupedConfusion(RINGS, classes, weighted).to(device)
        # As published for grids whose pixels have unlike areas: every pixel counts once.
        self._unweighted = GroupedConfusion(["all"], classes).to(device) if weighted else None
        self._boundary = BoundaryScores(classes).to(device) if boundary else None
        self._calibration = CalibrationError().to(device) if calibration else None
        self._band: SphereBand | None = None
        if boundary and grid is not None:
            every = 1
            while grid.num_pixels / every > _BOUNDARY_POINTS and every < grid.nside**2:
                every *= 4
            self._band = SphereBand(grid, every=every)

    def add(
        self, view: View, camera: str | None, confidence: Float32[np.ndarray, " n"] | None = None
    ) -> Num[Tensor, "classes classes"]:
        """Count a sample.

        Args:
            view: Its prediction and truth.
            camera: The name of its camera.
            confidence: Probability of each prediction; needed to measure the calibration.

        Returns:
            The confusion matrix of this sample.
        """
        prediction, truth = torch.from_numpy(view.prediction), torch.from_numpy(view.truth)
        areas = None if view.areas is None else torch.from_numpy(view.areas)
        classes = self._scores.num_classes
        rings = None if camera is None else angle_groups(torch.from_numpy(view.angle), len(RINGS))
        by_angle = grouped_confusion(prediction, truth, classes, rings, len(RINGS), areas)
        total = by_angle.sum(dim=0)
        if camera is not None:
            self._by_angle.update(by_angle)
        by_camera = total.new_zeros(len(self._cameras), classes, classes)
        by_camera[self._cameras.index(camera or _NO_CAMERA)] = total
        self._by_camera.update(by_camera)
        if self._unweighted is not None:
            self._unweighted.update(grouped_confusion(prediction, truth, classes))
        if self._calibration is not None and confidence is not None:
            right = prediction == truth
            self._calibration.update(torch.from_numpy(confidence), right, areas)
        if self._boundary is not None:
            self._add_boundary(view)
        return total

    def compute(self) -> dict[str, Any] | None:
        """What was counted, as plain values; called by all processes.

        Returns:
            ``scores`` by name (those of `SegmentationScores`, ``boundary_miou`` and its like,
            ``boundary_iou/<class>``, ``calibration_error``, ``overconfidence``), and more, which
            is no single number: ``confusion``, ``cameras``, ``angles`` and ``calibration``. None
            if no pixel was counted.
        """
        matrices = self._by_camera.compute()
        angles = self._by_angle.compute() if self._cameras != [_NO_CAMERA] else {}
        unweighted = None if self._unweighted is None else self._unweighted.compute()
        boundary = None if self._boundary is None else self._boundary.compute()
        calibration = None if self._calibration is None else self._calibration.compute()
        if not matrices:
            return None
        confusion = torch.stack(list(matrices.values())).sum(dim=0)
        scores = with_headline(self._scores.scores_of(confusion))
        if unweighted is not None:
            plain = with_headline(self._scores.scores_of(unweighted["all"]))
            scores |= {f"unweighted/{name}": value for name, value in plain.items()}
        if boundary is not None:
            scores |= self._boundary_scores(boundary)
        found: dict[str, Any] = {"confusion": confusion.tolist()}
        if calibration is not None and not calibration["ece"].isnan():
            scores["calibration_error"] = calibration["ece"]
            scores["overconfidence"] = calibration["overconfidence"]
            found["calibration"] = {
                name: [plain_number(v) for v in value] if value.ndim else plain_number(value)
                for name, value in calibration.items()
            }
        found["scores"] = plain_numbers(scores)
        for name, groups in (("cameras", matrices), ("angles", angles)):
            found[name] = {
                group: self._of_group(matrix)
                for group, matrix in groups.items()
                if group != _NO_CAMERA
            }
        return found

    @property
    def distance(self) -> dict[str, float] | None:
        """How the band at the boundaries is defined; None if they are not measured."""
        if self._boundary is None:
            return None
        if self._band is None:
            return {"share_of_diagonal": RATIO}
        every = self._band.grid.num_pixels // len(self._band.pixels)
        return {"radians": self._band.distance, "one_pixel_in": every}

    def _add_boundary(self, view: View) -> None:
        truth = view.as_map(view.truth, _IGNORED)
        prediction = view.as_map(view.prediction, _IGNORED)
        if self._band is None:
            bands = image_band(prediction), image_band(truth)
        else:
            bands = self._band(prediction), self._band(truth)
            truth, prediction = truth[self._band.pixels], prediction[self._band.pixels]
        self._boundary.update(prediction, truth, *bands)

    def _boundary_scores(self, iou: Tensor) -> dict[str, Tensor]:
        """The boundary IoU of every class and its means over the same classes as of the IoU."""
        scores = {"boundary_miou": iou.nanmean()}
        classes = torch.arange(len(iou), device=iou.device)
        for name, index in (
            ("void", self._scores.void_index),
            ("background", self._scores.background_index),
        ):
            if index is not None:
                scores[f"boundary_miou_without_{name}"] = iou[classes != index].nanmean()
        scores.setdefault("boundary_miou_without_void", scores["boundary_miou"])
        names = self._scores.class_names
        return scores | {f"boundary_iou/{n}": v for n, v in zip(names, iou, strict=True)}

    def _of_group(self, matrix: Num[Tensor, "classes classes"]) -> dict[str, float | None]:
        scores = with_headline(self._scores.scores_of(matrix))
        return {"pixels": float(matrix.sum()), **plain_numbers(scores)}


def sample_score(
    scores: SegmentationScores, confusion: Num[Tensor, "classes classes"], headline: str
) -> float:
    """The score of one sample by its confusion matrix; NaN where the truth is all ignored."""
    if not confusion.any():
        return math.nan
    return float(with_headline(scores.scores_of(confusion))[headline])
