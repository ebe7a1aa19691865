"""The flat pictures that samples are made of, in their two parts: training and test."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from data_prep.mnist.idx import read_idx

# Names that stand for a source; a folder of that name comes first.
NAMED = ("digits", "mnist", "fashion-mnist")

FASHION_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

# Side of the pictures of scikit-learn's digits once they are scaled up: that of MNIST.
_SIDE = 28

# Of scikit-learn's 1797 digits so many train. They are in the order of their writers: cut in one
# place, nearly all the writers of the test part are unknown to the training part.
_DIGITS_TRAIN = 1500

# The class of a pixel is its digit + 1 and has 8 bits, of which 255 says that there is none.
_MOST_LABELS = 254

# Folders of SRC in which the files may lie: SRC itself, and what torchvision makes in its root.
_LAYOUTS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
_FILES = {
    "train": ("train-images{}idx3-ubyte", "train-labels{}idx1-ubyte"),
    "test": ("t10k-images{}idx3-ubyte", "t10k-labels{}idx1-ubyte"),
}


@dataclass(frozen=True)
class Pictures:
    """One part of a source.

    Args:
        images: (count, side, side) grey levels; 0 is the background.
        labels: (count,) what each shows.
    """

    images: UInt8[np.ndarray, "count side side"]
    labels: UInt8[np.ndarray, " count"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Originals:
    """A source that was read.

    Args:
        parts: "train" and "test".
        label_names: The name of label 0, 1, ...
        root: The folder of the files; the name of the source where there is none.
        files: ``{path, size, sha256}`` of every file, the path under `root`.
    """

    parts: dict[str, Pictures]
    label_names: tuple[str, ...]
    root: str
    files: list[dict[str, Any]]

    @property
    def side(self) -> int:
        """Pixels along a side of the pictures."""
        return self.parts["train"].images.shape[1]


def find_originals(source: str) -> Originals:
    """Read a source of pictures.

    Args:
        source: A folder of idx files, or one of `NAMED`: "digits" (scikit-learn's, which need no
            file), "mnist" or "fashion-mnist" (downloaded once through torchvision).

    Raises:
        ValueError: If there is no such source, or a file is missing or wrong.
        RuntimeError: If the download fails.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _from_folder(folder.resolve())
    if source == "digits":
        return _scikit_learn_digits()
    if source in NAMED:
        return _from_folder(_downloaded(source))
    raise ValueError(f"source={source!r} is no folder and none of the names {', '.join(NAMED)}")


def cache_folder() -> Path:
    """Where downloads are kept: HEALSWIN_CACHE, or healswin in the user's cache folder."""
    if os.environ.get("HEALSWIN_CACHE"):
        return Path(os.environ["HEALSWIN_CACHE"]).expanduser()
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "healswin"


def _from_folder(root: Path) -> Originals:
    places = [root / layout for layout in _LAYOUTS]
    found = [place for place in places if _existing(place, _FILES["train"][0]) is not None]
    if not found:
        raise ValueError(
            f"{root} holds no train-images-idx3-ubyte or train-images-idx3-ubyte.gz, nor does "
            f"{', '.join(_LAYOUTS[1:])} in it"
        )
    if len(found) > 1:
        both = " and ".join(str(place.relative_to(root)) for place in found)
        raise ValueError(f"{root} holds pictures in {both}: name the folder of one of them")
    place = found[0]
    paths = {part: _part_files(place, names) for part, names in _FILES.items()}
    parts = {part: _read_pictures(*two) for part, two in paths.items()}
    sides = {part: pictures.images.shape[1] for part, pictures in parts.items()}
    if sides["train"] != sides["test"]:
        raise ValueError(f"{place}: pictures for training and test have different sides: {sides}")
    return Originals(
        parts=parts,
        label_names=_label_names(place, parts),
        root=str(root),
        files=[_described(path, root) for two in paths.values() for path in two],
    )


def _part_files(place: Path, names: tuple[str, str]) -> tuple[Path, Path]:
    images, labels = (_existing(place, name) for name in names)
    for path, name in ((images, names[0]), (labels, names[1])):
        if path is None:
            raise ValueError(f"{place / name.format('-')} is missing (with or without .gz)")
    return images, labels


def _existing(place: Path, name: str) -> Path | None:
    """The file of this name; "train-images.idx3-ubyte" is in use as well."""
    for separator in "-.":
        for suffix in ("", ".gz"):
            path = place / (name.format(separator) + suffix)
            if path.is_file():
                return path
    return None


def _read_pictures(images_file: Path, labels_file: Path) -> Pictures:
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_file} holds {len(images)} pictures, {labels_file.name} {len(labels)} labels"
        )
    if images.shape[1] != images.shape[2] or 0 in images.shape:
        raise ValueError(f"{images_file} holds pictures of {images.shape}: squares are needed")
    if labels.max() >= _MOST_LABELS:
        raise ValueError(f"{labels_file} holds the label {labels.max()}, at most 253 can be kept")
    return Pictures(images, labels)


def _label_names(place: Path, parts: dict[str, Pictures]) -> tuple[str, ...]:
    """Nothing in the files says what they show, but the folder's name may."""
    count = max(10, *(int(pictures.labels.max()) + 1 for pictures in parts.values()))
    if count == 10 and any("fashion" in part.lower() for part in place.parts[-3:]):
        return FASHION_NAMES
    return tuple(map(str, range(count)))


def _described(path: Path, root: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {
        "path": path.relative_to(root).as_posix(),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _scikit_learn_digits() -> Originals:
    """1797 digits of 8 x 8 pixels with 17 grey levels, scaled up bilinearly.

    They are the test part of the "Optical Recognition of Handwritten Digits" of the UCI repository
    (Alpaydin and Kaynak 1998, doi:10.24432/C50P49).
    """
    import cv2
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.float32)
    scaled = [cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR) for image in grey]
    images = np.rint(scaled).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    content = np.ascontiguousarray(digits.images, dtype="<f8").tobytes() + labels.tobytes()
    return Originals(
        parts={
            "train": Pictures(images[:_DIGITS_TRAIN], labels[:_DIGITS_TRAIN]),
            "test": Pictures(images[_DIGITS_TRAIN:], labels[_DIGITS_TRAIN:]),
        },
        label_names=tuple(map(str, range(10))),
        root="digits",
        files=[
            {
                "path": "sklearn.datasets.load_digits",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
    )


def _downloaded(source: str) -> Path:
    """The folder into which torchvision puts, or has put, a data set's files."""
    name = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[source]
    root = cache_folder() / "datasets"
    files = root / name / "raw"
    if all(_existing(files, kind) for two in _FILES.values() for kind in two):
        return files
    elsewhere = "; download the four idx files elsewhere and name their folder instead"
    if os.environ.get("HEALSWIN_OFFLINE", "0") not in ("", "0"):
        raise ValueError(
            f"source={source!r} is not in {files} and HEALSWIN_OFFLINE forbids to download it"
            f"{elsewhere}"
        )
    # Only here: torchvision loads torch, which nothing else of the preparation needs.
    from torchvision import datasets

    try:
        getattr(datasets, name)(root, download=True)
    except (OSError, RuntimeError) as error:  # no network, a full disk, a wrong checksum
        raise RuntimeError(
            f"{source!r} cannot be downloaded into {root} ({error}){elsewhere}"
        ) from None
    return files
