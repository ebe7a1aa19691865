"""Harmonic analysis on the sphere and the rotation group: grids, transforms, rotations."""

from s2cnn_baselines.harmonics.grids import (
    s2_equatorial_grid,
    s2_near_identity_grid,
    s2_soft_grid,
    so3_equatorial_grid,
    so3_near_identity_grid,
    so3_soft_grid,
)
from s2cnn_baselines.harmonics.quadrature import colatitudes, longitudes, quadrature_weights
from s2cnn_baselines.harmonics.rotation import euler_angles, rotate_s2, rotate_so3
from s2cnn_baselines.harmonics.transforms import (
    s2_fft,
    s2_ifft,
    s2_irfft,
    s2_size,
    so3_fft,
    so3_ifft,
    so3_irfft,
    so3_size,
)
from s2cnn_baselines.harmonics.wigner import wigner_d

__all__ = [
    "colatitudes",
    "euler_angles",
    "longitudes",
    "quadrature_weights",
    "rotate_s2",
    "rotate_so3",
    "s2_equatorial_grid",
    "s2_fft",
    "s2_ifft",
    "s2_irfft",
    "s2_near_identity_grid",
    "s2_size",
    "s2_soft_grid",
    "so3_equatorial_grid",
    "so3_fft",
    "so3_ifft",
    "so3_irfft",
    "so3_near_identity_grid",
    "so3_size",
    "so3_soft_grid",
    "wigner_d",
]
