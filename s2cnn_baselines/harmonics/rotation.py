"""Rotation of signals on S2 and SO(3): exact for band-limited signals.

(T f)(p) = f(R^-1 p). In the basis of `transforms` the coefficients of degree l are multiplied
from the left by conj D^l(R): D^l_mn(R^-1 g) = sum_k conj D^l_km(R) D^l_kn(g).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from s2cnn_baselines.harmonics.quadrature import Grid
from s2cnn_baselines.harmonics.transforms import (
    s2_fft,
    s2_ifft,
    signal_bandwidth,
    so3_fft,
    so3_ifft,
)
from s2cnn_baselines.harmonics.wigner import wigner_d


def rotate_s2(
    x: Float[Tensor, "*batch beta alpha"], rotation: Float[np.ndarray, "3 3"], grid: Grid = "soft"
) -> Float[Tensor, "*batch beta alpha"]:
    """Turn real signals on the sphere: (T x)(p) = x(R^-1 p).

    What a signal holds beyond its bandwidth is lost.

    Args:
        x: (..., 2b, 2b).
        rotation: R, acting on vectors (sin beta cos alpha, sin beta sin alpha, cos beta).
        grid: Colatitudes of the samples.

    Raises:
        ValueError: If the matrix is no rotation, or for the reasons of `s2_fft`.
    """
    b = signal_bandwidth("x", x, 2)
    pieces = s2_fft(x, grid=grid).split([2 * k + 1 for k in range(b)], dim=-1)
    turns = _turns(rotation, b, pieces[0])
    turned = [(turn @ p.unsqueeze(-1)).squeeze(-1) for turn, p in zip(turns, pieces, strict=True)]
    return s2_ifft(torch.cat(turned, dim=-1), grid=grid).real


def rotate_so3(
    x: Float[Tensor, "*batch beta alpha gamma"],
    rotation: Float[np.ndarray, "3 3"],
    grid: Grid = "soft",
) -> Float[Tensor, "*batch beta alpha gamma"]:
    """Turn real signals on the rotation group from the left: (T x)(g) = x(R^-1 g).

    Args:
        x: (..., 2b, 2b, 2b).
        rotation: R.
        grid: Colatitudes of the samples.

    Raises:
        ValueError: If the matrix is no rotation, or for the reasons of `so3_fft`.
    """
    b = signal_bandwidth("x", x, 3)
    pieces = so3_fft(x, grid=grid).split([(2 * k + 1) ** 2 for k in range(b)], dim=-1)
    turned = []
    for degree, turn in enumerate(_turns(rotation, b, pieces[0])):
        matrix = pieces[degree].unflatten(-1, (2 * degree + 1, 2 * degree + 1))
        turned.append((turn @ matrix).flatten(-2))
    return so3_ifft(torch.cat(turned, dim=-1), grid=grid).real


def euler_angles(rotation: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """(alpha, beta, gamma) with R = Rz(alpha) Ry(beta) Rz(gamma); gamma = 0 where beta is 0 or pi.

    Raises:
        ValueError: If the matrix is no rotation.
    """
    r = np.asarray(rotation, dtype=np.float64)
    if r.shape != (3, 3) or not np.allclose(r @ r.T, np.eye(3), atol=1e-6) or np.linalg.det(r) < 0:
        raise ValueError(f"rotation must be a 3 x 3 rotation matrix, not {r.tolist()}")
    sin_beta = math.hypot(r[0, 2], r[1, 2])
    beta = math.atan2(sin_beta, r[2, 2])
    if sin_beta < 1e-12:
        return math.atan2(r[1, 0], r[1, 1]), beta, 0.0
    return math.atan2(r[1, 2], r[0, 2]), beta, math.atan2(r[2, 1], -r[2, 0])


def _turns(
    rotation: np.ndarray, degrees: int, like: Complex[Tensor, ...]
) -> list[Complex[Tensor, "m n"]]:
    """Conj D^l(R) of every degree."""
    alpha, beta, gamma = euler_angles(rotation)
    turns = []
    for degree, d in enumerate(wigner_d(degrees, beta)):
        orders = np.arange(-degree, degree + 1)
        matrix = np.exp(-1j * orders * alpha)[:, None] * d[0] * np.exp(-1j * orders * gamma)
        turns.append(torch.from_numpy(matrix).to(like))
    return turns
