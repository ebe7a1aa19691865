import os
import subprocess
import sys

import pytest

from healswin.__main__ import main as healswin
from healswin.outcome import status_of


def fail(error):
    raise error


@pytest.mark.parametrize("error", [ValueError("nside=3"), OSError("full"), RuntimeError("cut")])
def test_wrong_input_is_one_line(error, capsys, monkeypatch):
    assert status_of(lambda: fail(error)) == 2
    assert capsys.readouterr().err == f"healswin: error: {error}\n"
    monkeypatch.setenv("HEALSWIN_TRACEBACK", "1")
    with pytest.raises(type(error), match=str(error)):
        status_of(lambda: fail(error))


def test_other_errors_are_not_hidden():
    with pytest.raises(KeyError):
        status_of(lambda: fail(KeyError("a mistake of ours")))
    assert status_of(lambda: 1) == 1


def test_nobody_reads_any_more():
    program = "import sys; from healswin.__main__ import main; sys.exit(main(['configs', 'list']))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_misspelt_command_names_all_of_them(capsys):
    assert healswin(["aply", "model"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("healswin: error: 'aply' is no command; they are fit, validate, test")
    assert "apply" in said
