"""Making a prepared set that is not there yet, so that a configuration can bring its own data."""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import sys
from pathlib import Path


def prepare_if_missing(root: str | Path, command: str | None) -> None:
    """Make the prepared set `root` if nothing is there.

    The command runs in a process of its own, without a shell; what it prints is seen. A set that
    was begun is continued. What is there already is not touched, whatever it is.

    Args:
        root: Folder of the prepared set.
        command: Arguments of `healswin-prep`, quoted as in a shell, in which ``{root}`` stands for
            the folder: "mnist digits {root} --nside 16". None: nothing is made.

    Raises:
        ValueError: If the command does not name ``{root}``, cannot be parsed, or fails.
    """
    if command is None:
        return
    path = Path(root).expanduser().absolute()
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"prepare={command!r} cannot be split into arguments: {error}") from None
    if not any("{root}" in word for word in words):
        raise ValueError(
            f"prepare={command!r} must say where the set goes: write {{root}} for its folder, e.g. "
            "'mnist digits {root} --nside 16'"
        )
    if path.exists():
        return
    # The processes of one training start at once: one makes the set, the others wait for it.
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.preparing")
    with waiting.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not path.exists():
                _make(path, words, command)
        finally:
            waiting.unlink(missing_ok=True)


def _make(path: Path, words: list[str], command: str) -> None:
    arguments = [word.replace("{root}", str(path)) for word in words]
    shown = shlex.join(["healswin-prep", *arguments])
    print(f"{path} does not exist, making it: {shown}", file=sys.stderr, flush=True)
    # healswin-prep itself may not be on the path of whoever runs this Python.
    status = subprocess.run([sys.executable, "-m", "data_prep", *arguments], check=False).returncode
    if status != 0:
        raise ValueError(f"prepare={command!r} failed (exit status {status}): see above")
    if not path.exists():
        raise ValueError(f"prepare={command!r} did not make {path}")
