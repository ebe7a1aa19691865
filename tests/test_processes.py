"""Several processes give what one gives."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data_prep.cli import main as prepare
from data_prep.convert import Conversion, convert
from healswin.data import PreparedSet
from healswin.data.predictions import PredictionSet

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 1
  enable_progress_bar: false
  enable_model_summary: false
data:
  batch_size: 1
model:
  class_path: healswin.tasks.SegmentationTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 16, shift_size: 2}
"""

# What test.json holds besides the scores and is counted sample by sample.
COUNTED = ["confusion", "cameras", "angles", "sample_scores", "best_samples", "worst_samples"]


def healswin(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HEALSWIN_TRACEBACK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "healswin", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_train_together_and_measure_what_one_measures(street, tmp_path):
    """With three test samples, which two processes cannot share evenly."""
    root = tmp_path / "set"
    cameras = ("FV", "MVL", "RV")
    split = "train:0.6,val:0.2,test:0.2"
    convert(Conversion(street, nside=16, cameras=cameras, split=split), root, progress=False)
    assert len(PreparedSet.open(root).split["test"]) == 3
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    run = tmp_path / "run"
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
    folder = "--trainer.default_root_dir"
    healswin("fit", "--config", config, "--data.root", root, folder, run, *two)
    checkpoint = run / "checkpoints" / "last.ckpt"
    results, counted, predictions = [], [], []
    for name, devices in (("one", ["--trainer.devices", 1]), ("two", two)):
        common = ["--ckpt_path", checkpoint, "--data.root", root, "--trainer.accelerator", "cpu"]
        batches = ["--data.batch_size", 1]
        healswin("test", *common, *batches, folder, tmp_path / name, *devices)
        summary = json.loads((tmp_path / name / "test.json").read_text())
        assert summary["samples"] == 3
        results.append(summary["results"])
        counted.append({name: summary[name] for name in COUNTED})
        healswin("predict", *common, *batches, folder, tmp_path / name, *devices)
        predictions.append(PredictionSet.open(tmp_path / name / "predictions"))
    one, several = results
    assert set(one) == set(several) == {"sphere", "sphere_prior", "image", "image_prior"}
    for column, scores in one.items():
        for name, value in scores.items():
            assert several[column][name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert counted[0] == counted[1]
    assert sorted(counted[0]["sample_scores"]) == sorted(predictions[0].sample_names)
    assert len(predictions[0]) == len(predictions[1]) == 3
    for row in range(3):
        np.testing.assert_array_equal(predictions[0].semantic(row), predictions[1].semantic(row))


@pytest.mark.slow
def test_two_processes_classify_as_one_does(tmp_path):
    """With seven test samples, which two processes cannot share evenly."""
    root = tmp_path / "set"
    few = ["--train", "8", "--val", "3", "--test", "7"]
    digits = ["digits", str(root), "--nside", "16", "--tasks", "label"]
    assert prepare(["mnist", *digits, *few]) == 0
    config = tmp_path / "config.yaml"
    labels = CONFIG.replace("SegmentationTask", "ClassificationTask")
    config.write_text(labels.replace("{embed_dim", "{head: classification, embed_dim"))
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
    folder = "--trainer.default_root_dir"
    run = tmp_path / "run"
    healswin("fit", "--config", config, "--data.root", root, folder, run, *two)
    checkpoint = run / "checkpoints" / "last.ckpt"
    summaries, predictions = [], []
    for name, devices in (("one", ["--trainer.devices", 1]), ("two", two)):
        common = ["--ckpt_path", checkpoint, "--data.root", root, "--trainer.accelerator", "cpu"]
        where = ["--data.batch_size", 1, folder, tmp_path / name, *devices]
        healswin("test", *common, *where)
        summaries.append(json.loads((tmp_path / name / "test.json").read_text()))
        healswin("predict", *common, *where)
        predictions.append(PredictionSet.open(tmp_path / name / "predictions"))
    one, several = summaries
    assert one["samples"] == several["samples"] == np.sum(several["confusion"]) == 7
    assert one["confusion"] == several["confusion"]
    assert set(one["results"]) == {"model", "prior"}
    for column, scores in one["results"].items():
        for name, value in scores.items():
            there = several["results"][column][name]
            # Some of the labels have no sample.
            assert there == (value if value is None else pytest.approx(value, rel=1e-5)), name
    for row in range(7):
        assert predictions[0].label(row) == predictions[1].label(row)
        np.testing.assert_allclose(
            predictions[0].scores(row), predictions[1].scores(row), rtol=1e-4, atol=1e-6
        )
