"""The import rule: who may know whom, lower layers first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import its own layer and lower ones. data knows no task, metrics and viz know no
# model: layers 2 and 3 of the table are peers that do not know each other, but for `data`.
LAYERS = [
    {"grid", "outcome"},
    {"cameras", "layers", "equivariance"},
    {"resample", "models", "data", "metrics", "viz"},
    {"tasks", "zoo"},
    {"options", "scoring"},
    {"apply", "configurations", "export", "robustness", "uncertainty"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

SOURCES = sorted((ROOT / "healswin").rglob("*.py"))


def part_of(path):
    relative = path.relative_to(ROOT / "healswin")
    return relative.parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    part = part_of(path)
    for name in imported(path):
        top, _, rest = name.partition(".")
        assert top not in ("data_prep", "s2cnn_baselines"), f"{path} imports {name}"
        if top != "healswin" or not rest or part == "__init__":
            continue
        other = rest.split(".")[0]
        if other == part:
            continue
        assert LEVEL[other] < LEVEL[part], f"{part} must not import {other}"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if part_of(p) not in ("grid", "__init__")], ids=str
)
def test_healpy_is_called_in_grid_only(path):
    assert "healpy" not in {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("module", ["healswin", "healswin.data", "data_prep.convert"])
def test_conversion_loads_no_torch(module):
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
