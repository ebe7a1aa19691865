"""What all tasks share: the network, the optimizer, and a checkpoint's fit to its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from healswin.grid import grid_from_dict

# A network class, or any callable. Its first two arguments are the fields of its grid (nside and
# base_pixels, bandwidth and sampling, or height and width), then channels of input and output.
NetworkFactory = Callable[[int, Any, int, int], nn.Module]
OptimizerFactory = Callable[[Iterable], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class Task(LightningModule):
    """A network with its optimizer, on one grid.

    Subclasses implement Lightning's steps and state their loss and metrics in the constructor.
    Hyperparameters in checkpoints are plain values, so that they load with ``weights_only=True``.

    Args:
        network: Makes the network from the two fields of the grid, channels in and channels out.
        grid: The pixels of the maps as plain values, see `healswin.grid.grid_from_dict`.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.
        in_chans: Channels of the input.
        out_chans: Channels of the output.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes the schedule from the optimizer, stepped every epoch; none if absent.
    """

    def __init__(
        self,
        network: NetworkFactory,
        grid: dict[str, Any],
        pole: str,
        in_chans: int,
        out_chans: int,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None,
    ) -> None:
        super().__init__()
        self.grid = grid_from_dict(grid)
        self.pole = pole
        self.optimizer_factory = optimizer
        self.scheduler_factory = lr_scheduler
        self.network = network(*dataclasses.astuple(self.grid), in_chans, out_chans)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The network's output for (batch, channels, pixels).

        A network on a grid of rows and columns sees them. Its answer for every pixel comes back as
        (batch, out_chans, pixels), its answer for the whole map as it is.
        """
        answer = self.network(image.unflatten(-1, self.grid.shape))
        return answer.flatten(2) if answer.ndim > 2 else answer

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer over all parameters and, if there is one, its schedule.

        Parameters that the network's ``no_weight_decay`` names are a group without weight decay.
        """
        optimizer = self.optimizer_factory(self._parameter_groups())
        if self.scheduler_factory is None:
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler_factory(optimizer)}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        named = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        exempt = getattr(self.network, "no_weight_decay", set)()
        groups = [
            {"params": [p for n, p in named.items() if n not in exempt]},
            {"params": [p for n, p in named.items() if n in exempt], "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def keep_plain_hyperparameters(self) -> None:
        """Record the constructor's arguments, except those that are code.

        Started from a configuration the factories are recorded as class path and arguments. Called
        from Python they are functions, which no checkpoint should hold: who loads such a
        checkpoint names them again.
        """
        self.save_hyperparameters(logger=False)
        for name, value in dict(self.hparams).items():
            if callable(value):
                del self.hparams[name]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """State the grid, which no parameter depends on."""
        checkpoint["healswin"] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that were trained for other data.

        Raises:
            ValueError: If grid or classes differ; weights of another grid would load without a
                word, because no parameter depends on it.
        """
        check_same_data(checkpoint.get("healswin", {}), self._identity())

    def _identity(self) -> dict[str, Any]:
        """What data must have in common with a checkpoint, as plain values."""
        return {**self.grid.to_dict(), "pole": self.pole}


def check_same_data(checkpoint: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Compare what a checkpoint was trained on with what it is given.

    Args:
        checkpoint: Grid and classes that the checkpoint states.
        data: Those of the data, under the same names; names that one side lacks do not count.

    Raises:
        ValueError: If they differ.
    """
    for name, ours in data.items():
        if name in checkpoint and checkpoint[name] != ours:
            raise ValueError(
                f"the checkpoint was trained with {name} {checkpoint[name]}, the data have {ours}: "
                "convert the data to the checkpoint's grid and classes, or train anew"
            )
