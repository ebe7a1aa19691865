"""`healswin models`: list, info, fetch, verify, save, index."""

import json

import pytest
import torch

from healswin import load_model
from healswin.__main__ import main
from healswin.grid import HealpixGrid
from healswin.models import create_model
from healswin.zoo import ModelConfig, ZooModel
from healswin.zoo import command as command_module

GRID = HealpixGrid(8, range(8))
SMALL = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 16}


def saved(folder, name="tiny.test", **changed):
    torch.manual_seed(2)
    settings = {
        "name": name,
        "task": "segmentation",
        "model": "healswin",
        "arguments": SMALL,
        "grid": GRID.to_dict(),
        "in_chans": 3,
        "num_classes": 2,
        "class_names": ("road", "sky"),
        "image_mean": (0.4,) * 3,
        "image_std": (0.2,) * 3,
        "metrics": {"val/miou": 0.4321},
        **changed,
    }
    network = create_model("healswin", GRID, 3, settings["num_classes"], **SMALL)
    ZooModel(ModelConfig(**settings), network).save_pretrained(folder)
    return folder


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A folder of one entry with its index, which the commands know."""
    folder = tmp_path / "zoo"
    saved(folder / "tiny.test")
    assert main(["models", "index", str(folder)]) == 0
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", str(folder / "index.json"))
    monkeypatch.setenv("HEALSWIN_CACHE", str(tmp_path / "cache"))
    return folder


def models(*arguments):
    return main(["models", *map(str, arguments)])


def test_entries_are_listed_with_what_they_are(zoo, capsys):
    capsys.readouterr()
    assert models("list", "tiny.*") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "task", "grid", "size", "measured", "where"]
    for text in ("tiny.test", "segmentation", "HEALPix 8, 8 of 12", "val/miou 0.4321", str(zoo)):
        assert text in row
    assert models("list", "nothing*") == 0
    assert "no entry matches 'nothing*'" in capsys.readouterr().out


def test_entries_elsewhere_are_listed_without_fetching_them(zoo, capsys, monkeypatch):
    index = json.loads((zoo / "index.json").read_text())
    index["entries"]["tiny.test"]["url"] = "https://example.invalid/tiny.test"
    (zoo / "index.json").write_text(json.dumps(index))
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    capsys.readouterr()
    assert models("list", "tiny.*") == 0
    assert "example.invalid/tiny.test (not fetched)" in capsys.readouterr().out
    assert models("fetch", "tiny.test") == 2
    assert "HEALSWIN_OFFLINE" in capsys.readouterr().err


def test_info_says_everything(zoo, capsys):
    capsys.readouterr()
    assert models("info", "tiny.test") == 0
    by_name = capsys.readouterr().out
    assert models("info", zoo / "tiny.test") == 0
    assert capsys.readouterr().out == by_name
    parameters = sum(p.numel() for p in load_model(zoo / "tiny.test").parameters())
    for text in ("road, sky", f"{parameters:,} parameters", "embed_dim=8", "val/miou 0.4321"):
        assert text in by_name
    assert "licence       not stated" in by_name
    assert max(map(len, by_name.splitlines())) <= 100


def test_fetch_says_where_it_is(zoo, capsys):
    capsys.readouterr()
    assert models("fetch", "tiny.test") == 0
    assert str(zoo / "tiny.test") in capsys.readouterr().out
    assert models("fetch", "tiny.tets") == 2
    error = capsys.readouterr().err
    assert "did you mean 'tiny.test'" in error
    assert error.count("\n") == 1


def test_verify_finds_damage(zoo, capsys, monkeypatch):
    capsys.readouterr()
    assert models("verify", "tiny.test") == 0
    assert "segmentation of 2 x 512 values is finite" in capsys.readouterr().out
    weights = zoo / "tiny.test" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    other = saved(zoo.parent / "fine", "fine")
    assert models("verify", "tiny.test", other) == 1
    output = capsys.readouterr()
    assert "tiny.test: FAILED" in output.err
    assert "1 of 2 models failed" in output.err
    assert "fine: files as stated" in output.out


def test_verify_finds_weights_that_are_no_numbers(tmp_path, capsys):
    model = load_model(saved(tmp_path / "model"))
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    model.save_pretrained(tmp_path / "model")
    assert models("verify", tmp_path / "model") == 1
    assert "not finite" in capsys.readouterr().err


def test_saving_keeps_the_weights_and_writes_the_card(tmp_path, capsys):
    source, folder = saved(tmp_path / "model"), tmp_path / "new.name"
    card = ["--data", "Streets", "--licence", "MIT", "--metric", "test/miou=0.5"]
    assert models("save", source, folder, *card) == 0
    assert "does not state: command, hardware, limits" in capsys.readouterr().out
    before, after = load_model(source), load_model(folder)
    assert after.config.name == "new.name"
    assert after.config.metrics == {"test/miou": 0.5}
    assert after.config.card == {"data": "Streets", "licence": "MIT"}
    assert "Streets" in (folder / "README.md").read_text()
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name

    assert models("save", source, folder) == 2
    assert "holds a model already" in capsys.readouterr().err
    assert models("save", source, folder, "--overwrite", "--half", "--name", "other") == 0
    half = load_model(folder)
    assert half.config.name == "other"
    for name, value in before.state_dict().items():
        rounded = value.half().float() if value.is_floating_point() else value
        assert torch.equal(rounded, half.state_dict()[name]), name
    assert models("save", source, tmp_path / "x", "--metric", "miou") == 2
    assert "must be NAME=VALUE" in capsys.readouterr().err


def test_what_is_no_model_is_said(tmp_path, capsys):
    assert models("info", tmp_path / "nothing") == 2
    assert models("index", tmp_path / "nothing") == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("grid", "name"),
    [
        ({"grid": "healpix", "nside": 4, "base_pixels": list(range(12))}, "HEALPix 4"),
        ({"grid": "soft", "bandwidth": 8}, "soft 8"),
        ({"grid": "image", "height": 4, "width": 6}, "image 6 x 4"),
    ],
)
def test_grids_have_names(grid, name):
    config = ModelConfig("m", "segmentation", "healswin", {}, grid, 3, 2)
    assert command_module.grid_name(config) == name
