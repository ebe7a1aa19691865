"""Gathers whose backward pass is a gather too.

torch's own backward passes of indexing allocate and fill a whole gradient for each use. The
tables here are constant, so that their transposes are made at construction, and both directions
run at the speed of memory on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class WeightedSum(nn.Module):
    """y[m] = sum_k weight[m, k] x[index[m, k]]: means over neighbours, interpolation.

    Args:
        index: (outputs, terms), which inputs.
        weight: (outputs, terms), with which weights; a weight of 0 leaves a term out.
        inputs: Number of inputs.
    """

    index: Int64[Tensor, "outputs terms"]
    weight: Float[Tensor, "outputs terms"]
    index_back: Int64[Tensor, "inputs terms_back"]
    weight_back: Float[Tensor, "inputs terms_back"]

    def __init__(
        self,
        index: Int64[np.ndarray, "outputs terms"],
        weight: Float[np.ndarray, "outputs terms"],
        inputs: int,
    ) -> None:
        super().__init__()
        index = np.where(weight != 0, index, 0)
        back = _transposed(index, weight, inputs)
        for name, (indices, weights) in {"": (index, weight), "_back": back}.items():
            self.register_buffer("index" + name, torch.from_numpy(indices), persistent=False)
            weights = torch.from_numpy(weights).to(torch.get_default_dtype())
            self.register_buffer("weight" + name, weights, persistent=False)

    def forward(
        self, x: Float[Tensor, "batch inputs channels"]
    ) -> Float[Tensor, "batch outputs channels"]:
        """Sum; on a CPU in one pass over the result, elsewhere term by term."""
        if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype != self.weight.dtype:
            return self.written_out(x)
        return _BagSum.apply(x, self.index, self.weight, self.index_back, self.weight_back)

    def written_out(
        self, x: Float[Tensor, "batch inputs channels"]
    ) -> Float[Tensor, "batch outputs channels"]:
        """The same sum, term by term."""
        weight = self.weight.to(x.dtype)
        total = x.index_select(1, self.index[:, 0]) * weight[:, :1]
        for k in range(1, self.index.shape[1]):
            total = total + x.index_select(1, self.index[:, k]) * weight[:, k, None]
        return total

    def extra_repr(self) -> str:
        """Inputs, outputs and terms, for ``print(model)``."""
        return f"inputs={len(self.index_back)}, outputs={len(self.index)}"


class _BagSum(torch.autograd.Function):
    """`WeightedSum` by embedding bags: forward with the table, backward with its transpose."""

    @staticmethod
    def forward(ctx, x, index, weight, index_back, weight_back):
        ctx.save_for_backward(index, weight, index_back, weight_back)
        return _bags(x, index, weight)

    @staticmethod
    def backward(ctx, gradient):
        index, weight, index_back, weight_back = ctx.saved_tensors
        back = _BagSum.apply(gradient, index_back, weight_back, index, weight)
        return back, None, None, None, None


def _bags(x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    if not len(x):
        return x.new_empty(0, len(index), x.shape[-1])
    return torch.stack(
        [
            functional.embedding_bag(index, sample, per_sample_weights=weight, mode="sum")
            for sample in x.contiguous()
        ]
    )


def _transposed(
    index: np.ndarray, weight: np.ndarray, inputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """The table of the adjoint: for each input the outputs it goes into."""
    output, term = np.nonzero(weight)
    source = index[output, term]
    order = np.argsort(source, kind="stable")
    source, output, values = source[order], output[order], weight[output, term][order]
    count = np.bincount(source, minlength=inputs)
    place = np.arange(source.size) - np.repeat(np.cumsum(count) - count, count)
    index_back = np.zeros((inputs, max(int(count.max()), 1)), dtype=np.int64)
    weight_back = np.zeros(index_back.shape)
    index_back[source, place] = output
    weight_back[source, place] = values
    return index_back, weight_back


def gather_runs(
    x: Float[Tensor, "batch tokens channels"], runs: Sequence[Int64[Tensor, "blocks keys"]]
) -> tuple[Tensor, ...]:
    """x[:, run] for every run of index blocks: (batch, blocks, keys, channels) each.

    All runs together have one gradient, into which every run adds its own.
    """
    if torch.compiler.is_compiling() or len(runs) == 1:
        return tuple(x[:, run] for run in runs)
    return _GatherRuns.apply(x, *runs)


class _GatherRuns(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, *runs):
        ctx.save_for_backward(*runs)
        ctx.shape = x.shape
        return tuple(x.index_select(1, run.flatten()).unflatten(1, run.shape) for run in runs)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        total = gradients[0].new_zeros(ctx.shape)
        for run, gradient in zip(ctx.saved_tensors, gradients, strict=True):
            total.index_add_(1, run.flatten(), gradient.flatten(1, 2))
        return total, *[None] * len(gradients)
