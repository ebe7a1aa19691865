"""The snippets of docs/data_format.md read sets of every kind, and the page names all there is."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray
from plain_set import LABELS, write_plain_set
from sky_set import write_sky_set

from healswin.data import PreparedSet
from healswin.data.sources import source_labels
from healswin.grid import EquiangularGrid, HealpixGrid

PAGE = Path(__file__).parents[2] / "docs" / "data_format.md"


def run_the_page(folder, monkeypatch):
    """Run all snippets one after the other beside `folder`/set; return what they defined."""
    monkeypatch.chdir(folder)
    text = PAGE.read_text(encoding="utf-8")
    defined: dict = {}
    for snippet in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(snippet, str(PAGE), "exec"), defined)
    return defined


def test_fisheye_images_are_read_with_zarr_and_xarray_alone(prepared, tmp_path, monkeypatch):
    made = PreparedSet.open(prepared(16))
    (tmp_path / "set").symlink_to(made.root)
    defined = run_the_page(tmp_path, monkeypatch)
    np.testing.assert_array_equal(defined["image"], made.image(0))
    np.testing.assert_array_equal(defined["valid"], made.valid(made.sample_camera[0]))
    np.testing.assert_allclose(defined["directions"], made.grid.vectors(), atol=1e-12)
    columns, lines = made.cameras["FV"].project(made.grid.vectors()[defined["valid"]]).T
    np.testing.assert_allclose(defined["columns"][defined["valid"]], columns, atol=1e-9)
    np.testing.assert_allclose(defined["lines"][defined["valid"]], lines, atol=1e-9)
    assert defined["training"].sizes["sample"] == len(made.split["train"])


def test_flat_images_are_read_with_their_places_in_the_source(prepared, tmp_path, monkeypatch):
    made = PreparedSet.open(prepared((20, 32)))
    (tmp_path / "set").symlink_to(made.root)
    defined = run_the_page(tmp_path, monkeypatch)
    np.testing.assert_array_equal(defined["image"], made.image(0))
    np.testing.assert_array_equal(defined["flat"].reshape(640, 3), made.image(0))
    # Where the page says that a pixel lies, the source has the pixel's class.
    truth = source_labels(made, 0)
    columns = np.floor(defined["across"] + 0.5).astype(int)
    lines = np.floor(defined["down"] + 0.5).astype(int)
    labels = np.where(defined["valid"], truth[np.ix_(lines, columns)].ravel(), 255)
    np.testing.assert_array_equal(made.semantic(0), labels)


def test_maps_of_the_sky_are_read_too(tmp_path, monkeypatch):
    made = PreparedSet.open(write_sky_set(tmp_path / "set"))
    defined = run_the_page(tmp_path, monkeypatch)
    np.testing.assert_array_equal(defined["image"], made.image(0))
    assert np.isfinite(defined["by_name"]).sum() == made.valid("sky_0").sum()


@pytest.mark.parametrize("shard", [None, 3])
@pytest.mark.parametrize(
    "grid", [HealpixGrid(4), EquiangularGrid(5), EquiangularGrid(5, "driscoll-healy")]
)
def test_sets_without_a_camera_are_read_on_every_grid(tmp_path, monkeypatch, grid, shard):
    root = write_plain_set(tmp_path / "set", grid, ("semantic", "label"), shard=shard)
    made = PreparedSet.open(root)
    defined = run_the_page(tmp_path, monkeypatch)
    np.testing.assert_array_equal(defined["image"], made.image(0))
    np.testing.assert_allclose(defined["directions"], grid.vectors(), atol=1e-12)
    assert defined["name_of_label"] == LABELS[made.label(0)]
    assert len(defined["files"]) == (7 if shard is None else 3)
    assert ("values" in defined) == (shard is not None)
    if isinstance(grid, EquiangularGrid):
        assert defined["rows_and_columns"].shape == (10, 10, 1)


def test_xarray_sees_the_values_as_they_are(prepared):
    made = PreparedSet.open(prepared(16))
    data = xarray.open_zarr(made.root, consolidated=False)
    assert data["image"].dims == ("sample", "pixel", "channel")
    assert data["valid"].dims == ("camera", "pixel")
    for name, read in (("image", made.image), ("semantic", made.semantic), ("depth", made.depth)):
        # Zeros stay zeros: no fill value stands for what is missing.
        assert data[name].dtype == read(1).dtype
        np.testing.assert_array_equal(data[name][1], read(1))


@pytest.mark.parametrize("kind", ["street", "flat", "sky", "plain"])
def test_the_page_names_every_attribute_and_array(prepared, tmp_path, kind):
    if kind == "street":
        root = prepared(16)
    elif kind == "flat":
        root = prepared((20, 32))
    elif kind == "sky":
        root = write_sky_set(tmp_path / "set")
    else:
        root = write_plain_set(tmp_path / "set", EquiangularGrid(4), ("semantic", "label"))
    text = PAGE.read_text(encoding="utf-8")
    attributes = json.loads((root / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    arrays = [path.name for path in root.iterdir() if path.is_dir()]
    for name in [*attributes, *arrays]:
        assert f"`{name}`" in text, name
