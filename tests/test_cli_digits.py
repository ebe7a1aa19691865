"""The commands on projected digits: labels of whole samples, samples without a camera, grids."""

import json
import shutil

import numpy as np
import pytest
import torch
from tiny_digits import tiny_digits

from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.predictions import PredictionSet
from healswin.tasks import ClassificationTask, SegmentationTask

HEALPIX = "--nside 16"
SOFT = "--grid soft --bandwidth 16"

HEALSWIN = {
    "class_path": "healswin.models.HealSwin",
    "init_args": {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 16,
        "shift_size": 2,
    },
}
S2CNN_SEGMENTER = {
    "class_path": "s2cnn_baselines.S2CNNSegmenter",
    "init_args": {"features": [3, 4], "bandwidths": [6, 6], "max_beta": [0.2, 0.3, 0.2]},
}
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "log_every_n_steps": 1,
}


def classifier(network=HEALSWIN):
    if network is HEALSWIN:
        arguments = {**HEALSWIN["init_args"], "head": "classification"}
        network = {**HEALSWIN, "init_args": arguments}
    return {
        "class_path": "healswin.tasks.ClassificationTask",
        "init_args": {"network": network, "label_smoothing": 0.1},
    }


def segmenter(network=HEALSWIN):
    return {"class_path": "healswin.tasks.SegmentationTask", "init_args": {"network": network}}


def fit(root, model, folder, *more):
    # JSON is YAML.
    config = folder.parent / f"{folder.name}.yaml"
    data = {"batch_size": 4}
    config.write_text(json.dumps({"trainer": QUIET, "data": data, "model": model}))
    where = ["--data.root", root, "--trainer.default_root_dir", str(folder)]
    return main(["fit", "--config", str(config), *where, "--trainer.max_epochs", "1", *more])


def arguments_of(run):
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return ["--ckpt_path", str(run / "checkpoints" / "best.ckpt"), *quiet]


def last_error(capsys):
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A run of classification on a set that has classes of pixels as well."""
    folder = tmp_path_factory.mktemp("runs") / "classified"
    assert fit(tiny_digits(HEALPIX), classifier(), folder) == 0
    return folder


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """A run of segmentation on the same set."""
    folder = tmp_path_factory.mktemp("runs") / "segmented"
    assert fit(tiny_digits(HEALPIX), segmenter(), folder) == 0
    return folder


@pytest.fixture(scope="module")
def reported(classified):
    """Its run with a test report of one picture of right and one of wrong predictions."""
    pictures = ["--report.pictures", "2"]
    root = ["--data.root", tiny_digits(HEALPIX)]
    assert main(["test", *arguments_of(classified), *root, *pictures]) == 0
    return json.loads((classified / "test.json").read_text())


def test_the_task_decides_what_is_loaded_and_which_weights_are_best(classified, segmented):
    for run, headline, keys in (
        (classified, "val/accuracy", {"val/accuracy/3", "val/loss", "train/loss_epoch"}),
        (segmented, "val/miou_without_background", {"val/iou/3", "val/accuracy"}),
    ):
        logs = run / "logs" / "version_0"
        header = set((logs / "metrics.csv").read_text().splitlines()[0].split(","))
        assert {headline, *keys} <= header
        assert f"monitor: {headline}" in (logs / "config.yaml").read_text()
        assert (run / "checkpoints" / "best.ckpt").is_file()


def test_a_checkpoint_knows_its_labels_and_makes_its_task_again(classified):
    path = classified / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    digits = [str(digit) for digit in range(10)]
    assert checkpoint["healswin"]["label_names"] == digits
    assert "class_names" not in checkpoint["hyper_parameters"]
    task = ClassificationTask.load_from_checkpoint(path, map_location="cpu")
    assert task.label_names == digits
    assert task.label_smoothing == 0.1


def test_the_test_report_of_labels(classified, reported):
    data = PreparedSet.open(tiny_digits(HEALPIX))
    confusion = np.array(reported["confusion"])
    truth = [data.label(i) for i in data.split["test"]]
    assert reported["task"] == "classification"
    assert reported["samples"] == confusion.sum() == len(truth) == 8
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(truth, minlength=10))
    model, prior = reported["results"]["model"], reported["results"]["prior"]
    assert model["accuracy"] == pytest.approx(confusion.trace() / 8)
    assert {"loss", "accuracy/0", "accuracy/9"} <= set(model)
    training = np.bincount([data.label(i) for i in data.split["train"]])
    expected = np.mean(np.array(truth) == training.argmax())
    assert prior["accuracy"] == pytest.approx(expected)
    page = (classified / "report.md").read_text()
    assert f"{model['accuracy']:.4f}" in page
    assert "| 3 | " + " | ".join(map(str, confusion[3])) + " |" in page
    drawn = {p.name for p in (classified / "report").glob("*.png")}
    wrong = confusion.sum() - confusion.trace()
    kinds = {"right.png": confusion.trace() > 0, "wrong.png": wrong > 0}
    assert drawn == {name for name, there in kinds.items() if there}
    assert all(f"report/{name}" in page for name in drawn)


def test_without_a_prior_there_is_none(classified, tmp_path):
    where = ["--data.root", tiny_digits(HEALPIX), "--trainer.default_root_dir", str(tmp_path)]
    none = ["--report.prior", "false", "--report.pictures", "0"]
    assert main(["test", *arguments_of(classified), *where, *none]) == 0
    assert set(json.loads((tmp_path / "test.json").read_text())["results"]) == {"model"}
    assert "prior" not in (tmp_path / "report.md").read_text()
    assert not list((tmp_path / "report").glob("*.png"))


def test_predicted_labels_can_be_opened_again(classified, tmp_path):
    root = tiny_digits(HEALPIX)
    where = ["--data.root", root, "--trainer.default_root_dir", str(tmp_path)]
    assert main(["predict", *arguments_of(classified), *where]) == 0
    predictions = PredictionSet.open(tmp_path / "predictions")
    path = classified / "checkpoints" / "best.ckpt"
    task = ClassificationTask.load_from_checkpoint(path, map_location="cpu").eval()
    data = PreparedDataModule(root, batch_size=8)
    assert predictions.label_names == data.label_names
    batch = next(iter(data.test_dataloader()))
    with torch.no_grad():
        expected = task(batch["image"]).softmax(1).numpy()
    assert len(predictions) == len(expected) == 8
    for row in range(8):
        np.testing.assert_allclose(predictions.scores(row), expected[row], atol=1e-5)
        assert predictions.label(row) == predictions.scores(row).argmax()
    assert (tmp_path / "pictures" / "predictions.png").is_file()
    with pytest.raises(ValueError, match="holds no classes of pixels"):
        predictions.semantic(0)
    with pytest.raises(IndexError, match="row 8"):
        predictions.label(8)
    # A third of them, not "1": typing hands out Union[int, float] and Union[float, int] as one, so
    # that what other modules annotate decides whether "1" is one batch or all of them.
    limit = ["--trainer.limit_predict_batches", "0.34", "--data.batch_size", "3"]
    assert main(["predict", *arguments_of(classified), *where, *limit]) == 0
    assert len(PredictionSet.open(tmp_path / "predictions")) == 3
    shutil.rmtree(tmp_path / "predictions" / "scores" / "c")
    with pytest.raises(ValueError, match="has lost 'scores'"):
        PredictionSet.open(tmp_path / "predictions").scores(0)


def test_maps_without_labels_are_predicted(classified, tmp_path):
    """With the names of the checkpoint's labels."""
    root = tiny_digits(f"{HEALPIX} --tasks semantic")
    where = ["--data.root", root, "--trainer.default_root_dir", str(tmp_path)]
    assert main(["predict", *arguments_of(classified), *where]) == 0
    predictions = PredictionSet.open(tmp_path / "predictions")
    assert predictions.label_names == [str(digit) for digit in range(10)]


def test_samples_without_a_camera_are_reported_on_the_sphere(segmented):
    root = ["--data.root", tiny_digits(HEALPIX)]
    pictures = ["--report.pictures", "2", "--report.extremes", "0"]
    assert main(["test", *arguments_of(segmented), *root, *pictures]) == 0
    summary = json.loads((segmented / "test.json").read_text())
    assert set(summary["results"]) == {"sphere", "sphere_prior"}
    assert summary["images"] == "samples without a camera"
    page = (segmented / "report.md").read_text()
    assert "The samples have no camera" in page
    assert "mIoU without background" in page
    assert "mIoU without void" not in page
    assert "unweighted" not in page
    scores = summary["results"]["sphere"]
    assert f"{scores['accuracy_without_background']:.4f}" in page
    assert not any("unweighted" in name for name in scores)
    drawn = {p.stem for p in (segmented / "report").glob("*.png")}
    assert len(drawn - {"reliability"}) == 2


NETWORKS = [
    (HEALPIX, classifier()),
    (SOFT, classifier({"class_path": "s2cnn_baselines.S2CNNClassifier"})),
    (SOFT, classifier({"class_path": "s2cnn_baselines.CNNClassifier"})),
    (HEALPIX, segmenter()),
    (SOFT, segmenter(S2CNN_SEGMENTER)),
    (SOFT, segmenter({"class_path": "s2cnn_baselines.CNNSegmenter"})),
]


@pytest.mark.parametrize(
    ("grid", "model"),
    NETWORKS,
    ids=[m["init_args"]["network"]["class_path"].split(".")[-1] for _, m in NETWORKS],
)
def test_a_network_is_changed_by_its_class_and_the_folder_of_the_data(grid, model, tmp_path):
    root = tiny_digits(grid)
    few = ["--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    run = tmp_path / "run"
    assert fit(root, model, run, *few) == 0
    arguments = ["--data.root", root, "--data.batch_size", "4"]
    limit = ["--trainer.limit_test_batches", "0.5", "--report.pictures", "1"]
    assert main(["test", *arguments_of(run), *arguments, *limit]) == 0
    summary = json.loads((run / "test.json").read_text())
    assert summary["samples"] == 4
    page = (run / "report.md").read_text()
    if grid == SOFT and summary["task"] == "segmentation":
        for scores in summary["results"].values():
            assert scores["accuracy"] != scores["unweighted/accuracy"]
        assert "sphere, prior, unweighted" in page
        assert "Pixels count by their area" in page
    else:
        assert "unweighted" not in page


def test_other_labels_are_refused(classified, tmp_path, capsys):
    root = tmp_path / "letters"
    shutil.copytree(tiny_digits(HEALPIX), root)
    metadata = json.loads((root / "zarr.json").read_text())
    metadata["attributes"]["label_names"] = list("abcdefghij")
    (root / "zarr.json").write_text(json.dumps(metadata))
    assert main(["test", *arguments_of(classified), "--data.root", str(root)]) == 2
    assert "trained with label_names ['0', '1'" in last_error(capsys)


def test_a_set_without_what_the_task_needs_is_named(tmp_path, capsys):
    labels, pixels = (tiny_digits(f"{HEALPIX} --tasks {task}") for task in ("label", "semantic"))
    for root, model, needed, held in (
        (pixels, classifier(), "ClassificationTask needs 'label'", "holds semantic"),
        (labels, segmenter(), "SegmentationTask needs 'semantic'", "holds label"),
    ):
        assert fit(root, model, tmp_path / "run") == 2
        message = last_error(capsys)
        assert needed in message
        assert held in message
    both = tiny_digits(HEALPIX)
    chosen = ["--data.tasks", "[semantic]"]
    assert fit(both, classifier(), tmp_path / "run", *chosen) == 2
    assert "data.tasks=['semantic']" in last_error(capsys)


def test_a_network_that_answers_every_pixel_classifies_nothing(tmp_path, capsys):
    dense = {
        "class_path": "healswin.models.HealSwin",
        "init_args": {**HEALSWIN["init_args"], "head": "dense"},
    }
    assert fit(tiny_digits(HEALPIX), classifier(dense), tmp_path / "run") == 2
    assert "a classifier answers (batch, 10)" in last_error(capsys)


def test_data_are_made_where_there_are_none(tmp_path):
    root = tmp_path / "data" / "digits"
    words = "mnist digits {root} --nside 16 --tasks label --train 4 --val 2 --test 2"
    dry = ["--data.prepare", words, "--trainer.fast_dev_run", "1"]
    assert fit(str(root), classifier(), tmp_path / "run", *dry) == 0
    assert PreparedSet.open(root).tasks == ["label"]


def test_a_run_of_segmentation_makes_its_task_again(segmented):
    path = segmented / "checkpoints" / "best.ckpt"
    task = SegmentationTask.load_from_checkpoint(path, map_location="cpu")
    assert task.background_index == 0
    assert task.headline(task.class_names) == "miou_without_background"
