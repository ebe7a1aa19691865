"""What all tasks share: the network, the optimizer, and a checkpoint's fit to its data."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float64
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric, Metric

from healswin.grid import EquiangularGrid, Grid, grid_from_dict

# A network class, or any callable. Its first two arguments are the fields of its grid (nside and
# base_pixels, bandwidth and sampling, or height and width), then channels of input and output.
NetworkFactory = Callable[[int, Any, int, int], nn.Module]
OptimizerFactory = Callable[[Iterable], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class Task(LightningModule):
    """A network with its optimizer, on one grid, trained and measured.

    Lightning's steps are here. A subclass says what they do with the network's answer: `loss`,
    `predicted`, `count` and `scores`, with the metrics of its splits in ``val_scores`` and
    ``test_scores``. Hyperparameters in checkpoints are plain values, so that they load with
    ``weights_only=True``.

    Args:
        network: Makes the network from the two fields of the grid, channels in and channels out.
        grid: The pixels of the maps as plain values, see `healswin.grid.grid_from_dict`.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.
        in_chans: Channels of the input.
        out_chans: Channels of the output.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes the schedule of the learning rate from the optimizer; none if absent.
        lr_interval: Whether the schedule is stepped every "epoch" or every "step" of the optimizer.

    Raises:
        ValueError: If lr_interval is neither.

    Attributes:
        kind: "segmentation", "classification", "depth"; None has no report of its own.
        truths: The keys of a batch, and the arrays of a prepared set, that hold what is learned.
        best: Whether the highest or the lowest `headline` is the best.
    """

    kind: ClassVar[str | None] = None
    truths: ClassVar[tuple[str, ...]] = ()
    best: ClassVar[Literal["max", "min"]] = "max"

    val_scores: Metric
    test_scores: Metric

    def __init__(
        self,
        network: NetworkFactory,
        grid: dict[str, Any],
        pole: str,
        in_chans: int,
        out_chans: int,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None,
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__()
        self.grid = grid_from_dict(grid)
        self.pole = pole
        self.optimizer_factory = optimizer
        self.scheduler_factory = lr_scheduler
        if lr_interval not in ("epoch", "step"):
            raise ValueError(f"lr_interval={lr_interval!r} must be 'epoch' or 'step'")
        self.lr_interval = lr_interval
        self.network = network(*dataclasses.astuple(self.grid), in_chans, out_chans)
        # Lightning's own mean over processes is not weighted by how many samples each had.
        self.val_loss = MeanMetric()
        self.test_loss = MeanMetric()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A task with weights of its own; the factories are shared.

        They are code, and those of the command line know its parser and all that this has made.
        """
        for factory in (self.optimizer_factory, self.scheduler_factory):
            memo[id(factory)] = factory
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    @classmethod
    def headline(cls, class_names: Sequence[str]) -> str | None:
        """Name of the score that says which weights are best; None: the latest are kept.

        Args:
            class_names: Names of the classes of the data's pixels.
        """
        return None

    def loss(self, answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss of the network's answer (batch, out_chans, ...) to a batch."""
        raise NotImplementedError

    def predicted(self, answer: Tensor) -> dict[str, Tensor]:
        """What the network's answer (batch, out_chans, ...) says, ``prediction`` first of all."""
        raise NotImplementedError

    def count(self, scores: Metric, prediction: Tensor, target: Tensor) -> None:
        """Add predictions (batch, ...) and the truth of the same shape to a metric."""
        raise NotImplementedError

    def tally(self, scores: Metric, predicted: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Add what `predicted` says of a batch, and its truth, to a metric."""
        (truth,) = self.truths
        self.count(scores, predicted["prediction"], batch[truth])

    def scores(self, metric: Metric) -> dict[str, Tensor]:
        """The figures of merit of what a metric has counted, by name.

        Raises:
            ValueError: If nothing was counted.
        """
        raise NotImplementedError

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(self(batch["image"]), batch)
        self.log(
            "train/loss",
            loss,
            prog_bar=True,
            on_step=True,
            on_epoch=True,
            batch_size=len(batch["image"]),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Count a batch of the validation split; returns what was predicted, for the callbacks."""
        return self._evaluate(batch, self.val_scores, self.val_loss)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Count a batch of the test split; returns what was predicted, for the callbacks."""
        return self._evaluate(batch, self.test_scores, self.test_loss)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Predict a batch.

        Returns:
            ``sample`` (batch,) int64 as given, and what `predicted` says.
        """
        return {"sample": batch["sample"], **self.predicted(self(batch["image"]))}

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation split."""
        self._log_scores(self.val_scores, self.val_loss, "val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test split."""
        self._log_scores(self.test_scores, self.test_loss, "test")

    def _evaluate(
        self, batch: dict[str, Tensor], scores: Metric, mean_loss: MeanMetric
    ) -> dict[str, Tensor]:
        answer = self(batch["image"])
        mean_loss.update(self.loss(answer, batch), weight=len(answer))
        predicted = self.predicted(answer)
        self.tally(scores, predicted, batch)
        return {"sample": batch["sample"], **predicted}

    def _log_scores(self, scores: Metric, loss: MeanMetric, part: str) -> None:
        try:
            values = {**self.scores(scores), "loss": loss.compute()}
        except ValueError as error:
            raise ValueError(f"the {part} split: {error}") from None
        scores.reset()
        loss.reset()
        # Scores come in float64, which not every accelerator can reduce.
        logged = {f"{part}/{name}": value.float() for name, value in values.items()}
        self.log_dict(logged, sync_dist=True)

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

        Raises:
            ValueError: If the schedule waits for a score instead of following the epochs or steps.
        """
        optimizer = self.optimizer_factory(self._parameter_groups())
        if self.scheduler_factory is None:
            return {"optimizer": optimizer}
        scheduler = self.scheduler_factory(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            # Its step comes after the checkpoints of its epoch: a resumed run would miss it.
            raise ValueError(
                "lr_scheduler=ReduceLROnPlateau cannot be resumed exactly: choose a schedule of "
                "epochs or steps, e.g. torch.optim.lr_scheduler.CosineAnnealingLR"
            )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.lr_interval},
        }

    def _parameter_groups(self) -> list[dict[str, Any]]:
        named = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        exempt = getattr(self.network, "no_weight_decay", set)()
        # What a task learns besides the network are no weights.
        others = [p for n, p in self.named_parameters() if not n.startswith("network.")]
        groups = [
            {"params": [p for n, p in named.items() if n not in exempt]},
            {
                "params": [*(p for n, p in named.items() if n in exempt), *others],
                "weight_decay": 0.0,
            },
        ]
        return [group for group in groups if group["params"]]

    def keep_plain_hyperparameters(self) -> None:
        """Record the constructor's arguments, except those that are code.

        Started from a configuration the factories are recorded as class path and arguments. Called
        from Python they are functions, which no checkpoint should hold: who loads such a
        checkpoint names them again. The command line offers every task all that the data know;
        what the constructor does not take is left out, or the task could not be made again.
        """
        self.save_hyperparameters(logger=False)
        taken = inspect.signature(type(self)).parameters
        for name, value in dict(self.hparams).items():
            # Lightning's own entries, such as the class path, begin with "_".
            if callable(value) or not (name in taken or name.startswith("_")):
                del self.hparams[name]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """State the grid, which no parameter depends on."""
        checkpoint["healswin"] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that were trained for other data.

        Raises:
            ValueError: If grid or classes differ; weights of another grid would load without a
                word, because no parameter depends on it. If the weights have other names or shapes.
        """
        check_same_data(checkpoint.get("healswin", {}), self._identity())
        self._check_weights(checkpoint.get("state_dict", self.state_dict()))

    def _check_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Refuse what torch would refuse, in one line."""
        ours = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        theirs = {name: tuple(value.shape) for name, value in weights.items()}
        differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        if differing and self.strict_loading:
            name = differing[0]
            raise ValueError(
                f"the checkpoint's weights do not fit the network: {len(differing)} of {len(ours)} "
                f"differ, e.g. {name} is {theirs.get(name, 'absent')} in the checkpoint and "
                f"{ours.get(name, 'absent')} in the network"
            )

    def _identity(self) -> dict[str, Any]:
        """What data must have in common with a checkpoint, as plain values."""
        return {**self.grid.to_dict(), "pole": self.pole}


def pixel_areas(grid: Grid) -> Float64[Tensor, " pixels"] | None:
    """Solid angles of the pixels in steradians where they differ; None where all count alike."""
    return torch.from_numpy(grid.areas()) if isinstance(grid, EquiangularGrid) else None


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
