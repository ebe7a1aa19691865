"""A tiny MNIST for the tests: pictures of 8 x 8 pixels in the four idx files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

SIDE = 8


def idx_bytes(values: np.ndarray) -> bytes:
    """An array of unsigned bytes as an idx file holds it."""
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def tiny_pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright strokes on a dark ground, and labels 0 to 9 in turn."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, SIDE, SIDE), dtype=np.uint8)
    images[:, 1:7, 2:6] = rng.integers(0, 256, (count, 6, 4))
    images[:, 3, 3] = 255
    return images, (np.arange(count) % 10).astype(np.uint8)


def write_idx_folder(root: Path, train: int = 24, test: int = 10, compressed: bool = True) -> Path:
    """Write the four files with as many pictures and return the folder."""
    root.mkdir(parents=True)
    for name, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = tiny_pictures(count, seed)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx_bytes(values)
            path = root / f"{name}-{kind}-ubyte"
            if compressed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                path.write_bytes(data)
    return root
