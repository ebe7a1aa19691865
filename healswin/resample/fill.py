"""Arrays filled with what stands where nothing is known."""

from __future__ import annotations

import numpy as np

from healswin.grid import holds


def filled(shape: int | tuple[int, ...], invalid: float, dtype: np.dtype) -> np.ndarray:
    """An array that holds ``invalid`` everywhere.

    Raises:
        ValueError: If the dtype cannot hold it.
    """
    if not holds(dtype, invalid):
        raise ValueError(f"invalid={invalid} cannot be held by {dtype}")
    return np.full(shape, invalid, dtype=dtype)
