"""What a test run and a prediction of `SegmentationTask` leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from healswin.data import PreparedDataModule
from healswin.data.predictions import PredictionFile
from healswin.data.sources import source_file
from healswin.grid import EquiangularGrid
from healswin.metrics import PixelPrior
from healswin.tasks.evaluation import ImageView
from healswin.tasks.pages import Results, markdown_table, plain_number, spread
from healswin.tasks.segmentation import BACKGROUND, VOID, SegmentationTask, with_headline
from healswin.viz import write_png

# Columns of the table: where the labels are compared, and who predicted.
COLUMNS = {
    "sphere": "sphere",
    "sphere_prior": "sphere, prior",
    "image": "image",
    "image_prior": "image, prior",
}

# Rows of the table that are means, and what they are called in words.
_HEADLINES = {
    "miou_without_void": "mIoU without void",
    "miou_without_background": "mIoU without background",
}


class SegmentationReport:
    """Scores of a test run on the sphere and in the image, beside those of the pixel prior.

    The prior predicts at each pixel that pixel's own most frequent training class: it knows that
    the sky is up and sees no image. In the image, predictions are projected back through each
    sample's camera and compared with the full-resolution truth on the image pixels inside the
    domain; where there is no camera or the source files are absent these columns are left out.

    Args:
        data: What is tested.
        task: What predicts.
        folder: Where the pictures go.
        pictures: How many samples are drawn, spread evenly over the split; -1 draws all.
        prior: Whether the prior is measured; it reads the labels of the training split once.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: SegmentationTask,
        folder: Path,
        pictures: int,
        prior: bool,
    ) -> None:
        self._data = data
        self._task = task
        self._folder = folder
        self._view = ImageView(data)
        self._indices = data.split_indices("test")
        self._drawn = spread(self._indices, pictures)
        # Decided by the set and its files, not by the samples of one process: all must agree.
        prepared = data.prepared
        self._images = "measured"
        if any(prepared.sample_camera[i] not in prepared.cameras for i in self._indices):
            self._images = "samples without a camera"
        elif not all(source_file(prepared, i, "semantic", data.source) for i in self._indices):
            self._images = "source images absent"
        columns = ["image"] if self._images == "measured" else []
        self._prior = None
        if prior:
            columns += ["sphere_prior", *(f"{name}_prior" for name in columns)]
            self._prior = PixelPrior.from_labels(
                (prepared.semantic(i) for i in data.split_indices("train")),
                data.num_classes,
                data.ignore_index,
                prepared.grid.areas() if isinstance(prepared.grid, EquiangularGrid) else None,
            ).prediction
            self._prior_on_device = torch.from_numpy(self._prior).to(task.device).long()
        self._scores = {
            name: task.new_scores(name.startswith("sphere")).to(task.device) for name in columns
        }

    def add(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Project a batch back into its images, count it there and draw of it what is chosen."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        for row, index in enumerate(outputs["sample"].tolist()):
            if self._prior is not None:
                scores = self._scores["sphere_prior"]
                self._task.count(scores, self._prior_on_device, batch["semantic"][row])
            if self._images == "measured":
                truth = self._data.image_truth(index)
                self._count_image(index, "image", labels[row], truth)
                if self._prior is not None:
                    self._count_image(index, "image_prior", self._prior, truth)
            if index in self._drawn:
                name = self._data.prepared.sample_names[index]
                write_png(self._folder / f"{name}.png", self._view.panel(index, labels[row]))

    def results(self, logged: dict[str, float | None], strategy: Strategy) -> Results:
        """Scores by column; called by all processes.

        Args:
            logged: What the task logged, by name.
            strategy: That of the trainer.
        """
        results = {"sphere": logged}
        for name, scores in self._scores.items():
            computed = with_headline(scores.compute())
            results[name] = {k: plain_number(v) for k, v in computed.items()}
        return results

    def facts(self) -> dict[str, Any]:
        """What test.json holds besides the scores."""
        return {"images": self._images}

    def table(self, results: Results) -> str:
        """The scores as a Markdown table: means first, then the IoU of every class."""
        names = self._data.class_names
        rows = {
            **({_HEADLINES["miou_without_void"]: "miou_without_void"} if VOID in names else {}),
            **(
                {
                    _HEADLINES["miou_without_background"]: "miou_without_background",
                    "accuracy without background": "accuracy_without_background",
                }
                if BACKGROUND in names
                else {}
            ),
            "mIoU": "miou",
            "accuracy": "accuracy",
            **{name: f"iou/{name}" for name in names},
        }
        columns: dict[str, dict[str, float | None]] = {}
        for name, title in COLUMNS.items():
            if name not in results:
                continue
            columns[title] = results[name]
            prefix = "unweighted/"
            plain = {k.removeprefix(prefix): v for k, v in results[name].items() if prefix in k}
            if plain:
                columns[f"{title}, unweighted"] = plain
        return markdown_table(rows, columns)

    def text(self, results: Results) -> str:
        """What the page says below the table, with the pictures."""
        gain = ""
        if "sphere_prior" in results:
            key = self._task.headline(self._data.class_names)
            model, prior = (results[column][key] for column in ("sphere", "sphere_prior"))
            if model is not None and prior is not None:
                side = "above" if model >= prior else "below"
                gain = (
                    f"On the sphere the model's {_HEADLINES[key]} is {abs(model - prior):.4f} "
                    f"{side} the prior's. "
                )
        image = {
            "measured": "*image*: projected back through the camera, on the pixels of the "
            "full-resolution image inside the domain.",
            "source images absent": "The source images are absent, so nothing was measured in the "
            "image.",
            "samples without a camera": "The samples have no camera, so there is no image in which "
            "anything could be measured.",
        }[self._images]
        areas = ""
        if isinstance(self._data.prepared.grid, EquiangularGrid):
            areas = (
                " Pixels count by their area; *unweighted*: every pixel counts once, as in "
                "published figures for this grid."
            )
        # A limited run does not reach all samples.
        names = [self._data.prepared.sample_names[i] for i in self._indices if i in self._drawn]
        drawn = [name for name in names if (self._folder / f"{name}.png").is_file()]
        pictures = "\n\n".join(f"![{name}]({self._folder.name}/{name}.png)" for name in drawn)
        return (
            "IoU over all of them together; means over the classes that occur. *sphere*: on the "
            f"grid's pixels.{areas} {image} *prior*: predicts at each pixel its most frequent "
            f"training class, without looking at the image. {gain}\n\n{pictures}\n"
        )

    def _count_image(self, index: int, column: str, labels: Any, truth: Any) -> None:
        """Count the image pixels inside the domain; outside, nothing was predicted."""
        prediction = self._view.labels(index, labels)
        inside = prediction != self._data.ignore_index
        scores = self._scores[column]
        scores.update(
            torch.from_numpy(prediction[inside]).to(scores.device),
            torch.from_numpy(truth[inside]).to(scores.device),
        )


class SegmentationPredictions:
    """Predicted classes in ``predictions/semantic``, and panels of some samples.

    Args:
        data: What is predicted.
        task: What predicts.
        indices: The samples.
        root: Where the predictions go.
        folder: Where the pictures go.
        pictures: How many samples are drawn, spread evenly over them; -1 draws all.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: SegmentationTask,
        indices: list[int],
        root: Path,
        folder: Path,
        pictures: int,
    ) -> None:
        self._data = data
        self._folder = folder
        self._drawn = spread(indices, pictures)
        self._view = ImageView(data)
        names = {"class_names": data.class_names, "class_colours": data.class_colours}
        self.file = PredictionFile(root, data.prepared, indices, {"semantic": "uint8"}, names)

    def add(self, outputs: dict[str, Tensor]) -> None:
        """Store a batch and draw those of its samples that are to be drawn."""
        labels = outputs["prediction"].to(torch.uint8).cpu().numpy()
        for index, prediction in zip(outputs["sample"].tolist(), labels, strict=True):
            self.file.write("semantic", index, prediction)
            if index in self._drawn:
                name = self._data.prepared.sample_names[index]
                write_png(self._folder / f"{name}.png", self._view.panel(index, prediction))

    def finish(self, strategy: Strategy) -> None:
        """All samples are stored already."""
