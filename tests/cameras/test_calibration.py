import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from healswin.cameras import (
    CAMERA_MODELS,
    Camera,
    EquirectangularCamera,
    KannalaBrandtCamera,
    PinholeCamera,
    RadialPolynomialCamera,
    UnifiedCamera,
    calibration,
    camera_from_dict,
    pole_rotation,
    quaternion_to_matrix,
    read_calibration,
)

CAMERA = RadialPolynomialCamera((100.0, 1.0), 64, 48, name="MVL", quaternion=(0.5, -0.5, 0.5, -0.5))


def test_a_calibration_file_round_trip(tmp_path):
    path = tmp_path / "00001_MVL.json"
    path.write_text(json.dumps(CAMERA.to_dict()))
    assert read_calibration(path) == CAMERA
    assert isinstance(CAMERA, Camera)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"),
        ("[]", "section 'intrinsic'"),
        ('{"intrinsic": {"model": "mirror"}}', "'mirror' is not known"),
        ('{"intrinsic": {"width": 3}}', "'k1' is missing"),
        ('{"intrinsic": {"poly_order": 1, "k1": "wide"}}', "'k1' is 'wide'"),
        ('{"intrinsic": {"model": ["pinhole"]}}', r"\['pinhole'\] is not known"),
        ('{"intrinsic": {"model": "pinhole", "width": 3, "height": 2}}', "'fx' is missing"),
        ('{"intrinsic": {"poly_order": 3.7}}', "'poly_order' is 3.7"),
        ('{"intrinsic": {}, "extrinsic": []}', "no section 'extrinsic'"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_calibration(path)
    assert "broken.json" in str(caught.value)


@pytest.mark.parametrize("entry", [None, [0, 0, 1], [0, 0, None, 1], "none"])
def test_wrong_quaternions_are_named(tmp_path, entry):
    calibration = CAMERA.to_dict()
    calibration["extrinsic"]["quaternion"] = entry
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(calibration))
    with pytest.raises(ValueError, match=r"broken\.json cannot be used: .*'quaternion'"):
        read_calibration(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.json does not exist"):
        read_calibration(tmp_path / "nowhere.json")


def unit_quaternions(count):
    quaternions = np.random.default_rng(3).normal(size=(count, 4))
    return [tuple(q.tolist()) for q in quaternions / np.linalg.norm(quaternions, axis=1)[:, None]]


def test_quaternions_are_rotations():
    for quaternion in unit_quaternions(20):
        matrix = quaternion_to_matrix(quaternion)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(matrix) == pytest.approx(1)
    quarter = quaternion_to_matrix((0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("length", [0.0, 0.9985, 1.0015, 2.0])
def test_quaternions_that_are_not_normalised_are_refused(length):
    with pytest.raises(ValueError, match=rf"quaternion=.* has length {length:g};"):
        RadialPolynomialCamera((100.0,), 64, 48, quaternion=(0.0, 0.6 * length, 0.0, 0.8 * length))


@pytest.mark.parametrize("length", [0.9995, 1.0005])
def test_quaternions_are_normalised_within_three_digits(length):
    rounded = RadialPolynomialCamera(
        (100.0,), 64, 48, quaternion=(0.0, 0.6 * length, 0.0, 0.8 * length)
    )
    np.testing.assert_allclose(rounded.rotation() @ rounded.rotation().T, np.eye(3), atol=1e-15)


@pytest.mark.parametrize(
    ("name", "direction"), [("FV", [1, 0, 0]), ("RV", [-1, 0, 0]), ("MVR", [0, -1, 0])]
)
def test_the_vehicle_pole_is_the_horizontal_viewing_direction(name, direction):
    for quaternion in unit_quaternions(5):
        camera = RadialPolynomialCamera((100.0,), 64, 48, name=name, quaternion=quaternion)
        turn = pole_rotation(camera, "vehicle")
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-14)
        in_vehicle = camera.rotation() @ turn @ [0, 0, 1]
        np.testing.assert_allclose(in_vehicle, direction, atol=1e-12)


def test_the_vehicle_pole_on_the_axis_turns_by_minus_90_degrees():
    # x right, y down, z forward -> x forward, y left, z up: the camera looks straight ahead.
    ahead = RadialPolynomialCamera((100.0,), 64, 48, name="FV", quaternion=(-0.5, 0.5, -0.5, 0.5))
    np.testing.assert_allclose(ahead.rotation() @ [0, 0, 1], [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(pole_rotation(ahead, "vehicle") @ [1, 0, 0], [0, -1, 0], atol=1e-12)


def test_the_zenith_pole_has_the_axes_of_the_vehicle():
    for quaternion in unit_quaternions(5):
        camera = RadialPolynomialCamera((100.0,), 64, 48, quaternion=quaternion)
        in_vehicle = camera.rotation() @ pole_rotation(camera, "zenith")
        np.testing.assert_allclose(in_vehicle, np.eye(3), atol=1e-14)


def test_unknown_poles_and_cameras():
    assert (pole_rotation(CAMERA, "camera") == np.eye(3)).all()
    with pytest.raises(ValueError, match="pole='north'"):
        pole_rotation(CAMERA, "north")
    nameless = RadialPolynomialCamera((100.0,), 64, 48)
    with pytest.raises(ValueError, match="named ''"):
        pole_rotation(nameless, "vehicle")


PINHOLE = """%YAML:1.0
---
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 400., 0., 319.5, 0., 401., 2.395e+02, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -1e-1, 2e-2, 1e-3, -.2e-2, 1.5e-3 ]
"""

FISHEYE = """image_width: 640
image_height: 480
camera_name: left
distortion_model: equidistant
distortion_coefficients:
  rows: 1
  cols: 4
  data: [0.05, -0.01, 0.007, -0.0009]
camera_matrix:
  rows: 3
  cols: 3
  data: [200.0, 0, 319.5, 0, 201, 239.5, 0, 0, 1]
"""

MEI = """%YAML:1.0
---
model_type: MEI
camera_name: image_02
image_width: 1400
image_height: 1400
mirror_parameters:
   xi: 2.2134
distortion_parameters:
   k1: 1.68e-02
   k2: 1.6549e+00
   p1: 4.2e-04
   p2: 4.3e-04
projection_parameters:
   gamma1: 1.3363e+03
   gamma2: 1.3358e+03
   u0: 7.169e+02
   v0: 7.058e+02
"""


def write(folder, text, name="calibration.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_opencv_yaml(tmp_path):
    assert read_calibration(write(tmp_path, PINHOLE)) == PinholeCamera(
        quaternion=None,
        width=640,
        height=480,
        fx=400.0,
        fy=401.0,
        cx=319.5,
        cy=239.5,
        k1=-0.1,
        k2=0.02,
        p1=0.001,
        p2=-0.002,
        k3=0.0015,
    )


@pytest.mark.parametrize("keys", [("K", "D"), ("camera_matrix", "distortion_coefficients")])
def test_what_opencv_writes_is_read(tmp_path, keys):
    matrix = np.array([[200.25, 0, 319.5], [0, 201.75, 239.5], [0, 0, 1]])
    coefficients = np.array([[0.05], [-0.01], [0.007], [-1e-20]])
    path = tmp_path / "left.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write(keys[0], matrix)
    storage.write(keys[1], coefficients)
    storage.release()
    camera = read_calibration(path, size=(640, 480))
    assert camera == KannalaBrandtCamera(
        quaternion=None,
        width=640,
        height=480,
        fx=200.25,
        fy=201.75,
        cx=319.5,
        cy=239.5,
        k1=0.05,
        k2=-0.01,
        k3=0.007,
        k4=-1e-20,
    )
    with pytest.raises(ValueError, match=r"left\.yml .* states no image_width .* size=None"):
        read_calibration(path)


def test_ros_camera_info(tmp_path):
    left = read_calibration(write(tmp_path, FISHEYE))
    assert isinstance(left, KannalaBrandtCamera)
    assert (left.name, left.k4, left.fy) == ("left", -0.0009, 201)
    four = FISHEYE.replace("equidistant", "plumb_bob")
    pinhole = read_calibration(write(tmp_path, four))
    assert isinstance(pinhole, PinholeCamera)
    assert (pinhole.k1, pinhole.k2, pinhole.p1, pinhole.p2, pinhole.k3) == (
        *(0.05, -0.01, 0.007, -0.0009),
        0,
    )


@pytest.mark.parametrize(("stated", "model"), [(0, PinholeCamera), (1, KannalaBrandtCamera)])
def test_opencv_may_state_which_lens_it_is(tmp_path, stated, model):
    text = FISHEYE.replace("distortion_model: equidistant", f"fisheye_model: {stated}")
    assert type(read_calibration(write(tmp_path, text))) is model


def test_zeros_after_the_fifth_coefficient_do_not_matter(tmp_path):
    longer = PINHOLE.replace("1.5e-3 ]", "1.5e-3, 0., 0., 0. ]")
    expected = read_calibration(write(tmp_path, PINHOLE))
    assert read_calibration(write(tmp_path, longer)) == expected
    rational = PINHOLE.replace("1.5e-3 ]", "1.5e-3, 0.1, 0., 0. ]")
    with pytest.raises(ValueError, match="4 or 5 distortion coefficients"):
        read_calibration(write(tmp_path, rational))


def test_the_unified_camera_of_kitti_360(tmp_path):
    camera = read_calibration(write(tmp_path, MEI, "image_02.yaml"))
    assert camera == UnifiedCamera(
        quaternion=None,
        width=1400,
        height=1400,
        fx=1336.3,
        fy=1335.8,
        cx=716.9,
        cy=705.8,
        xi=2.2134,
        k1=0.0168,
        k2=1.6549,
        p1=4.2e-4,
        p2=4.3e-4,
        name="image_02",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "no valid YAML"),
        ("- 3", "no section 'intrinsic'"),
        ("intrinsic: {model: pinhole}", "'width' is missing"),
        (MEI.replace("xi:", "psi:"), "'xi' is missing"),
        (MEI.replace("MEI", "SCARAMUZZA"), "model_type is 'SCARAMUZZA'"),
        (MEI.replace("projection_parameters:", "projection:"), "no section 'projection_param"),
        (MEI.replace("image_height: 1400\n", ""), "'image_height' is missing"),
        (PINHOLE.replace("400., 0., ", "400., 1., "), r"\[fx, 0, cx, 0, fy, cy, 0, 0, 1\]"),
        (PINHOLE.replace("0., 0., 1. ]", "0., 1. ]"), "has 8 numbers, 9 are needed"),
        (PINHOLE.replace("distortion_coefficients", "other"), r"'D' is missing \(or "),
        (PINHOLE.replace("-1e-1", "wide"), "'distortion_coefficients' is 'wide'"),
        (FISHEYE.replace("equidistant", "thin_prism"), "distortion_model is 'thin_prism'"),
        (FISHEYE.replace("-0.0009]", "-0.0009, 0]"), "a fisheye has 4 distortion coefficients"),
        (FISHEYE.replace("data:", "values:"), "no list 'data' of numbers"),
    ],
)
def test_wrong_yaml_files_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_calibration(write(tmp_path, text, "broken.yml"))
    assert "broken.yml" in str(caught.value)


def test_files_without_permission_are_named(tmp_path, monkeypatch):
    path = write(tmp_path, PINHOLE)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    # Tests may run as a user who may read everything.
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ValueError, match=r"calibration\.yaml may not be read: no permission"):
        read_calibration(path)


def documented():
    """The YAML examples of the module's text: the whole file, and the entries of each model."""
    blocks = [block for block in calibration.__doc__.split("\n\n") if block.startswith("    ")]
    whole = yaml.safe_load(blocks[0].replace("      ...", ""))
    return whole, {b["model"]: b for b in map(yaml.safe_load, blocks[1:])}


def test_the_documented_yaml_is_read(tmp_path):
    whole, models = documented()
    assert set(models) == set(CAMERA_MODELS)
    for model, entries in models.items():
        whole["intrinsic"] = {**entries, "width": 1280, "height": 640}
        camera = read_calibration(write(tmp_path, yaml.safe_dump(whole)))
        assert isinstance(camera, CAMERA_MODELS[model])
        assert camera.name == "FV"
        assert read_calibration(write(tmp_path, yaml.safe_dump(camera.to_dict()))) == camera
        # The size may come from the image.
        whole["intrinsic"] = entries
        assert read_calibration(write(tmp_path, yaml.safe_dump(whole)), size=(1280, 640)) == camera


def test_a_panorama_needs_its_size_only():
    calibration = {"intrinsic": {"model": "equirectangular", "width": 64, "height": 32}}
    assert camera_from_dict(calibration) == EquirectangularCamera(64, 32)
