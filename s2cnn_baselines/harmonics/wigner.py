"""Wigner d functions, by a recurrence that is stable at every angle.

d^l_mn(beta) = <l m| exp(-i beta J_y) |l n> in the Condon-Shortley convention: d^1_10 is
-sin(beta) / sqrt 2. The functions are computed on the wedge m >= |n|, which fixes the others:

    d_nm = (-1)^(m - n) d_mn,    d_-m,-n = (-1)^(m - n) d_mn.

For every (m, n) of the wedge the recurrence in the degree (Varshalovich, Moskalev, Khersonskii
1988, Quantum Theory of Angular Momentum, section 4.8)

    l sqrt(((l+1)^2 - m^2) ((l+1)^2 - n^2)) d^{l+1} =
        (2l+1) (l (l+1) cos beta - m n) d^l - (l+1) sqrt((l^2 - m^2) (l^2 - n^2)) d^{l-1}

starts at l = m with the closed form d^m_mn = (-1)^(m-n) sqrt((2m)! / ((m+n)! (m-n)!))
cos(beta/2)^(m+n) sin(beta/2)^(m-n), which is itself built from m - 1 to m, so that no factorial
and no logarithm loses digits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def wigner_d(
    degrees: int, beta: float | Float[np.ndarray, " angles"]
) -> list[Float[np.ndarray, "angles m n"]]:
    """The matrices d^l(beta) of all degrees l < degrees.

    Args:
        degrees: How many degrees, at least 1.
        beta: Angles in radians, in [0, pi].

    Returns:
        For each l an array (angles, 2l+1, 2l+1) float64; ``[i, l + m, l + n]`` is
        d^l_mn(beta[i]).

    Raises:
        ValueError: If degrees is below 1 or an angle is outside [0, pi].
    """
    matrices = []
    for degree, wedge in enumerate(wedge_by_degree(degrees, np.atleast_1d(beta))):
        index, sign = _square_from_wedge(degree)
        matrix = wedge[index]
        matrix *= sign[..., None]
        matrices.append(np.moveaxis(matrix, -1, 0))
    return matrices


def wedge_by_degree(
    degrees: int, beta: Float[np.ndarray, " angles"]
) -> Iterator[Float[np.ndarray, "pairs angles"]]:
    """Yield d^l on the wedge for l = 0, 1, ...; row m^2 + m + n is d^l_mn, l >= m >= |n|.

    Raises:
        ValueError: If degrees is below 1 or an angle is outside [0, pi].
    """
    beta = np.asarray(beta, dtype=np.float64)
    if degrees < 1:
        raise ValueError(f"degrees={degrees} must be at least 1")
    if beta.ndim != 1 or not ((beta >= 0) & (beta <= np.pi)).all():
        raise ValueError("beta must be a row of angles in [0, pi]")
    cos_half, sin_half, cos = np.cos(beta / 2), np.sin(beta / 2), np.cos(beta)
    p = np.concatenate([np.full(2 * k + 1, k) for k in range(degrees)]).astype(np.float64)
    n = np.concatenate([np.arange(-k, k + 1) for k in range(degrees)]).astype(np.float64)

    before = np.zeros((0, len(beta)))
    now = np.ones((1, len(beta)))
    yield now
    for l in range(degrees - 1):  # noqa: E741  the degree is called l everywhere
        known = (l + 1) ** 2
        after = np.empty(((l + 2) ** 2, len(beta)))
        if l == 0:
            after[0] = cos
        else:
            pp, nn = p[:known, None], n[:known, None]
            scale = l * np.sqrt(((l + 1) ** 2 - pp**2) * ((l + 1) ** 2 - nn**2))
            np.multiply(cos, (2 * l + 1) * l * (l + 1) / scale, out=after[:known])
            after[:known] -= (2 * l + 1) * pp * nn / scale
            after[:known] *= now
            old = slice(0, l**2)
            loss = (l + 1) * np.sqrt((l**2 - pp[old] ** 2) * (l**2 - nn[old] ** 2)) / scale[old]
            after[old] -= loss * before
        # The row m = l + 1, from the row m = l one degree below.
        m, inner = l + 1, np.arange(-l, l + 1)
        factor = -np.sqrt(2 * m * (2 * m - 1) / ((m + inner) * (m - inner)))
        after[known] = sin_half ** (2 * m)
        after[known + 1 : -1] = factor[:, None] * (cos_half * sin_half) * now[l**2 :]
        after[-1] = cos_half ** (2 * m)
        before, now = now, after
        yield now


def _square_from_wedge(degree: int) -> tuple[Int[np.ndarray, "m n"], Float[np.ndarray, "m n"]]:
    """Row of the wedge and sign for every (m, n) of one degree."""
    m, n = np.meshgrid(*2 * (np.arange(-degree, degree + 1),), indexing="ij")
    p = np.maximum(abs(m), abs(n))
    other = np.select([m == p, n == p, m == -p], [n, m, -n], -m)
    flips = (m != p) & ((n == p) | (m == -p))
    sign = np.where(flips & ((m - n) % 2 == 1), -1.0, 1.0)
    return p**2 + p + other, sign
