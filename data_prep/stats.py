"""Statistics of a prepared set, gathered sample by sample and added up at the end.

What a sample adds (whole numbers for images of 8 bits, float64 for maps and depth) travels as JSON
in the record of finished samples without losing a digit, and is added in the order of the samples.
So neither the number of workers nor a killed conversion changes a digit, and no second pass over
the data is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from healswin.data.transforms import class_weights


def image_sums(
    image: UInt8[np.ndarray, "pixels channels"] | Float32[np.ndarray, "pixels channels"],
    valid: Bool[np.ndarray, " pixels"],
) -> dict[str, Any]:
    """Count, sums and sums of squares of each channel over the valid pixels.

    They are exact for uint8. For float32 the squares are exact in float64 and the sums rounded; the
    values of valid pixels must be finite. "scale" is the stored value that statistics call 1.
    """
    count = int(np.count_nonzero(valid))
    if image.dtype == np.float32:
        values = image[valid].astype(np.float64)
        sums, squares = values.sum(axis=0).tolist(), np.square(values).sum(axis=0).tolist()
        return {"count": count, "scale": 1, "sum": sums, "sum_squares": squares}
    # Not OpenCV's own mask: with it, squares of long rows overflow.
    channels = [channel * valid for channel in cv2.split(image[None])]
    return {
        "count": count,
        "scale": 255,
        "sum": [round(cv2.norm(channel, cv2.NORM_L1)) for channel in channels],
        # OpenCV takes the root and squares it: rounding brings the whole number back.
        "sum_squares": [round(cv2.norm(channel, cv2.NORM_L2SQR)) for channel in channels],
    }


def class_counts(
    labels: UInt8[np.ndarray, " pixels"], valid: Bool[np.ndarray, " pixels"], num_classes: int
) -> list[int]:
    """Number of valid pixels of each class; ids beyond the classes (255) count nowhere."""
    # OpenCV counts in a fraction of the time, but in float32, which is exact up to 2^24.
    if labels.size < 2**24:
        mask = valid.astype(np.uint8)
        counts = cv2.calcHist([labels[None]], [0], mask[None], [256], [0, 256]).ravel()
        return counts[:num_classes].astype(np.int64).tolist()
    return np.bincount(labels[valid], minlength=256)[:num_classes].tolist()


def depth_sums(
    depth: Float32[np.ndarray, " pixels"], valid: Bool[np.ndarray, " pixels"]
) -> dict[str, Any]:
    """Count, limits and sums of the valid pixels that have a finite depth.

    "log" and "inverse" have the sums of the natural logarithm and of 1 / metres. A depth of 0 is no
    depth: the readers take it for an unknown one.
    """
    finite = depth[valid & np.isfinite(depth) & (depth > 0)].astype(np.float64)
    return {
        "count": finite.size,
        **_sums(finite),
        "min": float(finite.min()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "log": _sums(np.log(finite)),
        "inverse": _sums(1 / finite),
    }


def _sums(values: Float64[np.ndarray, " pixels"]) -> dict[str, float]:
    return {"sum": float(values.sum()), "sum_squares": float(np.square(values).sum())}


def sample_sums(
    values: Mapping[str, np.ndarray], valid: Bool[np.ndarray, " pixels"], num_classes: int
) -> dict[str, Any]:
    """What one sample adds to the statistics.

    Args:
        values: Its rows: "image" and, where the set has them, "semantic", "depth" and "label".
        valid: The pixels that count.
        num_classes: Number of classes.
    """
    sums: dict[str, Any] = {"image": image_sums(values["image"], valid)}
    if "semantic" in values:
        sums["classes"] = class_counts(values["semantic"], valid, num_classes)
    if "depth" in values:
        sums["depth"] = depth_sums(values["depth"], valid)
    if "label" in values:
        sums["label"] = int(values["label"])
    return sums


def totals(samples: Sequence[Mapping[str, Any]], num_labels: int = 0) -> dict[str, Any]:
    """The attributes of a set that say how its training split is distributed.

    Args:
        samples: `sample_sums` of each sample of the training split, in their order.
        num_labels: Number of labels that a whole sample may have, 0 in a set without them.

    Raises:
        ValueError: If there is no valid pixel at all.
    """
    mean, std = total_image([sums["image"] for sums in samples])
    frequencies = (
        total_classes([sums["classes"] for sums in samples]) if "classes" in samples[0] else []
    )
    attributes: dict[str, Any] = {
        "image_mean": mean,
        "image_std": std,
        "class_frequencies": frequencies,
        "class_weights": class_weights(frequencies),
    }
    if "depth" in samples[0]:
        attributes["depth_statistics"] = total_depth([sums["depth"] for sums in samples])
    if num_labels:
        counts = np.bincount([sums["label"] for sums in samples], minlength=num_labels)
        attributes["label_frequencies"] = (counts / len(samples)).tolist()
    return attributes


def total_image(sums: Sequence[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel: of value / 255 for uint8, of the value else.

    Raises:
        ValueError: If there is no valid pixel at all.
    """
    count = sum(s["count"] for s in sums)
    if count == 0:
        raise ValueError("no pixel of the training split is valid: does the camera see the grid?")
    scale = sums[0]["scale"]
    mean, std = [], []
    for channel in range(len(sums[0]["sum"])):
        # With whole numbers, of any size in Python, the difference below loses nothing; with
        # others rounding may leave it a little below zero where nothing varies.
        total = sum(s["sum"][channel] for s in sums)
        squares = sum(s["sum_squares"][channel] for s in sums)
        mean.append(total / count / scale)
        std.append(math.sqrt(max(count * squares - total**2, 0)) / count / scale)
    return mean, std


def total_classes(counts: Sequence[Sequence[int]]) -> list[float]:
    """Share of each class; all 0 where nothing is labelled."""
    totals = [sum(of_class) for of_class in zip(*counts, strict=True)]
    labelled = sum(totals)
    return [total / labelled if labelled else 0.0 for total in totals]


def total_depth(sums: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count, mean, standard deviation, smallest and largest depth in metres; None without any.

    "log" and "inverse" have mean and standard deviation of the natural logarithm and of 1 / metres.
    """
    some = [s for s in sums if s["count"]]
    count = sum(s["count"] for s in some)
    return {
        "count": count,
        **_moments(some, count),
        "min": min((s["min"] for s in some), default=None),
        "max": max((s["max"] for s in some), default=None),
        "log": _moments([s["log"] for s in some], count),
        "inverse": _moments([s["inverse"] for s in some], count),
    }


def _moments(sums: Sequence[dict[str, Any]], count: int) -> dict[str, float | None]:
    """Mean and standard deviation of what `count` pixels have been added up."""
    if count == 0:
        return {"mean": None, "std": None}
    mean = math.fsum(s["sum"] for s in sums) / count
    variance = math.fsum(s["sum_squares"] for s in sums) / count - mean**2
    return {"mean": mean, "std": math.sqrt(max(variance, 0.0))}
