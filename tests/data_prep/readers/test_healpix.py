import gzip

import healpy
import numpy as np
import pytest
from astropy.io import fits
from data_prep_layouts import map_values, write_healpix, write_npy

from data_prep.readers import HealpixReader
from healswin.resample import HealpixMap

PIXELS = 12 * 4**2


def read(root):
    """The image of the only file, checked and decoded."""
    reader = HealpixReader(root)
    (frame,) = reader.frames(())
    reader.check(frame, reader.calibration(frame))
    path = root / frame.files["image"]
    return reader.image(path.read_bytes(), str(path))


def table(columns, **keys):
    header = fits.Header({"ORDERING": "RING", "NSIDE": 4, **keys})
    return fits.BinTableHDU.from_columns(columns, header)


def column(values, name="I", form="E"):
    return fits.Column(name, form, array=values)


def test_one_map_in_four_files(tmp_path):
    write_healpix(tmp_path)
    reader = HealpixReader(tmp_path)
    frames = reader.frames(())
    assert [frame.name for frame in frames] == ["a_ring", "b_nested", "more_c", "more_d_nest"]
    assert len({(frame.camera, frame.scene) for frame in frames}) == 4
    expected = map_values(0)
    expected[np.isclose(expected, healpy.UNSEEN)] = np.nan
    for frame in frames:
        source = reader.calibration(frame)
        reader.check(frame, source)
        order = "nested" if "nest" in frame.name else "ring"
        assert source == HealpixMap(8, order, frame.name)
        file = frame.files["image"]
        image = reader.image((tmp_path / file).read_bytes(), file)
        if order == "nested":
            image = image[healpy.ring2nest(8, np.arange(len(image)))]
        np.testing.assert_array_equal(image, expected.T)
    assert reader.image_format(frames) == (2, "float32")


def test_a_part_of_the_sphere(tmp_path):
    values = np.full(12 * 64**2, healpy.UNSEEN)
    values[[3, 40000, 7]] = [1.5, -2, 0]
    healpy.write_map(tmp_path / "a.fits", values, partial=True, dtype=np.float64)
    image = read(tmp_path)
    expected = np.where(values == healpy.UNSEEN, np.nan, values)
    np.testing.assert_array_equal(image, expected[:, None].astype(np.float32))


def test_rows_may_be_vectors_and_columns_whole_numbers(tmp_path):
    values = np.arange(PIXELS)
    counts = fits.Column("HITS", "16J", null=5, array=values.reshape(-1, 16))
    rows = [fits.Column("I", "16E", array=values.reshape(-1, 16) / 2), counts]
    table(rows).writeto(tmp_path / "a.fits")
    image = read(tmp_path)
    np.testing.assert_array_equal(image[:, 0], np.float32(values / 2))
    np.testing.assert_array_equal(image[:, 1], np.where(values == 5, np.nan, values))


def test_the_first_table_that_is_a_map_counts(tmp_path):
    notes = fits.BinTableHDU.from_columns([column(np.zeros(3), "NOTES")])
    maps = [table([column(np.full(PIXELS, value))]) for value in (1.0, 2.0)]
    fits.HDUList([fits.PrimaryHDU(), notes, *maps]).writeto(tmp_path / "a.fits")
    image = read(tmp_path)
    np.testing.assert_array_equal(image, np.ones((PIXELS, 1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64, bool])
def test_npy_files_hold_any_numbers(tmp_path, dtype):
    values = np.arange(PIXELS).astype(dtype)
    write_npy(tmp_path / "a.npy", values)
    reader = HealpixReader(tmp_path)
    (frame,) = reader.frames(())
    image = reader.image((tmp_path / "a.npy").read_bytes(), "a.npy")
    np.testing.assert_array_equal(image, values[:, None].astype(np.float32))
    assert reader.calibration(frame) == HealpixMap(4, "ring", "a")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.6375e30, -1.63750001e30, 1e300])
def test_pixels_without_a_value(tmp_path, value):
    values = np.ones(PIXELS)
    values[7] = value
    write_npy(tmp_path / "a.npy", values)
    image = read(tmp_path)
    assert np.isnan(image[7, 0])
    assert np.isfinite(image).sum() == PIXELS - 1


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda: fits.PrimaryHDU(np.zeros((4, 4))), "holds no table with the key ORDERING"),
        (lambda: table([column(np.ones(PIXELS))], ORDERING="SPIRAL"), "ORDERING is 'SPIRAL'"),
        (lambda: table([column(np.ones(PIXELS))], NSIDE="four"), "lacks the key NSIDE"),
        (lambda: table([column(np.ones(12 * 3**2))], NSIDE=3), "is no HEALPix map: nside=3"),
        (lambda: table([column(np.ones(100))]), "'I' holds 100 values, NSIDE=4 has 192 pixels"),
        (
            lambda: table([column(np.full(PIXELS, "x"), "NAME", "1A")]),
            "column 'NAME' holds no numbers",
        ),
        (
            lambda: table([column(np.ones(5))], INDXSCHM="EXPLICIT"),
            "the column PIXEL is missing",
        ),
    ],
)
def test_fits_files_that_are_no_map(tmp_path, made, match):
    made().writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=rf"a\.fits.*{match}"):
        read(tmp_path)


def test_columns_have_names(tmp_path):
    path = tmp_path / "a.fits"
    table([column(np.ones(PIXELS))]).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"TTYPE1  =", b"NOTHING ="))
    with pytest.raises(ValueError, match=r"a\.fits lacks the key TTYPE1, the name of a column"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("pixels", "match"),
    [([0, 192], "PIXEL is 0 to 192, the map has 192 pixels"), ([4, 4], "names a pixel twice")],
)
def test_pixels_that_are_not_there(tmp_path, pixels, match):
    columns = [column(pixels, "PIXEL", "J"), column(np.ones(2))]
    table(columns, INDXSCHM="EXPLICIT").writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=rf"a\.fits.*{match}"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.npy"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.99])
def test_truncated_files(tmp_path, name, keep):
    path = tmp_path / name
    if name == "a.npy":
        write_npy(path, map_values(0))
    else:
        healpy.write_map(path, map_values(0), dtype=np.float32)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ValueError, match=rf"{name} (is truncated|is no whole|holds no table)"):
        read(tmp_path)


def test_damaged_archives(tmp_path):
    whole = gzip.compress(b"no map")
    (tmp_path / "a.fits.gz").write_bytes(whole)
    with pytest.raises(ValueError, match=r"a\.fits\.gz is no whole FITS file"):
        read(tmp_path)
    for damaged in (whole[:-3] + b"xyz", whole[:-9]):
        (tmp_path / "a.fits.gz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.fits\.gz is truncated or damaged"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.ones(100), r"float64 of shape \(1, 100\).* 12 nside\^2 pixels are needed"),
        (np.ones((PIXELS, 2)), r"of shape \(192, 2\)"),
        (np.ones((1, 1, PIXELS)), r"of shape \(1, 1, 192\)"),
        (np.ones(0), r"of shape \(1, 0\)"),
        (np.full(PIXELS, "x"), r"numbers of shape"),
    ],
)
def test_arrays_that_are_no_map(tmp_path, values, match):
    write_npy(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match=rf"a\.npy holds .*{match}"):
        read(tmp_path)


def test_all_maps_have_the_same_channels(tmp_path):
    write_npy(tmp_path / "a.npy", np.ones((2, PIXELS)))
    write_npy(tmp_path / "b.npy", np.ones((3, PIXELS)))
    reader = HealpixReader(tmp_path)
    first, second = reader.frames(())
    reader.check(first, reader.calibration(first))
    with pytest.raises(ValueError, match=r"b\.npy has 3 channels, a\.npy has 2"):
        reader.check(second, reader.calibration(second))


def test_doubled_names(tmp_path):
    write_npy(tmp_path / "a/b.npy", np.ones(PIXELS))
    write_npy(tmp_path / "a_b.npy", np.ones(PIXELS))
    with pytest.raises(ValueError, match=r"the name a_b is doubled: .*a/b\.npy and .*a_b\.npy"):
        HealpixReader(tmp_path).frames(())
