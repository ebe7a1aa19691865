"""The commands for classes and depth at once, on generated scenes."""

import json

import numpy as np
import pytest
import torch

from healswin.__main__ import main
from healswin.data import PreparedSet
from healswin.data.predictions import PredictionSet
from healswin.tasks import JointTask

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 1
  log_every_n_steps: 1
  enable_progress_bar: false
data:
  batch_size: 4
model:
  class_path: healswin.tasks.JointTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 16, shift_size: 2}
    transform: log
"""


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run that has been trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "joint"
    config = folder.parent / "config.yaml"
    config.write_text(CONFIG)
    arguments = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(folder)]
    pictures = ["--pictures.every", "1", "--pictures.samples", "1"]
    assert main(["fit", "--config", str(config), *arguments, *pictures]) == 0
    return folder


def arguments_of(run, root):
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    checkpoint = str(run / "checkpoints" / "best.ckpt")
    return ["--ckpt_path", checkpoint, "--data.root", str(root), *quiet]


def test_fit_learns_both_and_draws(run):
    header = (run / "logs/version_0/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"val/segmentation/miou_without_void", "val/depth/rmse"} <= set(header)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    state = next(s for s in checkpoint["callbacks"].values() if s.get("monitor"))
    assert state["monitor"] == "val/segmentation/miou_without_void"
    # The learned weights of the losses have moved.
    assert checkpoint["state_dict"]["log_variances"].abs().min() > 0
    assert len(list((run / "validation").rglob("*.png"))) == 1
    task = JointTask.load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu")
    assert task.depth.scale.transform == "log"


def test_test_reports_both(run, prepared):
    options = ["--report.pictures", "1", "--report.prior", "false", "--report.extremes", "0"]
    assert main(["test", *arguments_of(run, prepared(16)), *options]) == 0
    results = json.loads((run / "test.json").read_text())["results"]
    assert 0 <= results["segmentation"]["sphere"]["miou"] <= 1
    assert results["segmentation"]["image"]["accuracy"] is not None
    assert results["depth"]["sphere"]["rmse"] > 0
    assert results["depth"]["image"]["rmse"] > 0
    page = (run / "report.md").read_text()
    assert page.index("## Segmentation") < page.index("## Depth")
    for name in ("report_segmentation", "report_depth"):
        (picture,) = (path for path in (run / name).glob("0*.png"))
        assert f"{name}/{picture.name}" in page


def test_predict_stores_both_in_one_file(run, prepared):
    root = prepared(16)
    more = ["--predictions.pictures", "1", "--predictions.points", "camera"]
    assert main(["predict", *arguments_of(run, root), *more]) == 0
    predicted, data = PredictionSet.open(run / "predictions"), PreparedSet.open(root)
    assert predicted.class_names == data.class_names
    for row in range(len(predicted)):
        assert predicted.semantic(row).max() < len(data.class_names)
        assert np.isfinite(predicted.depth(row)).all()
    for name in ("pictures_segmentation", "pictures_depth"):
        assert len(list((run / name).glob("*.png"))) == 1
    assert len(list((run / "points").glob("*.ply"))) == 1
