"""The command healswin-prep."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
from synwoodscape_folder import write_synwoodscape

from data_prep.cli import main
from healswin.data import PreparedSet

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_synwoodscape(tmp_path_factory.mktemp("source") / "set", cameras=("FV", "RV"))


def test_convert_and_inspect(source, tmp_path, capsys):
    out = str(tmp_path / "set")
    convert = ["convert", str(source), out, "--nside", "8", "--base-pixels", "0-3,5"]
    assert main([*convert, "--tasks", "semantic,depth", "--classes", "large"]) == 0
    assert "6 samples (train 4, val 2)" in capsys.readouterr().out
    prepared = PreparedSet.open(out)
    assert prepared.grid.base_pixels == (0, 1, 2, 3, 5)
    assert prepared.num_classes == 8

    assert main(["inspect", out]) == 0
    text = capsys.readouterr().out
    for expected in ("nside 8", "train 4, val 2", "(6, 320, 3)", "FV", "64 x 48", "ego-vehicle"):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_same_command_again_says_that_nothing_is_left(source, tmp_path, capsys):
    command = ["convert", str(source), str(tmp_path / "set"), "--nside", "4", "--camera", "FV"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert "whole already: 3 samples, nothing to do" in capsys.readouterr().out


def test_wrong_input_is_one_line_and_code_2(source, tmp_path, capsys):
    assert main(["convert", str(source), str(tmp_path / "set"), "--nside", "12"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("healswin-prep: error: nside=12")
    assert list(tmp_path.iterdir()) == []


def test_inspect_of_something_else(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "holds no zarr.json: a prepared data set is needed" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_code_2(source, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert main(["convert", str(source), str(tmp_path / "file/set"), "--nside", "4"]) == 2
    assert "healswin-prep: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "a", "b", "--base-pixels", "all"],
        ["convert", "a", "b", "--base-pixels", "0-12"],
        ["convert", "a", "b", "--resume", "--overwrite"],
        ["street", "a", "--size", "640"],
        ["street", "a", "--panorama", "big"],
        [],
    ],
)
def test_arguments_of_the_wrong_form(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: healswin-prep" in capsys.readouterr().err


def test_street_passes_its_arguments_on(tmp_path, monkeypatch):
    calls = []
    street = types.ModuleType("data_prep.street")
    street.write_street = lambda *a, **k: calls.append((a, k))
    monkeypatch.setitem(sys.modules, "data_prep.street", street)
    sizes = ["--size", "96x72", "--panorama", "128x64"]
    assert main(["street", str(tmp_path), "--scenes", "3", "--tilt", "5", *sizes]) == 0
    ((arguments, keywords),) = calls
    assert arguments == (tmp_path,)
    assert keywords == {
        "scenes": 3,
        "width": 96,
        "height": 72,
        "seed": 1,
        "workers": 1,
        "tilt_degrees": 5.0,
        "panorama": (128, 64),
    }


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        # Help answers at once only as long as nothing heavy is imported for it.
        ("import data_prep.cli as c; c._parser().format_help()", {"numpy", "cv2", "healpy"}),
        # Conversion workers import these.
        ("import data_prep.sampling, data_prep.workers", {"torch", "lightning"}),
    ],
)
def test_nothing_heavy_is_imported_in_vain(code, absent):
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(shown.stdout.split())
    assert "data_prep" in loaded
    assert not absent & loaded
