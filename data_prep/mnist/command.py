"""The sub-command ``healswin-prep mnist``. What it does is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from data_prep.argument_types import base_pixels, names

_DESCRIPTION = """\
Project handwritten digits, or other small pictures, onto the sphere.

SRC is a folder with the four idx files of MNIST (plain or .gz), or
  digits         1797 digits that scikit-learn holds: no network, no files
  mnist          downloaded once through torchvision
  fashion-mnist  likewise
"""

_EXAMPLES = """\
examples:
  healswin-prep mnist digits OUT --nside 16
  healswin-prep mnist mnist OUT --nside 32 --rotated test --workers 2
  healswin-prep mnist mnist OUT --grid soft --bandwidth 50 --items 4 --train 240000

A preparation that was stopped continues when the same command runs again.
"""


def add_mnist(commands: argparse._SubParsersAction) -> None:
    """Add the sub-command to those of ``healswin-prep``."""
    parser = commands.add_parser(
        "mnist",
        help="project handwritten digits onto the sphere",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="a folder, digits, mnist or fashion-mnist")
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="the prepared set; built beside it as OUT.partial"
    )
    _add_grid(parser.add_argument_group("grid"))
    _add_canvas(parser.add_argument_group("what is on the sphere"))
    _add_samples(parser.add_argument_group("samples"))
    parser.set_defaults(run=_mnist)


def _add_grid(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--grid", help="healpix (default), soft or driscoll-healy")
    add("--nside", type=int, metavar="N", help="of healpix, a power of two (default: 32)")
    add("--base-pixels", type=base_pixels, metavar="LIST", help="of healpix (default: 0-11)")
    add("--bandwidth", type=int, metavar="B", help="of the others, 2B x 2B points (default: 30)")
    add(
        "--published",
        action="store_true",
        help="sample as the published sets are, on their grid driscoll-healy",
    )


def _add_canvas(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--items", type=int, default=1, metavar="N", help="pictures on a canvas (default: 1)")
    add(
        "--canvas",
        type=int,
        metavar="N",
        help="pixels along a side of the canvas (default: with one item the picture is the canvas, "
        "with several 60)",
    )
    add(
        "--rotated",
        default="all",
        help="which samples are turned, each at random: all, none, or test (only those for tests) "
        "(default: %(default)s)",
    )
    add(
        "--rotation-block",
        type=int,
        default=1,
        metavar="N",
        help="samples that share a rotation; 500 in the published sets (default: %(default)s)",
    )
    add(
        "--threshold",
        type=int,
        default=150,
        metavar="T",
        help="grey level above which a pixel belongs to an item (default: %(default)s)",
    )
    add(
        "--tasks",
        type=names,
        help="label (of a whole sample; with one item), semantic (of each pixel) (default: both, "
        "where there are several items semantic)",
    )


def _add_samples(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--train", type=int, metavar="N", help="samples for training (default: all originals)")
    add(
        "--val",
        type=int,
        metavar="N",
        help="for validation, of the last originals for training, which do not train then "
        "(default: a twelfth of them, at most 5000)",
    )
    add("--test", type=int, metavar="N", help="for tests (default: all originals for tests)")
    add(
        "--seed",
        type=int,
        default=42,
        help="decides rotations, items and places (default: %(default)s)",
    )
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes; the result does not depend on it (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace OUT, once the new set is whole")


def _mnist(arguments: argparse.Namespace) -> None:
    from data_prep.mnist.conversion import MnistConversion
    from data_prep.mnist.prepare import prepare_mnist

    conversion = MnistConversion(
        source=arguments.source,
        grid=arguments.grid,
        nside=arguments.nside,
        base_pixels=arguments.base_pixels,
        bandwidth=arguments.bandwidth,
        items=arguments.items,
        canvas=arguments.canvas,
        rotated=arguments.rotated,
        rotation_block=arguments.rotation_block,
        train=arguments.train,
        val=arguments.val,
        test=arguments.test,
        threshold=arguments.threshold,
        tasks=arguments.tasks,
        seed=arguments.seed,
        published=arguments.published,
    )
    print(
        prepare_mnist(
            conversion, arguments.out, workers=arguments.workers, overwrite=arguments.overwrite
        )
    )
