"""Figures of merit, reckoned over a whole data set; they know no model and no data set.

* `SegmentationScores` (`healswin.metrics.iou`): IoU per class and its means from one
  confusion matrix, with optional area weights.
* `label_accuracy` (`healswin.metrics.accuracy`): accuracy of all samples and of each label, from
  their confusion matrix.
* `PixelPrior` (`healswin.metrics.prior`): each pixel's most frequent training class,
  the prediction any model must beat.
"""

from importlib import import_module

_HOMES = {
    "PixelPrior": "healswin.metrics.prior",
    "SegmentationScores": "healswin.metrics.iou",
    "class_iou": "healswin.metrics.iou",
    "label_accuracy": "healswin.metrics.accuracy",
}

__all__ = ["PixelPrior", "SegmentationScores", "class_iou", "label_accuracy"]


def __getattr__(name: str) -> object:
    # torch and torchmetrics are loaded only by those who ask for a metric of them: the prior is
    # plain numpy and loads neither.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.metrics' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
