"""Finding and reading files, with messages that name what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's complaints about a file or folder into errors that name it.

    Raises:
        ValueError: If it is missing, may not be read, or is a folder where a file is needed.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path} is missing") from None
    except PermissionError:
        raise ValueError(f"{path} may not be read: no permission") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, a file is needed") from None


def read_bytes(path: Path) -> bytes:
    """The contents of a file.

    Raises:
        ValueError: If it is missing or may not be read.
    """
    with reading(path):
        return path.read_bytes()


def source_folder(root: Path) -> Path:
    """The root of a source, checked.

    Raises:
        ValueError: If it is no folder or may not be read.
    """
    with reading(root):
        if not root.exists():
            raise ValueError(f"the source folder {root} does not exist")
        if not root.is_dir():
            raise ValueError(f"the source {root} is a file, a folder is needed")
        os.listdir(root)
    return root


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names of the files of a folder that end in one of some suffixes, in any case, sorted.

    Hidden files do not count; a folder that does not exist has none.

    Raises:
        ValueError: If the folder may not be read.
    """
    return [
        entry.name
        for entry in _entries(folder)
        if entry.name.lower().endswith(suffixes) and entry.is_file()
    ]


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, like `files_in`."""
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with reading(folder):
        try:
            found = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
    return sorted((e for e in found if not e.name.startswith(".")), key=lambda entry: entry.name)
