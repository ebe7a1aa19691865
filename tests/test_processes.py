"""Several processes give what one gives."""

import json
import os
import subprocess
import sys

import pytest

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
      class_path: healswin.models.HealSwinUNet
      init_args: {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 16, shift_size: 2}
"""


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
def test_two_processes_train_together_and_measure_what_one_measures(prepared, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    run, root = tmp_path / "run", prepared(16)
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
    folder = "--trainer.default_root_dir"
    healswin("fit", "--config", config, "--data.root", root, folder, run, *two)
    checkpoint = run / "checkpoints" / "last.ckpt"
    results = []
    for name, devices in (("one", ["--trainer.devices", 1]), ("two", two)):
        common = ["--ckpt_path", checkpoint, "--data.root", root, "--trainer.accelerator", "cpu"]
        healswin("test", *common, folder, tmp_path / name, *devices)
        results.append(json.loads((tmp_path / name / "test.json").read_text())["results"])
        healswin("predict", *common, folder, tmp_path / name, *devices)
        assert (tmp_path / name / "predictions" / "zarr.json").is_file()
    one, several = results
    assert set(one) == set(several) == {"sphere", "sphere_prior", "image", "image_prior"}
    for column, scores in one.items():
        for name, value in scores.items():
            assert several[column][name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    chunks = [
        sorted(p.name for p in (tmp_path / n / "predictions/semantic/c").iterdir())
        for n in ("one", "two")
    ]
    assert chunks[0] == chunks[1]
