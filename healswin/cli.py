"""The command line: LightningCLI over one data module and the tasks.

    healswin fit --config configs/quickstart.yaml
    healswin test --ckpt_path runs/quickstart/checkpoints/best.ckpt --data.root data/prepared

What data and model have in common (grid, channels, classes) is linked from the data to the model,
so that a configuration states it once; and the task decides which arrays of the data are loaded and
by which score the best weights are chosen. The folder of a run is ``--trainer.default_root_dir``;
test and predict, given a checkpoint, write beside it. ``--ckpt_path last`` (or ``best``) is that
checkpoint of the folder; a training that finds none there begins.
"""

from __future__ import annotations

import os
import pickle
import pydoc
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.preparing import prepare_if_missing
from healswin.tasks import (
    FiniteLoss,
    PredictionWriter,
    RandomState,
    Task,
    TestReport,
    ValidationPictures,
)
from healswin.tasks.base import check_same_data
from healswin.tasks.progress import EpochLines, without_noise

DEFAULT_RUN = "runs/healswin"

# Stands for the headline of the task, which depends on the task and on the classes.
AUTO = "auto"

# Attribute of the data module -> argument of the task, where the task has it.
LINKS = {
    "grid": "grid",
    "in_chans": "in_chans",
    "class_names": "class_names",
    "class_weights": "balanced_weights",
    "label_names": "label_names",
    "depth_statistics": "depth_statistics",
    "pole": "pole",
    "ignore_index": "ignore_index",
}


class HealSwinCLI(LightningCLI):
    """LightningCLI with this library's links, callbacks and folders."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """State the links and what every run has unless told otherwise."""
        for ours, theirs in LINKS.items():
            parser.link_arguments(
                f"data.{ours}", f"model.init_args.{theirs}", apply_on="instantiate"
            )
        parser.set_defaults(
            {
                "model": {"class_path": "healswin.tasks.SegmentationTask"},
                "trainer.enable_model_summary": False,
            }
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.monitor": AUTO,
                "checkpoint.mode": "max",
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.add_argument(
            "--checkpoint_every",
            type=NonNegativeInt,
            default=0,
            help="Keep the weights of every n-th epoch too; 0: the best and the last ones only.",
        )
        parser.add_lightning_class_args(ValidationPictures, "pictures")
        parser.add_lightning_class_args(TestReport, "report")
        parser.add_lightning_class_args(PredictionWriter, "predictions")

    def parse_arguments(self, parser: LightningArgumentParser, args: object) -> None:
        """Parse, and read the checkpoint, whose arguments Lightning adds next.

        Raises:
            ValueError: If there is no checkpoint where one is needed, or it cannot be read.
        """
        super().parse_arguments(parser, args)
        command = self.config.subcommand
        config = self.config[command]
        self._checkpoint = {}
        if config.get("ckpt_path") in ("best", "last"):
            config.ckpt_path = _checkpoint_of_run(config, command)
        if config.get("ckpt_path"):
            self._checkpoint = _read_checkpoint(config.ckpt_path)
        elif command != "fit":
            raise ValueError(
                f"ckpt_path is missing: `healswin {command}` needs trained weights, e.g. "
                "--ckpt_path RUN/checkpoints/best.ckpt"
            )

    def before_instantiate_classes(self) -> None:
        """Compare task, checkpoint and data, and choose the run's folder.

        All that can be wrong is told before anything is built or trained.

        Raises:
            ValueError: If they do not fit each other, or the folder holds a run already.
        """
        command = self.subcommand
        config = self.config[command]
        _check_loggers(config.trainer.logger)
        prepare_if_missing(config.data.root, config.data.prepare)
        data = PreparedSet.open(config.data.root)
        task = _task_class(config.model.class_path)
        self._choose_arrays(config, data, task)
        self._check_checkpoint(config, data)
        if config.checkpoint.monitor == AUTO:
            headline = task.headline(data.class_names)
            config.checkpoint.monitor = headline and f"val/{headline}"
            config.checkpoint.mode = task.best
        if "val" not in data.split and command == "validate":
            raise ValueError(f"data.root={config.data.root} has no validation split")
        if command == "fit":
            self._prepare_fit(config, data)
        if config.trainer.default_root_dir is None:
            config.trainer.default_root_dir = _run_of(config.get("ckpt_path"))
        config.checkpoint.dirpath = config.checkpoint.dirpath or str(
            Path(config.trainer.default_root_dir) / "checkpoints"
        )
        if command != "fit":
            # Only training is logged and only its configuration is worth a file.
            self.save_config_callback = None
            config.trainer.logger = False

    def _choose_arrays(self, config: Namespace, data: PreparedSet, task: type[Task]) -> None:
        """Load what the task needs; to predict, no truth is needed."""
        if not task.truths:
            return
        if config.data.tasks is None:
            config.data.tasks = [truth for truth in task.truths if truth in data.tasks]
        missing = [truth for truth in task.truths if truth not in config.data.tasks]
        if missing and self.subcommand != "predict":
            held = ", ".join(data.tasks) or "images only"
            raise ValueError(
                f"{task.__name__} needs {missing[0]!r}: data.root={config.data.root} holds {held}, "
                f"data.tasks={config.data.tasks}"
            )

    def _check_checkpoint(self, config: Namespace, data: PreparedSet) -> None:
        """Refuse weights of other data; without truth, what is predicted is the checkpoint's."""
        trained = dict(self._checkpoint.get("healswin", {}))
        stored = self._checkpoint.get("PreparedDataModule", {})
        if self.subcommand == "predict" and "semantic" not in config.data.tasks:
            config.data.class_names = stored.get("class_names")
            config.data.class_colours = stored.get("class_colours")
            trained.pop("class_names", None)
        if self.subcommand == "predict" and "label" not in config.data.tasks:
            config.data.label_names = stored.get("label_names")
            trained.pop("label_names", None)
        if self.subcommand == "predict" and "depth" not in config.data.tasks:
            config.data.depth_statistics = stored.get("depth_statistics")
        check_same_data(trained, data.attributes)

    def _prepare_fit(self, config: Namespace, data: PreparedSet) -> None:
        folder = config.trainer.default_root_dir or DEFAULT_RUN
        last = Path(config.checkpoint.dirpath or Path(folder) / "checkpoints") / "last.ckpt"
        if last.exists() and not config.ckpt_path and not config.trainer.fast_dev_run:
            raise ValueError(
                f"trainer.default_root_dir={folder} holds a run already: continue it with "
                f"--ckpt_path {last}, or choose another folder"
            )
        if "val" in data.split:
            return
        config.trainer.limit_val_batches = 0
        if config.checkpoint.monitor:
            raise ValueError(
                f"data.root={config.data.root} has no validation split, so that "
                f"{config.checkpoint.monitor!r} cannot choose the best epoch: convert with a share "
                "for val, or give --checkpoint.monitor null"
            )

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: object
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "test":
            parser.set_defaults({"verbose": False})  # the report prints its own table
        return parser

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        """Give the trainer its loggers and callbacks.

        Without loggers in the configuration it logs to CSV and TensorBoard.
        """
        config = self.config_init[self.subcommand]
        if config.trainer.logger is None or config.trainer.logger is True:
            csv = CSVLogger(config.trainer.default_root_dir, name="logs")
            board = TensorBoardLogger(
                config.trainer.default_root_dir, name="logs", version=csv.version
            )
            kwargs["logger"] = [csv, board]
        self.trainer_defaults["callbacks"] = self._callbacks(config)
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        """Say in a line what is trained, instead of Lightning's table of modules."""
        count = sum(parameter.numel() for parameter in self.model.parameters())
        data, trainer = self.datamodule, self.trainer
        samples = [f"{len(data.split_indices('train'))} training samples"]
        if "val" in data.prepared.split:
            samples.append(f"{len(data.split_indices('val'))} validation samples")
        rank_zero_info(
            f"{type(self.model.network).__name__}, {count / 1e6:.3g} M parameters; "
            f"{', '.join(samples)}; {trainer.world_size} x {trainer.strategy.root_device.type}, "
            f"precision {trainer.precision}; run: {trainer.default_root_dir}"
        )

    def _callbacks(self, config: Namespace) -> list[Callback]:
        """What runs have besides the callbacks that have arguments."""
        # ModelCheckpoint's own `save_last` repeats the last *saved* epoch, which with a monitored
        # score is the best one; a run is to be resumed where it stopped.
        last = ModelCheckpoint(
            config.checkpoint.dirpath,
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        callbacks: list[Callback] = [last]
        if config.checkpoint_every:
            callbacks.append(_EpochCheckpoint(config.checkpoint.dirpath, config.checkpoint_every))
        if self.subcommand == "fit":
            callbacks += [RandomState(), FiniteLoss()]
        bars = [c for c in config.trainer.callbacks or [] if isinstance(c, ProgressBar)]
        # On a terminal Lightning shows its rich progress bar.
        if not bars and config.trainer.enable_progress_bar is not False and not sys.stdout.isatty():
            callbacks.append(EpochLines())
        return callbacks


class _EpochCheckpoint(ModelCheckpoint):
    """Keeps every n-th epoch. A class, for callbacks keep their states by the name of theirs."""

    def __init__(self, dirpath: str, every: int) -> None:
        super().__init__(
            dirpath,
            filename="epoch_{epoch:04d}",
            auto_insert_metric_name=False,
            every_n_epochs=every,
            save_top_k=-1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )


def _task_class(path: str) -> type[Task]:
    """The class of a task; the parser has made sure that there is one of this name."""
    found = pydoc.locate(path)
    assert isinstance(found, type), path
    return found


def _read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint's plain values; its tensors are mapped, not loaded.

    Raises:
        ValueError: If the file is not there, not whole, or no checkpoint; the message names it.
    """
    if path == "hpc":
        return {}  # Lightning finds what it saved when its cluster stopped it
    if not Path(path).is_file():
        raise ValueError(f"ckpt_path={path} does not exist")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"ckpt_path={path} is no whole checkpoint: {reason}") from None
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"ckpt_path={path} is no checkpoint of a training run")
    return checkpoint


def _checkpoint_of_run(config: Namespace, command: str) -> str | None:
    """The best or the last checkpoint in the run's folder.

    None for a training that is to begin.

    Raises:
        ValueError: If another command finds none.
    """
    run = config.trainer.default_root_dir or DEFAULT_RUN
    folder = Path(config.checkpoint.dirpath or Path(run) / "checkpoints")
    path = folder / f"{config.ckpt_path}.ckpt"
    if path.is_file():
        return str(path)
    if command != "fit":
        raise ValueError(f"ckpt_path={config.ckpt_path}: {path} does not exist")
    rank_zero_info(f"ckpt_path={config.ckpt_path}: there is no {path} yet, the training begins")
    return None


def _check_loggers(loggers: object) -> None:
    """Say how to install what a logger needs.

    Raises:
        ValueError: If it is not installed.
    """
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        path = logger.get("class_path", "") if isinstance(logger, Namespace) else ""
        if path.endswith("MLFlowLogger") and find_spec("mlflow") is None:
            raise ValueError(
                f"trainer.logger={path} needs mlflow, which is not installed: "
                "pip install 'healswin[mlflow]'"
            )


def _run_of(checkpoint: str | None) -> str:
    """The folder of the run that a checkpoint belongs to."""
    if checkpoint and Path(checkpoint).is_file() and Path(checkpoint).parent.name == "checkpoints":
        return str(Path(checkpoint).parent.parent)
    return DEFAULT_RUN


def _reason(error: Exception) -> str:
    """What a constructor said; the parser wraps it in a description of the whole configuration."""
    cause = error
    while isinstance(cause.__cause__, ValueError):
        cause = cause.__cause__
    # Of a list (of loggers) the parser remembers first that it is not a single one.
    if str(cause).startswith("Not a valid subclass"):
        listed = re.findall(
            r"^  - (?!Not a valid subclass|Expected a )(.+(?::\n\s+.+)?)", str(error), re.MULTILINE
        )
        if listed:
            return " ".join(listed[0].split())
    return str(cause)


def main(args: Sequence[str]) -> int:
    """Run one of the commands fit, validate, test, predict.

    Args:
        args: Arguments without the program's name.

    Returns:
        Exit status: 0, or 2 for input that cannot be used, with one line that says why. With
        HEALSWIN_TRACEBACK in the environment the error is raised instead.
    """
    # Lightning takes given arguments for a mistake if the process has some of its own.
    sys.argv = [sys.argv[0], *args]
    try:
        with without_noise(training=list(args[:1]) == ["fit"]):
            HealSwinCLI(
                Task,
                PreparedDataModule,
                subclass_mode_model=True,
                parser_kwargs={"prog": "healswin"},
                save_config_kwargs={"overwrite": True},
                seed_everything_default=42,
                auto_configure_optimizers=False,
            )
    except (ValueError, PermissionError, ModuleNotFoundError, MisconfigurationException) as error:
        if os.environ.get("HEALSWIN_TRACEBACK"):
            raise
        print(f"healswin: error: {_reason(error)}", file=sys.stderr)
        return 2
    return 0
