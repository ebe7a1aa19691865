"""The command ``healswin uncertainty``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from healswin.options import add_device, add_samples, check_folder, device_of, progress
from healswin.outcome import status_of
from healswin.scoring import samples_of


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: Arguments after ``healswin uncertainty``.

    Returns:
        Exit status: 0, or 2 for input that cannot be used, with one line that says why. With
        HEALSWIN_TRACEBACK in the environment the error is raised instead.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin uncertainty",
        description="Ask several trained models (a deep ensemble), or one whose dropout stays on, "
        "how unsure they are, and whether they know when they are wrong. Writes "
        "DIR/uncertainty.json, .md, .png and DIR/maps/NAME.png.",
        epilog="healswin uncertainty runs/a/checkpoints/best.ckpt runs/b/checkpoints/best.ckpt "
        "--data data/street --out unsure",
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="as `healswin apply` takes it; one or several")
    add("--data", required=True, metavar="DATA", help="a prepared set on the models' grid")
    add(
        "--draws",
        type=int,
        default=0,
        metavar="N",
        help="predictions of each model with dropout on; 0: one, without (default: %(default)s)",
    )
    add_samples(parser, batch_size=8)
    drawn = "samples drawn, spread evenly; -1: all (default: %(default)s)"
    add("--pictures", type=int, default=4, metavar="N", help=drawn)
    add("--seed", type=int, default=0, help="of the dropout (default: %(default)s)")
    add(
        "--out",
        type=Path,
        default=Path("uncertainty"),
        metavar="DIR",
        help="(default: %(default)s)",
    )
    add_device(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from healswin.data import PreparedSet

    check_folder("--out", arguments.out)
    data = PreparedSet.open(arguments.data)  # before torch is loaded
    _, indices = samples_of(data, arguments.split, arguments.limit)
    from healswin.tasks.pages import check_pictures, spread
    from healswin.uncertainty.measure import measure_uncertainty
    from healswin.uncertainty.members import Members
    from healswin.uncertainty.pages import as_markdown, write_uncertainty
    from healswin.zoo import load_model

    device = device_of(arguments)
    models = [load_model(name, device=device) for name in arguments.models]
    members = Members(models, arguments.draws, arguments.seed)
    draw = set()
    if models[0].config.task != "classification":
        draw = spread(indices, check_pictures(arguments.pictures))
    with progress("measuring", len(indices)) as advance:
        result, maps = measure_uncertainty(
            members,
            data,
            split=arguments.split,
            limit=arguments.limit,
            batch_size=arguments.batch_size,
            draw=draw,
            progress=advance,
        )
    files = write_uncertainty(result, maps, data, arguments.out)
    print(as_markdown(result))
    print(f"written: {', '.join(map(str, files))}")
    return 0
