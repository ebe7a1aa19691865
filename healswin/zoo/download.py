"""One file from an http(s) address into the cache: whole, checked, and never half there.

A file grows under the name ``<file>.partial`` and is renamed when its size and hash are right. If
the connection breaks, or the process ends, the next attempt asks for the rest: with the header
If-Range the server sends it only if the file is still the one whose beginning is here, and
otherwise the whole file anew (RFC 9110, section 13.1.5). A lock keeps two processes from
downloading the same file at once.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from healswin import __version__
from healswin.zoo.files import sha256_of

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

ATTEMPTS = 5
"""How often a file is asked for before the download fails."""

PAUSE = 0.5
"""Seconds before the second attempt; each further pause is twice as long."""

_LOCK_TIMEOUT = 600.0
_CHUNK = 1 << 16

# Answers after which the same question may succeed: too early, too many, the server's own trouble.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(OSError):
    """A file could not be downloaded; the message says why.

    Args:
        message: Why.
        refused: Whether the server answered that there is no such file, or another one.
    """

    def __init__(self, message: str, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class _BrokenError(Exception):
    """An attempt failed in a way that another one may not."""


def cache_folder() -> Path:
    """Where downloads are kept: HEALSWIN_CACHE, else healswin in XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("HEALSWIN_CACHE"):
        return Path(own).expanduser()
    general = os.environ.get("XDG_CACHE_HOME")
    return (Path(general) if general else Path.home() / ".cache") / "healswin"


def offline() -> bool:
    """Whether HEALSWIN_OFFLINE forbids any use of the network."""
    return os.environ.get("HEALSWIN_OFFLINE", "0") not in ("", "0")


def is_url(text: object) -> bool:
    """Whether a text is an address that `download` takes."""
    return isinstance(text, str) and text.startswith(("https://", "http://"))


def download(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    again: bool = False,
) -> Path:
    """Bring a file here, unless it is here already.

    Args:
        url: An http(s) address.
        path: Where the file goes; folders are made.
        sha256: What its SHA-256 must be, in hexadecimal digits; not checked if None.
        size: What its size in bytes must be; not checked if None.
        again: Download even if a file is there, for files that change.

    Returns:
        The path.

    Raises:
        ValueError: If the address is none.
        DownloadError: If the server does not have the file, cannot be reached, sends another file
            than stated (twice), or there is no room; or HEALSWIN_OFFLINE forbids to ask.
    """
    if not is_url(url):
        raise ValueError(f"url={url!r} must begin with https:// or http://")
    path = Path(path)
    if not again and _is_right(path, sha256, size):
        return path
    if offline():
        what = "is another file than stated" if path.exists() else "is not there"
        raise DownloadError(f"{url} is needed, {path} {what}, and HEALSWIN_OFFLINE is set")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT):
            if again or not _is_right(path, sha256, size):  # another process may have been here
                _download(url, path, sha256, size)
    except Timeout:
        raise DownloadError(
            f"another process has been downloading {path} for {_LOCK_TIMEOUT:.0f} s; if there is "
            "none, try again"
        ) from None
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(path.parent).free
            raise DownloadError(
                f"{url}: no room left for {path} ({free} bytes free); make room or choose another "
                "folder with HEALSWIN_CACHE, the download will continue where it stopped"
            ) from error
        raise DownloadError(f"{url} cannot be stored as {path}: {error}") from error
    return path


def _download(url: str, path: Path, sha256: str | None, size: int | None) -> None:
    partial = path.with_name(f"{path.name}.partial")
    for fresh in (False, True):
        if sha256 is None or not _is_right(partial, sha256, size):
            _fetch(url, partial, size)
        if _is_right(partial, sha256, size):
            os.replace(partial, path)
            _validator_file(partial).unlink(missing_ok=True)
            return
        found = f"{partial.stat().st_size} bytes with the SHA-256 {sha256_of(partial)}"
        # What was here before may be to blame: once more from the first byte.
        _discard(partial)
        if fresh:
            raise DownloadError(
                f"{url} is another file than stated: {found} were sent, "
                f"{'any number of' if size is None else size} bytes with {sha256 or 'any'} are "
                "expected; the file on the server has changed or is damaged",
                refused=True,
            )


def _fetch(url: str, partial: Path, size: int | None) -> None:
    """Attempts until the partial file is as long as the server says."""
    for attempt in range(ATTEMPTS):
        try:
            _attempt(url, partial, size)
            return
        except (_BrokenError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = error
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING:
                raise DownloadError(
                    f"{url} cannot be downloaded: the server answers {error.code} {error.reason}",
                    refused=True,
                ) from None
            reason = error
        except urllib.error.URLError as error:
            reason = f"the server cannot be reached ({error.reason})"
        if attempt + 1 < ATTEMPTS:
            time.sleep(PAUSE * 2**attempt)
    raise DownloadError(
        f"{url} cannot be downloaded: {reason}, {ATTEMPTS} attempts; what "
        "has come is kept, and the download continues there when it is asked for again"
    )


def _attempt(url: str, partial: Path, size: int | None) -> None:
    """Ask once for what is missing and append it."""
    begun = partial.stat().st_size if partial.exists() else 0
    validator = _validator_file(partial).read_text() if _validator_file(partial).exists() else ""
    headers = {"User-Agent": f"healswin/{__version__}", "Accept-Encoding": "identity"}
    if begun and validator:
        headers |= {"Range": f"bytes={begun}-", "If-Range": validator}
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing after what is here: it is no beginning of this file
            _discard(partial)
            raise _BrokenError("the server has no rest of the file") from None
        raise
    with answer:
        if answer.status == 206:
            total = _total_of_part(answer.headers.get("Content-Range"), begun)
            if total is None or _validator(answer.headers) not in ("", validator):
                _discard(partial)
                raise _BrokenError("the server sent another part than asked for")
        else:
            begun = 0
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            _discard(partial)
            partial.touch()
            _validator_file(partial).write_text(_validator(answer.headers))
        # A server that never stops must not fill the disk.
        limit = size if size is not None else total
        with partial.open("ab") as file:
            while chunk := _read(answer):
                file.write(chunk)
                begun += len(chunk)
                if limit is not None and begun > limit:
                    break
            file.flush()
            os.fsync(file.fileno())
    too_long = limit is not None and begun > limit  # which its hash will show
    if total is not None and begun < total and not too_long:
        raise _BrokenError(f"the connection broke after {begun} of {total} bytes")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except OSError as error:  # of the connection; what writing raises is another matter
        raise _BrokenError(f"the connection broke: {error}") from None


def _total_of_part(content_range: str | None, begun: int) -> int | None:
    """Size of the whole file, if the part begins where ours ends."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range or "")
    return int(match[3]) if match and int(match[1]) == begun else None


def _validator(headers: Mapping[str, str]) -> str:
    """What tells this file from a later one at the same address; weak tags do not."""
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("Last-Modified", "")


def _validator_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)


def _is_right(path: Path, sha256: str | None, size: int | None) -> bool:
    return (
        path.is_file()
        and (size is None or path.stat().st_size == size)
        and (sha256 is None or sha256_of(path) == sha256)
    )
