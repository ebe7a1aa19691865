"""Class ids to colours: plain, over an image, and right against wrong."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer, UInt8
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
