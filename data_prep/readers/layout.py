"""Folders of images with labels and depth beside them, as `folder` and `panorama` read them.

* ``images/NAME.png``, ``.jpg`` or ``.jpeg`` (or in ``rgb/``, ``rgb_images/``, or SRC itself);
* ``labels/NAME.png`` (or ``semantic/``): 8-bit grey;
* ``depth/NAME.npy`` or ``.png``: see `data_prep.readers.depth`.

Where there are several cameras each may have a folder inside these: ``images/CAMERA/NAME.png``,
``labels/CAMERA/NAME.png``, ``depth/CAMERA/NAME.npy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_prep.readers.files import files_in, folders_in
from data_prep.readers.images import IMAGE_SUFFIXES

_IMAGE_FOLDERS = ("images", "rgb", "rgb_images")
# Where the files of a task lie and what their names end in, the preferred one first.
_PLACES = {
    "semantic": (("labels", "semantic"), (".png",)),
    "depth": (("depth",), (".npy", ".png")),
}
# No cameras, where the images lie in the source itself.
_OTHER_FOLDERS = ("labels", "semantic", "depth", "calibration")


@dataclass(frozen=True)
class FoundImage:
    """An image and the files of its tasks.

    Args:
        stem: Its file's name without the suffix.
        folder: The camera's folder that it lies in, "" if it lies in none.
        files: Paths under the source's root by kind: "image" and the tasks.
    """

    stem: str
    folder: str
    files: dict[str, str]

    @property
    def key(self) -> str:
        """The path without suffix inside the folder of images."""
        return f"{self.folder}/{self.stem}" if self.folder else self.stem

    @property
    def name(self) -> str:
        """The sample's name."""
        return f"{self.stem}_{self.folder}" if self.folder else self.stem


def find_images(root: Path, tasks: tuple[str, ...]) -> list[FoundImage]:
    """The images of a source in the order of their names.

    The label of an image that lacks one is named where it ought to be.

    Raises:
        ValueError: If there is none, or a name is doubled.
    """
    top = image_folder(root)
    images = stems(root, top, IMAGE_SUFFIXES)
    if not images:
        places = "/, ".join(_IMAGE_FOLDERS)
        raise ValueError(
            f"{root} holds no images: {', '.join(IMAGE_SUFFIXES)} files are expected in {places}/ "
            "or the folder itself"
        )
    found = {task: _task_files(root, task) for task in tasks}
    result: dict[str, FoundImage] = {}
    for key, path in images.items():
        folder, _, stem = key.rpartition("/")
        files = {"image": path}
        for task in tasks:
            folders, suffixes = _PLACES[task]
            place = _first_folder(root, folders) or folders[0]
            files[task] = found[task].get(key, f"{place}/{key}{suffixes[0]}")
        image = FoundImage(stem, folder, files)
        if image.name in result:
            other = result[image.name].files["image"]
            raise ValueError(f"the name {image.name} is doubled: {root / other} and {root / path}")
        result[image.name] = image
    return [image for _, image in sorted(result.items())]


def has_labels(root: Path) -> bool:
    """Whether a source holds any label image."""
    return bool(_task_files(root, "semantic"))


def image_folder(root: Path) -> str:
    """The folder of the images under the root; "" for the root itself."""
    return _first_folder(root, _IMAGE_FOLDERS)


def stems(root: Path, top: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """The files in a folder and in the folders inside it.

    Args:
        root: The source.
        top: The folder under it; "" for the root itself.
        suffixes: What the names end in.

    Returns:
        The path under the root by the path without suffix inside `top`.

    Raises:
        ValueError: If a name is there with two suffixes, or a folder may not be read.
    """
    inner = [name for name in folders_in(root / top) if top or name not in _OTHER_FOLDERS]
    found: dict[str, str] = {}
    for folder in ("", *inner):
        place = Path(top, folder)
        for name in files_in(root / place, suffixes):
            key, path = Path(folder, name).with_suffix("").as_posix(), (place / name).as_posix()
            if key in found:
                raise ValueError(
                    f"the name {key} is doubled: {root / found[key]} and {root / path}"
                )
            found[key] = path
    return found


def _task_files(root: Path, task: str) -> dict[str, str]:
    folders, suffixes = _PLACES[task]
    place = _first_folder(root, folders)
    return stems(root, place, suffixes) if place else {}


def _first_folder(root: Path, names: tuple[str, ...]) -> str:
    return next((name for name in names if (root / name).is_dir()), "")
