"""Back to the images and labels that a set was made from, without a conversion."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from data_prep_layouts import write_image, write_npy
from synwoodscape_folder import tiny_camera, write_synwoodscape

from data_prep.convert import Conversion, convert
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.sources import source_depth, source_image, source_labels
from healswin.resample import ImageToGrid

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


METRES = np.random.default_rng(2).uniform(0.5, 60, (48, 64)).astype(np.float32)
METRES[:5] = np.inf
METRES[20, :9] = np.nan
ANY_FOLDER = {"metres_per_unit": {".npy": 1.0, ".png": 0.001}, "sky_from": None, "unknown": 0.0}


def depth_set(root, file, values, coding=ANY_FOLDER, **changes):
    """A set of one sample with a depth file."""
    if file.endswith(".npy"):
        np.save(root / file, values)
    else:
        cv2.imwrite(str(root / file), values)
    prepared = prepared_set(root, **changes)
    prepared.attributes["sources"][0]["depth"] = {"path": file}
    if coding is not None:
        prepared.attributes["depth_source"] = coding
    return prepared


def test_depth_is_read_and_cut_as_it_was(root):
    stored = np.where(np.isnan(METRES), 0, METRES)
    prepared = depth_set(root, "depth.npy", stored, crop=(1, 2, 3, 4))
    np.testing.assert_array_equal(source_depth(prepared, 0), METRES[2:-4, 1:-3])
    np.testing.assert_array_equal(source_depth(depth_set(root, "depth.npy", stored), 0), METRES)
    np.save(root / "depth.npy", stored[:40])
    with pytest.raises(ValueError, match=r"is 64 x 40 pixels, the image that was converted was 64"):
        source_depth(prepared, 0)


def test_depth_of_other_codings(root):
    known = np.where(np.isfinite(METRES), METRES, np.nan)
    millimetres = np.rint(1000 * np.nan_to_num(known)).astype(np.uint16)
    found = source_depth(depth_set(root, "depth.png", millimetres), 0)
    np.testing.assert_allclose(found, known, atol=0.501e-3)
    simulated = {"metres_per_unit": {".npy": 1.0}, "sky_from": 1000.0, "unknown": None}
    stored = np.nan_to_num(METRES, posinf=1000, nan=0).astype(np.float64)
    found = source_depth(depth_set(root, "depth.npy", stored, simulated), 0)
    np.testing.assert_array_equal(found, np.nan_to_num(METRES, posinf=np.inf, nan=0))
    with pytest.raises(ValueError, match=r"depth\.png must end in \.npy"):
        source_depth(depth_set(root, "depth.png", millimetres, simulated), 0)


def test_depth_that_is_absent_or_another(root):
    assert source_depth(prepared_set(root), 0) is None
    prepared = depth_set(root, "depth.npy", METRES, coding=None)
    assert source_depth(prepared, 0) is None
    prepared = depth_set(root, "depth.npy", METRES[..., None])
    with pytest.raises(ValueError, match=r"has shape \(48, 64, 1\), one depth for each pixel"):
        source_depth(prepared, 0)
    (root / "depth.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"depth\.npy cannot be read as an array"):
        source_depth(prepared, 0)
    (root / "depth.npy").unlink()
    assert source_depth(prepared, 0) is None


@pytest.mark.parametrize("reader", ["synwoodscape", "folder", "panorama"])
def test_the_sources_depth_is_what_the_conversion_read(tmp_path, reader):
    """Looked up at the ray of every pixel of the set, it is the stored depth."""
    if reader == "synwoodscape":
        source = write_synwoodscape(tmp_path / "raw", scenes=2, cameras=("FV",))
    else:
        source = tmp_path / "raw"
        shape = (48, 64) if reader == "folder" else (32, 64)
        write_image(source / "images" / "a.png", IMAGE[: shape[0]])
        values = np.where(np.isnan(METRES), 0, METRES)[: shape[0]]
        if reader == "folder":
            write_npy(source / "depth" / "a.npy", values)
            (source / "calibration.json").write_text(json.dumps(tiny_camera().to_dict()))
        else:
            values = np.rint(1000 * np.where(np.isinf(values), 0, values)).astype(np.uint16)
            write_image(source / "depth" / "a.png", values)
    conversion = Conversion(source, reader=reader, tasks=("depth",), nside=16, crop=(2, 1, 0, 3))
    if reader == "panorama":
        conversion = dataclasses.replace(conversion, crop=None)
    convert(conversion, tmp_path / "set", progress=False)
    prepared = PreparedSet.open(tmp_path / "set")
    camera = prepared.cameras[prepared.sample_camera[0]]
    found = PreparedDataModule(str(tmp_path / "set")).image_depth(0)
    assert found.dtype == np.float32
    assert found.shape == (camera.height, camera.width)
    expected = ImageToGrid(camera, prepared.grid, prepared.pole).depth(found)
    np.testing.assert_array_equal(expected, prepared.depth(0))
    assert np.isfinite(expected).any()
    elsewhere = PreparedDataModule(str(tmp_path / "set"), source=str(tmp_path))
    assert elsewhere.image_depth(0) is None
