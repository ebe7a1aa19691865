"""Predictions and truth on the sphere, in the image, and on the pixels that both have."""

import shutil

import cv2
import numpy as np
import pytest
from plain_set import write_plain_set

from data_prep.convert import Conversion, convert
from healswin.cameras.base import pixel_grid
from healswin.data import PreparedDataModule, PreparedSet
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.resample import FlatToGrid, FlatToImage, GridToImage
from healswin.tasks.worlds import COMMON_ALREADY, NO_CAMERA, NO_COMPANION, NO_SOURCES, Worlds

SIZE = (24, 32)
FULL = (72, 96)  # that of the street's images
IGNORED = 255


@pytest.fixture(scope="module")
def sphere(prepared):
    return PreparedDataModule(str(prepared(16)))


@pytest.fixture(scope="module")
def flat(prepared):
    return PreparedDataModule(str(prepared(SIZE)))


def guess(data, index):
    """A class for every pixel of a set's grid."""
    generator = np.random.default_rng(index)
    return generator.integers(0, data.num_classes, data.prepared.grid.num_pixels).astype(np.uint8)


def by_world(worlds, index, prediction):
    return {view.world: view for view in worlds.views(index, prediction)}


def test_the_worlds_of_a_sphere(sphere):
    worlds = Worlds(sphere, "semantic")
    assert worlds.own == "sphere"
    assert worlds.worlds == ("sphere", "image")
    assert worlds.absent == {"image_common": COMMON_ALREADY}
    data = sphere.prepared
    for index in sphere.split_indices("test"):
        prediction = guess(sphere, index)
        views = by_world(worlds, index, prediction)
        key = data.sample_camera[index]
        truth = data.semantic(index)
        counted = data.valid(key) & (truth != IGNORED)
        np.testing.assert_array_equal(views["sphere"].pixels, np.flatnonzero(counted))
        np.testing.assert_array_equal(views["sphere"].truth, truth[counted])
        np.testing.assert_array_equal(views["sphere"].prediction, prediction[counted])
        assert views["sphere"].areas is None
        assert worlds.camera_name(index) == data.cameras[key].name
        # As the pictures show it, wherever the image has labels.
        table = GridToImage(data.cameras[key], data.grid, data.pole)
        image, shown = sphere.image_truth(index), table.nearest(prediction, IGNORED)
        counted = table.covered & (image != IGNORED)
        assert 0 < counted.sum() < counted.size
        np.testing.assert_array_equal(
            views["image"].as_map(views["image"].truth, IGNORED), np.where(counted, image, IGNORED)
        )
        np.testing.assert_array_equal(
            views["image"].as_map(views["image"].prediction, IGNORED),
            np.where(counted, shown, IGNORED),
        )


def test_the_worlds_of_flat_images(sphere, flat):
    alone = Worlds(flat, "semantic")
    assert alone.own == "resized"
    assert alone.worlds == ("image",)
    assert alone.absent == {"sphere": NO_COMPANION, "image_common": NO_COMPANION}
    worlds = Worlds(flat, "semantic", sphere.prepared)
    assert worlds.worlds == ("sphere", "image", "image_common")
    assert worlds.absent == {}
    assert worlds.same_split
    data, there = flat.prepared, sphere.prepared
    for index in flat.split_indices("test"):
        prediction = guess(flat, index)
        views = by_world(worlds, index, prediction)
        camera = data.cameras[data.sample_camera[index]]
        table, truth = FlatToImage(camera, data.grid), flat.image_truth(index)
        counted = table.covered & (truth != IGNORED)
        np.testing.assert_array_equal(views["image"].pixels, np.flatnonzero(counted))
        shown = table.nearest(prediction, IGNORED)
        np.testing.assert_array_equal(views["image"].prediction, shown[counted])
        table = FlatToGrid(camera, data.grid, there.grid, there.pole)
        truth = there.semantic(there.sample_names.index(data.sample_names[index]))
        counted = truth != IGNORED
        np.testing.assert_array_equal(views["sphere"].pixels, np.flatnonzero(counted))
        np.testing.assert_array_equal(views["sphere"].truth, truth[counted])
        expected = table.nearest(prediction, IGNORED)[counted]
        np.testing.assert_array_equal(views["sphere"].prediction, expected)


@pytest.mark.parametrize("kind", ["semantic", "depth"])
def test_a_flat_and_a_spherical_model_are_measured_on_the_same_pixels(sphere, flat, kind):
    ours = Worlds(sphere, kind, flat.prepared)
    theirs = Worlds(flat, kind, sphere.prepared)
    assert ours.worlds == ("sphere", "image")  # a companion changes nothing
    for index in flat.split_indices("test"):
        assert flat.prepared.sample_names[index] == sphere.prepared.sample_names[index]
        views = by_world(ours, index, guess(sphere, index))
        others = by_world(theirs, index, guess(flat, index))
        for world, other in (("sphere", "sphere"), ("image", "image_common")):
            np.testing.assert_array_equal(views[world].pixels, others[other].pixels)
            np.testing.assert_array_equal(views[world].truth, others[other].truth)
            np.testing.assert_array_equal(views[world].angle, others[other].angle)
        # The common pixels are part of the image's, with the same predictions.
        image, common = others["image"], others["image_common"]
        assert len(common.pixels) < len(image.pixels)
        chosen = np.isin(image.pixels, common.pixels)
        np.testing.assert_array_equal(image.pixels[chosen], common.pixels)
        np.testing.assert_array_equal(image.prediction[chosen], common.prediction)


def test_flat_images_of_full_size_are_the_image(prepared):
    data = PreparedDataModule(str(prepared(FULL)))
    worlds = Worlds(data, "semantic")
    for index in data.split_indices("test"):
        (view,) = worlds.views(index, data.prepared.semantic(index))
        np.testing.assert_array_equal(view.prediction, view.truth)
        np.testing.assert_array_equal(
            view.pixels, np.flatnonzero(data.prepared.semantic(index) != IGNORED)
        )


def test_a_second_map_has_the_order_of_the_views(sphere, flat):
    worlds = Worlds(flat, "semantic", sphere.prepared)
    for index in flat.split_indices("test")[:2]:
        prediction = guess(flat, index)
        places = worlds.extra(index, np.arange(flat.prepared.grid.num_pixels))
        assert list(places) == list(worlds.worlds)
        for view in worlds.views(index, prediction):
            np.testing.assert_array_equal(prediction[places[view.world]], view.prediction)


def test_the_angle_is_that_of_the_pixel_s_ray(sphere):
    worlds = Worlds(sphere, "semantic")
    index = sphere.split_indices("test")[0]
    views = by_world(worlds, index, guess(sphere, index))
    camera = sphere.prepared.cameras[sphere.prepared.sample_camera[index]]
    colatitude, _ = sphere.prepared.grid.angles()  # the pole is the axis
    np.testing.assert_allclose(views["sphere"].angle, colatitude[views["sphere"].pixels], atol=1e-6)
    points = pixel_grid(camera.width, camera.height).reshape(-1, 2)[views["image"].pixels]
    cosine = camera.unproject(points)[:, 2]
    np.testing.assert_allclose(np.cos(views["image"].angle), cosine, atol=1e-6)


def test_the_sky_counts_and_unknown_depth_does_not(sphere):
    worlds = Worlds(sphere, "depth")
    index = sphere.split_indices("test")[0]
    prediction = np.ones(sphere.prepared.grid.num_pixels, dtype=np.float32)
    views = by_world(worlds, index, prediction)
    stored = sphere.prepared.depth(index)
    known = ~np.isnan(stored)
    np.testing.assert_array_equal(views["sphere"].pixels, np.flatnonzero(known))
    assert np.isinf(views["sphere"].truth).any()
    assert np.isinf(views["image"].truth).any()
    assert not np.isnan(views["image"].truth).any()
    assert views["image"].truth.dtype == views["image"].prediction.dtype == np.float32


def test_without_sources_there_is_no_image(sphere, flat, tmp_path):
    for companion in (None, sphere.prepared):
        moved = PreparedDataModule(str(flat.prepared.root), source=str(tmp_path))
        worlds = Worlds(moved, "semantic", companion)
        index = moved.split_indices("test")[0]
        assert worlds.absent["image"] == worlds.absent["image_common"] == NO_SOURCES
        found = [view.world for view in worlds.views(index, guess(moved, index))]
        assert found == ([] if companion is None else ["sphere"])


@pytest.mark.parametrize("grid", [HealpixGrid(4), EquiangularGrid(8, "soft")])
def test_without_cameras_there_is_the_sphere_alone(tmp_path, grid):
    data = PreparedDataModule(str(write_plain_set(tmp_path / "set", grid, ("semantic",))))
    worlds = Worlds(data, "semantic")
    assert worlds.worlds == ("sphere",)
    assert worlds.absent == {"image": NO_CAMERA, "image_common": NO_CAMERA}
    index = data.split_indices("test")[0]
    (view,) = worlds.views(index, guess(data, index))
    assert worlds.camera_name(index) is None
    assert np.isnan(view.angle).all()
    if isinstance(grid, EquiangularGrid):
        np.testing.assert_array_equal(view.areas, grid.areas())
    else:
        assert view.areas is None


def test_flat_images_are_drawn_on_the_sphere_of_a_companion(sphere, flat):
    index = flat.split_indices("test")[0]
    prediction = guess(flat, index)
    alone = Worlds(flat, "semantic").view.panel(index, prediction)
    both = Worlds(flat, "semantic", sphere.prepared).view.panel(index, prediction)
    assert both.shape[1] == alone.shape[1]
    assert both.shape[0] > alone.shape[0] + 250  # a row of balls
    # Above it is the same picture; the legend below may name other classes.
    np.testing.assert_array_equal(both[:350], alone[:350])


def converted(street, out, **arguments):
    settings = {"nside": 8, "classes": "large-ad", "tasks": ("semantic",)}
    conversion = Conversion(street, **{**settings, **arguments}, split="train:0.6,val:0.2,test:0.2")
    convert(conversion, out, progress=False)
    return PreparedSet.open(out)


def test_companions_of_the_wrong_kind(sphere, flat):
    with pytest.raises(ValueError, match="a HEALPix set is needed, made from the same sources"):
        Worlds(flat, "semantic", flat.prepared)
    with pytest.raises(ValueError, match="a set of flat images is needed"):
        Worlds(sphere, "semantic", sphere.prepared)


def test_a_companion_with_other_classes(flat, prepared):
    with pytest.raises(ValueError, match="convert both with the same --classes"):
        Worlds(flat, "semantic", PreparedSet.open(prepared(16, "all")))


def test_companions_that_lack_something(flat, street, tmp_path):
    one = converted(street, tmp_path / "one", cameras=("FV",))
    with pytest.raises(ValueError, match=r"lacks \d of the 4 test samples of .*, e.g. '0000"):
        Worlds(flat, "semantic", one)
    with pytest.raises(ValueError, match="convert it again with --tasks depth"):
        Worlds(flat, "depth", one)


def test_companions_from_elsewhere(flat, street, tmp_path):
    cropped = converted(street, tmp_path / "cropped", crop=(0, 0, 0, 8))
    with pytest.raises(ValueError, match="with the same --crop"):
        Worlds(flat, "semantic", cropped)
    raw = tmp_path / "raw"
    shutil.copytree(street, raw)
    for path in (raw / "rgb_images").rglob("*.png"):  # other pictures under the same names
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    other = converted(raw, tmp_path / "other")
    with pytest.raises(ValueError, match="comes from another file, camera or part of the image"):
        Worlds(flat, "semantic", other)


def test_a_companion_with_another_split_is_told(flat, street, tmp_path):
    conversion = Conversion(
        street, nside=8, classes="large-ad", split="train:0.6,val:0.2,test:0.2", seed=7
    )
    convert(conversion, tmp_path / "set", progress=False)
    companion = PreparedSet.open(tmp_path / "set")
    names = {companion.sample_names[i] for i in companion.split["test"]}
    ours = {flat.prepared.sample_names[i] for i in flat.split_indices("test")}
    assert Worlds(flat, "semantic", companion).same_split is (names == ours)
    assert names != ours


def test_wrong_arguments(sphere):
    with pytest.raises(ValueError, match="kind='colour'"):
        Worlds(sphere, "colour")
    worlds = Worlds(sphere, "semantic")
    with pytest.raises(ValueError, match=r"prediction has shape \(5,\)"):
        worlds.views(0, np.zeros(5, np.uint8))
    with pytest.raises(ValueError, match=r"values has shape \(5,\)"):
        worlds.extra(0, np.zeros(5))
