"""What a pixel's children become where a mean means nothing: classes and depths."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

# The class that leaves the vote to the other children.
IGNORED = 255


def majority(children: UInt8[np.ndarray, "children block"]) -> UInt8[np.ndarray, " block"]:
    """The class of most children: the smallest of several, 255 only where there is no other."""
    result = children.min(axis=0)
    # Nearly all pixels lie inside one thing; only the others are counted.
    mixed = np.flatnonzero(children.max(axis=0) != result)
    ranked = np.sort(children[:, mixed].T, axis=1)
    place = np.arange(ranked.shape[1], dtype=np.int32)
    # A class is a run in the sorted children. At the end of a run its length is the place minus
    # the place where it began; the first of the largest is the smallest class.
    begins = np.ones(ranked.shape, dtype=bool)
    begins[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    votes = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    votes[ranked == IGNORED] = -1
    result[mixed] = np.take_along_axis(ranked, votes.argmax(axis=1)[:, None], axis=1)[:, 0]
    return result


def lower_median(
    children: Float32[np.ndarray, "children block"],
) -> Float32[np.ndarray, " block"]:
    """The median of the children that are not NaN, the lower one of two; NaN where all are."""
    # NaN is sorted to the end.
    ranked = np.sort(children.T, axis=1)
    known = (~np.isnan(children)).sum(axis=0)
    middle = np.maximum(known - 1, 0) // 2
    return np.take_along_axis(ranked, middle[:, None], axis=1)[:, 0]
