"""Training tasks: LightningModules that join a network, a loss, metrics and an optimizer.

A task knows no data set. What it has to know of the data (the grid, the classes) are plain
arguments, which the command line links from the data module.
"""

from healswin.tasks.base import Task
from healswin.tasks.classification import ClassificationTask
from healswin.tasks.losses import weighted_cross_entropy
from healswin.tasks.predictions import PredictionWriter
from healswin.tasks.report import TestReport
from healswin.tasks.segmentation import SegmentationTask

__all__ = [
    "ClassificationTask",
    "PredictionWriter",
    "SegmentationTask",
    "Task",
    "TestReport",
    "weighted_cross_entropy",
]
