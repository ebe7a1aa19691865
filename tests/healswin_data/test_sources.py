"""Back to the images and labels that a set was made from, without a conversion."""

import cv2
import numpy as np
import pytest
from synwoodscape_folder import tiny_camera

from healswin.data import PreparedSet
from healswin.data.sources import source_image, source_labels

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
IDS = np.random.default_rng(1).choice(np.uint8([0, 1, 3, 255]), (48, 64))


def prepared_set(root, image="a.png", crop=None, calibration=None):
    """A set of one sample; only what leads to its sources."""
    camera = tiny_camera()
    if crop:
        left, top, right, bottom = crop
        camera = camera.cropped(left, top, 64 - left - right, 48 - top - bottom)
    attributes = {
        "sample_names": ["a"],
        "sample_camera": ["FV"],
        "cameras": [{"key": "FV", "calibration": calibration or camera.to_dict()}],
        "source_root": str(root),
        "sources": [{"image": {"path": image}, "semantic": {"path": "labels.png"}}],
        "class_map": [2, 0, -1, 1],
    }
    return PreparedSet(root, {**attributes, **({"crop": list(crop)} if crop else {})})


@pytest.fixture(autouse=True)
def root(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE[..., ::-1])
    cv2.imwrite(str(tmp_path / "labels.png"), IDS)
    return tmp_path


def test_images_and_labels_are_cut_as_they_were(root):
    prepared = prepared_set(root, crop=(1, 2, 3, 4))
    camera = prepared.cameras["FV"]
    image, classes = source_image(prepared, 0), source_labels(prepared, 0)
    assert image.shape[:2] == classes.shape == (camera.height, camera.width)
    np.testing.assert_array_equal(image, IMAGE[2:-4, 1:-3])
    np.testing.assert_array_equal(classes, source_labels(prepared_set(root), 0)[2:-4, 1:-3])
    cv2.imwrite(str(root / "a.png"), image)
    with pytest.raises(ValueError, match=r"is 60 x 42 pixels, the image that was converted was 64"):
        source_image(prepared, 0)


def test_ids_become_classes(root):
    classes = source_labels(prepared_set(root), 0)
    for id_, class_ in ((0, 2), (1, 0), (3, 1), (255, 255)):
        assert (classes[id_ == IDS] == class_).all()
    cv2.imwrite(str(root / "labels.png"), np.where(IDS == 3, 2, IDS).astype(np.uint8))
    with pytest.raises(ValueError, match=r"labels\.png holds the unknown class ids 2; the ids are"):
        source_labels(prepared_set(root), 0)


def test_orientation_tags_are_not_obeyed(root):
    """As in the conversion: the pixels stay where the calibration has them."""
    plain = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    (root / "a.jpg").write_bytes(
        plain[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + plain[2:]
    )
    assert cv2.imread(str(root / "a.jpg")).shape == (64, 48, 3)
    expected = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(source_image(prepared_set(root, "a.jpg"), 0), expected)


def test_maps_have_no_image(root):
    calibration = {"intrinsic": {"model": "healpix", "nside": 4, "order": "ring"}, "name": "a"}
    (root / "a.npy").write_bytes(b"")
    prepared = prepared_set(root, "a.npy", calibration=calibration)
    assert source_image(prepared, 0) is None
    assert source_labels(prepared, 0) is None


def test_labels_of_another_kind(root):
    cv2.imwrite(str(root / "labels.png"), IMAGE)
    with pytest.raises(ValueError, match=r"labels\.png is uint8 \(48, 64, 3\), an 8-bit grey"):
        source_labels(prepared_set(root), 0)
