"""The command line: LightningCLI over one data module and the tasks.

    healswin fit --config configs/quickstart.yaml
    healswin test --ckpt_path runs/quickstart/checkpoints/best.ckpt --data.root data/prepared

What data and model have in common (grid, channels, classes) is linked from the data to the model,
so that a configuration states it once; and the task decides which arrays of the data are loaded and
by which score the best weights are chosen. The folder of a run is ``--trainer.default_root_dir``;
test and predict, given a checkpoint, write beside it.
"""

from __future__ import annotations

import os
import pickle
import pydoc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.preparing import prepare_if_missing
from healswin.tasks import PredictionWriter, Task, TestReport
from healswin.tasks.base import check_same_data

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
        parser.set_defaults({"model": {"class_path": "healswin.tasks.SegmentationTask"}})
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.monitor": AUTO,
                "checkpoint.mode": "max",
                "checkpoint.enable_version_counter": False,
            }
        )
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
        truth = task.truth
        if truth is None:
            return
        if config.data.tasks is None:
            config.data.tasks = [truth] if truth in data.tasks else []
        if truth not in config.data.tasks and self.subcommand != "predict":
            held = ", ".join(data.tasks) or "images only"
            raise ValueError(
                f"{task.__name__} needs {truth!r}: data.root={config.data.root} holds {held}, "
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
        """Log to CSV and TensorBoard unless the configuration names loggers; keep the last epoch.

        ModelCheckpoint's own ``save_last`` repeats the last *saved* epoch, which with a monitored
        score is the best one; a run is to be resumed where it stopped.
        """
        config = self.config_init[self.subcommand]
        if config.trainer.logger is None or config.trainer.logger is True:
            csv = CSVLogger(config.trainer.default_root_dir, name="logs")
            board = TensorBoardLogger(
                config.trainer.default_root_dir, name="logs", version=csv.version
            )
            kwargs["logger"] = [csv, board]
        last = ModelCheckpoint(
            config.checkpoint.dirpath,
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.trainer_defaults["callbacks"] = [last]
        return super().instantiate_trainer(**kwargs)


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
    if path in ("best", "last", "hpc"):
        return {}  # names that Lightning resolves in the run's folder
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


def _run_of(checkpoint: str | None) -> str:
    """The folder of the run that a checkpoint belongs to."""
    if checkpoint and Path(checkpoint).is_file() and Path(checkpoint).parent.name == "checkpoints":
        return str(Path(checkpoint).parent.parent)
    return DEFAULT_RUN


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
        HealSwinCLI(
            Task,
            PreparedDataModule,
            subclass_mode_model=True,
            parser_kwargs={"prog": "healswin"},
            save_config_kwargs={"overwrite": True},
            seed_everything_default=42,
            auto_configure_optimizers=False,
        )
    except (ValueError, PermissionError) as error:
        if os.environ.get("HEALSWIN_TRACEBACK"):
            raise
        # The parser wraps what a constructor says in a description of the whole configuration.
        while isinstance(error.__cause__, ValueError):
            error = error.__cause__
        print(f"healswin: error: {error}", file=sys.stderr)
        return 2
    return 0
