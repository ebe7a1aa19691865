"""Every layout becomes a prepared set that holds what the files hold (SynWoodScape: elsewhere)."""

import cv2
import numpy as np
import pytest
from data_prep_layouts import (
    labels,
    map_values,
    metres,
    picture,
    write_folder,
    write_healpix,
    write_kitti360,
    write_panoramas,
    write_woodscape,
)
from synwoodscape_folder import tiny_camera

from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.cameras import EquirectangularCamera
from healswin.data import PreparedSet
from healswin.data.sources import source_image, source_labels
from healswin.grid import HealpixGrid
from healswin.resample import HealpixMap, ImageToGrid, MapToGrid


def prepare(source, reader, **arguments):
    out = source.parent / "set"
    convert(Conversion(source, reader, nside=4, **arguments), out, progress=False)
    return PreparedSet.open(out)


def assert_sample(prepared, index, table, image, ids=None, depth=None):
    """A row holds what a table makes of an image."""
    np.testing.assert_array_equal(prepared.image(index), table.bilinear(image))
    np.testing.assert_array_equal(prepared.valid(prepared.sample_camera[index]), table.valid)
    if ids is not None:
        np.testing.assert_array_equal(prepared.semantic(index), table.labels(ids, 255))
    if depth is not None:
        depth = np.where(depth == 0, np.float32(np.nan), depth)
        np.testing.assert_array_equal(prepared.depth(index), table.depth(depth))


def test_woodscape_without_its_green_strips(tmp_path):
    prepared = prepare(write_woodscape(tmp_path / "in", strips=2), "woodscape", crop="green")
    assert prepared.num_classes == 10
    assert prepared.tasks == ["semantic"]
    assert prepared.attributes["crop"] == [0, 2, 0, 2]
    camera = tiny_camera("RV").cropped(0, 2, 64, 44)
    assert prepared.cameras["RV"] == camera
    image, ids = picture(1)[2:-2], labels(1, 10)[2:-2]
    table = ImageToGrid(camera, prepared.grid)
    assert_sample(prepared, 1, table, np.ascontiguousarray(image), np.ascontiguousarray(ids))
    np.testing.assert_array_equal(source_image(prepared, 1), image)
    np.testing.assert_array_equal(source_labels(prepared, 1), ids)


def test_kitti360(tmp_path):
    prepared = prepare(write_kitti360(tmp_path / "in"), "kitti360")
    assert prepared.tasks == []
    assert list(prepared.cameras) == ["image_02", "image_03"]
    index = prepared.sample_names.index("2013_05_28_drive_0000_0000000007_image_03")
    table = ImageToGrid(prepared.cameras["image_03"], prepared.grid)
    assert_sample(prepared, index, table, picture(7, 64, 64))
    scenes = prepared.attributes["sample_scene"]
    parts = [{scenes[i] for i in part} for part in prepared.split.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10


@pytest.mark.parametrize("suffix", [".npy", ".png"])
def test_a_folder_of_images(tmp_path, suffix):
    source = write_folder(tmp_path / "in", depth_suffix=suffix)
    prepared = prepare(source, "folder", tasks=("semantic", "depth"))
    assert prepared.sample_camera[:2] == ["left", "right"]
    assert prepared.class_names == ["void", "road", "sky"]
    depth = metres(0)
    if suffix == ".png":
        depth = np.rint(1000 * np.where(np.isinf(depth), 0, depth)).astype(np.uint16)
        depth = depth * np.float32(0.001)
    table = ImageToGrid(tiny_camera("FV"), prepared.grid)
    assert_sample(prepared, 1, table, picture(0), labels(0, 3), depth)


def test_a_photograph_and_its_calibration(tmp_path):
    source = write_folder(tmp_path / "in", scenes=1, cameras=(), image_suffix=".jpg")
    prepared = prepare(source, "folder", tasks=())
    assert prepared.split == {"train": [0]}
    image = cv2.imread(str(source / "images/0000.jpg"), cv2.IMREAD_COLOR_RGB)
    assert_sample(prepared, 0, ImageToGrid(tiny_camera("FV"), prepared.grid), image)
    np.testing.assert_array_equal(source_image(prepared, 0), image)


def test_panoramas(tmp_path):
    source = write_panoramas(tmp_path / "in")
    tasks = ("semantic", "depth")
    prepared = prepare(source, "panorama", tasks=tasks, base_pixels=tuple(range(12)))
    assert prepared.pole == "zenith"
    assert prepared.up == (0.0, 0.0, 1.0)
    assert prepared.valid("panorama").all()
    table = ImageToGrid(EquirectangularCamera(width=64, height=32), HealpixGrid(4), "zenith")
    image = cv2.imread(str(source / "images/0002.jpg"), cv2.IMREAD_COLOR_RGB)
    assert_sample(prepared, 2, table, image, labels(2, 3, 64, 32), metres(2, 64, 32))


def test_maps_in_either_order_and_with_holes(tmp_path):
    prepared = prepare(write_healpix(tmp_path / "in"), "healpix", base_pixels=tuple(range(12)))
    assert prepared.image_dtype == "float32"
    assert prepared.cameras == {}
    values = map_values(0).T
    known = (np.abs(values) < 1e30).all(axis=1)
    table = MapToGrid(HealpixMap(8, "ring"), prepared.grid)
    expected, valid = table.sample(np.where(known[:, None], values, 0), known)
    for index, key in enumerate(prepared.sample_camera):
        np.testing.assert_allclose(prepared.image(index), expected, atol=1e-6)
        np.testing.assert_array_equal(prepared.valid(key), valid)
        assert source_image(prepared, index) is None


def test_holes_of_one_map_are_not_those_of_another(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name, hole in (("a", 5), ("b", 100)):
        values = np.ones(12 * 4**2)
        values[hole] = np.nan
        np.save(source / f"{name}_nest.npy", values)
    prepared = prepare(source, "healpix", base_pixels=tuple(range(12)))
    for key, hole in zip(prepared.sample_camera, (5, 100), strict=True):
        np.testing.assert_array_equal(np.flatnonzero(~prepared.valid(key)), [hole])
