"""What each sample shows: parts that share no original, rotations that are uniform."""

import dataclasses

import numpy as np
import pytest

from data_prep.mnist.drawing import Part, make_parts

PART = Part("train", 100, "train", 0, 20, rotated=True)


def counts(parts):
    return {part.name: part.count for part in parts}


def test_defaults():
    assert counts(make_parts((None, None, None), 60_000, 10_000, "all", 1)) == {
        "train": 55_000,
        "val": 5000,
        "test": 10_000,
    }
    assert counts(make_parts((None, None, None), 1500, 297, "all", 1)) == {
        "train": 1375,
        "val": 125,
        "test": 297,
    }


def test_parts_without_samples_are_left_out():
    assert counts(make_parts((None, 0, 0), 50, 10, "all", 1)) == {"train": 50}


@pytest.mark.parametrize("wanted", [(None, None, None), (500, 7, 30), (5, 12, 3)])
def test_validation_shows_nothing_that_trains(wanted):
    shown = {}
    for part in make_parts(wanted, 60, 20, "all", 1):
        several = [part.shown(n, 3, part.placing(1, n)) for n in range(part.count)]
        single = [part.shown(n, 1, None) for n in range(part.count)]
        shown[part.name] = set(np.concatenate([*several, *single]).tolist())
    assert not shown["train"] & shown["val"]
    assert max(shown["train"]) < min(shown["val"])
    assert max(shown["val"]) <= 59
    assert max(shown["test"]) <= 19


def test_single_items_come_in_turn():
    part = dataclasses.replace(PART, first=5)
    shown = [int(part.shown(number, 1, None)[0]) for number in range(45)]
    assert shown == [5 + number % 20 for number in range(45)]


def test_several_items_differ_where_they_can():
    for number in range(50):
        assert len(set(PART.shown(number, 4, PART.placing(0, number)).tolist())) == 4
    few = dataclasses.replace(PART, originals=2)
    assert set(few.shown(0, 4, few.placing(0, 0)).tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("rotated", "expected"),
    [("all", [True, True, True]), ("none", [False] * 3), ("test", [False, False, True])],
)
def test_which_parts_are_turned(rotated, expected):
    parts = make_parts((None, None, None), 24, 10, rotated, 1)
    assert [part.rotation(0, 3) is not None for part in parts] == expected


def test_rotations_are_uniform():
    """Of a uniform rotation the nine entries have mean 0, variance 1/3 and are uncorrelated."""
    entries = np.stack([PART.rotation(7, number).ravel() for number in range(4000)])
    np.testing.assert_allclose(np.linalg.det(entries.reshape(-1, 3, 3)), 1, atol=1e-12)
    spread = 5 / np.sqrt(4000)
    assert np.abs(entries.mean(axis=0)).max() < spread
    assert np.abs(entries.T @ entries / 4000 - np.eye(9) / 3).max() < spread
    # The trace is 1 + 2 cos of the angle, whose density is (1 - cos) / pi: its mean is 0.
    assert abs(entries[:, [0, 4, 8]].sum(axis=1).mean()) < 5 / np.sqrt(4000)


def test_rotations_depend_on_seed_part_and_number_only():
    one = PART.rotation(1, 5)
    longer = dataclasses.replace(PART, count=10**6, originals=3)
    np.testing.assert_array_equal(one, longer.rotation(1, 5))
    for other in (
        PART.rotation(2, 5),
        PART.rotation(1, 6),
        dataclasses.replace(PART, name="test").rotation(1, 5),
    ):
        assert np.abs(one - other).max() > 0.01


def test_blocks_share_a_rotation():
    part = dataclasses.replace(PART, block=3)
    np.testing.assert_array_equal(part.rotation(0, 3), part.rotation(0, 5))
    assert np.abs(part.rotation(0, 5) - part.rotation(0, 6)).max() > 0.01
    np.testing.assert_array_equal(part.rotation(0, 3), PART.rotation(0, 1))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((0, None, None), "train=0 must be at least 1"),
        ((None, -1, None), "val=-1 must be at least 0"),
        ((None, None, -3), "test=-3 must be at least 0"),
        ((None, 24, None), "val=24 of 24 pictures for training leave none to train with"),
        ((1, 25, None), "val=25 of 24"),
    ],
)
def test_impossible_counts(wanted, message):
    with pytest.raises(ValueError, match=message):
        make_parts(wanted, 24, 10, "all", 1)


def test_no_pictures_for_tests():
    assert counts(make_parts((None, 2, None), 24, 0, "all", 1)) == {"train": 22, "val": 2}
    with pytest.raises(ValueError, match="test=5: the source has no pictures for tests"):
        make_parts((None, None, 5), 24, 0, "all", 1)
