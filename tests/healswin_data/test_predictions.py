"""Predictions that are written and opened again."""

import numpy as np
import pytest

from healswin.data import PreparedSet
from healswin.data.predictions import PredictionFile, PredictionSet


@pytest.fixture
def predictions(prepared, tmp_path):
    """A set, and the file of predictions of its samples 2 and 0."""
    street = PreparedSet.open(prepared(4))
    names = {"class_names": street.class_names, "class_colours": street.class_colours}
    maps = {"semantic": "uint8"}
    file = PredictionFile(tmp_path / "predictions", street, [2, 0], maps, names)
    file.create()
    return street, file


def test_rows_come_back_also_where_all_is_class_0(predictions):
    street, file = predictions
    labels = np.random.default_rng(0).integers(0, 12, street.grid.num_pixels).astype(np.uint8)
    file.write("semantic", 0, labels)
    file.write("semantic", 2, np.zeros_like(labels))
    file.finish()
    opened = PredictionSet.open(file.root)
    assert opened.sample_names == [street.sample_names[2], street.sample_names[0]]
    np.testing.assert_array_equal(opened.semantic(0), 0)
    np.testing.assert_array_equal(opened.semantic(1), labels)


def test_what_is_not_predicted_is_told(predictions):
    street, file = predictions
    file.write("semantic", 2, np.zeros(street.grid.num_pixels, dtype=np.uint8))
    with pytest.raises(ValueError, match=f"lacks 1 of 2 samples, first {street.sample_names[0]}"):
        file.finish()
    with pytest.raises(ValueError, match="holds no predictions"):
        PredictionSet.open(file.root)


def test_labels_and_their_scores_come_back(prepared, tmp_path):
    street = PreparedSet.open(prepared(4))
    names = {"label_names": ["day", "night"]}
    file = PredictionFile(tmp_path / "predictions", street, [2, 0, 1], {}, names)
    file.create()
    labels = np.array([0, 0, 1])
    scores = np.array([[0.75, 0.25], [1, 0], [0, 1]], dtype=np.float32)
    with pytest.raises(ValueError, match="label has 2 rows for 3 samples"):
        file.write_all("label", labels[:2])
    file.write_all("label", labels)
    file.write_all("scores", scores)
    file.finish()
    opened = PredictionSet.open(file.root)
    assert (opened.label_names, opened.class_names) == (["day", "night"], [])
    assert [opened.label(row) for row in range(3)] == [0, 0, 1]
    np.testing.assert_array_equal(opened.scores(0), scores[0])
    with pytest.raises(IndexError, match="row 3"):
        opened.scores(3)
    with pytest.raises(ValueError, match="holds no classes of pixels"):
        opened.semantic(0)


def test_depth_and_its_deviation_come_back(prepared, tmp_path):
    street = PreparedSet.open(prepared(4))
    maps = {"depth": "float32", "deviation": "float32"}
    file = PredictionFile(tmp_path / "predictions", street, [2, 0], maps, {})
    file.create()
    metres = np.random.default_rng(0).uniform(1, 50, (2, street.grid.num_pixels))
    for row, index in enumerate((2, 0)):
        file.write("depth", index, metres[row].astype(np.float32))
        file.write("deviation", index, np.full(street.grid.num_pixels, row, np.float32))
    file.finish()
    opened = PredictionSet.open(file.root)
    for row in (0, 1):
        np.testing.assert_array_equal(opened.depth(row), metres[row].astype(np.float32))
        np.testing.assert_array_equal(opened.deviation(row), row)
    with pytest.raises(IndexError, match="row 2"):
        opened.depth(2)
    (file.root / "depth" / "c" / "1" / "0").unlink()
    with pytest.raises(ValueError, match="has lost row 1"):
        opened.depth(1)


def test_classes_are_no_depth(predictions):
    street, file = predictions
    for index in (0, 2):
        file.write("semantic", index, np.zeros(street.grid.num_pixels, dtype=np.uint8))
    file.finish()
    opened = PredictionSet.open(file.root)
    with pytest.raises(ValueError, match="holds no depth"):
        opened.depth(0)
    with pytest.raises(ValueError, match="holds no deviation of depth"):
        opened.deviation(0)
