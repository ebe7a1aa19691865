"""What a conversion makes of its source."""

import itertools
import json

import cv2
import numpy as np
import pytest
from synwoodscape_folder import tiny_camera, tree_bytes, write_synwoodscape

from data_prep.classes import SYNWOODSCAPE_CLASSES
from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedSet
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_synwoodscape(tmp_path_factory.mktemp("source") / "set")


def prepare(source, out, *, workers=1, overwrite=False, **arguments):
    conversion = Conversion(source, **{"nside": 8, "tasks": ("semantic", "depth"), **arguments})
    convert(conversion, out, workers=workers, overwrite=overwrite, progress=False)
    return PreparedSet.open(out)


def test_rows_are_the_resampled_source(source, tmp_path):
    prepared = prepare(source, tmp_path / "set")
    index = prepared.sample_names.index("00002_MVL")
    table = ImageToGrid(tiny_camera("MVL"), HealpixGrid(8, range(8)))
    files = prepared.source_files(index)
    image = cv2.imread(str(source / files["image"]))[..., ::-1]
    ids = cv2.imread(str(source / files["semantic"]), cv2.IMREAD_UNCHANGED)
    depth = np.load(source / files["depth"])
    depth[depth == 1000] = np.inf
    classes = np.array(SYNWOODSCAPE_CLASSES["large-ad"].class_of_id, dtype=np.uint8)[ids]

    np.testing.assert_array_equal(prepared.image(index), table.bilinear(image.copy()))
    np.testing.assert_array_equal(prepared.semantic(index), table.nearest(classes, 255))
    np.testing.assert_array_equal(prepared.depth(index), table.nearest(depth, np.nan))
    np.testing.assert_array_equal(prepared.valid("MVL"), table.valid)
    assert np.isinf(prepared.depth(index)).any()
    assert np.isnan(prepared.depth(index)[~table.valid]).all()


def test_attributes_describe_the_set(source, tmp_path):
    prepared = prepare(source, tmp_path / "set")
    assert len(prepared) == 12
    assert prepared.grid == HealpixGrid(8, range(8))
    assert prepared.tasks == ["semantic", "depth"]
    assert prepared.num_classes == 12
    assert prepared.cameras["RV"] == tiny_camera("RV")
    assert prepared.sample_camera[:4] == ["FV", "MVL", "MVR", "RV"]
    assert prepared.up == (0.0, -1.0, 0.0)
    assert prepared.source_root == source
    assert prepared.source_files(0)["calibration"] == "calibration/00001_FV.json"
    entry = prepared.attributes["sources"][0]["image"]
    assert entry["size"] == (source / entry["path"]).stat().st_size
    assert len(entry["sha256"]) == 64


def test_a_constant_image_stays_constant_where_valid(tmp_path):
    source = write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV",))
    for file in (source / "rgb_images").iterdir():
        cv2.imwrite(str(file), np.full((48, 64, 3), (30, 120, 201), dtype=np.uint8))
    prepared = prepare(source, tmp_path / "set", tasks=())
    valid = prepared.valid("FV")
    assert 0 < valid.sum() < valid.size
    assert (prepared.image(0)[valid] == (201, 120, 30)).all()
    assert (prepared.image(0)[~valid] == 0).all()
    np.testing.assert_allclose(prepared.image_mean, np.array([201, 120, 30]) / 255, rtol=1e-12)
    assert prepared.image_std == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("invalid", "label"), [("ignore", 255), ("void", 0)])
def test_label_outside_the_field(source, tmp_path, invalid, label):
    prepared = prepare(source, tmp_path / "set", invalid=invalid)
    valid = prepared.valid("FV")
    assert (prepared.semantic(0)[~valid] == label).all()
    assert (prepared.semantic(0)[valid] < 12).all()


def test_statistics_are_those_of_the_training_split(source, tmp_path):
    prepared = prepare(source, tmp_path / "set")
    training = prepared.split["train"]
    valid = [prepared.valid(prepared.sample_camera[i]) for i in training]
    pixels = np.concatenate([prepared.image(i)[v] for i, v in zip(training, valid, strict=True)])
    labels = np.concatenate([prepared.semantic(i)[v] for i, v in zip(training, valid, strict=True)])
    depth = np.concatenate([prepared.depth(i)[v] for i, v in zip(training, valid, strict=True)])
    depth = depth[np.isfinite(depth)].astype(np.float64)

    np.testing.assert_allclose(prepared.image_mean, pixels.mean(0) / 255, rtol=1e-12)
    np.testing.assert_allclose(prepared.image_std, pixels.std(0) / 255, rtol=1e-12)
    shares = np.bincount(labels, minlength=12) / labels.size
    np.testing.assert_allclose(prepared.class_frequencies, shares, rtol=1e-12)
    statistics = prepared.attributes["depth_statistics"]
    assert statistics["count"] == depth.size
    np.testing.assert_allclose(statistics["mean"], depth.mean(), rtol=1e-12)
    np.testing.assert_allclose(statistics["std"], depth.std(), rtol=1e-9)
    assert (statistics["min"], statistics["max"]) == (depth.min(), depth.max())


def test_scenes_do_not_straddle_the_split(source, tmp_path):
    prepared = prepare(source, tmp_path / "set", split="train:0.34,val:0.33,test:0.33")
    scenes = [
        {prepared.sample_names[i].split("_")[0] for i in part} for part in prepared.split.values()
    ]
    assert [len(part) for part in scenes] == [1, 1, 1]
    assert len(set.union(*scenes)) == 3
    assert sorted(itertools.chain(*prepared.split.values())) == list(range(12))


def test_the_number_of_workers_changes_nothing(source, tmp_path):
    prepare(source, tmp_path / "one")
    prepare(source, tmp_path / "two", workers=2)
    assert tree_bytes(tmp_path / "one") == tree_bytes(tmp_path / "two")


def test_archives_unpacked_twice_give_the_same_arrays(source, tmp_path):
    plain = prepare(source, tmp_path / "plain")
    doubled = write_synwoodscape(tmp_path / "doubled", doubled=True)
    other = prepare(doubled, tmp_path / "set")
    assert other.sample_names == plain.sample_names
    assert other.source_files(0)["semantic"].startswith("semantic_annotations/semantic_annotations")
    for index in range(len(plain)):
        np.testing.assert_array_equal(other.semantic(index), plain.semantic(index))
        np.testing.assert_array_equal(other.depth(index), plain.depth(index))


def test_limit_and_cameras_choose_frames(source, tmp_path):
    prepared = prepare(source, tmp_path / "set", cameras=("RV", "FV"), limit=3)
    assert prepared.sample_names == ["00001_FV", "00001_RV", "00002_FV"]
    assert list(prepared.cameras) == ["FV", "RV"]


def test_differing_calibrations_of_a_camera_are_kept_apart(tmp_path):
    source = write_synwoodscape(tmp_path / "source", cameras=("FV",))
    other = tiny_camera("FV", cx_offset=-2.5)
    (source / "calibration/00002_FV.json").write_text(json.dumps(other.to_dict()))
    prepared = prepare(source, tmp_path / "set")
    assert prepared.sample_camera == ["FV", "FV#2", "FV"]
    assert prepared.cameras["FV#2"] == other
    table = ImageToGrid(other, prepared.grid)
    np.testing.assert_array_equal(prepared.valid("FV#2"), table.valid)
    assert (prepared.valid("FV") != prepared.valid("FV#2")).any()


def test_one_calibration_for_all_frames_of_a_camera(tmp_path):
    source = write_synwoodscape(tmp_path / "source", cameras=("FV",))
    (source / "calibration/00001_FV.json").rename(source / "calibration/FV.json")
    for name in ("00002_FV", "00003_FV"):
        (source / f"calibration/{name}.json").unlink()
    prepared = prepare(source, tmp_path / "set")
    assert prepared.cameras == {"FV": tiny_camera("FV")}
    assert prepared.source_files(2)["calibration"] == "calibration/FV.json"


def test_with_the_vehicle_s_pole_up_is_perpendicular_to_it(source, tmp_path):
    prepared = prepare(source, tmp_path / "set", pole="vehicle")
    # All four cameras look down, so that the map's x axis is up (see pole_rotation).
    np.testing.assert_allclose(prepared.up, (1.0, 0.0, 0.0), atol=1e-12)


def test_a_whole_set_is_left_alone(source, tmp_path):
    out = tmp_path / "set"
    prepare(source, out, tasks=())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    message = convert(Conversion(source, nside=8, tasks=()), out, progress=False)
    assert "nothing to do" in message
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_what_a_kill_at_the_very_end_leaves_is_swept(source, tmp_path):
    prepare(source, tmp_path / "set", tasks=())
    (tmp_path / "set/.work").mkdir()
    (tmp_path / "set/.work/lock").touch()
    assert len(prepare(source, tmp_path / "set", tasks=())) == 12
    assert not (tmp_path / "set/.work").exists()


def test_a_whole_set_of_other_arguments_is_refused_or_replaced(source, tmp_path):
    out = tmp_path / "set"
    prepare(source, out, tasks=())
    with pytest.raises(ValueError, match=r"nside is 8 there, 4 here.*--overwrite"):
        prepare(source, out, tasks=(), nside=4)
    assert prepare(source, out, tasks=(), nside=4, overwrite=True).grid.nside == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert not (out / ".work").exists()


def test_dry_run_writes_nothing(source, tmp_path):
    text = convert(Conversion(source, nside=8), tmp_path / "set", dry_run=True)
    assert "12 frames of 4 cameras" in text
    assert "semantic: uint8 (12, 512)" in text
    assert list(tmp_path.iterdir()) == []
