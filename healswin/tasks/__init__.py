"""Training tasks: LightningModules that join a network, a loss, metrics and an optimizer.

A task knows no data set. What it has to know of the data (the grid, the classes) are plain
arguments, which the command line links from the data module.
"""

from healswin.tasks.averaging import AveragedWeights
from healswin.tasks.base import Task
from healswin.tasks.classification import ClassificationTask
from healswin.tasks.depth import DepthTask
from healswin.tasks.finite_loss import FiniteLoss
from healswin.tasks.joint import JointTask
from healswin.tasks.losses import weighted_cross_entropy
from healswin.tasks.predictions import PredictionWriter
from healswin.tasks.random_state import RandomState
from healswin.tasks.report import TestReport
from healswin.tasks.schedules import WarmUp
from healswin.tasks.segmentation import SegmentationTask
from healswin.tasks.validation_pictures import ValidationPictures

__all__ = [
    "AveragedWeights",
    "ClassificationTask",
    "DepthTask",
    "FiniteLoss",
    "JointTask",
    "PredictionWriter",
    "RandomState",
    "SegmentationTask",
    "Task",
    "TestReport",
    "ValidationPictures",
    "WarmUp",
    "weighted_cross_entropy",
]
