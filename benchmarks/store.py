"""Reading and writing of prepared data sets: python benchmarks/store.py.

First the codecs, for one image with labels: a generated street frame at nside 256 and 8 base
pixels, uncompressed, with zstd at levels 1 and 3, and as one compressed .npz file. Then many small
samples, as large as a digit at nside 32 with its mask and its label: each in files of its own and
in shards, written and flushed to the disk (a second of the clock), then read in random order (a
second of one core, so that it may be busy with other things).
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr

from data_prep.street import Renderer, build_scene, surround_cameras, take_frame
from healswin.data.store import PreparedSet
from healswin.data.writer import PreparedSetWriter, SampleWriter, ShardWriter
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

ROUNDS = 30
DIGITS = 1024
SHARD = 256


def milliseconds(work: Callable[[], object]) -> float:
    """Median time of a call."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def size_of(path: Path) -> float:
    """Megabytes in a file or folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def codecs() -> None:
    camera = surround_cameras(1280, 966)["FV"]
    frame = take_frame(Renderer(build_scene(1, 1)), camera)
    table = ImageToGrid(camera, HealpixGrid(256, range(8)))
    sample = {
        "image": table.bilinear(np.ascontiguousarray(frame.image)),
        "semantic": table.nearest(frame.semantic, 255),
    }
    compressors = {
        "uncompressed": None,
        "zstd level 1": zarr.codecs.ZstdCodec(level=1, checksum=True),
        "zstd level 3": zarr.codecs.ZstdCodec(level=3, checksum=True),
    }
    print(f"{'':14} {'read':>8} {'write':>8} {'size':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, codec in compressors.items():
            root = Path(folder) / name.replace(" ", "_")
            arrays = {
                key: zarr.create_array(
                    root / key,
                    shape=(1, *value.shape),
                    chunks=(1, *value.shape),
                    dtype=value.dtype,
                    compressors=codec,
                )
                for key, value in sample.items()
            }

            def write(arrays: dict = arrays) -> None:
                for key, value in sample.items():
                    arrays[key][0] = value

            write_time = milliseconds(write)
            read_time = milliseconds(lambda arrays=arrays: [a[0] for a in arrays.values()])
            print(f"{name:14} {read_time:5.1f} ms {write_time:5.1f} ms {size_of(root):5.2f} MB")
        path = Path(folder) / "sample.npz"
        write_time = milliseconds(lambda: np.savez_compressed(path, **sample))
        read_time = milliseconds(lambda: dict(np.load(path)))
        print(f"{'npz':14} {read_time:5.1f} ms {write_time:5.1f} ms {size_of(path):5.2f} MB")


def digits() -> dict[str, np.ndarray]:
    """Smooth bright strokes on black, about a tenth of the sphere each, with masks and labels."""
    vectors = HealpixGrid(32).vectors()
    random = np.random.default_rng(0)
    images = np.empty((DIGITS, len(vectors), 1), dtype=np.uint8)
    for image in images:
        # A stroke is a part of a great circle that is not too wide.
        pole, end = np.linalg.qr(random.normal(size=(3, 2)))[0].T
        height = np.exp(-((vectors @ pole / 0.15) ** 2)) * (vectors @ end > 0.3)
        image[:, 0] = np.rint(255 * np.where(height > 0.1, height, 0))
    return {
        "image": images,
        "semantic": (images[..., 0] > 150).astype(np.uint8),
        "label": np.arange(DIGITS) % 10,
    }


def small_samples() -> None:
    arrays = digits()
    pixels = arrays["image"].shape[1]
    layout = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    layout["valid"] = ((1, pixels), "bool")
    attributes = {
        "tasks": ["semantic", "label"],
        "cameras": [{"key": "sphere", "calibration": None}],
        "sample_names": [str(index) for index in range(DIGITS)],
        "sample_camera": ["sphere"] * DIGITS,
    }
    order = np.random.default_rng(1).permutation(DIGITS).tolist()
    print(f"\n{'':20} {'written':>12} {'read':>12} {'size':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, shard in (("a file each", None), (f"shards of {SHARD}", SHARD)):
            root = Path(folder) / name.replace(" ", "_")
            start = time.perf_counter()
            with PreparedSetWriter(root, {}, layout, shard=shard) as writer:
                SampleWriter(writer.partial, ["valid"]).write(0, {"valid": np.ones(pixels, bool)})
                chunks = (SampleWriter if shard is None else ShardWriter)(
                    writer.partial, list(arrays)
                )
                for unit in range(writer.units):
                    part = slice(unit * (shard or 1), (unit + 1) * (shard or 1))
                    values = {key: array[part] for key, array in arrays.items()}
                    if shard is None:
                        values = {key: np.asarray(array[0]) for key, array in values.items()}
                    chunks.write(unit, values)
                    writer.record(unit, {})
                writer.finish(attributes)
            written = DIGITS / (time.perf_counter() - start)
            prepared = PreparedSet.open(root)
            start = time.process_time()
            for index in order:
                prepared.image(index), prepared.semantic(index), prepared.label(index)
            read = DIGITS / (time.process_time() - start)
            print(f"{name:20} {written:10.0f}/s {read:10.0f}/s {size_of(root):6.2f} MB")


def main() -> None:
    codecs()
    small_samples()


if __name__ == "__main__":
    main()
