"""Boundary IoU: how well the outlines of the classes are met, not their inside.

Of the pixels that truly are of a class those are taken that lie within a distance d of the outline
of all of them, of the pixels predicted as that class likewise, and the IoU of these two bands is
the boundary IoU of the class (Cheng et al. 2021, CVPR, arXiv 2103.16562, section 5). A large road
with a ragged edge has a high IoU and a low boundary IoU.

A pixel is in the band of its class if a pixel that is not of this class lies within d. What does
not count (ignored pixels, and all beyond the border of an image, a lens's field or a domain) is of
no class, so that a border is an outline, as in the paper.

* In an image d is 2 % of the diagonal, rounded to whole pixels, at least one, and the distance is
  the larger one of those along rows and columns: the erosion with a square of the authors' program.
* On a HEALPix sphere the distance is the angle between the centres of the pixels, and d is 2 % of
  pi, the largest distance between two directions: 0.0628 rad or 3.6 degrees, but never less than
  1.5 pixel spacings. To look for the nearest pixel of another class takes long, so that on a fine
  grid it is done for an evenly spread part of the pixels, one in 4^k; what it is looked for among
  are all pixels.

As for the IoU (`healswin.metrics.iou`) the pixels of all samples are summed before anything is
divided.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped, UInt8
from torch import Tensor
from torchmetrics import Metric

from healswin.grid import HealpixGrid
from healswin.grid.neighbours import EDGES, neighbours

RATIO = 0.02
"""The band's width as a share of the largest distance, as in the paper."""

# A pixel that does not count. Classes are below it.
_NOTHING = 255

# A band that is narrower than the distance between neighbours (up to 1.4 spacings across a corner)
# would miss them.
_LEAST_SPACINGS = 1.5


def image_band(
    labels: Shaped[np.ndarray, "height width"], distance: int | None = None
) -> Bool[np.ndarray, "height width"]:
    """The pixels of an image that lie within a distance of another class.

    Args:
        labels: uint8, a class in 0..254; 255 where nothing counts, which is in no band.
        distance: Pixels along rows and columns; by default 2 % of the diagonal.

    Raises:
        ValueError: If the labels are not uint8 or the distance is below 1.
    """
    _check_dtype(labels)
    if distance is None:
        distance = max(1, round(RATIO * math.hypot(*labels.shape)))
    if distance < 1:
        raise ValueError(f"distance={distance} must be at least one pixel")
    # A window holds one class only if its smallest and its largest are the same. Beyond the
    # border there is nothing.
    window = np.ones((2 * distance + 1,) * 2, dtype=np.uint8)
    beyond = {"borderType": cv2.BORDER_CONSTANT, "borderValue": _NOTHING}
    largest = cv2.dilate(labels, window, **beyond)
    smallest = cv2.erode(labels, window, **beyond)
    return (smallest != largest) & (labels != _NOTHING)


class SphereBand:
    """Finds the pixels of a HEALPix grid that lie within an angle of another class.

    Args:
        grid: The pixels.
        distance: Angle in radians; by default 2 % of pi, at least 1.5 pixel spacings.
        every: It is looked at one pixel in `every`, a power of four of at most nside^2.

    Attributes:
        distance: The angle.
        pixels: (points,) int64, the pixels that are looked at, increasing.

    Raises:
        ValueError: If the distance is not above 0 and below pi, or every is no such power.
    """

    def __init__(self, grid: HealpixGrid, distance: float | None = None, every: int = 1) -> None:
        if distance is None:
            distance = max(RATIO * math.pi, _LEAST_SPACINGS * grid.pixel_spacing)
        if not 0 < distance < math.pi:
            raise ValueError(f"distance={distance} must be an angle above 0 and below pi")
        side = math.isqrt(max(every, 0))
        if side**2 != every or side < 1 or side & (side - 1) or side > grid.nside:
            raise ValueError(
                f"every={every} must be a power of four of at most nside^2 = {grid.nside**2}"
            )
        self.grid = grid
        self.distance = distance
        # In a square of `every` nested pixels the one north of the middle.
        self.pixels: Int64[np.ndarray, " points"] = np.arange(
            3 * every // 4, grid.num_pixels, every
        )
        self._chord = 2 * math.sin(distance / 2)
        sphere = HealpixGrid(grid.nside)
        self._vectors = sphere.vectors()
        self._place = grid.pixels()  # of the grid's pixels on the whole sphere
        # Every pair of pixels that share an edge once, and only where the grid is.
        first = np.repeat(np.arange(sphere.num_pixels), len(EDGES))
        second = neighbours(sphere)[:, EDGES].reshape(-1)
        inside = np.zeros(sphere.num_pixels, dtype=bool)
        inside[self._place] = True
        meets = (first < second) & (inside[first] | inside[second])
        self._first, self._second = first[meets], second[meets]

    def __call__(self, labels: Shaped[np.ndarray, " pixels"]) -> Bool[np.ndarray, " points"]:
        """Which of `pixels` lie within the distance of a pixel of another class.

        Args:
            labels: uint8, a class in 0..254 for every pixel of the grid; 255 where nothing counts,
                which is in no band.

        Raises:
            ValueError: If the labels are not uint8 or their number does not fit.
        """
        from scipy.spatial import cKDTree

        _check_dtype(labels)
        if labels.shape != (self.grid.num_pixels,):
            raise ValueError(
                f"labels has shape {labels.shape}, ({self.grid.num_pixels},) is needed"
            )
        sphere = np.full(len(self._vectors), _NOTHING, dtype=np.uint8)
        sphere[self._place] = labels
        # The nearest pixel of another class has a neighbour of this class: the way there ends.
        differ = np.flatnonzero(sphere[self._first] != sphere[self._second])
        one, other = self._first[differ], self._second[differ]
        outline = np.concatenate([other, one])
        of_class = sphere[np.concatenate([one, other])]
        asked = labels[self.pixels]
        near = np.zeros(len(asked), dtype=bool)
        for class_ in np.unique(of_class[of_class != _NOTHING]):
            points = np.flatnonzero(asked == class_)
            beyond = np.unique(outline[of_class == class_])
            if len(points):
                # Built for one look-up: a balanced tree takes longer to build than it saves.
                tree = cKDTree(self._vectors[beyond], compact_nodes=False, balanced_tree=False)
                found, _ = tree.query(
                    self._vectors[self._place[self.pixels[points]]],
                    distance_upper_bound=np.nextafter(self._chord, np.inf),
                )
                near[points] = np.isfinite(found)
        return near


class BoundaryScores(Metric):
    """Boundary IoU of every class at data-set level.

    The states are int64 counts of pixels of each class, which are summed over processes.

    Args:
        num_classes: Number of classes, at most 255.

    Raises:
        ValueError: If there are no classes, or more.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    both: Tensor
    true: Tensor
    predicted: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if not 1 <= num_classes <= _NOTHING:
            raise ValueError(f"num_classes={num_classes} must be in 1..{_NOTHING}")
        self.num_classes = num_classes
        for name in ("both", "true", "predicted"):
            zeros = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(
        self,
        prediction: UInt8[np.ndarray, "*prediction"],
        target: UInt8[np.ndarray, "*target"],
        prediction_band: Bool[np.ndarray, "*prediction"],
        target_band: Bool[np.ndarray, "*target"],
    ) -> None:
        """Count the pixels of one sample.

        Args:
            prediction: Predicted classes, uint8; 255 where nothing counts.
            target: True classes, uint8; 255 where nothing counts.
            prediction_band: Where the prediction is near another class.
            target_band: Where the truth is.

        Raises:
            ValueError: If shapes differ or a band holds what is no class.
        """
        if not prediction.shape == target.shape == prediction_band.shape == target_band.shape:
            raise ValueError(
                f"prediction {prediction.shape}, target {target.shape} and their bands "
                f"{prediction_band.shape}, {target_band.shape} must have one shape"
            )
        same = prediction_band & target_band & (prediction == target)
        for name, labels, band in (
            ("both", target, same),
            ("true", target, target_band),
            ("predicted", prediction, prediction_band),
        ):
            counts = np.bincount(labels[band], minlength=self.num_classes)
            if len(counts) > self.num_classes:
                raise ValueError(
                    f"a band holds class {len(counts) - 1}; expected 0..{self.num_classes - 1}"
                )
            state = getattr(self, name)
            state += torch.from_numpy(counts).to(state)

    def compute(self) -> Tensor:
        """Boundary IoU (classes,) float64; NaN for a class without any boundary."""
        union = (self.true + self.predicted - self.both).double()
        return self.both.double() / union  # 0 / 0 is NaN


def _check_dtype(labels: np.ndarray) -> None:
    if labels.dtype != np.uint8:
        raise ValueError(f"labels is {labels.dtype}; class ids as uint8 are needed")
