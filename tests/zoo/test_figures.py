"""The figures on the cards, measured again on fixed small sets that are made here.

A card states ``check/...`` beside the figures of the whole test split: what the shipped weights
reach on the set that its maker below returns.
"""

from pathlib import Path

import pytest
import torch

import healswin
from data_prep.cli import main as prepare
from healswin.data import PreparedSet
from healswin.metrics import SegmentationScores
from healswin.zoo.entries import packaged_entries

DIGITS = Path(__file__).parents[1] / "data" / "mnist300"

# Rounding differs between machines: a few pixels or one digit may change sides.
TOLERANCE = {"check/accuracy": 0.004, "check/miou_without_void": 0.002}


def street_frames(folder):
    """16 frames of 4 generated scenes that no model was trained on."""
    source, out = str(folder / "street"), str(folder / "street64")
    assert prepare(["street", source, "--scenes", "4", "--size", "320x242", "--seed", "90210"]) == 0
    grid = ["--nside", "64", "--base-pixels", "0-7", "--tasks", "semantic"]
    assert prepare(["convert", source, out, *grid, "--classes", "large-ad"]) == 0
    return PreparedSet.open(out), range(16)


def upright_digits(folder):
    """The first 300 test digits of MNIST, as they stand."""
    out = str(folder / "digits16")
    counts = ["--train", "10", "--val", "10", "--test", "300"]
    grid = ["--nside", "16", "--rotated", "none", "--tasks", "label"]
    assert prepare(["mnist", str(DIGITS), out, *grid, *counts]) == 0
    prepared = PreparedSet.open(out)
    return prepared, prepared.split["test"]


def upright_digits_by_rings(folder):
    """The same digits on the grid of the planar network."""
    out = str(folder / "digits_soft30")
    counts = ["--train", "10", "--val", "10", "--test", "300"]
    grid = ["--grid", "soft", "--bandwidth", "30", "--rotated", "none", "--tasks", "label"]
    assert prepare(["mnist", str(DIGITS), out, *grid, *counts]) == 0
    prepared = PreparedSet.open(out)
    return prepared, prepared.split["test"]


SETS = {
    "cnn_58k.mnist": upright_digits_by_rings,
    "healswin_iso.mnist": upright_digits,
    "healswin_tiny.mnist": upright_digits,
    "healswin_tiny.street": street_frames,
}


def segmentation_figures(model, prepared, indices):
    names = model.config.class_names
    scores = SegmentationScores(len(names), names, 255, names.index("void"))
    for index in indices:
        prediction = model.predict(prepared.image(index).T[None])[0]
        scores.update(prediction, torch.from_numpy(prepared.semantic(index)).long())
    return {"check/miou_without_void": float(scores.compute()["miou_without_void"])}


def classification_figures(model, prepared, indices):
    right = [
        int(model.predict(prepared.image(index).T[None])[0]) == prepared.label(index)
        for index in indices
    ]
    return {"check/accuracy": sum(right) / len(right)}


MEASURE = {"segmentation": segmentation_figures, "classification": classification_figures}


def test_every_packaged_model_has_a_set():
    assert set(packaged_entries()) == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_the_figure_on_the_card_is_measured_again(name, tmp_path):
    model = healswin.load_model(name)
    prepared, indices = SETS[name](tmp_path)
    assert prepared.grid == model.grid
    measured = MEASURE[model.config.task](model, prepared, indices)
    stated = {k: v for k, v in model.config.metrics.items() if k.startswith("check/")}
    assert measured.keys() == stated.keys()
    for key, value in stated.items():
        assert abs(measured[key] - value) <= TOLERANCE[key], (key, measured[key], value)
