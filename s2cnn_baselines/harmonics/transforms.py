"""Fourier transforms on S2 and SO(3), written for reading.

With w_j of `quadrature_weights` and D^l_mn(alpha, beta, gamma) = e^(i m alpha) d^l_mn(beta)
e^(i n gamma),

    S2:     x_lm  = sum_jk 2b w_j x(beta_j, alpha_k) conj D^l_m0
    SO(3):  x_lmn = sum_jkc w_j x(beta_j, alpha_k, gamma_c) conj D^l_mn
    inverse:    x = sum_l (2l + 1) sum_m(n) x_lm(n) D^l_m(n)

The factor 2l + 1 is in the inverse only. Coefficients are stored in one axis: (l, m) at
l^2 + l + m, (l, m, n) at l (4 l^2 - 1) / 3 + (l + m) (2l + 1) + l + n. The layers compute the same
by matrix products in a real basis (`real_transforms`), which is faster; tests compare the two.

Bandwidths may differ. A forward transform to a lower bandwidth drops degrees. On SO(3) it may also
go to a higher one, as the published expanding layers do: orders |m|, |n| < b are kept and the
degrees from b on are what the quadrature of bandwidth b computes for them, which is not 0 unless
the signal has bandwidth b. An inverse drops the degrees of the spectrum from its bandwidth on.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from jaxtyping import Complex, Inexact
from torch import Tensor

from s2cnn_baselines.harmonics.quadrature import (
    Grid,
    check_bandwidth,
    colatitudes,
    quadrature_weights,
)
from s2cnn_baselines.harmonics.wigner import wigner_d


def s2_fft(
    x: Inexact[Tensor, "*batch beta alpha"], bandwidth: int | None = None, grid: Grid = "soft"
) -> Complex[Tensor, "*batch coefficients"]:
    """Coefficients of signals on the sphere.

    Args:
        x: Real or complex samples, (..., 2b, 2b).
        bandwidth: Degrees to compute, at most b. Default: b.
        grid: Colatitudes of the samples.

    Returns:
        (..., bandwidth^2), complex, of the precision of x.

    Raises:
        ValueError: If the axes are not 2b x 2b, the bandwidth is below 1 or above b, the grid is
            unknown or the dtype is not of single or double precision.
    """
    b = signal_bandwidth("x", x, 2)
    out = b if bandwidth is None else bandwidth
    check_bandwidth("bandwidth", out)
    if out > b:
        raise ValueError(f"bandwidth={out} must be at most {b}, the bandwidth of x")
    weights = _like(2 * b * quadrature_weights(b, grid), x)
    modes = torch.fft.fft(x * weights[:, None], dim=-1)
    spectrum = []
    for degree, d in enumerate(_wigner(b, out, grid)):
        orders = torch.arange(-degree, degree + 1, device=x.device)
        d_m0 = _like(np.ascontiguousarray(d[:, :, degree]), x)
        spectrum.append((modes[..., orders % (2 * b)] * d_m0).sum(dim=-2))
    return torch.cat(spectrum, dim=-1)


def s2_ifft(
    spectrum: Inexact[Tensor, "*batch coefficients"],
    bandwidth: int | None = None,
    grid: Grid = "soft",
) -> Complex[Tensor, "*batch beta alpha"]:
    """Complex signals on the sphere from their coefficients.

    Args:
        spectrum: (..., degrees^2).
        bandwidth: b of the result. Default: the number of degrees.
        grid: Colatitudes of the result.

    Returns:
        (..., 2b, 2b).

    Raises:
        ValueError: If the number of coefficients is no square, the bandwidth is below 1, or the
            grid is unknown.
    """
    degrees = _degrees(spectrum, s2_size)
    b = degrees if bandwidth is None else bandwidth
    check_bandwidth("bandwidth", b)
    modes = spectrum.new_zeros(*spectrum.shape[:-1], 2 * b, 2 * b)
    pieces = spectrum.split([2 * k + 1 for k in range(degrees)], dim=-1)
    for degree, d in enumerate(_wigner(b, min(degrees, b), grid)):
        orders = torch.arange(-degree, degree + 1, device=spectrum.device) % (2 * b)
        d_m0 = _like((2 * degree + 1) * d[:, :, degree], spectrum)
        modes = modes.index_add(-1, orders, pieces[degree].unsqueeze(-2) * d_m0)
    return torch.fft.ifft(modes, dim=-1, norm="forward")


def s2_irfft(
    spectrum: Inexact[Tensor, "*batch coefficients"],
    bandwidth: int | None = None,
    grid: Grid = "soft",
) -> Inexact[Tensor, "*batch beta alpha"]:
    """The real part of `s2_ifft`: all of it where the coefficients belong to a real signal."""
    return s2_ifft(spectrum, bandwidth, grid).real


def so3_fft(
    x: Inexact[Tensor, "*batch beta alpha gamma"],
    bandwidth: int | None = None,
    grid: Grid = "soft",
) -> Complex[Tensor, "*batch coefficients"]:
    """Coefficients of signals on the rotation group.

    Args:
        x: Real or complex samples, (..., 2b, 2b, 2b).
        bandwidth: Degrees to compute; above b as the module says. Default: b.
        grid: Colatitudes of the samples.

    Returns:
        (..., bandwidth (4 bandwidth^2 - 1) / 3), complex, of the precision of x.

    Raises:
        ValueError: If the axes are not 2b x 2b x 2b, the bandwidth is below 1, the grid is unknown
            or the dtype is not of single or double precision.
    """
    b = signal_bandwidth("x", x, 3)
    out = b if bandwidth is None else bandwidth
    check_bandwidth("bandwidth", out)
    weights = _like(quadrature_weights(b, grid), x)
    modes = torch.fft.fft2(x * weights[:, None, None])
    spectrum = []
    for degree, d in enumerate(_wigner(b, out, grid)):
        orders, kept = _orders(degree, b, x.device)
        rows = modes.index_select(-2, orders).index_select(-1, orders)
        matrix = (rows * _like(np.ascontiguousarray(d), x) * kept).sum(dim=-3)
        spectrum.append(matrix.flatten(-2))
    return torch.cat(spectrum, dim=-1)


def so3_ifft(
    spectrum: Inexact[Tensor, "*batch coefficients"],
    bandwidth: int | None = None,
    grid: Grid = "soft",
) -> Complex[Tensor, "*batch beta alpha gamma"]:
    """Complex signals on the rotation group from their coefficients.

    Args:
        spectrum: (..., degrees (4 degrees^2 - 1) / 3).
        bandwidth: b of the result. Default: the number of degrees.
        grid: Colatitudes of the result.

    Returns:
        (..., 2b, 2b, 2b).

    Raises:
        ValueError: If the number of coefficients belongs to no bandwidth, the bandwidth is below 1,
            or the grid is unknown.
    """
    degrees = _degrees(spectrum, so3_size)
    b = degrees if bandwidth is None else bandwidth
    check_bandwidth("bandwidth", b)
    # Orders from -(b - 1) to b - 1, shifted to the order of the transform at the end.
    modes = spectrum.new_zeros(*spectrum.shape[:-1], 2 * b, 2 * b, 2 * b)
    pieces = spectrum.split([(2 * k + 1) ** 2 for k in range(degrees)], dim=-1)
    for degree, d in enumerate(_wigner(b, min(degrees, b), grid)):
        matrix = pieces[degree].unflatten(-1, (2 * degree + 1, 2 * degree + 1))
        term = matrix.unsqueeze(-3) * _like((2 * degree + 1) * d, spectrum)
        before, after = b - degree, b - degree - 1
        modes = modes + torch.nn.functional.pad(term, (before, after, before, after))
    return torch.fft.ifft2(torch.fft.ifftshift(modes, dim=(-2, -1)), norm="forward")


def so3_irfft(
    spectrum: Inexact[Tensor, "*batch coefficients"],
    bandwidth: int | None = None,
    grid: Grid = "soft",
) -> Inexact[Tensor, "*batch beta alpha gamma"]:
    """The real part of `so3_ifft`: all of it where the coefficients belong to a real signal."""
    return so3_ifft(spectrum, bandwidth, grid).real


def s2_size(degrees: int) -> int:
    """Number of coefficients of the degrees below this one on S2."""
    return degrees**2


def so3_size(degrees: int) -> int:
    """Number of coefficients of the degrees below this one on SO(3)."""
    return degrees * (4 * degrees**2 - 1) // 3


def signal_bandwidth(name: str, x: Tensor, axes: int) -> int:
    """Bandwidth of a signal whose last axes have 2b samples each.

    Raises:
        ValueError: If there are fewer axes, they differ or are odd, or the dtype is a half.
    """
    if x.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
        raise ValueError(
            f"{name} is {x.dtype}: spherical transforms need float32 or float64, for halves lose "
            "the quadrature"
        )
    shape = tuple(x.shape[-axes:])
    if x.ndim < axes or len(set(shape)) > 1 or shape[0] % 2 or not shape[0]:
        raise ValueError(
            f"{name} has the shape {tuple(x.shape)}: its last {axes} axes must have 2b samples "
            "each, b the bandwidth"
        )
    return int(shape[0]) // 2


# A few bandwidths at a time: the square matrices of b = 64 take a third of a gigabyte.
@functools.lru_cache(maxsize=8)
def _wigner(bandwidth: int, degrees: int, grid: Grid) -> list[np.ndarray]:
    return wigner_d(degrees, colatitudes(bandwidth, grid))


def _orders(degree: int, bandwidth: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the orders of a degree among the modes, and a mask of those below the bandwidth."""
    orders = torch.arange(-degree, degree + 1, device=device)
    kept = orders.abs() < bandwidth
    return orders % (2 * bandwidth), kept[:, None] & kept


def _degrees(spectrum: Tensor, size: object) -> int:
    if not spectrum.is_complex():
        raise ValueError(f"spectrum is {spectrum.dtype}: it must be complex64 or complex128")
    count = spectrum.shape[-1]
    guess = round(math.sqrt(count)) if size is s2_size else round((0.75 * count) ** (1 / 3))
    if guess < 1 or size(guess) != count:
        raise ValueError(
            f"spectrum has {count} coefficients in its last axis: it must have those of all degrees"
            f" below a bandwidth, as {size(max(guess, 1))}"
        )
    return guess


def _like(table: np.ndarray, x: Tensor) -> Tensor:
    """A float64 table on the device and in the precision of x."""
    dtype = torch.zeros((), dtype=x.dtype).real.dtype
    return torch.from_numpy(np.ascontiguousarray(table)).to(x.device, dtype)
