"""A full disk is said to be one, and loses nothing that was written."""

import errno
import os
import subprocess

import pytest
from synwoodscape_folder import tree_bytes, write_synwoodscape

from data_prep.cli import main
from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedSet
from healswin.data.writer import PreparedSetWriter, SampleWriter

NSIDE = 32


@pytest.fixture
def source(tmp_path):
    return write_synwoodscape(tmp_path / "source", scenes=12, cameras=("FV", "RV"))


def make(source, out, **arguments):
    return convert(Conversion(source, nside=NSIDE), out, progress=False, **arguments)


@pytest.mark.parametrize("place", [(SampleWriter, "write"), (PreparedSetWriter, "record")])
def test_the_same_command_continues(source, tmp_path, monkeypatch, place):
    make(source, tmp_path / "undisturbed")
    owner, name = place
    working, calls = getattr(owner, name), []

    def full_after_a_while(self, *arguments):
        calls.append(arguments)
        if len(calls) > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        return working(self, *arguments)

    monkeypatch.setattr(owner, name, full_after_a_while)
    with pytest.raises(RuntimeError, match=r"the disk of .*set is full: .* same command again"):
        make(source, tmp_path / "set")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="not finished"):
        PreparedSet.open(tmp_path / "set")
    done = (tmp_path / "set.partial/.work/finished.jsonl").read_bytes().count(b"\n")
    assert done >= 7
    assert f"{24 - done} of them converted now" in make(source, tmp_path / "set")
    assert tree_bytes(tmp_path / "set") == tree_bytes(tmp_path / "undisturbed")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_is_really_full(source, small_disk, tmp_path, capsys, workers):
    make(source, tmp_path / "undisturbed")
    out = small_disk / "set"
    (small_disk / "ballast").write_bytes(bytes(512 * 1024))
    command = ["convert", str(source), str(out), "--nside", str(NSIDE), "--workers", str(workers)]
    assert main(command) == 1
    assert "is full" in capsys.readouterr().err
    assert not out.exists()
    (small_disk / "ballast").unlink()
    assert main(command) == 0
    assert tree_bytes(out) == tree_bytes(tmp_path / "undisturbed")
