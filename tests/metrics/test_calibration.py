"""Calibration error against torchmetrics, bin by bin, and by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from healswin.metrics.calibration import CalibrationError


def random_pixels(seed, pixels=500, classes=5):
    """Logits (pixels, classes) and truth that follows them more or less."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(pixels, classes, generator=generator)
    truth = torch.distributions.Categorical(logits=0.7 * logits).sample()
    return logits, truth


def counted(logits, truth, **arguments):
    confidence, prediction = logits.softmax(dim=1).max(dim=1)
    metric = CalibrationError(**arguments)
    metric.update(confidence, prediction == truth)
    return metric.compute()


@given(st.integers(0, 2**31))
def test_agrees_with_torchmetrics(seed):
    logits, truth = random_pixels(seed)
    found = counted(logits, truth)
    for name, norm in (("ece", "l1"), ("mce", "max")):
        expected = multiclass_calibration_error(logits, truth, 5, n_bins=15, norm=norm)
        torch.testing.assert_close(found[name].float(), expected, rtol=1e-4, atol=1e-5)


def twin(confidence, right, areas, bins):
    """Guo et al. 2017, equations 3 and 5, pixel by pixel."""
    total, error, worst = sum(areas), 0.0, 0.0
    for m in range(1, bins + 1):
        inside = [
            k
            for k, c in enumerate(confidence)
            if (m - 1) / bins < c <= m / bins or (m == 1 and c == 0)
        ]
        area = sum(areas[k] for k in inside)
        if area:
            accuracy = sum(areas[k] * right[k] for k in inside) / area
            mean = sum(areas[k] * confidence[k] for k in inside) / area
            error += area / total * abs(accuracy - mean)
            worst = max(worst, abs(accuracy - mean))
    return error, worst


@given(
    # On quarters, so that borders of the bins occur and nothing is rounded.
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 4)), min_size=1, max_size=20
    )
)
def test_areas_are_weights_and_borders_belong_below(pixels):
    quarters, right, areas = zip(*pixels, strict=True)
    confidence = [quarter / 4 for quarter in quarters]
    metric = CalibrationError(num_bins=4)
    metric.update(torch.tensor(confidence), torch.tensor(right), torch.tensor(areas))
    error, worst = twin(confidence, right, areas, 4)
    assert float(metric.compute()["ece"]) == pytest.approx(error, abs=1e-12)
    assert float(metric.compute()["mce"]) == pytest.approx(worst, abs=1e-12)
    # A pixel of area 3 is three pixels.
    repeated = CalibrationError(num_bins=4)
    repeats = torch.tensor(areas)
    repeated.update(
        torch.tensor(confidence).repeat_interleave(repeats),
        torch.tensor(right).repeat_interleave(repeats),
    )
    for name, value in metric.compute().items():
        torch.testing.assert_close(repeated.compute()[name], value, equal_nan=True)


def test_batches_add_up():
    logits, truth = random_pixels(3)
    confidence, prediction = logits.softmax(dim=1).max(dim=1)
    right = prediction == truth
    parts = CalibrationError()
    for part in (slice(0, 1), slice(1, 1), slice(1, 300), slice(300, None)):
        parts.update(confidence[part], right[part])
    for name, value in counted(logits, truth).items():
        torch.testing.assert_close(parts.compute()[name], value, equal_nan=True)
    assert all(fx.__name__ == "dim_zero_sum" for fx in parts._reductions.values())


def test_by_hand():
    metric = CalibrationError(num_bins=2)
    # Low bin: mean 0.3, one of two right; high bin: mean 0.8, all right.
    metric.update(torch.tensor([0.2, 0.4, 0.8]), torch.tensor([True, False, True]))
    found = metric.compute()
    assert float(found["ece"]) == pytest.approx(2 / 3 * 0.2 + 1 / 3 * 0.2)
    assert float(found["mce"]) == pytest.approx(0.2)
    assert float(found["overconfidence"]) == pytest.approx(1.4 / 3 - 2 / 3)
    assert found["share"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found["confidence"].tolist() == pytest.approx([0.3, 0.8])
    assert found["accuracy"].tolist() == pytest.approx([0.5, 1.0])


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_counted_is_nan():
    found = CalibrationError(num_bins=3).compute()
    assert all(math.isnan(found[name]) for name in ("ece", "mce", "overconfidence"))


@pytest.mark.parametrize(
    ("confidence", "right", "areas", "message"),
    [
        ([0.5, 0.5], [True], None, "both must have one"),
        ([1.5], [True], None, "confidence holds 1.5 to 1.5"),
        ([-0.1], [True], None, "confidence holds -0.1"),
        ([math.nan], [True], None, "confidence holds nan"),
        ([0.5], [True], [-1.0], "areas holds negative"),
    ],
)
def test_wrong_pixels(confidence, right, areas, message):
    with pytest.raises(ValueError, match=message):
        CalibrationError().update(
            torch.tensor(confidence), torch.tensor(right), areas and torch.tensor(areas)
        )


def test_there_must_be_a_bin():
    with pytest.raises(ValueError, match="num_bins=0"):
        CalibrationError(0)
