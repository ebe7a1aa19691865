import math

import pytest
import torch

from healswin.metrics.depth import DepthScores
from healswin.metrics.depth_groups import GroupedDepth


def pixels(size, seed=0):
    """Metres predicted and true, with sky and unknown, and a group of each."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.exp(torch.randn(size, generator=generator) + 2)
    prediction = truth * torch.exp(0.3 * torch.randn(size, generator=generator))
    truth[::7], truth[3::11] = math.inf, math.nan
    return prediction, truth, torch.randint(0, 3, (size,), generator=generator)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_group_has_the_scores_of_its_pixels(weighted):
    prediction, truth, group = pixels(500)
    areas = torch.rand(500, generator=torch.Generator().manual_seed(1)) if weighted else None
    grouped = GroupedDepth(["a", "b", "c", "empty"])
    for part in (slice(0, 200), slice(200, 500)):
        some = None if areas is None else areas[part]
        grouped.update(prediction[part], truth[part], group[part], some)
    found = grouped.compute()
    assert list(found) == ["a", "b", "c"]
    for number, figures in enumerate(found.values()):
        chosen = group == number
        alone = DepthScores(ranges=())
        alone.update(prediction[chosen], truth[chosen], None if areas is None else areas[chosen])
        for name, value in figures.items():
            assert float(value) == pytest.approx(float(alone.compute()[name]), rel=1e-9)


def test_one_group_for_all_pixels_of_a_sample():
    prediction, truth, _ = pixels(100)
    grouped, alone = GroupedDepth(["a", "b"]), DepthScores(ranges=())
    grouped.update(prediction, truth, 1)
    alone.update(prediction, truth)
    assert list(grouped.compute()) == ["b"]
    assert float(grouped.compute()["b"]["silog"]) == pytest.approx(float(alone.compute()["silog"]))


def test_only_sky_is_nothing():
    grouped = GroupedDepth(["a"])
    grouped.update(torch.ones(3), torch.full((3,), math.inf), torch.zeros(3, dtype=torch.int64))
    assert grouped.compute() == {}


def test_refusals():
    with pytest.raises(ValueError, match=r"groups=\['a', 'a'\] must be one or more unlike"):
        GroupedDepth(["a", "a"])
    with pytest.raises(ValueError, match=r"group holds 0 to 2; expected 0\.\.1"):
        GroupedDepth(["a", "b"]).update(torch.ones(3), torch.ones(3), torch.tensor([0, 1, 2]))
