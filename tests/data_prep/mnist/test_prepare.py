"""Whole sets: what they hold, that they resume, and what is refused."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_folder import SIDE, tiny_pictures, write_idx_folder
from synwoodscape_folder import tree_bytes

from data_prep.mnist import plan as plan_module
from data_prep.mnist.conversion import MnistConversion
from data_prep.mnist.drawing import make_parts
from data_prep.mnist.plan import make_plan
from data_prep.mnist.prepare import prepare_mnist
from data_prep.mnist.projection import (
    Projector,
    canvas_positions,
    published_picture,
    published_positions,
)
from data_prep.mnist.samples import Drawer
from data_prep.statistics import statistics
from data_prep.verify import verify
from healswin.data import PreparedSet
from healswin.data.writer import PreparedSetWriter, ShardWriter
from healswin.grid import EquiangularGrid, HealpixGrid

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_idx_folder(tmp_path_factory.mktemp("source") / "digits")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(plan_module, "_SHARD_SAMPLES", 7)


def make(source, out, workers=1, overwrite=False, **arguments):
    conversion = MnistConversion(str(source), **arguments)
    return prepare_mnist(conversion, out, workers, overwrite, progress=False)


def test_everything_in_a_set(source, tmp_path):
    said = make(source, tmp_path / "set", nside=4, seed=3)
    assert "set: 34 samples (train 22, val 2, test 10) of image, label, semantic" in said
    prepared = PreparedSet.open(tmp_path / "set")
    assert prepared.grid == HealpixGrid(4)
    assert prepared.pole == "projection"
    assert prepared.up == (-1, 0, 0)
    assert prepared.tasks == ["label", "semantic"]
    assert prepared.class_names == ["background", *"0123456789"]
    assert len({tuple(colour) for colour in prepared.class_colours}) == 11
    assert prepared.label_names == list("0123456789")
    assert prepared.cameras == {}
    assert prepared.sample_names[0] == "train_000000"
    assert prepared.sample_names[-1] == "test_000009"
    assert prepared.split == {
        "train": list(range(22)),
        "val": [22, 23],
        "test": list(range(24, 34)),
    }
    assert prepared.attributes["sample_originals"] == [[n] for n in [*range(24), *range(10)]]
    assert prepared.source_root == source
    assert len(prepared.attributes["source_files"]) == 4
    assert prepared.source_files(0) == {}
    conversion = prepared.attributes["conversion"]
    assert (conversion["seed"], conversion["rotated"], conversion["canvas"]) == (3, "all", SIDE)
    assert (conversion["train"], conversion["val"], conversion["test"]) == (22, 2, 10)
    assert prepared.valid("sphere").all()

    parts = make_parts((None, None, None), 24, 10, "all", 1)
    projector = Projector(prepared.grid, SIDE)
    index = 0
    for part, (images, labels) in zip(
        parts, (tiny_pictures(24, 1), tiny_pictures(24, 1), tiny_pictures(10, 2)), strict=True
    ):
        for number in range(part.count):
            original = part.first + number
            expected = projector.picture(
                images[original], *projector.positions(part.rotation(3, number))
            )
            np.testing.assert_array_equal(prepared.image(index)[:, 0], expected)
            assert prepared.label(index) == labels[original]
            mask = (expected > 150) * (labels[original] + 1)
            np.testing.assert_array_equal(prepared.semantic(index), mask)
            index += 1
    assert np.array_equal(
        prepared.label_frequencies, np.bincount(tiny_pictures(24, 1)[1][:22], minlength=10) / 22
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"nside": 4, "items": 3, "canvas": 17, "train": 30},
        {"grid": "soft", "bandwidth": 5, "tasks": ("label",), "rotated": "test"},
        {"published": True, "bandwidth": 4, "val": 0, "test": 0, "rotation_block": 4},
    ],
)
def test_sets_are_right_and_their_statistics_too(source, tmp_path, arguments):
    make(source, tmp_path / "set", **arguments)
    assert "are whole and right" in verify(tmp_path / "set", progress=False)
    # The same figures as from a pass over the whole set.
    assert "holds these figures already" in statistics(tmp_path / "set", progress=False)


def test_parts_that_are_upright(source, tmp_path):
    make(source, tmp_path / "set", nside=4, rotated="test")
    prepared = PreparedSet.open(tmp_path / "set")
    north = prepared.grid.vectors()[:, 2] > 0.1
    for part, indices in prepared.split.items():
        shown = np.stack([prepared.image(index)[:, 0] for index in indices])
        assert shown[:, north].any() == (part == "test")


@pytest.mark.parametrize("published", [False, True])
def test_each_of_several_items_has_its_class(source, published):
    grid = {"published": True, "bandwidth": 16} if published else {"nside": 16}
    conversion = MnistConversion(str(source), items=4, canvas=20, threshold=120, **grid)
    plan = make_plan(conversion)
    draw = Drawer(plan)
    assert plan.canvas_side == 20
    for index in (0, 5, 30):
        sample = draw(index)
        part, number = plan.part_of(index)
        labels = plan.originals.parts[part.source].labels[sample["originals"]]
        np.testing.assert_array_equal(sample["semantic"] > 0, sample["image"] > 120)
        found = set(np.unique(sample["semantic"]).tolist()) - {0}
        assert found == {int(label) + 1 for label in labels}
        # Whose pixel it is, said by the canvas itself.
        canvas, owner, _ = draw._canvas(part, number)
        vectors = conversion.pixels().vectors() @ part.rotation(42, number).T
        places = published_positions(vectors, 20) if published else canvas_positions(vectors, 20)
        for pixel in np.flatnonzero(sample["semantic"]):
            row, column = np.clip(np.rint(places[pixel]), 0, 19).astype(int)
            assert sample["semantic"][pixel] == owner[row, column]
            assert canvas[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].any()


def test_published_samples(source):
    conversion = MnistConversion(str(source), published=True, bandwidth=6, rotation_block=5)
    plan = make_plan(conversion)
    draw = Drawer(plan)
    vectors = EquiangularGrid(6, "driscoll-healy").vectors()
    images, labels = tiny_pictures(24, 1)
    for index in (0, 7):
        rotation = plan.parts[0].rotation(42, index)
        positions = published_positions(vectors @ rotation.T, SIDE)
        expected = published_picture(images[index], positions)
        sample = draw(index)
        np.testing.assert_array_equal(sample["image"], expected)
        np.testing.assert_array_equal(sample["semantic"], (expected > 150) * (labels[index] + 1))
    np.testing.assert_array_equal(plan.parts[0].rotation(42, 5), plan.parts[0].rotation(42, 9))


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(source, tmp_path):
    arguments = {"nside": 8, "items": 2, "canvas": 16}
    make(source, tmp_path / "one", **arguments)
    make(source, tmp_path / "three", workers=3, **arguments)
    assert tree_bytes(tmp_path / "one") == tree_bytes(tmp_path / "three")


def test_samples_do_not_depend_on_how_many_there_are(source):
    few = Drawer(make_plan(MnistConversion(str(source), nside=4, train=5, val=2)))
    many = Drawer(make_plan(MnistConversion(str(source), nside=4, train=50, val=2)))
    np.testing.assert_array_equal(few(4)["image"], many(4)["image"])
    # Sample 22 shows the first original again, turned otherwise.
    assert many(22)["originals"] == many(0)["originals"] == [0]
    assert (many(22)["image"] != many(0)["image"]).any()


def test_a_full_disk_loses_nothing(source, tmp_path, monkeypatch):
    make(source, tmp_path / "undisturbed", nside=4)
    working, calls = ShardWriter.write, []

    def full_after_a_while(self, *arguments):
        calls.append(arguments)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        return working(self, *arguments)

    monkeypatch.setattr(ShardWriter, "write", full_after_a_while)
    with pytest.raises(RuntimeError, match=r"the disk of .*set is full: .* same command again"):
        make(source, tmp_path / "set", nside=4)
    monkeypatch.undo()
    monkeypatch.setattr(plan_module, "_SHARD_SAMPLES", 7)
    with pytest.raises(ValueError, match="was begun with other arguments: seed is 42 there, 1"):
        make(source, tmp_path / "set", nside=4, seed=1)
    made = []
    monkeypatch.setattr(
        PreparedSetWriter,
        "record",
        lambda self, index, facts, record=PreparedSetWriter.record: (
            made.append(index),
            record(self, index, facts),
        ),
    )
    make(source, tmp_path / "set", nside=4)
    assert made == [3, 4]
    assert tree_bytes(tmp_path / "set") == tree_bytes(tmp_path / "undisturbed")


def test_the_same_call_again(source, tmp_path):
    out = tmp_path / "set"
    make(source, out, nside=2)
    assert "whole already: 34 samples, nothing to do" in make(source, out, nside=2, train=22)
    with pytest.raises(ValueError, match="made with other arguments: nside is 2 there, 4 here"):
        make(source, out, nside=4)
    assert PreparedSet.open(out).grid == HealpixGrid(2)
    make(source, out, nside=4, overwrite=True)
    assert PreparedSet.open(out).grid == HealpixGrid(4)


def test_other_pictures_of_the_same_name(source, tmp_path):
    other = write_idx_folder(tmp_path / "digits", train=25)
    make(source, tmp_path / "set", nside=2, train=3, val=0)
    with pytest.raises(ValueError, match="made with other arguments: files is"):
        make(other, tmp_path / "set", nside=2, train=3, val=0)


def test_equal_pictures_elsewhere_give_an_equal_set(source, tmp_path):
    other = write_idx_folder(tmp_path / "elsewhere")
    make(source, tmp_path / "one", nside=2)
    make(other, tmp_path / "two", nside=2)
    prints = {PreparedSet.open(tmp_path / name).fingerprint for name in ("one", "two")}
    assert len(prints) == 1
    make(other, tmp_path / "three", nside=2, seed=1)
    assert PreparedSet.open(tmp_path / "three").fingerprint not in prints


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": 4, "canvas": 15}, "items=4: a canvas of 15 x 15 holds 1 pictures of 8 x 8"),
        ({"canvas": 7}, "items=1: a canvas of 7 x 7 holds 0 pictures"),
        ({"val": 24}, "leave none to train with"),
        (
            {"nside": 4, "base_pixels": (0, 1), "rotated": "test"},
            r"base_pixels=\(0, 1\) see nothing of an upright canvas",
        ),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_what_does_not_fit_the_source(source, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(source, tmp_path / "set", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_place_inside_the_source(source):
    with pytest.raises(ValueError, match="must not hold each other"):
        make(source, source / "set")


def test_the_data_module_reads_it(source, tmp_path):
    from healswin.data import PreparedDataModule

    make(source, tmp_path / "set", grid="soft", bandwidth=4)
    data = PreparedDataModule(str(tmp_path / "set"), batch_size=4)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 1, 64)
    assert batch["label"].shape == (4,)
    assert data.label_names == list("0123456789")
    assert data.pole == "projection"


@pytest.mark.slow
def test_a_killed_preparation_continues(source, tmp_path):
    def start(out):
        command = [sys.executable, "-m", "data_prep", "mnist", str(source), str(out)]
        return subprocess.Popen(
            [*command, "--nside", "64", "--train", "400", "--workers", "2"],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    assert start(tmp_path / "undisturbed").wait() == 0
    process = start(tmp_path / "set")
    record = tmp_path / "set.partial/.work/finished.jsonl"
    while not (record.exists() and record.read_bytes()) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    assert not (tmp_path / "set").exists()
    assert start(tmp_path / "set").wait() == 0
    assert tree_bytes(tmp_path / "set") == tree_bytes(tmp_path / "undisturbed")


def test_nothing_heavy_is_imported():
    code = "import data_prep.mnist.prepare, sys; print(json.dumps(list(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(shown.stdout))
    assert "data_prep.mnist.prepare" in loaded
    assert not {"torch", "torchvision", "sklearn"} & loaded
