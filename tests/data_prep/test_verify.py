"""`inspect --verify` finds damage of every kind and says where it is."""

import json
import shutil

import numpy as np
import pytest
import zarr
from sky_set import write_sky_set

from data_prep.verify import verify
from healswin.data import PreparedSet


@pytest.fixture
def copy(prepared, tmp_path):
    """A set that may be damaged."""
    return shutil.copytree(prepared(16), tmp_path / "set")


def change(root, array, row, values):
    """Write a row, other where `values` is a function of what is there."""
    # Zarr leaves out chunks of zeros unless it is told to write them.
    opened = zarr.open_array(root / array, mode="r+").with_config({"write_empty_chunks": True})
    opened[row] = values(np.asarray(opened[row]))


def refusal(root):
    with pytest.raises(ValueError, match="is damaged, copy or convert it again") as error:
        verify(root, progress=False)
    return str(error.value)


def test_whole_sets_pass(prepared, tmp_path):
    text = verify(prepared(16), progress=False)
    assert text.startswith("verified: 20 samples, all 64 chunks")
    text = verify(write_sky_set(tmp_path / "sky", channels=2), progress=False)
    assert text.startswith("verified: 3 samples, all 6 chunks of image, valid")


@pytest.mark.parametrize("array", ["image", "semantic", "depth", "valid"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing"])
def test_damaged_chunks_are_named(copy, array, damage):
    file = f"{array}/c/2/0/0" if array == "image" else f"{array}/c/2/0"
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 0x55
    if damage == "missing":
        (copy / file).unlink()
    elif damage == "flipped":
        (copy / file).write_bytes(data)
    else:
        (copy / file).write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    message = refusal(copy)
    owner = "camera MVR" if array == "valid" else "sample 2 (00001_MVR)"
    what = "is missing" if damage == "missing" else "cannot be read"
    assert f"{array} of {owner}, {file}: the chunk {what}" in message
    assert message.count("\n") == 1


def one_class_too_many(labels):
    labels[5] = 12
    return labels


@pytest.mark.parametrize(
    ("array", "values", "message"),
    [
        ("semantic", one_class_too_many, "a class that there is not, e.g. 12; there are 0..11"),
        ("semantic", np.zeros_like, "not 255 outside `valid`"),
        ("image", np.ones_like, "not 0 outside `valid`"),
        ("depth", lambda depth: -np.abs(depth), "negative"),
        ("depth", np.zeros_like, "not NaN outside `valid`"),
    ],
)
def test_values_that_there_must_not_be(copy, array, values, message):
    change(copy, array, 7, values)
    assert message in refusal(copy)
    assert f"{array} of sample 7 (00002_RV)" in refusal(copy)


def test_maps_must_be_finite(tmp_path):
    root = write_sky_set(tmp_path / "set")
    change(root, "image", 1, lambda values: np.full_like(values, np.nan))
    assert "image of sample 1 (sky_1), image/c/1/0/0: 768 pixels are not finite" in refusal(root)


def test_void_outside_the_field_is_right_where_it_was_asked_for(copy):
    made = PreparedSet.open(copy)
    for index, camera in enumerate(made.sample_camera):
        valid = made.valid(camera)
        change(copy, "semantic", index, lambda labels, valid=valid: np.where(valid, labels, 0))
    with_attributes(copy, invalid="void")
    assert "verified" in verify(copy, progress=False)


def test_the_first_few_damages_are_told_and_the_others_counted(copy):
    for index in range(9):
        (copy / f"depth/c/{index}/0").unlink()
    message = refusal(copy)
    assert message.count("the chunk is missing") == 5
    assert message.endswith("and 4 more")


def with_attributes(root, **attributes):
    metadata = json.loads((root / "zarr.json").read_text(encoding="utf-8"))
    metadata["attributes"].update(attributes)
    (root / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"split": {"train": [0, 20]}}, "split 'train' holds 20, samples are 0..19"),
        ({"split": {"train": [0, 1.0]}}, r"holds 1.0, samples"),
        ({"split": {"train": [0, 1], "val": [1]}}, "sample 1 is in the splits 'train' and 'val'"),
        ({"split": {"val": [1]}}, "no split 'train'"),
        ({"sample_names": ["a"] * 20}, "two samples are called 'a'"),
        ({"sample_camera": ["FV"] * 19}, "sample_camera has 19 entries for 20 samples"),
        ({"sample_camera": ["XX"] * 20}, r"samples were taken by ['XX']"),
        ({"class_colours": [[0, 0, 0]]}, "class_colours has 1 entries for 12 classes"),
        ({"image_std": [1.0]}, "image_mean has 3 values"),
        ({"nside": 8}, "image is uint8 (20, 2048, 3), it should be uint8 (20, 512, 3)"),
        ({"image_dtype": "float32"}, "it should be float32"),
        (
            {"cameras": [{"key": "FV", "calibration": {"intrinsic": {"model": "radial_poly"}}}]},
            "a calibration cannot be read",
        ),
    ],
)
def test_attributes_that_contradict_each_other(copy, attributes, message):
    with_attributes(copy, **attributes)
    assert message in refusal(copy)


def test_missing_attributes_and_torn_metadata(copy):
    metadata = json.loads((copy / "zarr.json").read_text(encoding="utf-8"))
    del metadata["attributes"]["split"]
    (copy / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")
    assert "the attributes split are missing" in refusal(copy)


def test_array_metadata_that_is_no_json(copy):
    (copy / "depth/zarr.json").write_text("{")
    assert "depth/zarr.json cannot be read" in refusal(copy)
