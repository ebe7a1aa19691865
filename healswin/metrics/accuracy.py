"""Accuracy of a class for the whole sample, at data-set level.

Like the IoU it is reckoned from one confusion matrix M of all samples, M[t, p] = number of samples
of true label t predicted as p (`torchmetrics.classification.MulticlassConfusionMatrix`, whose sum
over processes counts every sample once): trace(M) / sum(M), and M[t, t] / sum_p M[t, p] of a label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Num
from torch import Tensor


def label_accuracy(
    confusion: Num[Tensor, "labels labels"], label_names: Sequence[str]
) -> dict[str, Tensor]:
    """Accuracy of all samples and of those of each label.

    Args:
        confusion: Truth in rows, prediction in columns.
        label_names: One for each row.

    Returns:
        float64 scalars: ``accuracy`` and ``accuracy/<label>``; NaN for a label that no sample has,
        and all NaN if nothing was counted.

    Raises:
        ValueError: If names and rows differ in number.
    """
    if len(label_names) != len(confusion):
        raise ValueError(
            f"label_names={list(label_names)} must be one for each of the {len(confusion)} rows"
        )
    confusion = confusion.to(torch.float64)
    each = confusion.diagonal() / confusion.sum(dim=1)  # 0 / 0 is NaN
    scores = {"accuracy": confusion.trace() / confusion.sum()}
    return scores | {f"accuracy/{n}": value for n, value in zip(label_names, each, strict=True)}
