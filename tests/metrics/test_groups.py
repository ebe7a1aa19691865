"""One confusion matrix for each group, against counting pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.metrics import SegmentationScores
from healswin.metrics.groups import GroupedConfusion, angle_groups, grouped_confusion


def random_pixels(seed, classes=4, groups=3, pixels=200):
    generator = torch.Generator().manual_seed(seed)
    prediction, truth = (
        torch.randint(0, classes, (pixels,), generator=generator, dtype=torch.uint8)
        for _ in range(2)
    )
    group = torch.randint(0, groups, (pixels,), generator=generator)
    return prediction, truth, group, torch.rand(pixels, generator=generator)


def twin(prediction, truth, classes, group, groups, areas):
    matrices = np.zeros((groups, classes, classes))
    for p, t, g, a in zip(prediction, truth, group, areas, strict=True):
        matrices[int(g), int(t), int(p)] += float(a)
    return matrices


@given(st.integers(0, 2**31))
def test_agrees_with_counting_pixel_by_pixel(seed):
    prediction, truth, group, areas = random_pixels(seed)
    counts = grouped_confusion(prediction, truth, 4, group, 3)
    assert counts.dtype == torch.int64
    ones = torch.ones(len(truth))
    np.testing.assert_array_equal(counts, twin(prediction, truth, 4, group, 3, ones))
    sums = grouped_confusion(prediction, truth, 4, group, 3, areas)
    np.testing.assert_allclose(sums, twin(prediction, truth, 4, group, 3, areas), rtol=1e-12)


def test_the_groups_add_up_to_all_pixels():
    prediction, truth, group, _ = random_pixels(1)
    scores = SegmentationScores(4)
    scores.update(prediction, truth)
    whole = grouped_confusion(prediction, truth, 4, group, 3).sum(dim=0)
    assert torch.equal(whole, scores.confusion)
    assert torch.equal(grouped_confusion(prediction, truth, 4)[0], scores.confusion)
    of_matrix = scores.scores_of(whole)
    assert all(torch.equal(value, of_matrix[name]) for name, value in scores.compute().items())


def test_batches_add_up():
    prediction, truth, group, areas = random_pixels(2)
    for weights in (None, areas):
        whole = GroupedConfusion(["a", "b", "c"], 4, weighted=weights is not None)
        parts = GroupedConfusion(["a", "b", "c"], 4, weighted=weights is not None)
        whole.update(grouped_confusion(prediction, truth, 4, group, 3, weights))
        for part in (slice(0, 50), slice(50, 51), slice(51, 51), slice(51, None)):
            some = None if weights is None else weights[part]
            parts.update(grouped_confusion(prediction[part], truth[part], 4, group[part], 3, some))
        for name, matrix in whole.compute().items():
            torch.testing.assert_close(parts.compute()[name], matrix)


def test_empty_groups_are_left_out():
    metric = GroupedConfusion(["front", "rear"], 2)
    only_rear = torch.tensor([[[0, 0], [0, 0]], [[3, 1], [0, 2]]])
    metric.update(only_rear)
    assert list(metric.compute()) == ["rear"]
    assert torch.equal(metric.compute()["rear"], only_rear[1])
    assert all(
        fx is torch.sum or fx.__name__ == "dim_zero_sum" for fx in metric._reductions.values()
    )


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 40))
def test_rings_are_equally_wide(shares, rings):
    angles = [math.pi * share / 1000 for share in shares]
    found = angle_groups(torch.tensor(angles, dtype=torch.float32), rings)
    for angle, ring in zip(angles, found.tolist(), strict=True):
        assert 0 <= ring < rings
        # The border of two rings may be rounded to either side.
        assert ring * math.pi / rings <= angle * (1 + 1e-6) + 1e-6
        assert angle <= (ring + 1) * math.pi / rings * (1 + 1e-6)


def test_the_axis_is_in_the_first_ring_and_the_opposite_in_the_last():
    assert angle_groups(torch.tensor([0.0, math.pi]), 12).tolist() == [0, 11]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": torch.tensor([4])}, "prediction holds class 4; expected 0..3"),
        ({"target": torch.tensor([255], dtype=torch.uint8)}, "target holds class 255"),
        ({"target": torch.tensor([-1])}, "target holds class -1"),
        ({"group": torch.tensor([3])}, r"group holds 3 to 3; expected 0..2"),
        ({"areas": torch.tensor([-1.0])}, "areas holds negative"),
    ],
)
def test_wrong_pixels(change, message):
    one = {"prediction": torch.tensor([1]), "target": torch.tensor([1]), "group": torch.tensor([0])}
    with pytest.raises(ValueError, match=message):
        grouped_confusion(**{**one, **change}, num_classes=4, num_groups=3)


def test_wrong_groups():
    with pytest.raises(ValueError, match="unlike names"):
        GroupedConfusion(["FV", "FV"], 2)
    with pytest.raises(ValueError, match="one or more"):
        GroupedConfusion([], 2)
    with pytest.raises(ValueError, match="num_classes=0"):
        GroupedConfusion(["FV"], 0)
    with pytest.raises(ValueError, match=r"confusion has shape \(1, 3, 3\); expected \(1, 2, 2\)"):
        GroupedConfusion(["FV"], 2).update(torch.zeros(1, 3, 3, dtype=torch.int64))
