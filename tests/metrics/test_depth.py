"""Errors of depth against torchmetrics, against a readable twin, and their sums."""

import math

import pytest
import torch
from torchmetrics.regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogError,
)

from healswin.metrics import DepthScores
from healswin.metrics.depth import RANGES, range_name

FIGURES = ["rmse", "mae", "abs_rel", "sq_rel", "rmse_log", "silog", "delta1", "delta2", "delta3"]
FIGURES += ["rmse_inverse", "pixels"]


def random_batch(seed, shape=(2, 300)):
    """Predictions near the truth; a tenth of it sky and a tenth unknown."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator, dtype=torch.float64) * 120 + 0.3
    prediction = target * (0.5 * torch.randn(shape, generator=generator)).exp()
    kind = torch.rand(shape, generator=generator)
    target[kind < 0.1] = math.inf
    target[kind > 0.9] = math.nan
    prediction[target.isinf()] = 700.0
    return prediction.float(), target.float()


def twin(prediction, target, areas, keep, sky=1000.0):
    """The definitions, pixel by pixel; `keep` says which true distances count."""
    errors = []
    for p, t, a in zip(prediction.tolist(), target.tolist(), areas.tolist(), strict=True):
        if not math.isnan(t) and keep(t):
            errors.append((p, sky if math.isinf(t) else t, a))
    total = sum(a for _, _, a in errors)

    def mean(function):
        return sum(a * function(p, t) for p, t, a in errors) / total

    def log(p, t):
        return math.log(max(p, 1e-3)) - math.log(t)

    def within(limit):
        return mean(lambda p, t: max(max(p, 1e-3) / t, t / max(p, 1e-3)) < limit)

    mean_log = mean(log)
    return {
        "rmse": math.sqrt(mean(lambda p, t: (p - t) ** 2)),
        "mae": mean(lambda p, t: abs(p - t)),
        "abs_rel": mean(lambda p, t: abs(p - t) / t),
        "sq_rel": mean(lambda p, t: (p - t) ** 2 / t),
        "rmse_log": math.sqrt(mean(lambda p, t: log(p, t) ** 2)),
        "silog": math.sqrt(mean(lambda p, t: (log(p, t) - mean_log) ** 2)),
        "delta1": within(1.25),
        "delta2": within(1.25**2),
        "delta3": within(1.25**3),
        "rmse_inverse": math.sqrt(mean(lambda p, t: (1 / max(p, 1e-3) - 1 / t) ** 2)),
        "pixels": len(errors),
    }


@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_the_definitions(weighted):
    prediction, target = random_batch(3, (400,))
    prediction[:20] -= 60.0  # some are below 0
    areas = torch.ones(400, dtype=torch.float64)
    if weighted:
        areas = torch.rand(400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    metric = DepthScores()
    metric.update(prediction, target, areas if weighted else None)
    scores = metric.compute()
    rows = {"": math.isfinite, "with_sky/": lambda t: True}
    for low, high in RANGES:
        rows[f"{range_name(low, high)}/"] = lambda t, low=low, high=high: low <= t < high
    assert set(scores) == {row + figure for row in rows for figure in FIGURES}
    for row, keep in rows.items():
        expected = twin(prediction, target, areas, keep)
        for name, value in expected.items():
            assert scores[row + name].item() == pytest.approx(value, rel=1e-9), row + name
            assert scores[row + name].dtype == torch.float64


def test_agrees_with_torchmetrics():
    ours = DepthScores(ranges=())
    theirs = {
        "rmse": MeanSquaredError(squared=False),
        "mae": MeanAbsoluteError(),
        "abs_rel": MeanAbsolutePercentageError(),
    }
    logarithms = MeanSquaredLogError()  # of 1 + x
    for seed in range(3):
        prediction, target = random_batch(seed)
        ours.update(prediction, target)
        finite = target.isfinite()
        for metric in theirs.values():
            metric.update(prediction[finite], target[finite])
        logarithms.update(prediction[finite] - 1, target[finite] - 1)
    scores = ours.compute()
    for name, metric in theirs.items():
        assert scores[name].item() == pytest.approx(metric.compute().item(), rel=1e-4)
    assert scores["rmse_log"].item() == pytest.approx(logarithms.compute().sqrt().item(), rel=1e-4)


def test_ranges_part_what_is_known():
    prediction, target = random_batch(4)
    metric = DepthScores()
    metric.update(prediction, target)
    scores = metric.compute()
    names = [range_name(low, high) for low, high in RANGES]
    assert names == ["0-10m", "10-30m", "30-80m", "80m+"]
    pixels = [scores[f"{name}/pixels"] for name in names]
    squares = [n * scores[f"{name}/rmse"] ** 2 for n, name in zip(pixels, names, strict=True)]
    assert sum(pixels) == scores["pixels"] == target.isfinite().sum()
    torch.testing.assert_close(sum(squares) / sum(pixels), scores["rmse"] ** 2)
    sky = target.isposinf().sum()
    assert scores["with_sky/pixels"] == scores["pixels"] + sky
    assert sky > 0


def test_a_range_begins_with_its_lower_end():
    metric = DepthScores(ranges=[(1.0, 2.0), (2.0, math.inf)])
    metric.update(torch.tensor([5.0, 5.0]), torch.tensor([1.0, 2.0]))
    scores = metric.compute()
    assert (scores["1-2m/mae"], scores["2m+/mae"]) == (4.0, 3.0)


@pytest.mark.parametrize("sky_depth", [1000.0, 50.0])
def test_with_sky_it_counts_as_a_distance(sky_depth):
    prediction, target = random_batch(5)
    metric = DepthScores(ranges=(), sky_depth=sky_depth)
    metric.update(prediction, target)
    finite = DepthScores(ranges=())
    finite.update(prediction, target.masked_fill(target.isposinf(), sky_depth))
    scores, expected = metric.compute(), finite.compute()
    for name in FIGURES:
        assert scores[f"with_sky/{name}"] == expected[name]
        assert name == "delta3" or scores[name] != expected[name]


def test_a_wild_prediction_of_sky_leaves_the_figures_without_sky_alone():
    metric = DepthScores(ranges=())
    metric.update(torch.tensor([2.0, math.nan, math.inf]), torch.tensor([1.0, math.inf, math.inf]))
    scores = metric.compute()
    assert scores["rmse"] == 1.0
    assert math.isnan(scores["with_sky/rmse"])


def test_unknown_pixels_change_nothing():
    prediction, target = random_batch(6)
    changed = torch.where(target.isnan(), math.nan, prediction)
    first, second = DepthScores(), DepthScores()
    first.update(prediction, target)
    second.update(changed, target)
    assert torch.equal(first.sums, second.sums)


def test_a_common_factor_is_no_scale_invariant_error():
    _, target = random_batch(7)
    metric = DepthScores(ranges=())
    metric.update(1.5 * target, target)
    scores = metric.compute()
    assert scores["silog"].item() == pytest.approx(0, abs=1e-6)
    assert scores["rmse_log"].item() == pytest.approx(math.log(1.5), rel=1e-6)
    assert scores["abs_rel"].item() == pytest.approx(0.5, rel=1e-6)
    assert (scores["delta1"], scores["delta2"]) == (0, 1)  # 1.5 is between 1.25 and its square


def test_exact_predictions_err_by_nothing():
    _, target = random_batch(8)
    metric = DepthScores(ranges=())
    metric.update(target.masked_fill(target.isposinf(), 1000.0), target)
    for name, value in metric.compute().items():
        if name.endswith("pixels"):
            assert value > 0
        else:
            assert value == name.rpartition("/")[2].startswith("delta")


def test_areas_act_as_repetitions():
    prediction, target = random_batch(9, (100,))
    times = torch.randint(0, 4, (100,), generator=torch.Generator().manual_seed(1))
    weighted, repeated = DepthScores(), DepthScores()
    weighted.update(prediction, target, times)
    repeated.update(prediction.repeat_interleave(times), target.repeat_interleave(times))
    torch.testing.assert_close(weighted.sums[:, 1:], repeated.sums[:, 1:])
    assert weighted.sums[-1, 0] == (~target.isnan()).sum()


def test_areas_broadcast_over_the_batch():
    prediction, target = random_batch(10, (3, 4, 5))
    rows = torch.arange(4.0)[:, None]
    broadcast, explicit = DepthScores(), DepthScores()
    broadcast.update(prediction, target, rows)
    explicit.update(prediction, target, rows.expand(3, 4, 5).contiguous())
    assert torch.equal(broadcast.sums, explicit.sums)
    assert broadcast.sums[0, 1] > 0


def test_summed_over_batches_and_processes():
    """Two processes with half of the batches each hold, after syncing, what one would hold."""
    halves = [DepthScores() for _ in range(2)]
    whole = DepthScores()
    batches = [random_batch(seed) for seed in range(4)]
    for number, (prediction, target) in enumerate(batches):
        halves[number % 2].update(prediction, target)
    whole.update(*(torch.cat(part) for part in zip(*batches, strict=True)))
    first, second = halves

    def gather(state, group=None):
        return [state, second.sums]

    first.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert first.sums.dtype == torch.float64
    torch.testing.assert_close(first.sums, whole.sums, rtol=1e-12, atol=0)
    assert torch.equal(first.sums[:, 0], whole.sums[:, 0])


def test_nothing_counted_is_nan_and_reset_forgets():
    metric = DepthScores()
    metric.update(torch.ones(2), torch.tensor([3.0, math.inf]))
    metric.reset()
    metric.update(torch.ones(2), torch.full((2,), math.nan))
    for name, value in metric.compute().items():
        assert value == 0 if name.endswith("pixels") else math.isnan(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ranges": [(10.0, 5.0)]}, r"has \(10.0, 5.0\); expected metres 0 <= low < high"),
        ({"ranges": [(-1.0, 5.0)]}, "expected metres 0 <= low < high"),
        ({"ranges": [(0.0, math.nan)]}, "expected metres 0 <= low < high"),
        ({"ranges": [(1.0, 5.0), (1.0, 5.0)]}, "has a range twice"),
        ({"sky_depth": math.inf}, "sky_depth=inf"),
        ({"sky_depth": 0.0}, r"sky_depth=0\.0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DepthScores(**arguments)


@pytest.mark.parametrize(
    ("prediction", "target", "areas", "message"),
    [
        (torch.ones(3), torch.ones(4), None, "shape"),
        (torch.ones(2), torch.tensor([1.0, 0.0]), None, r"depth of 0\.0 m"),
        (torch.ones(2), torch.tensor([1.0, -2.0]), None, r"depth of -2\.0 m"),
        (torch.ones(2), torch.tensor([1.0, -math.inf]), None, "depth of -inf m"),
        (torch.ones(2), torch.ones(2), torch.tensor([1.0, -1.0]), "areas holds negative"),
        (torch.ones(2), torch.ones(2), torch.ones(3), "areas has shape .* does not broadcast"),
    ],
)
def test_bad_batches(prediction, target, areas, message):
    with pytest.raises(ValueError, match=message):
        DepthScores().update(prediction, target, areas)
