"""A progress bar with the rate and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


@contextmanager
def progress_bar(
    total: int, done: int, shown: bool, what: str = "converting"
) -> Iterator[Callable[[], None]]:
    """A bar on stderr while the context lasts; yields the function that advances it by one.

    Args:
        total: Number of samples, or whatever is counted.
        done: How many of them an earlier run has finished.
        shown: Whether to draw anything.
        what: What is being done, before the bar.
    """
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    ]
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda: progress.advance(task)
