"""Chunks that the writer encodes itself are those that Zarr would write."""

import numpy as np
import pytest
import zarr

from healswin.data.store import chunk_path
from healswin.data.writer import PreparedSetWriter, SampleWriter

ARRAYS = {
    "image": ((3, 48, 2), "float32"),
    "semantic": ((3, 48), "uint8"),
    "depth": ((3, 48), "float32"),
    "valid": ((2, 48), "bool"),
}


def rows(seed):
    random = np.random.default_rng(seed)
    return {
        "image": random.normal(size=(48, 2)).astype(np.float32),
        "semantic": random.integers(0, 5, 48).astype(np.uint8),
        "depth": np.where(random.random(48) < 0.5, np.inf, np.nan).astype(np.float32),
        "valid": random.random(48) < 0.5,
    }


@pytest.fixture
def partial(tmp_path):
    with PreparedSetWriter(tmp_path / "set", {"plan": 1}, ARRAYS) as writer:
        yield writer.partial


def test_chunks_are_those_of_zarr_byte_for_byte(partial):
    values = rows(0)
    SampleWriter(partial, list(ARRAYS)).write(1, values)
    for name, value in values.items():
        chunk = chunk_path(partial, name, 1, value.ndim + 1)
        ours = chunk.read_bytes()
        array = zarr.open_array(partial / name, mode="r+", config={"write_empty_chunks": True})
        np.testing.assert_array_equal(array[1], value)
        chunk.unlink()
        array[1] = value
        assert chunk.read_bytes() == ours


def test_rows_of_zeros_are_written_too(partial):
    values = {name: np.zeros(shape[1:], dtype) for name, (shape, dtype) in ARRAYS.items()}
    SampleWriter(partial, list(ARRAYS)).write(0, values)
    for name, value in values.items():
        assert chunk_path(partial, name, 0, value.ndim + 1).is_file()


def test_a_row_of_another_kind_is_refused(partial):
    writer = SampleWriter(partial, ["semantic"])
    with pytest.raises(ValueError, match=r"semantic of sample 2 is float64 \(48,\)"):
        writer.write(2, {"semantic": np.zeros(48)})
    with pytest.raises(ValueError, match=r"semantic of sample 2 is uint8 \(47,\)"):
        writer.write(2, {"semantic": np.zeros(47, dtype=np.uint8)})
    assert not (partial / "semantic/c").exists()
