"""The test report of segmentation: what it counts, world by world, and what it says."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from plain_set import write_plain_set

from data_prep.convert import Conversion, convert
from healswin.data import PreparedDataModule, PreparedSet
from healswin.grid import EquiangularGrid, ImageGrid
from healswin.metrics import SegmentationScores
from healswin.metrics.boundary import BoundaryScores, SphereBand, image_band
from healswin.metrics.calibration import CalibrationError
from healswin.models import HealSwin
from healswin.tasks import SegmentationTask, TestReport
from healswin.tasks.pages import ReportOptions
from healswin.tasks.segmentation_results import SegmentationReport
from healswin.tasks.world_scores import WorldScores, sample_score
from healswin.tasks.worlds import View, Worlds

CPU = torch.device("cpu")
STRATEGY = SingleDeviceStrategy(CPU)
SIZE = (24, 32)
IGNORED = 255
tiny = partial(HealSwin, embed_dim=4, depths=(1, 1), num_heads=(1, 1), window_size=16, shift_size=2)


def flat_network(height, width, in_chans, out_chans):
    return torch.nn.Conv2d(in_chans, out_chans, 1)


def sky_network(bandwidth, sampling, in_chans, out_chans):
    return torch.nn.Conv2d(in_chans, out_chans, 1)


@pytest.fixture(scope="module")
def sphere(prepared):
    return PreparedDataModule(str(prepared(16)))


@pytest.fixture(scope="module")
def flat(prepared):
    return PreparedDataModule(str(prepared(SIZE)))


def task_of(data, network=None):
    networks = {ImageGrid: flat_network, EquiangularGrid: sky_network}
    torch.manual_seed(0)
    return SegmentationTask(
        data.grid,
        data.in_chans,
        data.class_names,
        network=network or networks.get(type(data.prepared.grid), tiny),
        pole=data.pole,
    )


def guess(data, index):
    """Classes, mostly right, and how sure they are."""
    generator = np.random.default_rng(index)
    truth = data.prepared.semantic(index).astype(np.int64)
    noise = generator.integers(0, data.num_classes, truth.shape)
    noisy = generator.random(truth.shape) < 0.1 + 0.05 * (index % 4)
    prediction = np.where(noisy | (truth == IGNORED), noise, truth)
    return prediction, generator.random(truth.shape).astype(np.float32)


def run(data, folder, indices=None, **options):
    """A report of the guesses for some samples of the test split."""
    task = task_of(data)
    report = SegmentationReport(data, task, folder, ReportOptions(**{"pictures": 0, **options}))
    own = task.new_scores()
    for index in data.split_indices("test") if indices is None else indices:
        prediction, confidence = map(torch.from_numpy, guess(data, index))
        truth = torch.from_numpy(data.prepared.semantic(index).astype(np.int64))[None]
        outputs = {
            "sample": torch.tensor([index]),
            "prediction": prediction[None],
            "confidence": confidence[None],
        }
        task.count(own, outputs["prediction"], truth)
        report.add(outputs, {"semantic": truth})
    logged = {name: float(value) for name, value in task.scores(own).items()}
    return report, report.results({"loss": 1.5, **logged}, STRATEGY)


def views_of(data, companion=None):
    """Of every world the views of all test samples, and the confidence on their pixels."""
    worlds = Worlds(data, "semantic", companion)
    found = {world: [] for world in worlds.worlds}
    for index in data.split_indices("test"):
        prediction, confidence = guess(data, index)
        extra = worlds.extra(index, confidence)
        for view in worlds.views(index, prediction.astype(np.uint8)):
            found[view.world].append((index, view, extra[view.world]))
    return worlds, found


@pytest.mark.parametrize("kind", ["sphere", "flat"])
def test_every_world_is_counted_as_its_metrics_say(sphere, flat, kind, tmp_path):
    data, other = (sphere, flat) if kind == "sphere" else (flat, sphere)
    report, results = run(data, tmp_path, companion=other.prepared, extremes=0)
    worlds, found = views_of(data, other.prepared)
    facts = json.loads(json.dumps(report.facts(), allow_nan=False))
    names = data.class_names
    expected = {"sphere": ["sphere", "image"], "flat": ["sphere", "image", "image_common"]}[kind]
    assert list(facts["confusion"]) == list(worlds.worlds) == expected
    assert facts["images"] == "measured"
    for world, views in found.items():
        scores, boundary = SegmentationScores(len(names), names, void_index=0), BoundaryScores(12)
        calibration = CalibrationError()
        band = SphereBand(sphere.prepared.grid) if world == "sphere" else image_band
        for _, view, confidence in views:
            prediction, truth = torch.from_numpy(view.prediction), torch.from_numpy(view.truth)
            scores.update(prediction, truth)
            calibration.update(torch.from_numpy(confidence), prediction == truth)
            maps = view.as_map(view.prediction, IGNORED), view.as_map(view.truth, IGNORED)
            boundary.update(*maps, *map(band, maps))
        assert facts["confusion"][world] == scores.confusion.tolist()
        for name, value in scores.compute().items():
            assert results[world][name] == pytest.approx(float(value), nan_ok=True), name
        expected = calibration.compute()
        assert results[world]["calibration_error"] == pytest.approx(float(expected["ece"]))
        assert facts["calibration"][world]["share"] == pytest.approx(expected["share"].tolist())
        iou = boundary.compute()
        for name, value in zip(names, iou.tolist(), strict=True):
            found_value = results[world][f"boundary_iou/{name}"]
            assert found_value == pytest.approx(value) if value == value else found_value is None
        assert results[world]["boundary_miou"] == pytest.approx(float(iou.nanmean()))
        assert results[world]["boundary_miou_without_void"] == pytest.approx(
            float(iou[1:].nanmean())
        )


def test_groups_add_up_and_are_those_of_their_pixels(flat, sphere, tmp_path):
    report, _ = run(flat, tmp_path, companion=sphere.prepared, extremes=0)
    facts = report.facts()
    worlds, found = views_of(flat, sphere.prepared)
    for world, views in found.items():
        whole = np.sum(facts["confusion"][world])
        for groups in ("cameras", "angles"):
            assert sum(g["pixels"] for g in facts[groups][world].values()) == whole
        for camera, scores in facts["cameras"][world].items():
            chosen = [view for i, view, _ in views if worlds.camera_name(i) == camera]
            assert scores["pixels"] == sum(len(view.truth) for view in chosen)
        for ring, scores in facts["angles"][world].items():
            low, high = map(float, ring.split(" to "))
            right = counted = 0
            for _, view, _ in views:
                angle = np.degrees(view.angle.astype(np.float64))
                inside = (angle >= low) & (angle < high)
                counted += inside.sum()
                right += (view.truth == view.prediction)[inside].sum()
            assert scores["pixels"] == pytest.approx(counted, abs=2)  # on the border
            assert scores["accuracy"] == pytest.approx(right / counted, abs=0.01)
    assert set(facts["cameras"]["image"]) <= {"FV", "MVL", "MVR", "RV"}


def test_flat_and_spherical_reports_count_the_same_pixels(sphere, flat, tmp_path):
    ours, _ = run(sphere, tmp_path / "ours", extremes=0)
    theirs, results = run(flat, tmp_path / "theirs", companion=sphere.prepared, extremes=0)
    a, b = ours.facts(), theirs.facts()
    for world, other in (("sphere", "sphere"), ("image", "image_common")):
        # Rows are true classes: whatever was predicted, the truth is the same.
        np.testing.assert_array_equal(
            np.sum(a["confusion"][world], axis=1), np.sum(b["confusion"][other], axis=1)
        )
    assert np.sum(b["confusion"]["image"]) > np.sum(b["confusion"]["image_common"])
    assert list(results) == [
        "resized",
        "resized_prior",
        "sphere",
        "sphere_prior",
        "image",
        "image_prior",
        "image_common",
        "image_common_prior",
    ]
    assert b["companion"] == {"data": str(sphere.prepared.root), "same_test_samples": True}
    assert results["resized"]["loss"] == 1.5


def test_the_parts_of_two_processes_add_up(sphere, tmp_path):
    indices = sphere.split_indices("test")
    whole, _ = run(sphere, tmp_path, extremes=0)
    parts = [run(sphere, tmp_path, part, extremes=0)[0] for part in (indices[:1], indices[1:])]
    for world, scores in whole._scores.items():
        for metric in ("_by_camera", "_by_angle", "_boundary", "_calibration"):
            states = getattr(scores, metric)._reductions
            assert {reduction.__name__ for reduction in states.values()} == {"dim_zero_sum"}
            for state in states:
                both = sum(getattr(getattr(p._scores[world], metric), state) for p in parts)
                torch.testing.assert_close(both, getattr(getattr(scores, metric), state))


def test_best_and_worst_samples_are_drawn(sphere, tmp_path):
    report, results = run(sphere, tmp_path, extremes=1, pictures=1)
    facts = report.facts()
    data = sphere.prepared
    scores = {}
    _, found = views_of(sphere)
    for index, view, _ in found["sphere"]:
        metric = SegmentationScores(sphere.num_classes, void_index=0)
        metric.update(torch.from_numpy(view.prediction), torch.from_numpy(view.truth))
        scores[data.sample_names[index]] = float(metric.compute()["miou_without_void"])
    assert facts["sample_scores"] == pytest.approx(scores)
    assert facts["best_samples"] == [max(scores, key=scores.get)]
    assert facts["worst_samples"] == [min(scores, key=scores.get)]
    page = report.text(results)
    for name in (*facts["best_samples"], *facts["worst_samples"]):
        assert (tmp_path / f"{name}.png").is_file()
        assert f"{name}: {scores[name]:.4f}" in page
        assert f"({tmp_path.name}/{name}.png)" in page
    assert (tmp_path / "reliability.png").is_file()


def test_the_page_says_what_was_measured(flat, sphere, tmp_path):
    report, results = run(flat, tmp_path, companion=sphere.prepared)
    page = f"{report.table(results)}\n\n{report.text(results)}"
    for column in ("resized", "sphere", "image", "common"):
        assert f"| {column}" in page
    for heading in ("At the boundaries", "By camera", "By angle", "Calibration", "Best samples"):
        assert f"## {heading}" in page
    assert "within 5.5 degrees on the sphere and within 2% of the diagonal" in page
    assert f"{results['image_common']['boundary_miou_without_void']:.4f}" in page
    # The confusion matrix: a row for each class, whose shares are all of it.
    matrix = page.split("## What is taken for what")[1].split("## ")[0]
    rows = [line for line in matrix.splitlines() if line.startswith("|")][2:]
    assert len(rows) == flat.num_classes
    for row in rows:
        shares = [float(cell) for cell in row.strip("|").split("|")[1:] if "-" not in cell]
        assert not shares or sum(shares) == pytest.approx(100, abs=1)


def test_many_classes_are_shown_by_their_largest_mistakes(prepared, tmp_path):
    data = PreparedDataModule(str(prepared(16, "all")))
    report, results = run(data, tmp_path, extremes=0)
    matrix = np.array(report.facts()["confusion"]["sphere"], dtype=float)
    page = report.text(results)
    section = page.split("## What is taken for what")[1].split("## ")[0]
    first = [line for line in section.splitlines() if line.startswith("|")][2].strip("| ")
    truth, prediction, of_all, of_class = (cell.strip() for cell in first.split("|"))
    wrong = matrix * (1 - np.eye(len(matrix)))
    t, p = divmod(int(wrong.argmax()), len(matrix))
    assert (truth, prediction) == (data.class_names[t], data.class_names[p])
    assert float(of_all) == pytest.approx(100 * wrong[t, p] / matrix.sum(), abs=0.01)
    assert float(of_class) == pytest.approx(100 * wrong[t, p] / matrix[t].sum(), abs=0.1)


def test_what_is_dear_can_be_switched_off(sphere, tmp_path):
    report, results = run(
        sphere, tmp_path, extremes=0, prior=False, boundary=False, calibration=False
    )
    assert list(results) == ["sphere", "image"]
    for scores in results.values():
        assert not [name for name in scores if "boundary" in name or "calibration" in name]
    page = report.text(results)
    assert "boundaries" not in page
    assert "Calibration" not in page
    assert "samples" not in page
    assert not list(tmp_path.glob("*.png"))
    assert report.facts()["boundary_distance"] == {"sphere": None, "image": None}


def test_flat_images_without_anything_to_compare_with(flat, tmp_path):
    alone = PreparedDataModule(str(flat.prepared.root), source=str(tmp_path))
    report, results = run(alone, tmp_path / "report", extremes=1)
    assert list(results) == ["resized", "resized_prior"]
    facts = report.facts()
    assert facts["images"] == facts["absent"]["image"] == "source images absent"
    assert facts["confusion"] == {}
    page = report.text(results)
    assert "The source images are absent, so nothing was measured in the image." in page
    assert "Not measured (sphere): no companion is given: --report.companion ROOT" in page
    assert len(facts["sample_scores"]) == 4
    assert (tmp_path / "report" / f"{facts['best_samples'][0]}.png").is_file()


def test_void_outside_the_lens_is_counted_apart(street, sphere, tmp_path):
    conversion = Conversion(
        street,
        nside=16,
        base_pixels=tuple(range(8)),
        classes="large-ad",
        tasks=("semantic",),
        split="train:0.6,val:0.2,test:0.2",
        invalid="void",
    )
    convert(conversion, tmp_path / "set", progress=False)
    data = PreparedDataModule(str(tmp_path / "set"))
    report, results = run(data, tmp_path / "report", extremes=0)
    assert list(results) == ["sphere", "sphere_prior", "sphere_valid", "image", "image_prior"]
    assert "*sphere, valid* leaves them out" in report.text(results)
    valid = [
        data.prepared.valid(data.prepared.sample_camera[i]) for i in data.split_indices("test")
    ]
    counted = np.sum(report.facts()["confusion"]["sphere_valid"])
    assert counted == np.sum(valid) < data.prepared.grid.num_pixels * len(valid)


def test_areas_weigh_on_equiangular_grids(tmp_path):
    grid = EquiangularGrid(8, "soft")
    data = PreparedDataModule(str(write_plain_set(tmp_path / "set", grid, ("semantic",))))
    report, results = run(data, tmp_path / "report", extremes=0)
    assert list(results) == ["sphere", "sphere_prior"]
    facts = report.facts()
    index = data.split_indices("test")
    assert np.sum(facts["confusion"]["sphere"]) == pytest.approx(4 * np.pi * len(index))
    assert facts["cameras"] == facts["angles"] == {"sphere": {}}
    assert "boundary_miou" not in results["sphere"]
    calibration = CalibrationError()
    for i in index:
        prediction, confidence = guess(data, i)
        right = torch.from_numpy(prediction == data.prepared.semantic(i))
        calibration.update(torch.from_numpy(confidence), right, torch.from_numpy(grid.areas()))
    ece = float(calibration.compute()["ece"])
    assert results["sphere"]["calibration_error"] == pytest.approx(ece)
    assert "unweighted" in report.table(results)


def test_a_world_in_which_all_pixels_are_ignored(sphere):
    scores = WorldScores(SegmentationScores(3), ["FV"], CPU)
    nothing = np.zeros(0, dtype=np.uint8)
    places = np.zeros(0, dtype=np.int32)
    view = View("image", nothing, nothing, np.zeros(0, np.float32), None, places, (4, 5))
    confusion = scores.add(view, "FV", np.zeros(0, dtype=np.float32))
    assert np.isnan(sample_score(SegmentationScores(3), confusion, "miou_without_void"))
    assert scores.compute() is None


def test_a_test_run_writes_one_file_and_one_page(sphere, flat, tmp_path):
    task = task_of(flat)
    report = TestReport(pictures=1, companion=str(sphere.prepared.root), extremes=1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", callbacks=[report], default_root_dir=str(tmp_path), **quiet
    )
    trainer.test(task, flat, verbose=False)
    summary = json.loads((tmp_path / "test.json").read_text())
    # What the task counted on the device is what the report counted from the views.
    own = summary["results"]["resized"]
    assert own["miou"] == pytest.approx(float(trainer.callback_metrics["test/miou"]))
    assert set(summary["results"]) >= {"resized", "sphere", "image", "image_common"}
    assert summary["absent"] == {}
    page = (tmp_path / "report.md").read_text()
    for picture in (tmp_path / "report").glob("*.png"):
        assert f"(report/{picture.name})" in page


def test_of_a_sphere_the_logged_scores_are_those_of_the_views(sphere, tmp_path):
    report, results = run(sphere, tmp_path, extremes=0)
    found = report._page.found["sphere"]["scores"]
    for name in ("miou", "accuracy", "miou_without_void"):
        assert found[name] == pytest.approx(results["sphere"][name])


def test_wrong_arguments(sphere, flat, prepared, tmp_path):
    task = task_of(sphere)
    data = PreparedDataModule(str(prepared(16, "all")))
    with pytest.raises(ValueError, match="convert the data to the task's classes"):
        SegmentationReport(data, task, tmp_path, ReportOptions())
    with pytest.raises(ValueError, match="extremes=-1"):
        TestReport(extremes=-1)
    with pytest.raises(ValueError, match="does not exist"):
        TestReport(companion=str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="a HEALPix set is needed"):
        SegmentationReport(
            flat, task_of(flat), tmp_path, ReportOptions(companion=PreparedSet.open(prepared(SIZE)))
        )


def test_a_head_that_does_not_fit_the_classes(flat):
    task = task_of(flat, lambda height, width, in_chans, out_chans: torch.nn.Conv2d(3, 5, 1))
    batch = next(iter(flat.test_dataloader()))
    for step in (task.test_step, task.predict_step):
        with pytest.raises(ValueError, match="head has 5 outputs, class_names has 12"):
            step(batch, 0)


def test_the_confidence_is_the_probability_of_the_prediction(flat):
    task = task_of(flat)
    answer = 5 * torch.randn(2, 12, 7)
    said = task.predicted(answer)
    torch.testing.assert_close(said["confidence"], answer.softmax(dim=1).amax(dim=1))
    assert torch.equal(said["prediction"], answer.argmax(dim=1))
    assert list(said) == ["prediction", "confidence"]
    half = task.predicted(answer.bfloat16())
    assert half["confidence"].dtype == torch.float32
    assert half["confidence"].max() <= 1
