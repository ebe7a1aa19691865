import itertools

import numpy as np
import pytest
from data_prep_layouts import KITTI_POSES, write_kitti360

from data_prep.readers import Kitti360Reader


@pytest.fixture
def source(tmp_path):
    return write_kitti360(tmp_path / "source", frames=2)


def test_names_and_files(source):
    frames = Kitti360Reader(source).frames(())
    assert [frame.name for frame in frames] == [
        "2013_05_28_drive_0000_0000000000_image_02",
        "2013_05_28_drive_0000_0000000000_image_03",
        "2013_05_28_drive_0000_0000000001_image_02",
        "2013_05_28_drive_0000_0000000001_image_03",
    ]
    assert frames[1].files == {
        "image": "data_2d_raw/2013_05_28_drive_0000_sync/image_03/data_rgb/0000000000.png",
        "calibration": "calibration/image_03.yaml",
        "pose": "calibration/calib_cam_to_pose.txt",
    }


@pytest.mark.parametrize(("count", "scenes"), [(1, 1), (7, 7), (10, 10), (23, 10)])
def test_scenes_are_runs_of_neighbours_of_both_cameras(tmp_path, count, scenes):
    frames = Kitti360Reader(write_kitti360(tmp_path / "source", count, drives=2)).frames(())
    for drive in ("0000", "0001"):
        of_camera = {
            camera: [f.scene for f in frames if f.camera == camera and f"drive_{drive}" in f.name]
            for camera in ("image_02", "image_03")
        }
        assert of_camera["image_02"] == of_camera["image_03"]
        runs = of_camera["image_02"]
        assert len(set(runs)) == scenes
        assert sum(a != b for a, b in itertools.pairwise(runs)) == scenes - 1
        assert np.ptp(np.unique(runs, return_counts=True)[1]) <= 1
    assert len({frame.scene for frame in frames}) == 2 * scenes


def test_cameras_stand_on_the_vehicle(source):
    reader = Kitti360Reader(source)
    left, right = (reader.calibration(frame) for frame in reader.frames(())[:2])
    assert (left.name, right.name) == ("image_02", "image_03")
    np.testing.assert_allclose(left.rotation() @ [0, 0, 1], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(right.rotation() @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    for camera in (left, right):
        np.testing.assert_allclose(camera.rotation() @ [0, -1, 0], [0, 0, 1], atol=1e-12)
    assert left.translation == (0.7, 0.9, 1.3)
    assert right.translation == (0.7, -0.5, 1.3)


def test_without_poses_cameras_have_none(tmp_path):
    reader = Kitti360Reader(write_kitti360(tmp_path / "source", frames=1, poses=False))
    camera = reader.calibration(reader.frames(())[0])
    assert camera.quaternion is None
    assert camera.translation == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("poses", "match"),
    [
        (KITTI_POSES.replace("image_02", "image_05"), "holds no line 'image_02: ...'"),
        (KITTI_POSES.replace("-0.9", ""), "'image_02: ...' must hold 12 numbers"),
        (KITTI_POSES.replace("-0.9", "left"), "'image_02: ...' must hold 12 numbers"),
        (KITTI_POSES.replace("image_02: 1", "image_02: 1.1"), "are no rotation"),
        (KITTI_POSES.replace("image_02: 1", "image_02: -1"), "are no rotation"),
        (KITTI_POSES.replace("image_02: 1", "image_02: nan"), "are no rotation"),
    ],
)
def test_poses_that_are_wrong(source, poses, match):
    (source / "calibration/calib_cam_to_pose.txt").write_text(poses)
    reader = Kitti360Reader(source)
    with pytest.raises(ValueError, match=rf"calib_cam_to_pose\.txt.*{match}"):
        reader.calibration(reader.frames(())[0])


def test_calibrations_that_are_wrong(source):
    path = source / "calibration/image_02.yaml"
    reader = Kitti360Reader(source)
    frame = reader.frames(())[0]
    text = path.read_text()
    path.write_text(text.replace("gamma2", "gamma3"))
    with pytest.raises(ValueError, match=r"image_02\.yaml.*gamma2"):
        reader.calibration(frame)
    path.unlink()
    with pytest.raises(ValueError, match=r"image_02\.yaml is missing: the image 2013_.* has no"):
        reader.calibration(frame)
