import numpy as np
import pytest

from healswin.data.transforms import Normalisation, class_weights


def test_mean_becomes_0_and_deviation_1():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (500, 3), dtype=np.uint8)
    normalise = Normalisation(image.mean(0) / 255, image.std(0) / 255)
    values = normalise(image)
    assert values.shape == (3, 500)
    assert values.dtype == np.float32
    assert values.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(values.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(1), 1, atol=1e-6)


def test_floats_are_not_divided_by_255():
    normalise = Normalisation([0.5], [0.25])
    values = normalise(np.array([[0.0], [0.5], [1.0]], dtype=np.float32))
    np.testing.assert_allclose(values, [[-2.0, 0.0, 2.0]])


def test_little_variation_about_a_large_mean_is_kept():
    image = (1e6 + np.arange(-8.0, 8.0))[:, None].astype(np.float32)
    values = Normalisation([1e6], [2.0])(image)
    np.testing.assert_array_equal(values, [np.arange(-4.0, 4.0, 0.5)])


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [([0.5], [0.1, 0.1], "one number a channel"), ([0.5], [-0.1], "must not be negative")],
)
def test_numbers_that_do_not_fit(mean, std, match):
    with pytest.raises(ValueError, match=match):
        Normalisation(mean, std)


def test_another_number_of_channels():
    with pytest.raises(ValueError, match=r"shape \(10, 4\), \(pixels, 3\) is needed"):
        Normalisation([0.5] * 3, [0.1] * 3)(np.zeros((10, 4), dtype=np.uint8))


def test_rare_classes_weigh_more_within_bounds():
    weights = class_weights([0.7, 0.25, 0.05, 0.0])
    assert weights == sorted(weights)
    np.testing.assert_allclose(np.mean(weights), 1)
    assert weights[-1] / weights[0] < 36
    assert class_weights([]) == []
