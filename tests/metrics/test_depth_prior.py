import numpy as np
import pytest

from healswin.metrics import DepthPrior

MAPS = np.array(
    [[1, 4, np.inf, np.nan], [3, np.nan, np.inf, np.inf], [5, 6, 7, np.nan]], dtype=np.float32
)


def test_every_pixel_has_its_mean_and_others_that_of_all():
    prior = DepthPrior.from_depth(iter(MAPS))
    assert prior.mean == pytest.approx(26 / 6)
    np.testing.assert_allclose(prior.prediction, [3, 5, 7, 26 / 6], rtol=1e-6)
    assert prior.prediction.dtype == np.float32
    in_rows = DepthPrior.from_depth(MAPS.reshape(3, 2, 2))
    np.testing.assert_array_equal(in_rows.prediction, prior.prediction.reshape(2, 2))


def test_no_other_constant_has_a_lower_mean_square():
    rng = np.random.default_rng(0)
    maps = rng.lognormal(2, 1, (20, 50)).astype(np.float32)
    maps[rng.random(maps.shape) < 0.3] = np.inf
    known = np.isfinite(maps)
    best = DepthPrior.from_depth(maps).prediction

    def square(prediction):
        return np.square(np.where(known, maps - prediction, 0)).sum(axis=0)

    for step in (-0.1, 0.1):
        assert (square(best) < square(best + step)).all()


def test_unlike_pixels_count_by_their_area():
    areas = np.array([2.0, 1, 1, 1])
    prior = DepthPrior.from_depth(MAPS, areas)
    assert prior.mean == pytest.approx((2 * 9 + 10 + 7) / (2 * 3 + 2 + 1))
    with pytest.raises(ValueError, match=r"areas has shape \(3,\); the maps have \(4,\)"):
        DepthPrior.from_depth(MAPS, areas[:3])


def test_what_has_no_mean():
    with pytest.raises(ValueError, match="no finite depth"):
        DepthPrior.from_depth(np.full((2, 3), np.inf, np.float32))
    with pytest.raises(ValueError, match="no finite depth"):
        DepthPrior.from_depth([])
    with pytest.raises(ValueError, match=r"maps\[1\] has shape \(2,\); the ones before have \(4"):
        DepthPrior.from_depth([MAPS[0], MAPS[0, :2]])
