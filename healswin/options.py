"""Options that the commands share which apply a trained model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healswin.zoo import ZooModel


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the argument MODEL."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="an entry (healswin models list), a folder, a .safetensors or .ckpt file, or "
        "hf-hub:OWNER/NAME@REVISION",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--device``."""
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1, mps (default: a GPU if there is one)",
    )


def add_samples(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """Add ``--split``, ``--limit`` and ``--batch-size``: which samples are seen, and how.

    Args:
        parser: Of a command that scores models on a prepared set.
        batch_size: The default.
    """
    add = parser.add_argument
    add(
        "--split",
        default="test",
        choices=("train", "val", "test"),
        help="(default: test, or val where there are no tests)",
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help="samples, spread evenly over the split; all if absent",
    )
    add("--batch-size", type=int, default=batch_size, metavar="N", help="(default: %(default)s)")


def device_of(arguments: argparse.Namespace) -> str:
    """The device that ``device`` names.

    Raises:
        ValueError: If there is no such device.
    """
    import torch

    device = arguments.device
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"--device {device} is not known: cpu, cuda, cuda:1, mps") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {device}: torch sees no GPU here")
    return str(chosen)


def model_of(arguments: argparse.Namespace) -> ZooModel:
    """The model that ``model`` names, on the device that ``device`` names.

    Raises:
        ValueError: If there is no such model or no such device.
    """
    from healswin.zoo import load_model

    return load_model(arguments.model, device=device_of(arguments))


def check_folder(option: str, folder: Path) -> None:
    """Tell before the work that its results could not be written.

    Args:
        option: As the user typed it, for the message.
        folder: It is made if it is not there.

    Raises:
        ValueError: If it is a file, or cannot be made or written to.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"{option} {folder}: {existing} is a file, a folder is needed")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {folder}: {existing} cannot be written to, choose another one")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal and there are several things to do.

    Args:
        what: A word that says what is done.
        total: How many.

    Yields:
        The function that advances the bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    ]
    # Lines that are printed go above the bar, but into a pipe where stdout is one.
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=Console(stderr=True), redirect_stdout=above, disable=total < 2
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
