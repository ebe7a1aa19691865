"""Back to the files a prepared set was made from: images, labels and depth at full resolution.

A set stores the folder of its sources and the files' relative paths, not the files. Where they are
absent these functions return None, and whoever reports figures in the image says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from healswin.data.depth_files import DepthFiles
from healswin.data.store import IGNORE_INDEX, PreparedSet

# In a map from ids to classes: an id that no label image may hold.
UNKNOWN_ID = -1
# One value of eight bits marks what is ignored, another one what is not known.
MAX_CLASSES = 254
_UNKNOWN_CLASS = 254


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
    """The RGB image that a sample was made from, None where it is absent or was a HEALPix map.

    It is cut as it was for the conversion, so that the sample's camera fits it.

    Raises:
        ValueError: If the file is there but is not the image that was converted.
    """
    path = source_file(prepared, index, "image", source)
    if path is None:
        return None
    # Conversions take the pixels as they are stored, whatever an orientation tag says.
    return _decoded(prepared, index, path, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def source_labels(
    prepared: PreparedSet, index: int, source: str | Path | None = None
) -> UInt8[np.ndarray, "height width"] | None:
    """The class of each pixel of a sample's source image, None where the labels are absent.

    The ids in the file become classes through the map that the conversion used, and the image is
    cut as it was.

    Raises:
        ValueError: If the file is there but is not the label image that was converted.
    """
    path = source_file(prepared, index, "semantic", source)
    if path is None:
        return None
    ids = _decoded(prepared, index, path, cv2.IMREAD_UNCHANGED)
    if ids is None:
        return None
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ValueError(f"{path} is {ids.dtype} {ids.shape}, an 8-bit grey label image is needed")
    return classes_of_ids(ids, prepared.attributes["class_map"], str(path))


def source_depth(
    prepared: PreparedSet, index: int, source: str | Path | None = None
) -> Float32[np.ndarray, "height width"] | None:
    """The depth of each pixel of a sample's source image in metres; +inf sky, NaN unknown.

    The numbers in the file become metres as in the conversion, and the image is cut as it was.

    Returns:
        None where the file is absent, or the set does not say what its depth files hold because it
        was made before sets said so.

    Raises:
        ValueError: If the file is there but is not the depth that was converted.
    """
    path = source_file(prepared, index, "depth", source)
    coding = prepared.attributes.get("depth_source")
    if path is None or coding is None:
        return None
    if path.suffix.lower() == ".npy":
        try:
            stored = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{path} cannot be read as an array: {error}") from None
        stored = _cut(prepared, index, path, stored)
    else:
        stored = _decoded(prepared, index, path, cv2.IMREAD_UNCHANGED)
    if stored is None:
        return None
    if stored.ndim != 2:
        raise ValueError(f"{path} has shape {stored.shape}, one depth for each pixel is needed")
    return DepthFiles(**coding).metres(stored, str(path))


def classes_of_ids(
    ids: UInt8[np.ndarray, "height width"], class_of_id: Sequence[int], file: str
) -> UInt8[np.ndarray, "height width"]:
    """The class of each pixel of a label image, 255 where it is ignored.

    Args:
        ids: The ids in the image.
        class_of_id: The class of each id 0, 1, ...; 255 is ignored, `UNKNOWN_ID` is not known. The
            id 255 is ignored, unless it has a class here.
        file: Name of the label file, for the message.

    Raises:
        ValueError: If the image holds ids that have no class.
    """
    table = np.full(256, _UNKNOWN_CLASS, dtype=np.uint8)
    known = [id_ for id_, class_ in enumerate(class_of_id) if class_ != UNKNOWN_ID]
    table[known] = [class_of_id[id_] for id_ in known]
    if IGNORE_INDEX not in known:
        table[IGNORE_INDEX] = IGNORE_INDEX
    classes = cv2.LUT(ids, table)
    strange = classes == _UNKNOWN_CLASS
    if strange.any():
        found = ", ".join(map(str, np.unique(ids[strange])))
        raise ValueError(
            f"{file} holds the unknown class ids {found}; the ids are {_ranges(known)}, and 255 is "
            "ignored"
        )
    return classes


def _ranges(ids: Sequence[int]) -> str:
    """Increasing numbers in words, e.g. "0 to 3, 7"."""
    firsts = [i for i in ids if i - 1 not in ids]
    lasts = [i for i in ids if i + 1 not in ids]
    pairs = zip(firsts, lasts, strict=True)
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in pairs)


def _decoded(prepared: PreparedSet, index: int, path: Path, flags: int) -> np.ndarray | None:
    """The part of a source image that was converted; None if it is a map and no image."""
    if prepared.sample_camera[index] not in prepared.cameras:
        return None
    image = cv2.imread(str(path), flags)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return _cut(prepared, index, path, image)


def _cut(prepared: PreparedSet, index: int, path: Path, image: np.ndarray) -> np.ndarray | None:
    """The part of a source array (height, width, ...) that was converted; None without a camera."""
    camera = prepared.cameras.get(prepared.sample_camera[index])
    if camera is None:
        return None
    # Sets that were made before images could be cropped do not say it.
    left, top, right, bottom = prepared.attributes.get("crop", (0, 0, 0, 0))
    width, height = camera.width + left + right, camera.height + top + bottom
    if image.shape[:2] != (height, width):
        raise ValueError(
            f"{path} is {image.shape[1]} x {image.shape[0]} pixels, the image that was converted "
            f"was {width} x {height}: is the source folder the right one?"
        )
    return np.ascontiguousarray(image[top : height - bottom, left : width - right])
