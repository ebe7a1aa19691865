import numpy as np
import pytest

from data_prep.street.texture import cloudy, coverage, detail, grain, repeated, scramble


@pytest.mark.parametrize("noise", [grain, cloudy])
def test_noise_varies_within_zero_and_one(noise):
    place = np.linspace(-50, 50, 5000, dtype=np.float32)
    values = noise(place, 0.7 * place, 2.0)
    assert values.shape == place.shape
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std() > 0.1
    assert abs(values.mean() - 0.5) < 0.1


@pytest.mark.parametrize("noise", [grain, cloudy])
def test_noise_of_nothing_is_nothing(noise):
    empty = np.zeros(0, dtype=np.float32)
    assert noise(empty, empty, 1.0).shape == (0,)


def test_noise_is_smooth_below_its_size():
    place = np.linspace(0, 20, 40001, dtype=np.float32)
    assert np.abs(np.diff(grain(place, place * 0, 1.0))).max() < 0.02


def test_coverage_of_a_stripe_adds_up_to_its_width():
    offset = np.linspace(-3, 3, 60001)
    for footprint in (0.01, 0.3, 2.0):
        share = coverage(offset, 0.4, np.full_like(offset, footprint))
        assert share.sum() * 1e-4 == pytest.approx(0.8, abs=1e-3)
        assert share.min() >= 0
        assert share.max() <= 1


def test_repeated_stripes_fade_to_their_mean():
    place = np.linspace(0, 10, 10001)
    far = repeated(place, 0.5, 0.1, np.full_like(place, 5.0))
    np.testing.assert_allclose(far, 0.4)
    near = repeated(place, 0.5, 0.1, np.full_like(place, 1e-3))
    assert near.mean() == pytest.approx(0.4, abs=0.01)
    assert set(np.round(near, 3)) >= {0.0, 1.0}


def test_detail_fades_with_the_footprint():
    weight = detail(np.array([0.0, 0.1, 10.0]), 0.5)
    assert weight[0] == 1
    assert weight[2] == 0


def test_scrambled_numbers_are_uniform_and_repeatable():
    count = np.arange(20000)
    numbers = scramble(count, count // 7 - 50, np.full(count.size, 3))
    np.testing.assert_array_equal(numbers, scramble(count, count // 7 - 50, np.int64(3)))
    histogram = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert histogram.sum() == count.size
    assert histogram.min() > 1700
