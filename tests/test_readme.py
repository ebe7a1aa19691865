"""The README's commands and snippets run, smaller."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What makes the commands small: fewer and smaller scenes, one step of training.
SMALLER = [
    ("--scenes 80", "--scenes 5"),
    ("--size 640x484", "--size 96x72"),
    ("train:0.75,val:0.1,test:0.15", "train:0.6,val:0.2,test:0.2"),
]
ONE_STEP = "--trainer.max_epochs 1 --trainer.limit_train_batches 1 --trainer.accelerator cpu"
PROGRAMS = {"healswin": "healswin", "healswin-prep": "data_prep.cli"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks("bash") for line in block.splitlines() if line]


def run(command, folder):
    program, *arguments = shlex.split(command)
    # The entry points of the installed commands, without depending on where they are installed.
    start = f"import sys; from {PROGRAMS[program]} import main; sys.exit(main(sys.argv[1:]))"
    if program == "healswin":
        start = start.replace("healswin import", "healswin.__main__ import")
    return subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=600,
        check=False,
    )


def test_the_step_by_step_commands_run(tmp_path):
    assert {command.split()[0] for command in commands()} == set(PROGRAMS)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for command in commands():
        for long, short in SMALLER:
            command = command.replace(long, short)
        if command.startswith("healswin fit"):
            command = f"{command} {ONE_STEP}"
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    written = {p.name for p in (tmp_path / "runs" / "mine").iterdir()}
    assert {"checkpoints", "logs", "report.md", "test.json", "predictions", "pictures"} <= written


def test_the_snippets_run():
    namespace = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert namespace["again"].shape == (966, 1280, 3)


def test_pictures_and_files_named_in_the_readme_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).is_file()]
    assert missing == []


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint", "format"])
def test_make_targets_named_in_the_readme_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_configurations_named_in_the_readme_exist():
    named = set(re.findall(r"configs/[\w/]+\.yaml", README))
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
