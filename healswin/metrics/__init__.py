"""Figures of merit, reckoned over a whole data set; they know no model and no data set.

* `SegmentationScores` (`healswin.metrics.iou`): IoU per class and its means from one
  confusion matrix, with optional area weights.
* `BoundaryScores` (`healswin.metrics.boundary`): boundary IoU, with `image_band` in an image and
  `SphereBand` on a HEALPix sphere.
* `CalibrationError` (`healswin.metrics.calibration`): whether a network is right as often as it
  says.
* `GroupedConfusion` (`healswin.metrics.groups`): a confusion matrix for each camera, or each ring
  around the optical axis.
* `DepthScores` (`healswin.metrics.depth`): errors of depth with and without sky and over ranges of
  distance.
* `ChamferScore` (`healswin.metrics.chamfer`): distance between predicted and true point clouds.
* `DepthPrior` (`healswin.metrics.depth_prior`): each pixel's mean training depth.
* `label_accuracy` (`healswin.metrics.accuracy`): accuracy of all samples and of each label, from
  their confusion matrix.
* `PixelPrior` (`healswin.metrics.prior`): each pixel's most frequent training class,
  the prediction any model must beat.
* `ClassMixture`, `DepthMixture`, `Coverage`, `Sparsification` (`healswin.metrics.uncertainty`):
  what several predictions say together, and whether they know when they are wrong.
"""

from importlib import import_module

_HOMES = {
    "BoundaryScores": "healswin.metrics.boundary",
    "CalibrationError": "healswin.metrics.calibration",
    "ChamferScore": "healswin.metrics.chamfer",
    "ClassMixture": "healswin.metrics.uncertainty",
    "Coverage": "healswin.metrics.uncertainty",
    "DepthMixture": "healswin.metrics.uncertainty",
    "DepthPrior": "healswin.metrics.depth_prior",
    "DepthScores": "healswin.metrics.depth",
    "GroupedConfusion": "healswin.metrics.groups",
    "PixelPrior": "healswin.metrics.prior",
    "SegmentationScores": "healswin.metrics.iou",
    "Sparsification": "healswin.metrics.uncertainty",
    "SphereBand": "healswin.metrics.boundary",
    "class_iou": "healswin.metrics.iou",
    "entropy": "healswin.metrics.uncertainty",
    "image_band": "healswin.metrics.boundary",
    "label_accuracy": "healswin.metrics.accuracy",
}

__all__ = [
    "BoundaryScores",
    "CalibrationError",
    "ChamferScore",
    "ClassMixture",
    "Coverage",
    "DepthMixture",
    "DepthPrior",
    "DepthScores",
    "GroupedConfusion",
    "PixelPrior",
    "SegmentationScores",
    "Sparsification",
    "SphereBand",
    "class_iou",
    "entropy",
    "image_band",
    "label_accuracy",
]


def __getattr__(name: str) -> object:
    # torch and torchmetrics are loaded only by those who ask for a metric of them: the prior is
    # plain numpy and loads neither.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.metrics' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
