"""Data that a configuration brings: made once, by a command of its own."""

import json
import multiprocessing

import pytest
from plain_set import write_plain_set

from healswin.data import PreparedDataModule
from healswin.data.preparing import prepare_if_missing
from healswin.grid import HealpixGrid

# A stand-in for `python -m data_prep`: it notes how it was called, and copies a set that is ready.
PROGRAM = """
import json, os, pathlib, shutil, sys, time
folder = pathlib.Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if "fail" in sys.argv:
    sys.exit(3)
if "nothing" not in sys.argv:
    time.sleep(0.3)
    shutil.copytree(folder / "ready", sys.argv[-1])
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A function: what the program was called with so far."""
    write_plain_set(tmp_path / "ready", HealpixGrid(2))
    package = tmp_path / "path" / "data_prep"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM.format(folder=str(tmp_path)))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.chdir(tmp_path)  # which comes first on the path of `python -m`
    calls = tmp_path / "calls"
    return lambda: [json.loads(line) for line in calls.read_text().splitlines()]


def test_a_missing_set_is_made_once(command, tmp_path, capfd):
    root = tmp_path / "a folder" / "set"
    wish = "mnist 'two words' {root}"
    data = PreparedDataModule(str(root), prepare=wish)
    assert len(data.prepared) == 7
    assert f"{root} does not exist, making it: healswin-prep mnist" in capfd.readouterr().err
    PreparedDataModule(str(root), prepare=wish)
    assert command() == [["mnist", "two words", str(root)]]
    assert [path.name for path in root.parent.iterdir()] == ["set"]


def test_what_is_there_is_left_alone(command, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"holds no zarr\.json"):
        PreparedDataModule(str(tmp_path / "other"), prepare="mnist {root}")
    assert not (tmp_path / "calls").exists()
    with pytest.raises(ValueError, match="does not exist"):
        PreparedDataModule(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("wish", "match"),
    [
        ("mnist digits", r"must say where the set goes: write \{root\}"),
        ("mnist 'digits {root}", "cannot be split into arguments"),
        ("fail {root}", r"failed \(exit status 3\): see above"),
        ("nothing {root}", "did not make"),
    ],
)
def test_wishes_that_cannot_be_granted(command, tmp_path, wish, match):
    with pytest.raises(ValueError, match=match):
        prepare_if_missing(tmp_path / "set", wish)
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.glob(".set*"))


@pytest.mark.slow
def test_of_many_processes_one_makes_it(command, tmp_path):
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path / "set"), "mnist {root}")
    processes = [context.Process(target=prepare_if_missing, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(command()) == 1
