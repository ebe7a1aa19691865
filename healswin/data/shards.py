"""Many samples in one file: Zarr's sharding codec, written and read here without Zarr.

A set of many small samples (60,000 digits) would be as many files, each written, flushed and opened
for itself. In a sharded array one file, the shard, holds S samples. Its layout is that of Zarr v3's
codec "sharding_indexed" (https://zarr-specs.readthedocs.io, codecs, version 1.0), so that any Zarr
reads it:

* the encoded samples one after the other, each as in a file of its own: bytes, little endian, then
  zstd with a checksum;
* the index: for each of the S places offset and length in bytes, two uint64; 2^64 - 1 twice where
  there is no sample, as behind the last one of the array;
* the CRC-32C of the index, uint32. All numbers are little endian.

Zarr reads one sample in about a millisecond, most of it spent on what a general reader needs.
`ShardedRows` keeps the index of every shard that it has seen, and takes one look into the file and
one call of the codec for a sample; both give the same values (tests/healswin_data/test_shards.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

_ABSENT = 2**64 - 1


def encode_shard(
    rows: Shaped[np.ndarray, "rows ..."], places: int, level: int
) -> tuple[bytes, ...]:
    """The parts of a shard's file in their order.

    Args:
        rows: The samples of the shard, at most ``places``.
        places: S, the number of samples that a whole shard holds.
        level: Of the compression with zstd.

    Raises:
        ValueError: If there are more samples than places.
    """
    import google_crc32c
    from numcodecs import Zstd

    if len(rows) > places:
        raise ValueError(f"rows holds {len(rows)} samples; a shard has {places} places")
    codec = Zstd(level=level, checksum=True)
    rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    # One row of values a sample: the codec takes no array without an axis, which a label would be.
    chunks = [codec.encode(row) for row in rows.reshape(len(rows), -1)]
    index = np.full((places, 2), _ABSENT, dtype="<u8")
    sizes = [len(chunk) for chunk in chunks]
    index[: len(rows), 0] = np.cumsum([0, *sizes])[:-1]
    index[: len(rows), 1] = sizes
    data = index.tobytes()
    return (*chunks, data, google_crc32c.value(data).to_bytes(4, "little"))


class ShardedRows:
    """The samples of one sharded array, read one by one.

    Args:
        folder: The array.
        metadata: What its zarr.json holds.

    Raises:
        ValueError: If the array is sharded in another way than `encode_shard` does.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        from numcodecs import Zstd

        self._folder = folder
        self._codec = Zstd()
        self._index: dict[int, np.ndarray] = {}
        places = shard_size(metadata)
        if places is None:
            raise ValueError(
                f"{folder / 'zarr.json'} describes other shards than this library reads (one "
                "sample a chunk, bytes and zstd, an index with crc32c at the end)"
            )
        self._places = places
        self._shape = tuple(metadata["shape"][1:])
        self._dtype = np.dtype(metadata["data_type"])
        self._bytes = self._dtype.itemsize * int(np.prod(self._shape))

    def file(self, row: int) -> Path:
        """The shard that holds a row."""
        return self._shard(row // self._places)

    def read(self, row: int) -> Shaped[np.ndarray, "*row"]:
        """The values of a row.

        Raises:
            FileNotFoundError: If the shard is not there or does not hold the row.
            ValueError: If it is damaged.
        """
        shard, place = divmod(row, self._places)
        descriptor = os.open(self._shard(shard), os.O_RDONLY)
        try:
            if shard not in self._index:
                self._index[shard] = self._read_index(descriptor)
            offset, size = self._index[shard][place].tolist()
            if offset == _ABSENT:
                raise FileNotFoundError(f"{self._shard(shard)} does not hold row {row}")
            data = os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
        try:
            decoded = self._codec.decode(data)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ValueError(f"row {row}: {error or 'a length that cannot be'}") from None
        if len(decoded) != self._bytes:
            raise ValueError(f"row {row} has {len(decoded)} bytes, it should have {self._bytes}")
        # A copy, which its owner may write to.
        values = np.frombuffer(decoded, dtype=self._dtype.newbyteorder("<")).astype(self._dtype)
        return values.reshape(self._shape)

    def _shard(self, shard: int) -> Path:
        return self._folder.joinpath("c", str(shard), *["0"] * len(self._shape))

    def _read_index(self, descriptor: int) -> Shaped[np.ndarray, "places 2"]:
        import google_crc32c

        length = 16 * self._places
        start = os.fstat(descriptor).st_size - length - 4
        data = os.pread(descriptor, length + 4, start) if start >= 0 else b""
        index = data[:length]
        if google_crc32c.value(index).to_bytes(4, "little") != data[length:]:
            raise ValueError("the checksum of the shard's index is wrong")
        table = np.frombuffer(index, dtype="<u8").reshape(-1, 2)
        held = table[table[:, 0] != _ABSENT]
        if (held > start).any() or (held.sum(axis=1) > start).any():
            raise ValueError("the shard's index points outside the shard")
        return table


def shard_size(metadata: dict[str, Any]) -> int | None:
    """Samples a shard of an array, None if it is not sharded as `encode_shard` does.

    Args:
        metadata: What the array's zarr.json holds.
    """
    try:
        if not is_sharded(metadata):
            return None
        configuration = metadata["codecs"][0]["configuration"]
        places, *rest = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        row = list(metadata["shape"][1:])
        as_here = (
            len(metadata["codecs"]) == 1
            and rest == row
            and configuration["chunk_shape"] == [1, *row]
            and [codec["name"] for codec in configuration["codecs"]] == ["bytes", "zstd"]
            and [codec["name"] for codec in configuration["index_codecs"]] == ["bytes", "crc32c"]
            and configuration.get("index_location", "end") == "end"
            and all(
                codecs[0].get("configuration", {}).get("endian", "little") == "little"
                for codecs in (configuration["codecs"], configuration["index_codecs"])
            )
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return places if as_here else None


def is_sharded(metadata: dict[str, Any]) -> bool:
    """Whether several samples of an array are in one file.

    Args:
        metadata: What the array's zarr.json holds.
    """
    return any(codec["name"] == "sharding_indexed" for codec in metadata["codecs"])
