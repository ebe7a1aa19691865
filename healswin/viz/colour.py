"""Values to colours: class ids plain, over an image, right against wrong; depth and real values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from numpy.typing import ArrayLike

INK = (32, 34, 40)
"""RGB of text and lines."""
PAPER = (255, 255, 255)
"""RGB of the paper around pictures."""
EMPTY = (228, 229, 233)
"""RGB of the part of a sphere that has no values."""
IGNORED = (214, 216, 221)
"""RGB of pixels without a class: light, because the common class maps use dark greys."""
WRONG = (225, 38, 38)
"""RGB of wrong pixels in an error map."""
SKY = (206, 228, 246)
"""RGB of infinite depth."""
UNKNOWN = (24, 24, 28)
"""RGB of values that are NaN: darker than any of a scale."""

# Anchors of a scale for values on both sides of zero: blue, almost white, red; evenly spaced.
_DIVERGING = [
    *((24, 58, 120), (52, 112, 178), (126, 176, 214), (206, 226, 238)),
    (246, 245, 242),
    *((248, 214, 194), (232, 150, 118), (196, 68, 62), (116, 18, 40)),
]


@dataclass(frozen=True)
class ColourScale:
    """A colour for every real value; NaN is `UNKNOWN` and +inf is `SKY`.

    Values below ``low`` and above ``high`` have the colours of these.

    Args:
        low: Value of the first colour.
        high: Value of the last colour.
        kind: "depth": logarithmic, bright yellow near by, dark violet far away; "sequential":
            from dark to bright; "diverging": from blue to red with white halfway; "ratio": the
            same, logarithmic, with white at 1.

    Raises:
        ValueError: If low is not below high, low is not positive for depth or not 1 / high for a
            ratio, or the kind is unknown.
    """

    low: float
    high: float
    kind: str = "sequential"

    def __post_init__(self) -> None:
        if self.kind not in ("depth", "sequential", "diverging", "ratio"):
            raise ValueError(f"kind={self.kind!r} must be depth, sequential, diverging or ratio")
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low={self.low} must be below high={self.high}, both finite")
        if self.kind == "depth" and self.low <= 0:
            raise ValueError(f"low={self.low} must be positive: the scale of depth is logarithmic")
        if self.kind == "ratio" and not math.isclose(self.low * self.high, 1):
            raise ValueError(f"low={self.low} must be 1 / high={self.high}: 1 is in the middle")

    def position(self, values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Where values are on the scale, 0 at ``low`` and 1 at ``high``; NaN stays."""
        values = np.clip(values.astype(np.float64), self.low, self.high)
        if self.kind in ("depth", "ratio"):
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)

    def __call__(self, values: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any 3"]:
        """The colours of values of any shape."""
        unknown = np.isnan(values)
        position = np.where(unknown, 0, self.position(values))
        picture = scale_colours(self.kind, position)
        picture[np.isposinf(values)] = SKY
        picture[unknown] = UNKNOWN
        return picture

    def ticks(self, count: int = 6) -> list[float]:
        """About ``count`` round values from low to high, of depth such as 1, 2, 5, 10, 20.

        A ratio has five, evenly spaced.
        """
        if self.kind == "ratio":
            return [round(self.low * (self.high / self.low) ** (k / 4), 2) for k in range(5)]
        if self.kind == "depth":
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            steps = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
            inside = [value for value in steps if self.low <= value <= self.high]
            return inside if len(inside) <= count + 1 else inside[:: math.ceil(len(inside) / count)]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * min(digit for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def depth_scale(depth: Float[np.ndarray, " values"]) -> ColourScale:
    """A scale for depths in metres, from the 1st to the 99th percentile of the finite ones."""
    finite = depth[np.isfinite(depth) & (depth > 0)]
    low, high = np.percentile(finite, (1, 99)).tolist() if finite.size else (1.0, 100.0)
    return ColourScale(low, max(high, 2 * low), "depth")


def value_scale(values: Float[np.ndarray, " values"]) -> ColourScale:
    """A scale for real values, from their 1st to their 99th percentile; NaN is left out.

    Where both are far from zero on either side it is diverging and symmetric about zero.
    """
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)).tolist() if finite.size else (0.0, 1.0)
    largest = max(-low, high)
    if min(-low, high) > 0.2 * largest:
        return ColourScale(-largest, largest, "diverging")
    if high - low <= 1e-6 * abs(high):  # all alike: any range around it will do
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    return ColourScale(low, high)


def colourise(
    labels: Integer[np.ndarray, "*any"],
    colours: ArrayLike,
    ignore_index: int = 255,
) -> UInt8[np.ndarray, "*any 3"]:
    """The colour of every label.

    Args:
        labels: Class ids of any shape; ``ignore_index`` becomes `IGNORED`.
        colours: RGB in 0..255 for every class.
        ignore_index: Id of pixels without a class.

    Raises:
        ValueError: If a label has no colour or a colour is no RGB triple in 0..255.
    """
    table = _colour_table(colours)
    labels = np.asarray(labels)
    ignored = labels == ignore_index
    classes = np.where(ignored, 0, labels)
    if classes.size and not (classes.min() >= 0 and classes.max() < len(table)):
        wrong = classes[(classes < 0) | (classes >= len(table))].flat[0]
        raise ValueError(
            f"labels holds class {wrong}; there are colours for 0..{len(table) - 1} and "
            f"ignore_index={ignore_index}"
        )
    picture = table[classes]
    picture[ignored] = IGNORED
    return picture


def overlay(
    image: np.ndarray,
    labels: Integer[np.ndarray, "height width"],
    colours: ArrayLike,
    alpha: float | int = 0.5,
    ignore_index: int = 255,
) -> UInt8[np.ndarray, "height width 3"]:
    """The classes painted over the image, with a thin line where two classes meet.

    Args:
        image: RGB, uint8 (height, width, 3).
        labels: Class ids; where they are ``ignore_index`` the image stays as it is.
        colours: RGB in 0..255 for every class.
        alpha: Opacity of the paint in 0..1; the lines are opaque.
        ignore_index: Id of pixels without a class.

    Raises:
        ValueError: If the shapes differ, alpha is outside 0..1, or a label has no colour.
    """
    _check_image("image", image, labels.shape)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} must be in 0..1")
    paint = colourise(labels, colours, ignore_index)
    picture = blend(image, paint, alpha)
    edge = boundaries(labels)
    # Half the class's colour: the line belongs to its area yet stands out from it.
    picture[edge] = paint[edge] // 2
    picture[labels == ignore_index] = image[labels == ignore_index]
    return picture


def error_map(
    image: np.ndarray | None,
    truth: Integer[np.ndarray, "height width"],
    prediction: Integer[np.ndarray, "*prediction"],
    ignore_index: int = 255,
) -> UInt8[np.ndarray, "height width 3"]:
    """Wrong pixels in red over the grey image.

    Args:
        image: RGB, uint8 (height, width, 3), that is shown in grey, or None for plain light grey.
        truth: Class ids; where they are ``ignore_index`` nothing is right or wrong and the
            picture is `IGNORED`.
        prediction: Class ids of the same shape.
        ignore_index: Id of pixels without a class.

    Raises:
        ValueError: If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}")
    picture = np.full((*truth.shape, 3), 205, dtype=np.uint8)
    if image is not None:
        _check_image("image", image, truth.shape)
        # Rec. 601 luma, lifted towards white so that the red stands out in dark places too.
        grey = image @ np.array([0.299, 0.587, 0.114])
        picture[:] = np.rint(90 + 0.6 * grey)[..., None]
    wrong = truth != prediction
    picture[wrong] = blend(picture, np.uint8(WRONG), 0.8)[wrong]
    picture[truth == ignore_index] = IGNORED
    return picture


def blend(
    below: UInt8[np.ndarray, "*any 3"], above: UInt8[np.ndarray, "*other 3"], alpha: float | int
) -> UInt8[np.ndarray, "*any 3"]:
    """``(1 - alpha) below + alpha above``, rounded; ``above`` broadcasts to ``below``."""
    mixed = (1 - alpha) * below.astype(np.float32) + alpha * above.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def boundaries(
    regions: Bool[np.ndarray, "height width"] | Integer[np.ndarray, "height width"],
) -> Bool[np.ndarray, "height width"]:
    """Where a pixel's right or lower neighbour belongs to another region."""
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    edge[:-1] |= regions[:-1] != regions[1:]
    return edge


def scale_colours(kind: str, position: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any 3"]:
    """The colours at positions in 0..1 of a `ColourScale` of some kind."""
    return _scale_table(kind)[np.rint(255 * position).astype(np.int64)]


def _scale_table(kind: str) -> UInt8[np.ndarray, "256 3"]:
    if kind in ("diverging", "ratio"):
        anchors = np.array(_DIVERGING, dtype=np.float64)
        places = np.linspace(0, 1, len(anchors))
        channels = [np.interp(np.linspace(0, 1, 256), places, channel) for channel in anchors.T]
        return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    import cv2

    # Perceptually uniform tables of matplotlib (Smith, van der Walt 2015), which OpenCV has.
    table = cv2.COLORMAP_VIRIDIS if kind == "depth" else cv2.COLORMAP_INFERNO
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], table)[0, :, ::-1]
    return colours[::-1] if kind == "depth" else colours


def _colour_table(colours: ArrayLike) -> UInt8[np.ndarray, "classes 3"]:
    table = np.asarray(colours)
    if table.ndim != 2 or table.shape[1] != 3 or table.min() < 0 or table.max() > 255:
        raise ValueError(f"colours={colours} must be one RGB triple in 0..255 per class")
    return table.astype(np.uint8)


def _check_image(name: str, image: np.ndarray, shape: tuple[int, ...]) -> None:
    if image.dtype != np.uint8 or image.shape != (*shape, 3):
        raise ValueError(
            f"{name} is {image.dtype} {image.shape}; expected uint8 {(*shape, 3)} to go with the "
            "labels"
        )
