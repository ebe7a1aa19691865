"""Callback that ends a training whose loss is not a number any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

FILE = "nonfinite_batch.json"


class FiniteLoss(Callback):
    """Stops the training at the first loss that is NaN or infinite, before a step is made with it.

    ``nonfinite_batch.json`` in the run's folder then names epoch, step and samples. A step that
    leaves weights that are not finite, or whose validation has no finite loss, stops the training
    too, before they are saved: checkpoints that are there stay as they are, and are good. Outside
    a training nothing is looked at.

    Raises:
        ValueError: At that loss, with where it happened and where to go on from.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove what an earlier training left."""
        if trainer.is_global_zero:
            (Path(trainer.default_root_dir) / FILE).unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Note which samples the loss will belong to."""
        self._samples = batch["sample"]
        self._batch = batch_idx

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Float[Tensor, ""]
    ) -> None:
        """Look at the loss; all processes stop if it is not finite in one of them.

        Raises:
            ValueError: If it is not finite.
        """
        finite = bool(torch.isfinite(loss))
        if trainer.strategy.reduce_boolean_decision(finite, all=True):
            return
        names = trainer.datamodule.prepared.sample_names
        batch = {
            "loss": str(loss.item()),
            "samples": [names[index] for index in self._samples.tolist()],
        }
        batches = [batch]
        if trainer.world_size > 1:
            batches = [None] * trainer.world_size
            torch.distributed.all_gather_object(batches, batch)
        raise ValueError(self._report(trainer, batches))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights, before those of the best epoch are saved.

        Raises:
            ValueError: If one of them is not finite.
        """
        self._check_weights(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the validation's loss: weights may be finite and yet too large to use.

        Raises:
            ValueError: If it is not finite.
        """
        loss = trainer.callback_metrics.get("val/loss")
        if loss is not None and not bool(torch.isfinite(loss)):
            _stop(trainer, f"the validation's loss is {loss.item()}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights, before those of the last epoch are saved.

        Raises:
            ValueError: If one of them is not finite.
        """
        self._check_weights(trainer, pl_module)

    def _check_weights(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Processes have the same weights, so that all of them stop.
        bad = [n for n, p in pl_module.named_parameters() if not bool(p.isfinite().all())]
        if bad:
            _stop(trainer, f"{len(bad)} of the weights, e.g. {bad[0]}, are NaN or infinite")

    def _report(self, trainer: Trainer, batches: list[dict[str, Any]]) -> str:
        """Write the file; what is to be said in a line."""
        bad = [batch for batch in batches if batch["loss"] in ("nan", "inf", "-inf")]
        folder = Path(trainer.default_root_dir)
        report = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "batch": self._batch,
            "batches": bad,
        }
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text(json.dumps(report, indent=2) + "\n")
        return (
            f"the loss is {bad[0]['loss']} in epoch {trainer.current_epoch}, batch {self._batch} "
            f"(step {trainer.global_step}): training stopped; its samples are named in "
            f"{folder / FILE}; {_kept(trainer)}"
        )


def _stop(trainer: Trainer, why: str) -> None:
    if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
        raise ValueError(
            f"{why} after epoch {trainer.current_epoch}: training stopped; {_kept(trainer)}; a "
            "smaller learning rate or trainer.gradient_clip_val may help"
        )


def _kept(trainer: Trainer) -> str:
    """Where to go on from."""
    kept = [
        Path(checkpoint.dirpath) / "last.ckpt"
        for checkpoint in trainer.checkpoint_callbacks
        if getattr(checkpoint, "dirpath", None)
    ]
    for path in kept:
        if path.is_file():
            return f"the last good weights are {path}"
    return "no epoch was finished, so no weights are kept"
