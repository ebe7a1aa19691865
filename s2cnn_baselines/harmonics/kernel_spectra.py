"""Spectra of kernels given at the points of a grid, in the real basis of `real_transforms`.

    S2:     k_l[n]    = 2 b_out sum_p k_p conj D^l_n0(g_p)
    SO(3):  K_l[n, k] = sum_p k_p conj D^l_nk(g_p)

without quadrature weights. S2 kernels have few coefficients: one product with a table [point, row].
On SO(3) the points are sorted by their beta: one product over the points (alpha, gamma) of a
colatitude gives the modes, and the products over the few different betas are those of the
transforms, so that no table of all points and coefficients exists. Grids whose colatitudes all have
the same (alpha, gamma), as all of `grids` have, share one table of modes; any other grid has one
for every beta.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from s2cnn_baselines.harmonics.real_transforms import (
    Band,
    TableModule,
    Wigner,
    cosines_sines,
    even_odd_waves,
    so3_back,
    so3_index,
    wigner_table,
)
from s2cnn_baselines.harmonics.wigner import wedge_by_degree, wigner_d

_SQRT2 = np.sqrt(2.0)


class S2KernelSpectrum(TableModule):
    """Spectra of S2 kernels.

    Args:
        grid: Points (beta, alpha).
        degrees: b_out: degrees, and the factor 2 b_out.
    """

    def __init__(self, grid: Float[np.ndarray, "points 2"], degrees: int) -> None:
        super().__init__()
        self.register_table("table", _s2_kernel_table, _plain(grid), degrees)

    def forward(
        self, kernel: Float[Tensor, "feature_in feature_out points"]
    ) -> Float[Tensor, "row feature_out"]:
        """Rows (l, feature_in, n): per degree the matrix [feature_in, (n, feature_out)]."""
        spectrum = torch.tensordot(kernel, self.table, dims=1)
        degrees = round(self.table.shape[1] ** 0.5)
        pieces = spectrum.split([2 * k + 1 for k in range(degrees)], dim=-1)
        return torch.cat([p.mT.reshape(-1, kernel.shape[1]) for p in pieces])


class SO3KernelSpectrum(TableModule):
    """Spectra of SO(3) kernels.

    Args:
        grid: Rotations (beta, alpha, gamma).
        degrees: b_out: degrees, and orders of the first index.
        orders: Orders of the second index, which the product sums over.
        feature_in: Input features of the kernel.
    """

    def __init__(
        self, grid: Float[np.ndarray, "points 3"], degrees: int, orders: int, feature_in: int
    ) -> None:
        super().__init__()
        self.band = Band(degrees, orders, degrees)
        plain = _plain(grid)
        self.register_table("points", _circle_points, plain)
        self.register_table("modes", _modes_table, plain, self.band)
        self.register_table("wigner", _kernel_wigner, plain, self.band)
        self.register_table("index", so3_index, self.band, feature_in)
        self.register_table("back", so3_back, self.band, feature_in)

    def forward(
        self, kernel: Float[Tensor, "feature_in feature_out points"]
    ) -> Float[Tensor, "row feature_out"]:
        """Rows (l, k, feature_in, n): per degree the matrix [(k, feature_in), (n, feature_out)]."""
        feature_in, feature_out, _ = kernel.shape
        circles, _ = self.points.shape
        # [circle, point, feature]; a circle's missing points have modes 0.
        weights = kernel.flatten(0, 1).mT[self.points]
        if len(self.modes) == 1:
            modes = self.modes[0] @ weights.permute(1, 2, 0).flatten(1)
        else:
            modes = torch.bmm(self.modes, weights).permute(1, 2, 0)
        band = self.band
        modes = modes.reshape(2, band.gamma, band.alpha, 2 * feature_in * feature_out, circles)
        return Wigner.apply(modes, self.wigner, self.index, self.back, band)


class SO3ToS2KernelSpectrum(TableModule):
    """Spectra of SO(3) kernels, summed over the even orders of their first index.

    SO3ToS2 sums the spectrum of an SO(3) signal over its second order and keeps the real part of
    the signal, which is the sum over the even orders. That order is the first of the kernel, so the
    sum goes into the table: in the real basis, 1 for c_0 and sqrt 2 for c_n with n even.

    Args:
        grid: Rotations (beta, alpha, gamma).
        degrees: b_out.
        orders: Orders of the second index, which the product sums over.
    """

    def __init__(self, grid: Float[np.ndarray, "points 3"], degrees: int, orders: int) -> None:
        super().__init__()
        self.register_table("table", _so3_to_s2_table, _plain(grid), degrees, orders)

    def forward(
        self, kernel: Float[Tensor, "feature_in feature_out points"]
    ) -> Float[Tensor, "row feature_out"]:
        """Rows (l, k, feature_in): per degree the matrix [(k, feature_in), feature_out]."""
        spectrum = torch.tensordot(self.table, kernel, dims=([0], [2]))
        return spectrum.flatten(0, 1)


_PlainGrid = tuple[tuple[float, ...], ...]


def _plain(grid: np.ndarray) -> _PlainGrid:
    """As tuples, which a cache can take for a key."""
    return tuple(map(tuple, np.asarray(grid, dtype=np.float64).tolist()))


@dataclass(frozen=True)
class _Circles:
    """Points sorted by their colatitude: beta of every circle, its points, -1 for none."""

    beta: Float[np.ndarray, " circle"]
    member: Int[np.ndarray, "circle point"]


@functools.lru_cache(maxsize=8)
def _circles(grid: _PlainGrid) -> _Circles:
    beta, circle = np.unique([point[0] for point in grid], return_inverse=True)
    members = [np.flatnonzero(circle == c) for c in range(len(beta))]
    member = np.full((len(beta), max(map(len, members))), -1)
    for c, points in enumerate(members):
        member[c, : len(points)] = points
    return _Circles(beta, member)


def _circle_points(grid: _PlainGrid) -> Int[np.ndarray, "circle point"]:
    """The points of every circle, filled up with the first of all."""
    return np.maximum(_circles(grid).member, 0)


def _modes_table(grid: _PlainGrid, band: Band) -> Float[np.ndarray, "circle mode point"]:
    """Waves of the points of every circle, or of one where all are alike."""
    circles = _circles(grid)
    angles = np.asarray(grid)[circles.member, 1:]
    if (circles.member >= 0).all() and (angles == angles[:1]).all():
        angles = angles[:1]
    tables = []
    for alpha, gamma in np.moveaxis(angles, 2, 1):
        even, odd = even_odd_waves(band.alpha, alpha)
        cos, sin = cosines_sines(band.gamma, gamma)
        table = np.stack([cos[:, None] * even, sin[:, None] * odd])
        tables.append(table.reshape(-1, len(alpha)))
    tables = np.stack(tables)
    if len(tables) > 1:
        tables *= (circles.member >= 0)[:, None]
    return tables


def _kernel_wigner(grid: _PlainGrid, band: Band) -> Float[np.ndarray, " flat"]:
    beta = _circles(grid).beta
    return wigner_table(beta, np.ones((band.degrees, len(beta))), band)


def _s2_kernel_table(grid: _PlainGrid, degrees: int) -> Float[np.ndarray, "point row"]:
    beta, alpha = np.asarray(grid).T
    rows = []
    for degree, wedge in enumerate(wedge_by_degree(degrees, beta)):
        n = np.arange(degree + 1)
        d = wedge[n**2 + n] * np.where(n > 0, _SQRT2, 1.0)[:, None]
        phase = n[:, None] * alpha
        rows += [d * np.cos(phase), (d * np.sin(phase))[1:]]
    return 2 * degrees * np.ascontiguousarray(np.concatenate(rows).T)


def _so3_to_s2_table(grid: _PlainGrid, degrees: int, orders: int) -> Float[np.ndarray, "point row"]:
    """Sum over even n of D^l_nk(g_p) for every k, in the real basis.

    Its entries at k and -k are conjugate up to (-1)^k: c_k is sqrt 2 times the real part at k, and
    s_k is -sqrt 2 times the imaginary part. ``sums`` are the conjugates.
    """
    circles = _circles(grid)
    angles = np.asarray(grid)
    circle = np.searchsorted(circles.beta, angles[:, 0])
    rows = []
    for degree, d in enumerate(wigner_d(degrees, circles.beta)):
        even = np.arange(-degree, degree + 1)[degree % 2 :: 2]
        waves = np.exp(-1j * np.outer(angles[:, 1], even))
        k = np.arange(min(degree + 1, orders))
        sums = np.einsum("pn,pnk->pk", waves, d[circle][:, degree % 2 :: 2, degree + k])
        sums = sums * np.exp(-1j * np.outer(angles[:, 2], k)) * np.where(k > 0, _SQRT2, 1.0)
        rows += [sums.real, sums.imag[:, 1:]]
    return np.concatenate(rows, axis=1)
