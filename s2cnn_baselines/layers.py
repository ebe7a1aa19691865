"""Equivariant layers of spherical CNNs (Cohen, Geiger, Koehler, Welling 2018, Spherical CNNs).

Signals are real, [batch, feature, beta, alpha] on S2 and [batch, feature, beta, alpha, gamma] on
SO(3), with 2b samples on every axis; see `harmonics.quadrature` for the grid and
`harmonics.transforms` for the conventions. Parameters have the names, shapes, first values and
scaling of the published s2cnn: ``kernel`` [feature_in, feature_out, points of the grid], uniform in
(-1, 1) and scaled in the forward pass, and ``bias`` [1, feature_out, 1, 1, 1], zero.

A convolution is a product per degree of the spectra, Z = X K^+. The linear layers are equivariant
to rounding: turning the input turns the output. What a ReLU adds beyond the bandwidth is aliased,
the less the higher the bandwidth.

All is float32 or float64. Autocast is switched off inside: the quadrature does not survive half
precision. TF32 products are used where they are allowed, as everywhere in torch: leave
``torch.set_float32_matmul_precision`` at "highest" where equivariance matters. Gradients are exact;
those of the published package are not where a layer raises the bandwidth, for its backward pass
leaves out the degrees from the input's bandwidth on.

Inside a network, signals are [(gamma,) alpha, batch, feature, beta], which the transforms need
(`harmonics.real_transforms`). ``forward`` converts at both ends; ``forward_inner`` does not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from s2cnn_baselines.harmonics.kernel_spectra import (
    S2KernelSpectrum,
    SO3KernelSpectrum,
    SO3ToS2KernelSpectrum,
)
from s2cnn_baselines.harmonics.quadrature import (
    Grid,
    check_bandwidth,
    check_grid,
    quadrature_weights,
)
from s2cnn_baselines.harmonics.real_transforms import (
    Band,
    S2Analysis,
    S2Synthesis,
    SO3Analysis,
    SO3Synthesis,
    TableModule,
    full_precision,
    order_count,
)
from s2cnn_baselines.harmonics.transforms import signal_bandwidth

KernelGrid = Sequence[Sequence[float]] | Float[np.ndarray, "points angles"]


class _KernelLayer(nn.Module):
    """A kernel, a bias, and the spectrum of the kernel, kept for evaluation."""

    def __init__(
        self,
        nfeature_in: int,
        nfeature_out: int,
        points: int,
        scaling: float,
        bias_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.nfeature_in, self.nfeature_out = nfeature_in, nfeature_out
        self.scaling = scaling
        self.kernel = nn.Parameter(torch.empty(nfeature_in, nfeature_out, points).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.zeros(bias_shape))
        self._kept: tuple[list[Tensor], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles do without the spectrum kept for evaluation."""
        return {**self.__dict__, "_kept": None}

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what was kept for evaluation is forgotten."""
        self._kept = None
        return super().train(mode)

    def kernel_spectrum(self, shortcut: SO3Shortcut | None = None) -> Tensor:
        """Spectrum of the scaled kernel, and of a shortcut beside it.

        In evaluation without gradients it is kept for as long as the kernels stay as they are.
        """
        kernels = [self.kernel] if shortcut is None else [self.kernel, shortcut.conv.kernel]
        keep = not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling())
        if keep and self._kept is not None:
            kept, spectrum = self._kept
            if len(kept) == len(kernels) and all(map(_same, kept, kernels)):
                return spectrum
        spectrum = self._spectrum_of(*kernels, shortcut=shortcut)
        self._kept = ([k.detach().clone() for k in kernels], spectrum) if keep else None
        return spectrum

    def _spectrum_of(
        self, kernel: Tensor, beside: Tensor | None = None, *, shortcut: SO3Shortcut | None = None
    ) -> Tensor:
        """Spectrum of a kernel, and of that of a shortcut beside it."""
        spectrum = self.spectrum(kernel * self.scaling)
        if shortcut is None:
            return spectrum
        return spectrum + shortcut.conv.spectrum(beside * shortcut.conv.scaling)

    def _multiply(
        self,
        x: Float[Tensor, "row batch feature"],
        shapes: Sequence[tuple[int, int, int]],
        shortcut: SO3Shortcut | None = None,
    ) -> Float[Tensor, "row_out batch feature_out"]:
        """The product with the kernel's spectrum, which is computed again for the gradients."""
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return _product(x, self.kernel_spectrum(shortcut), shapes, self.nfeature_out)
        kernels = [self.kernel] if shortcut is None else [self.kernel, shortcut.conv.kernel]
        self._kept = None
        spectrum_of = functools.partial(self._spectrum_of, shortcut=shortcut)
        return _Product.apply(x, spectrum_of, shapes, self.nfeature_out, *kernels)

    def _check(self, x: Tensor, bandwidth: int, axes: int) -> None:
        """Raise ValueError unless x is a signal of this layer."""
        found = signal_bandwidth("x", x, axes)
        if x.ndim != axes + 2 or x.shape[1] != self.nfeature_in or found != bandwidth:
            names = ("beta", "alpha", "gamma")[:axes]
            raise ValueError(
                f"x has the shape {tuple(x.shape)}: this layer takes [batch, {self.nfeature_in}, "
                f"{', '.join(names)}] with {2 * bandwidth} samples on each of the last axes"
            )
        if x.dtype != self.kernel.dtype:
            raise ValueError(f"x is {x.dtype}, the layer is {self.kernel.dtype}: convert one")


class S2Convolution(_KernelLayer):
    """Convolution from the sphere to the rotation group.

    Args:
        nfeature_in: Input features.
        nfeature_out: Output features.
        b_in: Bandwidth of the input.
        b_out: Bandwidth of the output, at most b_in.
        grid: Points (beta, alpha) of the kernel, see `harmonics.grids`.
        sampling: Colatitudes of the input's samples.

    Raises:
        ValueError: If a number is below 1, b_out above b_in, or the grid no points of the sphere.
    """

    def __init__(
        self,
        nfeature_in: int,
        nfeature_out: int,
        b_in: int,
        b_out: int,
        grid: KernelGrid,
        sampling: Grid = "soft",
    ) -> None:
        _check_sizes(nfeature_in, nfeature_out, b_in, b_out)
        check_grid(sampling)
        if b_out > b_in:
            raise ValueError(
                f"b_out={b_out} must be at most b_in={b_in}: a signal on the sphere has no degrees "
                "from its bandwidth on"
            )
        points = _as_grid(grid, 2)
        scaling = (len(points) * nfeature_in * b_out**4 / b_in**2) ** -0.5
        bias_shape = (1, nfeature_out, 1, 1, 1)
        super().__init__(nfeature_in, nfeature_out, len(points), scaling, bias_shape)
        self.b_in, self.b_out = b_in, b_out
        self.analysis = S2Analysis(b_in, b_out, sampling)
        self.spectrum = S2KernelSpectrum(points, b_out)
        self.synthesis = SO3Synthesis(b_out, b_out)

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless the shape and the dtype of x are what the layer takes."""
        self._check(x, self.b_in, 2)

    def forward(
        self, x: Float[Tensor, "batch feature beta alpha"]
    ) -> Float[Tensor, "batch feature_out beta_out alpha_out gamma_out"]:
        """Convolve.

        Raises:
            ValueError: If the shape or the dtype of x is not what the layer takes.
        """
        self.check(x)
        return from_inner(self.forward_inner(to_inner(x)))

    def forward_inner(
        self, x: Float[Tensor, "alpha batch feature beta"], rectify: bool = False
    ) -> Float[Tensor, "gamma_out alpha_out batch feature_out beta_out"]:
        """Convolve a signal in the inner layout; with ``rectify`` the ReLU of that."""
        with full_precision(x):
            orders = [order_count(degree, self.b_out) for degree in range(self.b_out)]
            shapes = [(rows, 1, rows) for rows in orders]
            z = self._multiply(self.analysis(x), shapes)
            return self.synthesis(_add_constant(z, self.bias), rectify)


class SO3Convolution(_KernelLayer):
    """Convolution on the rotation group.

    Args:
        nfeature_in: Input features.
        nfeature_out: Output features.
        b_in: Bandwidth of the input.
        b_out: Bandwidth of the output, below or above b_in. Above, orders below b_in are kept, and
            degrees from b_in on are those that the quadrature of the input computes. It is exact,
            and the layer equivariant, for inputs of degrees up to 2 b_in - b_out.
        grid: Rotations (beta, alpha, gamma) of the kernel, see `harmonics.grids`.

    Raises:
        ValueError: If a number is below 1 or the grid no rotations.
    """

    def __init__(
        self, nfeature_in: int, nfeature_out: int, b_in: int, b_out: int, grid: KernelGrid
    ) -> None:
        _check_sizes(nfeature_in, nfeature_out, b_in, b_out)
        points = _as_grid(grid, 3)
        scaling = _so3_scaling(len(points), nfeature_in, b_in, b_out)
        bias_shape = (1, nfeature_out, 1, 1, 1)
        super().__init__(nfeature_in, nfeature_out, len(points), scaling, bias_shape)
        self.b_in, self.b_out = b_in, b_out
        self.analysis = SO3Analysis(b_in, b_out)
        self.spectrum = SO3KernelSpectrum(points, b_out, min(b_in, b_out), nfeature_in)
        self.synthesis = SO3Synthesis(b_out, min(b_in, b_out))

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless the shape and the dtype of x are what the layer takes."""
        self._check(x, self.b_in, 3)

    def forward(
        self, x: Float[Tensor, "batch feature beta alpha gamma"]
    ) -> Float[Tensor, "batch feature_out beta_out alpha_out gamma_out"]:
        """Convolve.

        Raises:
            ValueError: If the shape or the dtype of x is not what the layer takes.
        """
        self.check(x)
        return from_inner(self.forward_inner(to_inner(x)))

    def forward_inner(
        self,
        x: Float[Tensor, "gamma alpha batch feature beta"],
        shortcut: SO3Shortcut | None = None,
        rectify: bool = False,
    ) -> Float[Tensor, "gamma_out alpha_out batch feature_out beta_out"]:
        """Convolve a signal in the inner layout; with a shortcut, convolution plus shortcut.

        Both are products with the same spectrum, so their kernels are added instead. With
        ``rectify`` the ReLU of the result.
        """
        if shortcut is not None and shortcut.conv is None:
            y = self.forward_inner(x) + x
            return torch.relu_(y) if rectify else y
        with full_precision(x):
            shapes = _shapes(self.analysis.band, self.synthesis.band)
            z = self._multiply(self.analysis(x), shapes, shortcut)
            bias = self.bias if shortcut is None else self.bias + shortcut.conv.bias
            return self.synthesis(_add_constant(z, bias), rectify)


class SO3ToS2(_KernelLayer):
    """Convolution on the rotation group, summed over the last order: back to the sphere.

    The spectrum of `SO3Convolution` is summed over its second order n, and the real part of the
    signal with these coefficients is returned; only even n reach the real part.

    Args:
        nfeature_in: Input features.
        nfeature_out: Output features.
        b_in: Bandwidth of the input.
        b_out: Bandwidth of the output.
        grid: Rotations (beta, alpha, gamma) of the kernel.
        sampling: Colatitudes of the output's samples.

    Raises:
        ValueError: If a number is below 1 or the grid no rotations.
    """

    def __init__(
        self,
        nfeature_in: int,
        nfeature_out: int,
        b_in: int,
        b_out: int,
        grid: KernelGrid,
        sampling: Grid = "soft",
    ) -> None:
        _check_sizes(nfeature_in, nfeature_out, b_in, b_out)
        check_grid(sampling)
        points = _as_grid(grid, 3)
        scaling = _so3_scaling(len(points), nfeature_in, b_in, b_out)
        bias_shape = (1, nfeature_out, 1, 1)
        super().__init__(nfeature_in, nfeature_out, len(points), scaling, bias_shape)
        self.b_in, self.b_out = b_in, b_out
        self.analysis = SO3Analysis(b_in, b_out)
        self.spectrum = SO3ToS2KernelSpectrum(points, b_out, min(b_in, b_out))
        self.synthesis = S2Synthesis(b_out, min(b_in, b_out), sampling)

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless the shape and the dtype of x are what the layer takes."""
        self._check(x, self.b_in, 3)

    def forward(
        self, x: Float[Tensor, "batch feature beta alpha gamma"]
    ) -> Float[Tensor, "batch feature_out beta_out alpha_out"]:
        """Convolve and sum.

        Raises:
            ValueError: If the shape or the dtype of x is not what the layer takes.
        """
        self.check(x)
        return from_inner(self.forward_inner(to_inner(x)))

    def forward_inner(
        self, x: Float[Tensor, "gamma alpha batch feature beta"]
    ) -> Float[Tensor, "alpha_out batch feature_out beta_out"]:
        """Convolve and sum a signal in the inner layout."""
        with full_precision(x):
            band = self.analysis.band
            shapes = [(*band.rows(degree), 1) for degree in range(self.b_out)]
            z = self._multiply(self.analysis(x), shapes)
            return self.synthesis(_add_constant(z, self.bias))


class SO3Shortcut(nn.Module):
    """The skip connection of residual blocks: mixes features and changes the bandwidth.

    It is an `SO3Convolution` whose kernel has one point, the identity: every K_l is a multiple of
    the unit matrix. With the same features and bandwidths on both sides it returns its input and
    has no parameters. Beside a convolution, hand it to `SO3Convolution.forward_inner`.

    Args:
        nfeature_in: Input features.
        nfeature_out: Output features.
        b_in: Bandwidth of the input.
        b_out: Bandwidth of the output.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, nfeature_in: int, nfeature_out: int, b_in: int, b_out: int) -> None:
        super().__init__()
        _check_sizes(nfeature_in, nfeature_out, b_in, b_out)
        self.conv: SO3Convolution | None = None
        if nfeature_in != nfeature_out or b_in != b_out:
            identity = [(0.0, 0.0, 0.0)]
            self.conv = SO3Convolution(nfeature_in, nfeature_out, b_in, b_out, identity)

    def forward(
        self, x: Float[Tensor, "batch feature beta alpha gamma"]
    ) -> Float[Tensor, "batch feature_out beta_out alpha_out gamma_out"]:
        """Mix features.

        Raises:
            ValueError: If the shape or the dtype of x is not what the layer takes.
        """
        return x if self.conv is None else self.conv(x)


class SO3Integrate(TableModule):
    """Mean of signals over the rotation group: what remains does not change when they turn.

    Args:
        bandwidth: b of the signals.

    Raises:
        ValueError: If the bandwidth is below 1.
    """

    def __init__(self, bandwidth: int) -> None:
        super().__init__()
        check_bandwidth("bandwidth", bandwidth)
        self.register_table("weights", quadrature_weights, bandwidth)

    def forward(self, x: Float[Tensor, "*batch beta alpha gamma"]) -> Float[Tensor, "*batch"]:
        """Mean with the normalised Haar measure.

        Raises:
            ValueError: If the last axes do not have the samples of this bandwidth, or the dtype is
                not the layer's.
        """
        if x.dtype != self.weights.dtype:
            raise ValueError(f"x is {x.dtype}, the layer is {self.weights.dtype}: convert one")
        if 2 * signal_bandwidth("x", x, 3) != len(self.weights):
            raise ValueError(
                f"x has the shape {tuple(x.shape)}, its last three axes must have "
                f"{len(self.weights)} samples"
            )
        return (x.sum(dim=(-2, -1)) * self.weights).sum(dim=-1)


def so3_integrate(x: Float[Tensor, "*batch beta alpha gamma"]) -> Float[Tensor, "*batch"]:
    """Mean of signals over the rotation group, see `SO3Integrate`.

    Raises:
        ValueError: If the last axes have no common even number of samples, or x is a half.
    """
    weights = torch.from_numpy(quadrature_weights(signal_bandwidth("x", x, 3)))
    return (x.sum(dim=(-2, -1)) * weights.to(x)).sum(dim=-1)


def to_inner(x: Float[Tensor, "batch feature *angles"]) -> Float[Tensor, "*inner"]:
    """[batch, feature, beta, alpha(, gamma)] to [(gamma,) alpha, batch, feature, beta]."""
    angles = range(x.ndim - 1, 2, -1)
    return x.permute(*angles, 0, 1, 2).contiguous()


def from_inner(x: Float[Tensor, "*inner"]) -> Float[Tensor, "batch feature *angles"]:
    """[(gamma,) alpha, batch, feature, beta] to [batch, feature, beta, alpha(, gamma)]."""
    return x.permute(-3, -2, -1, *range(x.ndim - 4, -1, -1)).contiguous()


def _shapes(x: Band, z: Band) -> list[tuple[int, int, int]]:
    """Rows m, summed columns k and columns n of the product of every degree."""
    return [(*x.rows(degree), z.rows(degree)[1]) for degree in range(z.degrees)]


def _product(
    x: Float[Tensor, "row batch feature"],
    kernel: Tensor,
    shapes: Sequence[tuple[int, int, int]],
    nfeature_out: int,
) -> Float[Tensor, "row_out batch feature_out"]:
    """Z_l = X_l K_l^T of every degree, summed over the input features too.

    Args:
        x: Rows (l, m, k).
        kernel: Per degree the matrix [(k, feature_in), (n, feature_out)], flat.
        shapes: m, k, n of every degree.
        nfeature_out: Features of the result.
    """
    kernel = kernel.reshape(-1)
    if torch.compiler.is_compiling():
        return _product_by_autograd(x, kernel, shapes, nfeature_out)
    z = x.new_empty(sum(m * n for m, _, n in shapes), x.shape[1], nfeature_out)
    for x_l, k_l, z_l in zip(*_split(x, kernel, z, shapes, nfeature_out), strict=True):
        _write(z_l, _matrix(x_l), k_l)
    return z


def _product_by_autograd(
    x: Tensor, kernel: Tensor, shapes: Sequence[tuple[int, int, int]], nfeature_out: int
) -> Tensor:
    x_pieces, kernel_pieces, _ = _split(x, kernel, None, shapes, nfeature_out)
    products = []
    for x_l, k_l, (m, _, n) in zip(x_pieces, kernel_pieces, shapes, strict=True):
        z = (_matrix(x_l) @ k_l).view(x.shape[1], m, n, nfeature_out)
        products.append(z.permute(1, 2, 0, 3).reshape(m * n, x.shape[1], nfeature_out))
    return torch.cat(products)


class _Product(torch.autograd.Function):
    """`_product_by_autograd` of x and the spectrum of kernels, with gradients to the kernels.

    Every degree is written where it belongs. Spectra are much larger than kernels and quickly
    computed, so that only the kernels are kept for the backward pass.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        spectrum_of: Callable[..., Tensor],
        shapes: Sequence[tuple[int, int, int]],
        nfeature_out: int,
        *kernels: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, *kernels)
        ctx.spectrum_of, ctx.sizes = spectrum_of, (shapes, nfeature_out)
        return _product(x, spectrum_of(*kernels), shapes, nfeature_out)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *kernels = ctx.saved_tensors
        with full_precision(grad):
            if torch.is_grad_enabled():  # the gradients are to be differentiated themselves
                z = _product_by_autograd(x, ctx.spectrum_of(*kernels).reshape(-1), *ctx.sizes)
                grad_x, *grads = _gradients(z, (x, *kernels), grad, create_graph=True)
            else:
                needed = zip(kernels, ctx.needs_input_grad[-len(kernels) :], strict=True)
                kernels = [kernel.detach().requires_grad_(need) for kernel, need in needed]
                with torch.enable_grad():
                    spectrum = ctx.spectrum_of(*kernels)
                # Every degree of it makes room for its gradient as soon as it has been used.
                values = spectrum.detach()
                grad_x = _product_backward(ctx, x, values.view(-1), grad)
                grads = _gradients(spectrum, kernels, values)
        return grad_x, None, None, None, *grads


def _product_backward(ctx: FunctionCtx, x: Tensor, kernel: Tensor, grad: Tensor) -> Tensor | None:
    """The gradient to x of `_product`; that to the kernel's spectrum is written over it."""
    grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
    x_pieces, kernel_pieces, grad_pieces = _split(x, kernel, grad, *ctx.sizes)
    into = x_pieces if grad_x is None else _split(grad_x, kernel, None, *ctx.sizes)[0]
    for x_l, k_l, grad_l, into_l in zip(x_pieces, kernel_pieces, grad_pieces, into, strict=True):
        matrix = _matrix(grad_l)
        if grad_x is not None:
            _write(into_l, matrix, k_l.mT)
        torch.mm(_matrix(x_l).mT, matrix, out=k_l)
    return grad_x


def _gradients(
    y: Tensor, inputs: Sequence[Tensor], grad: Tensor, create_graph: bool = False
) -> list[Tensor | None]:
    """Gradients of those inputs that need one."""
    wanted = [x for x in inputs if x.requires_grad]
    if not wanted:
        return [None] * len(inputs)
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=create_graph))
    return [next(found) if x.requires_grad else None for x in inputs]


def _split(
    x: Float[Tensor, "row batch feature"],
    kernel: Tensor,
    z: Float[Tensor, "row_out batch feature_out"] | None,
    shapes: Sequence[tuple[int, int, int]],
    nfeature_out: int,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Views of every degree: [m, k, batch, feature], the kernel's matrix, and [m, n, ...] of z."""
    rows = [(m, k) for m, k, _ in shapes]
    matrices = [(k * x.shape[2], n * nfeature_out) for _, k, n in shapes]
    pieces = [_views(x, rows), _views(kernel, matrices)]
    pieces.append([] if z is None else _views(z, [(m, n) for m, _, n in shapes]))
    return tuple(pieces)


def _views(x: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Consecutive parts of the first axis, each of two axes."""
    pieces = x.split([a * b for a, b in shapes])
    return [piece.unflatten(0, shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _matrix(x: Float[Tensor, "m k batch feature"]) -> Float[Tensor, "rows columns"]:
    """[(batch, m), (k, feature)]; a view where the batch is one sample."""
    m, k, batch, feature = x.shape
    return x.permute(2, 0, 1, 3).reshape(batch * m, k * feature)


def _write(into: Float[Tensor, "m k batch feature"], a: Tensor, b: Tensor) -> None:
    """The product of two matrices, as `_matrix` of what it is written into."""
    m, k, batch, feature = into.shape
    if batch == 1:
        torch.mm(a, b, out=into.view(m, k * feature))
    else:
        into.copy_((a @ b).view(batch, m, k, feature).permute(1, 2, 0, 3))


def _add_constant(
    z: Float[Tensor, "row batch feature"], bias: Tensor
) -> Float[Tensor, "row batch feature"]:
    """Add a constant to every signal: the coefficient of degree 0."""
    return torch.cat([z[:1] + bias.flatten(), z[1:]])


def _so3_scaling(points: int, nfeature_in: int, b_in: int, b_out: int) -> float:
    return (points * nfeature_in * b_out**3 / b_in**3) ** -0.5


def _same(one: Tensor, other: Tensor) -> bool:
    alike = one.dtype == other.dtype and one.device == other.device
    return alike and torch.equal(one, other)


def _check_sizes(nfeature_in: int, nfeature_out: int, b_in: int, b_out: int) -> None:
    for name, value in (("nfeature_in", nfeature_in), ("nfeature_out", nfeature_out)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be an integer of at least 1")
    check_bandwidth("b_in", b_in)
    check_bandwidth("b_out", b_out)


def _as_grid(grid: KernelGrid, angles: int) -> Float[np.ndarray, "points angles"]:
    points = np.asarray(grid, dtype=np.float64)
    names = ("beta", "alpha", "gamma")[:angles]
    if points.ndim != 2 or points.shape[1] != angles or not len(points):
        raise ValueError(f"grid has the shape {points.shape}: it must be rows of {names}")
    if not np.isfinite(points).all():
        raise ValueError("grid holds an angle that is not finite")
    beta = points[:, 0]
    if beta.min() < 0 or beta.max() > np.pi:
        raise ValueError(
            f"grid has beta from {beta.min()} to {beta.max()}: the first column is beta, in [0, pi]"
        )
    return points
