"""Data-set-level IoU against torchmetrics, against a readable twin, and its sums."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from healswin.metrics import SegmentationScores, class_iou

CLASSES = 6


def random_batch(seed, shape=(2, 300), highest=CLASSES):
    """Class ids that agree more often than chance, a fifth of the truth ignored."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, highest, shape)
    prediction = np.where(rng.random(shape) < 0.6, target, rng.integers(0, highest, shape))
    target[rng.random(shape) < 0.2] = 255
    return torch.from_numpy(prediction), torch.from_numpy(target)


def brute_force_iou(prediction, target, weight, class_id):
    """The definition, pixel by pixel."""
    intersection = union = 0.0
    for p, t, w in zip(prediction, target, weight, strict=True):
        if t == 255:
            continue
        intersection += w * (p == class_id and t == class_id)
        union += w * (p == class_id or t == class_id)
    return intersection / union if union else math.nan


@pytest.mark.parametrize("highest", [CLASSES, CLASSES - 2])
def test_agrees_with_torchmetrics(highest):
    """Also where the last classes occur nowhere, which torchmetrics leaves out of its mean too."""
    ours = SegmentationScores(CLASSES)
    mean = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    each = MulticlassJaccardIndex(CLASSES, average="none", ignore_index=255)
    for seed in range(3):
        prediction, target = random_batch(seed, highest=highest)
        for metric in (ours, mean, each):
            metric.update(prediction, target)
    scores = ours.compute()
    assert float(scores["miou"]) == pytest.approx(float(mean.compute()), abs=1e-6)
    for class_id, expected in enumerate(each.compute().tolist()[:highest]):
        assert float(scores[f"iou/{class_id}"]) == pytest.approx(expected, abs=1e-6)
    for class_id in range(highest, CLASSES):
        assert math.isnan(scores[f"iou/{class_id}"])


@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_the_definition(weighted):
    prediction, target = random_batch(5, shape=(400,))
    weight = torch.rand(400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    metric = SegmentationScores(CLASSES, void_index=0, weighted=weighted)
    metric.update(prediction, target, weight if weighted else None)
    scores = metric.compute()
    weights = weight.tolist() if weighted else [1.0] * 400
    expected = [
        brute_force_iou(prediction.tolist(), target.tolist(), weights, c) for c in range(CLASSES)
    ]
    for class_id in range(CLASSES):
        assert float(scores[f"iou/{class_id}"]) == pytest.approx(expected[class_id], rel=1e-12)
    assert float(scores["miou"]) == pytest.approx(np.mean(expected), rel=1e-12)
    assert float(scores["miou_without_void"]) == pytest.approx(np.mean(expected[1:]), rel=1e-12)
    counted = target != 255
    area = torch.tensor(weights, dtype=torch.float64)
    right = area[counted & (prediction == target)].sum() / area[counted].sum()
    assert float(scores["accuracy"]) == pytest.approx(float(right), rel=1e-12)


def test_void_leaves_the_mean_but_not_the_unions():
    """One car pixel is right; a void pixel called car halves the car's IoU."""
    metric = SegmentationScores(2, class_names=["void", "car"], void_index=0)
    metric.update(torch.tensor([1, 1]), torch.tensor([1, 0]))
    scores = metric.compute()
    assert float(scores["iou/car"]) == 0.5
    assert float(scores["miou_without_void"]) == 0.5
    assert float(scores["miou"]) == 0.25


def test_background_leaves_mean_and_accuracy():
    """Two of three digit pixels are found, and one background pixel is taken for a digit."""
    metric = SegmentationScores(2, class_names=["background", "digit"], background_index=0)
    metric.update(torch.tensor([1, 1, 0, 1, 0, 0]), torch.tensor([1, 1, 1, 0, 0, 0]))
    scores = metric.compute()
    assert float(scores["miou_without_background"]) == float(scores["iou/digit"]) == 0.5
    assert float(scores["accuracy_without_background"]) == pytest.approx(2 / 3)
    assert float(scores["accuracy"]) == pytest.approx(4 / 6)
    assert float(scores["miou"]) == pytest.approx((0.5 + 2 / 4) / 2)


def test_beside_the_weighted_scores_stand_the_plain_ones():
    prediction, target = random_batch(9, shape=(200,))
    weight = torch.rand(200, generator=torch.Generator().manual_seed(2))
    both = SegmentationScores(CLASSES, void_index=1, weighted=True, background_index=0)
    both.update(prediction, target, weight)
    plain = SegmentationScores(CLASSES, void_index=1, background_index=0)
    plain.update(prediction, target)
    scores, expected = both.compute(), plain.compute()
    assert set(scores) == set(expected) | {f"unweighted/{name}" for name in expected}
    for name, value in expected.items():
        assert torch.equal(scores[f"unweighted/{name}"], value)
        assert scores[name] != value


def test_weights_act_as_repetitions():
    prediction, target = random_batch(7, shape=(100,))
    times = torch.randint(0, 4, (100,), generator=torch.Generator().manual_seed(1))
    weighted = SegmentationScores(CLASSES, weighted=True)
    weighted.update(prediction, target, times)
    repeated = SegmentationScores(CLASSES)
    repeated.update(prediction.repeat_interleave(times), target.repeat_interleave(times))
    assert torch.equal(weighted.confusion, repeated.confusion.to(torch.float64))


def test_weights_broadcast_over_the_batch():
    prediction, target = random_batch(8, shape=(3, 4, 5))
    rows = torch.arange(4.0)[:, None]
    broadcast = SegmentationScores(CLASSES, weighted=True)
    broadcast.update(prediction, target, rows)
    explicit = SegmentationScores(CLASSES, weighted=True)
    explicit.update(prediction, target, rows.expand(3, 4, 5).contiguous())
    assert torch.equal(broadcast.confusion, explicit.confusion)
    assert broadcast.confusion.sum() > 0


@pytest.mark.parametrize("weighted", [False, True])
def test_summed_over_processes(weighted):
    """Two processes with half of the batches each hold, after syncing, what one would hold."""
    halves = [SegmentationScores(CLASSES, weighted=weighted) for _ in range(2)]
    whole = SegmentationScores(CLASSES, weighted=weighted)
    for seed in range(4):
        prediction, target = random_batch(seed)
        weight = torch.full((300,), 0.5) if weighted else None
        halves[seed % 2].update(prediction, target, weight)
        whole.update(prediction, target, weight)
    first, second = halves

    states = iter(second._defaults)

    def gather(state, group=None):
        return [state, getattr(second, next(states))]

    first.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    for name in whole._defaults:
        assert torch.equal(getattr(first, name), getattr(whole, name))
    assert first.confusion.dtype == (torch.float64 if weighted else torch.int64)


def test_class_without_union_is_nan_and_in_no_mean():
    iou = class_iou(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert iou[:2].tolist() == [0.75, 0.8]
    assert math.isnan(iou[2])


def test_class_that_is_only_predicted_counts_as_zero():
    metric = SegmentationScores(3)
    metric.update(torch.tensor([0, 2]), torch.tensor([0, 0]))
    scores = metric.compute()
    assert float(scores["iou/2"]) == 0
    assert float(scores["miou"]) == 0.25


def test_nothing_counted_is_nan():
    metric = SegmentationScores(3, void_index=0)
    metric.update(torch.tensor([0, 1]), torch.tensor([255, 255]))
    assert all(math.isnan(value) for value in metric.compute().values())


def test_perfect_prediction_scores_one_and_reset_forgets():
    metric = SegmentationScores(3)
    labels = torch.tensor([0, 1, 2, 1], dtype=torch.uint8)
    metric.update(labels, 2 - labels)
    metric.reset()
    metric.update(labels, labels)
    assert {float(value) for value in metric.compute().values()} == {1.0}


def test_keys_carry_the_class_names():
    metric = SegmentationScores(2, class_names=["sky", "road line"])
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert list(metric.compute()) == ["miou", "accuracy", "iou/sky", "iou/road line"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 3, "class_names": ["a", "b"]}, "class_names="),
        ({"num_classes": 2, "class_names": ["a", "a"]}, "class_names="),
        ({"num_classes": 3, "ignore_index": 2}, "ignore_index=2"),
        ({"num_classes": 3, "void_index": 3}, "void_index=3"),
        ({"num_classes": 3, "background_index": -1}, "background_index=-1"),
    ],
)
def test_contradicting_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentationScores(**arguments)


@pytest.mark.parametrize(
    ("prediction", "target", "weight", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), torch.zeros(4, dtype=torch.int64), None, "shape"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), None, "argmax"),
        (torch.tensor([3]), torch.tensor([0]), None, "prediction holds class 3"),
        (torch.tensor([0]), torch.tensor([-1]), None, "target holds class -1"),
        (torch.tensor([0]), torch.tensor([0]), torch.ones(1), "weighted=False"),
    ],
)
def test_bad_batches(prediction, target, weight, message):
    with pytest.raises(ValueError, match=message):
        SegmentationScores(3).update(prediction, target, weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (None, "weighted=True"),
        (torch.tensor([1.0, -1.0]), "negative"),
        (torch.tensor([1.0, math.nan]), "non-finite"),
        (torch.ones(3), "does not broadcast"),
    ],
)
def test_bad_weights(weight, message):
    ids = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=message):
        SegmentationScores(3, weighted=True).update(ids, ids, weight)
