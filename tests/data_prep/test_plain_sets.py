"""The tools on sets that no camera took: any grid, one channel, labels, shards."""

import json
import shutil

import cv2
import numpy as np
import pytest
import zarr
from plain_set import COLOURS, LABELS, write_plain_set

from data_prep.describe import describe
from data_prep.preview import preview
from data_prep.statistics import statistics
from data_prep.verify import verify
from healswin.data import PreparedSet
from healswin.data.sources import source_image, source_labels
from healswin.data.views import view_of
from healswin.grid import EquiangularGrid, HealpixGrid

GRIDS = {
    "healpix": HealpixGrid(8),
    "soft": EquiangularGrid(15),
    "driscoll-healy": EquiangularGrid(15, "driscoll-healy"),
}


@pytest.fixture(scope="module", params=GRIDS)
def made(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain") / "set"
    return write_plain_set(out, GRIDS[request.param], ("semantic", "label"))


@pytest.fixture
def copy(tmp_path):
    """A sharded set that may be damaged."""
    return write_plain_set(tmp_path / "set", GRIDS["soft"], ("semantic", "label"))


def change_attributes(root, **attributes):
    metadata = json.loads((root / "zarr.json").read_text(encoding="utf-8"))
    metadata["attributes"].update(attributes)
    (root / "zarr.json").write_text(json.dumps(metadata, indent=2), encoding="utf-8")


def refusal(root):
    with pytest.raises(ValueError, match="is damaged, copy or convert it again") as error:
        verify(root, progress=False)
    return str(error.value)


def cells_of(line):
    return [cell.strip() for cell in line.split("│")]


def test_describe(made):
    text, grid = describe(made), PreparedSet.open(made).grid
    if isinstance(grid, HealpixGrid):
        assert "HEALPix nside 8, nested, base pixels 0, 1" in text
    else:
        assert f"equiangular, {grid.sampling}, bandwidth 15: 30 rings of 30 points" in text
        assert "900, 6.00 degrees from ring to ring" in text
    for part in ("1 channel, uint8", "sphere │ none", *LABELS, "40.000%", "(7,)", "background"):
        assert part in text, part
    files = {cells[1]: cells[4] for cells in map(cells_of, text.splitlines()) if len(cells) == 8}
    assert [files[name] for name in ("image", "label", "valid")] == ["3", "3", "1"]


def test_verify(made):
    text = verify(made, progress=False)
    assert text.startswith("verified: 7 samples, all 22 chunks of image, semantic, label, valid")


@pytest.mark.parametrize("shard", [None, 1, 7, 100])
def test_any_size_of_shards(tmp_path, shard):
    root = write_plain_set(tmp_path / "set", GRIDS["healpix"], shard=shard)
    assert "verified: 7 samples, all 15 chunks" in verify(root, progress=False)
    assert "holds these figures already" in statistics(root, progress=False)


def test_statistics(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "set")
    right = (root / "zarr.json").read_bytes()
    text = statistics(root, progress=False)
    assert "holds these figures already" in text
    assert all(name in text for name in LABELS)
    change_attributes(root, label_frequencies=[0, 0, 0], image_mean=[9], class_frequencies=[])
    assert "stored in" in statistics(root, progress=False)
    assert (root / "zarr.json").read_bytes() == right
    prepared = PreparedSet.open(root)
    assert prepared.label_frequencies == [0.4, 0.4, 0.2]  # of the labels 0, 1, 2, 0, 1
    images = np.stack([prepared.image(index) for index in range(5)])
    np.testing.assert_allclose(prepared.image_mean, [images.mean() / 255], rtol=1e-12)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flipped", "the chunk cannot be read: row 3"),
        ("truncated", "the chunk cannot be read: the checksum of the shard's index"),
        ("missing", "the chunk is missing"),
    ],
)
def test_damaged_shards_are_named(copy, damage, message):
    file = copy / "image/c/1/0/0"
    data = bytearray(file.read_bytes())
    data[9] ^= 0x55
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    assert f"image of sample 3 (stroke_3), image/c/1/0/0: {message}" in refusal(copy)


@pytest.mark.parametrize("label", [3, -1])
def test_labels_that_there_must_not_be(copy, label):
    zarr.open_array(copy / "label", mode="r+")[4] = label
    expected = f"label of sample 4 (stroke_4), label/c/1: the label is {label}, there are 0..2"
    assert expected in refusal(copy)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"label_names": []}, "label_names is missing"),
        ({"label_names": ["a", "b"]}, "label_frequencies has 3 entries for 2 labels"),
        ({"label_frequencies": [1.0, 1.0, 0.0]}, "label_frequencies sum to 2.0, above 1"),
        ({"tasks": ["semantic"]}, "there is an array 'label' that tasks=['semantic']"),
        ({"grid": "cube"}, "grid='cube' is not known"),
        ({"grid": "healpix", "nside": 4, "base_pixels": [0]}, "order is None"),
        ({"bandwidth": 2}, "image is uint8 (7, 900, 1), it should be uint8 (7, 16, 1)"),
        ({"sources": [{"semantic": {"path": "a"}}] * 7}, "class_map is missing"),
    ],
)
def test_attributes_that_contradict_each_other(copy, attributes, message):
    change_attributes(copy, **attributes)
    assert message in refusal(copy)


def test_other_shards_are_named(copy):
    file = copy / "image/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["codecs"][0]["configuration"]["index_location"] = "start"
    file.write_text(json.dumps(metadata))
    assert "image/zarr.json: image has shards of another kind" in refusal(copy)


def test_preview(made, tmp_path):
    names = ("stroke_0", "stroke_1", "stroke_2")
    sheet = cv2.imread(str(preview(made, tmp_path / "sheet.png", names=names)))[..., ::-1]
    for colour in [*COLOURS, (230, 230, 230), (0, 0, 0)]:
        assert (sheet == colour).all(axis=-1).any(), colour
    one = write_plain_set(tmp_path / "one", PreparedSet.open(made).grid)
    sheet = cv2.imread(str(preview(one, tmp_path / "one.png", names=("stroke_1",))))
    # Ball, hemisphere behind and the whole sphere stand in one row.
    assert sheet.shape[1] > 2 * sheet.shape[0]
    # The stroke is in the middle of the ball, wherever it lies on the sphere.
    assert (sheet[110 + 140, 14 + 140] == 230).all()


def test_points_are_shown_ring_below_ring(tmp_path):
    root = write_plain_set(tmp_path / "set", EquiangularGrid(14))  # 28 divides the size of 280
    sheet = cv2.imread(str(preview(root, tmp_path / "sheet.png", names=("stroke_2",))))
    # The last column; every point is a square of 10 pixels.
    plane = sheet[:, -294:-14, 0]
    rows = PreparedSet.open(root).image(2).reshape(28, 28)
    tops = range(sheet.shape[0] - 279)
    assert any(np.array_equal(plane[t + 5 : t + 280 : 10, 5::10], rows) for t in tops)


def test_a_flat_set_has_no_sphere(tmp_path):
    root = write_plain_set(tmp_path / "set", EquiangularGrid(14))
    change_attributes(root, grid="image", height=28, width=28)
    sheet = cv2.imread(str(preview(root, tmp_path / "sheet.png", names=("stroke_2",))))
    rows = PreparedSet.open(root).image(2).reshape(28, 28)
    # Every pixel is a square of 10; no ball, no map of the sphere.
    tops = range(sheet.shape[0] - 279)
    shown = sheet[:, 14:294, 0]
    assert any(np.array_equal(shown[t + 5 : t + 280 : 10, 5::10], rows) for t in tops)
    with pytest.raises(ValueError, match="holds flat images"):
        view_of(PreparedSet.open(root), 0)
    assert "flat image, 28 rows of 28 pixels" in describe(root)
    assert "verified" in verify(root, progress=False)


def test_what_was_projected_is_looked_at(made):
    prepared = PreparedSet.open(made)
    upright, up = view_of(prepared, 0)
    np.testing.assert_allclose(upright, (0, 0, -1), atol=0.05)
    assert up == (-1.0, 0.0, 0.0)
    moved, up = view_of(prepared, 1)
    np.testing.assert_allclose(moved, (-1, 0, 0), atol=0.05)
    assert up == (0.0, 0.0, 1.0)


def test_nothing_stands_out_in_an_empty_sample(copy):
    images = zarr.open_array(copy / "image", mode="r+")
    images[:] = 7
    assert view_of(PreparedSet.open(copy), 0) == ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


def test_there_are_no_source_files(made):
    prepared = PreparedSet.open(made)
    assert source_image(prepared, 0) is None
    assert source_labels(prepared, 0) is None
    assert prepared.cameras == {}
