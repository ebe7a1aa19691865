import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.layers import WeightedSum
from healswin.layers.gathers import gather_runs


def random_sum(outputs, terms, inputs, seed, dtype=torch.float64):
    """A table with weights of both signs, a part of them 0."""
    generator = np.random.default_rng(seed)
    index = generator.integers(0, inputs, (outputs, terms))
    weight = generator.normal(size=(outputs, terms)) * (generator.random((outputs, terms)) < 0.7)
    # Terms of weight 0 have no place, as at the border of a subset.
    index[weight == 0] = -1
    # The tables are made in float32, torch's default: the weights must survive that.
    weight = weight.astype(np.float32).astype(np.float64)
    return WeightedSum(index, weight, inputs).to(dtype), index, weight


sizes = st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 12), st.integers(0, 99))


@given(sizes, st.integers(1, 3), st.integers(1, 4))
def test_both_paths_are_the_matrix(size, batch, channels):
    layer, index, weight = random_sum(*size)
    outputs, terms, inputs, seed = size
    matrix = np.zeros((outputs, inputs))
    for m in range(outputs):
        for k in range(terms):
            if weight[m, k]:
                matrix[m, index[m, k]] += weight[m, k]
    x = torch.randn(
        batch, inputs, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    expected = torch.from_numpy(matrix) @ x
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.written_out(x), expected)


@given(sizes, st.integers(1, 3))
def test_both_paths_have_the_same_gradient(size, batch):
    layer, _, _ = random_sum(*size)
    torch.manual_seed(size[-1])
    x = torch.randn(batch, size[2], 3, dtype=torch.float64, requires_grad=True)
    out = torch.randn(batch, size[0], 3, dtype=torch.float64)
    (fast,) = torch.autograd.grad(layer(x), x, out)
    (written,) = torch.autograd.grad(layer.written_out(x), x, out)
    torch.testing.assert_close(fast, written)
    # <A x, y> = <x, A^T y>
    torch.testing.assert_close((layer(x) * out).sum(), (x * fast).sum())


def test_gradient_is_that_of_finite_differences():
    layer, _, _ = random_sum(7, 4, 9, seed=3)
    torch.manual_seed(0)
    x = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_inputs_and_gradients_need_not_be_contiguous():
    layer, _, _ = random_sum(30, 4, 20, seed=5)
    torch.manual_seed(0)
    maps = torch.randn(2, 6, 20, dtype=torch.float64, requires_grad=True)
    tokens = maps.transpose(1, 2)
    assert not tokens.is_contiguous()
    torch.testing.assert_close(layer(tokens), layer.written_out(tokens))
    out = torch.randn(2, 6, 30, dtype=torch.float64).transpose(1, 2)
    (fast,) = torch.autograd.grad(layer(tokens), maps, out)
    (written,) = torch.autograd.grad(layer.written_out(tokens), maps, out)
    torch.testing.assert_close(fast, written)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02), (torch.float16, 2e-3)]
)
@pytest.mark.parametrize("table_follows", [True, False])
def test_lower_precision(dtype, tolerance, table_follows):
    """With tables in the dtype of the map, and with tables as they were made."""
    exact, _, _ = random_sum(40, 4, 25, seed=1)
    layer, _, _ = random_sum(40, 4, 25, seed=1, dtype=dtype if table_follows else torch.float32)
    torch.manual_seed(0)
    x = torch.randn(2, 25, 8).to(dtype).requires_grad_()
    y = layer(x)
    (gradient,) = torch.autograd.grad(y.float().square().sum(), x)
    assert y.dtype == gradient.dtype == dtype
    wide = x.detach().double().requires_grad_()
    expected = exact(wide)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), wide)
    for result, truth in ((y, expected), (gradient, expected_gradient)):
        error = (result.double() - truth).abs().max() / truth.abs().max()
        assert error < tolerance


def test_a_term_of_weight_zero_does_not_need_an_input():
    index, weight = np.array([[2, -1], [-1, 0]]), np.array([[0.5, 0.0], [0.0, 2.0]])
    layer = WeightedSum(index, weight, 3)
    x = torch.tensor([[[1.0], [np.nan], [4.0]]])
    assert layer(x).flatten().tolist() == layer.written_out(x).flatten().tolist() == [2.0, 2.0]


def test_tables_are_not_saved_and_say_their_size():
    layer, _, _ = random_sum(7, 4, 9, seed=0)
    assert not layer.state_dict()
    assert repr(layer) == "WeightedSum(inputs=9, outputs=7)"


@pytest.mark.parametrize("lengths", [(5,), (2, 2, 1), (1, 4)])
@pytest.mark.parametrize("batch", [1, 3])
def test_gather_runs_is_indexing(lengths, batch):
    torch.manual_seed(0)
    keys = torch.randint(0, 11, (5, 6))  # some tokens several times, some not at all
    x = torch.randn(batch, 11, 4, dtype=torch.float64, requires_grad=True)
    gathered = gather_runs(x, keys.split(lengths))
    torch.testing.assert_close(torch.cat(gathered, dim=1), x[:, keys])
    weights = [torch.randn_like(run) for run in gathered]
    loss = sum((w * run).square().sum() for w, run in zip(weights, gathered, strict=True))
    expected = (torch.cat(weights, dim=1) * x[:, keys]).square().sum()
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], torch.autograd.grad(expected, x)[0])


def test_gather_runs_without_a_gradient_for_some():
    """A run that no loss looks at adds nothing."""
    keys = torch.tensor([[0, 1], [1, 2]])
    x = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    _, second = gather_runs(x, keys.split(1))
    second.sum().backward()
    assert x.grad[0, :, 0].tolist() == [0, 1, 1, 0]
    assert torch.autograd.gradcheck(lambda x: gather_runs(x, keys.split(1)), x)
