"""Transforms of real signals by matrix products: what the layers compute with.

**Real basis.** On the index m of every degree, v_m is replaced by

    c_0 = v_0,   c_m = (v_m + (-1)^m v_-m) / sqrt 2,   s_m = i (v_m - (-1)^m v_-m) / sqrt 2.

It is unitary, and a real signal has a real vector x_l (S2) or a real matrix X_l (SO(3), both
indices in the basis) per degree, so that the product X K^+ of a convolution becomes a real X K^T.
With F_uv(beta) = sum x u(m alpha) v(n gamma), u and v one of cos and sin, with the cosine of order
0 divided by sqrt 2, and

    p = d_mn + (-1)^n d_m,-n,    q = d_mn - (-1)^n d_m,-n        (m, n >= 0)

the entries of X_l are sums over beta with the quadrature weights,

    X[c_m, c_n] = p F_cc - q F_ss        X[s_m, s_n] = q F_cc - p F_ss
    X[s_m, c_n] = p F_sc + q F_cs       -X[c_m, s_n] = q F_sc + p F_cs.

So with E = (F_cc, F_sc) and O = (-F_ss, F_cs), the first column of formulas is p E + q O and the
second is q E + p O. This is how it is computed: a matrix product over gamma gives cosines and
sines of n, one over alpha gives E from the cosines and O from the sines, and one over beta per
order has the rows p, q of the Wigner table.

**Wedge.** p and q of (n, m) are (-1)^(m - n) those of (m, n). The table holds m >= n only,
multiplied by (-1)^m, and the modes of alpha are multiplied by (-1)^m too: then (m, n) and (n, m)
take the same rows with no further sign. Per order o = max(m, n) the table is
[min(m, n), (p, q, p), degrees from o on, beta]: its first two thirds multiply E and its last two
thirds multiply O.

**Layout.** Signals are [gamma, alpha, batch, feature, beta], so that every step is one product of
large matrices and none needs a transpose. Spectra are [row, batch, feature] with the rows of X_l,
degree by degree; orders m in the order c_0, c_1, ..., s_1, ...

The inverse is the adjoint of all this, with 2l + 1 in the place of the quadrature weights. The
transforms are linear, so each is the gradient of the other, and autograd is told so.

**Precision.** Autocast does not lower the precision of the products, not even where it is on during
the backward pass. Who allows TF32 products, by ``torch.set_float32_matmul_precision``, gets them
here too.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from s2cnn_baselines.harmonics.quadrature import (
    Grid,
    colatitudes,
    longitudes,
    quadrature_weights,
)
from s2cnn_baselines.harmonics.wigner import wedge_by_degree

_SQRT2 = np.sqrt(2.0)


@dataclass(frozen=True)
class Band:
    """The coefficients kept on SO(3): orders m < alpha and n < gamma of the degrees l < degrees.

    Attributes:
        alpha: Orders of the first index, at most ``degrees``.
        gamma: Orders of the second index, at most ``degrees``.
        degrees: Number of degrees.
    """

    alpha: int
    gamma: int
    degrees: int

    def rows(self, degree: int) -> tuple[int, int]:
        """Rows and columns of X_l in the real basis."""
        return order_count(degree, self.alpha), order_count(degree, self.gamma)

    @property
    def sizes(self) -> list[int]:
        """Coefficients of every degree."""
        return [m * n for m, n in map(self.rows, range(self.degrees))]


def order_count(degree: int, orders: int) -> int:
    """Real basis functions of a degree whose order is below ``orders``."""
    return 2 * min(degree, orders - 1) + 1


class TableModule(nn.Module):
    """A module with tables: computed in float64, kept as non-persistent buffers.

    Modules of one process share a table for as long as one of them lives. Whenever the dtype of a
    module changes, its tables are cast anew from float64, so that ``module.double()`` is exact.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sources: dict[str, tuple[Callable[..., np.ndarray], tuple[Any, ...]]] = {}

    def register_table(
        self, name: str, function: Callable[..., np.ndarray], *args: Hashable
    ) -> None:
        """Add a buffer that holds ``function(*args)``, which must depend on nothing else."""
        self._sources[name] = (function, args)
        table = _shared_table(function, args, torch.get_default_dtype())
        self.register_buffer(name, table, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TableModule:
        before = {name: getattr(self, name).dtype for name in self._sources}
        super()._apply(fn, recurse)
        for name, source in self._sources.items():
            table = getattr(self, name)
            if table.dtype != before[name] and table.device.type != "meta":
                setattr(self, name, _shared_table(*source, table.dtype).to(table.device))
        return self


_SHARED_TABLES: weakref.WeakValueDictionary[Hashable, Tensor] = weakref.WeakValueDictionary()


def _shared_table(
    function: Callable[..., np.ndarray], args: tuple[Any, ...], dtype: torch.dtype
) -> Tensor:
    """The table on the CPU, in this dtype unless it holds integers."""
    key = (function, args, dtype)
    table = _SHARED_TABLES.get(key)
    if table is None:
        table = torch.from_numpy(function(*args))
        if table.is_floating_point():
            table = table.to(dtype)
        if type(table) is Tensor:  # not one that stands for a tensor while a graph is traced
            _SHARED_TABLES[key] = table
    return table


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Autocast is off inside."""
    device = x.device.type
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else contextlib.nullcontext()


class TableProduct(torch.autograd.Function):
    """table @ x, of full precision in both directions, for a table that needs no gradient.

    With ``rectify`` the ReLU of it, in place; one byte a value is kept for the gradient.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, table: Tensor, x: Tensor, rectify: bool = False) -> Tensor:
        """Multiply."""
        with full_precision(x):
            y = table @ x
        ctx.save_for_backward(table, y > 0 if rectify and ctx.needs_input_grad[1] else None)
        return torch.relu_(y) if rectify else y

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Multiply with the transposed table."""
        table, positive = ctx.saved_tensors
        if positive is not None:
            grad = grad * positive
        return None, TableProduct.apply(table.mT, grad), None


class S2Analysis(TableModule):
    """Spectra of real signals on the sphere.

    Args:
        bandwidth: b of the signals.
        degrees: Degrees to compute, at most b.
        grid: Colatitudes of the samples.
    """

    def __init__(self, bandwidth: int, degrees: int, grid: Grid = "soft") -> None:
        super().__init__()
        self.degrees = degrees
        self.register_table("waves", _s2_waves, bandwidth, degrees)
        self.register_table("legendre", _s2_legendre, bandwidth, degrees, degrees, grid, True)
        self.register_table("index", _s2_index, degrees, degrees)
        self.register_table("back", _s2_back, degrees, degrees)

    def forward(
        self, x: Float[Tensor, "alpha batch feature beta"]
    ) -> Float[Tensor, "row batch feature"]:
        """Spectrum of the signals, rows (l, m)."""
        alpha, batch, feature, beta = x.shape
        modes = TableProduct.apply(self.waves, x.reshape(alpha, batch * feature * beta))
        modes = modes.view(self.degrees, 2 * batch * feature, beta)
        rows = TableProduct.apply(self.legendre, modes.mT)
        rows = rows.reshape(2 * self.degrees**2, batch * feature)
        rows = Reorder.apply(rows, self.index, self.back)
        return rows.view(len(self.index), batch, feature)


class S2Synthesis(TableModule):
    """Real signals on the sphere from their spectra.

    Args:
        bandwidth: b of the signals, and number of degrees.
        orders: Orders of the spectrum; those from it on are 0.
        grid: Colatitudes of the samples.
    """

    def __init__(self, bandwidth: int, orders: int, grid: Grid = "soft") -> None:
        super().__init__()
        self.bandwidth, self.orders = bandwidth, orders
        self.register_table("waves", _s2_waves, bandwidth, orders)
        self.register_table("legendre", _s2_legendre, bandwidth, bandwidth, orders, grid, False)
        self.register_table("index", _s2_index, bandwidth, orders)
        self.register_table("back", _s2_back, bandwidth, orders)

    def forward(
        self, x: Float[Tensor, "row batch feature"]
    ) -> Float[Tensor, "alpha batch feature beta"]:
        """Signals with this spectrum, rows (l, m)."""
        _, batch, feature = x.shape
        rows = Reorder.apply(x.flatten(1), self.back, self.index)
        rows = rows.view(self.orders, self.bandwidth, 2 * batch * feature)
        modes = TableProduct.apply(self.legendre.mT, rows).mT
        samples = 2 * self.bandwidth
        modes = modes.reshape(2 * self.orders, batch * feature * samples)
        signal = TableProduct.apply(self.waves.mT, modes)
        return signal.view(samples, batch, feature, samples)


class SO3Analysis(TableModule):
    """Spectra of real signals on the rotation group.

    Args:
        bandwidth: b of the signals.
        degrees: Degrees to compute. Orders are below both.
    """

    def __init__(self, bandwidth: int, degrees: int) -> None:
        super().__init__()
        orders = min(bandwidth, degrees)
        self.band = Band(orders, orders, degrees)
        self.register_table("gamma_waves", _gamma_waves, bandwidth, orders)
        self.register_table("alpha_waves", _alpha_waves, bandwidth, orders, orders)
        self.register_table("wigner", _so3_wigner, bandwidth, self.band, "soft", True)
        self.register_table("index", so3_index, self.band, None)
        self.register_table("back", so3_back, self.band, None)

    def forward(
        self, x: Float[Tensor, "gamma alpha batch feature beta"]
    ) -> Float[Tensor, "row batch feature"]:
        """Spectrum of the signals, rows (l, m, n)."""
        gamma, alpha, batch, feature, beta = x.shape
        width = batch * feature
        modes = TableProduct.apply(self.gamma_waves, x.reshape(gamma, alpha * width * beta))
        modes = modes.view(2 * self.band.gamma, alpha, width * beta)
        modes = TableProduct.apply(self.alpha_waves, modes)
        modes = modes.view(2, self.band.gamma, self.band.alpha, 2 * width, beta)
        rows = Wigner.apply(modes, self.wigner, self.index, self.back, self.band)
        return rows.view(len(self.index), batch, feature)


class SO3Synthesis(TableModule):
    """Real signals on the rotation group from their spectra.

    Args:
        bandwidth: b of the signals, and number of degrees and of orders n.
        orders: Orders m of the spectrum; those from it on are 0.
    """

    def __init__(self, bandwidth: int, orders: int) -> None:
        super().__init__()
        self.bandwidth = bandwidth
        self.band = Band(orders, bandwidth, bandwidth)
        self.register_table("gamma_waves", _gamma_waves, bandwidth, bandwidth)
        self.register_table("alpha_waves", _alpha_waves, bandwidth, orders, bandwidth)
        self.register_table("wigner", _so3_wigner, bandwidth, self.band, "soft", False)
        self.register_table("index", so3_index, self.band, None)
        self.register_table("back", so3_back, self.band, None)

    def forward(
        self, x: Float[Tensor, "row batch feature"], rectify: bool = False
    ) -> Float[Tensor, "gamma alpha batch feature beta"]:
        """Signals with this spectrum, rows (l, m, n), or their ReLU."""
        _, batch, feature = x.shape
        samples = 2 * self.bandwidth
        modes = WignerAdjoint.apply(x.flatten(1), self.wigner, self.index, self.back, self.band)
        inner = batch * feature * samples
        modes = modes.view(2 * self.band.gamma, 2 * self.band.alpha, inner)
        modes = TableProduct.apply(self.alpha_waves.mT, modes)
        modes = modes.view(2 * self.band.gamma, samples * inner)
        signal = TableProduct.apply(self.gamma_waves.mT, modes, rectify)
        return signal.view(samples, samples, batch, feature, samples)


class Reorder(torch.autograd.Function):
    """y = x[index]; ``back`` is the inverse. Rows that are not taken meet zeros of the tables."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, index: Int[Tensor, " out"], back: Int[Tensor, " rows"]
    ) -> Tensor:
        """Take rows."""
        ctx.save_for_backward(index, back)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Put them back: any gradient will do for rows that were not taken."""
        index, back = ctx.saved_tensors
        return Reorder.apply(grad, back, index), None, None


class Wigner(torch.autograd.Function):
    """The products over beta: modes [2, n, m, (2, group, width), beta] to rows [row, width].

    ``index`` and ``back`` are `so3_index` and `so3_back`; a group is the features that an index
    moves one by one.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, modes: Tensor, table: Tensor, index: Tensor, back: Tensor, band: Band
    ) -> Tensor:
        """Sum over beta."""
        ctx.save_for_backward(table, index, back)
        ctx.band = band
        with full_precision(modes):
            return _wigner_forward(modes, table, index, band, len(back) // _row_count(band))

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint."""
        return WignerAdjoint.apply(grad, *ctx.saved_tensors, ctx.band), None, None, None, None


class WignerAdjoint(torch.autograd.Function):
    """The adjoint of `Wigner`: rows [row, width] to modes [2, n, m, (2, group, width), beta]."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, rows: Tensor, table: Tensor, index: Tensor, back: Tensor, band: Band
    ) -> Tensor:
        """Spread over beta."""
        ctx.save_for_backward(table, index, back)
        ctx.band = band
        with full_precision(rows):
            return _wigner_adjoint(rows, table, back, band, len(back) // _row_count(band))

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint of the adjoint."""
        return Wigner.apply(grad, *ctx.saved_tensors, ctx.band), None, None, None, None


def _wigner_forward(modes: Tensor, table: Tensor, index: Tensor, band: Band, group: int) -> Tensor:
    width, beta = modes.shape[-2:]
    even, odd = modes.contiguous()
    tables = _tables_by_order(table, band, beta)
    compiling = torch.compiler.is_compiling()
    out = None if compiling else modes.new_empty(_row_count(band), width // 2)
    blocks = []
    for order, swapped, pairs, start in _blocks(band):
        t, rows = tables[order][:pairs], band.degrees - order
        e, o = _pairs(even, order, swapped, pairs).mT, _pairs(odd, order, swapped, pairs).mT
        if compiling:
            block = torch.baddbmm(torch.bmm(t[:, : 2 * rows], e), t[:, rows:], o)
            block = block.view(pairs, 2, rows, 2, width // 2) * _signs(block)
            blocks.append(block.reshape(pairs * rows * 4, width // 2))
        else:
            block = out[start : start + pairs * rows * 4].view(pairs, 2 * rows, width)
            torch.bmm(t[:, : 2 * rows], e, out=block)
            block.baddbmm_(t[:, rows:], o)
            block.view(pairs, 2, rows, 2, width // 2)[:, 1, :, 1].neg_()
    out = torch.cat(blocks) if compiling else out
    return out.view(_row_count(band) * group, width // 2 // group).index_select(0, index)


def _wigner_adjoint(rows: Tensor, table: Tensor, back: Tensor, band: Band, group: int) -> Tensor:
    width = 2 * group * rows.shape[1]
    beta = table.shape[0] // _table_rows(band)
    tables = _tables_by_order(table, band, beta)
    compiling = torch.compiler.is_compiling()
    modes = None if compiling else rows.new_empty(2, band.gamma, band.alpha, width, beta)
    blocks: tuple[list[Tensor], list[Tensor]] = ([], [])
    for order, swapped, pairs, start in _blocks(band):
        t, count = tables[order][:pairs], band.degrees - order
        taken = back[start * group : (start + pairs * count * 4) * group]
        block = rows.index_select(0, taken).view(pairs, 2, count, 2, width // 2)
        if compiling:
            block = block * _signs(block)
        else:
            block[:, 1, :, 1].neg_()
        block = block.view(pairs, 2 * count, width).mT
        for kind, part in enumerate((t[:, : 2 * count], t[:, count:])):
            if compiling:
                blocks[kind].append(torch.bmm(block, part))
                continue
            place = _pairs(modes[kind], order, swapped, pairs)
            if place.is_contiguous():
                torch.bmm(block, part, out=place)
            else:
                place.copy_(torch.bmm(block, part))
    if compiling:
        places = torch.from_numpy(_pair_places(band)).to(rows.device)
        modes = torch.stack([torch.cat(kind).index_select(0, places) for kind in blocks])
        modes = modes.view(2, band.gamma, band.alpha, width, beta)
    return modes


def _signs(block: Tensor) -> Float[Tensor, "1 2 1 2 1"]:
    """-1 for -(c_m, s_n), the second column of the second block."""
    return block.new_tensor([[1.0, 1.0], [1.0, -1.0]]).view(1, 2, 1, 2, 1)


def _pair_places(band: Band) -> Int[np.ndarray, " pair"]:
    """Which of the pairs in the order of the blocks belongs to (n, m), n slowest."""
    places = np.empty((band.gamma, band.alpha), dtype=np.int64)
    start = 0
    for order, swapped, pairs, _ in _blocks(band):
        target = places[order, :pairs] if swapped else places[:pairs, order]
        target[:] = np.arange(start, start + pairs)
        start += pairs
    return places.reshape(-1)


def _pairs(modes: Tensor, order: int, swapped: bool, pairs: int) -> Tensor:
    """The modes [n, m, ...] of one block: m = order, or n = order if swapped."""
    return modes[order, :pairs] if swapped else modes[:pairs, order]


def _blocks(band: Band) -> Iterator[tuple[int, bool, int, int]]:
    """Blocks of rows: order = max(m, n), whether n is it (m < n), pairs, first row.

    The rows of a block are [min(m, n), (c_n, s_n), degree, (c_m, s_m)].
    """
    start = 0
    for order in range(max(band.alpha, band.gamma)):
        rows = 4 * (band.degrees - order)
        if order < band.alpha:
            pairs = min(order + 1, band.gamma)
            yield order, False, pairs, start
            start += pairs * rows
        if 0 < order < band.gamma:
            pairs = min(order, band.alpha)
            yield order, True, pairs, start
            start += pairs * rows


def _table_pairs(band: Band) -> list[int]:
    """Pairs in the table of every order."""
    pairs = [0] * max(band.alpha, band.gamma)
    for order, _, count, _ in _blocks(band):
        pairs[order] = max(pairs[order], count)
    return pairs


def _table_rows(band: Band) -> int:
    return sum(p * 3 * (band.degrees - order) for order, p in enumerate(_table_pairs(band)))


def _tables_by_order(table: Tensor, band: Band, beta: int) -> list[Tensor]:
    """Views [pairs, 3 (degrees - order), beta] of the flat table."""
    views, start = [], 0
    for order, pairs in enumerate(_table_pairs(band)):
        rows = 3 * (band.degrees - order)
        end = start + pairs * rows * beta
        views.append(table[start:end].view(pairs, rows, beta))
        start = end
    return views


def _row_count(band: Band) -> int:
    return sum(pairs * 4 * (band.degrees - order) for order, _, pairs, _ in _blocks(band))


def wigner_table(
    beta: Float[np.ndarray, " beta"], scale: Float[np.ndarray, "degree beta"], band: Band
) -> Float[np.ndarray, " flat"]:
    """The wedge of p, q, p as the module says, flat; see `_tables_by_order`.

    Args:
        beta: Angles.
        scale: Factor of every degree and angle.
        band: What is kept.
    """
    wedge = list(wedge_by_degree(band.degrees, beta))
    tables = []
    for order, pairs in enumerate(_table_pairs(band)):
        middle = order**2 + order
        degrees = range(order, band.degrees)
        signs = (-1.0) ** np.arange(pairs)[:, None, None]
        plus = np.stack([wedge[k][middle : middle + pairs] for k in degrees], axis=1)
        minus = np.stack([wedge[k][middle - pairs + 1 : middle + 1][::-1] for k in degrees], axis=1)
        plus *= (-1.0) ** order * scale[order:]
        minus *= (-1.0) ** order * scale[order:] * signs
        total, difference = plus + minus, plus - minus
        tables.append(np.concatenate([total, difference, total], axis=1).reshape(-1))
    return np.concatenate(tables)


def _so3_wigner(bandwidth: int, band: Band, grid: Grid, analysis: bool) -> np.ndarray:
    scale = _degree_scale(bandwidth, band.degrees, grid, analysis)
    return wigner_table(colatitudes(bandwidth, grid), scale, band)


def _degree_scale(bandwidth: int, degrees: int, grid: Grid, analysis: bool) -> np.ndarray:
    """Quadrature weights of SO(3) for the analysis, 2l + 1 for the synthesis."""
    if analysis:
        return np.tile(quadrature_weights(bandwidth, grid), (degrees, 1))
    return np.repeat(2.0 * np.arange(degrees)[:, None] + 1, 2 * bandwidth, axis=1)


def _gamma_waves(bandwidth: int, orders: int) -> Float[np.ndarray, "wave gamma"]:
    """Rows cos n gamma of all orders, then sin n gamma."""
    return np.concatenate(cosines_sines(orders, longitudes(bandwidth)))


def _alpha_waves(
    bandwidth: int, orders: int, gamma_orders: int
) -> Float[np.ndarray, "gamma_wave wave alpha"]:
    """What the cosines of n gamma are multiplied with, then the sines, repeated for every n."""
    even, odd = even_odd_waves(orders, longitudes(bandwidth))
    return np.repeat(np.stack([even, odd]), gamma_orders, axis=0)


def even_odd_waves(
    orders: int, alpha: Float[np.ndarray, " alpha"]
) -> tuple[Float[np.ndarray, "wave alpha"], Float[np.ndarray, "wave alpha"]]:
    """Rows (m, 2): (-1)^m (cos, sin) of m alpha, and (-1)^m (-sin, cos)."""
    cos, sin = cosines_sines(orders, alpha)
    signs = (-1.0) ** np.arange(orders)[:, None, None]
    even = np.stack([cos, sin], axis=1) * signs
    odd = np.stack([-sin, cos], axis=1) * signs
    return even.reshape(2 * orders, -1), odd.reshape(2 * orders, -1)


def cosines_sines(
    orders: int, angle: Float[np.ndarray, " angle"]
) -> tuple[Float[np.ndarray, "order angle"], Float[np.ndarray, "order angle"]]:
    """Cosines, that of order 0 divided by sqrt 2, and sines of the multiples of angles."""
    phase = np.outer(np.arange(orders), angle)
    cos = np.cos(phase)
    cos[0] /= _SQRT2
    return cos, np.sin(phase)


def _s2_waves(bandwidth: int, orders: int) -> Float[np.ndarray, "wave alpha"]:
    """Rows (m, 2): sqrt 2 (cos, sin) of m alpha."""
    cos, sin = cosines_sines(orders, longitudes(bandwidth))
    return _SQRT2 * np.stack([cos, sin], axis=1).reshape(2 * orders, -1)


def _s2_legendre(
    bandwidth: int, degrees: int, orders: int, grid: Grid, analysis: bool
) -> Float[np.ndarray, "order degree beta"]:
    """d^l_m0 with 2b w_j or 2l + 1; 0 where l < m."""
    beta = colatitudes(bandwidth, grid)
    table = np.zeros((orders, degrees, len(beta)))
    for degree, wedge in enumerate(wedge_by_degree(degrees, beta)):
        m = np.arange(min(degree + 1, orders))
        table[m, degree] = wedge[m**2 + m]
    scale = _degree_scale(bandwidth, degrees, grid, analysis)
    return table * (2 * bandwidth * scale if analysis else scale)


def so3_index(band: Band, features: int | None) -> Int[np.ndarray, " out"]:
    """For every row (l, m, n), or (l, n, feature, m) of a kernel, its place among the blocks.

    Args:
        band: What is kept.
        features: Input features of a kernel, every one of which is a row by itself; None for a
            signal, whose features stay together.
    """
    return _inverse(_so3_targets(band, features), (features or 1) * sum(band.sizes))


def so3_back(band: Band, features: int | None) -> Int[np.ndarray, " rows"]:
    """The inverse of `so3_index`: where every row of the blocks goes; 0 for the sines of order 0.

    These meet zeros of the tables, so that it does not matter what they are.
    """
    return np.maximum(_so3_targets(band, features), 0)


@functools.lru_cache(maxsize=1)  # the index is asked for, then its inverse
def _so3_targets(band: Band, features: int | None) -> Int[np.ndarray, " rows"]:
    """Where every row of the blocks goes; -1 for the sines of order 0."""
    starts = np.cumsum([0, *band.sizes])
    feature = np.arange(features or 1)
    targets = []
    for order, swapped, pairs, _ in _blocks(band):
        low, gamma_sin, degree, alpha_sin = np.ix_(
            np.arange(pairs), [0, 1], np.arange(order, band.degrees), [0, 1]
        )
        m, n = (low, order) if swapped else (order, low)
        # The rows of c_n are (c_m, c_n), (s_m, c_n); those of s_n are (s_m, s_n), -(c_m, s_n).
        row_sin = alpha_sin ^ gamma_sin
        real = ((m > 0) | (row_sin == 0)) & ((n > 0) | (gamma_sin == 0))
        row_orders = np.minimum(degree, band.alpha - 1)
        column_orders = np.minimum(degree, band.gamma - 1)
        row, column = m + row_sin * row_orders, n + gamma_sin * column_orders
        if features is None:
            target = starts[degree] + row * (2 * column_orders + 1) + column
        else:
            real, start, row, column, rows = (
                array[..., None]
                for array in (real, starts[degree], row, column, 2 * row_orders + 1)
            )
            target = start * features + (column * features + feature) * rows + row
        targets.append(np.where(real, target, -1).astype(np.int32).reshape(-1))
    return np.concatenate(targets)


def _s2_index(degrees: int, orders: int) -> Int[np.ndarray, " out"]:
    """For every row (l, m) its place among the rows (m, l, 2)."""
    target = _s2_targets(degrees, orders)
    return _inverse(target, target.max() + 1)


def _s2_back(degrees: int, orders: int) -> Int[np.ndarray, " rows"]:
    """The inverse of `_s2_index`, 0 where the tables are 0: l < m, and the sine of order 0."""
    return np.maximum(_s2_targets(degrees, orders), 0).astype(np.int32)


def _s2_targets(degrees: int, orders: int) -> Int[np.ndarray, " rows"]:
    starts = np.cumsum([0, *(order_count(k, orders) for k in range(degrees))])
    m, degree, sin = np.ix_(np.arange(orders), np.arange(degrees), [0, 1])
    place = starts[degree] + m + sin * np.minimum(degree, orders - 1)
    return np.where((m <= degree) & ((m > 0) | (sin == 0)), place, -1).reshape(-1)


def _inverse(target: Int[np.ndarray, " rows"], count: int) -> Int[np.ndarray, " out"]:
    taken = np.flatnonzero(target >= 0)
    index = np.empty(count, dtype=np.int32)
    index[target[taken]] = taken
    return index
