import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.stats import (
    class_counts,
    depth_sums,
    image_sums,
    sample_sums,
    total_classes,
    total_depth,
    total_image,
    totals,
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
    for name, values in (("log", np.log(finite)), ("inverse", 1 / finite)):
        found = [total[name]["mean"], total[name]["std"]]
        np.testing.assert_allclose(found, [values.mean(), values.std()], rtol=1e-9)


@given(seed=st.integers(0, 9), offset=st.sampled_from([0.0, 300.0]))
def test_maps_of_real_values_keep_their_units(seed, offset):
    random = np.random.default_rng(seed)
    maps = (offset + random.normal(size=(3, 80, 2)) * (1e-2, 50.0)).astype(np.float32)
    valid = random.random((3, 80)) < 0.6
    mean, std = total_image([image_sums(m, v) for m, v in zip(maps, valid, strict=True)])
    kept = maps[valid].astype(np.float64)
    np.testing.assert_allclose(mean, kept.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, kept.std(0), rtol=1e-6)


def test_a_map_that_never_varies_deviates_by_nothing():
    constant = np.full((7, 1), 0.1, dtype=np.float32)
    mean, std = total_image([image_sums(constant, np.ones(7, dtype=bool))] * 3)
    np.testing.assert_allclose(mean, constant[0], rtol=1e-12)
    np.testing.assert_allclose(std, 0, atol=1e-8)


def test_sums_of_images_are_whole_and_exact():
    images, _, _, valid = some_maps(1)
    white = np.full((4_000_000, 1), 255, dtype=np.uint8)
    sums = image_sums(white, np.ones(len(white), dtype=bool))
    assert (sums["sum"], sums["sum_squares"]) == ([255 * len(white)], [255**2 * len(white)])
    kept = images[0][valid[0]].astype(np.int64)
    sums = image_sums(images[0], valid[0])
    assert sums["sum"] == kept.sum(0).tolist()
    assert sums["sum_squares"] == (kept**2).sum(0).tolist()


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
    nothing = {"mean": None, "std": None}
    expected = {"count": 0, **nothing, "min": None, "max": None, "log": nothing, "inverse": nothing}
    assert total_depth([sky]) == expected


def test_a_depth_of_nothing_is_no_depth():
    valid = np.ones(3, dtype=bool)
    nothing = depth_sums(np.array([0.0, 4.0, 0.0], dtype=np.float32), valid)
    assert total_depth([nothing]) == total_depth([depth_sums(np.full(1, 4.0, "f4"), valid[:1])])
    assert total_depth([nothing])["inverse"] == {"mean": 0.25, "std": 0.0}


def test_no_labels_and_no_pixels():
    assert total_classes([[0, 0]]) == [0.0, 0.0]
    nothing = image_sums(np.zeros((4, 3), dtype=np.uint8), np.zeros(4, dtype=bool))
    with pytest.raises(ValueError, match="no pixel of the training split is valid"):
        total_image([nothing])


def test_shares_of_labels():
    images, _, _, valid = some_maps(5)
    samples = [
        sample_sums({"image": image, "label": np.int64(label)}, of_image, 0)
        for image, of_image, label in zip(images, valid, (0, 2, 2, 0, 2), strict=True)
    ]
    assert totals(json.loads(json.dumps(samples)), 4)["label_frequencies"] == [0.4, 0, 0.6, 0]
    assert "label_frequencies" not in totals(samples)
