"""The command ``healswin robustness``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from healswin.options import add_device, add_model, add_samples, check_folder, model_of, progress
from healswin.outcome import status_of
from healswin.robustness.measure import measure_robustness
from healswin.robustness.pages import as_markdown, write_robustness
from healswin.scoring import samples_of


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: Arguments after ``healswin robustness``.

    Returns:
        Exit status: 0, or 2 for input that cannot be used, with one line that says why. With
        HEALSWIN_TRACEBACK in the environment the error is raised instead.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin robustness",
        description="Score a classification or segmentation on maps as they are stored, turned "
        "about the z axis, and under uniform random rotations. Writes DIR/robustness.json, .md and "
        ".png.",
        epilog="healswin robustness runs/mnist/checkpoints/best.ckpt data/mnist --limit 1000",
    )
    add = parser.add_argument
    add_model(parser)
    add("data", metavar="DATA", help="a prepared set on the model's grid")
    add_samples(parser, batch_size=32)
    add("--rotations", type=int, default=50, metavar="N", help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="of the random rotations (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="(default: robustness/MODEL'S NAME)")
    add_device(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from healswin.data import PreparedSet

    if arguments.out is not None:
        check_folder("--out", arguments.out)
    data = PreparedSet.open(arguments.data)  # before torch is loaded
    model = model_of(arguments)
    _, indices = samples_of(data, arguments.split, arguments.limit)
    with progress("measuring", len(indices)) as advance:
        result = measure_robustness(
            model,
            data,
            split=arguments.split,
            limit=arguments.limit,
            rotations=arguments.rotations,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            progress=advance,
        )
    files = write_robustness(result, arguments.out or Path("robustness") / model.config.name)
    print(as_markdown(result))
    print(f"written: {', '.join(map(str, files))}")
    return 0
