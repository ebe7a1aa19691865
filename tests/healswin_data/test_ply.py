"""Point clouds that are written, read back, and read by a reader of its own."""

import struct

import numpy as np
import pytest

from healswin.data.ply import read_ply, write_ply

POINTS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
COLOURS = np.random.default_rng(1).integers(0, 256, (7, 3), dtype=np.uint8)


def twin(path):
    """Read a file byte by byte, as the format's description says."""
    data = path.read_bytes()
    header, body = data.split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[0] == "ply"
    assert lines[1] == "format binary_little_endian 1.0"
    count, properties = 0, []
    for line in lines[2:]:
        words = line.split()
        if words[0] == "element":
            assert words[1] == "vertex"
            count = int(words[2])
        elif words[0] == "property":
            properties.append((words[2], {"float": "f", "uchar": "B"}[words[1]]))
        else:
            assert words[0] == "comment"
    row = struct.Struct("<" + "".join(kind for _, kind in properties))
    assert len(body) == count * row.size
    names = [name for name, _ in properties]
    return [dict(zip(names, values, strict=True)) for values in row.iter_unpack(body)]


def test_a_reader_of_the_formats_description_sees_the_points(tmp_path):
    rows = twin(write_ply(tmp_path / "a.ply", POINTS, COLOURS, ("axes: vehicle", "from a test")))
    np.testing.assert_array_equal([[row[name] for name in "xyz"] for row in rows], POINTS)
    names = ("red", "green", "blue")
    np.testing.assert_array_equal([[row[name] for name in names] for row in rows], COLOURS)
    assert set(twin(write_ply(tmp_path / "b.ply", POINTS))[0]) == {"x", "y", "z"}


@pytest.mark.parametrize("colours", [None, COLOURS])
def test_round_trip(tmp_path, colours):
    path = write_ply(tmp_path / "new" / "a.ply", POINTS, colours, ("a comment",))
    points, found = read_ply(path)
    np.testing.assert_array_equal(points, POINTS)
    assert points.dtype == np.float32
    if colours is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, colours)
    assert [file.name for file in path.parent.iterdir()] == ["a.ply"]


def test_doubles_are_written_as_floats_and_no_points_are_points(tmp_path):
    points, _ = read_ply(write_ply(tmp_path / "a.ply", POINTS.astype(np.float64)[:0]))
    assert points.shape == (0, 3)
    points, _ = read_ply(write_ply(tmp_path / "a.ply", POINTS.astype(np.float64)))
    np.testing.assert_array_equal(points, POINTS)


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("a.txt", (POINTS,), r"a\.txt must end in \.ply"),
        ("a.ply", (POINTS[:, :2],), r"have shape \(7, 2\), \(n, 3\) is needed"),
        ("a.ply", (POINTS, COLOURS[:3]), r"colours for .* are uint8 \(3, 3\), uint8 \(7, 3\)"),
        ("a.ply", (POINTS, POINTS), r"colours for .* are float32"),
        ("a.ply", (POINTS, None, ("two\nlines",)), "each must be one line of ASCII"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, arguments, match):
    with pytest.raises(ValueError, match=match):
        write_ply(tmp_path / name, *arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda data: data[:-1], r"holds 104 bytes of points, 7 points are 105"),
        (lambda data: b"poly" + data[3:], "is no PLY file"),
        (lambda data: data.replace(b"end_header\n", b""), "is no PLY file"),
        (lambda data: data.replace(b"binary_little_endian", b"ascii"), "is laid out otherwise"),
        (lambda data: data.replace(b"float x", b"double x"), "is laid out otherwise"),
        (lambda data: data.replace(b"element vertex", b"element face"), "is laid out otherwise"),
    ],
)
def test_what_cannot_be_read(tmp_path, change, match):
    path = write_ply(tmp_path / "a.ply", POINTS, COLOURS)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=match):
        read_ply(path)
    with pytest.raises(ValueError, match=r"b\.ply does not exist"):
        read_ply(tmp_path / "b.ply")
