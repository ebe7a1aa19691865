"""Pictures on disk."""

import cv2
import numpy as np
import pytest

from healswin.viz import write_png


def test_round_trip(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    path = write_png(tmp_path / "new" / "picture.png", image)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


def test_replaces_the_picture_before(tmp_path):
    path = tmp_path / "picture.png"
    for value in (0, 200):
        write_png(path, np.full((4, 4, 3), value, np.uint8))
    assert (cv2.imread(str(path)) == 200).all()


def test_failure_leaves_the_old_picture_and_no_litter(tmp_path, monkeypatch):
    path = write_png(tmp_path / "picture.png", np.zeros((4, 4, 3), np.uint8))
    before = path.read_bytes()

    def disk_full(self, data):
        self.touch()
        raise OSError("no space left on device")

    monkeypatch.setattr(type(path), "write_bytes", disk_full)
    with pytest.raises(OSError, match="no space"):
        write_png(path, np.ones((4, 4, 3), np.uint8))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("a.jpg", np.zeros((2, 2, 3), np.uint8), "must end in .png"),
        ("a.png", np.zeros((2, 2), np.uint8), "expected uint8"),
        ("a.png", np.zeros((2, 2, 3), np.float32), "float32"),
        ("a.png", np.zeros((0, 2, 3), np.uint8), r"\(0, 2, 3\)"),
    ],
)
def test_refuses_what_is_no_picture(tmp_path, name, image, message):
    with pytest.raises(ValueError, match=message):
        write_png(tmp_path / name, image)
    assert not list(tmp_path.iterdir())
