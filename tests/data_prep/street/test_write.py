import json

import cv2
import numpy as np
import pytest

from data_prep.classes import SYNWOODSCAPE_CLASSES, find_class_list
from data_prep.readers import PanoramaReader
from data_prep.street import CAMERA_NAMES, Label, surround_cameras, write_street
from data_prep.street.frame import PANORAMA_ORIGIN
from healswin.cameras import EquirectangularCamera, read_calibration
from healswin.cameras.base import pixel_grid


def write(out, scenes=1, seed=5, workers=1, **more):
    write_street(out, scenes, 64, 48, seed, workers, progress=False, **more)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("street") / "set"
    write(out, scenes=2)
    return out


def test_the_layout_is_that_of_synwoodscape(folder):
    expected = {"street.json"}
    for number in ("00001", "00002"):
        for camera in CAMERA_NAMES:
            expected |= {
                f"rgb_images/{number}_{camera}.png",
                f"semantic_annotations/gtLabels/{number}_{camera}.png",
                f"depth_maps/raw_data/{number}_{camera}.npy",
                f"calibration/{number}_{camera}.json",
            }
    assert set(contents(folder)) == expected


def test_files_have_the_promised_types(folder):
    image = cv2.imread(str(folder / "rgb_images/00001_FV.png"), cv2.IMREAD_UNCHANGED)
    semantic = cv2.imread(
        str(folder / "semantic_annotations/gtLabels/00001_FV.png"), cv2.IMREAD_UNCHANGED
    )
    depth = np.load(folder / "depth_maps/raw_data/00001_FV.npy")
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    assert (semantic.shape, semantic.dtype) == ((48, 64), np.uint8)
    assert (depth.shape, depth.dtype) == ((48, 64), np.float32)
    assert depth[semantic == 13] == pytest.approx(1000.0)
    assert semantic.max() <= 24


def test_calibrations_read_as_the_cameras_that_rendered(folder):
    for name, camera in surround_cameras(64, 48).items():
        assert read_calibration(folder / f"calibration/00002_{name}.json") == camera


def test_a_second_run_changes_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write(folder, scenes=2)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_only_the_scene_with_a_missing_file_is_written_again(tmp_path):
    write(tmp_path / "set", scenes=2)
    before = contents(tmp_path / "set")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*.npy")}
    (tmp_path / "set/depth_maps/raw_data/00002_MVL.npy").unlink()
    write(tmp_path / "set", scenes=2)
    assert contents(tmp_path / "set") == before
    for path, time in times.items():
        assert (path.stat().st_mtime_ns == time) == path.name.startswith("00001")


def test_more_scenes_extend_the_folder(tmp_path, folder):
    write(tmp_path / "set", scenes=1)
    write(tmp_path / "set", scenes=2)
    assert contents(tmp_path / "set") == contents(folder)


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_workers(tmp_path, folder):
    write(tmp_path / "set", scenes=2, workers=2)
    assert contents(tmp_path / "set") == contents(folder)


def test_other_arguments_are_refused(folder):
    with pytest.raises(ValueError, match="seed was 5 and is now 6"):
        write(folder, scenes=2, seed=6)
    with pytest.raises(ValueError, match=r"tilt_degrees was 0\.0 and is now 3\.0"):
        write(folder, scenes=2, tilt_degrees=3.0)


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"street\.json"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_broken_record_is_refused(tmp_path):
    (tmp_path / "street.json").write_text("{")
    with pytest.raises(ValueError, match=r"street\.json is no valid JSON"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenes": 0}, "scenes=0"),
        ({"workers": 0}, "workers=0"),
        ({"seed": -1}, "seed=-1"),
        ({"tilt_degrees": 200.0}, "tilt_degrees=200"),
        ({"panorama": (8, 4)}, "panorama"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "set", **changes)
    assert not (tmp_path / "set").exists()


def test_tilted_cameras_are_written_as_they_rendered(tmp_path):
    write(tmp_path / "set", tilt_degrees=20.0)
    plain = surround_cameras(64, 48)
    angles = []
    for name in CAMERA_NAMES:
        camera = read_calibration(tmp_path / f"set/calibration/00001_{name}.json")
        cosine = (np.trace(camera.rotation() @ plain[name].rotation().T) - 1) / 2
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        semantic = cv2.imread(
            str(tmp_path / f"set/semantic_annotations/gtLabels/00001_{name}.png"), 0
        )
        depth = np.load(tmp_path / f"set/depth_maps/raw_data/00001_{name}.npy")
        u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
        rays = camera.unproject(np.stack([u, v], axis=-1)) @ camera.rotation().T
        height = camera.translation[2] + depth * rays[..., 2]
        road = (semantic == 6) | (semantic == 7)
        assert np.abs(height[road]).max() < 1e-4
    assert 0.1 < max(angles) <= 20
    assert len(set(angles)) == 4


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory):
    out = tmp_path_factory.mktemp("street") / "set"
    write(out, panorama=(64, 32))
    assert json.loads((out / "street.json").read_text())["panorama"] == [64, 32]
    return out / "panoramas"


def test_panoramas_read_as_panoramas(panoramas):
    reader = PanoramaReader(panoramas)
    (frame,) = reader.frames(("semantic", "depth"))
    reader.check(frame, reader.calibration(frame))
    content = {kind: (panoramas / path).read_bytes() for kind, path in frame.files.items()}
    image = reader.image(content["image"], frame.files["image"])
    semantic = reader.semantic(content["semantic"], frame.files["semantic"])
    depth = reader.depth(content["depth"], frame.files["depth"])
    assert image.shape == (32, 64, 3)
    assert depth.shape == semantic.shape == (32, 64)
    np.testing.assert_array_equal(np.isinf(depth), semantic == Label.SKY)
    assert not np.isnan(depth).any()
    classes = find_class_list(reader, None)
    assert classes == SYNWOODSCAPE_CLASSES["all"]


def test_panoramas_look_where_their_camera_says(panoramas):
    """The road is flat: its pixels' distance and direction give the height of the camera."""
    camera = EquirectangularCamera(width=64, height=32)
    rays = camera.unproject(pixel_grid(64, 32)) @ camera.rotation().T
    depth = np.load(panoramas / "depth/00001.npy")
    road = cv2.imread(str(panoramas / "labels/00001.png"), -1) == Label.ROAD
    height = -depth[road] * rays[road][:, 2]
    assert road.sum() > 50
    np.testing.assert_allclose(height, PANORAMA_ORIGIN[2], atol=1e-4)


def test_a_second_run_changes_no_panorama(panoramas):
    before = {path: path.stat().st_mtime_ns for path in panoramas.rglob("*")}
    write(panoramas.parent, panorama=(64, 32))
    assert {path: path.stat().st_mtime_ns for path in panoramas.rglob("*")} == before
