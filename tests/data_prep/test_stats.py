import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.stats import (
    class_counts,
    depth_sums,
    image_sums,
    total_classes,
    total_depth,
    total_image,
)


def some_maps(count, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 50, 3), dtype=np.uint8)
    valid = random.random((count, 50)) < 0.7
    depth = random.uniform(0.1, 90, (count, 50)).astype(np.float32)
    depth[:, 7] = np.inf
    depth[:, 9] = np.nan
    labels = random.integers(0, 5, (count, 50), dtype=np.uint8)
    labels[:, ::6] = 255
    return images, labels, depth, valid


@given(count=st.integers(1, 6), seed=st.integers(0, 9))
def test_totals_are_those_of_all_samples_at_once(count, seed):
    images, labels, depth, valid = some_maps(count, seed)
    mean, std = total_image([image_sums(i, v) for i, v in zip(images, valid, strict=True)])
    np.testing.assert_allclose(mean, images[valid].mean(0) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, images[valid].std(0) / 255, rtol=1e-12)

    kept = labels[valid]
    kept = kept[kept != 255]
    shares = total_classes([class_counts(x, v, 5) for x, v in zip(labels, valid, strict=True)])
    np.testing.assert_allclose(shares, np.bincount(kept, minlength=5) / kept.size, rtol=1e-12)

    finite = depth[valid & np.isfinite(depth)].astype(np.float64)
    total = total_depth([depth_sums(d, v) for d, v in zip(depth, valid, strict=True)])
    np.testing.assert_allclose([total["mean"], total["std"]], [finite.mean(), finite.std()])
    assert (total["count"], total["min"], total["max"]) == (finite.size, finite.min(), finite.max())


def test_a_way_through_json_changes_no_digit():
    images, _, depth, valid = some_maps(3)
    image = [image_sums(i, v) for i, v in zip(images, valid, strict=True)]
    distance = [depth_sums(d, v) for d, v in zip(depth, valid, strict=True)]
    assert total_image(json.loads(json.dumps(image))) == total_image(image)
    assert total_depth(json.loads(json.dumps(distance))) == total_depth(distance)


def test_a_sample_that_sees_sky_only_adds_nothing():
    valid = np.ones(4, dtype=bool)
    sky = depth_sums(np.full(4, np.inf, dtype=np.float32), valid)
    road = depth_sums(np.full(4, 2.5, dtype=np.float32), valid)
    assert total_depth([sky, road]) == total_depth([road])
    assert total_depth([sky]) == {"count": 0, "mean": None, "std": None, "min": None, "max": None}


def test_no_labels_and_no_pixels():
    assert total_classes([[0, 0]]) == [0.0, 0.0]
    nothing = image_sums(np.zeros((4, 3), dtype=np.uint8), np.zeros(4, dtype=bool))
    with pytest.raises(ValueError, match="no pixel of the training split is valid"):
        total_image([nothing])
