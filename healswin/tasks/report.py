"""Callback that turns a test run into a table, a JSON file and a page with pictures."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from healswin.tasks.base import Task
from healswin.tasks.classification_results import ClassificationReport
from healswin.tasks.pages import check_pictures, plain_number, remove_pictures
from healswin.tasks.segmentation_results import SegmentationReport

# What is reported of each kind of task. Each is made from the data module, the task, the folder of
# pictures and the two arguments of `TestReport`. It is given every batch of its process (`add`) and
# asked by all processes for scores (`results`), then by the first one for what test.json and the
# page hold besides (`facts`, `table`, `text`).
_REPORTS = {
    "segmentation": SegmentationReport,
    "classification": ClassificationReport,
}


class TestReport(Callback):
    """Scores of a test run beside those of a prior that sees no image.

    Writes ``test.json``, ``report.md`` and ``report/*.png`` into the run's folder; what they hold
    depends on the kind of task (`SegmentationReport`, `ClassificationReport`). Tasks of another
    kind get no report.

    Args:
        pictures: How many samples are drawn (of labels: how many right and how many wrong ones),
            spread evenly over the split; -1 draws all.
        prior: Whether the prior is measured; that of pixels reads the labels of the training split
            once.
    """

    __test__ = False  # for pytest, which takes the name for that of a test

    def __init__(self, pictures: int = 4, prior: bool = True) -> None:
        self.pictures = check_pictures(pictures)
        self.prior = prior

    def on_test_start(self, trainer: Trainer, pl_module: Task) -> None:
        """Set everything to zero."""
        self._report = None
        if pl_module.kind not in _REPORTS:
            return
        folder = Path(trainer.default_root_dir) / "report"
        if trainer.is_global_zero:
            remove_pictures(folder)
        trainer.strategy.barrier("report")
        self._report = _REPORTS[pl_module.kind](
            trainer.datamodule, pl_module, folder, self.pictures, self.prior
        )
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
