"""Accuracy of labels against torchmetrics and by hand."""

import math

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from healswin.metrics import label_accuracy

NAMES = ["a", "b", "c", "d"]


def test_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (300,), generator=generator)
    noise = torch.randint(0, 4, (300,), generator=generator)
    prediction = torch.where(torch.rand(300, generator=generator) < 0.5, truth, noise)
    confusion = MulticlassConfusionMatrix(4)
    scores = label_accuracy(confusion(prediction, truth), NAMES)
    overall = MulticlassAccuracy(4, average="micro")(prediction, truth)
    each = MulticlassAccuracy(4, average="none")(prediction, truth)
    assert list(scores) == ["accuracy", "accuracy/a", "accuracy/b", "accuracy/c", "accuracy/d"]
    torch.testing.assert_close(
        torch.stack(list(scores.values())).float(), torch.cat([overall[None], each])
    )


def test_a_label_that_no_sample_has_is_nan():
    scores = label_accuracy(torch.tensor([[3, 1], [0, 0]]), ["seen", "never"])
    assert float(scores["accuracy"]) == float(scores["accuracy/seen"]) == 0.75
    assert math.isnan(scores["accuracy/never"])
    nothing = label_accuracy(torch.zeros(2, 2, dtype=torch.int64), ["seen", "never"])
    assert all(math.isnan(value) for value in nothing.values())


def test_every_row_needs_a_name():
    with pytest.raises(ValueError, match=r"label_names=\['a'\] must be one for each of the 2"):
        label_accuracy(torch.eye(2), ["a"])
