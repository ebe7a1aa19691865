"""Baselines on the sphere beside HEAL-SWIN: spherical CNNs and augmented planar CNNs.

The layers take the arguments of the published package s2cnn and hold the same parameters:

    from s2cnn_baselines import S2Convolution, SO3Convolution, so3_near_identity_grid
"""

from s2cnn_baselines.cnn import (
    CNN_CLASSIFIERS,
    CNN_SEGMENTERS,
    CNNClassifier,
    CNNSegmenter,
    CNNSize,
)
from s2cnn_baselines.harmonics import (
    rotate_s2,
    rotate_so3,
    s2_equatorial_grid,
    s2_near_identity_grid,
    s2_soft_grid,
    so3_equatorial_grid,
    so3_near_identity_grid,
    so3_soft_grid,
)
from s2cnn_baselines.layers import (
    S2Convolution,
    SO3Convolution,
    SO3Integrate,
    SO3Shortcut,
    SO3ToS2,
    so3_integrate,
)
from s2cnn_baselines.s2cnn import S2CNNClassifier, S2CNNDeepClassifier, S2CNNSegmenter

__all__ = [
    "CNN_CLASSIFIERS",
    "CNN_SEGMENTERS",
    "CNNClassifier",
    "CNNSegmenter",
    "CNNSize",
    "S2CNNClassifier",
    "S2CNNDeepClassifier",
    "S2CNNSegmenter",
    "S2Convolution",
    "SO3Convolution",
    "SO3Integrate",
    "SO3Shortcut",
    "SO3ToS2",
    "rotate_s2",
    "rotate_so3",
    "s2_equatorial_grid",
    "s2_near_identity_grid",
    "s2_soft_grid",
    "so3_equatorial_grid",
    "so3_integrate",
    "so3_near_identity_grid",
    "so3_soft_grid",
]
