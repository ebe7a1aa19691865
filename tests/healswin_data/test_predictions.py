"""Predictions that are written and opened again."""

import numpy as np
import pytest

from healswin.data import PreparedSet
from healswin.data.predictions import PredictionFile, PredictionSet


@pytest.fixture
def predictions(prepared, tmp_path):
    """A set, and the file of predictions of its samples 2 and 0."""
    street = PreparedSet.open(prepared(4))
    file = PredictionFile(
        tmp_path / "predictions", street, [2, 0], street.class_names, street.class_colours
    )
    file.create()
    return street, file


def test_rows_come_back_also_where_all_is_class_0(predictions):
    street, file = predictions
    labels = np.random.default_rng(0).integers(0, 12, street.grid.num_pixels).astype(np.uint8)
    file.write(0, labels)
    file.write(2, np.zeros_like(labels))
    file.finish()
    opened = PredictionSet.open(file.root)
    assert opened.sample_names == [street.sample_names[2], street.sample_names[0]]
    np.testing.assert_array_equal(opened.semantic(0), 0)
    np.testing.assert_array_equal(opened.semantic(1), labels)


def test_what_is_not_predicted_is_told(predictions):
    street, file = predictions
    file.write(2, np.zeros(street.grid.num_pixels, dtype=np.uint8))
    with pytest.raises(ValueError, match=f"lacks 1 of 2 samples, first {street.sample_names[0]}"):
        file.finish()
    with pytest.raises(ValueError, match="holds no predictions"):
        PredictionSet.open(file.root)
