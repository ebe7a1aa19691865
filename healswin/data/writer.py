"""How a prepared set is built, so that it can be killed at any moment.

The set OUT is built as OUT.partial and renamed when it is whole. OUT.partial/.work holds what only
the building needs, and goes when the set has its name:

* ``lock``: held with flock by the one process that builds the set; the kernel lets go of it when
  that process ends, however it ends;
* ``plan.json``: everything that decides the result. It is written once the empty arrays stand, so
  that its presence says that they do, and a resume with another plan is refused;
* ``finished.jsonl``: one line a finished sample with its exact statistics, appended and flushed to
  the disk after the sample's chunks were. A line that a kill tore is dropped, its sample is made
  again.

Chunks that were written but not recorded are written again with the same bytes; each chunk is
renamed into its place, so that none is ever half there, and temporary files that a kill left are
swept.

All of this holds for shards as well: a set that is written with `shard` samples a file is made and
recorded shard by shard, and what a kill interrupts is a shard that is made again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from healswin.data.shards import encode_shard, shard_size
from healswin.data.store import (
    FORMAT,
    FORMAT_VERSION,
    array_metadata,
    chunk_path,
    partial_path,
)

ZSTD_LEVEL = 1

# Names of the arrays' axes, which xarray and others go by.
DIMENSIONS = {
    "image": ("sample", "pixel", "channel"),
    "semantic": ("sample", "pixel"),
    "depth": ("sample", "pixel"),
    "label": ("sample",),
    "valid": ("camera", "pixel"),
}


class PreparedSetWriter:
    """Builds one prepared set; holds its lock until `close`. A context manager.

    Args:
        out: Where the whole set will be.
        plan: JSON values that decide the result, in the order in which differences are told.
        arrays: Shape and dtype of each array; the first axis is the sample (the camera for
            "valid"), and each of its rows is one chunk.
        overwrite: Whether a whole set OUT is replaced (when the new one is whole, not before) and
            an unfinished one of another plan is thrown away.
        shard: Samples a shard; None: every sample has a file of its own in each array. It belongs
            to the plan.

    Attributes:
        partial: The folder being filled.
        units: How many units are to be written and recorded: samples, or shards if there are any.
        finished: What `record` was told about each finished unit, of earlier runs too.

    Raises:
        ValueError: If another process builds this set, OUT exists and may not be replaced, what
            was begun there has another plan, or ``shard`` is no positive number.
    """

    def __init__(
        self,
        out: Path,
        plan: dict[str, Any],
        arrays: dict[str, tuple[tuple[int, ...], str]],
        overwrite: bool = False,
        shard: int | None = None,
    ) -> None:
        if shard is not None and shard < 1:
            raise ValueError(f"shard={shard} must be at least 1 sample")
        self.out = out
        self.partial = partial_path(out)
        self.units = -(-arrays["image"][0][0] // (shard or 1))
        self.finished: dict[int, dict[str, Any]] = {}
        self._shard = shard
        self._work = self.partial / ".work"
        self._arrays = arrays
        self._overwrite = overwrite
        self._record: IO[bytes] | None = None
        self._check_out()  # before a folder is made beside it, and again under the lock
        self._lock = self._locked()
        try:
            self._check_out()
            self._begin_or_resume(plan if shard is None else {**plan, "shard": shard})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PreparedSetWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock; what is finished stays for the next run."""
        if self._record is not None:
            self._record.close()
        self._lock.close()

    def record(self, index: int, facts: dict[str, Any]) -> None:
        """Note for good that all chunks of a sample, or all shards of one number, are written.

        Args:
            index: The sample or the shard, below `units`.
            facts: JSON values that `finish`'s caller needs of it.

        Raises:
            OSError: If the disk is full.
        """
        line = json.dumps({"index": index, **facts}, allow_nan=False)
        data = line.encode() + b"\n"
        # Not buffered: on a full disk nothing is left to be written when the file is closed, and
        # what is torn is dropped by the next run.
        if self._record.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._record.name)
        os.fsync(self._record.fileno())
        self.finished[index] = json.loads(line)

    def finish(self, attributes: dict[str, Any]) -> None:
        """Write the attributes and give the set its name.

        Args:
            attributes: JSON values; the format's name, version and ``complete`` are added.

        Raises:
            ValueError: If samples are missing, an attribute is not a number, or OUT has appeared.
        """
        missing = [index for index in range(self.units) if index not in self.finished]
        if missing:
            what = "samples" if self._shard is None else "shards"
            raise ValueError(f"{self.partial} lacks {len(missing)} {what}, first {missing[0]}")
        for camera in range(self._arrays["valid"][0][0]):
            if not chunk_path(self.partial, "valid", camera, 2).is_file():
                raise ValueError(
                    f"{self.partial} has lost row {camera} of 'valid': convert with --overwrite"
                )
        attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, **attributes}
        attributes["complete"] = True
        # Zarr would write NaN, which is no JSON and which other readers refuse.
        json.dumps(attributes, allow_nan=False)

        import zarr

        _sweep(self.partial)
        zarr.open_group(self.partial, mode="r+").attrs.put(attributes)
        sync(self.partial / "zarr.json")
        self._check_out()
        if self.out.is_dir() and any(self.out.iterdir()):
            os.rename(self.out, self._work / "replaced")
        os.rename(self.partial, self.out)
        sync(self.out.parent)
        shutil.rmtree(self.out / ".work", ignore_errors=True)

    def _locked(self) -> IO[bytes]:
        if self.partial.is_dir() and not self._work.is_dir() and any(self.partial.iterdir()):
            raise ValueError(
                f"{self.partial} exists and was not made by a conversion: move it away, "
                f"{self.out.name} is built there"
            )
        while True:
            self._work.mkdir(parents=True, exist_ok=True)
            path = self._work / "lock"
            lock = path.open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise ValueError(
                    f"another conversion is writing {self.out} at this moment: wait for it, or "
                    "choose another place"
                ) from None
            # Whoever held the lock may have finished and renamed the folder since it was opened.
            if _is_open_at(path, lock):
                return lock
            lock.close()

    def _check_out(self) -> None:
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return
        if not _is_prepared_set(self.out):
            raise ValueError(f"{self.out} exists and is no prepared data set: choose another place")
        if not self._overwrite:
            raise ValueError(f"{self.out} exists: say --overwrite to replace it")

    def _begin_or_resume(self, plan: dict[str, Any]) -> None:
        # Compared as it is after a way through JSON, where tuples are lists.
        plan = json.loads(json.dumps(plan, allow_nan=False))
        plan_file = self._work / "plan.json"
        if plan_file.exists():
            begun = json.loads(plan_file.read_text(encoding="utf-8"))
            differences = plan_differences(begun, plan)
            if differences and not self._overwrite:
                raise ValueError(
                    f"{self.partial} was begun with other arguments: {differences}; give the same "
                    "ones to continue, or --overwrite to begin anew"
                )
            if differences:
                plan_file.unlink()
        if not plan_file.exists():
            self._make_empty_arrays()
            _write_atomically(plan_file, (json.dumps(plan).encode(),))
            sync(plan_file.parent)
        _sweep(self.partial)
        self._read_record()

    def _make_empty_arrays(self) -> None:
        import zarr

        for entry in self.partial.iterdir():
            if entry == self._work:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (self._work / "finished.jsonl").unlink(missing_ok=True)
        group = zarr.create_group(self.partial, zarr_format=3)
        for name, (shape, dtype) in self._arrays.items():
            group.create_array(
                name,
                shape=shape,
                chunks=(1, *shape[1:]),
                shards=self._shard_shape(name),
                dtype=dtype,
                compressors=zarr.codecs.ZstdCodec(level=ZSTD_LEVEL, checksum=True),
                dimension_names=DIMENSIONS[name],
            )

    def _shard_shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a shard of an array, None for single chunks."""
        if self._shard is None or name == "valid":
            return None
        return (self._shard, *self._arrays[name][0][1:])

    def _read_record(self) -> None:
        path = self._work / "finished.jsonl"
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            facts = json.loads(line)
            if all(
                chunk_path(self.partial, name, facts["index"], len(shape)).is_file()
                for name, (shape, _) in self._arrays.items()
                if name != "valid"
            ):
                self.finished[facts["index"]] = facts
        self._record = path.open("ab", buffering=0)
        self._record.truncate(whole)


class SampleWriter:
    """Writes the chunks of single samples into a set being built; one in every worker.

    A chunk is encoded and renamed into its place here, not by Zarr, to the same bytes
    (`tests/healswin_data/test_writer.py`): Zarr hands every array to another thread and back, which
    costs time for each.

    Args:
        partial: `PreparedSetWriter.partial`.
        names: The arrays, none of which has shards.

    Raises:
        ValueError: If one of them has.
    """

    def __init__(self, partial: Path, names: list[str]) -> None:
        from numcodecs import Zstd

        self._partial = partial
        self._codec = Zstd(level=ZSTD_LEVEL, checksum=True)
        self._rows: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        for name in names:
            metadata = array_metadata(partial, name)
            if shard_size(metadata) is not None:
                raise ValueError(f"names={names}: {name} has shards, which `ShardWriter` writes")
            self._rows[name] = tuple(metadata["shape"][1:]), np.dtype(metadata["data_type"])

    def write(self, row: int, values: dict[str, np.ndarray]) -> None:
        """Write one row of each array given and flush it to the disk.

        Raises:
            ValueError: If a value's shape or dtype is not that of its array's rows.
        """
        for name, value in values.items():
            shape, dtype = self._rows[name]
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f"{name} of sample {row} is {value.dtype} {value.shape}, the set's rows are "
                    f"{dtype} {shape}"
                )
            # Zarr's codec "bytes" with its default order: little endian.
            data = np.ascontiguousarray(value, dtype=dtype.newbyteorder("<"))
            path = chunk_path(self._partial, name, row, value.ndim + 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, (self._codec.encode(data),), f".{os.getpid()}.partial")


class ShardWriter:
    """Writes whole shards into a set being built; one in every worker.

    Args:
        partial: `PreparedSetWriter.partial`.
        names: The arrays, all of which have shards.

    Raises:
        ValueError: If one of them has none.
    """

    def __init__(self, partial: Path, names: list[str]) -> None:
        self._partial = partial
        self._shards: dict[str, tuple[int, tuple[int, ...], np.dtype]] = {}
        for name in names:
            metadata = array_metadata(partial, name)
            places = shard_size(metadata)
            if places is None:
                raise ValueError(f"names={names}: {name} has no shards, `SampleWriter` writes it")
            dtype = np.dtype(metadata["data_type"])
            self._shards[name] = places, tuple(metadata["shape"]), dtype

    def write(self, shard: int, values: dict[str, np.ndarray]) -> None:
        """Write one shard of each array given and flush it to the disk.

        Args:
            shard: Its number, below `PreparedSetWriter.units`.
            values: The samples of the shard, (samples, ...), by the array; fewer in the last one.

        Raises:
            ValueError: If a value's shape or dtype is not that of the array's shard.
        """
        for name, value in values.items():
            places, (samples, *row), dtype = self._shards[name]
            shape = (max(0, min(places, samples - shard * places)), *row)
            if shard < 0 or not shape[0]:
                raise ValueError(f"shard={shard}: {name} has shards 0..{(samples - 1) // places}")
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f"{name} of shard {shard} is {value.dtype} {value.shape}, the set's is {dtype} "
                    f"{shape}"
                )
            path = chunk_path(self._partial, name, shard, value.ndim)
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = encode_shard(value, places, ZSTD_LEVEL)
            _write_atomically(path, parts, f".{os.getpid()}.partial")


def begun_plan(out: Path) -> dict[str, Any] | None:
    """The plan of the unfinished set that is being built for OUT, None if none was begun."""
    plan_file = partial_path(out) / ".work" / "plan.json"
    return json.loads(plan_file.read_text(encoding="utf-8")) if plan_file.is_file() else None


def finished_count(out: Path) -> int:
    """Units (samples, or shards) of the unfinished set for OUT that are finished; 0 without one."""
    record = partial_path(out) / ".work" / "finished.jsonl"
    return record.read_bytes().count(b"\n") if record.is_file() else 0


def plan_differences(begun: dict[str, Any], wanted: dict[str, Any]) -> str:
    """In words, what differs between two plans; empty if nothing does.

    Args:
        begun: The plan of what is there.
        wanted: The plan of the command that was given.
    """
    differences = []
    for key in {**begun, **wanted}:
        there, here = begun.get(key), wanted.get(key)
        if there == here:
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            differences.append(plan_differences(there, here))
        else:
            differences.append(f"{key} is {_short(there)} there, {_short(here)} here")
    return "; ".join(differences)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut does not take it back."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_open_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _is_prepared_set(path: Path) -> bool:
    try:
        metadata = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return metadata.get("attributes", {}).get("format") == FORMAT


def _write_atomically(path: Path, parts: Iterable[bytes], suffix: str = ".new") -> None:
    temporary = path.with_name(path.name + suffix)
    with temporary.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sweep(partial: Path) -> None:
    """Remove the temporary files (NAME.<random>.partial) of writes that were cut short."""
    for stray in partial.rglob("*.partial"):
        stray.unlink()
