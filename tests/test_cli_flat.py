"""The commands on resized fisheye images, with the flat network."""

import json
import shutil

import numpy as np
import pytest
import torch

import healswin
from data_prep.convert import Conversion, convert
from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.predictions import PredictionSet
from healswin.grid import ImageGrid
from healswin.models import HealSwin, SwinUNet
from healswin.tasks import SegmentationTask

SIZE = (32, 48)

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 1
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
data:
  batch_size: 4
  augmentations:
    - class_path: healswin.data.augment.Flip
    - class_path: healswin.data.augment.ColourJitter
      init_args: {brightness: 0.2}
model:
  class_path: healswin.tasks.SegmentationTask
  init_args:
    network:
      class_path: healswin.models.SwinUNet
      init_args:
        embed_dim: 8
        depths: [1, 1]
        num_heads: [1, 2]
        patch_size: 2
        window_size: 4
        shift_size: 2
"""


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run that has been trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "flat"
    config = folder.parent / "config.yaml"
    config.write_text(CONFIG)
    arguments = ["--data.root", str(prepared(SIZE)), "--trainer.default_root_dir", str(folder)]
    assert main(["fit", "--config", str(config), *arguments]) == 0
    return folder


@pytest.fixture
def best(run):
    return run / "checkpoints" / "best.ckpt"


def arguments_of(run, root, folder):
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    place = ["--data.root", str(root), "--trainer.default_root_dir", str(folder)]
    return ["--ckpt_path", str(run / "checkpoints" / "best.ckpt"), *quiet, *place]


def test_a_batch_is_the_set_s_images(prepared):
    made = PreparedSet.open(prepared(SIZE))
    data = PreparedDataModule(str(made.root), batch_size=2)
    assert data.grid == {"grid": "image", "height": 32, "width": 48}
    batch = next(iter(data.test_dataloader()))
    index = int(batch["sample"][1])
    assert batch["image"].shape == (2, 3, 32 * 48)
    mean, std = np.array(made.image_mean), np.array(made.image_std)
    expected = (made.image(index) / 255 - mean) / std
    np.testing.assert_allclose(batch["image"][1].numpy().T, expected, atol=1e-5)
    np.testing.assert_array_equal(batch["semantic"][1].numpy(), made.semantic(index))
    np.testing.assert_array_equal(batch["depth"][1].numpy(), made.depth(index))


def test_the_task_shows_the_network_rows_and_columns(best, prepared):
    task = SegmentationTask.load_from_checkpoint(best, map_location="cpu").eval()
    assert task.grid == ImageGrid(*SIZE)
    image = next(iter(PreparedDataModule(str(prepared(SIZE))).test_dataloader()))["image"]
    with torch.no_grad():
        direct = task.network(image.reshape(-1, 3, *SIZE)).flatten(2)
        torch.testing.assert_close(task(image), direct)


def test_test_measures_in_the_image(run, prepared, tmp_path):
    root = prepared(SIZE)
    assert main(["test", *arguments_of(run, root, tmp_path)]) == 0
    summary = json.loads((tmp_path / "test.json").read_text())
    assert (summary["grid"], summary["height"], summary["width"]) == ("image", *SIZE)
    assert {"image", "image_prior"} <= set(summary["results"])
    assert 0 < summary["results"]["image"]["accuracy"] < 1
    assert list((tmp_path / "report").glob("*.png"))


def test_it_predicts_and_draws(run, best, prepared, tmp_path):
    root = prepared(SIZE)
    pictures = ["--predictions.pictures", "2"]
    assert main(["predict", *arguments_of(run, root, tmp_path), *pictures]) == 0
    predictions = PredictionSet.open(tmp_path / "predictions")
    assert predictions.grid == ImageGrid(*SIZE)
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    # As the zoo does with the same checkpoint, from the images as they are stored.
    made, model = PreparedSet.open(root), healswin.load_model(best)
    assert (model.config.model, model.grid) == ("swin_unet", ImageGrid(*SIZE))
    index = made.split["test"][0]
    stored = np.ascontiguousarray(made.image(index).T)[None]
    classes = model.predict(stored)[0].numpy()
    assert np.mean(predictions.semantic(0) == classes) > 0.999
    as_image = model.predict(stored.reshape(1, 3, *SIZE))[0].numpy()
    np.testing.assert_array_equal(as_image, classes)


def test_a_saved_model_comes_back(best, prepared, tmp_path):
    model = healswin.load_model(best)
    model.save_pretrained(tmp_path / "model")
    again = healswin.load_model(tmp_path / "model")
    assert again.config == model.config
    assert again.config.up == (0.0, -1.0, 0.0)
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(image), model(image))
    # Images of another size keep the weights.
    larger = model.with_grid(ImageGrid(64, 64))
    assert larger(torch.zeros(1, 3, 64, 64)).shape == (1, 12, 64 * 64)


def test_images_without_labels_or_sources_are_predicted(run, street, tmp_path):
    copy = shutil.copytree(street, tmp_path / "street")
    arguments = {"grid": "image", "size": SIZE, "tasks": (), "split": "train:0.6,val:0.2,test:0.2"}
    convert(Conversion(copy, **arguments), tmp_path / "set", progress=False)
    shutil.rmtree(copy)
    folder = tmp_path / "run"
    assert main(["predict", *arguments_of(run, tmp_path / "set", folder)]) == 0
    predictions = PredictionSet.open(folder / "predictions")
    assert len(predictions) == 4
    assert len(predictions.class_names) == 12
    assert len(list((folder / "pictures").glob("*.png"))) == 4


def test_data_of_another_grid_are_refused(run, prepared, tmp_path, capsys):
    for root, message in (
        (prepared((32, 32)), "trained with width 48, the data have 32"),
        (prepared(16), "trained with grid image, the data have healpix"),
    ):
        assert main(["test", *arguments_of(run, root, tmp_path)]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "pixels", "message"),
    [
        ("HealSwin", SIZE, "are no HEALPix grid: flat images of a height and a width need another"),
        ("SwinUNet", 16, "are no image: maps of the sphere need another network, such as healswin"),
    ],
)
def test_a_network_of_the_other_kind_is_refused(network, pixels, message, prepared, capsys):
    chosen = ["--model.init_args.network", f"healswin.models.{network}"]
    assert main(["fit", "--data.root", str(prepared(pixels)), *chosen]) == 2
    assert message in capsys.readouterr().err


def test_networks_say_what_they_are_made_for():
    with pytest.raises(ValueError, match="nside=640 and base_pixels=768 are no HEALPix grid"):
        HealSwin(640, 768, 3, 10)
    with pytest.raises(ValueError, match=r"width=\(0, 1\) are no image"):
        SwinUNet(64, (0, 1), 3, 10)
    with pytest.raises(ValueError, match="width='soft' are no image"):
        SwinUNet(30, "soft", 3, 10)


@pytest.mark.parametrize(
    ("place", "augmentation"),
    [
        ("augmentations", "healswin.data.augment.PixelSymmetries"),
        ("augmentations", "healswin.data.augment.RandomRotation"),
        ("batch_augmentations", "healswin.data.batch_augment.BatchRotation"),
        ("batch_augmentations", "healswin.data.batch_augment.BatchSymmetries"),
    ],
)
def test_augmentations_of_the_sphere_are_refused(place, augmentation, prepared, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.split("  augmentations")[0] + f"  {place}:\n    - {augmentation}\n")
    assert main(["fit", "--config", str(config), "--data.root", str(prepared(SIZE))]) == 2
    assert "no grid of the sphere" in capsys.readouterr().err
