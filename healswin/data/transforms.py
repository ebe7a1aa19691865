"""From stored values to a network's input and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Shaped

# What `healswin.data.depth.DepthScale` may do to metres before it standardises them.
DEPTH_TRANSFORMS = ("none", "log", "inverse")


class Normalisation:
    """Subtracts the mean of each channel and divides by its standard deviation.

    Args:
        mean: Mean of each channel, of value / 255 for uint8 images and of the values themselves for
            float32 maps.
        std: Standard deviation of each channel, likewise. A channel that never changes (0) is
            centred only.

    Raises:
        ValueError: If the lengths differ, or a deviation is negative.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = np.asarray(mean, dtype=np.float64)
        deviation = np.asarray(std, dtype=np.float64)
        if self.mean.shape != deviation.shape or self.mean.ndim != 1:
            raise ValueError(f"mean={mean} and std={std} must have one number a channel each")
        if not (deviation >= 0).all():
            raise ValueError(f"std={std} must not be negative")
        self.std = np.where(deviation > 0, deviation, 1.0)

    def __call__(
        self, image: Shaped[np.ndarray, "*batch pixels channels"]
    ) -> Float32[np.ndarray, "*batch channels pixels"]:
        """The normalised image, or batch of images, channels first.

        Raises:
            ValueError: If the number of channels does not fit.
        """
        if image.ndim < 2 or image.shape[-1] != self.mean.size:
            raise ValueError(
                f"the image has shape {image.shape}, (pixels, {self.mean.size}) is needed"
            )
        scale = 255.0 if image.dtype == np.uint8 else 1.0
        mean = (scale * self.mean).astype(np.float32)
        factor = (1 / (scale * self.std)).astype(np.float32)
        # Contiguous by channel first: the arithmetic then runs along memory.
        values = np.ascontiguousarray(np.swapaxes(image, -1, -2)).astype(np.float32)
        # The mean goes first: of maps that vary little about a large mean nothing is lost.
        values -= mean[:, None]
        values *= factor[:, None]
        return values


def class_weights(frequencies: Sequence[float]) -> list[float]:
    """Weights for a class-weighted loss: 1 / ln(1.02 + frequency), of mean 1.

    The form of ENet (Paszke et al. 2016, arXiv 1606.02147): rare classes count more, but never more
    than about 35 times as much as one that fills the picture, whereas inverse frequencies have no
    bound and median frequencies are undefined for a class that training never shows.

    Args:
        frequencies: Share of each class among the training pixels, each in 0..1.
    """
    weights = 1 / np.log(1.02 + np.asarray(frequencies, dtype=np.float64))
    return (weights / weights.mean()).tolist() if weights.size else []
