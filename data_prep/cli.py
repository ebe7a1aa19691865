"""The command ``healswin-prep``: convert, mnist, street, inspect, stats, preview.

Errors of the input are one line on stderr and exit code 2. The work of each sub-command is imported
when it is asked for, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.argument_types import base_pixels, crop, names, size
from data_prep.mnist.command import add_mnist


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: The arguments; those of the process if None.

    Returns:
        The exit code: 0 done, 1 stopped by the machine (full disk, killed worker), 2 wrong input,
        130 interrupted.
    """
    arguments = _parser().parse_args(_with_crop(sys.argv[1:] if argv is None else argv))
    try:
        arguments.run(arguments)
    except ValueError as error:
        return _stop(str(error), 2)
    except PermissionError as error:
        return _stop(f"{error.filename}: no permission", 2)
    except (OSError, RuntimeError) as error:
        return _stop(str(error), 1)
    except KeyboardInterrupt:
        return _stop("interrupted; the same command continues where this one stopped", 130)
    return 0


def _stop(message: str, code: int) -> int:
    print(f"healswin-prep: error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin-prep", description="Make and look at prepared data sets on the sphere."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_convert(commands)
    add_mnist(commands)
    _add_street(commands)
    _add_inspect(commands)
    _add_stats(commands)
    _add_preview(commands)
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="resample a folder of calibrated images onto the HEALPix grid, or resize them",
        description="Resample a folder of calibrated images onto the HEALPix grid, or resize them "
        "for flat networks. A conversion that was stopped, however it was stopped, continues when "
        "the same command runs again.",
    )
    add = parser.add_argument
    add("source", metavar="SRC", type=Path, help="folder of the source data set")
    add("out", metavar="OUT", type=Path, help="the prepared set; built beside it as OUT.partial")
    add(
        "--reader",
        default="synwoodscape",
        help="layout of the source: woodscape, synwoodscape, kitti360, folder, panorama or healpix "
        "(default: %(default)s)",
    )
    add(
        "--grid",
        default="healpix",
        help="healpix, or image: images stay flat and are resized (default: %(default)s)",
    )
    add(
        "--size",
        type=size,
        metavar="HxW",
        help="height and width of the resized images of --grid image, e.g. 640x768",
    )
    add(
        "--nside",
        type=int,
        help="pixels along a base pixel, a power of two (default: 256)",
    )
    add(
        "--base-pixels",
        type=base_pixels,
        help="e.g. 0-7 or 0,1,4 (default: 0-7, for panoramas and maps 0-11)",
    )
    add(
        "--tasks",
        type=names,
        help="e.g. semantic,depth; '' for images only (default: labels, if there are any)",
    )
    add(
        "--classes",
        metavar="LIST",
        help="class list: all, large or large-ad, or a YAML file (default: the reader's own)",
    )
    add("--split", help="shares of the scenes; what train leaves is val (default: train:0.8)")
    add("--seed", type=int, default=42, help="decides which scenes train (default: %(default)s)")
    add(
        "--workers",
        type=int,
        default=1,
        help="processes; the result does not depend on it (default: %(default)s)",
    )
    add(
        "--pole",
        help="what the north pole is: camera (the optical axis; default), vehicle (the camera's "
        "horizontal viewing direction), or zenith (default for panoramas and maps)",
    )
    add(
        "--invalid",
        default="ignore",
        help="label outside the field: ignore (255) or void (0) (default: %(default)s)",
    )
    add(
        "--antialias",
        action="store_true",
        help="average the image over every pixel where the grid is coarser than the image",
    )
    add(
        "--crop",
        type=crop,
        metavar="[L,T,R,B]",
        help="cut so many pixels from the left, top, right, bottom; alone: the green strips that "
        "WoodScape's images have",
    )
    add(
        "--own-vehicle",
        type=Path,
        metavar="DIR",
        help="masks CAMERA.png; where they are not 0 nothing is valid",
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help="convert the first N frames only, in the order of their names",
    )
    add("--camera", type=names, default="", help="convert these cameras only, e.g. FV,RV")
    add("--dry-run", action="store_true", help="say what would be read and written, and stop")
    add(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="at a frame whose files are wrong: stop, or leave it out and report it "
        "(default: %(default)s)",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", default=True, help="go on with what is unfinished"
    )
    existing.add_argument(
        "--overwrite", action="store_true", help="replace OUT, once the new set is whole"
    )
    parser.set_defaults(run=_convert)


def _add_street(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "street",
        help="generate street scenes seen by four fisheye cameras",
        description="Generate street scenes seen by the four fisheye cameras of a car, with exact "
        "classes and depth, in the folder layout of SynWoodScape.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, help="folder for the images")
    add("--scenes", type=int, default=8, metavar="N", help="number of scenes, four images each")
    add("--size", type=size, default="640x484", metavar="WxH", help="size of the images")
    add("--seed", type=int, default=1, help="decides everything in the scenes")
    add("--workers", type=int, default=1, help="processes; the result does not depend on it")
    add("--tilt", type=float, default=0.0, metavar="DEG", help="turn every camera by up to DEG")
    add("--panorama", type=size, metavar="WxH", help="also render the full sphere at this size")
    parser.set_defaults(run=_street)


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "inspect",
        help="show what a prepared set holds",
        description="Show contents, grid, cameras, classes and sizes of a prepared set.",
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="the prepared set")
    parser.add_argument("--verify", action="store_true", help="read and check every sample as well")
    parser.set_defaults(run=_inspect)


def _add_stats(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "stats",
        help="work out the statistics of the training split and store them",
        description="Work out mean, standard deviation, class frequencies, class weights and depth "
        "statistics of the training split, in one pass, and store them in the set. A conversion "
        "has done so already.",
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="the prepared set")
    parser.set_defaults(run=_stats)


def _add_preview(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "preview",
        help="draw some samples: source image, sphere, labels, depth",
        description="Draw a contact sheet of some samples as a PNG file: the source image, the "
        "sphere (or the resized image), labels and depth.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, help="the prepared set")
    add("out", metavar="OUT.png", type=Path, help="the picture")
    add("--samples", type=int, default=4, metavar="N", help="how many, spread over the set")
    add("--names", type=names, default="", help="these samples instead, e.g. 00001_FV,00002_RV")
    parser.set_defaults(run=_preview)


def _convert(arguments: argparse.Namespace) -> None:
    from data_prep.conversion import Conversion
    from data_prep.convert import convert

    conversion = Conversion(
        source=arguments.source,
        reader=arguments.reader,
        classes=arguments.classes,
        grid=arguments.grid,
        size=arguments.size,
        nside=arguments.nside,
        base_pixels=arguments.base_pixels,
        tasks=arguments.tasks,
        split=arguments.split,
        seed=arguments.seed,
        pole=arguments.pole,
        invalid=arguments.invalid,
        antialias=arguments.antialias,
        crop=arguments.crop,
        own_vehicle=arguments.own_vehicle,
        cameras=arguments.camera,
        limit=arguments.limit,
    )
    print(
        convert(
            conversion,
            arguments.out,
            workers=arguments.workers,
            overwrite=arguments.overwrite,
            dry_run=arguments.dry_run,
            on_error=arguments.on_error,
        )
    )


def _street(arguments: argparse.Namespace) -> None:
    from data_prep.street import write_street

    width, height = arguments.size
    write_street(
        arguments.out,
        scenes=arguments.scenes,
        width=width,
        height=height,
        seed=arguments.seed,
        workers=arguments.workers,
        tilt_degrees=arguments.tilt,
        panorama=arguments.panorama,
    )
    print(f"{arguments.out}: {arguments.scenes} scenes")


def _inspect(arguments: argparse.Namespace) -> None:
    from data_prep.describe import describe

    print(describe(arguments.data))
    if arguments.verify:
        from data_prep.verify import verify

        print(verify(arguments.data))


def _stats(arguments: argparse.Namespace) -> None:
    from data_prep.statistics import statistics

    print(statistics(arguments.data))


def _preview(arguments: argparse.Namespace) -> None:
    from data_prep.preview import preview

    print(preview(arguments.data, arguments.out, arguments.samples, arguments.names))


def _with_crop(argv: Sequence[str]) -> list[str]:
    """The arguments, with "green" after a --crop that stands alone.

    argparse would take the word that follows, be it SRC, for the option's value.
    """
    words = list(argv)
    for position, word in reversed(list(enumerate(words))):
        following = "".join(words[position + 1 : position + 2])
        if word == "--crop" and not re.fullmatch(r"[\d,]+|green", following):
            words[position] = "--crop=green"
    return words


if __name__ == "__main__":
    sys.exit(main())
