import json

import cv2
import numpy as np
import pytest
from data_prep_layouts import (
    labels,
    metres,
    picture,
    write_calibration,
    write_classes,
    write_folder,
    write_image,
    write_npy,
)
from synwoodscape_folder import tiny_camera

from data_prep.readers import FolderReader

OPENCV_YAML = """%YAML:1.0
---
K: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [20.0, 0.0, 31.5, 0.0, 20.0, 23.5, 0.0, 0.0, 1.0]
D: !!opencv-matrix
   rows: 4
   cols: 1
   dt: d
   data: [0.05, 0.01, 0.0, 0.0]
"""


def only_frame(reader, tasks=()):
    (frame,) = reader.frames(tasks)
    return frame


def test_an_image_and_its_calibration_are_a_data_set(tmp_path):
    write_image(tmp_path / "front.jpg", picture(1))
    write_calibration(tmp_path / "front.json")
    reader = FolderReader(tmp_path)
    assert reader.default_tasks() == ()
    frame = only_frame(reader)
    assert (frame.name, frame.camera, frame.scene) == ("front", "FV", "front")
    camera = reader.calibration(frame)
    assert camera == tiny_camera("FV")
    reader.check(frame, camera)
    decoded = cv2.imread(str(tmp_path / "front.jpg"))[..., ::-1]
    np.testing.assert_array_equal(
        reader.image((tmp_path / "front.jpg").read_bytes(), "front.jpg"), decoded
    )


@pytest.mark.parametrize("top", ["images", "rgb", "rgb_images", "."])
@pytest.mark.parametrize("label_folder", ["labels", "semantic"])
def test_folders_have_several_names(tmp_path, top, label_folder):
    write_image(tmp_path / top / "a.png", picture(1))
    write_image(tmp_path / label_folder / "a.png", labels(1, 3))
    write_npy(tmp_path / "depth/a.npy", metres(1))
    write_calibration(tmp_path / "calibration.json")
    reader = FolderReader(tmp_path)
    assert reader.default_tasks() == ("semantic",)
    frame = only_frame(reader, ("semantic", "depth"))
    assert frame.files["semantic"] == f"{label_folder}/a.png"
    assert frame.files["depth"] == "depth/a.npy"
    reader.check(frame, reader.calibration(frame))


def test_sub_folders_are_cameras(tmp_path):
    reader = FolderReader(write_folder(tmp_path / "source", scenes=2))
    frames = reader.frames(("semantic", "depth"))
    assert [(frame.name, frame.camera, frame.scene) for frame in frames] == [
        ("0000_left", "left", "0000"),
        ("0000_right", "right", "0000"),
        ("0001_left", "left", "0001"),
        ("0001_right", "right", "0001"),
    ]
    assert frames[0].files == {
        "image": "images/left/0000.png",
        "semantic": "labels/left/0000.png",
        "depth": "depth/left/0000.npy",
        "calibration": "calibration/left.json",
    }


def test_the_end_of_a_name_is_a_camera_if_it_has_a_calibration(tmp_path):
    for name in ("0001_left", "0001_right", "0002_up"):
        write_image(tmp_path / f"images/{name}.png", picture(1))
    write_calibration(tmp_path / "calibration/left.json")
    write_calibration(tmp_path / "calibration/right.json")
    write_calibration(tmp_path / "calibration.json")
    frames = FolderReader(tmp_path).frames(())
    assert [(frame.camera, frame.scene) for frame in frames] == [
        ("left", "0001"),
        ("right", "0001"),
        ("FV", "0002_up"),
    ]


PLACES = (
    "calibration/left/a.json",
    "calibration/a.yaml",
    "calibration/left.yml",
    "images/left/a.json",
    "calibration.yaml",
)


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_nearest_calibration_counts(tmp_path, first):
    """Of all calibrations from `first` on; JSON is YAML too."""
    write_image(tmp_path / "images/left/a.png", picture(1))
    for number, place in enumerate(PLACES[first:], first):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        calibration = json.dumps(tiny_camera(cx_offset=float(number)).to_dict())
        (tmp_path / place).write_text(calibration)
    reader = FolderReader(tmp_path)
    frame = only_frame(reader)
    assert frame.files["calibration"] == PLACES[first]
    assert reader.calibration(frame).cx_offset == first


def test_calibrations_without_a_size_or_a_name_get_those_of_the_image(tmp_path):
    write_image(tmp_path / "images/left/a.jpg", picture(1))
    (tmp_path / "calibration.yml").write_text(OPENCV_YAML)
    reader = FolderReader(tmp_path)
    camera = reader.calibration(only_frame(reader))
    assert (camera.width, camera.height, camera.name) == (64, 48, "left")
    (tmp_path / "images/left").rename(tmp_path / "rgb")
    (tmp_path / "images").rmdir()
    reader = FolderReader(tmp_path)
    assert only_frame(reader).camera == "camera"
    assert reader.calibration(only_frame(reader)).name == "camera"


def test_a_wrong_calibration_is_told_with_its_frame_not_before(tmp_path):
    """So that a conversion can skip the frame."""
    source = write_folder(tmp_path / "source", cameras=())
    (source / "calibration.json").write_text("{}")
    reader = FolderReader(source)
    frame = reader.frames(())[0]
    assert frame.camera == "camera"
    with pytest.raises(ValueError, match=r"calibration\.json cannot be used: .*intrinsic"):
        reader.calibration(frame)


def test_a_missing_calibration(tmp_path):
    write_image(tmp_path / "images/left/a.png", picture(1))
    reader = FolderReader(tmp_path)
    with pytest.raises(ValueError, match=r"calibration/left/a\.json is missing: the image a_left"):
        reader.calibration(only_frame(reader))


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("images/a.png", "images/a.jpg"),
        ("images/a_left.png", "images/left/a.png"),
        ("labels/a.png", "labels/a.PNG"),
        ("depth/a.npy", "depth/a.png"),
        ("calibration/a.json", "calibration/a.yaml"),
        ("calibration.json", "calibration.yaml"),
    ],
)
def test_doubled_names(tmp_path, path, other):
    write_image(tmp_path / "images/b.png", picture(1))
    for name in (path, other):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"is doubled|one calibration is needed"):
        FolderReader(tmp_path).frames(("semantic", "depth"))


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("labels/left/0001.png", r"labels/left/0001\.png is missing"),
        ("depth/left/0001.npy", r"depth/left/0001\.npy is missing"),
    ],
)
def test_missing_labels_are_named_where_they_ought_to_be(tmp_path, file, match):
    source = write_folder(tmp_path / "source")
    (source / file).unlink()
    reader = FolderReader(source)
    frame = next(f for f in reader.frames(("semantic", "depth")) if f.name == "0001_left")
    with pytest.raises(ValueError, match=match):
        reader.check(frame, reader.calibration(frame))


@pytest.mark.parametrize(
    ("file", "image", "match"),
    [
        ("images/left/0000.jpg", picture(1)[..., 0], r"is 8-bit grey, 8-bit RGB or RGB with alpha"),
        ("images/left/0000.jpg", picture(1, 60, 40), r"is 60 x 40 pixels, its calibration is for"),
        (
            "labels/left/0000.png",
            labels(1, 3, 60, 40),
            r"is 60 x 40 pixels, its calibration is for",
        ),
        ("labels/left/0000.png", picture(1), r"is 8-bit RGB, 8-bit grey is needed"),
        ("labels/left/0000.png", labels(1, 3).astype(np.uint16), r"is 16-bit grey, 8-bit grey"),
        ("depth/left/0000.png", labels(1, 3), r"is 8-bit grey, 16-bit grey is needed"),
    ],
)
def test_files_of_another_kind(tmp_path, file, image, match):
    source = write_folder(tmp_path / "source", image_suffix=".jpg", depth_suffix=".png")
    write_image(source / file, image)
    reader = FolderReader(source)
    frame = reader.frames(("semantic", "depth"))[0]
    with pytest.raises(ValueError, match=rf"{file} {match}"):
        reader.check(frame, reader.calibration(frame))


def test_class_lists_and_calibrations_are_no_images(tmp_path):
    write_image(tmp_path / "a.png", picture(1))
    write_calibration(tmp_path / "calibration.json")
    write_classes(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert [frame.name for frame in FolderReader(tmp_path).frames(())] == ["a"]
