"""Reports and predictions of depth against figures that are reckoned by hand."""

import dataclasses
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from scipy.spatial import cKDTree

from data_prep.convert import Conversion, convert
from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.ply import read_ply
from healswin.data.predictions import PredictionSet
from healswin.data.sources import source_depth
from healswin.grid import ImageGrid
from healswin.metrics import DepthPrior
from healswin.models import HealSwin
from healswin.resample import FlatToImage, GridToImage
from healswin.resample.points import DepthToPoints
from healswin.tasks import DepthTask, PredictionWriter, SegmentationTask
from healswin.tasks.depth_results import DepthPredictions, DepthReport
from healswin.tasks.pages import ReportOptions

CPU = torch.device("cpu")
STRATEGY = SingleDeviceStrategy(CPU)
RANGES = ((0.0, 8.0), (8.0, float("inf")))
tiny = partial(HealSwin, embed_dim=4, depths=(1, 1), num_heads=(1, 1), window_size=16, shift_size=2)


def flat_network(height, width, in_chans, out_chans):
    return torch.nn.Conv2d(in_chans, out_chans, 1)


@pytest.fixture(scope="module")
def sphere(prepared):
    return PreparedDataModule(str(prepared(16)))


@pytest.fixture(scope="module")
def flat(street):
    out = street.parent / "flat_24x32"
    if not out.exists():
        conversion = Conversion(
            street,
            grid="image",
            size=(24, 32),
            tasks=("semantic", "depth"),
            split="train:0.6,val:0.2,test:0.2",
        )
        convert(conversion, out, progress=False)
    return PreparedDataModule(str(out))


def task_of(data, **arguments):
    network = flat_network if isinstance(data.prepared.grid, ImageGrid) else tiny
    return DepthTask(
        data.grid,
        data.in_chans,
        data.depth_statistics,
        network=network,
        ranges=RANGES,
        **arguments,
    )


def guess(data, index):
    """A prediction for a sample: the truth, off by some factor, and 20 m where there is none."""
    rng = np.random.default_rng(index)
    truth = data.prepared.depth(index)
    factor = np.exp(rng.normal(0.1 * (index % 3), 0.2, truth.shape))
    return (np.where(np.isfinite(truth), truth, 20) * factor).astype(np.float32)


def run(data, folder, size=1, **options):
    """A report of the guesses for the test split, and its results."""
    task = task_of(data)
    defaults = {"pictures": 0, "extremes": 0, "prior": False}
    report = DepthReport(data, task, folder, ReportOptions(**{**defaults, **options}))
    indices = data.split_indices("test")
    scores = task.new_scores()
    for first in range(0, len(indices), size):
        part = indices[first : first + size]
        outputs = {
            "sample": torch.tensor(part),
            "prediction": torch.from_numpy(np.stack([guess(data, i) for i in part])),
        }
        truth = torch.from_numpy(np.stack([data.prepared.depth(i) for i in part]))
        task.count(scores, outputs["prediction"], truth)
        report.add(outputs, {"depth": truth, "sample": outputs["sample"]})
    logged = {name: float(value) for name, value in scores.compute().items()}
    return report, report.results(logged, STRATEGY)


def in_image(data, index, values):
    """A map of a set, looked up at the pixels of the full-resolution image."""
    prepared = data.prepared
    camera = prepared.cameras[prepared.sample_camera[index]]
    if isinstance(prepared.grid, ImageGrid):
        return FlatToImage(camera, prepared.grid).nearest(values, np.nan)
    return GridToImage(camera, prepared.grid, prepared.pole).nearest(values, np.nan)


def rmse(pairs):
    errors = np.concatenate(
        [(p - t)[np.isfinite(t) & np.isfinite(p)].astype(np.float64) for p, t in pairs]
    )
    return np.sqrt(np.mean(errors**2))


def chamfer(prediction, truth):
    there, back = cKDTree(truth).query(prediction)[0], cKDTree(prediction).query(truth)[0]
    return there.mean() + back.mean(), (there**2).mean() + (back**2).mean()


def test_errors_and_clouds_in_the_image_are_those_of_the_full_resolution_truth(sphere, tmp_path):
    _, results = run(sphere, tmp_path)
    prepared = sphere.prepared
    pairs, distances = [], []
    for index in sphere.split_indices("test"):
        prediction, truth = guess(sphere, index), source_depth(prepared, index)
        seen = in_image(sphere, index, prediction)
        pairs.append((seen, truth))
        camera = prepared.cameras[prepared.sample_camera[index]]
        stored = prepared.depth(index)
        cloud = DepthToPoints(camera, prepared.grid, prepared.pole)(
            np.where(np.isfinite(stored), prediction, np.nan)
        )
        true = DepthToPoints(camera)(np.where(np.isnan(seen), np.nan, truth))
        distances.append(chamfer(cloud, true))
    assert list(results) == ["sphere", "image"]
    assert results["image"]["rmse"] == pytest.approx(rmse(pairs), rel=1e-5)
    plain, squared = np.mean(distances, axis=0)
    assert results["image"]["chamfer"] == pytest.approx(plain, rel=1e-5)
    assert results["image"]["chamfer_squared"] == pytest.approx(squared, rel=1e-5)
    assert "chamfer" not in results["sphere"]
    _, without = run(sphere, tmp_path, chamfer=False)
    assert set(results["image"]) - set(without["image"]) == {
        "chamfer",
        "chamfer_squared",
        "chamfer_from_prediction",
        "chamfer_from_truth",
    }


def test_flat_images_are_measured_where_the_sphere_is(sphere, flat, tmp_path):
    report, results = run(flat, tmp_path, companion=sphere.prepared)
    assert list(results) == ["resized", "sphere", "image", "image_common"]
    prepared, domain = flat.prepared, sphere.prepared.grid
    pairs, distances = [], []
    for index in flat.split_indices("test"):
        prediction, truth = guess(flat, index), source_depth(prepared, index)
        camera = prepared.cameras[prepared.sample_camera[index]]
        table = GridToImage(camera, domain, sphere.pole)
        pairs.append((np.where(table.covered, in_image(flat, index, prediction), np.nan), truth))
        flat_points = DepthToPoints(camera, prepared.grid)
        inside = np.isfinite(flat_points.rays[:, 0])
        inside[inside] = domain.lookup(flat_points.rays[inside]) >= 0
        assert 0 < inside.sum() < inside.size
        cloud = flat_points(
            np.where(inside & np.isfinite(prepared.depth(index)), prediction, np.nan)
        )
        true = DepthToPoints(camera)(np.where(table.covered, truth, np.nan))
        distances.append(chamfer(cloud, true))
    found = results["image_common"]
    assert found["rmse"] == pytest.approx(rmse(pairs), rel=1e-5)
    assert found["chamfer"] == pytest.approx(np.mean(distances, axis=0)[0], rel=1e-5)
    # The true points are those that the sphere's own report compares with.
    _, spherical = run(sphere, tmp_path)
    assert found["pixels"] == spherical["image"]["pixels"]
    assert results["image"]["pixels"] > found["pixels"]
    facts = report.facts()
    assert facts["companion"] == {"data": str(sphere.prepared.root), "same_test_samples": True}
    assert "*common*" in report.text(results)


@pytest.mark.parametrize("kind", ["sphere", "flat"])
def test_batches_add_up(kind, request, tmp_path):
    data = request.getfixturevalue(kind)
    _, one = run(data, tmp_path, size=1, prior=True)
    _, all_at_once = run(data, tmp_path, size=4, prior=True)
    assert one.keys() == all_at_once.keys()
    for column, scores in one.items():
        assert scores == pytest.approx(all_at_once[column], rel=1e-9, nan_ok=True)


def test_groups_are_the_whole(sphere, tmp_path):
    report, results = run(sphere, tmp_path)
    facts = report.facts()
    assert set(facts["cameras"]["image"]) == {"FV", "MVL", "MVR", "RV"}
    assert set(facts["angles"]["sphere"]) >= {"0 to 15", "75 to 90"}
    for name in ("cameras", "angles"):
        for world in ("sphere", "image"):
            groups = facts[name][world].values()
            pixels = sum(group["pixels"] for group in groups)
            assert pixels == results[world]["pixels"]
            square = sum(group["pixels"] * group["rmse"] ** 2 for group in groups) / pixels
            assert np.sqrt(square) == pytest.approx(results[world]["rmse"], rel=1e-6)
    ranges = [results["image"][f"{name}/pixels"] for name in ("0-8m", "8m+")]
    assert sum(ranges) == results["image"]["pixels"]


def test_the_prior_is_each_pixels_mean_training_depth(sphere, flat, tmp_path):
    for data in (sphere, flat):
        report, results = run(data, tmp_path, prior=True)
        prior = DepthPrior.from_depth(
            data.prepared.depth(i) for i in data.split_indices("train")
        ).prediction
        own = "resized" if data is flat else "sphere"
        pairs = [(prior, data.prepared.depth(i)) for i in data.split_indices("test")]
        assert results[f"{own}_prior"]["rmse"] == pytest.approx(rmse(pairs), rel=1e-5)
        pairs = [
            (in_image(data, i, prior), source_depth(data.prepared, i))
            for i in data.split_indices("test")
        ]
        assert results["image_prior"]["rmse"] == pytest.approx(rmse(pairs), rel=1e-5)
        assert "the prior's" in report.text(results)


def test_best_and_worst_samples_are_drawn(sphere, tmp_path):
    report, results = run(sphere, tmp_path, extremes=1, pictures=1)
    each = {
        sphere.prepared.sample_names[i]: rmse([(guess(sphere, i), sphere.prepared.depth(i))])
        for i in sphere.split_indices("test")
    }
    facts = report.facts()
    assert facts["sample_scores"] == pytest.approx(each, rel=1e-5)
    order = sorted(each, key=each.get)
    assert (facts["best_samples"], facts["worst_samples"]) == (order[:1], order[-1:])
    page = report.text(results)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert {f"{order[0]}.png", f"{order[-1]}.png"} <= drawn
    for name in drawn:
        assert f"]({tmp_path.name}/{name})" in page
    best = page.index("## Best samples")
    assert best < page.index(f"![{order[0]}]") < page.index("## Worst samples")
    json.dumps(facts, allow_nan=False)
    json.dumps(results, allow_nan=False)


def test_what_cannot_be_measured_is_said(sphere, tmp_path):
    elsewhere = PreparedDataModule(str(sphere.prepared.root), source=str(tmp_path))
    report, results = run(elsewhere, tmp_path, prior=True)
    assert list(results) == ["sphere", "sphere_prior"]
    assert "source images absent" in report.text(results)
    assert report.facts()["images"] == "source images absent"
    assert "Chamfer" not in report.table(results)


def test_tables_hold_the_scores(sphere, tmp_path):
    report, results = run(sphere, tmp_path, prior=True)
    lines = report.table(results).splitlines()
    heads = [cell.strip() for cell in lines[0].split("|")[2:-1]]
    assert heads == ["sphere", "sphere, prior", "image", "image, prior"]
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines[2:]}
    assert float(rows["RMSE (m)"][2]) == pytest.approx(results["image"]["rmse"], abs=6e-5)
    assert float(rows["Chamfer, squared (m^2)"][2]) == pytest.approx(
        results["image"]["chamfer_squared"], abs=6e-5
    )
    page = report.text(results)
    for title in ("By true distance", "With sky at 1000 m", "By camera", "By angle"):
        assert f"## {title}" in page


@pytest.mark.parametrize("axes", ["camera", "vehicle"])
def test_points_of_drawn_samples(sphere, tmp_path, axes):
    indices = sphere.split_indices("test")[:3]
    task = task_of(sphere, log_variance_from=0)
    writer = DepthPredictions(sphere, task, indices, tmp_path / "out", tmp_path / "pictures", 2)
    writer.write_points(tmp_path / "points", axes)
    writer.file.create()
    metres = np.stack([guess(sphere, i) for i in indices])
    metres[:, 5] = 2000
    writer.add(
        {
            "sample": torch.tensor(indices),
            "prediction": torch.from_numpy(metres),
            "deviation": torch.from_numpy(metres / 10),
        }
    )
    writer.finish(STRATEGY)
    writer.file.finish()
    opened, prepared = PredictionSet.open(tmp_path / "out"), sphere.prepared
    np.testing.assert_array_equal(opened.depth(1), metres[1])
    np.testing.assert_array_equal(opened.deviation(1), metres[1] / np.float32(10))
    names = [prepared.sample_names[indices[place]] for place in (0, 2)]
    for folder, suffix in (("points", "ply"), ("pictures", "png")):
        assert {p.name for p in (tmp_path / folder).iterdir()} == {f"{n}.{suffix}" for n in names}
    points, colours = read_ply(tmp_path / "points" / f"{names[1]}.ply")
    key = prepared.sample_camera[indices[2]]
    shown = prepared.valid(key) & (metres[2] < task.sky_depth)
    assert not shown[5]
    expected = DepthToPoints(prepared.cameras[key], prepared.grid)(metres[2], axes, shown)
    np.testing.assert_array_equal(points, expected)
    np.testing.assert_array_equal(colours, prepared.image(indices[2])[shown])


def test_points_need_a_camera_and_its_place(sphere, tmp_path):
    calibrations = dict(sphere.prepared.cameras)

    def writer(cameras):
        prepared = PreparedSet.open(sphere.prepared.root)
        prepared.__dict__["cameras"] = cameras
        data = PreparedDataModule(str(sphere.prepared.root))
        data.prepared = prepared
        indices = data.split_indices("test")
        return DepthPredictions(data, task_of(data), indices, tmp_path, tmp_path, -1)

    with pytest.raises(ValueError, match=r"points='camera': sample '.*' has no camera"):
        writer({}).write_points(tmp_path, "camera")
    loose = {k: dataclasses.replace(c, quaternion=None) for k, c in calibrations.items()}
    writer(loose).write_points(tmp_path, "camera")
    with pytest.raises(ValueError, match="it is not known how camera"):
        writer(loose).write_points(tmp_path, "vehicle")
    with pytest.raises(ValueError, match="points='world' must be 'none', 'camera' or 'vehicle'"):
        PredictionWriter(points="world")


def test_only_depth_has_points(sphere, tmp_path):
    names = sphere.class_names
    task = SegmentationTask(sphere.grid, sphere.in_chans, names, network=tiny)
    trainer = SimpleNamespace(
        datamodule=sphere,
        num_predict_batches=[1],
        world_size=1,
        strategy=STRATEGY,
        default_root_dir=str(tmp_path),
        is_global_zero=True,
    )
    with pytest.raises(ValueError, match="points='camera': only a task of depth has points"):
        PredictionWriter(points="camera").on_predict_start(trainer, task)
    assert not any(tmp_path.iterdir())


CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 1
  limit_train_batches: 1
  log_every_n_steps: 1
  enable_progress_bar: false
data: {batch_size: 2}
model:
  class_path: healswin.tasks.DepthTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 16, shift_size: 2}
"""


def test_from_the_command_line(sphere, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    folder = tmp_path / "run"
    root = ["--data.root", str(sphere.prepared.root)]
    run_in = ["--trainer.default_root_dir", str(folder)]
    assert main(["fit", "--config", str(tmp_path / "config.yaml"), *root, *run_in]) == 0
    best = ["--ckpt_path", str(folder / "checkpoints" / "best.ckpt")]
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    assert main(["test", *best, *root, *quiet, "--report.extremes", "1"]) == 0
    summary = json.loads((folder / "test.json").read_text())
    assert summary["task"] == "depth"
    assert list(summary["results"]) == ["sphere", "sphere_prior", "image", "image_prior"]
    assert summary["results"]["image"]["chamfer"] > 0
    page = (folder / "report.md").read_text()
    assert "| Chamfer distance (m)" in page
    for name in (*summary["best_samples"], *summary["worst_samples"]):
        assert (folder / "report" / f"{name}.png").is_file()
    points = ["--predictions.points", "vehicle", "--predictions.pictures", "1"]
    assert main(["predict", *best, *root, *quiet, *points]) == 0
    (cloud,) = (folder / "points").iterdir()
    assert len(read_ply(cloud)[0]) > 500
