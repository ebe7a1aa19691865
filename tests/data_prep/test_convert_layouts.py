"""Every layout through the command: with its defaults, as a user would."""

import dataclasses
import json

import cv2
import data_prep_layouts as layouts
import healpy
import numpy as np
import pytest
from synwoodscape_folder import tiny_camera, write_synwoodscape

from data_prep.cli import main
from data_prep.conversion import Conversion
from data_prep.convert import convert
from data_prep.readers import READERS
from data_prep.verify import verify
from healswin.cameras import EquirectangularCamera
from healswin.data import PreparedDataModule, PreparedSet
from healswin.grid import HealpixGrid
from healswin.resample import ImageToGrid

WRITERS = {
    "woodscape": layouts.write_woodscape,
    "synwoodscape": write_synwoodscape,
    "kitti360": layouts.write_kitti360,
    "folder": layouts.write_folder,
    "panorama": layouts.write_panoramas,
    "healpix": layouts.write_healpix,
}


@pytest.mark.parametrize("reader", sorted(READERS))
def test_with_the_reader_s_defaults(reader, tmp_path, capsys):
    source, out = WRITERS[reader](tmp_path / "source"), str(tmp_path / "set")
    command = ["convert", "--reader", reader, str(source), out, "--nside", "8"]
    assert main([*command, "--dry-run"]) == 0
    foretold = capsys.readouterr().out
    assert not (tmp_path / "set.partial").exists()
    assert main(command) == 0
    prepared = PreparedSet.open(out)
    assert f"{len(prepared)} frames" in foretold
    assert set(prepared.split) == {"train", "val"}
    whole = reader in ("panorama", "healpix")
    assert prepared.grid == HealpixGrid(8, range(12 if whole else 8))
    assert prepared.pole == ("zenith" if whole else "camera")
    assert prepared.tasks == ([] if reader in ("kitti360", "healpix") else ["semantic"])
    for index in range(len(prepared)):
        valid = prepared.valid(prepared.sample_camera[index])
        assert valid.any()
        assert (prepared.image(index)[~valid] == 0).all()
        assert np.ptp(prepared.image(index)[valid].astype(float)) > 0
    batch = next(iter(PreparedDataModule(out, batch_size=2).val_dataloader()))
    assert batch["image"].shape[1:] == (prepared.num_channels, prepared.grid.num_pixels)
    # The same command again, and what it leaves to the source, is not another conversion.
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_maps_keep_their_values(tmp_path):
    source = layouts.write_healpix(tmp_path / "source", nside=8)
    convert(Conversion(source, reader="healpix", nside=8), tmp_path / "set", progress=False)
    prepared = PreparedSet.open(tmp_path / "set")
    ring = layouts.map_values(0, 8)
    nested = np.stack([healpy.reorder(channel, r2n=True) for channel in ring], axis=1)
    known = (np.isfinite(nested) & (nested > -1e30)).all(axis=1)
    assert prepared.cameras == {}
    assert prepared.image_dtype == "float32"
    for index, name in enumerate(prepared.sample_names):
        np.testing.assert_array_equal(prepared.valid(name), known)
        np.testing.assert_allclose(prepared.image(index), np.where(known[:, None], nested, 0))
        assert prepared.image(index).dtype == np.float32
    values = nested[known].astype(np.float64)
    np.testing.assert_allclose(prepared.image_mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(prepared.image_std, values.std(axis=0), rtol=1e-6)


def test_a_panorama_has_its_zenith_at_the_pole(tmp_path):
    source = layouts.write_panoramas(tmp_path / "source", width=64)
    height = np.repeat(np.arange(32, dtype=np.uint8)[:, None], 64, axis=1)
    for file in (source / "images").iterdir():
        file.unlink()
        cv2.imwrite(str(file.with_suffix(".png")), np.stack([height * 8] * 3, axis=2))
    conversion = Conversion(source, reader="panorama", nside=16, tasks=("semantic", "depth"))
    convert(conversion, tmp_path / "set", progress=False)
    prepared = PreparedSet.open(tmp_path / "set")
    assert prepared.valid("panorama").all()
    assert prepared.up == (0.0, 0.0, 1.0)
    colatitude, _ = prepared.grid.angles()
    row = np.clip(colatitude / np.pi * 32 - 0.5, 0, 31)
    np.testing.assert_allclose(prepared.image(0)[:, 0], 8 * row, atol=0.51)
    camera = EquirectangularCamera(width=64, height=32, name="panorama")
    assert prepared.cameras["panorama"] == camera
    depth = prepared.depth(0)
    assert np.isposinf(depth[colatitude < 0.2]).all()


def test_one_camera_four_ways(tmp_path):
    """The same picture and lens as WoodScape, folder with JSON, with our YAML, as one camera."""
    image = layouts.picture(3)
    arrays = []
    camera = tiny_camera("FV")
    for suffix in (".json", ".yaml"):
        source = tmp_path / suffix
        layouts.write_image(source / "front.png", image)
        if suffix == ".json":
            layouts.write_calibration(source / "front.json")
        else:
            import yaml

            (source / "front.yaml").write_text(yaml.safe_dump(camera.to_dict()))
        conversion = Conversion(source, reader="folder", nside=16)
        convert(conversion, source.with_name(f"set{suffix}"), progress=False)
        prepared = PreparedSet.open(source.with_name(f"set{suffix}"))
        assert prepared.split == {"train": [0]}
        arrays.append(prepared.image(0))
    np.testing.assert_array_equal(arrays[0], arrays[1])
    np.testing.assert_array_equal(arrays[0], ImageToGrid(camera, prepared.grid).bilinear(image))


def test_the_own_vehicle_is_not_valid(tmp_path):
    source = write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV", "RV"))
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[30:] = 255
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks/FV.png"), mask)
    tasks = ("semantic", "depth")
    masked = Conversion(source, nside=16, tasks=tasks, own_vehicle=tmp_path / "masks")
    convert(masked, tmp_path / "set", progress=False)
    convert(Conversion(source, nside=16, tasks=tasks), tmp_path / "whole", progress=False)
    prepared, whole = (PreparedSet.open(tmp_path / name) for name in ("set", "whole"))
    table = ImageToGrid(tiny_camera("FV"), prepared.grid)
    hidden = table.nearest(mask, 0) == 255
    assert hidden.any()
    np.testing.assert_array_equal(prepared.valid("FV"), whole.valid("FV") & ~hidden)
    np.testing.assert_array_equal(prepared.valid("RV"), whole.valid("RV"))
    assert (prepared.image(0)[hidden] == 0).all()
    assert (prepared.semantic(0)[hidden] == 255).all()
    assert np.isnan(prepared.depth(0)[hidden]).all()
    seen = prepared.valid("FV")
    np.testing.assert_array_equal(prepared.image(0)[seen], whole.image(0)[seen])
    assert list(prepared.attributes["own_vehicle"]) == ["FV"]

    void = dataclasses.replace(masked, invalid="void")
    convert(void, tmp_path / "void", progress=False)
    labels = PreparedSet.open(tmp_path / "void").semantic(0)
    assert (labels[hidden & whole.valid("FV")] == 255).all()
    assert (labels[~whole.valid("FV")] == 0).all()
    assert "are whole and right" in verify(tmp_path / "void", progress=False)


def test_antialiasing_averages(tmp_path):
    """A chequered image is grey on a grid that is much coarser than it."""
    source = write_synwoodscape(tmp_path / "source", scenes=2, cameras=("FV",))
    row, column = np.indices((48, 64))
    chequered = np.where((row + column) % 2, 255, 0).astype(np.uint8)
    for file in (source / "rgb_images").iterdir():
        cv2.imwrite(str(file), np.stack([chequered] * 3, axis=2))
    spread = {}
    for antialias in (False, True):
        out = tmp_path / f"set{antialias}"
        convert(Conversion(source, nside=4, antialias=antialias), out, progress=False)
        prepared = PreparedSet.open(out)
        spread[antialias] = prepared.image(0)[prepared.valid("FV")].std()
    assert spread[True] < spread[False] / 3


def test_a_pose_that_is_not_known_is_refused_where_it_matters(tmp_path):
    source = layouts.write_folder(tmp_path / "source", cameras=())
    calibration = json.loads((source / "calibration.json").read_text())
    del calibration["extrinsic"]["quaternion"]
    (source / "calibration.json").write_text(json.dumps(calibration))
    conversion = Conversion(source, reader="folder", nside=4)
    for pole in ("vehicle", "zenith"):
        with pytest.raises(ValueError, match=rf"0000.png: pole='{pole}' needs the camera's pose"):
            convert(dataclasses.replace(conversion, pole=pole), tmp_path / "set", progress=False)
    convert(conversion, tmp_path / "set", progress=False)
    assert PreparedSet.open(tmp_path / "set").cameras["FV"].quaternion is None


def test_a_dry_run_tells_what_would_be_skipped_and_what_is_there(tmp_path):
    source = layouts.write_woodscape(tmp_path / "source", frames=4)
    conversion, out = Conversion(source, reader="woodscape", nside=8), tmp_path / "set"
    image = source / "rgb_images/00001_RV.png"
    good = image.read_bytes()
    damaged = bytearray(good)
    damaged[len(damaged) // 2] ^= 0xFF
    image.write_bytes(damaged)
    text = convert(conversion, out, dry_run=True, on_error="skip", progress=False)
    assert f"would skip 00001_RV: {image} is truncated or damaged" in text
    assert "would read 3 frames" in text
    image.write_bytes(good)
    convert(conversion, out, progress=False)
    assert "nothing to do" in convert(conversion, out, dry_run=True, progress=False)
    with pytest.raises(ValueError, match="made with other arguments: nside is 8 there, 4 here"):
        convert(dataclasses.replace(conversion, nside=4), out, dry_run=True, progress=False)


def test_a_grid_that_no_memory_holds_is_refused(tmp_path):
    source = layouts.write_woodscape(tmp_path / "source", frames=2)
    conversion = Conversion(source, reader="woodscape", nside=8192)
    with pytest.raises(ValueError, match="nside=8192 with 8 base pixels has 536870912 pixels"):
        convert(conversion, tmp_path / "set", progress=False)
