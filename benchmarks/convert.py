"""Speed of converting and loading, in one run: python benchmarks/convert.py.

Prints how many times as fast each part is as its plain counterpart:

* sampling: one image with its labels onto the grid, against a numpy gather with the same bilinear
  weights and the same nearest pixels;
* conversion, one worker: whole, with reading, checking, compressing and flushing to the disk,
  against only decoding the same images and labels;
* conversion, two workers: against one;
* loading: samples of the set in random order, against one compressed .npz file a sample, with the
  bytes that both take.

The frames are generated: a few distinct ones, again and again under other names. Both sides of a
row take turns; medians are printed. Everything runs on one core but the two workers.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when numpy is loaded

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from data_prep.convert import Conversion, convert
from healswin.cameras import Camera, read_calibration
from healswin.data.store import PreparedSet
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

Work = Callable[[], object]

# What the project asks for: ratios of rates, and of bytes.
TARGETS = {"sampling": 6.0, "one worker": 0.5, "two workers": 1.7, "loading": 1.5}
MOST_BYTES = 1.2


class PlainGather:
    """Sampling with arrays of indices and weights, as one would write it in numpy.

    Args:
        table: Says where in the image the grid's pixels lie.
        camera: Calibration of the images.
    """

    def __init__(self, table: ImageToGrid, camera: Camera) -> None:
        self.valid = table.valid
        u, v = table.coordinates[table.valid].T
        left, top = np.floor(u), np.floor(v)
        right_share, lower_share = u - left, v - top
        columns = np.clip([left, left + 1], 0, camera.width - 1).astype(np.int64)
        rows = np.clip([top, top + 1], 0, camera.height - 1).astype(np.int64)
        self.corners = [
            (
                rows[below] * camera.width + columns[right],
                (
                    np.where(below, lower_share, 1 - lower_share)
                    * np.where(right, right_share, 1 - right_share)
                ).astype(np.float32)[:, None],
            )
            for below in (0, 1)
            for right in (0, 1)
        ]
        nearest_u = np.clip(np.floor(u + 0.5), 0, camera.width - 1).astype(np.int64)
        nearest_v = np.clip(np.floor(v + 0.5), 0, camera.height - 1).astype(np.int64)
        self.nearest = nearest_v * camera.width + nearest_u

    def __call__(
        self, image: UInt8[np.ndarray, "height width 3"], classes: UInt8[np.ndarray, "height width"]
    ) -> tuple[UInt8[np.ndarray, "pixels 3"], UInt8[np.ndarray, " pixels"]]:
        """Image and labels on the grid, 0 and 255 where not valid."""
        pixels = image.reshape(-1, 3)
        mixed = sum(weights * pixels[index] for index, weights in self.corners)
        colours = np.zeros((self.valid.size, 3), dtype=np.uint8)
        colours[self.valid] = np.floor(mixed + 0.5)
        labels = np.full(self.valid.size, 255, dtype=np.uint8)
        labels[self.valid] = classes.ravel()[self.nearest]
        return colours, labels


def medians(rounds: int, *works: Work, before: Work = lambda: None) -> list[float]:
    """Median seconds of each of several works that take turns; ``before`` each, not timed."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            before()
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [float(np.median(taken)) for taken in times]


def print_row(cells: Sequence[str]) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def report(what: str, ours: str, plain: str, ratio: float, target: float, most: bool) -> bool:
    """Print a row; return whether its target is met."""
    met = ratio <= target if most else ratio >= target
    bound = f"{'at most' if most else 'at least'} {target:.1f}"
    print_row([what, ours, plain, f"{ratio:.2f}", bound, "met" if met else "missed"])
    return met


def make_frames(root: Path, scenes: int, distinct: int, width: int, height: int) -> None:
    """Write scenes in the layout of SynWoodScape; the first ``distinct`` ones repeat."""
    # Here, because every worker of a conversion loads this file again.
    from data_prep.street import write_street

    write_street(root, distinct, width, height, seed=1, workers=2, progress=False)
    for folder in ("rgb_images", "semantic_annotations/gtLabels", "calibration"):
        for original in sorted((root / folder).iterdir()):
            first, _, rest = original.name.partition("_")
            for number in range(int(first) + distinct, scenes + 1, distinct):
                os.link(original, original.with_name(f"{number:05d}_{rest}"))


def sampling(raw: Path, grid: HealpixGrid, rounds: int) -> bool:
    """One image with labels, against the plain gather."""
    image_file = min((raw / "rgb_images").iterdir())
    labels_file = raw / "semantic_annotations" / "gtLabels" / image_file.name
    image = cv2.imread(str(image_file), cv2.IMREAD_COLOR_RGB)
    classes = cv2.imread(str(labels_file), cv2.IMREAD_UNCHANGED)
    camera = read_calibration(raw / "calibration" / f"{image_file.stem}.json")
    table = ImageToGrid(camera, grid)
    plain = PlainGather(table, camera)

    def ours() -> tuple[np.ndarray, np.ndarray]:
        return table.bilinear(image), table.labels(classes, 255)

    (colours, labels), (plain_colours, plain_labels) = ours(), plain(image, classes)
    difference = np.abs(colours.astype(int) - plain_colours)
    if difference.max() > 1 or difference.mean() > 1e-3 or (labels != plain_labels).any():
        raise AssertionError("the two ways of sampling differ by more than rounding")
    here, there = medians(rounds, ours, lambda: plain(image, classes))
    return report(
        "sampling, plain gather",
        f"{1e3 * here:.1f} ms",
        f"{1e3 * there:.1f} ms",
        there / here,
        TARGETS["sampling"],
        most=False,
    )


def conversion(raw: Path, folder: Path, grid: HealpixGrid, rounds: int) -> tuple[bool, Path]:
    """Whole conversions, against decoding alone and against each other; and one set made."""
    files = sorted((raw / "rgb_images").iterdir())
    labels = [raw / "semantic_annotations" / "gtLabels" / file.name for file in files]
    arguments = Conversion(
        raw, nside=grid.nside, base_pixels=grid.base_pixels, tasks=("semantic",), split="train:1"
    )
    out = folder / "set"

    def convert_with(workers: int) -> None:
        convert(arguments, out, workers=workers, progress=False)

    def clear() -> None:
        # What an earlier conversion left to the disk to write must not slow down the next.
        shutil.rmtree(out, ignore_errors=True)
        os.sync()

    def decode() -> None:
        for image, label in zip(files, labels, strict=True):
            cv2.imdecode(np.fromfile(image, np.uint8), cv2.IMREAD_COLOR)
            cv2.imdecode(np.fromfile(label, np.uint8), cv2.IMREAD_UNCHANGED)

    decode()  # all files are in memory before the clock starts
    one, decoding, two = medians(
        rounds, lambda: convert_with(1), decode, lambda: convert_with(2), before=clear
    )
    count = len(files)
    rates = [f"{count / seconds:.1f} frames/s" for seconds in (one, decoding, two)]
    alone = report(
        "conversion, decoding alone",
        rates[0],
        rates[1],
        decoding / one,
        TARGETS["one worker"],
        most=False,
    )
    together = report(
        "conversion with two workers, one worker",
        rates[2],
        rates[0],
        one / two,
        TARGETS["two workers"],
        most=False,
    )
    return alone and together, out


def size_of(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def loading(out: Path, folder: Path, rounds: int) -> bool:
    """Samples in random order, against one compressed .npz a sample."""
    prepared = PreparedSet.open(out)
    archives = folder / "npz"
    archives.mkdir()
    for index in range(len(prepared)):
        image, semantic = prepared.image(index), prepared.semantic(index)
        np.savez_compressed(archives / f"{index}.npz", image=image, semantic=semantic)
    order = np.random.default_rng(1).permutation(len(prepared)).tolist()

    def ours() -> None:
        for index in order:
            prepared.image(index)
            prepared.semantic(index)

    def plain() -> None:
        for index in order:
            with np.load(archives / f"{index}.npz") as archive:
                archive["image"], archive["semantic"]

    here, there = medians(rounds, ours, plain)
    sizes = [size_of(place) / len(prepared) for place in (out, archives)]
    fast = report(
        "loading, one .npz a sample",
        f"{len(order) / here:.0f} samples/s",
        f"{len(order) / there:.0f} samples/s",
        there / here,
        TARGETS["loading"],
        most=False,
    )
    small = report(
        "size of the set, one .npz a sample",
        f"{sizes[0] / 1e6:.2f} MB a sample",
        f"{sizes[1] / 1e6:.2f} MB a sample",
        sizes[0] / sizes[1],
        MOST_BYTES,
        most=True,
    )
    return fast and small


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=320, help="of four frames each")
    parser.add_argument("--distinct", type=int, default=2, help="different scenes among them")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of conversion and loading")
    parser.add_argument("--sampling-rounds", type=int, default=30)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=966)
    parser.add_argument("--nside", type=int, default=256)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    arguments = parse(argv)
    cv2.setNumThreads(1)
    grid = HealpixGrid(arguments.nside, range(8))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "raw"
        make_frames(raw, arguments.scenes, arguments.distinct, arguments.width, arguments.height)
        print(
            f"{4 * arguments.scenes} frames of {arguments.width} x {arguments.height}, nside "
            f"{grid.nside}, base pixels 0-7, OpenCV {cv2.__version__}, numpy {np.__version__}\n"
        )
        print_row(["A, B", "A", "B", "ratio A : B", "target", ""])
        print_row(["---"] * 6)
        met = [sampling(raw, grid, arguments.sampling_rounds)]
        converted, out = conversion(raw, folder, grid, arguments.rounds)
        met += [converted, loading(out, folder, arguments.rounds)]
    print(f"\n{'All targets are met.' if all(met) else 'Not all targets are met.'}")


if __name__ == "__main__":
    main(sys.argv[1:])
