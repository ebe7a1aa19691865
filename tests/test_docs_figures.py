"""The figures of docs/figures and the tables that are made with them."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

FIGURES = Path(__file__).parents[1] / "docs" / "figures"


@pytest.fixture(scope="module")
def mnist():
    return runpy.run_path(str(FIGURES / "mnist.py"))


def result(accuracy, turned=None):
    """What benchmarks/mnist.py keeps of a run."""
    robustness = {}
    if turned is not None:
        random = {"values": [turned] * 3, "mean": turned, "kept": turned / accuracy}
        turns = [{"degrees": angle, "accuracy": accuracy} for angle in (0.0, 45.0)]
        robustness = {"headline": "accuracy", "random": {"accuracy": random}, "turns": turns}
    test = {"task": "classification", "results": {"model": {"accuracy": accuracy}}}
    return {"test": test, "robustness": robustness, "parameters": 10, "fit_seconds": 60}


RESULTS = {
    "classification/s2cnn_59k_r_r:0": result(0.9, 0.8),
    "classification/s2cnn_59k_r_r:1": result(0.8, 0.8),
    "classification/s2cnn_59k_r_r@0.1:0": result(0.6, 0.5),
    "classification/s2cnn_59k_nr_nr:0": result(0.95, 0.9),
    "classification/s2cnn_59k_nr_r:0": result(0.93),
}


def test_runs_are_found_by_protocol_and_part(mnist):
    found = mnist["of_runs"](RESULTS, "r_r")
    assert set(found) == {"s2cnn_59k"}
    accuracies = {part: mnist["accuracies"](runs) for part, runs in found["s2cnn_59k"].items()}
    assert accuracies == {1.0: [90.0, 80.0], 0.1: [60.0]}
    assert list(mnist["of_runs"](RESULTS, "nr_nr")) == ["s2cnn_59k"]


def test_the_table_goes_between_its_marks(mnist):
    start, end = mnist["MARKS"]
    page = f"before\n{start}\nold\n{end}\nafter\n"
    table = mnist["table_of"](RESULTS)
    assert table.count("\n") == 5  # a head, a line, and four configurations
    once = mnist["with_table"](page, table)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert table in once
    assert mnist["with_table"](once, table) == once
    with pytest.raises(ValueError, match="must hold the lines"):
        mnist["with_table"]("before\nafter\n", table)


def test_the_figure_shows_what_was_measured(mnist, tmp_path):
    import cv2

    pictures = []
    for name, results in (("some", RESULTS), ("none", {})):
        mnist["draw"](results, tmp_path / f"{name}.png")
        pictures.append(cv2.imread(str(tmp_path / f"{name}.png")))
    assert min(picture.shape[0] for picture in pictures) > 400
    assert pictures[0].shape != pictures[1].shape or not np.array_equal(*pictures)


def test_the_page_holds_the_table_of_what_was_kept(mnist):
    results = json.loads((FIGURES / "mnist.json").read_text())
    page = (FIGURES.parent / "results.md").read_text()
    assert mnist["with_table"](page, mnist["table_of"](results)) == page
    assert all(run["commit"] and run["hardware"] and run["date"] for run in results.values())
