"""The prepared set: what is refused, what survives, what is read back."""

import json
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
import zarr

from healswin.cameras import RadialPolynomialCamera
from healswin.data import PreparedDataModule, PreparedSet, PreparedSetWriter
from healswin.data.store import chunk_path
from healswin.data.writer import SampleWriter, plan_differences

PIXELS = 8 * 4**2
ARRAYS = {
    "image": ((3, PIXELS, 3), "uint8"),
    "semantic": ((3, PIXELS), "uint8"),
    "valid": ((2, PIXELS), "bool"),
}
PLAN = {"nside": 4, "tasks": ["semantic"]}


def attributes():
    cameras = [
        RadialPolynomialCamera(coefficients=(20.0,), width=64, height=48, name=name)
        for name in ("FV", "RV")
    ]
    return {
        "nside": 4,
        "grid": "healpix",
        "base_pixels": list(range(8)),
        "pole": "camera",
        "up": [0.0, -1.0, 0.0],
        "tasks": ["semantic"],
        "class_names": ["void", "road"],
        "class_colours": [[0, 0, 0], [100, 90, 120]],
        "class_frequencies": [0.5, 0.5],
        "ignore_index": 255,
        "cameras": [{"key": c.name, "calibration": c.to_dict()} for c in cameras],
        "sample_names": ["1_FV", "1_RV", "2_FV"],
        "sample_camera": ["FV", "RV", "FV"],
        "split": {"train": [0, 1], "val": [2]},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.2, 0.2, 0.2],
        "sources": [{"image": {"path": f"{i}.png"}} for i in range(3)],
        "source_root": "/nowhere",
    }


def rows(index):
    random = np.random.default_rng(index)
    return {
        "image": random.integers(0, 256, (PIXELS, 3), dtype=np.uint8),
        "semantic": random.integers(0, 2, PIXELS, dtype=np.uint8),
    }


def begin(out, plan=PLAN, overwrite=False):
    return PreparedSetWriter(out, plan, ARRAYS, overwrite)


def fill(writer, samples=range(3)):
    chunks = SampleWriter(writer.partial, list(ARRAYS))
    for camera in range(2):
        chunks.write(camera, {"valid": np.arange(PIXELS) % (camera + 2) == 0})
    for index in samples:
        chunks.write(index, rows(index))
        writer.record(index, {"number": index})


@pytest.fixture
def out(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
        writer.finish(attributes())
    return tmp_path / "set"


def test_round_trip(out):
    prepared = PreparedSet.open(out)
    assert len(prepared) == 3
    for index in range(3):
        np.testing.assert_array_equal(prepared.image(index), rows(index)["image"])
        np.testing.assert_array_equal(prepared.semantic(index), rows(index)["semantic"])
    np.testing.assert_array_equal(prepared.valid("RV"), np.arange(PIXELS) % 3 == 0)
    assert prepared.grid.num_pixels == PIXELS
    assert list(prepared.cameras) == ["FV", "RV"]
    assert prepared.source_files(2) == {"image": "2.png"}
    assert prepared.num_channels == 3


def test_maps_of_floats_have_no_camera(tmp_path):
    """A set of two-channel maps of the sky, each with its own mask, as training sees it."""
    random = np.random.default_rng(0)
    maps = random.normal(1e3, 2, (3, PIXELS, 2)).astype(np.float32)
    masks = random.random((3, PIXELS)) < 0.5
    arrays = {"image": ((3, PIXELS, 2), "float32"), "valid": ((3, PIXELS), "bool")}
    with PreparedSetWriter(tmp_path / "sky", PLAN, arrays) as writer:
        chunks = SampleWriter(writer.partial, list(arrays))
        for index in range(3):
            values = np.where(masks[index][:, None], maps[index], np.float32(0))
            chunks.write(index, {"image": values, "valid": masks[index]})
            writer.record(index, {})
        calibration = {"intrinsic": {"model": "healpix", "nside": 4, "order": "ring"}, "name": ""}
        changed = {
            "tasks": [],
            "image_dtype": "float32",
            "cameras": [{"key": key, "calibration": calibration} for key in "abc"],
            "sample_camera": list("abc"),
            "image_mean": [1e3, 1e3],
            "image_std": [2.0, 2.0],
        }
        writer.finish({**attributes(), **changed})
    prepared = PreparedSet.open(tmp_path / "sky")
    assert prepared.cameras == {}
    assert (prepared.image_dtype, prepared.num_channels) == ("float32", 2)
    batch = next(iter(PreparedDataModule(str(prepared.root)).val_dataloader()))
    np.testing.assert_array_equal(batch["valid"][0], masks[2])
    expected = (maps[2][masks[2]] - 1e3) / 2
    np.testing.assert_allclose(batch["image"][0].numpy().T[masks[2]], expected, rtol=1e-6)


def test_sets_that_do_not_say_their_dtype_hold_bytes(out):
    assert "image_dtype" not in PreparedSet.open(out).attributes
    assert PreparedSet.open(out).image_dtype == "uint8"


def test_zarr_alone_can_read_it(out):
    group = zarr.open_group(out, mode="r")
    assert group.attrs["complete"] is True
    np.testing.assert_array_equal(group["image"][1], rows(1)["image"])
    assert group["image"].chunks == (1, PIXELS, 3)


def test_only_the_set_is_left(out):
    assert [path.name for path in out.parent.iterdir()] == ["set"]
    names = sorted(path.name for path in out.iterdir())
    assert names == ["image", "semantic", "valid", "zarr.json"]


def test_rows_of_zeros_are_written(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
        chunks = SampleWriter(writer.partial, list(ARRAYS))
        for index in range(3):
            chunks.write(index, {name: np.zeros_like(row) for name, row in rows(index).items()})
        writer.finish(attributes())
    assert not PreparedSet.open(tmp_path / "set").image(2).any()


def test_a_lost_field_of_view_is_noticed_before_the_set_has_its_name(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
        chunk_path(writer.partial, "valid", 1, 2).unlink()
        with pytest.raises(ValueError, match="has lost row 1 of 'valid'"):
            writer.finish(attributes())
    assert not (tmp_path / "set").exists()


def test_a_refused_place_is_left_as_it_was(tmp_path):
    (tmp_path / "set").write_text("somebody's file")
    with pytest.raises(ValueError, match="is no prepared data set"):
        begin(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_set_pickles_as_its_path(out):
    prepared = PreparedSet.open(out)
    prepared.image(0)
    data = pickle.dumps(prepared)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).image(1), rows(1)["image"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_the_same_set(out, method):
    prepared = PreparedSet.open(out)
    # Reading starts Zarr's thread here, which a forked child does not have.
    expected = [prepared.image(index).sum() for index in range(3)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        images = pool.map(prepared.image, range(3))
    assert [image.sum() for image in images] == expected


def test_what_is_not_there(out):
    prepared = PreparedSet.open(out)
    for index in (-1, 3):
        with pytest.raises(IndexError, match=r"holds samples 0\.\.2"):
            prepared.image(index)
    with pytest.raises(ValueError, match="holds no 'depth', only image, semantic"):
        prepared.depth(0)
    with pytest.raises(ValueError, match=r"camera='MVL' is none of .*\['FV', 'RV'\]"):
        prepared.valid("MVL")


def test_a_lost_chunk_is_not_read_as_zeros(out):
    (out / "image/c/1/0/0").unlink()
    prepared = PreparedSet.open(out)
    prepared.image(0)
    with pytest.raises(ValueError, match="chunk 1 of the array 'image' is missing"):
        prepared.image(1)


def test_a_damaged_chunk_is_an_error(out):
    path = out / "image/c/1/0/0"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"image/c/1/0/0 is damaged .*convert the set again"):
        PreparedSet.open(out).image(1)


def test_a_lost_array_is_refused(out):
    shutil.rmtree(out / "semantic")
    with pytest.raises(ValueError, match="lost its array 'semantic'"):
        PreparedSet.open(out)


def test_no_set(tmp_path):
    with pytest.raises(ValueError, match="missing does not exist: a prepared data set is needed"):
        PreparedSet.open(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no zarr.json"):
        PreparedSet.open(tmp_path)
    (tmp_path / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON file"):
        PreparedSet.open(tmp_path)


def test_another_zarr_group_is_refused(tmp_path):
    zarr.create_group(tmp_path / "other", zarr_format=3, attributes={"a": 1})
    with pytest.raises(ValueError, match="is no prepared data set"):
        PreparedSet.open(tmp_path / "other")


def test_another_format_version_is_refused(out):
    metadata = json.loads((out / "zarr.json").read_text())
    metadata["attributes"]["format_version"] = 99
    (out / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"format version 99, .*reads version 1"):
        PreparedSet.open(out)


def test_an_unfinished_set_is_refused(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer, samples=[0])
        with pytest.raises(ValueError, match="lacks 2 samples, first 1"):
            writer.finish(attributes())
    for name in ("set", "set.partial"):
        with pytest.raises(ValueError, match="continues where it stopped"):
            PreparedSet.open(tmp_path / name)


def test_building_continues(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer, samples=[2, 0])
    with begin(tmp_path / "set") as writer:
        assert {i: facts["number"] for i, facts in writer.finished.items()} == {2: 2, 0: 0}
        fill(writer, samples=[1])
        writer.finish(attributes())
    np.testing.assert_array_equal(PreparedSet.open(tmp_path / "set").image(0), rows(0)["image"])


def test_a_torn_line_is_dropped_for_good(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer, samples=[0])
    record = tmp_path / "set.partial/.work/finished.jsonl"
    record.write_bytes(record.read_bytes() + b'{"index": 1, "num')
    with begin(tmp_path / "set") as writer:
        assert list(writer.finished) == [0]
        fill(writer, samples=[2])
    with begin(tmp_path / "set") as writer:
        assert list(writer.finished) == [0, 2]


def test_a_recorded_sample_without_its_chunk_is_made_again(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
    (tmp_path / "set.partial/semantic/c/1/0").unlink()
    with begin(tmp_path / "set") as writer:
        assert list(writer.finished) == [0, 2]


def test_temporary_files_are_swept(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer, samples=[0])
        stray = writer.partial / "image/c/0/0/0.deadbeef.partial"
        stray.write_bytes(b"half a chunk")
    with begin(tmp_path / "set"):
        assert not stray.exists()


def test_another_plan_is_refused_or_begins_anew(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer, samples=[0])
    other = {**PLAN, "nside": 8}
    with pytest.raises(ValueError, match=r"other arguments: nside is 4 there, 8 here"):
        begin(tmp_path / "set", other)
    with begin(tmp_path / "set", other, overwrite=True) as writer:
        assert writer.finished == {}
        assert not (writer.partial / "image/c").exists()


def test_a_whole_set_stays_until_the_new_one_is_whole(out):
    with pytest.raises(ValueError, match="exists: say --overwrite"):
        begin(out)
    with begin(out, overwrite=True) as writer:
        fill(writer, samples=[0, 1])
        assert len(PreparedSet.open(out)) == 3
    with begin(out, overwrite=True) as writer:
        assert list(writer.finished) == [0, 1]
        fill(writer, samples=[2])
        changed = {**attributes(), "pole": "vehicle"}
        writer.finish(changed)
    assert PreparedSet.open(out).pole == "vehicle"
    assert sorted(path.name for path in out.parent.iterdir()) == ["set"]
    assert not (out / ".work").exists()


def test_one_writer_at_a_time(tmp_path):
    with (
        begin(tmp_path / "set"),
        pytest.raises(ValueError, match="another conversion is writing"),
    ):
        begin(tmp_path / "set")
    begin(tmp_path / "set").close()


def test_a_strange_folder_in_the_way_is_not_touched(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not made by a conversion"):
        begin(tmp_path / "set", overwrite=True)
    assert (tmp_path / "set.partial/notes.txt").read_text() == "mine"


def test_attributes_that_are_no_json_are_refused(tmp_path):
    with begin(tmp_path / "set") as writer:
        fill(writer)
        with pytest.raises(ValueError, match="JSON"):
            writer.finish({**attributes(), "image_mean": [float("nan")]})
    assert not (tmp_path / "set").exists()


def test_rows_of_another_shape_or_type_are_refused(tmp_path):
    with begin(tmp_path / "set") as writer:
        chunks = SampleWriter(writer.partial, list(ARRAYS))
        for wrong in (np.zeros((PIXELS, 4), np.uint8), np.zeros((PIXELS, 3), np.float32)):
            with pytest.raises(ValueError, match=r"image of sample 0 is .* rows are uint8"):
                chunks.write(0, {"image": wrong})


def test_differences_are_told_by_name():
    begun = {"a": 1, "b": {"c": 2, "d": 3}, "e": "x" * 200}
    assert plan_differences(begun, begun) == ""
    assert plan_differences(begun, {**begun, "a": 2}) == "a is 1 there, 2 here"
    assert plan_differences(begun, {**begun, "b": {"c": 5, "d": 3}}) == "c is 2 there, 5 here"
    assert len(plan_differences(begun, {"a": 1, "b": begun["b"]})) < 120
