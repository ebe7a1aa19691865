"""WoodScape and SynWoodScape (what is wrong with their files: `test_convert_bad_input`)."""

import io

import numpy as np
import pytest
from data_prep_layouts import write_woodscape

from data_prep.readers import SynWoodScapeReader, WoodScapeReader


def test_frames(tmp_path):
    frames = WoodScapeReader(write_woodscape(tmp_path / "source")).frames(("semantic",))
    assert [frame.name for frame in frames] == ["00000_FV", "00001_RV", "00002_FV", "00003_RV"]
    assert frames[1].camera == "RV"
    assert frames[1].scene == "00001"
    assert frames[1].files == {
        "image": "rgb_images/00001_RV.png",
        "semantic": "semantic_annotations/gtLabels/00001_RV.png",
        "calibration": "calibration/00001_RV.json",
    }


def test_folders_inside_folders_of_their_name(tmp_path):
    source = write_woodscape(tmp_path / "source")
    for folder in ("rgb_images", "semantic_annotations", "calibration"):
        (source / folder).rename(source / "inner")
        (source / folder).mkdir()
        (source / "inner").rename(source / folder / folder)
    reader = WoodScapeReader(source)
    (first, *_) = reader.frames(("semantic",))
    assert first.files["semantic"] == (
        "semantic_annotations/semantic_annotations/gtLabels/00000_FV.png"
    )
    reader.check(first, reader.calibration(first))


def test_labels_are_wanted_where_there_are_some(tmp_path):
    source = write_woodscape(tmp_path / "source")
    reader = WoodScapeReader(source)
    assert reader.default_tasks() == ("semantic",)
    for path in (source / "semantic_annotations/gtLabels").iterdir():
        path.unlink()
    assert reader.default_tasks() == ()


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.nan, r"a\.npy holds NaN as depth: write 1000 where nothing is met"),
        (-1, r"a\.npy holds the negative depth -1"),
    ],
)
def test_depth_that_is_none(tmp_path, value, match):
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1, value]], np.float32))
    with pytest.raises(ValueError, match=match):
        SynWoodScapeReader(tmp_path).depth(buffer.getvalue(), "a.npy")


def test_the_sky_is_infinitely_far(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1, 1000, 999.5]], np.float32))
    depth = SynWoodScapeReader(tmp_path).depth(buffer.getvalue(), "a.npy")
    np.testing.assert_array_equal(depth, np.array([[1, np.inf, 999.5]], np.float32))
