"""What a test run and a prediction of `ClassificationTask` leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.predictions import PredictionFile
from healswin.metrics import label_accuracy
from healswin.tasks.classification import ClassificationTask
from healswin.tasks.evaluation import ball
from healswin.tasks.pages import ReportOptions, Results, markdown_table, plain_number, spread
from healswin.viz import write_png
from healswin.viz.gallery import gallery

# With more labels than this the page lists the commonest mistakes instead of the whole matrix.
_LARGEST_MATRIX = 20
_BALL = 220

# Two lines and the picture below them.
Cell = tuple[tuple[str, str], np.ndarray]


class _Rows:
    """One row a sample: each process fills in its samples, `gather` puts them together."""

    def __init__(self, indices: list[int], labels: int, device: torch.device) -> None:
        self._row_of = {index: row for row, index in enumerate(indices)}
        count = len(indices)
        self.seen = torch.zeros(count, dtype=torch.int64, device=device)
        self.prediction = torch.zeros(count, dtype=torch.int64, device=device)
        self.truth = torch.zeros(count, dtype=torch.int64, device=device)
        self.scores = torch.zeros(count, labels, dtype=torch.float32, device=device)

    def add(self, outputs: dict[str, Tensor], truth: Tensor | None = None) -> None:
        rows = [self._row_of[index] for index in outputs["sample"].tolist()]
        self.seen[rows] = 1
        self.prediction[rows] = outputs["prediction"]
        self.scores[rows] = outputs["scores"]
        if truth is not None:
            self.truth[rows] = truth

    def gather(self, strategy: Strategy) -> None:
        # A sample is one process's alone and zero in the others, so that the sum is its value.
        for name in ("seen", "prediction", "truth", "scores"):
            summed = strategy.reduce(getattr(self, name), reduce_op="sum")
            setattr(self, name, summed.cpu())


class ClassificationReport:
    """Accuracy of a test run and which labels were mistaken for which, beside the prior.

    The prior is the most frequent label of the training split, whatever the map shows.

    Args:
        data: What is tested.
        task: What predicts.
        folder: Where the pictures go.
        options: Of them ``pictures`` (how many right and how many wrong predictions are drawn,
            spread evenly over them) and ``prior``; the others are for tasks with a map.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: ClassificationTask,
        folder: Path,
        options: ReportOptions,
    ) -> None:
        self._data = data
        self._names = task.label_names
        self._folder = folder
        self._pictures = options.pictures
        self._indices = data.split_indices("test")
        self._rows = _Rows(self._indices, len(self._names), task.device)
        frequencies = data.prepared.label_frequencies
        self._prior = int(np.argmax(frequencies)) if options.prior and frequencies else None

    def add(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Note a batch."""
        self._rows.add(outputs, batch["label"])

    def results(self, logged: dict[str, float | None], strategy: Strategy) -> Results:
        """Scores by column; called by all processes.

        Args:
            logged: What the task logged, by name.
            strategy: That of the trainer.
        """
        self._rows.gather(strategy)
        results = {"model": logged}
        if self._prior is not None:
            # Predicted everywhere: the samples of each true label lie in this one column.
            matrix = np.zeros_like(self._confusion())
            matrix[:, self._prior] = self._confusion().sum(axis=1)
            prior = label_accuracy(torch.from_numpy(matrix), self._names)
            results["prior"] = {name: plain_number(value) for name, value in prior.items()}
        return results

    def facts(self) -> dict[str, Any]:
        """What test.json holds besides the scores."""
        return {"label_names": self._names, "confusion": self._confusion().tolist()}

    def table(self, results: Results) -> str:
        """The scores as a Markdown table."""
        rows = {"accuracy": "accuracy", **{name: f"accuracy/{name}" for name in self._names}}
        return markdown_table(rows, results)

    def text(self, results: Results) -> str:
        """What the page says below the table, with the pictures, which are drawn here."""
        prior = ""
        if self._prior is not None:
            prior = (
                f" *prior*: predicts {self._names[self._prior]}, the most frequent label of the "
                "training split, without looking at the map."
            )
        return (
            "Accuracy: share of the samples whose likeliest label is the true one; in the rows "
            f"below, of those with that true label.{prior}\n\n"
            f"{self._mistakes()}\n\n{self._drawn()}\n"
        )

    def _confusion(self) -> Int64[np.ndarray, "labels labels"]:
        seen = self._rows.seen.numpy() > 0
        matrix = np.zeros((len(self._names),) * 2, dtype=np.int64)
        np.add.at(matrix, (self._rows.truth.numpy()[seen], self._rows.prediction.numpy()[seen]), 1)
        return matrix

    def _mistakes(self) -> str:
        """The confusion matrix, or of a large one its largest numbers off the diagonal."""
        matrix, names = self._confusion(), self._names
        if len(names) <= _LARGEST_MATRIX:
            lines = [
                "Number of samples by true label (rows) and predicted label (columns):",
                "",
                "| | " + " | ".join(names) + " |",
                "|---|" + "---:|" * len(names),
            ]
            for name, row in zip(names, matrix.tolist(), strict=True):
                lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
            return "\n".join(lines)
        wrong = matrix * (1 - np.eye(len(names), dtype=np.int64))
        order = np.argsort(-wrong, axis=None, kind="stable")[:_LARGEST_MATRIX]
        pairs = [divmod(int(place), len(names)) for place in order]
        lines = [
            "The commonest mistakes:",
            "",
            "| truth | prediction | samples |",
            "|---|---|---:|",
        ]
        lines += [
            f"| {names[truth]} | {names[prediction]} | {wrong[truth, prediction]} |"
            for truth, prediction in pairs
            if wrong[truth, prediction]
        ]
        return "\n".join(lines)

    def _drawn(self) -> str:
        """Draw right and wrong predictions; the lines of the page that show the pictures."""
        rows = self._rows
        right = rows.prediction == rows.truth
        lines = []
        for name, chosen in (("right", right), ("wrong", ~right)):
            places = torch.nonzero(chosen & (rows.seen > 0)).flatten().tolist()
            cells = [self._cell(place) for place in sorted(spread(places, self._pictures))]
            if cells:
                title = f"{name.capitalize()}: {len(cells)} of {len(places)}"
                write_png(self._folder / f"{name}.png", gallery(cells, title, size=_BALL))
                lines.append(f"![{name}]({self._folder.name}/{name}.png)")
        return "\n\n".join(lines)

    def _cell(self, place: int) -> Cell:
        rows = self._rows
        said = {"prediction": rows.prediction[place], "scores": rows.scores[place]}
        truth = int(rows.truth[place])
        return cell(self._data.prepared, self._names, self._indices[place], said, truth)


def cell(
    prepared: PreparedSet, names: Sequence[str], index: int, said: dict[str, Tensor], truth: int
) -> Cell:
    """A sample as a ball below its true and its predicted label, for a gallery.

    Args:
        prepared: The set.
        names: Of the labels.
        index: The sample.
        said: What the task predicted of it: ``prediction`` () and ``scores`` (labels,).
        truth: Its true label.
    """
    prediction = int(said["prediction"])
    lines = (
        f"Truth: {names[truth]}",
        f"Predicted: {names[prediction]} ({float(said['scores'][prediction]):.2f})",
    )
    return lines, ball(prepared, index, _BALL)


class ClassificationPredictions:
    """Predicted labels in ``predictions/label`` and their scores in ``predictions/scores``.

    Args:
        data: What is predicted.
        task: What predicts.
        indices: The samples.
        root: Where the predictions go.
        folder: Where the picture goes.
        pictures: How many samples are drawn, spread evenly over them; -1 draws all.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        task: ClassificationTask,
        indices: list[int],
        root: Path,
        folder: Path,
        pictures: int,
    ) -> None:
        self._data = data
        self._names = task.label_names
        self._indices = indices
        self._folder = folder
        self._pictures = pictures
        self._rows = _Rows(indices, len(self._names), task.device)
        self.file = PredictionFile(root, data.prepared, indices, {}, {"label_names": self._names})

    def add(self, outputs: dict[str, Tensor]) -> None:
        """Note a batch."""
        self._rows.add(outputs)

    def finish(self, strategy: Strategy) -> None:
        """Store all samples and draw some; called by all processes.

        Raises:
            ValueError: If samples were not predicted.
        """
        rows = self._rows
        rows.gather(strategy)
        if not strategy.is_global_zero:
            return
        missing = int((rows.seen != 1).sum())
        if missing:
            raise ValueError(f"{missing} of {len(self._indices)} samples were not predicted")
        self.file.write_all("label", rows.prediction.numpy())
        self.file.write_all("scores", rows.scores.numpy())
        drawn = sorted(spread(list(range(len(self._indices))), self._pictures))
        if drawn:
            cells = [self._cell(place) for place in drawn]
            title = f"{len(cells)} of {len(self._indices)} samples"
            write_png(self._folder / "predictions.png", gallery(cells, title, size=_BALL))

    def _cell(self, place: int) -> tuple[tuple[str, str], np.ndarray]:
        index, rows = self._indices[place], self._rows
        prediction = int(rows.prediction[place])
        score = float(rows.scores[place, prediction])
        lines = (
            self._data.prepared.sample_names[index],
            f"{self._names[prediction]} ({score:.2f})",
        )
        return lines, ball(self._data.prepared, index, _BALL)
