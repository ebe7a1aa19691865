"""The entries of the zoo: an index of names, files and hashes, and the folders it speaks of.

The package brings small entries along, in ``healswin/zoo/entries/<name>``, with ``index.json``
beside them. HEALSWIN_ZOO_INDEX, a path or an http(s) address, names another index of the same form:

    {"format_version": 1,
     "entries": {"healswin_tiny.street": {
         "url": null,
         "files": {"config.json": {"sha256": "...", "size": 1234}, ...}}}}

``url`` is where the files are; null means in the folder ``<name>`` beside the index. To add an
entry to the package copy the folder that `ZooModel.save_pretrained` wrote, under the model's name,
into ``entries`` and call `write_index`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from healswin.zoo.config import check_name
from healswin.zoo.download import DownloadError, cache_folder, download, is_url, offline
from healswin.zoo.files import CONFIG, FILES, WEIGHTS, read_config, read_weights, sha256_of

PACKAGED = Path(__file__).parent / "entries"
INDEX = "index.json"
INDEX_VARIABLE = "HEALSWIN_ZOO_INDEX"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FileFacts:
    """What the index says of a file: its SHA-256 in hexadecimal digits, its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A model that the zoo knows.

    Args:
        name: Of the entry.
        location: Folder of the files, or the address they are downloaded from.
        files: The files and what they must be.
    """

    name: str
    location: Path | str
    files: dict[str, FileFacts]

    @property
    def folder(self) -> Path:
        """Where the files are, or will be once they are downloaded."""
        if isinstance(self.location, Path):
            return self.location
        return cache_folder() / "zoo" / self.name

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(facts.size for facts in self.files.values())


def list_entries(pattern: str = "*") -> list[str]:
    """Names of the entries that match a shell pattern, e.g. "healswin_*", sorted.

    Raises:
        ValueError: If an index cannot be read.
        DownloadError: If the index named by HEALSWIN_ZOO_INDEX cannot be fetched.
    """
    return sorted(
        name for name in {**_extra_entries(), **packaged_entries()} if fnmatch(name, pattern)
    )


def find_entry(name: str) -> Entry:
    """The entry with this name; one that the package brings goes before another index's.

    Raises:
        ValueError: If there is none; the message lists those that are.
        DownloadError: If the index named by HEALSWIN_ZOO_INDEX cannot be fetched.
    """
    entries = packaged_entries()
    if name not in entries:
        entries = {**_extra_entries(), **entries}
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, entries)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(
        f"no entry of the zoo, folder or file is named {name!r}: {hint}entries are "
        f"{sorted(entries) or 'none'}"
    )


def entry_files(name: str) -> dict[str, Path]:
    """The files of an entry on this machine, downloaded if need be, sizes and hashes checked.

    Raises:
        ValueError: If there is no such entry, or a file that is not downloaded is missing or
            differs from the index.
        DownloadError: If a file cannot be downloaded.
    """
    entry = find_entry(name)
    if isinstance(entry.location, Path):
        for file, facts in entry.files.items():
            _check_file(entry.location / file, facts)
    else:
        for file, facts in entry.files.items():
            address = f"{entry.location.rstrip('/')}/{file}"
            download(address, entry.folder / file, sha256=facts.sha256, size=facts.size)
    return {file: entry.folder / file for file in entry.files}


def entry_folder(name: str) -> Path:
    """The folder of an entry's files, see `entry_files`."""
    return entry_files(name)[CONFIG].parent


def packaged_entries() -> dict[str, Entry]:
    """The entries that the package brings along.

    Raises:
        ValueError: If their index cannot be read.
    """
    return _read_index(PACKAGED / INDEX, PACKAGED)


def write_index(folder: str | Path, url: str | None = None) -> Path:
    """Write the index of the entries in a folder.

    Args:
        folder: Holds a folder for each entry, named as its configuration says.
        url: Address under which the folder will be published; None if the entries stay beside
            the index.

    Returns:
        The path of the index.

    Raises:
        ValueError: If a file of an entry is missing, weights are not those that the configuration
            states, or an entry's name is not that of its folder.
    """
    folder = Path(folder)
    entries = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        missing = [file for file in FILES if not (path / file).is_file()]
        if missing:
            raise ValueError(f"{path} is no entry, it lacks {missing}")
        config, digest = read_config(path / CONFIG)
        read_weights(path / WEIGHTS, digest)
        if config.name != path.name:
            raise ValueError(f"{path} holds the model {config.name!r}: name the folder like it")
        entries[path.name] = {
            "url": None if url is None else f"{url.rstrip('/')}/{path.name}",
            "files": {
                file: {"sha256": sha256_of(path / file), "size": (path / file).stat().st_size}
                for file in FILES
            },
        }
    index = {"format_version": FORMAT_VERSION, "entries": entries}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return folder / INDEX


def _extra_entries() -> dict[str, Entry]:
    """The entries of the index that HEALSWIN_ZOO_INDEX names."""
    where = os.environ.get(INDEX_VARIABLE)
    if not where:
        return {}
    if not is_url(where):
        path = Path(where).expanduser()
        if not path.is_file():
            raise ValueError(f"{INDEX_VARIABLE}={where} does not exist")
        return _read_index(path, path.parent)
    return _read_index(_fetched_index(where), where.rpartition("/")[0])


def _fetched_index(address: str) -> Path:
    """A copy of an index, new if the network allows it, else the last one."""
    path = cache_folder() / "indexes" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"
    if offline() and path.exists():
        return path
    try:
        # An index changes, so that what is there is no reason not to ask.
        return download(address, path, again=True)
    except DownloadError as error:
        if path.exists() and not error.refused:
            return path
        raise DownloadError(f"{INDEX_VARIABLE}: {error}", error.refused) from error


def _read_index(path: Path, home: Path | str) -> dict[str, Entry]:
    """The entries of an index whose own files are at `home`."""
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"it is no index of format version {FORMAT_VERSION}")
        return {name: _entry(name, facts, home) for name, facts in values["entries"].items()}
    except OSError as error:
        raise ValueError(f"the index {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the index {path} cannot be read: {error!s}") from None


def _entry(name: str, facts: Mapping[str, Any], home: Path | str) -> Entry:
    check_name(name)
    url = facts["url"]
    if url is not None and not is_url(url):
        raise ValueError(f"{name} has url={url!r}, must be null or an http(s) address")
    files = {}
    for file, known in facts["files"].items():
        if file not in FILES:
            raise ValueError(f"{name} has the file {file!r}, an entry consists of {FILES}")
        if len(known["sha256"]) != 64 or type(known["size"]) is not int or known["size"] < 0:
            raise ValueError(f"{name} says {known} of {file}, must be a SHA-256 and a size")
        files[file] = FileFacts(known["sha256"].lower(), known["size"])
    if not {CONFIG, WEIGHTS} <= set(files):
        raise ValueError(f"{name} has the files {sorted(files)}, needs {CONFIG} and {WEIGHTS}")
    if url is None:
        url = home / name if isinstance(home, Path) else f"{home}/{name}"
    return Entry(name, url, files)


def _check_file(path: Path, facts: FileFacts) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing, though the index beside it lists it")
    if path.stat().st_size != facts.size or sha256_of(path) != facts.sha256:
        raise ValueError(
            f"{path} is not the file that the index lists: {path.stat().st_size} bytes with the "
            f"SHA-256 {sha256_of(path)}, {facts.size} bytes with {facts.sha256} are stated; the "
            "file is damaged, get it again"
        )
