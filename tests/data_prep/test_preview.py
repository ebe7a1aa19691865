"""The contact sheet of sets of images and of maps."""

import json
import shutil

import cv2
import numpy as np
import pytest
from sky_set import write_sky_set

from data_prep.conversion import Conversion
from data_prep.convert import convert
from data_prep.preview import preview
from healswin.data import PreparedSet
from healswin.viz.colour import EMPTY, PAPER, SKY


def picture(path):
    return cv2.imread(str(path))[..., ::-1]


def holds(image, colour):
    return (image == colour).all(axis=-1).any()


def without_sources(root, out):
    shutil.copytree(root, out)
    metadata = json.loads((out / "zarr.json").read_text(encoding="utf-8"))
    metadata["attributes"]["source_root"] = "/gone"
    (out / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")
    return out


def test_images_labels_and_depth(prepared, tmp_path):
    root = prepared(16)
    made = PreparedSet.open(root)
    sheet = picture(preview(root, tmp_path / "new/sheet.png", samples=2))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]
    shown = np.union1d(made.semantic(0), made.semantic(19))
    for number in range(made.num_classes):
        # The legend has the classes that occur, and so have the labels.
        assert holds(sheet, made.class_colours[number]) == (number in shown)
    assert holds(sheet, SKY)


def test_the_sheet_grows_with_the_samples(prepared, tmp_path):
    heights = [
        picture(preview(prepared(16), tmp_path / f"{count}.png", samples=count)).shape[0]
        for count in (1, 2, 3)
    ]
    assert heights[1] - heights[0] == heights[2] - heights[1] > 400


def test_samples_by_name(prepared, tmp_path):
    one = picture(preview(prepared(16), tmp_path / "a.png", names=("00002_FV",)))
    other = picture(preview(prepared(16), tmp_path / "b.png", names=("00002_RV",)))
    again = picture(preview(prepared(16), tmp_path / "c.png", names=("00002_FV",)))
    assert np.array_equal(one, again)
    assert one.shape[1] == other.shape[1]
    assert not np.array_equal(one[:450], other[:450])


@pytest.mark.parametrize("camera", ["FV", "MVL", "RV"])
def test_with_the_zenith_s_pole_every_camera_is_shown_from_its_front(street, tmp_path, camera):
    conversion = Conversion(
        street, nside=16, base_pixels=tuple(range(12)), tasks=("depth",), pole="zenith", limit=4
    )
    convert(conversion, tmp_path / "set", progress=False)
    names = (f"00001_{camera}",)
    sheet = picture(preview(tmp_path / "set", tmp_path / "sheet.png", names=names))
    ball = sheet[110 : 110 + 280, -294:-14]  # below the captions, the column on the right
    seen = ~((ball == EMPTY) | (ball == PAPER)).all(axis=-1)
    assert seen.mean() > 0.6  # of the square around the disc


def test_without_source_images(prepared, tmp_path):
    gone = without_sources(prepared(16), tmp_path / "set")
    with_sources = picture(preview(prepared(16), tmp_path / "a.png", samples=1))
    without = picture(preview(gone, tmp_path / "b.png", samples=1))
    assert without.shape[1] < with_sources.shape[1]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_maps_of_the_sky(tmp_path, channels):
    root = write_sky_set(tmp_path / "a folder with a long name" / ("set " * 30), channels=channels)
    sheet = picture(preview(root, tmp_path / "sheet.png"))
    # The maps vary about zero: both ends of the scale are there.
    red, blue = sheet[..., 0].astype(int), sheet[..., 2].astype(int)
    assert ((red - blue) > 60).mean() > 0.05
    assert ((blue - red) > 60).mean() > 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples=0 must be at least 1"),
        ({"names": ("nobody",)}, "'nobody' is no sample of .*, which holds 00001_FV, "),
        ({"out": "sheet.jpg"}, r"sheet.jpg must end in .png"),
    ],
)
def test_refused(prepared, tmp_path, arguments, message):
    out = tmp_path / arguments.pop("out", "sheet.png")
    with pytest.raises(ValueError, match=message):
        preview(prepared(16), out, **arguments)
    assert not list(tmp_path.iterdir())
