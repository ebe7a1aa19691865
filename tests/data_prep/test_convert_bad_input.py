"""Every wrong input is an error that names it, and leaves nothing that passes for a set."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from synwoodscape_folder import tiny_camera, tree_bytes, write_synwoodscape

from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedSet


@pytest.fixture
def source(tmp_path):
    return write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV",))


def refused(source, match, early=True, **arguments):
    """The conversion fails with a message; `early` means before anything was written."""
    out = source.parent / "out"
    arguments = {"nside": 4, "tasks": ("semantic", "depth"), **arguments}
    with pytest.raises(ValueError, match=match):
        convert(Conversion(source, **arguments), out, progress=False)
    with pytest.raises(ValueError, match=r"not finished|does not exist"):
        PreparedSet.open(out)
    assert (source.parent / "out.partial").exists() != early


def truncate(path, keep=0.6):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def test_missing_source(tmp_path):
    refused(tmp_path / "nowhere", "source folder .*nowhere does not exist")


def test_empty_source(tmp_path):
    (tmp_path / "source").mkdir()
    refused(tmp_path / "source", r"holds no images: rgb_images/\*.png are expected")


def test_missing_calibration(source):
    (source / "calibration/00002_FV.json").unlink()
    refused(source, "00002_FV.json is missing")


def test_calibration_without_an_entry(source):
    calibration = tiny_camera().to_dict()
    del calibration["intrinsic"]["k3"]
    (source / "calibration/00002_FV.json").write_text(json.dumps(calibration))
    refused(source, "00002_FV.json.*'k3'")


def test_calibration_without_a_pose(source):
    calibration = tiny_camera().to_dict()
    del calibration["extrinsic"]
    (source / "calibration/00002_FV.json").write_text(json.dumps(calibration))
    refused(source, "00002_FV.json: the calibration entry 'quaternion' in 'extrinsic' is missing")


def test_calibration_of_another_camera(source):
    (source / "calibration/00002_FV.json").write_text(json.dumps(tiny_camera("RV").to_dict()))
    refused(source, "00002_FV.json calibrates the camera 'RV', the image 00002_FV is of 'FV'")


@pytest.mark.parametrize(
    "path", ["rgb_images/00002_FV.png", "semantic_annotations/gtLabels/00002_FV.png"]
)
def test_image_of_another_size(source, path):
    channels = () if "gtLabels" in path else (3,)
    cv2.imwrite(str(source / path), np.zeros((40, 60, *channels), dtype=np.uint8))
    refused(source, r"00002_FV.png is 60 x 40 pixels, its calibration is for 64 x 48")


def test_depth_of_another_size(source):
    np.save(source / "depth_maps/raw_data/00002_FV.npy", np.ones((40, 60), dtype=np.float32))
    refused(source, "00002_FV.npy is 60 x 40 pixels")


@pytest.mark.parametrize(
    "path",
    ["semantic_annotations/gtLabels/00002_FV.png", "depth_maps/raw_data/00002_FV.npy"],
)
def test_missing_label(source, path):
    (source / path).unlink()
    refused(source, f"{path} is missing")


@pytest.mark.parametrize(
    "path",
    [
        "rgb_images/00002_FV.png",
        "semantic_annotations/gtLabels/00002_FV.png",
        "depth_maps/raw_data/00002_FV.npy",
    ],
)
@pytest.mark.parametrize("keep", [0.0, 0.6, 0.99])
def test_truncated_file(source, path, keep):
    truncate(source / path, keep)
    refused(source, f"{path} is (truncated|no PNG|no whole .npy)")


def test_damaged_png(source):
    path = source / "rgb_images/00002_FV.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    # Only decoding tells; the first frame may be finished by then, the set is not.
    refused(source, "rgb_images/00002_FV.png is truncated or damaged", early=False)


@pytest.mark.parametrize(
    ("path", "image", "kind"),
    [
        ("rgb_images", np.zeros((48, 64), np.uint8), "8-bit grey"),
        ("rgb_images", np.zeros((48, 64, 3), np.uint16), "16-bit RGB"),
        ("semantic_annotations/gtLabels", np.zeros((48, 64, 3), np.uint8), "8-bit RGB"),
        ("semantic_annotations/gtLabels", np.zeros((48, 64), np.uint16), "16-bit grey"),
    ],
)
def test_png_of_another_kind(source, path, image, kind):
    cv2.imwrite(str(source / path / "00002_FV.png"), image)
    refused(source, f"00002_FV.png is {kind}, 8-bit (RGB or RGB with alpha|grey) is needed")


def test_no_png_at_all(source):
    (source / "rgb_images/00002_FV.png").write_bytes(b"GIF89a" + bytes(100))
    refused(source, "00002_FV.png is no PNG file")


def test_unknown_class_ids(source):
    ids = np.zeros((48, 64), dtype=np.uint8)
    ids[3, 4], ids[9, 9] = 25, 77
    cv2.imwrite(str(source / "semantic_annotations/gtLabels/00002_FV.png"), ids)
    refused(source, "00002_FV.png holds the unknown class ids 25, 77; the ids are 0 to 24")


def test_negative_depth(source):
    depth = np.ones((48, 64), dtype=np.float32)
    depth[5, 5] = -2
    np.save(source / "depth_maps/raw_data/00002_FV.npy", depth)
    refused(source, "00002_FV.npy holds the negative depth -2", early=False)


def test_doubled_name(source):
    (source / "rgb_images/rgb_images").mkdir()
    data = (source / "rgb_images/00002_FV.png").read_bytes()
    (source / "rgb_images/rgb_images/00002_FV.png").write_bytes(data)
    refused(source, "the name 00002_FV is doubled")


def test_name_without_camera(source):
    (source / "rgb_images/00002_FV.png").rename(source / "rgb_images/second.png")
    refused(source, "second.png is not named NUMBER_CAMERA.png")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"nside": 12}, "nside=12"),
        ({"nside": 0}, "nside=0"),
        ({"base_pixels": (3, 12)}, "base_pixels"),
        ({"tasks": ("flow",)}, "tasks='flow'"),
        ({"tasks": ("depth", "depth")}, "tasks='depth,depth'"),
        ({"reader": "kitti"}, "reader='kitti' must be one of"),
        ({"classes": "tiny"}, "classes='tiny' must be one of"),
        ({"pole": "south"}, "pole='south'"),
        ({"invalid": "zero"}, "invalid='zero'"),
        ({"limit": 0}, "limit=0"),
        ({"crop": "red"}, "crop='red' must be four numbers or 'green'"),
        ({"crop": (0, -1, 0, 0)}, r"crop=\(0, -1, 0, 0\) must be four numbers"),
        ({"crop": (40, 0, 24, 0)}, "nothing is left of the 64 x 48 pixels of camera 'FV'"),
        ({"own_vehicle": Path("nowhere")}, "own_vehicle=.*nowhere is no folder"),
        ({"cameras": ("XX",)}, r"camera='XX' is none of the source's cameras \['FV'\]"),
        ({"split": "train:1.2"}, "share of 'train' must be above 0"),
        ({"limit": 1, "split": "train:0.8"}, r"1 scene\(s\) cannot be split into train, val"),
    ],
)
def test_wrong_arguments(source, arguments, match):
    refused(source, match, **arguments)


def test_base_pixels_that_the_camera_does_not_see(source):
    narrow = dataclasses.replace(tiny_camera(), coefficients=(60.0,))
    for name in ("00001_FV", "00002_FV"):
        (source / f"calibration/{name}.json").write_text(json.dumps(narrow.to_dict()))
    refused(source, r"base_pixels=\(8, 9\): camera 'FV' sees none of them", base_pixels=(8, 9))


def test_no_workers(source, tmp_path):
    with pytest.raises(ValueError, match="workers=0 must be at least 1"):
        convert(Conversion(source), tmp_path / "out", workers=0)


def test_no_permission_to_read(source, monkeypatch):
    """Tests may run as root, whom no permission stops: the system's answer is put in its place."""
    file = source / "rgb_images/00002_FV.png"
    working = Path.open

    def forbidden(self, *arguments, **keywords):
        if self == file:
            raise PermissionError(13, "Permission denied", str(self))
        return working(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", forbidden)
    refused(source, "00002_FV.png may not be read: no permission")


def test_no_permission_to_write(source, tmp_path, monkeypatch):
    def full_of_guards(self, *arguments, **keywords):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", full_of_guards)
    with pytest.raises(ValueError, match=r"out.partial.* may not be written: no permission"):
        convert(Conversion(source, nside=4), tmp_path / "out", progress=False)


def test_a_place_below_a_file(source, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=r"file/out cannot be made: .*file is a file"):
        convert(Conversion(source, nside=4), tmp_path / "file/out", progress=False)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((40, 64), np.uint8), "FV.png is 64 x 40 pixels"),
        (np.zeros((48, 64, 3), np.uint8), "FV.png is 8-bit RGB, 8-bit grey is needed"),
    ],
)
def test_masks_of_another_kind(source, tmp_path, image, match):
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks/FV.png"), image)
    refused(source, match, own_vehicle=tmp_path / "masks")


def test_masks_of_no_camera(source, tmp_path):
    (tmp_path / "masks").mkdir()
    refused(source, r"holds no mask CAMERA.png of .*\['FV'\]", own_vehicle=tmp_path / "masks")


@pytest.mark.parametrize("out", ["source/set", "source", "."])
def test_set_and_source_inside_each_other(source, tmp_path, out):
    with pytest.raises(ValueError, match="must not hold each other"):
        convert(Conversion(source), tmp_path / out)


def test_a_folder_of_something_else_is_never_replaced(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="exists and is no prepared data set"):
            convert(Conversion(source, nside=4), tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


def spoil(source):
    """Make the last sample's depth unusable in a way that only decoding shows; return the file."""
    depth = next(source.rglob("00002_FV.npy"))
    good = depth.read_bytes()
    np.save(depth, np.full((48, 64), -2, dtype=np.float32))
    refused(source, "00002_FV.npy holds the negative depth -2", early=False)
    depth.write_bytes(good)


def test_a_mended_source_continues_and_matches_one_that_was_never_wrong(source, tmp_path):
    conversion = Conversion(source, nside=4, tasks=("semantic", "depth"))
    convert(conversion, tmp_path / "undisturbed", progress=False)
    spoil(source)
    assert "1 of them converted now" in convert(conversion, tmp_path / "out", progress=False)
    assert tree_bytes(tmp_path / "out") == tree_bytes(tmp_path / "undisturbed")


def test_a_sample_whose_source_changed_is_converted_again(source, tmp_path):
    """Even if the file has the size it had: .npy files of one shape always have."""
    conversion = Conversion(source, nside=4, tasks=("semantic", "depth"))
    spoil(source)
    first = next(source.rglob("00001_FV.npy"))
    np.save(first, np.full((48, 64), 7, dtype=np.float32))
    assert "2 of them converted now" in convert(conversion, tmp_path / "out", progress=False)
    prepared = PreparedSet.open(tmp_path / "out")
    assert (prepared.depth(0)[prepared.valid("FV")] == 7).all()
