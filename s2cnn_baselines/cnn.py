"""Planar CNNs on the equiangular grid of the sphere: the baselines that learn from augmentation.

The segmenters are those of the HEAL-SWIN authors (Carlsson et al. 2023), on 2b x 2b images, trained
on rotated spherical MNIST. ``CNN_SEGMENTERS`` and ``CNN_CLASSIFIERS`` hold the arguments of the
known sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from healswin.grid import EquiangularGrid


@dataclass(frozen=True)
class CNNSize:
    """Widths, kernel sizes and strides of the convolutions of a network."""

    features: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    strides: tuple[int, ...]


CNN_SEGMENTERS: Mapping[str, CNNSize] = MappingProxyType(
    {
        "218k": CNNSize((13, 15, 22, 31, 141), (5, 3, 9, 7, 3), (1, 1, 1, 1, 2)),
        "1M": CNNSize((12, 13, 16, 77, 96, 163), (3, 3, 5, 5, 3, 5), (1, 1, 1, 2, 1, 1)),
        "5.5M": CNNSize(
            (12, 15, 16, 85, 141, 191, 1100), (3, 5, 3, 7, 5, 3, 3), (1, 1, 1, 2, 1, 1, 2)
        ),
    }
)
"""The published segmenters: 218,144, 1,042,013 and 5,519,335 parameters with skips, 11 classes."""

CNN_CLASSIFIERS: Mapping[str, CNNSize] = MappingProxyType(
    {
        "58k": CNNSize((16, 24, 36, 50, 68), (5, 3, 3, 3, 3), (2, 1, 2, 1, 2)),
        "155k": CNNSize((22, 36, 58, 84, 110), (5, 3, 3, 3, 3), (2, 1, 2, 1, 2)),
    }
)
"""Classifiers of about the sizes of `S2CNNClassifier` and of the deep one, 10 classes."""


class CNNSegmenter(nn.Module):
    """Segmentation of images: unpadded convolutions, then transposed ones that mirror them.

    ReLU after all but the last. With skips, every layer but the first and the last adds a
    shortcut before its ReLU: a 1 x 1 convolution of the max-pooled input on the way down, of the
    input enlarged to its nearest neighbours on the way up. Every size on the way up is that on the
    way down.

    Args:
        bandwidth: b of the grid: images are 2b x 2b.
        sampling: Of the grid; it makes no difference to the network.
        in_chans: Input channels.
        num_classes: Output channels.
        size: A key of `CNN_SEGMENTERS`, or another size.
        use_skips: Whether layers have shortcuts.

    Raises:
        ValueError: If the size is not known or its sequences differ in length, or the image is too
            small for the convolutions.
    """

    def __init__(
        self,
        bandwidth: int = 50,
        sampling: str = "soft",
        in_chans: int = 1,
        num_classes: int = 11,
        *,
        size: CNNSize | str = "218k",
        use_skips: bool = True,
    ) -> None:
        super().__init__()
        size = _checked_size(size, CNN_SEGMENTERS)
        image_size = EquiangularGrid(bandwidth, sampling).shape[0]
        sizes = _image_sizes(image_size, size)
        widths, kernels, strides = size.features, size.kernel_sizes, size.strides
        self.in_chans, self.image_size = in_chans, image_size
        down = list(zip(widths[:-1], widths[1:], kernels[1:], strides[1:], strict=True))
        self.input_layer = nn.Conv2d(in_chans, widths[0], kernels[0], strides[0])
        self.downsample_layers = nn.ModuleList(nn.Conv2d(*layer) for layer in down)
        self.upsample_layers = nn.ModuleList()
        for level in range(len(down), 0, -1):
            width_out, width_in, kernel, stride = down[level - 1]
            padding = _output_padding(sizes[level + 1], sizes[level], kernel, stride)
            self.upsample_layers.append(
                nn.ConvTranspose2d(width_in, width_out, kernel, stride, output_padding=padding)
            )
        self.out_layer = nn.ConvTranspose2d(
            widths[0],
            num_classes,
            kernels[0],
            strides[0],
            output_padding=_output_padding(sizes[1], sizes[0], kernels[0], strides[0]),
        )
        self.skip_down_conv_layers = self.skip_up_conv_layers = None
        if use_skips:
            self.skip_down_conv_layers = nn.ModuleList(
                nn.Conv2d(width_in, width_out, 1) for width_in, width_out, _, _ in down
            )
            self.skip_up_conv_layers = nn.ModuleList(
                nn.Conv2d(width_in, width_out, 1) for width_out, width_in, _, _ in reversed(down)
            )

    def forward(
        self, x: Float[Tensor, "batch channels beta alpha"]
    ) -> Float[Tensor, "batch classes beta alpha"]:
        """Logits of every class in every pixel.

        Raises:
            ValueError: If the shape of x is not what the network takes.
        """
        expected = (self.in_chans, self.image_size, self.image_size)
        if x.shape[1:] != expected:
            raise ValueError(f"x has the shape {tuple(x.shape)}, it must be (batch, *{expected})")
        x = functional.relu(self.input_layer(x))
        for i, layer in enumerate(self.downsample_layers):
            y = layer(x)
            if self.skip_down_conv_layers is not None:
                pooled = functional.max_pool2d(x, layer.kernel_size, layer.stride)
                y = y + self.skip_down_conv_layers[i](pooled)
            x = functional.relu(y)
        for i, layer in enumerate(self.upsample_layers):
            y = layer(x)
            if self.skip_up_conv_layers is not None:
                mixed = self.skip_up_conv_layers[i](x)
                y = y + functional.interpolate(mixed, y.shape[-2:], mode="nearest")
            x = functional.relu(y)
        return self.out_layer(x)


class CNNClassifier(nn.Module):
    """Classification of images: unpadded convolutions with ReLU, mean over pixels, linear layer.

    Args:
        bandwidth: b of the grid: images are 2b x 2b.
        sampling: Of the grid; it makes no difference to the network.
        in_chans: Input channels.
        num_classes: Classes.
        size: A key of `CNN_CLASSIFIERS`, or another size.

    Raises:
        ValueError: If the size is not known or its sequences differ in length, or the image is too
            small for the convolutions.
    """

    def __init__(
        self,
        bandwidth: int = 30,
        sampling: str = "soft",
        in_chans: int = 1,
        num_classes: int = 10,
        *,
        size: CNNSize | str = "58k",
    ) -> None:
        super().__init__()
        size = _checked_size(size, CNN_CLASSIFIERS)
        image_size = EquiangularGrid(bandwidth, sampling).shape[0]
        _image_sizes(image_size, size)
        self.in_chans, self.image_size = in_chans, image_size
        widths = (in_chans, *size.features)
        self.layers = nn.ModuleList(
            nn.Conv2d(*layer)
            for layer in zip(widths[:-1], widths[1:], size.kernel_sizes, size.strides, strict=True)
        )
        self.out_layer = nn.Linear(widths[-1], num_classes)

    def forward(
        self, x: Float[Tensor, "batch channels beta alpha"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of every class.

        Raises:
            ValueError: If the shape of x is not what the network takes.
        """
        expected = (self.in_chans, self.image_size, self.image_size)
        if x.shape[1:] != expected:
            raise ValueError(f"x has the shape {tuple(x.shape)}, it must be (batch, *{expected})")
        for layer in self.layers:
            x = functional.relu(layer(x))
        return self.out_layer(x.mean(dim=(-2, -1)))


def _checked_size(size: CNNSize | str, known: Mapping[str, CNNSize]) -> CNNSize:
    if isinstance(size, str):
        if size not in known:
            raise ValueError(f"size={size!r} must be one of {list(known)}, or a CNNSize")
        return known[size]
    if isinstance(size, Mapping):
        size = CNNSize(**{name: tuple(values) for name, values in size.items()})
    lengths = (len(size.features), len(size.kernel_sizes), len(size.strides))
    if len(set(lengths)) > 1 or not lengths[0]:
        raise ValueError(
            f"size has {lengths[0]} features, {lengths[1]} kernel_sizes, {lengths[2]} strides: "
            "there must be as many of each"
        )
    for values in (size.features, size.kernel_sizes, size.strides):
        if min(values) < 1:
            raise ValueError(f"size={size} must have no number below 1")
    return size


def _image_sizes(image_size: int, size: CNNSize) -> Sequence[int]:
    """Height of the image and after every convolution."""
    sizes = [image_size]
    for kernel, stride in zip(size.kernel_sizes, size.strides, strict=True):
        sizes.append((sizes[-1] - kernel) // stride + 1)
        if sizes[-1] < 1:
            raise ValueError(
                f"an image of {image_size} x {image_size} must be larger for kernel sizes "
                f"{size.kernel_sizes} with strides {size.strides}"
            )
    return sizes


def _output_padding(small: int, large: int, kernel: int, stride: int) -> int:
    """Rows that a transposed convolution must add to come from small to large."""
    return large - ((small - 1) * stride + kernel)
