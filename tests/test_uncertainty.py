"""Uncertainty of models whose answers are known, and of a small trained-like network."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from plain_set import CLASSES, write_plain_set
from torch import nn

from healswin import create_model
from healswin.__main__ import main as healswin
from healswin.data import PreparedSet
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.uncertainty import (
    Members,
    as_markdown,
    draw_curves,
    draw_maps,
    measure_uncertainty,
)
from healswin.uncertainty.members import dropping
from healswin.zoo import ModelConfig, ZooModel

SPHERE = HealpixGrid(8)
SMALL = {
    "embed_dim": 8,
    "depths": (2, 2),
    "num_heads": (1, 2),
    "window_size": 16,
    "drop_path": 0.0,
}


class Says(nn.Module):
    """The same answer for every map and pixel: logits of the classes, or mean and log-variance."""

    def __init__(self, *values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, x):
        shape = (len(x), len(self.values), *x.shape[2:])
        return self.values.view(1, -1, *[1] * (x.ndim - 2)).expand(shape)


class Normalised(nn.Module):
    """A batch normalisation, whose statistics must stay, before a dropout, which must not."""

    def __init__(self, classes):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Conv1d(1, classes, 1)

    def forward(self, x):
        return self.last(self.drop(self.norm(x.flatten(2)))).unflatten(2, x.shape[2:])


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    root = tmp_path_factory.mktemp("strokes") / "set"
    return PreparedSet.open(write_plain_set(root, SPHERE, ("semantic", "label"), samples=6))


def model_of(data, network, task="segmentation", name="stand_in", **changes):
    classes = {"segmentation": CLASSES, "classification": data.label_names}[task]
    values = {
        "name": name,
        "task": task,
        "model": "healswin_tiny",
        "arguments": {},
        "grid": data.grid.to_dict(),
        "in_chans": 1,
        "num_classes": len(classes),
        "pole": data.pole,
        "class_names": tuple(classes),
        "image_mean": (0.0,),
        "image_std": (1.0,),
    }
    return ZooModel(ModelConfig(**{**values, **changes}), network).eval()


def small(seed=0, **arguments):
    torch.manual_seed(seed)
    network = create_model("healswin", SPHERE, 1, len(CLASSES), **{**SMALL, **arguments})
    with torch.no_grad():
        for parameter in network.parameters():  # away from the zeros at which it begins
            parameter += 0.2 * torch.randn_like(parameter)
    return network


def test_models_that_agree_are_together_what_they_are_alone(strokes):
    model = model_of(strokes, small())
    result, _ = measure_uncertainty(Members([model, model]), strokes, split="train")
    assert result["members"] == 2
    assert result["together"] == pytest.approx(result["single"])
    assert result["calibration"]["together"] == pytest.approx(result["calibration"]["single"])
    assert result["uncertainty"]["mutual_information"] == pytest.approx(0, abs=1e-6)
    assert result["uncertainty"]["entropy"] > 0.01


def test_models_that_are_sure_of_different_classes_disagree_by_ln_2(strokes):
    """Both are sure, the data leave nothing open: all the entropy is disagreement."""
    models = [model_of(strokes, Says(*logits)) for logits in ([50.0, 0, 0, 0], [0, 50.0, 0, 0])]
    result, maps = measure_uncertainty(
        Members(models), strokes, split="val", draw=strokes.split["val"]
    )
    for name in ("entropy", "mutual_information"):
        assert result["uncertainty"][name] == pytest.approx(math.log(2))
        assert set(maps) == set(strokes.split["val"])
        assert all(np.allclose(one.parts[name], math.log(2)) for one in maps.values())
    # The first class is the background, the second that of rings.
    truth = np.stack([strokes.semantic(index) for index in strokes.split["val"]])
    shares = [(truth == 0).mean(), (truth == 1).mean()]
    assert result["single"]["accuracy"] == pytest.approx(np.mean(shares))
    # Alone they are certain, together as sure of one class as of the other.
    assert result["calibration"]["single"]["overconfidence"] == pytest.approx(1 - np.mean(shares))
    accuracy = result["together"]["accuracy"]
    assert result["calibration"]["together"]["overconfidence"] == pytest.approx(0.5 - accuracy)


def test_classifications_are_measured_too(strokes):
    def says(*logits):
        network = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), Says(*logits))
        return model_of(strokes, network, "classification")

    models = [says(2.0, 0.0, 0.0), says(0.0, 1.0, 0.0)]
    result, _ = measure_uncertainty(Members(models), strokes, split="train", batch_size=3)
    labels = [strokes.label(index) for index in strokes.split["train"]]
    assert result["together"]["accuracy"] == labels.count(0) / len(labels)
    assert 0 < result["uncertainty"]["mutual_information"] < result["uncertainty"]["entropy"]


def test_dropout_is_drawn_anew_and_by_its_seed(strokes):
    model = model_of(strokes, small(dropout=0.3, attention_dropout=0.2, drop_path=0.1))
    images = torch.randn(2, 1, SPHERE.num_pixels)

    def answers(seed, first=0):
        return torch.stack(list(Members([model], draws=3, seed=seed).answers(images, first)))

    before = model(images)
    one = answers(0)
    assert torch.equal(one, answers(0))
    assert not torch.equal(one, answers(1))
    assert not torch.equal(one, answers(0, first=5))
    assert (one.var(dim=0) > 0).float().mean() > 0.99
    assert torch.equal(model(images), before)
    assert not any(module.training for module in model.modules())
    kinds = {type(module).__name__ for module in dropping(model)}
    assert kinds == {"Attention", "Dropout", "Block"}


def test_the_caller_keeps_its_random_numbers(strokes):
    model = model_of(strokes, small(dropout=0.3))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(Members([model], draws=2).answers(torch.randn(1, 1, SPHERE.num_pixels), 0))
    torch.randn(1, 1, SPHERE.num_pixels)
    torch.manual_seed(5)
    list(Members([model], draws=2).answers(torch.zeros(1, 1, SPHERE.num_pixels), 0))
    assert torch.equal(torch.rand(3), expected)


def test_normalisations_keep_their_statistics(strokes):
    network = Normalised(len(CLASSES))
    model = model_of(strokes, network)
    list(Members([model], draws=2).answers(3 + torch.randn(2, 1, SPHERE.num_pixels), 0))
    assert network.norm.running_mean.item() == 0
    assert network.norm.num_batches_tracked.item() == 0


def test_depth_knows_how_far_off_it_is(prepared):
    """Truth is Gaussian about the mean that one network says, or not, by its deviation."""
    data = PreparedSet.open(prepared(16))
    depth = data.attributes["depth_statistics"]
    finite = np.concatenate(
        [data.depth(i)[np.isfinite(data.depth(i))] for i in data.split["train"]]
    )
    scale = {"transform": "log", "mean": float(np.log(finite).mean()), "std": 1.0}
    right = float(2 * np.log(np.log(finite).std()))
    common = {
        "name": "stand_in",
        "task": "depth",
        "model": "healswin_tiny",
        "arguments": {},
        "grid": data.grid.to_dict(),
        "in_chans": 3,
        "num_classes": 2,
        "pole": data.pole,
        "depth": {**scale, "log_variance": True},
    }
    assert depth["count"] == len(finite)

    def measured(*log_variances):
        models = [
            ZooModel(ModelConfig(**common), Says(0.0, value)).eval() for value in log_variances
        ]
        answer, maps = measure_uncertainty(
            Members(models), data, split="train", draw=data.split["train"][:1]
        )
        return answer, maps

    good, maps = measured(right, right)
    narrow, _ = measured(right - 4, right - 4)
    errors = [answer["calibration"]["together"]["error"] for answer in (good, narrow)]
    assert errors[0] < errors[1] / 2
    # Without a variance two that agree state no interval.
    common["depth"] = {**scale, "log_variance": False}
    certain = ZooModel(ModelConfig(**{**common, "num_classes": 1}), Says(0.0)).eval()
    sure, _ = measure_uncertainty(Members([certain, certain]), data, split="val")
    assert sure["calibration"] == {"together": {}}
    assert sure["uncertainty"] == {"deviation": 0.0}
    assert "calibration error of intervals" not in as_markdown(sure)
    assert draw_curves(sure).shape[1] < draw_curves(good).shape[1]
    json.dumps(sure, allow_nan=False)
    assert good["uncertainty"]["disagreement"] == pytest.approx(0, abs=1e-6)
    middle = math.exp(scale["mean"])
    expected = middle * math.exp(right / 2)
    assert good["uncertainty"]["deviation"] == pytest.approx(expected, rel=1e-5)
    assert good["together"]["mae"] == pytest.approx(np.abs(finite - middle).mean(), rel=1e-4)
    (one,) = maps.values()
    np.testing.assert_allclose(one.parts["deviation"], middle * math.exp(right / 2), rtol=1e-4)
    picture = draw_maps(data, data.split["train"][0], one, "depth")
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


def test_the_command_writes_what_it_measured(strokes, tmp_path, capsys):
    names = []
    for seed in (0, 1):
        names.append(str(tmp_path / f"model_{seed}"))
        config = model_of(strokes, small(seed)).config
        config = dataclasses.replace(config, model="healswin", arguments=dict(SMALL))
        ZooModel(config, small(seed)).save_pretrained(names[-1])
    out = tmp_path / "unsure"
    common = ["--data", str(strokes.root), "--out", str(out), "--device", "cpu"]
    assert healswin(["uncertainty", *names, *common, "--pictures", "1", "--limit", "2"]) == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "uncertainty.json").read_text())
    assert result["data"]["samples"] == 2
    assert f"{result['together']['miou']:.4f}" in printed
    assert (out / "uncertainty.md").read_text() in printed
    assert len(list((out / "maps").glob("*.png"))) == 1
    assert (out / "uncertainty.png").stat().st_size > 5000
    assert healswin(["uncertainty", *names, *common, "--pictures", "-1", "--limit", "2"]) == 0
    capsys.readouterr()
    assert len(list((out / "maps").glob("*.png"))) == 2
    assert healswin(["uncertainty", names[0], *common]) == 2
    assert "draw dropout at least twice" in capsys.readouterr().err
    assert healswin(["uncertainty", names[0], *common, "--draws", "2"]) == 2
    assert "has no dropout" in capsys.readouterr().err


def test_every_member_sees_images_normalised_as_in_its_training(strokes):
    """Their order does not matter, and one alone says what it says in any company."""
    one = model_of(strokes, small(0), name="one", image_mean=(0.1,), image_std=(0.5,))
    other = model_of(strokes, small(1), name="other", image_mean=(0.4,), image_std=(2.0,))
    results = [
        measure_uncertainty(Members(pair), strokes, split="train")[0]
        for pair in ((one, other), (other, one), (one, one), (other, other))
    ]
    for name, value in results[0]["single"].items():
        assert results[1]["single"][name] == pytest.approx(value)
        alone = (results[2]["single"][name] + results[3]["single"][name]) / 2
        assert alone == pytest.approx(value)
    assert results[0]["together"] == pytest.approx(results[1]["together"])
    silent = model_of(strokes, small(1), name="silent", image_mean=(), image_std=())
    with pytest.raises(ValueError, match="only one of them states how its images are normalised"):
        Members([one, silent])


def test_what_is_no_ensemble_is_refused(strokes):
    one = model_of(strokes, small())
    other = model_of(strokes, Says(0.0, 0.0, 0.0, 0.0), name="other", pole="camera")
    with pytest.raises(ValueError, match=r"stand_in and other are no ensemble: their pole are"):
        Members([one, other])
    with pytest.raises(ValueError, match="must not be negative"):
        Members([one], draws=-1)


def test_data_of_another_grid_are_refused(strokes, tmp_path):
    root = write_plain_set(tmp_path / "flat", EquiangularGrid(8, "soft"), ("semantic",), samples=4)
    model = model_of(strokes, small())
    with pytest.raises(ValueError, match="the grid of stand_in"):
        measure_uncertainty(Members([model, model]), PreparedSet.open(root))


def test_areas_count(tmp_path):
    """On an equiangular grid the entropy's mean is one over the sphere."""
    root = write_plain_set(tmp_path / "set", EquiangularGrid(8, "soft"), ("semantic",), samples=4)
    data = PreparedSet.open(root)

    class North(nn.Module):
        def __init__(self, sign):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(float(sign)))

        def forward(self, x):
            # Sure of two different classes in the first rings, of one elsewhere.
            answer = torch.zeros(len(x), len(CLASSES), *x.shape[2:])
            answer[:, 0] = 50.0
            answer[:, 1, :3] = 50.0 + 50 * self.weight
            return answer

    models = [model_of(data, North(sign)) for sign in (-1, 1)]
    result, _ = measure_uncertainty(Members(models), data, split="val")
    areas = data.grid.areas().reshape(data.grid.shape)
    share = areas[:3].sum() / areas.sum()
    expected = share * math.log(2)
    assert result["uncertainty"]["mutual_information"] == pytest.approx(expected, rel=1e-5)
