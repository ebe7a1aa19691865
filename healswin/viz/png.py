"""Writing pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write a picture as PNG, whole or not at all.

    The bytes go to a file beside ``path`` that is then renamed, so that a reader, or a run that
    is killed, never meets half a picture. Missing folders are made.

    Args:
        path: Where to write; the name must end in ``.png``.
        image: RGB, uint8 (height, width, 3).

    Returns:
        The path.

    Raises:
        ValueError: If the image is no uint8 RGB array or the name does not end in ``.png``.
    """
    import cv2

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"path={path} must end in .png")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"image for {path} is {image.dtype} {image.shape}; expected uint8 (height, width, 3)"
        )
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(encoded.tobytes())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
