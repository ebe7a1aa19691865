"""What is released: the contents of the wheel and the source distribution, and that they work."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("healswin", "s2cnn_baselines", "data_prep")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")

# Builds with the setuptools at hand, so that nothing is downloaded.
BUILD = """
import sys, setuptools.build_meta as backend
out = sys.argv[1]  # the backend changes the arguments
print(backend.build_sdist(out), backend.build_wheel(out))
"""


def run(*command, **more):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=600, **more
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and source distribution, built from a copy: a build writes beside the sources."""
    pytest.importorskip("setuptools", minversion="77")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    caches = shutil.ignore_patterns("__pycache__", ".*")
    for folder in (*PACKAGES, "configs", "benchmarks", "docs", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=caches)
    for name in (*FILES, "Makefile"):
        shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-c", BUILD, out, cwd=copy)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def files_under(folder, pattern="*.py"):
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(pattern)}


def test_the_wheel_holds_everything_that_is_used(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    for package in PACKAGES:
        missing = files_under(package) - names
        assert missing == set(), "a package is not listed in pyproject.toml"
        assert f"{package}/py.typed" in names
    configurations = {f"healswin/{path}" for path in files_under("configs", "*.yaml")}
    assert configurations
    assert configurations - names == set()
    entries = files_under("healswin/zoo/entries", "*.*")
    assert "healswin/zoo/entries/index.json" in entries
    assert {path for path in entries if (ROOT / path).is_file()} - names == set()
    # And nothing else.
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_packaged_entries_are_small(built):
    with zipfile.ZipFile(built[0]) as wheel:
        sizes = {info.filename: info.file_size for info in wheel.infolist()}
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    assert {name: size for name, size in weights.items() if size > 2e6} == {}
    assert built[0].stat().st_size < 20e6


def test_the_wheel_names_its_commands_and_models(built, tmp_path):
    with zipfile.ZipFile(built[0]) as wheel:
        (entry_points,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
        wheel.extractall(tmp_path)
    distribution = PathDistribution((tmp_path / entry_points).parent)
    points = {(point.group, point.name): point.value for point in distribution.entry_points}
    assert points["console_scripts", "healswin"] == "healswin.__main__:main"
    assert points["console_scripts", "healswin-prep"] == "data_prep.cli:main"
    assert points["healswin.models", "s2cnn_baselines"] == "s2cnn_baselines.named"
    needed = " ".join(distribution.requires)
    for package in ("safetensors", "huggingface_hub", "torch", "healpy", "zarr"):
        assert package in needed
    assert distribution.metadata["License-Expression"] == "MIT"


def test_the_source_distribution_is_the_whole_project(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for folder in (*PACKAGES, "benchmarks", "tests"):
        assert files_under(folder) - names == set()
    assert files_under("configs", "*.yaml") - names == set()
    assert {*FILES, "Makefile", "tests/data/README.md"} - names == set()


def test_import_warns_of_nothing():
    run(sys.executable, "-W", "error", "-c", "import healswin")


def test_help_answers_without_torch():
    program = (
        "import sys\n"
        "from healswin.__main__ import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as stopped:\n"
        "    assert stopped.code == 0\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    for command in ("--help", "apply --help", "configs list", "models --help", "--version"):
        assert run(sys.executable, "-c", program, *command.split())


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(built, tmp_path):
    """With the dependencies of this environment, but without its packages and without sources."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        built[0],
    )
    # A line of a .pth file is put on the path, and the .pth files in that folder, among them that
    # of an editable installation, are not read.
    outer = [folder for folder in sys.path if Path(folder).name == "site-packages"]
    (site / "outer.pth").write_text("\n".join(outer) + "\n")
    user = tmp_path / "user"
    user.mkdir()
    clean = {"PATH": os.environ["PATH"], "HOME": str(user), "OMP_NUM_THREADS": "1"}

    def here(*command):
        return run(home / "bin" / command[0], *command[1:], cwd=user, env=clean)

    assert here("python", "-c", "import healswin; print(healswin.__file__)").startswith(str(site))
    assert "healswin 0." in here("healswin", "--version")
    assert "quickstart" in here("healswin", "configs", "list")
    assert "max_epochs" in here("healswin", "configs", "show", "quickstart")
    assert "COMMAND" in here("healswin-prep", "--help")
    here("healswin", "models", "list")
    here("healswin", "models", "verify")
    # From nothing to classes in a photograph.
    here("healswin-prep", "street", "street", "--scenes", "5", "--size", "96x72")
    split = ["--nside", "16", "--base-pixels", "0-7", "--split", "train:0.6,val:0.2,test:0.2"]
    here("healswin-prep", "convert", "street", "prepared", "--classes", "large-ad", *split)
    size = ["--model.init_args.network.init_args.embed_dim", "8"]
    limits = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"]
    data = ["--data.root", "prepared", "--trainer.default_root_dir", "run"]
    here("healswin", "fit", "--config", "quickstart", *data, *limits, *size)
    here("healswin", "models", "save", "run/checkpoints/last.ckpt", "mine", "--licence", "MIT")
    image = min((user / "street" / "rgb_images").glob("*_FV.png"))
    calibration = next((user / "street").rglob("*FV.json"))
    here(
        "healswin", "apply", "./mine", "--image", image, "--calibration", calibration, "--out", "o"
    )
    assert (user / "o" / image.stem / "overlay.png").is_file()
