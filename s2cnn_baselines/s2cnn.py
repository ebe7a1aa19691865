"""Spherical CNNs as published: a segmenter and two classifiers.

The classifier of 2018 is Cohen, Geiger, Koehler, Welling, Spherical CNNs; the segmenter with its
transposed layers is of the HEAL-SWIN authors (Carlsson et al. 2023). All take signals
[batch, channels, beta, alpha] with 2b x 2b samples, on the ``soft`` grid unless told otherwise, and
state dicts have the published names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from s2cnn_baselines.harmonics.grids import s2_near_identity_grid, so3_near_identity_grid
from s2cnn_baselines.harmonics.quadrature import Grid
from s2cnn_baselines.layers import (
    S2Convolution,
    SO3Convolution,
    SO3Integrate,
    SO3Shortcut,
    SO3ToS2,
    from_inner,
    to_inner,
)


class S2CNNSegmenter(nn.Module):
    """Segmentation on the sphere: S2 layer, SO(3) layers, SO3ToS2, ReLU after all but the last.

    The defaults are the published network with 204,073 parameters (205,088 with skips).

    Args:
        bandwidth: b of the input and of the output.
        sampling: Of the input and of the output, "soft" or "driscoll-healy".
        in_chans: Input channels.
        num_classes: Output channels.
        features: Features after every layer but the last.
        bandwidths: Bandwidth after every layer but the last; the first at most ``bandwidth``.
        max_beta: Size of every layer's kernel grid, the last included, as a fraction of pi.
        n_alpha: Directions of the kernel grids.
        n_beta: Rings of the kernel grids.
        n_gamma: Twists of the kernel grids on SO(3).
        use_skips: ReLU(convolution + shortcut) on the SO(3) layers.

    Raises:
        ValueError: If the sequences do not fit each other, or a layer refuses its arguments.
    """

    def __init__(
        self,
        bandwidth: int = 50,
        sampling: Grid = "soft",
        in_chans: int = 1,
        num_classes: int = 11,
        *,
        features: Sequence[int] = (11, 12, 13, 14, 13, 12, 11),
        bandwidths: Sequence[int] = (42, 35, 27, 20, 27, 35, 42),
        max_beta: Sequence[float] = (
            0.1238,
            0.1474,
            0.1768,
            0.2292,
            0.3095,
            0.2292,
            0.1768,
            0.1474,
        ),
        n_alpha: int = 8,
        n_beta: int = 3,
        n_gamma: int = 8,
        use_skips: bool = False,
    ) -> None:
        super().__init__()
        if not features or not len(features) == len(bandwidths) == len(max_beta) - 1:
            raise ValueError(
                f"{len(features)} features, {len(bandwidths)} bandwidths, {len(max_beta)} max_beta:"
                " there must be as many features as bandwidths, and one max_beta more"
            )

        def so3_grid(layer: int) -> Float[np.ndarray, "points 3"]:
            size = max_beta[layer] * math.pi
            return so3_near_identity_grid(size, 2 * math.pi, n_alpha, n_beta, n_gamma)

        self.input_layer = S2Convolution(
            in_chans,
            features[0],
            bandwidth,
            bandwidths[0],
            s2_near_identity_grid(max_beta[0] * math.pi, n_alpha, n_beta),
            sampling,
        )
        self.hidden_layers = nn.ModuleList()
        self.skip_layers = nn.ModuleList()
        for i in range(len(features) - 1):
            sizes = (features[i], features[i + 1], bandwidths[i], bandwidths[i + 1])
            self.hidden_layers.append(SO3Convolution(*sizes, so3_grid(i + 1)))
            if use_skips:
                self.skip_layers.append(SO3Shortcut(*sizes))
        self.output_layer = SO3ToS2(
            features[-1], num_classes, bandwidths[-1], bandwidth, so3_grid(-1), sampling
        )

    def forward(
        self, x: Float[Tensor, "batch channels beta alpha"]
    ) -> Float[Tensor, "batch classes beta alpha"]:
        """Logits of every class at every sample.

        Raises:
            ValueError: If the shape or the dtype of x is not what the network takes.
        """
        self.input_layer.check(x)
        x = self.input_layer.forward_inner(to_inner(x), rectify=True)
        for i, layer in enumerate(self.hidden_layers):
            shortcut = self.skip_layers[i] if len(self.skip_layers) else None
            x = layer.forward_inner(x, shortcut, rectify=True)
        return from_inner(self.output_layer.forward_inner(x))


class S2CNNClassifier(nn.Module):
    """The classifier of 2018: S2 layer, SO(3) layer, mean over the group, linear layer.

    The defaults have 154,550 parameters. ``so3_grid=(6, 2, 6)``, 72 points, gives the network with
    58,550.

    Args:
        bandwidth: b of the input.
        sampling: Of the input, "soft" or "driscoll-healy".
        in_chans: Input channels.
        num_classes: Classes.
        bandwidths: After the first and after the second layer.
        features: After the first and after the second layer.
        max_beta: Size of both kernel grids, radians.
        s2_grid: Directions and rings of the first kernel grid.
        so3_grid: Directions, rings and twists of the second.

    Raises:
        ValueError: If a layer refuses its arguments.
    """

    def __init__(
        self,
        bandwidth: int = 30,
        sampling: Grid = "soft",
        in_chans: int = 1,
        num_classes: int = 10,
        *,
        bandwidths: tuple[int, int] = (10, 6),
        features: tuple[int, int] = (20, 40),
        max_beta: float = math.pi / 8,
        s2_grid: tuple[int, int] = (8, 3),
        so3_grid: tuple[int, int, int] = (8, 3, 8),
    ) -> None:
        super().__init__()
        n_alpha, n_beta, n_gamma = so3_grid
        self.conv1 = S2Convolution(
            in_chans,
            features[0],
            bandwidth,
            bandwidths[0],
            s2_near_identity_grid(max_beta, *s2_grid),
            sampling,
        )
        self.conv2 = SO3Convolution(
            features[0],
            features[1],
            bandwidths[0],
            bandwidths[1],
            so3_near_identity_grid(max_beta, 2 * math.pi, n_alpha, n_beta, n_gamma),
        )
        self.integrate = SO3Integrate(bandwidths[1])
        self.out_layer = nn.Linear(features[1], num_classes)

    def forward(
        self, x: Float[Tensor, "batch channels beta alpha"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of every class.

        Raises:
            ValueError: If the shape or the dtype of x is not what the network takes.
        """
        self.conv1.check(x)
        x = self.conv1.forward_inner(to_inner(x), rectify=True)
        x = self.conv2.forward_inner(x, rectify=True)
        return self.out_layer(self.integrate(from_inner(x)))


class S2CNNDeepClassifier(nn.Module):
    """The deep classifier: one S2 layer, six SO(3) layers, mean over the group, three linear ones.

    The defaults have 156,882 parameters. Kernels have one ring of six directions and six twists.

    Args:
        bandwidth: b of the input.
        sampling: Of the input, "soft" or "driscoll-healy".
        in_chans: Input channels.
        num_classes: Classes.
        bandwidths: After every layer.
        features: After every layer.
        max_beta: Size of every layer's kernel grid, as a fraction of pi.
        hidden: Widths of the two hidden linear layers.

    Raises:
        ValueError: If the sequences do not fit each other, or a layer refuses its arguments.
    """

    def __init__(
        self,
        bandwidth: int = 30,
        sampling: Grid = "soft",
        in_chans: int = 1,
        num_classes: int = 10,
        *,
        bandwidths: Sequence[int] = (30, 15, 15, 7, 7, 3, 3),
        features: Sequence[int] = (8, 16, 16, 24, 24, 32, 64),
        max_beta: Sequence[float] = (1 / 16, 1 / 16, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 2),
        hidden: tuple[int, int] = (64, 32),
    ) -> None:
        super().__init__()
        if not features or not len(features) == len(max_beta) == len(bandwidths):
            raise ValueError(
                f"{len(features)} features, {len(max_beta)} max_beta, {len(bandwidths)} bandwidths:"
                " there must be as many of each"
            )
        layers: list[nn.Module] = [
            S2Convolution(
                in_chans,
                features[0],
                bandwidth,
                bandwidths[0],
                s2_near_identity_grid(max_beta[0] * math.pi, 6, 1),
                sampling,
            ),
            nn.ReLU(),
        ]
        for i in range(1, len(features)):
            grid = so3_near_identity_grid(max_beta[i] * math.pi, 2 * math.pi, 6, 1, 6)
            sizes = (features[i - 1], features[i], bandwidths[i - 1], bandwidths[i])
            layers += [SO3Convolution(*sizes, grid), nn.ReLU()]
        self.convolutional = nn.Sequential(*layers)
        self.integrate = SO3Integrate(bandwidths[-1])
        self.linear = nn.Sequential(
            nn.BatchNorm1d(features[-1]),
            nn.Linear(features[-1], hidden[0]),
            nn.ReLU(),
            nn.BatchNorm1d(hidden[0]),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(),
            nn.BatchNorm1d(hidden[1]),
            nn.Linear(hidden[1], num_classes),
        )

    def forward(
        self, x: Float[Tensor, "batch channels beta alpha"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of every class.

        Raises:
            ValueError: If the shape or the dtype of x is not what the network takes.
        """
        self.convolutional[0].check(x)
        x = to_inner(x)
        for layer in self.convolutional[::2]:
            x = layer.forward_inner(x, rectify=True)
        return self.linear(self.integrate(from_inner(x)))
