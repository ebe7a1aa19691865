"""The per-pixel prior against a loop over the pixels, and its corner cases."""

import numpy as np
import pytest

from healswin.metrics import PixelPrior


def test_prior_is_the_most_frequent_class_of_every_pixel():
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 4, (9, 50)).astype(np.uint8)
    samples[rng.random(samples.shape) < 0.3] = 255
    samples[:, 7] = 255
    prior = PixelPrior.from_labels(iter(samples), num_classes=4)
    labelled = samples[samples != 255]
    overall = max(range(4), key=lambda c: (np.sum(labelled == c), -c))
    assert prior.most_frequent == overall
    for pixel in range(50):
        here = samples[:, pixel][samples[:, pixel] != 255]
        expected = max(range(4), key=lambda c: (np.sum(here == c), -c)) if here.size else overall
        assert prior.prediction[pixel] == expected
    assert prior.prediction.dtype == np.uint8


def test_ties_go_to_the_lowest_class():
    labels = [np.array([3, 1], np.uint8), np.array([1, 3], np.uint8)]
    prior = PixelPrior.from_labels(labels, num_classes=5)
    assert prior.prediction.tolist() == [1, 1]
    assert prior.most_frequent == 1


def test_pixels_never_labelled_get_the_globally_most_frequent_class():
    labels = [np.array([255, 2, 2, 0], np.uint8), np.array([255, 2, 0, 255], np.uint8)]
    assert PixelPrior.from_labels(labels, num_classes=3).prediction.tolist() == [2, 2, 0, 0]


def test_images_keep_their_shape():
    labels = [np.full((3, 5), 1, np.uint8)]
    assert PixelPrior.from_labels(labels, num_classes=2).prediction.shape == (3, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no labelled pixel"),
        ([np.full(4, 255, np.uint8)], "no labelled pixel"),
        ([np.zeros(4, np.uint8), np.zeros(5, np.uint8)], r"labels\[1\] has shape \(5,\)"),
        ([np.full(4, 3, np.uint8)], r"labels\[0\] holds class 3; expected 0..2"),
        ([np.full(4, -1, np.int64)], "holds class -1"),
    ],
)
def test_bad_labels_are_named(labels, message):
    with pytest.raises(ValueError, match=message):
        PixelPrior.from_labels(labels, num_classes=3)


def test_number_of_classes_must_fit_uint8():
    with pytest.raises(ValueError, match="num_classes=257"):
        PixelPrior.from_labels([np.zeros(4, np.uint8)], num_classes=257)


def test_a_pixel_counts_by_its_area_for_the_most_frequent_class():
    """Two small pixels of class 0, a large one of class 1, and one that was never labelled."""
    labels = [np.array([0, 0, 1, 255])]
    areas = np.array([1.0, 1.0, 3.0, 1.0])
    assert PixelPrior.from_labels(labels, 2).prediction.tolist() == [0, 0, 1, 0]
    assert PixelPrior.from_labels(labels, 2, areas=areas).prediction.tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="areas has 3 values; the labels have 4"):
        PixelPrior.from_labels(labels, 2, areas=areas[:3])
