"""Callback that turns a test run into a table, a JSON file and a page with pictures."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from healswin.data import PreparedSet
from healswin.tasks.base import Task
from healswin.tasks.classification_results import ClassificationReport
from healswin.tasks.depth_results import DepthReport
from healswin.tasks.joint_results import JointReport
from healswin.tasks.pages import ReportOptions, check_pictures, plain_number, remove_pictures
from healswin.tasks.segmentation_results import SegmentationReport

# What is reported of each kind of task. Each is made from the data module, the task, the folder of
# pictures and the arguments of `TestReport` (`ReportOptions`). It is given every batch of its
# process (`add`) and asked by all processes for scores (`results`), then by the first one for what
# test.json and the page hold besides (`facts`, `table`, `text`).
_REPORTS = {
    "segmentation": SegmentationReport,
    "classification": ClassificationReport,
    "depth": DepthReport,
    "joint": JointReport,
}


class TestReport(Callback):
    """Scores of a test run beside those of a prior that sees no image.

    Writes ``test.json``, ``report.md`` and ``report/*.png`` into the run's folder; what they hold
    depends on the kind of task (`SegmentationReport`, `ClassificationReport`, `DepthReport`,
    `JointReport`). Tasks of another kind get no report.

    Args:
        pictures: How many samples are drawn (of labels: how many right and how many wrong ones),
            spread evenly over the split; -1 draws all.
        prior: Whether the prior is measured; that of pixels reads the labels of the training split
            once.
        companion: Folder of another prepared set, made from the same sources: for flat images a
            HEALPix set, on whose pixels the predictions are measured too, so that flat and
            spherical networks are compared on the same pixels.
        extremes: How many of the best and how many of the worst samples are drawn.
        boundary: Whether the scores at the boundaries of classes are measured.
        calibration: Whether it is measured how often a prediction is right that is said to be sure.
        chamfer: Whether the distance between predicted and true point clouds is measured, of depth.

    Raises:
        ValueError: If a number of samples is negative, or the companion is no prepared set.
    """

    __test__ = False  # for pytest, which takes the name for that of a test

    def __init__(
        self,
        pictures: int = 4,
        prior: bool = True,
        companion: str | None = None,
        extremes: int = 2,
        boundary: bool = True,
        calibration: bool = True,
        chamfer: bool = True,
    ) -> None:
        if extremes < 0:
            raise ValueError(f"extremes={extremes} must be a number of samples, or 0 for none")
        self.options = ReportOptions(
            pictures=check_pictures(pictures),
            prior=prior,
            companion=None if companion is None else PreparedSet.open(companion),
            extremes=extremes,
            boundary=boundary,
            calibration=calibration,
            chamfer=chamfer,
        )

    def on_test_start(self, trainer: Trainer, pl_module: Task) -> None:
        """Set everything to zero."""
        self._report = None
        if pl_module.kind not in _REPORTS:
            return
        folder = Path(trainer.default_root_dir) / "report"
        if trainer.is_global_zero:
            remove_pictures(folder)
        trainer.strategy.barrier("report")
        self._report = _REPORTS[pl_module.kind](trainer.datamodule, pl_module, folder, self.options)
        self._counted = torch.zeros((), dtype=torch.int64, device=pl_module.device)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: Task,
        outputs: dict[str, Tensor],
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        if self._report is not None:
            self._counted += len(outputs["sample"])
            self._report.add(outputs, batch)

    def on_test_end(self, trainer: Trainer, pl_module: Task) -> None:
        """Write and print the report."""
        if self._report is None:
            return
        prefix = "test/"
        logged = {
            name.removeprefix(prefix): plain_number(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(prefix)
        }
        results = self._report.results(logged, trainer.strategy)
        samples = int(trainer.strategy.reduce(self._counted, reduce_op="sum"))
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule
        summary = {
            "task": pl_module.kind,
            "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "data": str(data.prepared.root),
            **data.grid,
            "samples": samples,
            **self._report.facts(),
            "results": results,
        }
        table = self._report.table(results)
        page = (
            f"# Test report\n\n"
            f"{samples} of {len(data.split_indices('test'))} test samples of "
            f"`{data.prepared.root}`, on the grid {data.prepared.grid}; checkpoint "
            f"`{summary['checkpoint']}`.\n\n{table}\n\n{self._report.text(results)}"
        )
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.json").write_text(json.dumps(summary, indent=2) + "\n")
        (folder / "report.md").write_text(page, encoding="utf-8")
        rank_zero_info(table)
        rank_zero_info(f"report: {folder / 'report.md'}")
