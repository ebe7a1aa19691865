"""The SLURM example: a script whose commands are commands."""

import os
import subprocess
from pathlib import Path

import pytest

from healswin.__main__ import main

SCRIPT = Path(__file__).parents[1] / "configs" / "fisheye" / "slurm_ddp.sh"
JOB = {"SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4"}


def run(folder, *arguments):
    """Run the script where `srun` and `healswin` only note what they are asked for."""
    programs, noted = folder / "bin", folder / "noted"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/bash\nexec "$@"\n')
    (programs / "healswin").write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" END >> "{noted}"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    environment = {**os.environ, **JOB, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True
    )
    commands = noted.read_text().split("END\n")[:-1] if noted.exists() else []
    return done, [command.splitlines() for command in commands]


def test_its_syntax_is_right():
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0


def test_its_commands_parse_and_say_what_the_job_has(tmp_path, capsys):
    done, commands = run(tmp_path, "my data", "my run")
    assert done.returncode == 0, done.stderr
    assert [command[0] for command in commands] == ["fit", "test"]
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main([*command, "--print_config"])
        printed = capsys.readouterr()
        assert stopped.value.code == 0, printed.err
        for line in ("root: my data", "default_root_dir: my run", "num_nodes: 2", "devices: '4'"):
            assert line in printed.out
    # A job that is started again goes on.
    fit, test = commands
    assert fit[fit.index("--ckpt_path") + 1] == "last"
    assert test[test.index("--ckpt_path") + 1] == "best"


def test_another_configuration_is_an_argument(tmp_path):
    _, commands = run(tmp_path, "data", "run", "quickstart")
    assert commands[0][:3] == ["fit", "--config", "quickstart"]


def test_it_says_what_is_missing(tmp_path):
    done, commands = run(tmp_path, "data")
    assert done.returncode != 0
    assert "the folder of the run is missing" in done.stderr
    assert commands == []
