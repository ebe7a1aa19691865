"""Two processes train as one does: the same samples and scores, resumed, stopped together."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from seen_samples import seen
from small_training import AVERAGED, WARM_UP, assert_equal, configuration

TWO = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
ONE = ["--trainer.devices", 1]

pytestmark = pytest.mark.slow


def healswin(*arguments, status=0):
    """Run a command; what it wrote to its error stream."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-m", "healswin", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done.stderr


def config(folder, *callbacks, **changes):
    trainer = {"callbacks": [AVERAGED, *callbacks]}
    settings = configuration(trainer=trainer, model={"lr_scheduler": WARM_UP}, **changes)
    settings["model"]["class_path"] = "healswin.tasks.SegmentationTask"
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings))
    return path


def recorder(folder):
    return {"class_path": "seen_samples.SeenSamples", "init_args": {"folder": str(folder)}}


def scores(folder):
    """The last values that a training has logged of each score of the validation."""
    rows = csv.DictReader(next(folder.glob("logs/*/metrics.csv")).read_text().splitlines())
    return {k: float(v) for row in rows for k, v in row.items() if k.startswith("val/") and v}


def test_two_processes_see_and_measure_what_one_does(prepared, tmp_path):
    """Twelve training samples, each seen once an epoch, and four of validation, each measured."""
    root, folder = prepared(16), "--trainer.default_root_dir"
    for name, devices, size in (("one", ONE, 4), ("two", TWO, 2)):
        settings = config(tmp_path, recorder(tmp_path / f"seen_{name}"), epochs=2)
        batch = ["--data.batch_size", size]
        healswin(
            "fit",
            "--config",
            settings,
            "--data.root",
            root,
            folder,
            tmp_path / name,
            *devices,
            *batch,
        )
    one, processes = seen(tmp_path / "seen_one")
    assert processes == 1
    assert {epoch: len(set(samples)) for epoch, samples in one.items()} == {0: 12, 1: 12}
    assert seen(tmp_path / "seen_two") == (one, 2)
    # What the two measured while they trained is what one measures of the weights that they kept.
    checkpoint = tmp_path / "two" / "checkpoints" / "last.ckpt"
    trained = scores(tmp_path / "two")
    said = {}
    for name, devices in (("one", ONE), ("two", TWO)):
        where = ["--data.root", root, folder, tmp_path / f"measured_{name}"]
        on_cpu = ["--trainer.accelerator", "cpu", "--data.batch_size", 2]
        measured = tmp_path / f"measured_{name}"
        healswin("test", "--ckpt_path", checkpoint, *where, *on_cpu, *devices)
        said[name] = json.loads((measured / "test.json").read_text())
    assert said["one"]["samples"] == said["two"]["samples"]
    for column, values in said["one"]["results"].items():
        for name, value in values.items():
            other = said["two"]["results"][column][name]
            assert other == (value if value is None else pytest.approx(value, rel=1e-5, abs=1e-7))
    task = _measured_in_one_process(checkpoint, root)
    assert trained.keys() == task.keys()
    for name, value in task.items():
        assert trained[name] == pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True), name


def _measured_in_one_process(checkpoint, root):
    """The scores of the validation split, without Lightning."""
    from healswin.data import PreparedDataModule
    from healswin.tasks import SegmentationTask

    task = SegmentationTask.load_from_checkpoint(checkpoint, map_location="cpu").eval()
    data = PreparedDataModule(str(root), batch_size=4, tasks=["semantic"])
    with torch.no_grad():
        (batch,) = data.val_dataloader()
        # A weighted mean over a batch depends on what is in it: the batches of the two processes.
        for rows in ([0, 2], [1, 3]):
            task.validation_step({key: values[rows] for key, values in batch.items()}, 0)
    values = {**task.scores(task.val_scores), "loss": task.val_loss.compute()}
    return {f"val/{name}": float(value) for name, value in values.items()}


def test_two_processes_resume_exactly(prepared, tmp_path):
    root, folder = prepared(16), "--trainer.default_root_dir"
    common = ["--config", config(tmp_path, epochs=2), "--data.root", root, *TWO]
    healswin("fit", *common, folder, tmp_path / "straight")
    healswin("fit", *common, folder, tmp_path / "resumed", "--trainer.max_epochs", 1)
    healswin("fit", *common, folder, tmp_path / "resumed", "--ckpt_path", "last")
    one, other = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("straight", "resumed")
    )
    assert len(one["random_state"]) == 2
    for name in ("state_dict", "current_model_state", "optimizer_states", "random_state"):
        assert_equal(one[name], other[name])


def test_two_processes_stop_together(prepared, tmp_path):
    """The loss is NaN in the second one only."""
    spoiler = {"class_path": "seen_samples.NonFiniteIn", "init_args": {"rank": 1, "step": 3}}
    run = tmp_path / "run"
    settings = config(tmp_path, spoiler, epochs=3)
    where = ["--data.root", prepared(16), "--trainer.default_root_dir", run]
    errors = healswin("fit", "--config", settings, *where, *TWO, status=2)
    assert "healswin: error: the loss is nan in epoch 1, batch 1 (step 3)" in errors
    assert "Traceback" not in errors
    report = json.loads((run / "nonfinite_batch.json").read_text())
    assert [batch["loss"] for batch in report["batches"]] == ["nan"]
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
