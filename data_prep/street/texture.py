"""Noise and filtered patterns that textures are made of.

Noise comes from two small periodic tiles made once per process from a fixed seed; looking them up
costs one `cv2.remap`. Patterns (stripes, rows, grids) are filtered analytically with the footprint
of the pixel, so that nothing flickers in the distance: `coverage` answers the share of the
footprint inside a stripe, and `detail` fades what is finer than the footprint.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_TILE = 512
_ROW = 2048


@lru_cache(maxsize=4)
def _tile(slope: float, cutoff: float) -> np.ndarray:
    """Periodic Gaussian noise (512, 512), mean 1/2, standard deviation 1/5, clipped to [0, 1].

    The amplitude falls as frequency**-slope up to `cutoff` cycles per texel and is zero above.
    """
    spectrum = np.fft.rfft2(np.random.default_rng(20231).standard_normal((_TILE, _TILE)))
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :])
    frequency[0, 0] = 1.0
    spectrum *= np.where(frequency < cutoff, frequency**-slope, 0.0)
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(_TILE, _TILE))
    return np.clip(0.5 + 0.2 * field / field.std(), 0, 1).astype(np.float32)


def wrap(values: np.ndarray, period: np.ndarray | float) -> np.ndarray:
    """The values modulo the period, in [0, period); several times faster than `np.mod`."""
    return values - np.floor(values / period) * period


def _look_up(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    count = x.shape[0]
    if count == 0:
        return np.zeros(0, dtype=np.float32)
    rows = -(-count // _ROW)
    coordinates = np.zeros((2, rows * _ROW), dtype=np.float32)
    coordinates[0, :count] = wrap(x, _TILE)
    coordinates[1, :count] = wrap(y, _TILE)
    coordinates = coordinates.reshape(2, rows, _ROW)
    values = cv2.remap(
        tile, coordinates[0], coordinates[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    return values.reshape(-1)[:count]


def grain(x: np.ndarray, y: np.ndarray, size: float) -> np.ndarray:
    """Noise of one scale, in [0, 1]: blobs of about `size` metres at points x, y (M,) metres."""
    scale = np.float32(3.0 / size)
    return _look_up(_tile(0.0, 0.22), x * scale, y * scale)


def cloudy(x: np.ndarray, y: np.ndarray, size: float) -> np.ndarray:
    """Fractal noise, in [0, 1]: features from `size` metres down to a hundredth of it."""
    scale = np.float32(_TILE / (3.0 * size))
    return _look_up(_tile(1.7, 0.5), x * scale, y * scale)


def detail(footprint: np.ndarray, size: float) -> np.ndarray:
    """Weight (M,) of detail of `size` metres: 1 where it is resolved, 0 where it is not."""
    return np.clip(1.4 - footprint / np.float32(0.7 * size), 0, 1)


def coverage(
    offset: np.ndarray, half_width: np.ndarray | float, footprint: np.ndarray
) -> np.ndarray:
    """Share of a pixel inside the stripe |offset| < half_width; all in metres, (M,)."""
    width = np.maximum(footprint, 1e-4)
    upper = np.clip((half_width - offset) / width + 0.5, 0, 1)
    lower = np.clip((-half_width - offset) / width + 0.5, 0, 1)
    return upper - lower


def repeated(
    place: np.ndarray,
    period: np.ndarray | float,
    half_width: np.ndarray | float,
    footprint: np.ndarray,
) -> np.ndarray:
    """Filtered coverage by stripes centred on the multiples of `period`, (M,)."""
    offset = wrap(place + period / 2, period) - period / 2
    sharp = coverage(offset, half_width, footprint)
    mean = 2 * half_width / period
    return mean + (sharp - mean) * np.clip(2 - 2 * footprint / period, 0, 1)


def scramble(first: np.ndarray, second: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """A number in [0, 1) that depends on three whole numbers alone, float32 (M,)."""
    state = np.asarray(first).astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    state = state ^ (np.asarray(second).astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77))
    state = state ^ (np.asarray(seed).astype(np.int64).astype(np.uint32) * np.uint32(0xC2B2AE3D))
    state = (state ^ (state >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    state = (state ^ (state >> np.uint32(12))) * np.uint32(0x297A2D39)
    state = state ^ (state >> np.uint32(15))
    return (state >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
