"""The best and the worst samples of several processes are those of all samples."""

import math

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from healswin.tasks.extremes import Extremes

CPU = torch.device("cpu")
ALONE = SingleDeviceStrategy(CPU)
INDICES = [3, 5, 8, 9, 12, 20, 21]
SCORES = {3: 0.5, 5: 0.9, 8: 0.1, 9: math.nan, 12: 0.9, 20: 0.3, 21: 0.2}


class Sum:
    """What a strategy of several processes does, here one after the other."""

    def __init__(self, others):
        self.others = others

    def reduce(self, tensor, reduce_op):
        assert reduce_op == "sum"
        name = "_score" if tensor.is_floating_point() else "_seen"
        return sum(getattr(other, name) for other in self.others)


def filled(indices, count, better="max"):
    extremes = Extremes(INDICES, count, better, CPU)
    for index in indices:
        extremes.add(index, SCORES[index], np.full(2, index))
    return extremes


@pytest.mark.parametrize(
    ("better", "count", "best", "worst"),
    [
        ("max", 2, [5, 12], [8, 21]),
        ("min", 2, [8, 21], [12, 5]),
        ("max", 4, [5, 12, 3, 20], [8, 21]),  # none is both
        ("max", 0, [], []),
    ],
)
def test_best_and_worst(better, count, best, worst):
    extremes = filled(INDICES, count, better)
    extremes.gather(ALONE)
    assert (extremes.best, extremes.worst) == (best, worst)
    assert extremes.scores == {i: s for i, s in SCORES.items() if not math.isnan(s)}
    assert {i: int(p[0]) for i, p in extremes.kept().items()} == {i: i for i in best + worst}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cut", [0, 2, 5])
def test_processes_agree_on_those_of_all_samples(count, cut):
    whole = filled(INDICES, count)
    whole.gather(ALONE)
    parts = [filled(INDICES[:cut], count), filled(INDICES[cut:], count)]
    for part in parts:
        part.gather(Sum(parts))
        assert (part.best, part.worst) == (whole.best, whole.worst)
        assert part.scores == whole.scores
    assert parts[0].kept().keys() | parts[1].kept().keys() == whole.kept().keys()
    assert not parts[0].kept().keys() & parts[1].kept().keys()


def test_few_predictions_are_kept():
    extremes = filled(INDICES, 1)
    assert len(extremes._kept) == 2
