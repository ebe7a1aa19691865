"""What `inspect` tells of sets of images and of maps."""

import json
import shutil

import pytest
from sky_set import write_sky_set

from data_prep.describe import describe


def changed(root, out, **attributes):
    """A copy of a set with other attributes."""
    shutil.copytree(root, out)
    metadata = json.loads((out / "zarr.json").read_text(encoding="utf-8"))
    metadata["attributes"].update(attributes)
    (out / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")
    return out


def test_images_with_labels_and_depth(prepared):
    text = describe(prepared(16))
    for part in (
        "HEALPix nside 16, nested, base pixels 0, 1, 2, 3, 4, 5, 6, 7",
        "2048, 3.66 degrees wide",
        "train 12, val 4, test 4",
        "3 channels, uint8, mean and std are of value / 255",
        "large-ad",
        "255, ignored",
        "radial_poly",
        "96 x 72",
        "four-wheeler vehicle",
        "weight",
        "(20, 2048, 3)",
    ):
        assert part in text, part
    assert "skipped" not in text
    assert "cut from" not in text


def test_what_was_cut_skipped_and_masked(prepared, tmp_path):
    root = changed(
        prepared(16),
        tmp_path / "set",
        crop=[0, 3, 0, 2],
        skipped=[{"name": f"0000{i}_FV", "reason": "labels/1.png is missing"} for i in range(30)],
        own_vehicle={"FV": {"path": "masks/FV.png", "sha256": "0"}},
        invalid="void",
    )
    text = describe(root)
    assert "left 0 px, top 3 px, right 0 px, bottom 2 px" in text
    assert "labels/1.png is missing" in text
    assert "10 more frames" in text
    assert "own vehicle left out of" in text
    assert "0, void" in text


def test_maps_of_the_sky(tmp_path):
    text = describe(write_sky_set(tmp_path / "set", samples=25, channels=2))
    assert "2 channels, float32, in the unit of the maps" in text
    assert "nside 8, ring" in text
    assert "5 more calibrations" in text
    assert "class" not in text


def test_there_must_be_a_set(tmp_path):
    with pytest.raises(ValueError, match=r"holds no zarr\.json"):
        describe(tmp_path)
