"""The commands in one process, on generated scenes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_digits import tiny_version

from data_prep.classes import SYNWOODSCAPE_CLASSES, WOODSCAPE_CLASSES
from healswin.__main__ import main
from healswin.data import PreparedSet
from healswin.data.predictions import PredictionSet
from healswin.metrics import PixelPrior, SegmentationScores
from healswin.tasks import SegmentationTask

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
  class_path: healswin.tasks.SegmentationTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args:
        embed_dim: 8
        depths: [1, 2]
        num_heads: [1, 2]
        window_size: 16
        shift_size: 2
        drop_path: 0.0
"""


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run that has been trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    config = folder.parent / "config.yaml"
    config.write_text(CONFIG)
    arguments = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(folder)]
    assert main(["fit", "--config", str(config), *arguments]) == 0
    return folder


def arguments_of(run):
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return ["--ckpt_path", str(run / "checkpoints" / "best.ckpt"), *quiet]


def test_fit_leaves_checkpoints_logs_and_its_configuration(run, prepared):
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    logs = run / "logs" / "version_0"
    header = (logs / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss_epoch", "val/miou_without_void", "val/iou/road"} <= set(header)
    assert list(logs.glob("events.out.tfevents.*"))
    assert "embed_dim: 8" in (logs / "config.yaml").read_text()


def test_checkpoints_load_with_weights_only(run):
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["healswin"]["nside"] == 16
    assert checkpoint["hyper_parameters"]["network"]["init_args"]["embed_dim"] == 8
    parameters = {
        name
        for name, _ in SegmentationTask.load_from_checkpoint(
            run / "checkpoints" / "best.ckpt", map_location="cpu"
        ).named_parameters()
    }
    assert parameters == set(checkpoint["state_dict"])


def test_test_needs_no_model_and_measures_in_both_worlds(run, prepared):
    root = prepared(16)
    assert main(["test", *arguments_of(run), "--data.root", str(root)]) == 0
    summary = json.loads((run / "test.json").read_text())
    results = summary["results"]
    assert set(results) == {"sphere", "sphere_prior", "image", "image_prior"}
    assert summary["samples"] == len(PreparedSet.open(root).split["test"])
    report = (run / "report.md").read_text()
    for column in results:
        assert f"{results[column]['miou_without_void']:.4f}" in report
    data = PreparedSet.open(root)
    names = {data.sample_names[i] for i in data.split["test"]}
    assert len(names) == 4
    pictures = list((run / "report").glob("*.png"))
    assert {p.stem for p in pictures} == {*names, "reliability"}
    assert all(f"report/{p.name}" in report for p in pictures)


def test_the_prior_is_what_its_definition_says(run, prepared):
    data = PreparedSet.open(prepared(16))
    labels = [data.semantic(i) for i in data.split["train"]]
    prior = PixelPrior.from_labels(labels, data.num_classes).prediction
    scores = SegmentationScores(data.num_classes, data.class_names, void_index=0)
    for i in data.split["test"]:
        scores.update(torch.from_numpy(prior).long(), torch.from_numpy(data.semantic(i)).long())
    main(["test", *arguments_of(run), "--data.root", str(data.root)])
    reported = json.loads((run / "test.json").read_text())["results"]["sphere_prior"]
    expected = scores.compute()
    assert reported["miou_without_void"] == pytest.approx(float(expected["miou_without_void"]))
    assert reported["accuracy"] == pytest.approx(float(expected["accuracy"]))


def test_without_source_images_the_report_says_so(run, prepared, tmp_path):
    arguments = ["--data.root", str(prepared(16)), "--data.source", str(tmp_path)]
    out = ["--trainer.default_root_dir", str(tmp_path / "run")]
    assert main(["test", *arguments_of(run), *arguments, *out]) == 0
    summary = json.loads((tmp_path / "run" / "test.json").read_text())
    assert set(summary["results"]) == {"sphere", "sphere_prior"}
    assert summary["images"] == "source images absent"
    assert "source images are absent" in (tmp_path / "run" / "report.md").read_text()


def test_predictions_can_be_opened_again(run, prepared):
    data = PreparedSet.open(prepared(16))
    arguments = ["--data.root", str(data.root), "--predictions.pictures", "2"]
    assert main(["predict", *arguments_of(run), *arguments]) == 0
    predictions = PredictionSet.open(run / "predictions")
    assert predictions.grid == data.grid
    assert predictions.sample_names == [data.sample_names[i] for i in data.split["test"]]
    task = SegmentationTask.load_from_checkpoint(
        run / "checkpoints" / "best.ckpt", map_location="cpu"
    ).eval()
    from healswin.data import PreparedDataModule

    batch = next(iter(PreparedDataModule(str(data.root), batch_size=4).test_dataloader()))
    with torch.no_grad():
        expected = task(batch["image"]).argmax(1).numpy()
    agree = np.mean([np.mean(predictions.semantic(i) == expected[i]) for i in range(4)])
    assert agree > 0.999
    assert len(list((run / "pictures").glob("*.png"))) == 2


def test_fit_resumes_where_it_stopped(run, prepared, tmp_path):
    """One epoch, then a second one resumed, is two epochs in one go."""
    config = run.parent / "config.yaml"
    common = ["--config", str(config), "--data.root", str(prepared(16))]
    both = ["--trainer.max_epochs", "2", "--trainer.default_root_dir"]
    last = run / "checkpoints" / "last.ckpt"
    resumed, straight = tmp_path / "resumed", tmp_path / "straight"
    assert main(["fit", *common, *both, str(resumed), "--ckpt_path", str(last)]) == 0
    assert main(["fit", *common, *both, str(straight)]) == 0
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (resumed, straight)
    )
    assert one["epoch"] == other["epoch"] == 1
    assert one["global_step"] == other["global_step"]
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][name], rtol=1e-5, atol=1e-6)


def test_print_config_states_shared_things_once(prepared, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--data.root", str(prepared(16)), "--print_config"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "class_path: healswin.models.HealSwin" in printed
    assert "nside" not in printed
    assert "grid:" not in printed


def test_the_data_set_must_be_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit"])
    assert stopped.value.code == 2
    assert "data.root" in capsys.readouterr().err


def test_wrong_input_is_one_line(run, prepared, tmp_path, capsys):
    assert main(["test", *arguments_of(run), "--data.root", str(tmp_path / "nothing")]) == 2
    assert "nothing does not exist: a prepared data set is needed" in capsys.readouterr().err
    assert main(["test", *arguments_of(run), "--data.root", str(prepared(32))]) == 2
    message = capsys.readouterr().err
    assert "trained with nside 16, the data have 32" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_measuring_needs_a_checkpoint(command, prepared, capsys):
    assert main([command, "--data.root", str(prepared(16))]) == 2
    assert f"ckpt_path is missing: `healswin {command}`" in capsys.readouterr().err


def test_checkpoints_that_are_absent_or_torn_are_named(run, prepared, tmp_path, capsys):
    torn = tmp_path / "torn.ckpt"
    whole = (run / "checkpoints" / "best.ckpt").read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    other = tmp_path / "other.ckpt"
    torch.save({"weights": torch.zeros(3)}, other)
    for path, reason in (
        (tmp_path / "absent.ckpt", "does not exist"),
        (torn, "is no whole checkpoint"),
        (other, "is no checkpoint of a training run"),
    ):
        assert main(["test", "--ckpt_path", str(path), "--data.root", str(prepared(16))]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert path.name in message
        assert reason in message


def test_a_set_without_validation_is_refused_before_training(street, tmp_path, run, capsys):
    from data_prep.convert import Conversion, convert

    convert(Conversion(street, nside=16, split="train:1"), tmp_path / "set", progress=False)
    common = ["--data.root", str(tmp_path / "set")]
    config = ["--config", str(run.parent / "config.yaml")]
    assert main(["fit", *config, *common]) == 2
    assert "has no validation split" in capsys.readouterr().err
    assert main(["validate", *arguments_of(run), *common]) == 2
    assert "has no validation split" in capsys.readouterr().err
    folder = ["--trainer.default_root_dir", str(tmp_path / "run"), "--checkpoint.monitor", "null"]
    assert main(["fit", *config, *common, *folder]) == 0
    assert {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
    }


def test_validate_measures(run, prepared, capsys):
    assert main(["validate", *arguments_of(run), "--data.root", str(prepared(16))]) == 0
    assert "val/miou_without_void" in capsys.readouterr().out


def test_all_classes_have_no_void_and_train(run, prepared, tmp_path):
    config = ["--config", str(run.parent / "config.yaml")]
    folder = ["--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *config, "--data.root", str(prepared(16, "all")), *folder]) == 0
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()


def test_a_limited_prediction_holds_what_was_predicted(run, prepared, tmp_path):
    arguments = ["--data.root", str(prepared(16)), "--data.batch_size", "1"]
    folder = ["--trainer.default_root_dir", str(tmp_path)]
    limit = ["--trainer.limit_predict_batches", "3"]
    assert main(["predict", *arguments_of(run), *arguments, *folder, *limit]) == 0
    predictions = PredictionSet.open(tmp_path / "predictions")
    assert len(predictions) == 3
    shutil.rmtree(tmp_path / "predictions" / "semantic" / "c" / "1")
    predictions.semantic(0)
    with pytest.raises(ValueError, match="has lost row 1"):
        predictions.semantic(1)
    limit = ["--trainer.limit_test_batches", "2"]
    assert main(["test", *arguments_of(run), *arguments, *folder, *limit]) == 0
    assert json.loads((tmp_path / "test.json").read_text())["samples"] == 2


def test_images_without_labels_are_predicted(run, street, prepared, tmp_path):
    from data_prep.convert import Conversion, convert

    conversion = Conversion(street, nside=16, tasks=(), split="train:0.6,val:0.2,test:0.2")
    convert(conversion, tmp_path / "set", progress=False)
    folder = ["--trainer.default_root_dir", str(tmp_path / "run")]
    arguments = ["--data.root", str(tmp_path / "set"), *folder]
    assert main(["predict", *arguments_of(run), *arguments]) == 0
    predictions = PredictionSet.open(tmp_path / "run" / "predictions")
    assert predictions.class_names == PreparedSet.open(prepared(16)).class_names
    assert len(list((tmp_path / "run" / "pictures").glob("*.png"))) == len(predictions) == 4


def test_a_run_is_not_overwritten(run, prepared, capsys):
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    config = ["--config", str(run.parent / "config.yaml"), "--data.root", str(prepared(16))]
    assert main(["fit", *config, "--trainer.default_root_dir", str(run)]) == 2
    assert "holds a run already: continue it with --ckpt_path" in capsys.readouterr().err
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_pictures_of_an_earlier_run_are_removed(run, prepared, tmp_path):
    arguments = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(tmp_path)]
    spread = ["--report.extremes", "0", "--report.calibration", "false"]
    for wanted in (3, 1):
        pictures = ["--report.pictures", str(wanted), *spread]
        assert main(["test", *arguments_of(run), *arguments, *pictures]) == 0
        assert len(list((tmp_path / "report").glob("*.png"))) == wanted


def test_a_network_that_does_not_fit_is_named(prepared, capsys):
    network = ["--model.init_args.network", "healswin.models.HealSwin"]
    window = ["--model.init_args.network.init_args.window_size", "1024"]
    assert main(["fit", "--data.root", str(prepared(16)), *network, *window]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("healswin: error: the stage with nside 8 and 512 tokens: window=1024")
    assert len(message) < 200


def test_half_precision_trains_by_one_argument(run, prepared, tmp_path):
    config = run.parent / "config.yaml"
    arguments = ["--data.root", str(prepared(16)), "--trainer.precision", "bf16-mixed"]
    folder = ["--trainer.default_root_dir", str(tmp_path), "--trainer.fast_dev_run", "2"]
    assert main(["fit", "--config", str(config), *arguments, *folder]) == 0


def test_help_and_version_load_no_torch():
    program = (
        "import sys; from healswin.__main__ import main; main(['--help']); main(['--version']);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert "fit" in done.stdout
    assert "healswin 0." in done.stdout


def test_the_package_imports_without_warnings():
    program = "import healswin; print(healswin.create_model, healswin.HealpixGrid)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


ROOT = Path(__file__).parents[1]
CONFIGURATIONS = sorted((ROOT / "configs").rglob("*.yaml"))


def data_of(path, prepared, tmp_path):
    """Generated data for a configuration: what it prepares, in small, or the street.

    The street has the grid of the network and as many classes as there are weights.
    """
    settings = yaml.safe_load(path.read_text())
    prepare = settings["data"].get("prepare")
    if prepare is not None:
        return tiny_version(prepare)
    arguments = settings["model"]["init_args"]
    flat = arguments.get("network", {}).get("class_path") == "healswin.models.SwinUNet"
    weights = arguments.get("class_weights")
    count = len(weights) if isinstance(weights, list) else 12
    classes = {8: "large", 10: str(tmp_path / "woodscape.yaml"), 12: "large-ad"}[count]
    names = WOODSCAPE_CLASSES["all"].names
    entries = [{"name": name, "ids": [number]} for number, name in enumerate(names)]
    entries[0]["ids"] += range(len(names), 25)  # of the street's ids
    (tmp_path / "woodscape.yaml").write_text(yaml.safe_dump({"classes": entries}))
    return str(prepared((128, 128) if flat else 64, classes))


def some_slow(path):
    """Those of one experiment differ in little."""
    name = str(path.relative_to(ROOT / "configs").with_suffix(""))
    published = "woodscape" in name and not name.endswith("large_ad_healswin")
    slow = published or (name.startswith("mnist/") and name != "mnist/quickstart")
    return pytest.param(path, marks=pytest.mark.slow if slow else (), id=name)


@pytest.mark.parametrize("path", [some_slow(path) for path in CONFIGURATIONS])
def test_every_configuration_trains(path, prepared, tmp_path):
    """One step of training and validation on generated data of a smaller nside, or less of it."""
    arguments = ["--data.root", data_of(path, prepared, tmp_path), "--data.workers", "0"]
    # Batch norms need two samples.
    arguments += ["--data.batch_size", "2" if path.is_relative_to(ROOT / "configs/mnist") else "1"]
    one_step = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu"]
    one_process = ["--trainer.devices", "1", "--trainer.num_nodes", "1"]
    folder = ["--trainer.default_root_dir", str(tmp_path)]
    quiet = ["--trainer.enable_progress_bar", "false"]
    status = main(
        ["fit", "--config", str(path), *arguments, *one_step, *one_process, *folder, *quiet]
    )
    assert status == 0


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("woodscape", WOODSCAPE_CLASSES["all"]),
        ("synwoodscape_large", SYNWOODSCAPE_CLASSES["large"]),
        ("synwoodscape_large_ad", SYNWOODSCAPE_CLASSES["large-ad"]),
    ],
)
def test_both_networks_have_the_published_weights_and_settings(name, classes):
    folder = ROOT / "configs/fisheye/segmentation"
    one, other = (
        yaml.safe_load((folder / f"{name}_{network}.yaml").read_text())
        for network in ("healswin", "swin_unet")
    )
    networks = [c["model"]["init_args"].pop("network")["init_args"] for c in (one, other)]
    assert one == other  # but for the network
    assert one["model"]["init_args"]["class_weights"] == list(classes.published_weights)
    # The rows and columns of the flat network's patches and windows are those of HEALPix.
    sphere, flat = networks
    assert (flat["patch_size"] ** 2, flat["window_size"] ** 2) == (
        sphere["patch_size"],
        sphere["window_size"],
    )
    for setting in set(flat) & set(sphere) - {"patch_size", "window_size", "shift_size"}:
        assert flat[setting] == sphere[setting], setting


def test_configurations_open_with_what_they_are():
    assert CONFIGURATIONS
    for path in CONFIGURATIONS:
        head = path.read_text().split("\n\n")[0]
        assert head.startswith("#"), path
        for word in ("Command", "Hardware", "Time", "Score"):
            assert word in head, (path, word)
