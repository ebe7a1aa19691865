"""The measurement: every sample, predicted by every member."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from healswin.data.depth import DepthScale
from healswin.data.prepared import PreparedDataset, collate
from healswin.data.transforms import Normalisation
from healswin.grid import EquiangularGrid
from healswin.metrics import (
    CalibrationError,
    ClassMixture,
    Coverage,
    DepthMixture,
    DepthScores,
    Sparsification,
)
from healswin.scoring import (
    LabelScores,
    PixelScores,
    check_fit,
    described,
    new_scores,
    samples_of,
)
from healswin.uncertainty.members import Members

if TYPE_CHECKING:
    from healswin.data import PreparedSet

# Deviations in metres beyond this are all alike, unless the depth's own limits are known.
_HIGHEST_DEVIATION = 1000.0

# Scores of depth that stand in the answer.
_DEPTH_SCORES = ("rmse", "mae", "abs_rel", "rmse_log", "delta1")


@dataclass(frozen=True)
class Maps:
    """What the members say of one sample, for pictures.

    Attributes:
        prediction: (pixels,) classes int64 or metres float32; of a classification a number.
        parts: Uncertainty by its name, (pixels,) float32: entropies in nats, or deviations in
            metres.
    """

    prediction: Shaped[np.ndarray, "*pixels"]
    parts: Mapping[str, Float32[np.ndarray, "*pixels"]]

    def row(self, number: int) -> Maps:
        """One sample of a batch."""
        return Maps(self.prediction[number], {k: v[number] for k, v in self.parts.items()})


def measure_uncertainty(
    members: Members,
    data: PreparedSet,
    *,
    split: str = "test",
    limit: int | None = None,
    batch_size: int = 8,
    draw: Collection[int] = (),
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], dict[int, Maps]]:
    """Score the members, each by itself and together, and ask whether they know when they err.

    Args:
        members: What predicts; it computes where it is.
        data: A prepared set on their grid, with the truth.
        split: Which part of it; "test" means "val" in a set without tests.
        limit: At most so many samples, spread evenly over the part; None: all.
        batch_size: Samples the networks see at a time.
        draw: Samples of which the maps are kept.
        progress: Told the number of samples that were just finished.

    Returns:
        Plain JSON values, and the maps by sample:

        - ``models``, ``members``, ``draws``, ``task``, ``data``: what was measured;
        - ``single``, ``together``: scores by name, the mean over the members, and of their mean:
          those of `healswin.scoring`, or of `healswin.metrics.DepthScores`;
        - ``calibration``: "single" and "together" (`healswin.metrics.CalibrationError`); of depth,
          of the mixture's intervals (`healswin.metrics.Coverage`), if any has a width;
        - ``uncertainty``: mean of each of its parts;
        - ``sparsification``: by part, the curve ``kept``, ``error`` at a hundred places, of which
          the last is all, and its ``area`` (`healswin.metrics.Sparsification`); of depth in metres.

    Raises:
        ValueError: If members and data do not fit, nothing can be scored, or a number is out of
            range.
    """
    for name, value in (("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    model = members.models[0]
    config = model.config
    truth = check_fit(model, data, ("classification", "segmentation", "depth"))
    part, indices = samples_of(data, split, limit)
    normalisation = Normalisation(
        config.image_mean or data.image_mean, config.image_std or data.image_std
    )
    dataset = PreparedDataset(data, indices, [truth], normalisation)
    areas = None
    if isinstance(data.grid, EquiangularGrid) and truth != "label":
        areas = torch.from_numpy(data.grid.areas())
    count = _DepthCount if truth == "depth" else _ClassCount
    counted = count(members, data, areas)
    maps: dict[int, Maps] = {}
    for start in range(0, len(dataset), batch_size):
        positions = range(start, min(start + batch_size, len(dataset)))
        batch = collate(dataset.__getitems__(positions))
        samples = batch["sample"].tolist()
        said = counted.add(members.answers(batch["image"], samples[0]), batch[truth])
        for row, index in enumerate(samples):
            if index in draw:
                maps[index] = said.row(row)
        if progress is not None:
            progress(len(positions))
    result = {
        "models": [model.config.name for model in members.models],
        "members": len(members),
        "draws": members.draws,
        "seed": members.seed,
        "task": config.task,
        "data": described(data, part, indices),
        **counted.result(),
    }
    return result, maps


class _ClassCount:
    """Scores, calibration and sparsification of classes of pixels or of whole samples."""

    def __init__(self, members: Members, data: PreparedSet, areas: Tensor | None) -> None:
        config = members.models[0].config
        self._ignore = None if config.task == "classification" else data.ignore_index
        self._areas = areas
        self._single = [new_scores(config.task, data) for _ in range(len(members))]
        self._together = new_scores(config.task, data)
        self._single_errors = [CalibrationError() for _ in range(len(members))]
        self._together_error = CalibrationError()
        self._parts = _Parts(("entropy", "mutual_information"), math.log(config.num_classes))

    def add(self, answers: Iterable[Tensor], truth: Tensor) -> Maps:
        """Count what all members answer to a batch (batch, classes, ...)."""
        mixture = ClassMixture()
        for answer, scores, error in zip(answers, self._single, self._single_errors, strict=True):
            probabilities = answer.softmax(dim=1).cpu()
            mixture.add(probabilities)
            self._count(scores, error, probabilities, truth)
        said = mixture.result()
        prediction = self._count(self._together, self._together_error, said.probabilities, truth)
        parts = {"entropy": said.entropy, "mutual_information": said.mutual_information}
        known = self._known(truth)
        self._parts.add(parts, prediction != truth, known, self._areas_of(truth, known))
        return Maps(prediction.numpy(), {k: v.float().numpy() for k, v in parts.items()})

    def _known(self, truth: Tensor) -> Tensor:
        everything = torch.ones_like(truth, dtype=torch.bool)
        return everything if self._ignore is None else truth != self._ignore

    def _areas_of(self, truth: Tensor, known: Tensor) -> Tensor | None:
        return None if self._areas is None else self._areas.expand(truth.shape)[known]

    def _count(
        self,
        scores: LabelScores | PixelScores,
        error: CalibrationError,
        probabilities: Tensor,
        truth: Tensor,
    ) -> Tensor:
        confidence, prediction = probabilities.max(dim=1)
        scores.update(prediction, truth)
        known = self._known(truth)
        right = (prediction == truth)[known]
        error.update(confidence[known], right, self._areas_of(truth, known))
        return prediction

    def result(self) -> dict[str, Any]:
        """Plain JSON values."""
        single = [_plain(error.compute()) for error in self._single_errors]
        return {
            "single": _mean([scores.compute() for scores in self._single]),
            "together": self._together.compute(),
            "calibration": {
                "single": _mean(single),
                "together": _plain(self._together_error.compute()),
            },
            **self._parts.result(),
        }


class _DepthCount:
    """Scores, coverage and sparsification of depth."""

    def __init__(self, members: Members, data: PreparedSet, areas: Tensor | None) -> None:
        depth = dict(members.models[0].config.depth)
        self._noisy = depth.pop("log_variance")
        self._scale = DepthScale(**depth)
        self._areas = areas
        self._single = [DepthScores(ranges=()) for _ in range(len(members))]
        self._together = DepthScores(ranges=())
        self._single_coverage = [Coverage() for _ in range(len(members))]
        self._together_coverage = Coverage()
        names = ("deviation", "disagreement", "noise") if self._noisy else ("deviation",)
        self._parts = _Parts(names, self._scale.max or _HIGHEST_DEVIATION)

    def add(self, answers: Iterable[Tensor], truth: Tensor) -> Maps:
        """Count what all members answer to a batch (batch, 1 or 2, pixels)."""
        scale, known = self._scale, truth.isfinite()
        learned = torch.where(known, scale.encode(truth), torch.nan)
        mixture = DepthMixture()
        members = zip(answers, self._single, self._single_coverage, strict=True)
        for answer, scores, coverage in members:
            mean = answer[:, 0].cpu()
            variance = answer[:, 1].exp().cpu() if self._noisy else None
            mixture.add(mean, variance)
            scores.update(scale.decode(mean), truth, self._areas)
            if variance is not None:
                coverage.update(mean, variance.sqrt(), learned)
        said = mixture.result()
        metres = scale.decode(said.mean)
        self._together.update(metres, truth, self._areas)
        self._together_coverage.update(said.mean, said.deviation, learned)
        parts = {"deviation": said.deviation}
        if self._noisy:
            parts |= {"disagreement": said.disagreement.sqrt(), "noise": said.noise.sqrt()}
        areas = None if self._areas is None else self._areas.expand(truth.shape)[known]
        # Errors are in metres: so are the deviations that are to find them.
        in_metres = {k: scale.deviation(said.mean, v).float() for k, v in parts.items()}
        self._parts.add(in_metres, (metres - truth).abs(), known, areas)
        return Maps(metres.float().numpy(), {k: v.numpy() for k, v in in_metres.items()})

    def result(self) -> dict[str, Any]:
        """Plain JSON values.

        Raises:
            ValueError: If no pixel has a known depth.
        """
        together = _plain(self._together.compute())
        if not together["pixels"]:
            raise ValueError("there is no pixel with a known depth to score")
        single = [_plain(scores.compute()) for scores in self._single]
        calibration = {"together": _curve_of(self._together_coverage)}
        if self._noisy:
            curves = [_curve_of(coverage) for coverage in self._single_coverage]
            if all(curves):
                error = np.mean([curve["error"] for curve in curves])
                calibration["single"] = {"error": float(error)}
        return {
            "single": _mean([{k: scores[k] for k in _DEPTH_SCORES} for scores in single]),
            "together": {k: together[k] for k in _DEPTH_SCORES},
            "calibration": calibration,
            **self._parts.result(),
        }


class _Parts:
    """Parts of the uncertainty: their means, and how well each finds the errors."""

    def __init__(self, names: Sequence[str], highest: float) -> None:
        self._sums = dict.fromkeys(names, 0.0)
        self._weight = 0.0
        self._curves = {name: Sparsification(highest) for name in names}

    def add(
        self, parts: Mapping[str, Tensor], error: Tensor, known: Tensor, areas: Tensor | None
    ) -> None:
        """Count the pixels that are known, by area if areas are given."""
        weight = torch.ones(int(known.sum()), dtype=torch.float64) if areas is None else areas
        self._weight += float(weight.sum())
        for name, curve in self._curves.items():
            values = parts[name][known]
            self._sums[name] += float((weight * values.double()).sum())
            curve.update(values, error[known], weight)

    def result(self) -> dict[str, Any]:
        """Plain JSON values."""
        places = np.linspace(0.01, 1, 100)
        curves = {}
        for name, curve in self._curves.items():
            values = {key: value.numpy() for key, value in curve.compute().items()}
            known = np.isfinite(values["error"])
            error = np.interp(places, values["kept"][known], values["error"][known])
            curves[name] = {
                "kept": [round(float(place), 2) for place in places],
                "error": error.tolist(),
                "area": float(values["area"]),
            }
        means = {name: total / self._weight for name, total in self._sums.items()}
        return {"uncertainty": means, "sparsification": curves}


def _curve_of(coverage: Coverage) -> dict[str, Any]:
    """The curve; nothing where no deviation is above 0, as of members that agree in all."""
    if not coverage.counts.any():
        return {}
    return {
        name: value.tolist() if value.ndim else float(value)
        for name, value in coverage.compute().items()
    }


def _plain(values: Mapping[str, Tensor]) -> dict[str, float]:
    """The single numbers among them."""
    return {name: float(value) for name, value in values.items() if value.ndim == 0}


def _mean(members: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([scores[name] for scores in members])) for name in members[0]}
