import json

import numpy as np
import pytest

from healswin.cameras import (
    Camera,
    RadialPolynomialCamera,
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
        ('{"intrinsic": {"width": 3}}', "'k1' is None"),
        ('{"intrinsic": {"poly_order": 1, "k1": "wide"}}', "'k1' is 'wide'"),
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


def test_quaternions_are_rotations():
    for quaternion in np.random.default_rng(0).normal(size=(20, 4)):
        matrix = quaternion_to_matrix(tuple(quaternion))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(matrix) == pytest.approx(1)
    quarter = quaternion_to_matrix((0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("name", "direction"), [("FV", [1, 0, 0]), ("RV", [-1, 0, 0]), ("MVR", [0, -1, 0])]
)
def test_the_vehicle_pole_is_the_horizontal_viewing_direction(name, direction):
    random = np.random.default_rng(3)
    for quaternion in random.normal(size=(5, 4)):
        camera = RadialPolynomialCamera(
            (100.0,), 64, 48, name=name, quaternion=tuple(quaternion.tolist())
        )
        turn = pole_rotation(camera, "vehicle")
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-14)
        in_vehicle = camera.rotation() @ turn @ [0, 0, 1]
        np.testing.assert_allclose(in_vehicle, direction, atol=1e-12)


def test_the_vehicle_pole_on_the_axis_turns_by_minus_90_degrees():
    # x right, y down, z forward -> x forward, y left, z up: the camera looks straight ahead.
    ahead = RadialPolynomialCamera((100.0,), 64, 48, name="FV", quaternion=(-0.5, 0.5, -0.5, 0.5))
    np.testing.assert_allclose(ahead.rotation() @ [0, 0, 1], [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(pole_rotation(ahead, "vehicle") @ [1, 0, 0], [0, -1, 0], atol=1e-12)


def test_unknown_poles_and_cameras():
    assert (pole_rotation(CAMERA, "camera") == np.eye(3)).all()
    with pytest.raises(ValueError, match="pole='north'"):
        pole_rotation(CAMERA, "north")
    nameless = RadialPolynomialCamera((100.0,), 64, 48)
    with pytest.raises(ValueError, match="named ''"):
        pole_rotation(nameless, "vehicle")
