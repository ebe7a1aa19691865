"""Kernel grids: the points of S2 or rotations of SO(3) at which a kernel has its weights.

Every row is a point (beta, alpha) of S2 or a rotation (beta, alpha, gamma) of SO(3), colatitude
first, in radians, with beta slowest and the last angle fastest: the order of the weights in
published checkpoints. Functions, arguments and defaults are those of the published s2cnn.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from s2cnn_baselines.harmonics.quadrature import colatitudes, longitudes


def s2_near_identity_grid(
    max_beta: float = np.pi / 8, n_alpha: int = 8, n_beta: int = 3
) -> Float[np.ndarray, "points 2"]:
    """Rings around the north pole, at beta = max_beta * (1..n_beta) / n_beta.

    Raises:
        ValueError: If a number is below 1 or max_beta is outside (0, pi].
    """
    return _product(_rings(max_beta, n_beta), _circle(n_alpha))


def s2_equatorial_grid(
    max_beta: float = 0.0, n_alpha: int = 32, n_beta: int = 1
) -> Float[np.ndarray, "points 2"]:
    """Rings around the equator, beta from pi/2 - max_beta to pi/2 + max_beta, both included.

    Raises:
        ValueError: If a number is below 1 or max_beta is outside [0, pi/2].
    """
    return _product(_belt(max_beta, n_beta), _circle(n_alpha))


def s2_soft_grid(bandwidth: int) -> Float[np.ndarray, "points 2"]:
    """All points of the ``soft`` grid.

    Raises:
        ValueError: If the bandwidth is below 1.
    """
    return _product(colatitudes(bandwidth), longitudes(bandwidth))


def so3_near_identity_grid(
    max_beta: float = np.pi / 8,
    max_gamma: float = 2 * np.pi,
    n_alpha: int = 8,
    n_beta: int = 3,
    n_gamma: int | None = None,
) -> Float[np.ndarray, "points 3"]:
    """Rotations that move the north pole by at most max_beta.

    gamma = (n_gamma values from -max_gamma to max_gamma, both included) - alpha. With the default
    max_gamma the first and the last are the same rotation: 168 of the 192 points are distinct.

    Args:
        max_beta: Largest beta, in (0, pi].
        max_gamma: Largest twist alpha + gamma, at least 0.
        n_alpha: Directions.
        n_beta: Rings.
        n_gamma: Twists. Default: n_alpha.

    Raises:
        ValueError: If a number is below 1 or an angle outside its range.
    """
    alpha = _circle(n_alpha)
    twists = _twists(max_gamma, n_alpha if n_gamma is None else n_gamma)
    grid = _product(_rings(max_beta, n_beta), alpha, twists)
    grid[:, 2] -= grid[:, 1]
    return grid


def so3_equatorial_grid(
    max_beta: float = 0.0,
    max_gamma: float = np.pi / 8,
    n_alpha: int = 32,
    n_beta: int = 1,
    n_gamma: int = 2,
) -> Float[np.ndarray, "points 3"]:
    """Rotations that move the north pole near the equator; gamma from -max_gamma to max_gamma.

    Args:
        max_beta: Largest angle between the pole's image and the equator, in radians.
        max_gamma: Largest turn about the pole before, in radians.
        n_alpha: Number of longitudes.
        n_beta: Number of colatitudes.
        n_gamma: Number of turns.

    Raises:
        ValueError: If a number is below 1 or an angle outside its range.
    """
    return _product(_belt(max_beta, n_beta), _circle(n_alpha), _twists(max_gamma, n_gamma))


def so3_soft_grid(bandwidth: int) -> Float[np.ndarray, "points 3"]:
    """All rotations of the ``soft`` grid.

    Raises:
        ValueError: If the bandwidth is below 1.
    """
    circle = longitudes(bandwidth)
    return _product(colatitudes(bandwidth), circle, circle)


def _product(*axes: np.ndarray) -> Float[np.ndarray, "points angles"]:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _rings(max_beta: float, n_beta: int) -> Float[np.ndarray, " n_beta"]:
    _check_count("n_beta", n_beta)
    if not 0 < max_beta <= np.pi:
        raise ValueError(f"max_beta={max_beta} must be in (0, pi]")
    return max_beta * np.arange(1, n_beta + 1) / n_beta


def _belt(max_beta: float, n_beta: int) -> Float[np.ndarray, " n_beta"]:
    _check_count("n_beta", n_beta)
    if not 0 <= max_beta <= np.pi / 2:
        raise ValueError(f"max_beta={max_beta} must be in [0, pi/2]")
    return np.linspace(np.pi / 2 - max_beta, np.pi / 2 + max_beta, n_beta)


def _circle(n_alpha: int) -> Float[np.ndarray, " n_alpha"]:
    _check_count("n_alpha", n_alpha)
    return 2 * np.pi * np.arange(n_alpha) / n_alpha


def _twists(max_gamma: float, n_gamma: int) -> Float[np.ndarray, " n_gamma"]:
    _check_count("n_gamma", n_gamma)
    if not (math.isfinite(max_gamma) and max_gamma >= 0):
        raise ValueError(f"max_gamma={max_gamma} must be a finite number of at least 0")
    return np.linspace(-max_gamma, max_gamma, n_gamma)


def _check_count(name: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"{name}={count!r} must be an integer of at least 1")
