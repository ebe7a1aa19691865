"""Uncertainty: identities that hold for any predictions, and known answers."""

import math

import pytest
import torch

from healswin.metrics import (
    ClassMixture,
    Coverage,
    DepthMixture,
    Sparsification,
    entropy,
)


def probabilities(members, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(members, *shape, generator=generator, dtype=torch.float64).softmax(dim=2)


def mixture_of(members):
    mixture = ClassMixture()
    for member in members:
        mixture.add(member)
    return mixture.result()


def test_entropy_is_between_0_and_ln_classes():
    sure, even = torch.eye(4)[None, :, :1], torch.full((1, 4, 1), 0.25)
    assert entropy(sure).item() == 0
    assert entropy(even).item() == pytest.approx(math.log(4))


def test_entropy_is_divided_into_data_and_disagreement():
    members = probabilities(5, 2, 3, 7)
    result = mixture_of(members)
    mean = members.mean(0)
    torch.testing.assert_close(result.probabilities, mean)
    # Mutual information is the mean divergence of the members from their mean.
    divergence = (members * (members.log() - mean.log())).sum(2).mean(0)
    torch.testing.assert_close(result.mutual_information, divergence)
    assert (result.mutual_information > 0).all()


def test_members_that_agree_disagree_in_nothing():
    one = probabilities(1, 2, 3, 7)[0]
    result = mixture_of([one] * 4)
    assert result.mutual_information.abs().max() < 1e-12
    torch.testing.assert_close(result.entropy, entropy(one))


def test_members_are_not_changed():
    members = probabilities(2, 1, 3, 4)
    before = members.clone()
    mixture_of(members)
    assert torch.equal(members, before)


def test_depth_mixture_has_the_variance_of_its_samples():
    generator = torch.Generator().manual_seed(1)
    means = 1e4 + torch.randn(6, 2, 5, generator=generator, dtype=torch.float64)
    variances = torch.rand(6, 2, 5, generator=generator, dtype=torch.float64)
    mixture = DepthMixture()
    for mean, variance in zip(means, variances, strict=True):
        mixture.add(mean, variance)
    result = mixture.result()
    torch.testing.assert_close(result.mean, means.mean(0))
    torch.testing.assert_close(result.disagreement, means.var(0, correction=0))
    torch.testing.assert_close(result.noise, variances.mean(0))
    expected = (variances.mean(0) + means.var(0, correction=0)).sqrt()
    torch.testing.assert_close(result.deviation, expected)


def test_depth_without_variance_has_disagreement_only():
    mixture = DepthMixture()
    mixture.add(torch.zeros(1, 3), None)
    mixture.add(torch.full((1, 3), 2.0), None)
    assert torch.equal(mixture.result().deviation, torch.ones(1, 3))


def coverage_of(factor, count=200_000):
    generator = torch.Generator().manual_seed(2)
    mean = torch.randn(count, generator=generator)
    deviation = torch.rand(count, generator=generator) + 0.5
    truth = mean + deviation * torch.randn(count, generator=generator)
    coverage = Coverage()
    half = count // 2
    for part in (slice(None, half), slice(half, None)):
        coverage.update(mean[part], factor * deviation[part], truth[part])
    return coverage.compute()


def test_true_deviations_cover_as_much_as_they_state():
    curve = coverage_of(1.0)
    assert curve["error"] < 0.005
    assert curve["stated"][-1] == curve["covered"][-1] == 1


@pytest.mark.parametrize(("factor", "sign"), [(0.5, -1), (2.0, 1)])
def test_wrong_deviations_are_seen(factor, sign):
    curve = coverage_of(factor)
    # Half of a Gaussian lies within 0.6745 deviations.
    inside = math.erf(0.6744897501960817 * factor / math.sqrt(2))
    assert curve["covered"][24].item() == pytest.approx(inside, abs=0.005)
    assert sign * (curve["covered"] - curve["stated"])[:-1].mean() > 0.1


def test_coverage_leaves_out_what_has_no_truth_or_no_deviation():
    coverage = Coverage(bins=2)
    nan, inf = math.nan, math.inf
    coverage.update(torch.zeros(4), torch.tensor([1.0, 1, 1, 0]), torch.tensor([nan, inf, 0.5, 0]))
    assert coverage.counts.tolist() == [0, 1]
    nothing = Coverage()
    nothing.update(torch.zeros(1), torch.ones(1), torch.tensor([inf]))
    assert nothing.compute()["error"].isnan()


def test_sparsification_of_a_perfect_uncertainty():
    # Errors 0, 0, 0, 1 in the order of the uncertainty: the worst quarter goes first.
    metric = Sparsification(1.0)
    metric.update(torch.tensor([0.0, 1e-5, 0.9, 0.999]), torch.tensor([0, 0, 0, 1]))
    curve = metric.compute()
    seen = curve["kept"].diff(prepend=torch.zeros(1)) > 0
    assert curve["kept"][seen].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve["error"][seen].tolist() == [0, 0, 0, 0.25]
    assert curve["area"].item() == pytest.approx(0.25 * 0.25 / 2)


def test_sparsification_tells_apart_what_is_all_but_the_highest():
    """Entropies of a network that knows little lie close below their bound."""
    generator = torch.Generator().manual_seed(4)
    order = torch.rand(4000, generator=generator)
    metric = Sparsification(math.log(12))
    metric.update(math.log(12) * (1 - 1e-3 - 4e-3 * order), order < 0.5)
    curve = metric.compute()
    half = int((curve["kept"] - 0.5).abs().argmin())
    assert curve["error"][half] < 0.02
    assert curve["error"][-1].item() == pytest.approx(0.5, abs=0.05)


def test_sparsification_of_a_blind_uncertainty_is_the_error_itself():
    metric = Sparsification(1.0)
    error = torch.tensor([0.0, 1, 1, 0])
    metric.update(torch.full((4,), 0.5), error)
    assert metric.compute()["area"].item() == pytest.approx(0.5)


def test_sparsification_adds_up_and_honours_weights():
    generator = torch.Generator().manual_seed(3)
    unsure, error = torch.rand(2, 1000, generator=generator)
    whole, parts, weighted = (Sparsification(1.0, 50) for _ in range(3))
    whole.update(unsure, error)
    for part in range(0, 1000, 250):
        parts.update(unsure[part : part + 250], error[part : part + 250])
    weighted.update(unsure, error, torch.full((1000,), 3.0))
    for name, values in whole.compute().items():
        torch.testing.assert_close(parts.compute()[name], values, equal_nan=True)
        torch.testing.assert_close(weighted.compute()[name], values, equal_nan=True)


@pytest.mark.parametrize("bins", [0, 3])
def test_coverage_refuses_bins(bins):
    with pytest.raises(ValueError, match="even number"):
        Coverage(bins)


@pytest.mark.parametrize(("highest", "bins"), [(0.0, 10), (math.inf, 10), (1.0, 1), (1.0, 5)])
def test_sparsification_refuses(highest, bins):
    with pytest.raises(ValueError, match="must be"):
        Sparsification(highest, bins)
