"""Intersection over union at data-set level.

All samples of a data set go into one confusion matrix M, M[t, p] = weight of the pixels of true
class t predicted as p. Then, for class c,

    IoU_c = M[c, c] / (sum_p M[c, p] + sum_t M[t, c] - M[c, c]),

the mean is taken over the classes whose union (the denominator) is not empty, and the accuracy is
trace(M) / sum(M). This is the mIoU of the segmentation literature (Everingham et al. 2010,
IJCV 88, 303); a mean of per-image IoUs is another number.

HEALPix pixels all have the same area and need no weights. On any other grid of the sphere a pixel
must count by the solid angle that it covers, or the poles of an equiangular grid count many times:
that is what the weights are for. Figures published for such grids count every pixel once (Gerken et
al. 2022, ICML, arXiv 2202.03990, on spherical MNIST); with weights both are reckoned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torchmetrics import Metric


def class_iou(confusion: Num[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """IoU of every class from a confusion matrix (truth in rows, prediction in columns).

    Returns:
        float64 (classes,); NaN for a class that is neither in the truth nor in the prediction.
    """
    confusion = confusion.to(torch.float64)
    intersection = confusion.diagonal()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - intersection
    return torch.where(union > 0, intersection / union, torch.nan)


class SegmentationScores(Metric):
    """IoU per class, its mean with and without void and background, and the accuracy.

    The only state is the confusion matrix, which is summed over processes. Without weights it
    holds int64 counts and is exact; with weights it holds float64 sums, and the counts are kept
    beside it.

    Args:
        num_classes: Number of classes; ids are 0..num_classes-1.
        class_names: Names for the keys of the result, one per class. Default: the ids.
        ignore_index: Pixels of this true class do not count, whatever is predicted there.
        void_index: The class that ``miou_without_void`` leaves out of its mean. Pixels of that
            class still count: predicting a car where the truth is void enlarges the union of
            the car. None: there is no such class and no such key.
        weighted: Whether ``update`` takes weights.
        background_index: The class that ``miou_without_background`` leaves out, in the same way;
            ``accuracy_without_background`` is that of the pixels that truly are another class.
            None: there is no such class and no such keys.

    Raises:
        ValueError: If the arguments contradict each other.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    confusion: Tensor
    counts: Tensor

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        ignore_index: int = 255,
        void_index: int | None = None,
        weighted: bool = False,
        background_index: int | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes={num_classes} must be positive")
        names = [str(c) for c in range(num_classes)] if class_names is None else list(class_names)
        if len(names) != num_classes or len(set(names)) != num_classes:
            raise ValueError(f"class_names={names} must be num_classes={num_classes} unlike names")
        if 0 <= ignore_index < num_classes:
            raise ValueError(f"ignore_index={ignore_index} is one of the {num_classes} classes")
        for name, index in (("void_index", void_index), ("background_index", background_index)):
            if index is not None and not 0 <= index < num_classes:
                raise ValueError(f"{name}={index} must be None or in 0..{num_classes - 1}")
        self.num_classes = num_classes
        self.class_names = names
        self.ignore_index = ignore_index
        self.void_index = void_index
        self.background_index = background_index
        self.weighted = weighted
        shape = (num_classes, num_classes)
        dtype = torch.float64 if weighted else torch.int64
        self.add_state("confusion", torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")
        if weighted:
            self.add_state("counts", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        prediction: Num[Tensor, "*prediction"],
        target: Num[Tensor, "*target"],
        weight: Num[Tensor, "*weight"] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            prediction: Predicted class ids, any integer type, any shape.
            target: True class ids of the same shape; ``ignore_index`` where there is no truth.
            weight: Area of the pixels, of a shape that broadcasts to that of ``target``, such as
                (height, 1). Required if and only if the metric is ``weighted``.

        Raises:
            ValueError: If shapes differ, an id is no class, or a weight is negative or not finite.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; "
                "both must be class ids of one shape"
            )
        if prediction.is_floating_point() or target.is_floating_point():
            raise ValueError(
                f"prediction is {prediction.dtype}, target {target.dtype}; expected integer class "
                "ids (of logits take the argmax over the classes first)"
            )
        if (weight is not None) != self.weighted:
            raise ValueError(f"weight={weight} does not fit weighted={self.weighted}")
        counted = target != self.ignore_index
        truth = target[counted].to(torch.int64)
        guess = prediction[counted].to(torch.int64)
        self._check_ids("target", truth)
        self._check_ids("prediction", guess)
        cells = truth * self.num_classes + guess
        shape = (self.num_classes, self.num_classes)
        counts = torch.bincount(cells, minlength=self.num_classes**2).view(shape)
        if weight is None:
            self.confusion += counts
            return
        weights = broadcast_areas("weight", weight, target.shape)[counted]
        sums = torch.bincount(cells, weights=weights, minlength=self.num_classes**2)
        self.confusion += sums.view(shape)
        self.counts += counts

    def compute(self) -> dict[str, Tensor]:
        """The scores of everything counted so far.

        Returns:
            float64 scalars by name: ``miou``, ``miou_without_void`` (only with a void_index),
            ``miou_without_background`` and ``accuracy_without_background`` (only with a
            background_index), ``accuracy`` and ``iou/<class name>`` for every class. With weights
            follow the same under ``unweighted/<name>``, every pixel counted once. A class that
            occurs neither in the truth nor in the prediction has IoU NaN and is in no mean. If
            nothing was counted all are NaN.
        """
        scores = self.scores_of(self.confusion)
        if self.weighted:
            plain = self.scores_of(self.counts)
            scores |= {f"unweighted/{name}": value for name, value in plain.items()}
        return scores

    def scores_of(self, confusion: Num[Tensor, "classes classes"]) -> dict[str, Tensor]:
        """What `compute` says, every pixel counted once, of a confusion matrix from elsewhere.

        Args:
            confusion: Truth in rows, prediction in columns.
        """
        confusion = confusion.to(torch.float64)
        iou = class_iou(confusion)
        right = confusion.diagonal()
        classes = torch.arange(self.num_classes, device=iou.device)
        scores = {"miou": iou.nanmean()}
        if self.void_index is not None:
            scores["miou_without_void"] = iou[classes != self.void_index].nanmean()
        scores["accuracy"] = right.sum() / confusion.sum()
        if self.background_index is not None:
            others = classes != self.background_index
            scores["miou_without_background"] = iou[others].nanmean()
            scores["accuracy_without_background"] = right[others].sum() / confusion[others].sum()
        for name, value in zip(self.class_names, iou, strict=True):
            scores[f"iou/{name}"] = value
        return scores

    def _check_ids(self, name: str, ids: Tensor) -> None:
        wrong = ids[(ids < 0) | (ids >= self.num_classes)]
        if wrong.numel():
            raise ValueError(
                f"{name} holds class {int(wrong[0])}; expected 0..{self.num_classes - 1}"
                + (f" or ignore_index={self.ignore_index}" if name == "target" else "")
            )


def broadcast_areas(
    name: str, areas: Num[Tensor, "*areas"], shape: Sequence[int]
) -> Float[Tensor, "*target"]:
    """Areas as float64 in the shape of what they weigh.

    Args:
        name: What messages call them.
        areas: Not negative.
        shape: That of the target.

    Raises:
        ValueError: If an area is negative or not finite, or the shapes do not fit.
    """
    areas = areas.to(torch.float64)
    if not bool((torch.isfinite(areas) & (areas >= 0)).all()):
        raise ValueError(f"{name} holds negative or non-finite areas; expected areas >= 0")
    try:
        return areas.broadcast_to(tuple(shape))
    except RuntimeError as error:
        raise ValueError(
            f"{name} has shape {tuple(areas.shape)}, which does not broadcast to the target's "
            f"{tuple(shape)}"
        ) from error
