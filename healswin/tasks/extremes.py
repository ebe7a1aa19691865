"""The best and the worst samples of a run, remembered with their predictions to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Shaped
from lightning.pytorch.strategies import Strategy
from torch import Tensor


class Extremes:
    """Each process adds its samples, `gather` puts the scores of all together.

    A process keeps the predictions of its own best and worst samples only, which those of all
    processes are among.

    Args:
        indices: All samples that may come, the same in every process.
        count: How many of the best and how many of the worst are wanted.
        better: Whether the highest or the lowest score is the best.
        device: Of the task, on which processes exchange values.

    Attributes:
        scores: After `gather`: the score of every sample that has one.
        best: After `gather`: the best samples, the very best first.
        worst: After `gather`: the worst of the others, the very worst first.
    """

    def __init__(
        self,
        indices: Sequence[int],
        count: int,
        better: Literal["max", "min"],
        device: torch.device,
    ) -> None:
        self._indices = list(indices)
        self._place = {index: place for place, index in enumerate(self._indices)}
        self._count = count
        self._sign = 1.0 if better == "max" else -1.0
        self._score: Tensor = torch.zeros(len(self._indices), dtype=torch.float64, device=device)
        self._seen: Tensor = torch.zeros(len(self._indices), dtype=torch.int64, device=device)
        self._own: dict[int, float] = {}
        self._kept: dict[int, np.ndarray] = {}
        self.scores: dict[int, float] = {}
        self.best: list[int] = []
        self.worst: list[int] = []

    def add(self, index: int, score: float, prediction: Shaped[np.ndarray, " pixels"]) -> None:
        """Note a sample.

        Args:
            index: The sample.
            score: NaN where there is nothing to be scored, which is neither good nor bad.
            prediction: What was predicted.
        """
        if math.isnan(score):
            return
        self._score[self._place[index]] = score
        self._seen[self._place[index]] = 1
        if not self._count:
            return
        self._own[index] = score
        self._kept[index] = prediction
        best, worst = self._chosen(self._own)
        for other in set(self._own) - {*best, *worst}:
            del self._own[other], self._kept[other]

    def gather(self, strategy: Strategy) -> None:
        """Exchange the scores; called by all processes."""
        score = strategy.reduce(self._score, reduce_op="sum").tolist()
        seen = strategy.reduce(self._seen, reduce_op="sum").tolist()
        rows = zip(self._indices, score, seen, strict=True)
        self.scores = {index: value for index, value, times in rows if times}
        self.best, self.worst = self._chosen(self.scores)

    def kept(self) -> dict[int, Shaped[np.ndarray, " pixels"]]:
        """After `gather`: those of the best and the worst that this process has, (pixels,) each."""
        return {i: self._kept[i] for i in (*self.best, *self.worst) if i in self._kept}

    def _chosen(self, scores: dict[int, float]) -> tuple[list[int], list[int]]:
        # Of equal scores the sample that comes first is the better one.
        order = sorted(scores, key=lambda i: (-self._sign * scores[i], self._place[i]))
        best = order[: self._count]
        return best, order[len(best) :][::-1][: self._count]
