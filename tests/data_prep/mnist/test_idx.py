"""Idx files: what they hold, and what is wrong with those that hold something else."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from idx_folder import idx_bytes

from data_prep.mnist.idx import read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@given(
    values=nps.arrays(np.uint8, nps.array_shapes(min_dims=1, max_dims=3, min_side=0)),
    compressed=st.booleans(),
)
def test_round_trip(tmp_path_factory, values, compressed):
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(idx_bytes(values)) if compressed else idx_bytes(values))
    found = read_idx(path, values.ndim)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is cut short: 0 bytes are less than its header"),
        (idx_bytes(IMAGES)[:10], "is cut short: 10 bytes are less than its header"),
        (idx_bytes(IMAGES)[:-1], r"is cut short: 23 of 24 values of \(2, 3, 4\) are there"),
        (idx_bytes(IMAGES) + b"\0", r"holds 1 bytes more than \(2, 3, 4\) has values"),
        (b"\x89PNG" + bytes(20), "is no idx file: it begins with 89 50 4e 47"),
        (struct.pack(">HBBIII", 0, 0x0D, 3, 1, 1, 1) + bytes(4), "has dtype 0x0d, unsigned bytes"),
        (idx_bytes(IMAGES.ravel()), "has 1 axes, 3 are needed"),
    ],
)
def test_wrong_files(tmp_path, data, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"train-images-idx3-ubyte {message}"):
        read_idx(path, 3)


@pytest.mark.parametrize("cut", [0, 5, 30])
def test_a_compressed_file_that_is_cut_short_or_none(tmp_path, cut):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES))[:cut] or b"not gzip")
    with pytest.raises(ValueError, match=r"labels\.gz cannot be decompressed"):
        read_idx(path, 3)
