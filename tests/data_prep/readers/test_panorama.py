import numpy as np
import pytest
from data_prep_layouts import labels, picture, write_image, write_panoramas

from data_prep.readers import PanoramaReader
from healswin.cameras import EquirectangularCamera


def test_a_panorama_needs_no_calibration(tmp_path):
    reader = PanoramaReader(write_panoramas(tmp_path / "source"))
    frames = reader.frames(("semantic", "depth"))
    assert [frame.name for frame in frames] == ["0000", "0001", "0002"]
    assert {frame.camera for frame in frames} == {"panorama"}
    camera = reader.calibration(frames[0])
    assert camera == EquirectangularCamera(width=64, height=32, name="panorama")
    assert camera.wraps_horizontally
    ahead = camera.project(camera.rotation().T @ np.array([1.0, 0, 0]))
    np.testing.assert_allclose(ahead, [31.5, 15.5], atol=1e-9)


def test_sub_folders_are_cameras(tmp_path):
    write_image(tmp_path / "images/roof/a.png", picture(1, 64, 32))
    (frame,) = PanoramaReader(tmp_path).frames(())
    assert (frame.name, frame.camera, frame.scene) == ("a_roof", "roof", "a")


def test_other_shapes_are_refused(tmp_path):
    source = write_panoramas(tmp_path / "source")
    write_image(source / "images/0001.jpg", picture(1, 64, 48))
    reader = PanoramaReader(source)
    with pytest.raises(ValueError, match=r"0001\.jpg is 64 x 48 pixels: .* twice as wide"):
        reader.calibration(reader.frames(())[1])


def test_labels_of_another_size(tmp_path):
    source = write_panoramas(tmp_path / "source")
    write_image(source / "labels/0001.png", labels(1, 3, 32, 16))
    reader = PanoramaReader(source)
    frame = reader.frames(("semantic",))[1]
    with pytest.raises(ValueError, match=r"0001\.png is 32 x 16 pixels, the panorama is 64 x 32"):
        reader.check(frame, reader.calibration(frame))
