"""How a model is scored in every pose, and what it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from healswin.data import PreparedSet
    from healswin.zoo import ZooModel

# Digits that a half turn makes of each other.
MERGED = ("6", "9")


class LabelScores:
    """Accuracy of labels of whole samples, and with 6 and 9 taken for one.

    Args:
        names: Of the labels.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._confusion = np.zeros((len(names), len(names)), dtype=np.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, (batch,) each."""
        np.add.at(self._confusion, (target.cpu().numpy(), prediction.cpu().numpy()), 1)

    def compute(self) -> dict[str, float]:
        """The scores by name."""
        total, right = self._confusion.sum(), np.trace(self._confusion)
        scores = {"accuracy": float(right / total)}
        if set(MERGED) <= set(self.names):
            one, other = (self.names.index(name) for name in MERGED)
            right += self._confusion[one, other] + self._confusion[other, one]
            scores["accuracy_6_9_merged"] = float(right / total)
        return scores


class PixelScores:
    """`SegmentationScores` over all classes, by area where areas differ.

    Args:
        data: The set.
    """

    def __init__(self, data: PreparedSet) -> None:
        import torch

        from healswin.grid import EquiangularGrid
        from healswin.metrics import SegmentationScores

        names, grid = data.class_names, data.grid
        unlike = isinstance(grid, EquiangularGrid)
        self._areas = torch.from_numpy(grid.areas()) if unlike else None
        self._scores = SegmentationScores(
            len(names),
            names,
            data.ignore_index,
            void_index=names.index("void") if "void" in names else None,
            background_index=names.index("background") if "background" in names else None,
            weighted=unlike,
        )

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, (batch, pixels) each."""
        self._scores.update(prediction.cpu(), target.cpu(), self._areas)

    def compute(self) -> dict[str, float]:
        """The scores over all classes by name."""
        scores = self._scores.compute()
        if scores["accuracy"].isnan():
            raise ValueError("there is no labelled pixel to score")
        return {name: float(value) for name, value in scores.items() if "iou/" not in name}


def new_scores(task: str, data: PreparedSet) -> LabelScores | PixelScores:
    """Empty scores of a classification, or of a segmentation."""
    return LabelScores(data.label_names) if task == "classification" else PixelScores(data)


def check_fit(model: ZooModel, data: PreparedSet) -> None:
    """Refuse data that the model was not made for.

    Raises:
        ValueError: If task, grid, pole, channels, dtype or classes differ.
    """
    config = model.config
    if config.task not in ("classification", "segmentation"):
        raise ValueError(
            f"{config.name} is a model of the task {config.task!r}: robustness is measured of "
            "classifications and segmentations"
        )
    needed = "label" if config.task == "classification" else "semantic"
    if needed not in data.tasks:
        raise ValueError(f"{data.root} holds {data.tasks}, {needed!r} is needed to score a model")
    ours = data.label_names if config.task == "classification" else data.class_names
    for name, theirs, found in (
        ("grid", config.grid, data.grid.to_dict()),
        ("pole", config.pole, data.pole),
        ("channels", config.in_chans, data.num_channels),
        ("image dtype", config.image_dtype, data.image_dtype),
        ("number of classes", config.num_classes, len(ours)),
        ("classes", list(config.class_names) or ours, ours),
    ):
        if theirs != found:
            raise ValueError(
                f"the {name} of {config.name}, {theirs}, differs from that of {data.root}, {found}"
            )


def samples_of(data: PreparedSet, split: str, limit: int | None) -> tuple[str, list[int]]:
    """The part that is measured, and samples spread evenly over it."""
    part = "val" if split == "test" and "test" not in data.split else split
    if not data.split.get(part):
        raise ValueError(f"split={split!r}: {data.root} has {list(data.split)}")
    indices = data.split[part]
    if limit is not None and limit < len(indices):
        indices = [indices[position * len(indices) // limit] for position in range(limit)]
    return part, list(indices)
