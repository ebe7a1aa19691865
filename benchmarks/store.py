"""Codecs of the prepared data set, for one image with labels: python benchmarks/store.py.

Times reading and writing of a generated street frame at nside 256 and 8 base pixels, uncompressed,
with zstd at levels 1 and 3, and as one compressed .npz file, all in one run.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr

from data_prep.street import Renderer, build_scene, surround_cameras, take_frame
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

ROUNDS = 30


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


def main() -> None:
    camera = surround_cameras(1280, 966)["FV"]
    frame = take_frame(Renderer(build_scene(1, 1)), camera)
    table = ImageToGrid(camera, HealpixGrid(256, range(8)))
    sample = {
        "image": table.bilinear(np.ascontiguousarray(frame.image)),
        "semantic": table.nearest(frame.semantic, 255),
    }
    codecs = {
        "uncompressed": None,
        "zstd level 1": zarr.codecs.ZstdCodec(level=1, checksum=True),
        "zstd level 3": zarr.codecs.ZstdCodec(level=3, checksum=True),
    }
    print(f"{'':14} {'read':>8} {'write':>8} {'size':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, codec in codecs.items():
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


if __name__ == "__main__":
    main()
