"""The two grids of colatitudes (`healswin.grid.EquiangularGrid`) and their quadrature weights.

A signal of bandwidth b has 2b x 2b samples on S2 and 2b x 2b x 2b on SO(3), at
alpha_k = gamma_k = pi k / b and at one of two sets of colatitudes:

* ``soft``: beta_j = pi (2j + 1) / (4b) (Kostelec and Rockmore 2008, FFTs on the rotation group).
  No sample at a pole. The layers use it, and it is the default everywhere.
* ``driscoll-healy``: beta_j = pi j / (2b) (Driscoll and Healy 1994), half a step further north:
  the first row is the north pole. The spherical MNIST of S2CNN was published on it, although its
  layers assume ``soft``.

Both integrate products of two signals of bandwidth b exactly.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from healswin.grid import EquiangularGrid

Grid = Literal["soft", "driscoll-healy"]
GRIDS = get_args(Grid)


def colatitudes(bandwidth: int, grid: Grid = "soft") -> Float[np.ndarray, " beta"]:
    """beta_j of the 2b rows, radians, ascending.

    Raises:
        ValueError: If the bandwidth is below 1 or the grid is unknown.
    """
    check_bandwidth("bandwidth", bandwidth)
    check_grid(grid)
    return EquiangularGrid(bandwidth, grid).colatitudes()


def longitudes(bandwidth: int) -> Float[np.ndarray, " alpha"]:
    """alpha_k = gamma_k = pi k / b, radians."""
    check_bandwidth("bandwidth", bandwidth)
    return EquiangularGrid(bandwidth).longitudes()


def quadrature_weights(bandwidth: int, grid: Grid = "soft") -> Float[np.ndarray, " beta"]:
    """Weights w_j of SO(3): the mean over the group is the sum of w_j f over all samples.

        w_j = (2/b) sin beta_j sum_{k<b} sin((2k+1) beta_j) / (2k+1) / (2 (2b)^2)

    (Driscoll and Healy 1994, theorem 3; Kostelec and Rockmore 2008, section 3.3), with
    sum_j (2b)^2 w_j = 1. The mean over S2 takes 2b w_j.

    Returns:
        (2b,) float64.

    Raises:
        ValueError: If the bandwidth is below 1 or the grid is unknown.
    """
    beta = colatitudes(bandwidth, grid)
    odd = 2 * np.arange(bandwidth) + 1
    series = (np.sin(np.outer(beta, odd)) / odd).sum(axis=1)
    return np.sin(beta) * series / (4 * bandwidth**3)


def check_bandwidth(name: str, bandwidth: int) -> None:
    """Raise ValueError unless the bandwidth is a positive integer."""
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, (int, np.integer)) or bandwidth < 1:
        raise ValueError(f"{name}={bandwidth!r} must be an integer of at least 1")


def check_grid(grid: str) -> None:
    """Raise ValueError unless the grid is one of the two."""
    if grid not in GRIDS:
        raise ValueError(f"grid={grid!r} must be one of {', '.join(GRIDS)}")
