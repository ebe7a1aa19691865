"""The command healswin-prep mnist."""

import subprocess
import sys
from pathlib import Path

import pytest
from idx_folder import write_idx_folder

from data_prep.cli import main
from healswin.data import PreparedSet
from healswin.grid import EquiangularGrid, HealpixGrid

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return str(write_idx_folder(tmp_path_factory.mktemp("source") / "digits"))


def test_options_reach_the_set(source, tmp_path, capsys):
    out = str(tmp_path / "set")
    several = ["--items", "2", "--canvas", "16", "--rotated", "none", "--seed", "9"]
    counts = ["--train", "12", "--val", "3", "--test", "2", "--rotation-block", "4"]
    grid = ["--nside", "4", "--base-pixels", "8-11", "--threshold", "99", "--tasks", "semantic"]
    assert main(["mnist", source, out, *several, *counts, *grid]) == 0
    assert "17 samples (train 12, val 3, test 2) of image, semantic" in capsys.readouterr().out
    prepared = PreparedSet.open(out)
    assert prepared.grid == HealpixGrid(4, (8, 9, 10, 11))
    assert prepared.attributes["conversion"] == {
        "command": "mnist",
        "grid": "healpix",
        "nside": 4,
        "base_pixels": [8, 9, 10, 11],
        "bandwidth": None,
        "items": 2,
        "canvas": 16,
        "rotated": "none",
        "rotation_block": 4,
        "train": 12,
        "val": 3,
        "test": 2,
        "threshold": 99,
        "tasks": ["semantic"],
        "seed": 9,
        "published": False,
    }


@pytest.mark.parametrize("options", [["--published"], ["--grid", "driscoll-healy"]])
def test_equiangular_grids(source, tmp_path, options):
    assert main(["mnist", source, str(tmp_path / "set"), "--bandwidth", "4", *options]) == 0
    assert PreparedSet.open(tmp_path / "set").grid == EquiangularGrid(4, "driscoll-healy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "300"], "error: threshold=300 must be a grey level, 0 to 255"),
        (["--items", "4", "--canvas", "9"], "error: items=4: a canvas of 9 x 9 holds 1 pictures"),
        (["--nside", "5"], "error: nside=5"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(source, tmp_path, capsys, options, message):
    assert main(["mnist", source, str(tmp_path / "set"), *options]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert message in errors[0]


@pytest.mark.slow
def test_the_module_is_the_command(tmp_path):
    """The digits that are always there, through python -m data_prep."""
    command = [sys.executable, "-m", "data_prep", "mnist", "digits", str(tmp_path / "set")]
    done = subprocess.run(
        [*command, "--nside", "4"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "1797 samples (train 1375, val 125, test 297)" in done.stdout
