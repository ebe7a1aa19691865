"""Conversions to flat images: what they hold, what they share with those to the sphere."""

import json

import cv2
import numpy as np
import pytest
from synwoodscape_folder import tiny_camera, tree_bytes, write_synwoodscape

from data_prep.classes import SYNWOODSCAPE_CLASSES
from data_prep.cli import main
from data_prep.conversion import Conversion
from data_prep.convert import convert
from data_prep.describe import describe
from data_prep.preview import preview
from data_prep.statistics import statistics
from data_prep.verify import verify
from healswin.cameras import RadialPolynomialCamera
from healswin.data import PreparedSet
from healswin.data.sources import source_image, source_labels
from healswin.data.views import view_of
from healswin.grid import ImageGrid
from healswin.resample import FlatToImage, ImageToFlat
from healswin.viz.colour import PAPER

SIZE = (40, 48)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_synwoodscape(tmp_path_factory.mktemp("source") / "set")


def prepare(source, out, *, workers=1, **arguments):
    arguments = {"grid": "image", "size": SIZE, "tasks": ("semantic", "depth"), **arguments}
    convert(Conversion(source, **arguments), out, workers=workers, progress=False)
    return PreparedSet.open(out)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    return prepare(source, tmp_path_factory.mktemp("flat") / "set")


def test_rows_are_the_resized_source(source, made):
    index = made.sample_names.index("00002_MVL")
    table = ImageToFlat(tiny_camera("MVL"), ImageGrid(*SIZE))
    files = made.source_files(index)
    image = cv2.imread(str(source / files["image"]))[..., ::-1]
    ids = cv2.imread(str(source / files["semantic"]), cv2.IMREAD_UNCHANGED)
    depth = np.load(source / files["depth"])
    depth[depth == 1000] = np.inf
    classes = np.array(SYNWOODSCAPE_CLASSES["large-ad"].class_of_id, dtype=np.uint8)[ids]
    np.testing.assert_array_equal(made.image(index), table.bilinear(image.copy()))
    np.testing.assert_array_equal(made.semantic(index), table.nearest(classes, 255))
    np.testing.assert_array_equal(made.depth(index), table.nearest(depth, np.nan))
    np.testing.assert_array_equal(made.valid("MVL"), table.valid)
    assert np.isinf(made.depth(index)).any()


def test_attributes_describe_the_set(source, made):
    attributes = made.attributes
    assert made.grid == ImageGrid(*SIZE)
    assert (attributes["grid"], attributes["height"], attributes["width"]) == ("image", *SIZE)
    assert "order" not in attributes
    assert "nside" not in attributes
    assert made.pole == "camera"
    assert made.up == (0.0, -1.0, 0.0)
    # The cameras are those of the source images, from which the sizes follow.
    assert made.cameras["RV"] == tiny_camera("RV")
    arguments = attributes["conversion"]
    assert (arguments["grid"], arguments["size"]) == ("image", list(SIZE))
    assert not {"nside", "base_pixels", "pole", "antialias"} & set(arguments)


def test_all_else_is_as_on_the_sphere(source, made, tmp_path):
    convert(Conversion(source, nside=8, tasks=("semantic", "depth")), tmp_path / "set")
    sphere = PreparedSet.open(tmp_path / "set")
    for name in ("sample_names", "sample_camera", "sample_scene", "split", "sources", "cameras"):
        assert sphere.attributes[name] == made.attributes[name], name
    # What sets of the sphere state is what they stated before there were others.
    assert not {"grid", "size"} & set(sphere.attributes["conversion"])
    truth = source_labels(made, 5)
    np.testing.assert_array_equal(truth, source_labels(sphere, 5))
    # The labels in the set, looked up in the image, are the truth but where they were resized.
    back = FlatToImage(made.cameras["MVL"], made.grid)
    again = back.nearest(made.semantic(5), 255)
    assert np.mean(again[back.covered] == truth[back.covered]) > 0.85


def test_labels_of_equal_size_come_back(source, tmp_path):
    camera = tiny_camera()
    made = prepare(source, tmp_path / "set", size=(camera.height, camera.width))
    back = FlatToImage(camera, made.grid)
    expected = np.where(back.covered, source_labels(made, 0), 255)
    np.testing.assert_array_equal(back.nearest(made.semantic(0), 255), expected)
    image = made.image(0).reshape(camera.height, camera.width, 3)
    np.testing.assert_array_equal(image[back.covered], source_image(made, 0)[back.covered])


def test_statistics_are_those_of_the_training_split(made, tmp_path):
    training = made.split["train"]
    valid = [made.valid(made.sample_camera[i]) for i in training]
    pixels = np.concatenate([made.image(i)[v] for i, v in zip(training, valid, strict=True)])
    labels = np.concatenate([made.semantic(i)[v] for i, v in zip(training, valid, strict=True)])
    np.testing.assert_allclose(made.image_mean, pixels.mean(0) / 255, rtol=1e-12)
    shares = np.bincount(labels, minlength=12) / labels.size
    np.testing.assert_allclose(made.class_frequencies, shares, rtol=1e-12)
    assert "holds these figures already" in statistics(made.root, progress=False)


def test_it_is_described_and_verified(made):
    text = describe(made.root)
    assert "flat image, 40 rows of 48 pixels" in text
    assert "pole" not in text
    assert "image, semantic, depth, valid are whole and right" in verify(made.root, progress=False)


def test_its_preview_shows_the_images(made, tmp_path):
    sheet = cv2.imread(str(preview(made.root, tmp_path / "sheet.png", samples=2)))[..., ::-1]
    assert sheet.shape[1] > 4 * 280  # source, resized image, labels and depth side by side
    assert not (sheet == PAPER).all(axis=-1).all()
    for colour in np.array(made.class_colours)[np.unique(made.semantic(0)[made.valid("FV")])]:
        assert (sheet == colour).all(axis=-1).any()
    with pytest.raises(ValueError, match="holds flat images"):
        view_of(made, 0)


@pytest.mark.parametrize(("invalid", "label"), [("ignore", 255), ("void", 0)])
def test_outside_the_lens_nothing_is_valid(tmp_path, invalid, label):
    source = write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV",))
    camera = tiny_camera().to_dict()
    camera["intrinsic"]["max_theta"] = 0.9
    narrow = RadialPolynomialCamera.from_dict(camera)
    for file in (source / "calibration").iterdir():
        file.write_text(json.dumps(camera))
    made = prepare(source, tmp_path / "set", invalid=invalid)
    valid = made.valid("FV")
    assert made.cameras["FV"] == narrow
    assert 0.2 < valid.mean() < 0.9
    assert (made.semantic(0)[~valid] == label).all()
    assert not made.image(0)[~valid].any()
    assert np.isnan(made.depth(0)[~valid]).all()
    assert "verified" in verify(made.root, progress=False)


def test_the_own_vehicle_is_left_out_and_sides_are_cut(source, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[30:] = 255
    cv2.imwrite(str(masks / "FV.png"), mask)
    made = prepare(
        source,
        tmp_path / "set",
        own_vehicle=masks,
        crop=(4, 6, 0, 0),
        invalid="void",
        size=(42, 60),
    )
    # 42 rows and 60 columns are left, so that nothing is resized.
    hidden = np.zeros((42, 60), bool)
    hidden[24:] = True
    valid = made.valid("FV").reshape(42, 60)
    assert not valid[hidden].any()
    seen = made.valid("RV").reshape(42, 60)
    assert seen[hidden].any()
    np.testing.assert_array_equal(valid, seen & ~hidden)
    labels = made.semantic(0).reshape(42, 60)
    # What is left out on purpose is ignored, not void.
    assert (labels[hidden & seen] == 255).all()
    np.testing.assert_array_equal(labels[valid], source_labels(made, 0)[valid])


def test_the_number_of_workers_changes_nothing(source, made, tmp_path):
    prepare(source, tmp_path / "set", workers=2)
    assert tree_bytes(tmp_path / "set") == tree_bytes(made.root)


def test_a_set_of_the_other_kind_is_not_replaced(source, made, tmp_path):
    sphere = Conversion(source, nside=8, tasks=("semantic", "depth"))
    with pytest.raises(ValueError, match='other arguments: grid is "image" there, "healpix" here;'):
        convert(sphere, made.root, progress=False)
    assert "nothing to do" in convert(
        Conversion(source, grid="image", size=SIZE, tasks=("semantic", "depth")), made.root
    )
    convert(sphere, tmp_path / "set", progress=False)
    with pytest.raises(ValueError, match='grid is "healpix" there, "image" here;'):
        prepare(source, tmp_path / "set")
    with pytest.raises(ValueError, match=r"size is \[40, 48\] there, \[48, 40\] here"):
        prepare(source, made.root, size=(48, 40))


def test_the_command_line_makes_the_same_set(source, made, tmp_path, capsys):
    arguments = ["convert", str(source), str(tmp_path / "set"), "--grid", "image"]
    arguments += ["--size", "40x48", "--tasks", "semantic,depth"]
    assert main([*arguments, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "ImageGrid(height=40, width=48)" in told
    assert "semantic: uint8 (12, 1920)" in told
    assert main(arguments) == 0
    assert tree_bytes(tmp_path / "set") == tree_bytes(made.root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": None}, "size is missing: grid='image' needs a height and a width"),
        ({"size": (0, 4)}, "height=0 must be a whole number"),
        ({"nside": 64}, "nside=64 is for grid='healpix'"),
        ({"base_pixels": (0, 1)}, r"base_pixels=\(0, 1\) is for grid='healpix'"),
        ({"pole": "vehicle"}, "pole='vehicle' is for grid='healpix'"),
        ({"pole": "zenith"}, "pole='zenith' is for grid='healpix'"),
        ({"antialias": True}, "antialias is for grid='healpix'"),
        ({"grid": "cube"}, "grid='cube' must be one of"),
        ({"grid": "healpix"}, r"size=\(40, 48\) is for grid='image'"),
    ],
)
def test_what_makes_no_sense_is_refused(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        Conversion(source, **{"grid": "image", "size": SIZE, **arguments})


def test_too_many_pixels_are_refused(source, tmp_path):
    with pytest.raises(
        ValueError, match=r"size=\(20000, 20000\) has 400000000 pixels.*smaller size"
    ):
        prepare(source, tmp_path / "set", size=(20000, 20000))


def test_maps_of_the_sphere_stay_there(tmp_path):
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps/sky.npy", np.ones(12 * 16, np.float32))
    with pytest.raises(ValueError, match="grid='image' is for images, this source holds maps"):
        prepare(tmp_path / "maps", tmp_path / "set", reader="healpix", tasks=())


def test_a_panorama_may_stay_flat(tmp_path):
    (tmp_path / "source/images").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "source/images/a.png"), picture[..., ::-1])
    arguments = {"reader": "panorama", "tasks": (), "split": "train:1"}
    made = prepare(tmp_path / "source", tmp_path / "set", size=(16, 32), **arguments)
    assert made.pole == "camera"
    assert made.valid(made.sample_camera[0]).all()
    expected = picture.reshape(16, 2, 32, 2, 3).mean(axis=(1, 3)).reshape(-1, 3)
    assert np.abs(made.image(0) - expected).max() <= 0.5
