"""Callback that turns a test run into a table, a JSON file and a page with pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info

from healswin.data.sources import source_file
from healswin.metrics import PixelPrior
from healswin.tasks.evaluation import ImageView
from healswin.tasks.predictions import remove_pictures, spread
from healswin.tasks.segmentation import SegmentationTask, with_headline
from healswin.viz import write_png

# Columns of the table: where the labels are compared, and who predicted.
COLUMNS = {
    "sphere": "sphere",
    "sphere_prior": "sphere, prior",
    "image": "image",
    "image_prior": "image, prior",
}

# The score in which model and prior are compared.
_HEADLINE = "miou_without_void"


class SegmentationReport(Callback):
    """Scores of a test run on the sphere and in the image, beside those of the pixel prior.

    The prior predicts at each pixel that pixel's own most frequent training class: it knows that
    the sky is up and sees no image. In the image, predictions are projected back through each
    sample's camera and compared with the full-resolution truth on the image pixels inside the
    domain; where the source files are absent these columns are left out.

    Writes ``test.json``, ``report.md`` and ``report/*.png`` into the run's folder.

    Args:
        pictures: How many samples are drawn, spread evenly over the split; -1 draws all.
        prior: Whether the prior is measured; it reads the labels of the training split once.
    """

    def __init__(self, pictures: int = 4, prior: bool = True) -> None:
        if pictures < -1:
            raise ValueError(f"pictures={pictures} must be a number of samples, or -1 for all")
        self.pictures = pictures
        self.prior = prior

    def on_test_start(self, trainer: Trainer, pl_module: SegmentationTask) -> None:
        """Count the training classes and set the scores to zero."""
        data = trainer.datamodule
        self._folder = Path(trainer.default_root_dir)
        self._view = ImageView(data)
        self._indices = data.split_indices("test")
        self._drawn = spread(self._indices, self.pictures)
        # Decided by the files, not by the samples of one process: all processes must agree.
        self._in_image = all(
            source_file(data.prepared, i, "semantic", data.source) for i in self._indices
        )
        self._prior = None
        columns = ["image"] if self._in_image else []
        if self.prior:
            columns += ["sphere_prior", *(f"{name}_prior" for name in columns)]
            self._prior = PixelPrior.from_labels(
                (data.prepared.semantic(i) for i in data.split_indices("train")),
                data.num_classes,
                data.ignore_index,
            ).prediction
            self._prior_on_device = torch.from_numpy(self._prior).to(pl_module.device).long()
        self._counted = torch.zeros((), dtype=torch.int64, device=pl_module.device)
        if trainer.is_global_zero:
            remove_pictures(self._folder / "report")
        trainer.strategy.barrier("report")
        self._scores = {
            name: pl_module.new_scores(name.startswith("sphere")).to(pl_module.device)
            for name in columns
        }

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: SegmentationTask,
        outputs: dict[str, torch.Tensor],
        batch: dict[str, torch.Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Project a batch back into its images and count it there."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        self._counted += len(labels)
        for row, index in enumerate(outputs["sample"].tolist()):
            if self._prior is not None:
                scores = self._scores["sphere_prior"]
                pl_module.count(scores, self._prior_on_device, batch["semantic"][row])
            if self._in_image:
                truth = trainer.datamodule.image_truth(index)
                self._count_image(index, "image", labels[row], truth)
                if self._prior is not None:
                    self._count_image(index, "image_prior", self._prior, truth)
            if index in self._drawn:
                name = trainer.datamodule.prepared.sample_names[index]
                write_png(
                    self._folder / "report" / f"{name}.png", self._view.panel(index, labels[row])
                )

    def on_test_end(self, trainer: Trainer, pl_module: SegmentationTask) -> None:
        """Write and print the report."""
        prefix = "test/"
        results: dict[str, dict[str, float | None]] = {
            "sphere": {
                name.removeprefix(prefix): _number(value)
                for name, value in trainer.callback_metrics.items()
                if name.startswith(prefix)
            }
        }
        for name, scores in self._scores.items():
            computed = with_headline(scores.compute())
            results[name] = {k: _number(v) for k, v in computed.items()}
        samples = int(trainer.strategy.reduce(self._counted, reduce_op="sum"))
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule
        summary = {
            "task": "segmentation",
            "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "data": str(data.prepared.root),
            **data.grid,
            "samples": samples,
            "images": "measured" if self._in_image else "source images absent",
            "results": results,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "test.json").write_text(json.dumps(summary, indent=2) + "\n")
        table = score_table(results, data.class_names)
        drawn = [data.prepared.sample_names[i] for i in self._indices if i in self._drawn]
        page = self._page(summary, table, drawn)
        (self._folder / "report.md").write_text(page, encoding="utf-8")
        rank_zero_info(table)
        rank_zero_info(f"report: {self._folder / 'report.md'}")

    def _count_image(self, index: int, column: str, labels: Any, truth: Any) -> None:
        """Count the image pixels inside the domain; outside, nothing was predicted."""
        prediction = self._view.labels(index, labels)
        inside = prediction != self._view.data.ignore_index
        scores = self._scores[column]
        scores.update(
            torch.from_numpy(prediction[inside]).to(scores.device),
            torch.from_numpy(truth[inside]).to(scores.device),
        )

    def _page(self, summary: dict[str, Any], table: str, names: list[str]) -> str:
        # A limited run does not reach all samples.
        drawn = [name for name in names if (self._folder / "report" / f"{name}.png").is_file()]
        pictures = "\n\n".join(f"![{name}](report/{name}.png)" for name in drawn)
        results = summary["results"]
        gain = ""
        if "sphere_prior" in results:
            model, prior = (results[column][_HEADLINE] for column in ("sphere", "sphere_prior"))
            side = "above" if model >= prior else "below"
            gain = (
                f"On the sphere the model's mIoU without void is {abs(model - prior):.4f} {side} "
                "the prior's. "
            )
        image = (
            "*image*: projected back through the camera, on the pixels of the full-resolution "
            "image inside the domain."
            if self._in_image
            else "The source images are absent, so nothing was measured in the image."
        )
        return (
            f"# Test report\n\n"
            f"{summary['samples']} of {len(self._indices)} test samples of `{summary['data']}`, "
            f"on the grid {self._view.data.prepared.grid}; checkpoint "
            f"`{summary['checkpoint']}`.\n\n{table}\n\n"
            "IoU over all of them together; means over the classes that occur. *sphere*: on the "
            f"grid's pixels. {image} *prior*: predicts at each pixel its most frequent training "
            f"class, without looking at the image. {gain}\n\n{pictures}\n"
        )


def score_table(results: dict[str, dict[str, float | None]], class_names: list[str]) -> str:
    """The scores as a Markdown table: means first, then the IoU of every class."""
    rows = {
        "mIoU without void": "miou_without_void",
        "mIoU": "miou",
        "accuracy": "accuracy",
        **{name: f"iou/{name}" for name in class_names},
    }
    columns = [name for name in COLUMNS if name in results]
    width = max(len(title) for title in rows)
    heads = [COLUMNS[name] for name in columns]
    lines = [
        f"| {'':{width}} | " + " | ".join(heads) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * (len(head) + 1) + ":" for head in heads) + "|",
    ]
    for title, key in rows.items():
        values = (results[name].get(key) for name in columns)
        cells = ("-" if value is None else f"{value:.4f}" for value in values)
        cells = (f"{cell:>{len(head)}}" for cell, head in zip(cells, heads, strict=True))
        lines.append(f"| {title:{width}} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: torch.Tensor) -> float | None:
    """A plain number; None for classes that do not occur, which JSON has no NaN for."""
    number = float(value)
    return None if math.isnan(number) else number
