"""Losses of depth against torch, against readable twins, and where nothing counts."""

import math

import pytest
import torch
from torch.nn import functional

from healswin.tasks.depth_losses import (
    L1,
    L2,
    BerHu,
    Huber,
    ScaleInvariantLog,
    gaussian_nll,
)

LOSSES = [L2(), L1(), Huber(0.7), BerHu(), ScaleInvariantLog()]
by_name = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def batch(seed=0, dtype=torch.float64):
    """Residuals of three samples, of which the last has no known pixel, and which are known."""
    generator = torch.Generator().manual_seed(seed)
    residual = torch.randn(3, 40, generator=generator, dtype=dtype)
    known = torch.rand(3, 40, generator=generator) < 0.7
    known[2] = False
    return torch.where(known, residual, 0), known


def test_they_agree_with_torch():
    residual, known = batch()
    kept, zero = residual[known], torch.zeros(int(known.sum()), dtype=torch.float64)
    torch.testing.assert_close(L2()(residual, known), functional.mse_loss(kept, zero))
    torch.testing.assert_close(L1()(residual, known), functional.l1_loss(kept, zero))
    torch.testing.assert_close(
        Huber(0.7)(residual, known), functional.huber_loss(kept, zero, delta=0.7)
    )


def berhu_twin(residual, known, share):
    errors = [abs(e) for e, k in zip(residual, known, strict=True) if k]
    c = share * max(errors)
    each = [e if e <= c else (e * e + c * c) / (2 * c) for e in errors]
    return sum(each) / len(each)


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_berhu_is_its_twin(share):
    residual, known = batch(1)
    expected = berhu_twin(residual.flatten().tolist(), known.flatten().tolist(), share)
    assert BerHu(share)(residual, known).item() == pytest.approx(expected, rel=1e-12)


def test_berhu_lets_no_gradient_through_its_threshold():
    """dL/de of the largest error is e / c over the count, c held."""
    residual = torch.tensor([[0.1, 2.0]], requires_grad=True)
    BerHu(0.2)(residual, torch.ones(1, 2, dtype=torch.bool)).backward()
    assert residual.grad[0].tolist() == pytest.approx([0.5, 2.0 / 0.4 / 2])


def scale_invariant_twin(residual, known, weight):
    """Eigen's equation 4 as a sum over pairs: weight / n^2 sum_ij e_i e_j."""
    losses = []
    for errors, counts in zip(residual.tolist(), known.tolist(), strict=True):
        kept = [e for e, k in zip(errors, counts, strict=True) if k]
        if kept:
            n = len(kept)
            pairs = sum(a * b for a in kept for b in kept)
            losses.append(sum(e * e for e in kept) / n - weight * pairs / n**2)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_scale_invariant_loss_is_its_twin(weight):
    residual, known = batch(2)
    expected = scale_invariant_twin(residual, known, weight)
    loss = ScaleInvariantLog(weight)(residual, known)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_a_common_factor_is_forgiven_in_full_by_weight_1():
    """A factor is the same addend for all logarithms of a sample, another one for each sample."""
    residual, known = batch(3)
    shifted = torch.where(known, residual + torch.tensor([[3.0], [-2.0], [1.0]]), 0)
    torch.testing.assert_close(
        ScaleInvariantLog(1.0)(shifted, known), ScaleInvariantLog(1.0)(residual, known)
    )
    assert ScaleInvariantLog(0.0)(shifted, known) > 2 * ScaleInvariantLog(0.0)(residual, known)


def test_the_likelihood_agrees_with_torch():
    residual, known = batch(4)
    log_variance = torch.linspace(-20, 3, 120, dtype=torch.float64).reshape(3, 40)
    expected = functional.gaussian_nll_loss(
        residual[known], torch.zeros(1, dtype=torch.float64), log_variance[known].exp(), eps=1e-6
    )
    torch.testing.assert_close(gaussian_nll(residual, log_variance, known), expected)


def test_the_best_variance_is_that_of_the_residuals():
    residual, known = batch(5)
    best = residual[known].square().mean().log()
    losses = [
        gaussian_nll(residual, torch.full_like(residual, best.item() + step), known)
        for step in (-0.1, 0.0, 0.1)
    ]
    assert losses[1] < min(losses[0], losses[2])
    assert losses[1].item() == pytest.approx((best.item() + 1) / 2, rel=1e-12)


def likelihood(residual, known):
    return gaussian_nll(residual, torch.zeros_like(residual), known)


@pytest.mark.parametrize("loss", [*LOSSES, likelihood], ids=str)
def test_without_known_pixels_there_is_no_loss_and_no_gradient(loss):
    value = torch.randn(2, 7, requires_grad=True)
    known = torch.zeros(2, 7, dtype=torch.bool)
    found = loss(torch.where(known, value, 0), known)
    found.backward()
    assert found == 0
    assert not value.grad.any()


@by_name
def test_exact_predictions_cost_nothing(loss):
    residual = torch.zeros(2, 7, requires_grad=True)
    found = loss(residual, torch.ones(2, 7, dtype=torch.bool))
    found.backward()
    assert found == 0
    assert not residual.grad.any()


@by_name
def test_gradients_are_those_of_the_function(loss):
    """Along a direction, by differences; of BerHu the threshold is held by one large residual."""
    residual, known = batch(6)
    residual[0, 0], known[0, 0] = 10.0, True
    direction = torch.where(known, batch(7)[0], 0)
    direction[0, 0] = 0.0
    leaf = residual.clone().requires_grad_()
    loss(leaf, known).backward()
    step = 1e-6
    ahead, behind = (loss(residual + s * direction, known) for s in (step, -step))
    assert (leaf.grad * direction).sum().item() == pytest.approx(
        ((ahead - behind) / (2 * step)).item(), rel=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Huber(0.0), r"delta=0\.0"),
        (lambda: Huber(math.inf), "delta=inf"),
        (lambda: BerHu(0.0), r"share=0\.0"),
        (lambda: BerHu(1.1), r"share=1\.1"),
        (lambda: ScaleInvariantLog(-0.1), r"weight=-0\.1"),
        (lambda: ScaleInvariantLog(1.5), r"weight=1\.5"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
