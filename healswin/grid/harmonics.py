"""Random smooth maps from spherical harmonics."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from healswin.grid.healpix import HealpixGrid


def band_limited_map(
    grid: HealpixGrid, channels: int, lmax: int, seed: int | np.random.Generator
) -> Float[np.ndarray, "channels pixels"]:
    """Random real Gaussian maps whose distribution no rotation changes.

    f = sum over l <= lmax and |m| <= l of a_lm Y_lm, with independent Gaussian a_lm of variance
    C_l proportional to 1 / (1 + l), scaled so that every value has variance 1.

    Args:
        grid: Where the maps are evaluated, at the pixel centres.
        channels: Number of independent maps.
        lmax: Highest degree, 0..3 nside - 1; above 2 nside the pixels do not resolve it.
        seed: Of numpy's generator, or a generator to draw from. The first maps of a seed do not
            depend on the number of channels.

    Returns:
        (channels, pixels) float64.

    Raises:
        ValueError: If channels is below 1 or lmax does not fit the grid.
    """
    import healpy as hp

    if channels < 1:
        raise ValueError(f"channels={channels} must be at least 1")
    if not 0 <= lmax < 3 * grid.nside:
        raise ValueError(f"lmax={lmax} must lie in 0..{3 * grid.nside - 1} at nside {grid.nside}")
    degree, order = hp.Alm.getlm(lmax)
    degrees = np.arange(lmax + 1)
    variance = np.sum((2 * degrees + 1) / (1 + degrees)) / (4 * np.pi)
    power = 1 / (1 + degree) / variance
    # A real map has a real a_l0, and the orders below 0 follow from those above.
    deviation = np.sqrt(power * np.stack([np.where(order, 0.5, 1.0), np.where(order, 0.5, 0.0)]))
    parts = np.random.default_rng(seed).normal(size=(channels, 2, degree.size)) * deviation
    ring = [hp.alm2map(real + 1j * imaginary, grid.nside, lmax=lmax) for real, imaginary in parts]
    return grid.from_ring(np.stack(ring))
