"""Callback that makes a resumed training draw the random numbers of an undisturbed one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

_KEY = "random_state"


class RandomState(Callback):
    """Keeps the state of all random numbers in checkpoints and goes on from it.

    Dropout and stochastic depth draw from the global generators. Their states (of Python, numpy,
    torch and every GPU, for each process) are saved as plain values, which load with
    ``weights_only=True``. So a training that is resumed from the end of an epoch draws what it
    would have drawn without the interruption. What the data module draws is left out: it depends
    on seed and epoch alone.
    """

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all processes; called by all of them."""
        states = [random_state()]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, random_state())
        checkpoint[_KEY] = states

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note the states: before the first epoch other numbers are drawn."""
        self._states = checkpoint.get(_KEY)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from the checkpoint's states, if there are any."""
        if self._states is None:
            return
        if len(self._states) == trainer.world_size:
            set_random_state(self._states[trainer.global_rank])
        else:
            rank_zero_info(
                f"the checkpoint was written by {len(self._states)} processes, there are "
                f"{trainer.world_size} now: random numbers start anew from seed_everything"
            )
        self._states = None


def random_state() -> dict[str, Any]:
    """The state of the global random numbers of this process, as plain values and tensors."""
    # Those of numpy's global numbers are always a Mersenne twister's.
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Go on from a state of `random_state`; GPUs that there are not any more are left out."""
    keys, position, has_gauss, gauss = state["numpy"]
    random.setstate(state["python"])
    keys = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda.cpu(), device)
