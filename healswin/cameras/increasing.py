"""Functions that grow: where a polynomial stops doing so, and the inverse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial

# The bracket halves when a Newton step leaves it; 100 halvings take the widest bracket in use,
# [0, 1e8], to the spacing of float64 even if no Newton step were ever accepted.
_MAX_STEPS = 100
# Below this share of the sum of its terms a polynomial's value is rounding.
_ROUNDING = 1e-13


def first_fall(coefficients: tuple[float, ...], limit: float) -> float | None:
    """Where a polynomial that is positive at 0 first becomes negative in (0, limit).

    The zeros of the derivative cut the interval into parts on which the polynomial is monotonic,
    so that a change of sign brackets each zero. Unlike eigenvalues of a companion matrix this
    does not mind a leading coefficient that is next to nothing.

    Args:
        coefficients: c0, c1, ..., of c0 + c1 x + ...; c0 > 0.
        limit: Right end of the interval.

    Returns:
        The zero, or None. A zero at which the polynomial only rests is passed by.
    """
    zeros = _sign_changes(Polynomial(coefficients), limit)
    return zeros[0] if zeros else None


def solve_increasing(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: Float[np.ndarray, "*any"],
    end: float,
) -> Float[np.ndarray, "*any"]:
    """Where functions cross 0 from below, one for each element, by safeguarded Newton steps.

    Each element keeps a bracket around its zero; a step that leaves it is replaced by the middle,
    so that zeros next to a flat end converge as well.

    Args:
        function: Values and slopes of all functions; each is at most 0 at x = 0, at least 0 at
            x = end and crosses 0 once between.
        start: First guesses in [0, end].
        end: Right end of the bracket.

    Returns:
        The zeros, float64.
    """
    x = start
    low, high = np.zeros_like(x), np.full_like(x, end)
    for _ in range(_MAX_STEPS):
        value, slope = function(x)
        low = np.where(value <= 0, x, low)
        high = np.where(value >= 0, x, high)
        step = np.divide(value, slope, out=np.full_like(value, np.inf), where=slope > 0)
        newton = x - step
        better = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        # A change of a few dozen units in the last place is rounding, not progress.
        resolved = np.abs(better - x) <= 32 * np.spacing(x)
        x = better
        if resolved.all():
            break
    return x


def _sign_changes(polynomial: Polynomial, limit: float) -> list[float]:
    """The points of (0, limit) at which a polynomial changes its sign, in ascending order."""
    # Here: it takes long to import, and not every process makes a camera.
    from scipy.optimize import brentq

    if polynomial.degree() == 0:
        return []
    edges = [0.0, *_sign_changes(polynomial.deriv(), limit), limit]
    zeros = []
    for left, right in pairwise(edges):
        before, after = _sign(polynomial, left), _sign(polynomial, right)
        if before * after < 0:
            zeros.append(float(brentq(polynomial, left, right, xtol=1e-15, maxiter=1000)))
    return zeros


def _sign(polynomial: Polynomial, x: float) -> int:
    value = polynomial(x)
    size = Polynomial(np.abs(polynomial.coef))(x)
    return 0 if abs(value) <= _ROUNDING * size else int(np.sign(value))
