"""What a training says: a line an epoch where there is no terminal, and no advertisements."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

# How Lightning's lines begin that say nothing about the run.
_NOISE = ("\N{ELECTRIC LIGHT BULB} Tip:", "GPU available:", "TPU available:", "HPU available:")


class EpochLines(ProgressBar):
    """Prints one line at the end of each epoch, for pipes, files and the logs of a cluster.

        epoch 3/10, 21 s: train/loss 0.812, val/loss 0.934, val/miou_without_void 0.317

    Epochs are counted from 0 as in checkpoints and logs. Shown are the losses and the score that
    chooses the best weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._start = time.monotonic()

    def disable(self) -> None:
        """Print nothing from now on."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line."""
        if not self._enabled:
            return
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        shown = {"train/loss_epoch": "train/loss", "val/loss": "val/loss", monitor: monitor}
        values = trainer.callback_metrics
        scores = [
            f"{name} {float(values[key]):.4g}" for key, name in shown.items() if key in values
        ]
        epochs = "" if trainer.max_epochs == -1 else f"/{trainer.max_epochs - 1}"
        seconds = time.monotonic() - self._start
        line = f"epoch {trainer.current_epoch}{epochs}, {seconds:.0f} s: {', '.join(scores)}"
        self.print(line, flush=True)


@contextmanager
def without_noise(training: bool) -> Iterator[None]:
    """While this lasts, Lightning neither advertises nor lists the hardware that there is not.

    Its warnings are left alone, but for that about its own use of torch and those about what the
    command line does on purpose.

    Args:
        training: Whether a training runs, whose resumption needs all that its checkpoint names.
    """
    expected = [
        (".*LeafSpec.* is deprecated", FutureWarning),
        # A folder that holds a run is refused unless the run is to be continued.
        ("Checkpoint directory .* exists and is not empty", UserWarning),
        ("The dirpath has changed", UserWarning),
    ]
    if not training:
        expected.append(("Be aware that when using `ckpt_path`, callbacks used to", UserWarning))
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    log.addFilter(_worth_a_line)
    try:
        with warnings.catch_warnings():
            for text, category in expected:
                warnings.filterwarnings("ignore", text, category)
            yield
    finally:
        log.removeFilter(_worth_a_line)


def _worth_a_line(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)
