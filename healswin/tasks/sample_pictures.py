"""Pictures of the samples of a test run: some spread evenly, the best and the worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from lightning.pytorch.strategies import Strategy

from healswin.data import PreparedDataModule
from healswin.tasks.extremes import Extremes
from healswin.tasks.pages import ReportOptions, spread
from healswin.viz import write_png

# Draws a sample and its prediction, (pixels,), as a picture (height, width, 3).
Draw = Callable[[int, Shaped[np.ndarray, " pixels"]], UInt8[np.ndarray, "height width 3"]]


class SamplePictures:
    """Draws samples of the test split while they are predicted and shows them on a page.

    The evenly spread samples are drawn at once, the best and the worst when all are known.

    Args:
        data: What is tested.
        folder: Where the pictures go.
        options: How many samples are drawn.
        best: Whether the highest ("max") or the lowest ("min") score is the best.
        device: Of the task, on which processes exchange values.
        draw: Makes the picture of a sample.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        folder: Path,
        options: ReportOptions,
        best: Literal["max", "min"],
        device: torch.device,
        draw: Draw,
    ) -> None:
        self._names = data.prepared.sample_names
        self._folder = folder
        self._indices = data.split_indices("test")
        self._spread = spread(self._indices, options.pictures)
        self._extremes = Extremes(self._indices, options.extremes, best, device)
        self._draw = draw

    def add(self, index: int, score: float, prediction: Shaped[np.ndarray, " pixels"]) -> None:
        """Note a sample, and draw it if it is one of those that are spread evenly.

        Args:
            index: The sample.
            score: NaN where there is nothing to be scored.
            prediction: What was predicted.
        """
        self._extremes.add(index, score, prediction)
        if index in self._spread:
            self._write(index, prediction)

    def finish(self, strategy: Strategy) -> None:
        """Draw the best and the worst; called by all processes, each of which draws its own."""
        self._extremes.gather(strategy)
        for index, prediction in self._extremes.kept().items():
            if index not in self._spread:
                self._write(index, prediction)
        strategy.barrier("pictures")

    def facts(self, score: str) -> dict[str, Any]:
        """What test.json says of the samples, after `finish`.

        Args:
            score: Name of the score by which they are ordered.
        """
        extremes = self._extremes
        return {
            "sample_score": score,
            "sample_scores": {self._names[i]: value for i, value in extremes.scores.items()},
            "best_samples": [self._names[i] for i in extremes.best],
            "worst_samples": [self._names[i] for i in extremes.worst],
        }

    def sections(self, score: str, unscored: str, first: Sequence[str] = ()) -> list[str]:
        """The sections of a page that show the pictures, after `finish`.

        Args:
            score: A sample's score in words, a format of its value such as "RMSE {:.4f} m".
            unscored: What is said of a sample without a score.
            first: Paragraphs before the first picture.
        """
        # A limited run does not reach all samples.
        drawn = [i for i in self._indices if i in self._spread and self._path(i).is_file()]
        sections = []
        for title, chosen in (
            ("Best samples", self._extremes.best),
            ("Worst samples", self._extremes.worst),
            ("Samples, evenly spread", drawn),
        ):
            if chosen:
                pictures = [self._shown(index, score, unscored) for index in chosen]
                sections.append("\n\n".join([f"## {title}", *first, *pictures]))
                first = ()
        return sections

    def _shown(self, index: int, score: str, unscored: str) -> str:
        """The lines of the page that show a sample."""
        name, value = self._names[index], self._extremes.scores.get(index)
        said = unscored if value is None else score.format(value)
        return f"{name}: {said}\n\n![{name}]({self._folder.name}/{name}.png)"

    def _write(self, index: int, prediction: Shaped[np.ndarray, " pixels"]) -> None:
        write_png(self._path(index), self._draw(index, prediction))

    def _path(self, index: int) -> Path:
        return self._folder / f"{self._names[index]}.png"
