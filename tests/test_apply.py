"""From photographs to what a model says of them, as a library and as a command."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from healswin.__main__ import main
from healswin.apply import Applier, apply_to_image, apply_to_map
from healswin.apply import application as application_module
from healswin.apply import pictures as pictures_module
from healswin.apply.pictures import class_legend, labelled, sphere_picture
from healswin.cameras import EquirectangularCamera, KannalaBrandtCamera, pole_rotation
from healswin.data.transforms import Normalisation
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.models import create_model
from healswin.resample import GridToImage, ImageToGrid
from healswin.zoo import ModelConfig, ZooModel

FISHEYE = HealpixGrid(16, range(8))
COLOURS = ((10, 20, 30), (200, 100, 0), (0, 150, 250))
SMALL = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 16}


def fisheye(width=80, **more):
    return KannalaBrandtCamera(
        width=width, height=60, fx=22.0, fy=22.0, cx=width / 2 - 0.5, cy=29.5, **more
    )


CAMERA = fisheye(name="FV")


# Pictures of the sphere, small: looking up directions takes long.
SIZE = 120


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(pictures_module, "_SPHERE_SIZE", SIZE)


class Channels(nn.Module):
    """Answers with some channels of the input, whose scale is 255 times the stored one."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x[:, self.channels] * self.scale


def model_of(task="segmentation", channels=(0, 1, 2), grid=FISHEYE, **settings):
    """A model whose classes are the brightest channel, and whose depth is a channel."""
    settings = {
        "name": "channels",
        "task": task,
        "model": "healswin",
        "arguments": {},
        "grid": grid.to_dict(),
        "in_chans": 3,
        "num_classes": len(channels),
        "image_mean": (0.0,) * 3,
        "image_std": (1.0,) * 3,
        **settings,
    }
    if task == "depth":
        settings.setdefault(
            "depth", {"transform": "none", "mean": 2.0, "std": 10.0, "log_variance": False}
        )
    return ZooModel(ModelConfig(**settings), Channels(list(channels))).eval()


def picture(width=80, height=60):
    """Left red, middle green, right blue, each on a background of a smooth gradient."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for channel, part in enumerate(np.array_split(np.arange(width), 3)):
        image[:, part, channel] = np.linspace(150, 250, height)[:, None]
    return image


def test_classes_come_back_where_they_were():
    image = picture()
    applied = apply_to_image(model_of(), image, CAMERA)
    covered = GridToImage(CAMERA, FISHEYE).covered
    assert applied.labels.dtype == np.uint8
    # Not beside the borders of the colours: the pixels of the grid are wider than the image's.
    sure = covered.copy()
    sure[:, 20:33] = sure[:, 47:60] = False
    seen = GridToImage(CAMERA, FISHEYE).nearest(applied.valid, False)
    np.testing.assert_array_equal(applied.labels == 255, ~seen)
    sure &= seen
    assert sure.mean() > 0.5
    np.testing.assert_array_equal(applied.labels[sure], image.argmax(axis=2)[sure])
    assert applied.depth is None
    assert applied.scores is None


def test_the_answer_is_that_of_the_written_out_steps():
    image = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    model = model_of(image_mean=(0.4, 0.5, 0.6), image_std=(0.2, 0.3, 0.4))
    applied = apply_to_image(model, image, CAMERA)
    table = ImageToGrid(CAMERA, FISHEYE, antialias=True)
    values = table.bilinear(image)
    normalised = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))(values)
    labels = np.where(table.valid, normalised.argmax(axis=0), 255).astype(np.uint8)
    np.testing.assert_array_equal(applied.sphere_labels, labels)
    np.testing.assert_array_equal(applied.sphere_image, values)
    expected = GridToImage(CAMERA, FISHEYE).nearest(labels, 255)
    np.testing.assert_array_equal(applied.labels, expected)


def test_several_images_at_once_are_as_one_after_the_other():
    model = model_of()
    images = [picture(), picture()[:, ::-1].copy()]
    together = Applier(model, CAMERA)(images)
    for image, applied in zip(images, together, strict=True):
        np.testing.assert_array_equal(applied.labels, apply_to_image(model, image, CAMERA).labels)
    assert (together[0].labels != together[1].labels).any()


def test_depth_is_interpolated_among_what_the_camera_sees():
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[..., 1] = np.linspace(50, 250, 80)
    applied = apply_to_image(model_of("depth", channels=(1,)), image, CAMERA)
    assert applied.depth.dtype == np.float32
    covered = GridToImage(CAMERA, FISHEYE).covered
    np.testing.assert_array_equal(np.isnan(applied.depth), ~covered)
    truth = 2 + 10 * (image[..., 1] / 255)
    inner = covered[5:-5, 5:-5]
    error = np.abs(applied.depth - truth)[5:-5, 5:-5][inner]
    # A pixel of the grid spans 4 degrees, 1.4 columns of the image, 0.14 m of the ramp.
    assert error.max() < 0.1
    assert np.isnan(applied.sphere_depth[~applied.valid]).all()


def test_the_sky_stays_infinitely_far():
    inverse = {"transform": "inverse", "mean": 0.0, "std": 1.0, "log_variance": False}
    image = np.full((60, 80, 3), 51, dtype=np.uint8)  # 1 / 0.2 = 5 metres
    image[:25] = 0
    applied = apply_to_image(model_of("depth", channels=(0,), depth=inverse), image, CAMERA)
    covered = GridToImage(CAMERA, FISHEYE).covered
    assert np.isposinf(applied.depth[:20][covered[:20]]).all()
    np.testing.assert_allclose(applied.depth[35:][covered[35:]], 5, rtol=1e-5)
    assert not np.isnan(applied.depth[covered]).any()


def test_a_model_that_classifies_gives_probabilities():
    class Mean(Channels):
        def forward(self, x):
            return super().forward(x).mean(dim=-1)

    names = ("red", "green", "blue")
    model = model_of("classification", class_names=names)
    model.network = Mean([0, 1, 2])
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[..., 2] = 200
    scores = apply_to_image(model, image, CAMERA).scores
    assert scores.argmax() == 2
    assert scores.sum() == pytest.approx(1, abs=1e-6)


def test_the_pole_of_the_model_is_used():
    """What is up in the photograph is at the map's north pole, whatever way the camera looks."""
    up = (0.5, -0.5, 0.5, -0.5)
    turned = fisheye(name="FV", quaternion=up)
    grid = HealpixGrid(16)
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[:15] = 255
    applied = apply_to_image(model_of(grid=grid, pole="zenith"), image, turned)
    axes = pole_rotation(turned, "zenith")
    bright = applied.sphere_image[:, 0] > 200
    assert bright.any()
    # The upper rows look up in camera axes: y is negative.
    assert ((grid.vectors() @ axes.T)[bright][:, 1] < 0).all()


def test_models_for_other_things_are_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"1 channels of uint8, not photographs"):
        Applier(model_of(in_chans=1, image_mean=(0.0,), image_std=(1.0,)), CAMERA)
    with pytest.raises(ValueError, match="of float32, not photographs"):
        Applier(model_of(image_dtype="float32"), CAMERA)
    with pytest.raises(ValueError, match="brought to HEALPix"):
        Applier(model_of(grid=EquiangularGrid(4)), CAMERA)
    posed = fisheye(name="x", quaternion=None)
    with pytest.raises(ValueError, match=r"no extrinsic quaternion.*pole of channels is 'zenith'"):
        Applier(model_of(pole="zenith"), posed)
    with pytest.raises(ValueError, match="named one of"):
        Applier(model_of(pole="vehicle"), posed)
    with pytest.raises(ValueError, match="float64"):
        apply_to_image(model_of(), picture() / 255, CAMERA)
    with pytest.raises(ValueError, match=r"40 x 60 pixels.*is for 80 x 60"):
        apply_to_image(model_of(), picture()[:, :40], CAMERA)


@pytest.mark.parametrize("order", ["ring", "nested"])
def test_maps_need_no_camera(order):
    grid = HealpixGrid(8)
    model = model_of(grid=grid, image_dtype="float32")
    values = np.random.default_rng(2).normal(size=(3, grid.num_pixels)).astype(np.float32)
    labels = apply_to_map(model, grid.to_ring(values) if order == "ring" else values, order)
    np.testing.assert_array_equal(labels.sphere_labels, values.argmax(axis=0))
    finer = np.repeat(values, 4, axis=1)
    again = apply_to_map(model, finer, "nested")
    np.testing.assert_allclose(again.sphere_image, values.T, rtol=1e-6)


def test_maps_of_rings_may_have_two_axes():
    grid = EquiangularGrid(4)
    model = model_of(grid=grid)
    values = np.random.default_rng(3).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    applied = apply_to_map(model, values)
    np.testing.assert_array_equal(applied.sphere_labels, values.reshape(3, -1).argmax(axis=0))
    assert sphere_picture(applied, COLOURS, grid, "camera").shape == (480, 2 * 480 + 14, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 12), np.float64), "dtype float64"),
        (np.zeros((2, 12), np.uint8), r"shape \(2, 12\)"),
        (np.zeros((3, 13), np.uint8), r"12 nside\^2"),
    ],
)
def test_maps_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        apply_to_map(model_of(grid=HealpixGrid(4)), values)
    nothing = np.full((3, 12), np.nan, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        apply_to_map(model_of(grid=HealpixGrid(4), image_dtype="float32"), nothing)
    with pytest.raises(ValueError, match="works on images"):
        apply_to_map(model_of(grid=ImageGrid(4, 4)), values)


def test_pictures_name_the_classes_that_occur():
    image = picture()
    applied = apply_to_image(model_of(), image, CAMERA)
    names, colours = class_legend(model_of().config)
    assert names == ["class 0", "class 1", "class 2"]
    assert len(set(colours)) == 3
    drawn = labelled(image, applied.labels, names, colours)
    key = drawn[6 * 60 :].reshape(-1, 3)  # enlarged six times, to 480 columns
    assert drawn.shape[1] == 480
    assert all((key == colour).all(axis=1).any() for colour in colours)
    alone = labelled(image, np.full((60, 80), 1, np.uint8), names, colours)[6 * 60 :].reshape(-1, 3)
    occurring = [(alone == colour).all(axis=1).any() for colour in colours]
    assert occurring == [False, True, False]
    nothing = labelled(image, np.full((60, 80), 255, np.uint8), names, colours)
    assert nothing.shape == (360, 480, 3)
    np.testing.assert_array_equal(nothing[::6, ::6], image)


def test_the_sphere_looks_as_the_photograph_does():
    """Left is left and up is up, whatever the pole."""
    image = picture()
    image[30:] //= 2
    quaternion = (-0.5, 0.5, -0.5, 0.5)
    camera = fisheye(name="FV", quaternion=quaternion)
    for pole, grid in (("camera", FISHEYE), ("zenith", HealpixGrid(16))):
        model = model_of(grid=grid, pole=pole)
        drawn = sphere_picture(apply_to_image(model, image, camera), COLOURS, grid, pole, camera)
        ball = drawn[:, :SIZE].astype(int)
        left, right = ball[SIZE // 2, SIZE // 4], ball[SIZE // 2, 3 * SIZE // 4]
        assert (left.argmax(), right.argmax()) == (0, 2), pole
        assert (
            ball[5 * SIZE // 12, SIZE // 2].max() > 1.5 * ball[7 * SIZE // 12, SIZE // 2].max()
        ), pole


# The command.


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Folders of small random models."""
    root = tmp_path_factory.mktemp("models")
    named = {"class_names": ("a", "b", "c"), "class_colours": COLOURS}
    kinds = {
        "street": ("segmentation", FISHEYE, 3, named),
        "zenith": ("segmentation", HealpixGrid(8), 3, {"pole": "zenith"}),
        "far": (
            "depth",
            FISHEYE,
            1,
            {"depth": {"transform": "log", "mean": 2.0, "std": 0.5, "log_variance": False}},
        ),
        "digits": (
            "classification",
            HealpixGrid(8),
            10,
            {"in_chans": 1, "class_names": tuple("0123456789")},
        ),
    }
    for name, (task, grid, classes, more) in kinds.items():
        channels = more.pop("in_chans", 3)
        arguments = {**SMALL, **({"head": "classification"} if task == "classification" else {})}
        torch.manual_seed(1)
        network = create_model("healswin", grid, channels, classes, **arguments)
        config = ModelConfig(
            name=name,
            task=task,
            model="healswin",
            arguments=arguments,
            grid=grid.to_dict(),
            in_chans=channels,
            num_classes=classes,
            image_mean=(0.4,) * channels,
            image_std=(0.2,) * channels,
            **more,
        )
        ZooModel(config, network).save_pretrained(root / name)
    return root


@pytest.fixture
def photographs(tmp_path):
    """Two cameras with two frames each, and a folder of their calibrations."""
    folder, calibrations = tmp_path / "images", tmp_path / "calibrations"
    folder.mkdir()
    calibrations.mkdir()
    for camera, width in (("FV", 80), ("RV", 64)):
        described = {
            **fisheye(width, quaternion=(0, 0, 0, 1.0)).to_dict(),
            "name": camera,
        }
        (calibrations / f"{camera}.json").write_text(json.dumps(described))
        for frame in ("01", "02"):
            cv2.imwrite(str(folder / f"{frame}_{camera}.png"), picture(width)[..., ::-1])
    return folder


def apply(*arguments):
    return main(["apply", *map(str, arguments)])


def test_a_folder_of_images(entries, photographs, tmp_path, capsys, monkeypatch):
    made = []
    original = application_module.Applier.__init__

    def counted(self, model, camera):
        made.append(camera.name)
        original(self, model, camera)

    monkeypatch.setattr(application_module.Applier, "__init__", counted)
    out = tmp_path / "out"
    calibrations = ["--calibration", photographs.parent / "calibrations"]
    common = [entries / "street", "--image", photographs, *calibrations, "--device", "cpu"]
    assert apply(*common, "--out", out, "--batch-size", 2) == 0
    assert made == ["FV", "RV"]  # the tables are made once for each camera
    assert {path.name for path in out.iterdir()} == {"01_FV", "02_FV", "01_RV", "02_RV"}
    files = {path.name for path in (out / "01_FV").iterdir()}
    assert files == {"overlay.png", "labels.png", "colours.png", "sphere.png"}
    labels = cv2.imread(str(out / "01_RV" / "labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (60, 64)
    assert set(np.unique(labels)) <= {0, 1, 2, 255}
    colours = cv2.imread(str(out / "01_RV" / "colours.png"))[..., ::-1]
    for number, colour in enumerate(COLOURS):
        assert (colours[labels == number] == colour).all()
    assert capsys.readouterr().out.count("overlay.png") == 4
    # Batches do not matter.
    assert apply(*common, "--out", tmp_path / "again") == 0
    for path in out.rglob("labels.png"):
        again = tmp_path / "again" / path.relative_to(out)
        assert again.read_bytes() == path.read_bytes()


def test_depth_is_written_in_metres(entries, photographs, tmp_path):
    calibration = photographs.parent / "calibrations" / "FV.json"
    image = photographs / "01_FV.png"
    out = tmp_path / "out"
    assert apply(entries / "far", "--image", image, "--calibration", calibration, "--out", out) == 0
    depth = np.load(out / "01_FV" / "depth.npy")
    assert depth.shape == (60, 80)
    assert depth.dtype == np.float32
    assert (depth[np.isfinite(depth)] > 0).all()
    assert {path.name for path in (out / "01_FV").iterdir()} == {
        "depth.npy",
        "depth.png",
        "sphere.png",
    }


def test_calibrations_lie_beside_their_images(entries, photographs, tmp_path):
    beside = tmp_path / "beside" / "inner"
    beside.mkdir(parents=True)
    (beside / "a.b.png").write_bytes((photographs / "01_FV.png").read_bytes())
    calibration = (photographs.parent / "calibrations" / "FV.json").read_text()
    (beside / "a.b.json").write_text(calibration)
    out = tmp_path / "out"
    assert apply(entries / "street", "--image", beside.parent, "--out", out) == 0
    assert (out / "inner" / "a.b" / "overlay.png").is_file()


def test_panoramas_need_no_calibration(entries, tmp_path):
    cv2.imwrite(str(tmp_path / "around.jpg"), picture(128, 64))
    out = tmp_path / "out"
    image = tmp_path / "around.jpg"
    assert apply(entries / "zenith", "--image", image, "--panorama", "--out", out) == 0
    labels = cv2.imread(str(out / "around" / "labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (64, 128)
    assert (labels != 255).all()
    camera = EquirectangularCamera(128, 64)
    assert camera.wraps_horizontally


def test_a_map_of_a_digit_gets_its_scores(entries, tmp_path, capsys):
    values = np.random.default_rng(4).integers(0, 256, 12 * 8**2, dtype=np.uint8)
    np.save(tmp_path / "seven.npy", values)
    out = tmp_path / "out"
    assert apply(entries / "digits", "--map", tmp_path / "seven.npy", "--out", out) == 0
    scores = json.loads((out / "seven" / "scores.json").read_text())
    assert set(scores) == set("0123456789")
    assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    best = next(iter(scores))
    assert f": {best} " in capsys.readouterr().out
    assert (out / "seven" / "sphere.png").is_file()


def test_what_cannot_be_used_is_said_in_one_line(entries, photographs, tmp_path, capsys):
    street, out = entries / "street", ["--out", tmp_path / "out"]
    image = ["--image", photographs / "01_FV.png"]
    calibration = ["--calibration", photographs.parent / "calibrations"]
    other = ["--calibration", photographs.parent / "calibrations" / "RV.json"]
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "short.png").write_bytes((photographs / "01_FV.png").read_bytes()[:200])
    (tmp_path / "empty").mkdir()
    no_pose = json.loads((photographs.parent / "calibrations" / "FV.json").read_text())
    del no_pose["extrinsic"]
    (tmp_path / "no_pose.json").write_text(json.dumps(no_pose))
    twice = tmp_path / "01_FV.png"
    twice.write_bytes((photographs / "01_FV.png").read_bytes())
    wrong = {
        "with --image, or maps with --map": [street, *out],
        "01_FV.png has no calibration: looked for": [street, *image, *out],
        "01_FV.png is 80 x 60 pixels, its calibration": [street, *image, *other, *out],
        "is for 64 x 60": [street, *image, *other, *out],
        "text.png cannot be read as an image": [
            *(street, "--image", tmp_path / "text.png", *other, *out)
        ],
        "short.png is truncated": [street, "--image", tmp_path / "short.png", *other, *out],
        "empty holds no images": [street, "--image", tmp_path / "empty", *calibration, *out],
        "nowhere does not exist": [street, "--image", tmp_path / "nowhere", *calibration, *out],
        "would both be called '01_FV'": [street, *image, twice, *calibration, *out],
        "states no extrinsic quaternion": [
            *(entries / "zenith", *image, "--calibration", tmp_path / "no_pose.json", *out)
        ],
        "1 channels of uint8, not photographs": [entries / "digits", *image, *calibration, *out],
        "must be at least 1": [street, *image, *calibration, *out, "--batch-size", 0],
        "--panorama needs no --calibration": [street, *image, *calibration, *out, "--panorama"],
        "none.npy does not exist": [entries / "digits", "--map", tmp_path / "none.npy", *out],
        "is no .npy file": [entries / "digits", "--map", twice, *out],
        "is a file, a folder is needed": [street, *image, *calibration, "--out", twice],
        "--device moon is not known": [street, *image, *calibration, *out, "--device", "moon"],
    }
    for message, arguments in wrong.items():
        assert apply(*arguments) == 2, message
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("healswin: error: ")
        assert error.count("\n") == 1


def test_images_that_cannot_be_used_are_left_out_if_wanted(entries, photographs, tmp_path, capsys):
    (photographs / "03_FV.png").write_text("no image")
    (photographs / "04_FV.png").write_bytes((photographs / "01_RV.png").read_bytes())
    calibration = ["--calibration", photographs.parent / "calibrations"]
    common = [entries / "street", "--image", photographs, *calibration, "--out", tmp_path / "out"]
    assert apply(*common, "--on-error", "skip") == 1
    error = capsys.readouterr().err
    assert "03_FV.png cannot be read" in error
    assert "04_FV.png is 64 x 60" in error
    assert "2 of 6 images were left out" in error
    done = {path.name for path in (tmp_path / "out").iterdir()}
    assert done == {"01_FV", "02_FV", "01_RV", "02_RV"}


def test_the_name_of_a_camera_can_be_given(photographs, tmp_path):
    from healswin.apply.inputs import camera_of, find_photographs

    calibration = photographs.parent / "calibrations" / "FV.json"
    described = json.loads(calibration.read_text())
    del described["name"], described["intrinsic"]["width"], described["intrinsic"]["height"]
    calibration.write_text(json.dumps(described))
    (photograph,) = find_photographs([photographs / "01_FV.png"], calibration)
    camera = camera_of(photograph, (80, 60))
    assert (camera.name, camera.width, camera.height) == ("FV", 80, 60)
    assert camera_of(photograph, (80, 60), "RV").name == "RV"


def test_a_real_photograph(entries, tmp_path):
    """HEALSWIN_SAMPLE_DATA names a folder with front.jpg and front.json (1280 x 966, WoodScape)."""
    folder = os.environ.get("HEALSWIN_SAMPLE_DATA")
    if not folder:
        pytest.skip("HEALSWIN_SAMPLE_DATA is not set")
    assert apply(entries / "street", "--image", Path(folder), "--out", tmp_path) == 0
    labels = cv2.imread(str(tmp_path / "front" / "labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (966, 1280)
    # The lower corners of the image look into the four southern faces.
    assert 0.9 < (labels != 255).mean() < 0.95
    overlay = cv2.imread(str(tmp_path / "front" / "overlay.png"))
    assert overlay.shape[1] == 1280
    assert overlay.shape[0] > 966
