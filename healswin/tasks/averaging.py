"""Callback that averages the weights of a training."""

from __future__ import annotations

from functools import partial
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights(WeightAveraging):
    """An exponential moving average of the weights: what is validated, kept and used.

    After step n of the optimizer: average <- d average + (1 - d) weights with
    d = min(decay, n / (9 + n)), so that the first steps, which are soon outdated, do not weigh on a
    short training (weight averaging: Tarvainen and Valpola 2017, arXiv 1703.01780, section 2).
    Checkpoints hold the average as their weights, so that test, predict and the model zoo take it,
    and besides it the weights that a resumed training goes on from.

    Only parameters are averaged. Buffers (statistics of batch norms, tables) are the latest: the
    average of a table of indices would be rounded to other indices.

    Args:
        decay: In [0, 1): about the last 1 / (1 - decay) steps count.

    Raises:
        ValueError: If decay is out of range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must be at least 0 and below 1")
        super().__init__(use_buffers=False, multi_avg_fn=partial(_move, decay))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the weights.

        Raises:
            ValueError: If a checkpoint is to hold weights only, which are not the average then.
        """
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, ModelCheckpoint) and checkpoint.save_weights_only:
                raise ValueError(
                    "checkpoint.save_weights_only=true does not go with AveragedWeights: such a "
                    "file would not hold the averaged weights, which are those that were measured"
                )
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from the checkpoint; only training has to know more than its weights."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def _move(decay: float, averages: list[Tensor], weights: list[Tensor], step: Tensor | int) -> None:
    """Move averages, in place, towards the weights of a step; the first step is number 1."""
    number = int(step)
    get_ema_multi_avg_fn(min(decay, number / (9 + number)))(averages, weights, step)
