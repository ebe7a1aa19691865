"""Back to the files a prepared set was made from: images and labels at full resolution.

A set stores the folder of its sources and the files' relative paths, not the files. Where they are
absent these functions return None, and whoever reports figures in the image says so.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from healswin.data.store import PreparedSet


def source_file(
    prepared: PreparedSet, index: int, kind: str, source: str | Path | None = None
) -> Path | None:
    """The path of one source file of a sample, None where it is absent.

    Args:
        prepared: The set.
        index: The sample.
        kind: "image", "semantic" or "depth".
        source: Folder to look in instead of the one the set was made from.
    """
    relative = prepared.source_files(index).get(kind)
    if relative is None:
        return None
    path = (prepared.source_root if source is None else Path(source)) / relative
    return path if path.is_file() else None


def source_image(
    prepared: PreparedSet, index: int, source: str | Path | None = None
) -> UInt8[np.ndarray, "height width 3"] | None:
    """The RGB image that a sample was made from, None where it is absent.

    Raises:
        ValueError: If the file is there but is not the image that was converted.
    """
    path = source_file(prepared, index, "image", source)
    if path is None:
        return None
    return cv2.cvtColor(_decoded(prepared, index, path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def source_labels(
    prepared: PreparedSet, index: int, source: str | Path | None = None
) -> UInt8[np.ndarray, "height width"] | None:
    """The class of each pixel of a sample's source image, None where the labels are absent.

    The ids in the file become classes through the map that the conversion used.

    Raises:
        ValueError: If the file is there but is not the label image that was converted.
    """
    path = source_file(prepared, index, "semantic", source)
    if path is None:
        return None
    ids = _decoded(prepared, index, path, cv2.IMREAD_UNCHANGED)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ValueError(f"{path} is {ids.dtype} {ids.shape}, an 8-bit grey label image is needed")
    class_map = np.asarray(prepared.attributes["class_map"], dtype=np.uint8)
    if ids.max() >= class_map.size:
        raise ValueError(
            f"{path} holds the id {ids.max()}, the set was made from ids 0..{class_map.size - 1}"
        )
    return class_map[ids]


def _decoded(prepared: PreparedSet, index: int, path: Path, flag: int) -> np.ndarray:
    image = cv2.imread(str(path), flag)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    camera = prepared.cameras[prepared.sample_camera[index]]
    if image.shape[:2] != (camera.height, camera.width):
        raise ValueError(
            f"{path} is {image.shape[1]} x {image.shape[0]} pixels, the image that was converted "
            f"was {camera.width} x {camera.height}: is the source folder the right one?"
        )
    return image
