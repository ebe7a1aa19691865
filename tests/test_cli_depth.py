"""The commands for depth, on generated scenes."""

import json
import shutil

import numpy as np
import pytest
import torch
import zarr

import healswin
from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.predictions import PredictionSet
from healswin.tasks import DepthTask

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
model:
  class_path: healswin.tasks.DepthTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 16, shift_size: 2}
    loss:
      class_path: healswin.tasks.depth_losses.Huber
      init_args: {delta: 0.5}
    transform: log
    log_variance_from: 1
    ranges: [[0, 10], [10, .inf]]
"""


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run that has been trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "depth"
    config = folder.parent / "config.yaml"
    config.write_text(CONFIG)
    arguments = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(folder)]
    assert main(["fit", "--config", str(config), *arguments]) == 0
    return folder


@pytest.fixture
def best(run):
    return run / "checkpoints" / "best.ckpt"


def arguments_of(run):
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return ["--ckpt_path", str(run / "checkpoints" / "best.ckpt"), *quiet]


def changed_copy(root, folder, change):
    """A copy of a set with other attributes."""
    shutil.copytree(root, folder)
    metadata = json.loads((folder / "zarr.json").read_text())
    change(metadata["attributes"])
    (folder / "zarr.json").write_text(json.dumps(metadata))
    return folder


def test_fit_keeps_the_lowest_error(run, best):
    header = (run / "logs/version_0/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss_epoch", "val/loss", "val/rmse", "val/with_sky/abs_rel"} <= set(header)
    assert not [name for name in header if "0-10m" in name]
    checkpoint = torch.load(best, weights_only=True)
    state = next(s for s in checkpoint["callbacks"].values() if s.get("monitor"))
    assert state["monitor"] == "val/rmse"
    hyper = checkpoint["hyper_parameters"]
    assert hyper["loss"]["init_args"] == {"delta": 0.5}
    assert "class_names" not in hyper
    config = (run / "logs" / "version_0" / "config.yaml").read_text()
    assert "mode: min" in config


def test_the_task_loads_as_it_was(best, prepared):
    task = DepthTask.load_from_checkpoint(best, map_location="cpu")
    statistics = PreparedSet.open(prepared(16)).depth_statistics
    assert task.scale.transform == "log"
    assert (task.scale.mean, task.scale.std) == (*statistics["log"].values(),)
    assert (task.scale.min, task.scale.max) == (statistics["min"], statistics["max"])
    assert task.depth_loss.delta == 0.5
    assert list(task.test_scores.ranges) == ["0-10m", "10m+"]


def test_the_zoo_predicts_the_same_metres(best, prepared, tmp_path):
    task = DepthTask.load_from_checkpoint(best, map_location="cpu").eval()
    model = healswin.load_model(best)
    data = PreparedDataModule(str(prepared(16)), batch_size=4)
    batch = next(iter(data.test_dataloader()))
    stored = torch.stack([torch.from_numpy(data.prepared.image(int(i))).T for i in batch["sample"]])
    with torch.no_grad():
        expected = task.predict_step(batch, 0)["prediction"]
    assert torch.equal(model.predict(stored), expected)
    assert model.config.task == "depth"
    assert model.config.depth == {**task.scale.to_dict(), "log_variance": True}
    assert model.config.num_classes == 2
    assert set(model.config.metrics) == {"val/rmse"}
    model.save_pretrained(tmp_path)
    assert torch.equal(healswin.load_model(tmp_path).predict(stored), expected)


def test_validate_measures(run, prepared, capsys):
    assert main(["validate", *arguments_of(run), "--data.root", str(prepared(16))]) == 0
    assert "val/rmse" in capsys.readouterr().out


def test_test_measures_on_the_sphere(run, best, prepared):
    root = prepared(16)
    quick = ["--report.pictures", "1", "--report.prior", "false"]
    assert main(["test", *arguments_of(run), "--data.root", str(root), *quick]) == 0
    summary = json.loads((run / "test.json").read_text())
    found = summary["results"]["sphere"]
    task = DepthTask.load_from_checkpoint(best, map_location="cpu").eval()
    scores = task.new_scores()
    for batch in PreparedDataModule(str(root), batch_size=4).test_dataloader():
        with torch.no_grad():
            task.count(scores, task.predict_step(batch, 0)["prediction"], batch["depth"])
    for name, value in task.scores(scores).items():
        assert found[name] == pytest.approx(value.item(), rel=1e-4), name
    assert "10m+/abs_rel" in found


def test_predictions_can_be_opened_again(run, best, prepared):
    data = PreparedSet.open(prepared(16))
    arguments = ["--data.root", str(data.root), "--predictions.pictures", "1"]
    assert main(["predict", *arguments_of(run), *arguments]) == 0
    predictions = PredictionSet.open(run / "predictions")
    assert predictions.sample_names == [data.sample_names[i] for i in data.split["test"]]
    task = DepthTask.load_from_checkpoint(best, map_location="cpu").eval()
    batch = next(iter(PreparedDataModule(str(data.root), batch_size=4).test_dataloader()))
    with torch.no_grad():
        expected = task.predict_step(batch, 0)
    for row in range(4):
        np.testing.assert_allclose(predictions.depth(row), expected["prediction"][row], rtol=1e-4)
        np.testing.assert_allclose(
            predictions.deviation(row), expected["deviation"][row], rtol=1e-3, atol=1e-6
        )


@pytest.mark.slow
def test_fit_resumes_where_it_stopped(run, prepared, tmp_path):
    """The second epoch learns the variance, resumed or not."""
    common = ["--config", str(run.parent / "config.yaml"), "--data.root", str(prepared(16))]
    both = ["--trainer.max_epochs", "2", "--trainer.default_root_dir"]
    last = run / "checkpoints" / "last.ckpt"
    assert main(["fit", *common, *both, str(tmp_path / "a"), "--ckpt_path", str(last)]) == 0
    assert main(["fit", *common, *both, str(tmp_path / "b")]) == 0
    one, other = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in "ab"
    )
    assert one["epoch"] == other["epoch"] == 1
    assert one["healswin"] == other["healswin"]
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][name], rtol=1e-5, atol=1e-6)


def rmse_of(capsys):
    """What `validate` printed."""
    line = next(line for line in capsys.readouterr().out.splitlines() if "val/rmse " in line)
    return float(line.split()[-2])


@pytest.mark.slow
def test_other_statistics_do_not_change_what_weights_mean(run, prepared, tmp_path, capsys):
    assert main(["validate", *arguments_of(run), "--data.root", str(prepared(16))]) == 0
    before = rmse_of(capsys)

    def change(attributes):
        attributes["depth_statistics"]["log"] = {"mean": 5.0, "std": 3.0}

    other = changed_copy(prepared(16), tmp_path / "set", change)
    assert main(["validate", *arguments_of(run), "--data.root", str(other)]) == 0
    assert rmse_of(capsys) == before


def without_depth(root, folder):
    """The set as it would be, had it been converted with labels only."""

    def change(attributes):
        attributes["tasks"] = ["semantic"]
        del attributes["depth_statistics"]

    return changed_copy(root, folder, change)


def test_images_without_depth_are_predicted_in_metres(run, best, prepared, tmp_path):
    root = without_depth(prepared(16), tmp_path / "set")
    folder = ["--trainer.default_root_dir", str(tmp_path / "run")]
    arguments = ["--data.root", str(root), "--predictions.pictures", "1", *folder]
    assert main(["predict", *arguments_of(run), *arguments]) == 0
    bare = PredictionSet.open(tmp_path / "run" / "predictions")
    data = PreparedDataModule(str(prepared(16)), batch_size=4)
    assert bare.sample_names == [data.prepared.sample_names[i] for i in data.split_indices("test")]
    task = DepthTask.load_from_checkpoint(best, map_location="cpu").eval()
    with torch.no_grad():
        expected = task.predict_step(next(iter(data.test_dataloader())), 0)["prediction"]
    for row in range(4):
        np.testing.assert_allclose(bare.depth(row), expected[row], rtol=1e-4)


def test_a_set_without_depth_is_refused(run, prepared, tmp_path, capsys):
    root = without_depth(prepared(16), tmp_path / "set")
    arguments = ["--config", str(run.parent / "config.yaml"), "--data.root", str(root)]
    for command in (["fit", *arguments], ["test", *arguments_of(run), *arguments[2:]]):
        assert main(command) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert "DepthTask needs 'depth': data.root=" in message
        assert "holds semantic" in message


def test_statistics_of_an_earlier_version_are_named(run, prepared, tmp_path, capsys):
    other = changed_copy(
        prepared(16), tmp_path / "set", lambda a: a["depth_statistics"].pop("log", None)
    )
    config = ["--config", str(run.parent / "config.yaml"), "--data.root", str(other)]
    folder = ["--trainer.default_root_dir", str(tmp_path / "run")]
    assert main(["fit", *config, *folder]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "transform='log': depth_statistics hold" in message
    assert "healswin-prep stats" in message
    plain = ["--model.init_args.transform", "none", "--trainer.fast_dev_run", "1"]
    assert main(["fit", *config, *folder, *plain]) == 0


def test_a_split_of_unknown_depth_is_named(run, prepared, tmp_path, capsys):
    root = shutil.copytree(prepared(16), tmp_path / "set")
    depth = zarr.open_array(root / "depth", mode="r+")
    unknown = np.full(depth.shape[1], np.nan, dtype=np.float32)
    unknown[0] = np.inf  # a chunk of nothing but the fill value might not be written
    for sample in PreparedSet.open(root).split["val"]:
        depth[sample] = unknown
    config = ["--config", str(run.parent / "config.yaml"), "--data.root", str(root)]
    assert main(["fit", *config, "--trainer.default_root_dir", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "the val split: there is no pixel with a known depth" in message


@pytest.mark.parametrize(
    ("loss", "message"),
    [("ScaleInvariantLog", "transform='log'"), ("BerHu", None)],
)
def test_a_loss_is_one_argument(run, prepared, tmp_path, capsys, loss, message):
    config = ["--config", str(run.parent / "config.yaml"), "--data.root", str(prepared(16))]
    chosen = ["--model.init_args.loss", f"healswin.tasks.depth_losses.{loss}"]
    rest = ["--model.init_args.transform", "inverse", "--trainer.fast_dev_run", "1"]
    rest += ["--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *config, *chosen, *rest]) == (0 if message is None else 2)
    assert message is None or message in capsys.readouterr().err.splitlines()[-1]
