"""Sharded sets: the same bytes as Zarr's, read without it, and never half there."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import xarray
import zarr

from healswin.data import PreparedSet, PreparedSetWriter
from healswin.data.shards import ShardedRows, encode_shard, shard_size
from healswin.data.store import array_metadata, chunk_path, open_rows
from healswin.data.writer import SampleWriter, ShardWriter

SAMPLES, SHARD, BANDWIDTH = 8, 3, 4
PIXELS = 4 * BANDWIDTH**2
ARRAYS = {
    "image": ((SAMPLES, PIXELS, 1), "uint8"),
    "semantic": ((SAMPLES, PIXELS), "uint8"),
    "depth": ((SAMPLES, PIXELS), "float32"),
    "label": ((SAMPLES,), "int64"),
    "valid": ((1, PIXELS), "bool"),
}
SHARDED = ["image", "semantic", "depth", "label"]
LABELS = ["zero", "one", "two"]
PLAN = {"seed": 1}


def values():
    """Every array of the set; sample 1 holds zeros, which Zarr would leave out."""
    random = np.random.default_rng(0)
    whole = {
        "image": random.integers(0, 256, (SAMPLES, PIXELS, 1), dtype=np.uint8),
        "semantic": random.integers(0, 2, (SAMPLES, PIXELS), dtype=np.uint8),
        "depth": random.normal(5, 1, (SAMPLES, PIXELS)).astype(np.float32),
        "label": np.arange(SAMPLES) % len(LABELS),
    }
    for array in whole.values():
        array[1] = 0
    return whole


def attributes():
    return {
        "grid": "soft",
        "bandwidth": BANDWIDTH,
        "pole": "zenith",
        "up": [0.0, 0.0, 1.0],
        "tasks": ["semantic", "depth", "label"],
        "class_names": ["background", "digit"],
        "class_colours": [[0, 0, 0], [255, 160, 0]],
        "class_frequencies": [0.5, 0.5],
        "label_names": LABELS,
        "label_frequencies": [0.4, 0.4, 0.2],
        "ignore_index": 255,
        "cameras": [{"key": "sphere", "calibration": None}],
        "sample_names": [f"digit_{index}" for index in range(SAMPLES)],
        "sample_camera": ["sphere"] * SAMPLES,
        "split": {"train": [0, 1, 2, 3, 4], "val": [5, 6, 7]},
        "image_mean": [0.5],
        "image_std": [0.2],
        "sources": [{} for _ in range(SAMPLES)],
        "source_root": "/nowhere",
    }


def begin(out, plan=PLAN, shard=SHARD, **changes):
    return PreparedSetWriter(out, plan, ARRAYS, shard=shard, **changes)


def fill(writer, shards=range(3)):
    SampleWriter(writer.partial, ["valid"]).write(0, {"valid": np.ones(PIXELS, dtype=bool)})
    chunks, whole = ShardWriter(writer.partial, SHARDED), values()
    for shard in shards:
        part = slice(shard * SHARD, (shard + 1) * SHARD)
        chunks.write(shard, {name: array[part] for name, array in whole.items()})
        writer.record(shard, {"number": shard})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("sharded") / "set"
    with begin(out) as writer:
        assert writer.units == 3
        fill(writer)
        writer.finish(attributes())
    return out


@pytest.fixture
def out(made, tmp_path):
    """A set that a test may spoil."""
    return shutil.copytree(made, tmp_path / "set")


def test_round_trip(made):
    prepared, whole = PreparedSet.open(made), values()
    assert len(prepared) == SAMPLES
    for index in range(SAMPLES):
        np.testing.assert_array_equal(prepared.image(index), whole["image"][index])
        np.testing.assert_array_equal(prepared.semantic(index), whole["semantic"][index])
        np.testing.assert_array_equal(prepared.depth(index), whole["depth"][index])
        assert prepared.label(index) == whole["label"][index]
    assert prepared.image(0).dtype == np.uint8
    assert prepared.depth(0).dtype == np.float32
    assert prepared.label_names == LABELS
    assert prepared.label_frequencies == [0.4, 0.4, 0.2]
    assert prepared.cameras == {}
    assert prepared.valid("sphere").all()
    assert prepared.source_files(0) == {}
    prepared.image(0)[:] = 0  # what is handed out belongs to whoever asked
    np.testing.assert_array_equal(prepared.image(0), whole["image"][0])


def test_plain_zarr_reads_the_same(made):
    group = zarr.open_group(made, mode="r")
    for name, whole in values().items():
        np.testing.assert_array_equal(group[name][:], whole)
        assert group[name].chunks == (1, *whole.shape[1:])
        assert group[name].shards == (SHARD, *whole.shape[1:])
    assert group["valid"].shards is None


def test_xarray_reads_the_same(made):
    data = xarray.open_zarr(made, consolidated=False)
    assert data["image"].dims == ("sample", "pixel", "channel")
    assert data["label"].dims == ("sample",)
    for name, whole in values().items():
        np.testing.assert_array_equal(data[name], whole)


def test_shards_are_those_of_zarr_byte_for_byte(out):
    """But for samples of zeros, which Zarr leaves out of its shards."""
    whole = {name: np.where(array == 0, 1, array) for name, array in values().items()}
    chunks = ShardWriter(out, SHARDED)
    for name, array in whole.items():
        array = array.astype(ARRAYS[name][1])
        ours = {}
        for shard in range(3):
            part = slice(shard * SHARD, (shard + 1) * SHARD)
            chunks.write(shard, {name: array[part]})
            file = chunk_path(out, name, shard, array.ndim)
            ours[file] = file.read_bytes()
            file.unlink()
        zarr.open_array(out / name, mode="r+")[:] = array
        for file, data in ours.items():
            assert file.read_bytes() == data


def test_only_files_of_the_format_are_left(made):
    assert sorted(p.name for p in made.iterdir()) == sorted([*ARRAYS, "zarr.json"])
    assert sorted(p.name for p in (made / "label/c").iterdir()) == ["0", "1", "2"]


def test_a_set_pickles_as_its_path(made):
    prepared = PreparedSet.open(made)
    prepared.image(0)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(prepared)).image(4), values()["image"][4]
    )


def test_the_fingerprint_is_that_of_the_data(made, out):
    prepared = PreparedSet.open(made)
    assert len(prepared.fingerprint) == 64
    metadata = json.loads((out / "zarr.json").read_text())
    metadata["attributes"]["source_root"] = "/elsewhere"
    metadata["attributes"] = dict(reversed(metadata["attributes"].items()))
    (out / "zarr.json").write_text(json.dumps(metadata))
    assert PreparedSet.open(out).fingerprint == prepared.fingerprint
    metadata["attributes"]["split"]["train"] = [0]
    (out / "zarr.json").write_text(json.dumps(metadata))
    assert PreparedSet.open(out).fingerprint != prepared.fingerprint


def test_a_shard_may_hold_more_than_there_is(tmp_path):
    with begin(tmp_path / "set", shard=100) as writer:
        assert writer.units == 1
        ShardWriter(writer.partial, SHARDED).write(0, values())
        assert open_rows(writer.partial, "label").read(7) == 7 % len(LABELS)
        rows = open_rows(writer.partial, "label")
        with pytest.raises(FileNotFoundError, match="does not hold row 8"):
            rows.read(8)


def test_a_lost_shard_is_not_read_as_zeros(out):
    (out / "image/c/1/0/0").unlink()
    prepared = PreparedSet.open(out)
    prepared.image(2)
    with pytest.raises(ValueError, match="chunk 4 of the array 'image' is missing"):
        prepared.image(4)


@pytest.mark.parametrize("where", [0, 40, -70, -30, -2])
def test_damage_anywhere_in_a_shard_is_an_error(out, where):
    """In the head of a sample, its middle, the index and the index's checksum."""
    path = out / "image/c/0/0/0"
    data = bytearray(path.read_bytes())
    data[where] ^= 0x55
    path.write_bytes(data)
    prepared = PreparedSet.open(out)
    with pytest.raises(ValueError, match=r"image/c/0/0/0 is damaged .*convert the set again"):
        [prepared.image(index) for index in range(SHARD)]


def test_damage_of_one_bit_anywhere_is_noticed(out):
    """Every byte of a small shard, one after the other: an error or the right values."""
    path, metadata = out / "label/c/0", array_metadata(out, "label")
    whole = path.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        rows = ShardedRows(out / "label", metadata)
        try:
            found = [int(rows.read(index)) for index in range(SHARD)]
        except ValueError:
            continue
        assert found == values()["label"][:SHARD].tolist()


@pytest.mark.parametrize("length", [0, 3, 20, 100])
def test_a_torn_shard_is_an_error(out, length):
    os.truncate(out / "image/c/0/0/0", length)
    with pytest.raises(ValueError, match="checksum of the shard's index"):
        PreparedSet.open(out).image(0)


def test_other_shards_are_refused(out):
    path = out / "image/zarr.json"
    metadata = json.loads(path.read_text())
    metadata["codecs"][0]["configuration"]["index_location"] = "start"
    path.write_text(json.dumps(metadata))
    assert shard_size(metadata) is None
    with pytest.raises(ValueError, match="describes other shards than this library reads"):
        PreparedSet.open(out).image(0)
    path.write_text("[]")
    with pytest.raises(ValueError, match="does not describe an array"):
        PreparedSet.open(out).image(0)


def test_building_continues_to_the_same_bytes(tmp_path, made):
    with begin(tmp_path / "set") as writer:
        fill(writer, shards=[2, 0])
    record = tmp_path / "set.partial/.work/finished.jsonl"
    record.write_bytes(record.read_bytes() + b'{"index": 1, "num')
    stray = tmp_path / "set.partial/image/c/0/0/0.1234.partial"
    stray.write_bytes(b"half a shard")
    with begin(tmp_path / "set") as writer:
        assert {i: facts["number"] for i, facts in writer.finished.items()} == {2: 2, 0: 0}
        assert not stray.exists()
        with pytest.raises(ValueError, match="lacks 1 shards, first 1"):
            writer.finish(attributes())
        fill(writer, shards=[1])
        writer.finish(attributes())
    files = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    assert len(files) == 4 * 3 + 1 + 6
    for file in files:
        assert (tmp_path / "set" / file).read_bytes() == (made / file).read_bytes()


def test_a_kill_leaves_no_half_shard(tmp_path, monkeypatch):
    """Killed before a file has its name: it is not there, not recorded, and swept."""

    def killed(self, target):
        raise KeyboardInterrupt

    with begin(tmp_path / "set") as writer:
        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.replace", killed)
            with pytest.raises(KeyboardInterrupt):
                fill_shard(writer, 0)
        (stray,) = writer.partial.rglob("*.partial")
        assert stray.parent == writer.partial / "image/c/0/0"
    with begin(tmp_path / "set") as writer:
        assert writer.finished == {}
        assert not stray.exists()
        with pytest.raises(FileNotFoundError):
            open_rows(writer.partial, "image").read(0)


def fill_shard(writer, shard):
    part = slice(shard * SHARD, (shard + 1) * SHARD)
    whole = {name: array[part] for name, array in values().items()}
    ShardWriter(writer.partial, SHARDED).write(shard, whole)


def test_a_recorded_shard_that_is_lost_is_made_again(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
    (tmp_path / "set.partial/label/c/1").unlink()
    with begin(tmp_path / "set") as writer:
        assert list(writer.finished) == [0, 2]


def test_another_size_of_shards_is_another_plan(tmp_path):
    begin(tmp_path / "set").close()
    with pytest.raises(ValueError, match="other arguments: shard is 3 there, 4 here"):
        begin(tmp_path / "set", shard=4)
    with pytest.raises(ValueError, match="other arguments: shard is 3 there, null here"):
        begin(tmp_path / "set", shard=None)
    with begin(tmp_path / "set", shard=4, overwrite=True) as writer:
        assert writer.units == 2


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="shard=0 must be at least 1"):
        begin(tmp_path / "set", shard=0)
    with pytest.raises(ValueError, match="rows holds 4 samples; a shard has 3 places"):
        encode_shard(np.zeros((4, 2)), 3, 1)
    with begin(tmp_path / "set") as writer:
        chunks = ShardWriter(writer.partial, SHARDED)
        with pytest.raises(ValueError, match=r"label of shard 2 is int64 \(3,\), .* int64 \(2,\)"):
            chunks.write(2, {"label": np.zeros(3, dtype=np.int64)})
        with pytest.raises(ValueError, match="label of shard 0 is int32"):
            chunks.write(0, {"label": np.zeros(3, dtype=np.int32)})
        for shard in (3, -1):
            with pytest.raises(ValueError, match=rf"shard={shard}: label has shards 0\.\.2"):
                chunks.write(shard, {"label": np.zeros(0, dtype=np.int64)})
        with pytest.raises(ValueError, match="image has shards, which `ShardWriter` writes"):
            SampleWriter(writer.partial, ["image"])
        with pytest.raises(ValueError, match="valid has no shards, `SampleWriter` writes it"):
            ShardWriter(writer.partial, ["valid"])
        assert not (writer.partial / "label/c").exists()


def test_labels_without_shards(tmp_path):
    """A label may also have a file for every sample, as arrays of large samples do."""
    arrays = {name: ARRAYS[name] for name in ("image", "label", "valid")}
    with PreparedSetWriter(tmp_path / "set", PLAN, arrays) as writer:
        chunks = SampleWriter(writer.partial, list(arrays))
        chunks.write(0, {"valid": np.ones(PIXELS, dtype=bool)})
        for index in range(SAMPLES):
            row = {name: values()[name][index] for name in ("image", "label")}
            chunks.write(index, row)
            writer.record(index, {})
        writer.finish({**attributes(), "tasks": ["label"]})
    prepared = PreparedSet.open(tmp_path / "set")
    assert [prepared.label(index) for index in range(SAMPLES)] == values()["label"].tolist()
    label = zarr.open_array(tmp_path / "set/label", mode="r")
    np.testing.assert_array_equal(label[:], values()["label"])
