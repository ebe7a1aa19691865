import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.split import parse_split, split_by_scene


def test_what_train_leaves_is_val():
    assert parse_split("train:0.75") == {"train": 0.75, "val": 0.25}
    assert parse_split("train:0.5, test:0.25") == {"train": 0.5, "val": 0.25, "test": 0.25}


def test_whole_splits_stay_as_they_are():
    assert parse_split("train:1") == {"train": 1.0}
    assert parse_split("test:0.2,train:0.7,val:0.1") == {"train": 0.7, "val": 0.1, "test": 0.2}
    assert list(parse_split("test:0.2,train:0.7,val:0.1")) == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the part '' must be one of"),
        ("training:0.8", "'training' must be one of"),
        ("train", "share of 'train' must be a number"),
        ("train:most", "must be a number"),
        ("train:0", "above 0"),
        ("train:-0.5", "above 0"),
        ("train:nan", "above 0"),
        ("train:0.8,val:0.3", "sum to 1.1, above 1"),
        ("train:0.5,val:0.3", "sum to 0.8, they must sum to 1"),
        ("val:1", "must name the part 'train'"),
        ("train:0.5,train:0.5", "twice"),
    ],
)
def test_wrong_splits(text, match):
    with pytest.raises(ValueError, match=match):
        parse_split(text)


@given(
    scenes=st.lists(st.integers(0, 40), min_size=3, max_size=80).filter(lambda s: len(set(s)) >= 3),
    train=st.floats(0.05, 0.9),
    seed=st.integers(0, 5),
)
def test_every_sample_has_one_part_and_every_scene_too(scenes, train, seed):
    names = [str(scene) for scene in scenes]
    rest = 1 - train
    split = split_by_scene(names, {"train": train, "val": rest / 2, "test": rest / 2}, seed)
    assert sorted(itertools.chain(*split.values())) == list(range(len(names)))
    assert all(split.values())
    parts = [{names[index] for index in indices} for indices in split.values()]
    assert sum(map(len, parts)) == len(set(names))
    # Rounding moves a part by less than one scene, unless a part would be left empty.
    if min(len(part) for part in parts) > 1:
        assert abs(len(parts[0]) - train * len(set(names))) <= 1


def test_the_seed_decides():
    scenes = [str(scene) for scene in range(40)]
    splits = [split_by_scene(scenes, {"train": 0.5, "val": 0.5}, seed) for seed in (1, 1, 2)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_the_split_is_fixed_for_good():
    # Published figures depend on it: it must not change with a version of anything.
    # The expected order is that of `printf 42/00001 | sha256sum` and so on.
    split = split_by_scene([f"{i:05d}" for i in range(1, 11)], {"train": 0.8, "val": 0.2}, 42)
    assert split["val"] == [4, 5]


def test_too_few_scenes():
    with pytest.raises(ValueError, match=r"1 scene\(s\) cannot be split into train, val"):
        split_by_scene(["1", "1"], {"train": 0.5, "val": 0.5}, 0)
