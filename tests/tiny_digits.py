"""Small prepared sets of projected digits, made once for all tests of a run."""

from __future__ import annotations

import functools
import shlex
import tempfile
from pathlib import Path

from data_prep.cli import main

_FEW = ("--train", "12", "--val", "4", "--test", "8")


@functools.cache
def tiny_digits(arguments: str) -> str:
    """A set of a few of scikit-learn's digits.

    Args:
        arguments: Of ``healswin-prep mnist``, e.g. "--nside 16 --tasks label".
    """
    folder = tempfile.TemporaryDirectory(prefix="digits")
    _folders.append(folder)
    root = str(Path(folder.name) / "set")
    assert main(["mnist", "digits", root, *shlex.split(arguments), *_FEW]) == 0
    return root


def tiny_version(prepare: str) -> str:
    """The set of a configuration's ``data.prepare``, with few samples of other digits."""
    words = shlex.split(prepare)
    assert (words[0], words[2]) == ("mnist", "{root}"), prepare
    kept: list[str] = []
    for word in words[3:]:
        if kept and kept[-1] in ("--train", "--val", "--test", "--workers"):
            kept.pop()
        else:
            kept.append(word)
    return tiny_digits(shlex.join(kept))


_folders: list[tempfile.TemporaryDirectory] = []
