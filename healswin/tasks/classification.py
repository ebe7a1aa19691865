"""Classification of whole maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix

from healswin.metrics import label_accuracy
from healswin.tasks.base import NetworkFactory, OptimizerFactory, SchedulerFactory, Task


class ClassificationTask(Task):
    """A label for every map: cross-entropy with label smoothing, accuracy of all and of each label.

    Args:
        network: The network's class, with the arguments that the data do not decide; it answers a
            map with a score for each label, e.g. `HealSwin` with ``head: classification``.
        grid: The pixels of the maps as plain values (`healswin.grid.grid_from_dict`); linked from
            the data.
        in_chans: Channels of the images; linked from the data.
        label_names: One for each label; linked from the data.
        pole: What the grid's north pole is; linked from the data.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a schedule of the learning rate from the optimizer.
        label_smoothing: Part of the target that is spread evenly over all labels, in [0, 1)
            (Szegedy et al. 2016, CVPR, section 7).
        lr_interval: Whether the schedule is stepped every "epoch" or every "step".

    Raises:
        ValueError: If there are no labels, two of them have one name, or label_smoothing is out of
            range.
    """

    kind = "classification"
    truths = ("label",)

    def __init__(
        self,
        grid: dict[str, Any],
        in_chans: int,
        label_names: Sequence[str],
        network: NetworkFactory,
        pole: str = "camera",
        optimizer: OptimizerFactory = torch.optim.Adam,
        lr_scheduler: SchedulerFactory | None = None,
        label_smoothing: float = 0.0,
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        names = list(label_names)
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"label_names={names} must be two or more unlike names")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing} must be at least 0 and below 1")
        super().__init__(
            network, grid, pole, in_chans, len(names), optimizer, lr_scheduler, lr_interval
        )
        self.keep_plain_hyperparameters()
        self.label_names = names
        self.label_smoothing = label_smoothing
        self.val_scores = self.new_scores()
        self.test_scores = self.new_scores()

    @classmethod
    def headline(cls, class_names: Sequence[str]) -> str:
        """The accuracy."""
        return "accuracy"

    def new_scores(self) -> MulticlassConfusionMatrix:
        """An empty confusion matrix of the labels, truth in rows."""
        return MulticlassConfusionMatrix(len(self.label_names))

    def loss(self, answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of (batch, labels) logits."""
        self._check_answer(answer)
        return functional.cross_entropy(
            answer.float(), batch["label"], label_smoothing=self.label_smoothing
        )

    def predicted(self, answer: Tensor) -> dict[str, Tensor]:
        """``prediction`` (batch,) int64 and ``scores`` (batch, labels) float32, their softmax."""
        self._check_answer(answer)
        return {"prediction": answer.argmax(dim=1), "scores": answer.float().softmax(dim=1)}

    def count(self, scores: MulticlassConfusionMatrix, prediction: Tensor, target: Tensor) -> None:
        """Add the predicted and the true labels (batch,) of samples to a metric of `new_scores`."""
        scores.update(prediction, target)

    def scores(self, metric: MulticlassConfusionMatrix) -> dict[str, Tensor]:
        """Accuracy of all samples and of each label, see `healswin.metrics.label_accuracy`.

        Raises:
            ValueError: If no sample was counted.
        """
        values = label_accuracy(metric.compute(), self.label_names)
        if values["accuracy"].isnan():
            raise ValueError("there is no sample")
        return values

    def _check_answer(self, answer: Tensor) -> None:
        """A network for segmentation would be counted wrongly, pixel by pixel."""
        if answer.ndim != 2 or answer.shape[1] != len(self.label_names):
            raise ValueError(
                f"network: its answer has the shape {tuple(answer.shape)}; a classifier answers "
                f"(batch, {len(self.label_names)}) (HealSwin: head: classification)"
            )

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "label_names": self.label_names}
