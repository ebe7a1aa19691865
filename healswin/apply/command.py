"""The command ``healswin apply``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from healswin.options import add_device, add_model, check_folder, model_of, progress
from healswin.outcome import status_of

if TYPE_CHECKING:
    import numpy as np

    from healswin.apply.application import Applied
    from healswin.apply.inputs import Photograph
    from healswin.cameras import Camera
    from healswin.zoo.config import ModelConfig
    from healswin.zoo.model import ZooModel

# Tables of so many cameras are kept: a surround rig.
_TABLES_KEPT = 4
# Of a model with many labels only the likeliest are printed; all are in scores.json.
_LABELS_SHOWN = 3


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: Arguments after ``healswin apply``.

    Returns:
        Exit status: 0; 1 if images were left out with ``--on-error skip``; 2 for input that cannot
        be used, with one line that says why. With HEALSWIN_TRACEBACK in the environment the error
        is raised instead.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin apply",
        description="Apply a model to photographs: classes or depth in the photograph and on the "
        "sphere. Each gets a folder DIR/NAME with overlay.png, labels.png (255: nothing known), "
        "colours.png, or depth.npy and depth.png, or scores.json; and sphere.png.",
        epilog="healswin apply healswin_tiny.street --image front.jpg --calibration front.json "
        "--out seen",
    )
    add = parser.add_argument
    add_model(parser)
    add(
        "--image",
        nargs="+",
        type=Path,
        metavar="PATH",
        default=[],
        help="images, or folders of images",
    )
    add(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="calibration of the images (.json, .yaml), or a folder of them: CAMERA/NAME.*, NAME.* "
        "or CAMERA.*, CAMERA being the part of an image's name after the last _ or its folder "
        "(default: NAME.* beside the image, or calibration.* in its folder)",
    )
    add(
        "--panorama",
        action="store_true",
        help="the images are equirectangular pictures of the whole sphere, and need no calibration",
    )
    add(
        "--map",
        nargs="+",
        type=Path,
        metavar="FILE",
        default=[],
        help="instead of images: maps of the sphere in .npy files, (pixels,) or (channels, "
        "pixels), RING, or NESTED where the name ends in _nest.npy; for models of sky maps or "
        "digits",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add(
        "--camera",
        metavar="NAME",
        help="the camera's name, e.g. FV, if the calibration does not state it and the model's "
        "pole needs it",
    )
    add_device(parser)
    add(
        "--batch-size",
        type=int,
        default=1,
        metavar="N",
        help="images that the model sees at a time (default: %(default)s)",
    )
    add(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="at an image that cannot be used: stop, or leave it out, report it at the end and "
        "exit with 1 (default: %(default)s)",
    )
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from healswin.apply.inputs import find_photographs

    if bool(arguments.image) == bool(arguments.map):
        raise ValueError("give images with --image, or maps with --map")
    if arguments.panorama and arguments.calibration:
        raise ValueError("--panorama needs no --calibration: give one of them")
    if arguments.batch_size < 1:
        raise ValueError(f"--batch-size {arguments.batch_size} must be at least 1")
    check_folder("--out", arguments.out)
    # What is missing is told before torch is loaded.
    missing = [path for path in arguments.map if not path.is_file()]
    if missing:
        raise ValueError(f"the map {missing[0]} does not exist")
    photographs = []
    if arguments.image:
        photographs = find_photographs(arguments.image, arguments.calibration, arguments.panorama)
    model = model_of(arguments)
    if arguments.map:
        for path in arguments.map:
            _apply_map(model, path, arguments.out)
        return 0
    from healswin.apply.application import check_takes_photographs

    check_takes_photographs(model)
    work = _Work(model, arguments.out, arguments.camera, arguments.on_error == "skip")
    with progress("applying", len(photographs)) as advance:
        for batch in _batches(work.load(photographs, advance), arguments.batch_size):
            work.apply(batch)
            advance(len(batch))
    for failure in work.failures:
        print(f"healswin: left out: {failure}", file=sys.stderr)
    if work.failures:
        print(
            f"healswin: {len(work.failures)} of {len(photographs)} images were left out",
            file=sys.stderr,
        )
    return 1 if work.failures else 0


@dataclass(frozen=True)
class _Loaded:
    """An image that was read, and its calibration."""

    photograph: Photograph
    image: np.ndarray
    camera: Camera


class _Work:
    """Reads images, applies the model and writes what it says.

    Args:
        model: The model.
        out: Folder of the results.
        camera: What the camera is called, whatever the calibrations say.
        skip: Whether images that cannot be used are left out, or raised.
    """

    def __init__(self, model: ZooModel, out: Path, camera: str | None, skip: bool) -> None:
        from healswin.apply.application import Applier
        from healswin.cameras import read_calibration

        self.model = model
        self.out = out
        self.camera = camera
        self.skip = skip
        self.failures: list[str] = []
        # A camera takes long to make and its tables longer, and one serves many images.
        self._read = lru_cache(maxsize=None)(read_calibration)
        self._tables = lru_cache(maxsize=_TABLES_KEPT)(lambda camera: Applier(model, camera))

    def load(
        self, photographs: Sequence[Photograph], advance: Callable[[int], None]
    ) -> Iterator[_Loaded]:
        """The images that can be used; those that cannot are noted down, or raised."""
        from healswin.apply.inputs import camera_of, read_photograph

        for photograph in photographs:
            try:
                image = read_photograph(photograph.path)
                size = (image.shape[1], image.shape[0])
                camera = camera_of(photograph, size, self.camera, self._read)
                self._tables(camera)
            except ValueError as error:
                self._failed(photograph, error)
                advance(1)
                continue
            yield _Loaded(photograph, image, camera)

    def apply(self, batch: Sequence[_Loaded]) -> None:
        """Apply the model to images of one camera, and write what it says of them."""
        from healswin.apply.pictures import write_applied

        config, grid = self.model.config, self.model.grid
        results = self._tables(batch[0].camera)([loaded.image for loaded in batch])
        for loaded, applied in zip(batch, results, strict=True):
            folder = self.out / loaded.photograph.name
            files = write_applied(folder, applied, config, grid, loaded.image, loaded.camera)
            _report(folder, files, applied, config)

    def _failed(self, photograph: Photograph, error: ValueError) -> None:
        text = str(error)
        message = text if str(photograph.path) in text else f"{photograph.path}: {text}"
        if not self.skip:
            raise ValueError(message) from None
        self.failures.append(message)


def _batches(loaded: Iterable[_Loaded], size: int) -> Iterator[list[_Loaded]]:
    """At most ``size`` consecutive images of one camera at a time."""
    batch: list[_Loaded] = []
    for item in loaded:
        if batch and (len(batch) == size or item.camera != batch[0].camera):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _apply_map(model: ZooModel, path: Path, out: Path) -> None:
    from healswin.apply.maps import apply_to_map, read_map
    from healswin.apply.pictures import write_applied

    values, order = read_map(path)
    try:
        applied = apply_to_map(model, values, order)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    folder = out / path.stem
    _report(folder, write_applied(folder, applied, model.config, model.grid), applied, model.config)


def _report(folder: Path, files: Sequence[str], applied: Applied, config: ModelConfig) -> None:
    """One line: where the files are, and of models that classify the likeliest labels."""
    if applied.scores is None:
        print(f"{folder}: {', '.join(files)}")
        return
    from healswin.apply.pictures import class_legend, ranked

    scores = list(ranked(applied, class_legend(config)[0]).items())[:_LABELS_SHOWN]
    print(f"{folder}: " + ", ".join(f"{label} {score:.3f}" for label, score in scores))
