"""Frames a second of the scene generator on one core, files written: python benchmarks/street.py.

Prints the rate, and the share of the time that goes into rendering, both from one run.
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when numpy is loaded

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from data_prep.street import Renderer, build_scene, surround_cameras, take_frame, write_street


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=484)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    size = (arguments.width, arguments.height)
    cameras = surround_cameras(*size).values()
    for camera in cameras:  # the rays of a camera are made once, before the clock starts
        take_frame(Renderer(build_scene(1, 1)), camera)

    start = time.perf_counter()
    for number in range(1, arguments.scenes + 1):
        renderer = Renderer(build_scene(1, number))
        for camera in cameras:
            take_frame(renderer, camera)
    rendering = time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_street(Path(folder) / "raw", arguments.scenes, *size, 1, 1, progress=False)
        writing = time.perf_counter() - start
    frames = 4 * arguments.scenes
    print(
        f"{size[0]} x {size[1]}: {frames / writing:.2f} frames/s on one core with files, "
        f"{rendering / writing:.0%} of the time is rendering"
    )


if __name__ == "__main__":
    main()
