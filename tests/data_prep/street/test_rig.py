import numpy as np
import pytest

from data_prep.street import CAMERA_NAMES, surround_cameras, tilted
from healswin.cameras import camera_from_dict


def test_the_rig_has_the_four_cameras_of_the_requested_size():
    cameras = surround_cameras(320, 242)
    assert tuple(cameras) == CAMERA_NAMES
    for name, camera in cameras.items():
        assert camera.name == name
        assert (camera.width, camera.height) == (320, 242)


@pytest.mark.parametrize(
    ("name", "looks"), [("FV", (1, 0)), ("RV", (-1, 0)), ("MVL", (0, 1)), ("MVR", (0, -1))]
)
def test_cameras_look_outwards_and_down_and_stand_upright(name, looks):
    camera = surround_cameras(640, 484)[name]
    right, down, forward = camera.rotation().T
    assert forward[:2] @ looks > 0.7
    assert -0.7 < forward[2] < -0.1
    assert abs(right[2]) < 0.03
    assert down[2] < -0.7
    assert np.asarray(camera.translation[:2]) @ looks > 0.5


def test_the_field_is_wider_than_a_half_sphere():
    camera = surround_cameras(640, 484)["FV"]
    edge = camera.unproject(np.array([[0.0, 242.0], [639.0, 242.0], [320.0, 0.0]]))
    assert (edge[:2, 2] < 0).all()
    assert np.isfinite(edge).all()


def test_a_calibration_survives_its_file_format():
    for camera in surround_cameras(640, 484).values():
        assert camera_from_dict(camera.to_dict()) == camera


def test_tilt_turns_by_at_most_the_angle_and_keeps_the_lens():
    camera = surround_cameras(64, 48)["MVL"]
    angles = []
    for seed in range(40):
        turned = tilted(camera, 10.0, np.random.default_rng(seed))
        assert turned.coefficients == camera.coefficients
        assert turned.translation == camera.translation
        cosine = (np.trace(turned.rotation() @ camera.rotation().T) - 1) / 2
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    assert max(angles) <= 10 + 1e-6
    assert max(angles) > 7
    assert min(angles) < 3


def test_pictures_too_small_are_refused():
    with pytest.raises(ValueError, match="8 x 48"):
        surround_cameras(8, 48)
