"""Statistics of a prepared set, gathered sample by sample and added up at the end.

What a sample adds is exact (whole numbers; sums of depth in float64), travels as JSON in the record
of finished samples, and is added in the order of the samples. So neither the number of workers nor
a killed conversion changes a digit, and no second pass over the data is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8


def image_sums(
    image: UInt8[np.ndarray, "pixels channels"], valid: Bool[np.ndarray, " pixels"]
) -> dict[str, Any]:
    """Count, sums and sums of squares of each channel over the valid pixels."""
    values = np.arange(256)
    histograms = [np.bincount(channel[valid], minlength=256) for channel in image.T]
    return {
        "count": int(np.count_nonzero(valid)),
        "sum": [int(h @ values) for h in histograms],
        "sum_squares": [int(h @ values**2) for h in histograms],
    }


def class_counts(
    labels: UInt8[np.ndarray, " pixels"], valid: Bool[np.ndarray, " pixels"], num_classes: int
) -> list[int]:
    """Number of valid pixels of each class; ids beyond the classes (255) count nowhere."""
    return np.bincount(labels[valid], minlength=256)[:num_classes].tolist()


def depth_sums(
    depth: Float32[np.ndarray, " pixels"], valid: Bool[np.ndarray, " pixels"]
) -> dict[str, Any]:
    """Count, sums, smallest and largest value of the valid pixels that have a finite depth."""
    finite = depth[valid & np.isfinite(depth)].astype(np.float64)
    return {
        "count": finite.size,
        "sum": float(finite.sum()),
        "sum_squares": float((finite**2).sum()),
        "min": float(finite.min()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
    }


def total_image(sums: Sequence[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in units of value / 255.

    Raises:
        ValueError: If there is no valid pixel at all.
    """
    count = sum(s["count"] for s in sums)
    if count == 0:
        raise ValueError("no pixel of the training split is valid: does the camera see the grid?")
    mean, std = [], []
    for channel in range(len(sums[0]["sum"])):
        # Whole numbers of any size: the difference below loses nothing.
        total = sum(s["sum"][channel] for s in sums)
        squares = sum(s["sum_squares"][channel] for s in sums)
        mean.append(total / count / 255)
        std.append(math.sqrt(count * squares - total**2) / count / 255)
    return mean, std


def total_classes(counts: Sequence[Sequence[int]]) -> list[float]:
    """Share of each class; all 0 where nothing is labelled."""
    totals = [sum(of_class) for of_class in zip(*counts, strict=True)]
    labelled = sum(totals)
    return [total / labelled if labelled else 0.0 for total in totals]


def total_depth(sums: Sequence[dict[str, Any]]) -> dict[str, float | int | None]:
    """Count, mean, standard deviation, smallest and largest depth in metres; None without any."""
    some = [s for s in sums if s["count"]]
    count = sum(s["count"] for s in some)
    if count == 0:
        return {"count": 0, "mean": None, "std": None, "min": None, "max": None}
    mean = math.fsum(s["sum"] for s in some) / count
    variance = math.fsum(s["sum_squares"] for s in some) / count - mean**2
    return {
        "count": count,
        "mean": mean,
        "std": math.sqrt(max(variance, 0.0)),
        "min": min(s["min"] for s in some),
        "max": max(s["max"] for s in some),
    }
