"""`stats` finds what the conversion stored, and mends what does not agree."""

import json
import shutil

import numpy as np
import pytest
from sky_set import sky_map, write_sky_set

from data_prep.statistics import statistics
from healswin.data import PreparedSet

FOUND = ("image_mean", "image_std", "class_frequencies", "class_weights", "depth_statistics")


@pytest.fixture(params=["street", "sky"])
def copy(request, prepared, tmp_path):
    """A set that may be changed."""
    if request.param == "sky":
        return write_sky_set(tmp_path / "set", channels=2)
    return shutil.copytree(prepared(16), tmp_path / "set")


def attributes(root):
    return json.loads((root / "zarr.json").read_text(encoding="utf-8"))["attributes"]


def test_a_converted_set_stays_as_it_is_byte_for_byte(copy):
    before = (copy / "zarr.json").read_bytes()
    assert "holds these figures already" in statistics(copy, progress=False)
    assert (copy / "zarr.json").read_bytes() == before


def test_wrong_figures_are_replaced_and_nothing_else_is(copy):
    right = (copy / "zarr.json").read_bytes()
    metadata = json.loads(right)
    for name in FOUND:
        if name in metadata["attributes"]:
            metadata["attributes"][name] = []
    (copy / "zarr.json").write_text(json.dumps(metadata, indent=2), encoding="utf-8")
    assert "stored in" in statistics(copy, progress=False)
    assert (copy / "zarr.json").read_bytes() == right
    assert [path.name for path in copy.parent.iterdir()] == ["set"]


def test_only_the_training_split_counts(prepared, tmp_path):
    root = shutil.copytree(prepared(16), tmp_path / "set")
    metadata = json.loads((root / "zarr.json").read_text(encoding="utf-8"))
    metadata["attributes"]["split"] = {"train": [4]}
    (root / "zarr.json").write_text(json.dumps(metadata, indent=2), encoding="utf-8")
    text = statistics(root, progress=False)
    made = PreparedSet.open(root)
    valid = made.valid(made.sample_camera[4])
    seen = made.image(4)[valid] / 255
    np.testing.assert_allclose(made.image_mean, seen.mean(0), rtol=1e-9)
    np.testing.assert_allclose(made.image_std, seen.std(0), rtol=1e-9)
    labels = made.semantic(4)[valid]
    shares = np.bincount(labels[labels != 255], minlength=made.num_classes)
    np.testing.assert_allclose(made.class_frequencies, shares / shares.sum(), rtol=1e-9)
    depth = made.depth(4)[valid].astype(np.float64)
    depth = depth[np.isfinite(depth)]
    stored = attributes(root)["depth_statistics"]
    assert (stored["count"], stored["max"]) == (depth.size, depth.max())
    np.testing.assert_allclose(stored["mean"], depth.mean(), rtol=1e-9)
    assert f"{stored['mean']:.3f} m" in text


def test_maps_keep_their_units(tmp_path):
    root = write_sky_set(tmp_path / "set", samples=3)
    statistics(root, progress=False)
    maps = [sky_map(index, 8, 1) for index in (0, 1)]
    known = np.concatenate([values[valid, 0] for values, valid in maps]).astype(np.float64)
    np.testing.assert_allclose(attributes(root)["image_mean"], [known.mean()], atol=1e-12)
    np.testing.assert_allclose(attributes(root)["image_std"], [known.std()], rtol=1e-9)


def test_a_lost_chunk_changes_nothing(copy):
    before = (copy / "zarr.json").read_bytes()
    (copy / "image/c/0/0/0").unlink()
    with pytest.raises(ValueError, match="chunk 0 of the array 'image' is missing"):
        statistics(copy, progress=False)
    assert (copy / "zarr.json").read_bytes() == before
