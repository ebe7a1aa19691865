"""How commands score a trained model on a prepared set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from healswin.data import PreparedSet
    from healswin.zoo import ZooModel

# The array of a prepared set that holds what is learned, by the model's task.
TRUTHS = {"classification": "label", "segmentation": "semantic", "depth": "depth"}

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
        """The scores over all classes by name.

        Raises:
            ValueError: If no pixel was counted.
        """
        scores = self._scores.compute()
        if scores["accuracy"].isnan():
            raise ValueError("there is no labelled pixel to score")
        return {name: float(value) for name, value in scores.items() if "iou/" not in name}


def described(data: PreparedSet, part: str, indices: Sequence[int]) -> dict[str, Any]:
    """What a figure was measured on, as plain JSON values."""
    return {
        "name": data.root.name,
        "fingerprint": data.fingerprint,
        "split": part,
        "samples": len(indices),
    }


def new_scores(task: str, data: PreparedSet) -> LabelScores | PixelScores:
    """Empty scores of a classification, or of a segmentation."""
    return LabelScores(data.label_names) if task == "classification" else PixelScores(data)


def check_fit(model: ZooModel, data: PreparedSet, tasks: Sequence[str]) -> str:
    """Refuse data that the model was not made for.

    Args:
        model: What is scored.
        data: What it is scored on.
        tasks: The tasks whose models are scored.

    Returns:
        The array that holds the truth.

    Raises:
        ValueError: If task, grid, pole, channels, dtype or classes differ.
    """
    config = model.config
    if config.task not in tasks:
        raise ValueError(
            f"{config.name} is a model of the task {config.task!r}, only those of "
            f"{' and '.join(tasks)} are measured here"
        )
    needed = TRUTHS[config.task]
    if needed not in data.tasks:
        raise ValueError(f"{data.root} holds {data.tasks}, {needed!r} is needed to score a model")
    ours = {"label": data.label_names, "semantic": data.class_names}.get(needed)
    classes = ()
    if ours is not None:
        classes = (
            ("number of classes", config.num_classes, len(ours)),
            ("classes", list(config.class_names) or ours, ours),
        )
    for name, theirs, found in (
        ("grid", config.grid, data.grid.to_dict()),
        ("pole", config.pole, data.pole),
        ("channels", config.in_chans, data.num_channels),
        ("image dtype", config.image_dtype, data.image_dtype),
        *classes,
    ):
        if theirs != found:
            raise ValueError(
                f"the {name} of {config.name}, {theirs}, differs from that of {data.root}, {found}"
            )
    return needed


def samples_of(data: PreparedSet, split: str, limit: int | None) -> tuple[str, list[int]]:
    """The part that is measured, and samples spread evenly over it.

    Args:
        data: The set.
        split: "train", "val" or "test", where "test" falls back on "val".
        limit: At most so many samples; None: all.

    Raises:
        ValueError: If the set has no such part.
    """
    part = "val" if split == "test" and "test" not in data.split else split
    if not data.split.get(part):
        raise ValueError(f"split={split!r}: {data.root} has {list(data.split)}")
    indices = data.split[part]
    if limit is not None and limit < len(indices):
        indices = [indices[position * len(indices) // limit] for position in range(limit)]
    return part, list(indices)
