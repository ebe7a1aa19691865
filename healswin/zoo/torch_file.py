"""Files of ``torch.save``, read without running anything of what is in them.

``torch.load`` refuses files with classes it does not know, or makes their objects, which runs the
file's code. Here such objects are inert records (`healswin.zoo.inert_pickle`), and tensors are made
by this module, from the plain bytes that lie beside the pickle, when they are asked for.

Two formats exist: a zip archive with the pickle in ``data.pkl`` and the numbers of storage K in
``data/K`` (PyTorch 1.6 and later); and before it five pickles in a row (magic number, version,
system, the value, keys of the storages), then for each storage the count of its numbers, and they.
"""

from __future__ import annotations

import io
import math
import mmap
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from healswin.zoo.inert_pickle import External, Record, Reference, read_pickle

MAX_PICKLE_BYTES = 64 * 2**20

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
_PLAIN_TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)
_MAX_DIMENSIONS = 64


class Place(NamedTuple):
    """First byte, number of bytes and, if the file states it, CRC-32 of a storage."""

    start: int
    size: int
    crc: int | None


@dataclass(frozen=True)
class StoredTensor:
    """Where the numbers of a tensor lie in a file, and how it looks at them.

    Attributes:
        storage: Key of the storage.
        dtype: Of the numbers.
        count: Numbers in the storage.
        offset: The tensor's first number.
        shape: Of the tensor.
        stride: Numbers from one element to the next along each dimension.
    """

    storage: str
    dtype: torch.dtype
    count: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class TorchFile:
    """A file of ``torch.save`` whose pickle was read, and whose tensors may be.

    Attributes:
        path: The file.
        value: What was saved; tensors and objects are records, see `stored_tensor`.
        places: Where each storage lies in the file, by its key.
    """

    path: Path
    value: Any
    places: Mapping[str, Place]

    def tensors(self, wanted: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Read tensors; tensors that share a storage in the file share it here.

        Args:
            wanted: Where they lie, by name.

        Returns:
            The tensors, on the CPU, wherever they were when they were saved.

        Raises:
            ValueError: If a storage is not in the file, or is shorter than it should be.
        """
        storages: dict[str, Tensor] = {}
        found = {}
        with self.path.open("rb") as file:
            for name, tensor in wanted.items():
                if tensor.storage not in storages:
                    storages[tensor.storage] = self._storage(file, tensor, name)
                storage = storages[tensor.storage]
                if storage.dtype != tensor.dtype:
                    raise ValueError(f"{self.path}: {name} looks at numbers of another type")
                if storage.numel() < tensor.count:
                    raise ValueError(
                        f"{self.path}: {name} needs a storage of {tensor.count} numbers, the file "
                        f"has {storage.numel()}"
                    )
                found[name] = storage.as_strided(tensor.shape, tensor.stride, tensor.offset)
        return found

    def _storage(self, file: io.BufferedReader, tensor: StoredTensor, name: str) -> Tensor:
        if tensor.storage not in self.places:
            raise ValueError(f"{self.path}: the numbers of {name} are not in the file")
        place = self.places[tensor.storage]
        file.seek(place.start)
        data = bytearray(file.read(place.size))
        if len(data) < place.size:
            raise ValueError(f"{self.path}: the file ends inside the numbers of {name}")
        if place.crc is not None and zlib.crc32(data) != place.crc:
            raise ValueError(f"{self.path}: the numbers of {name} are damaged (CRC-32)")
        count = len(data) // tensor.dtype.itemsize
        if not count:
            return torch.empty(0, dtype=tensor.dtype)
        if tensor.dtype == torch.bool:
            return torch.frombuffer(data, dtype=torch.uint8) != 0
        return torch.frombuffer(data, dtype=tensor.dtype, count=count)


def read_torch_file(path: str | Path) -> TorchFile:
    """Read what a file of ``torch.save`` says; its tensors are not read yet.

    Args:
        path: The file, of either format.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such file, is damaged, or has something in it that such files do
            not have.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(4)
    try:
        if head == b"PK\x03\x04":
            return _read_zip(path)
        if head and tarfile.is_tarfile(path):
            raise ValueError("a tar archive as PyTorch wrote before 0.1.10, save it anew with 1.x")
        return _read_legacy(path)
    except ValueError as error:
        raise ValueError(f"{path} is no file of torch.save that can be read: {error}") from None


def read_pickle_file(path: str | Path) -> Any:
    """Read what a file with one pickle says, nothing of it is run.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no pickle, or too large for one.
    """
    path = Path(path)
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise ValueError(f"{path} has more than {MAX_PICKLE_BYTES} bytes")
    try:
        return read_pickle(io.BytesIO(path.read_bytes())).value
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from None


def stored_tensor(value: Any) -> StoredTensor | None:
    """Where the tensor or parameter lies that a record describes; None if it is no tensor.

    Raises:
        ValueError: If it is a tensor of a kind that is not known, or one that does not lie inside
            its storage.
    """
    while isinstance(value, Record):
        kind = str(value.kind) if isinstance(value.kind, Reference) else ""
        if kind in _PLAIN_TENSORS:
            return _described(value.args)
        if kind in _PARAMETERS and value.args:
            value = value.args[0]
        elif kind == "torch._tensor._rebuild_from_type_v2" and len(value.args) == 4:
            function, _, args, _ = value.args
            value = Record(function, args if isinstance(args, tuple) else ())
        elif kind.startswith("torch._utils._rebuild_"):
            raise ValueError(f"tensors of {kind} are not known")
        else:
            return None
    return None


def _described(args: tuple[Any, ...]) -> StoredTensor:
    external, offset, shape, stride = args[:4] if len(args) >= 4 else (None,) * 4
    if not (isinstance(external, External) and isinstance(shape, tuple | list)):
        raise ValueError("a tensor without a storage or a shape")
    if not isinstance(stride, tuple | list) or len(stride) != len(shape):
        raise ValueError(f"a tensor with {len(shape)} dimensions and other strides")
    if len(shape) > _MAX_DIMENSIONS or any(
        type(n) is not int or n < 0 for n in (offset, *shape, *stride)
    ):
        raise ValueError("a tensor whose offset, shape and strides are no whole numbers from 0")
    key, dtype, count = _storage_of(external)
    size = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if size > count or (size and last >= count) or offset > count:
        raise ValueError(
            f"a tensor of shape {tuple(shape)} that does not lie inside its {count} numbers"
        )
    return StoredTensor(key, dtype, count, offset, tuple(shape), tuple(stride))


def _storage_of(external: External) -> tuple[str, torch.dtype, int]:
    """Key, dtype and count of numbers of the storage that an identity names."""
    identity = external.identity
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("something beside the pickle that is no storage of a tensor")
    kind, key, _, count = identity[1:5]
    known = isinstance(kind, Reference) and kind.module in ("torch", "torch.cuda")
    if not known or kind.name not in _DTYPES:
        raise ValueError(f"a storage of the type {kind if isinstance(kind, Reference) else '?'}")
    if not isinstance(key, str) or not re.fullmatch(r"[0-9]+", key, re.ASCII):
        raise ValueError("a storage whose key is no number")
    if type(count) is not int or count < 0:
        raise ValueError(f"the storage {key} has no whole number of numbers")
    if len(identity) == 6 and identity[5] is not None:
        raise ValueError(f"the storage {key} is a part of another, as PyTorch wrote before 0.4")
    return key, _DTYPES[kind.name], count


def _read_zip(path: Path) -> TorchFile:
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            return _read_archive(path, archive, file)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(f"damaged zip archive: {error}") from None


def _read_archive(path: Path, archive: zipfile.ZipFile, file: io.BufferedReader) -> TorchFile:
    members = {}
    for member in archive.infolist():
        if member.filename in members:
            raise ValueError(f"two files in it have the name {member.filename!r}")
        members[member.filename] = member
    tops = [name[: -len("/data.pkl")] for name in members if name.endswith("/data.pkl")]
    tops = [top for top in tops if top and "/" not in top]
    if len(tops) != 1:
        raise ValueError("a zip archive without the one data.pkl of torch.save")
    if f"{tops[0]}/constants.pkl" in members:
        raise ValueError("a TorchScript archive: it holds a program, not only numbers")
    end = path.stat().st_size
    order = members.get(f"{tops[0]}/byteorder")
    if order is not None and _bytes_of(file, order, end, 16) != b"little":
        raise ValueError("its numbers are not in little-endian order")
    pickled = _bytes_of(file, members[f"{tops[0]}/data.pkl"], end, MAX_PICKLE_BYTES)
    value = read_pickle(io.BytesIO(pickled)).value
    numbers = re.compile(re.escape(tops[0]) + r"/data/([0-9]+)", re.ASCII)
    places = {}
    for name, member in members.items():
        match = numbers.fullmatch(name)
        if match:
            places[match[1]] = _place_of(file, member, end)
    return TorchFile(path, value, places)


def _bytes_of(file: io.BufferedReader, member: zipfile.ZipInfo, end: int, most: int) -> bytes:
    place = _place_of(file, member, end)
    if place.size > most:
        raise ValueError(f"{member.filename} has {place.size} bytes, more than {most}")
    file.seek(place.start)
    data = file.read(place.size)
    if zlib.crc32(data) != place.crc:
        raise ValueError(f"{member.filename} is damaged (CRC-32)")
    return data


def _place_of(file: io.BufferedReader, member: zipfile.ZipInfo, end: int) -> Place:
    """Where the bytes of a member of the archive lie: behind its local header.

    The header has 30 bytes, then a name and an extra field whose lengths are in bytes 26 to 29 (ZIP
    File Format Specification, section 4.3.7). torch.save does not compress, and what a compressed
    member unpacks to has no bound.
    """
    name = member.filename
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ValueError(f"{name} is compressed or encrypted")
    if not 0 <= member.header_offset < end:
        raise ValueError(f"{name} begins outside the file")
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise ValueError(f"the header of {name} is damaged")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = member.header_offset + 30 + lengths
    if start + member.file_size > end:
        raise ValueError(f"{name} ends behind the end of the file")
    return Place(start, member.file_size, member.CRC)


def _read_legacy(path: Path) -> TorchFile:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if read_pickle(data).value != _LEGACY_MAGIC or read_pickle(data).value != _LEGACY_VERSION:
            raise ValueError("it does not begin with the magic number")
        system = read_pickle(data).value
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("its numbers are not in little-endian order")
        value, externals = read_pickle(data)
        types = {}
        for external in externals:
            # Classes of modules by reference: the format keeps their source text beside them.
            if isinstance(external.identity, tuple) and external.identity[:1] == ("module",):
                continue
            key, dtype, _ = _storage_of(external)
            if types.setdefault(key, dtype) != dtype:
                raise ValueError(f"the storage {key} has two types")
        keys = read_pickle(data).value
        if not isinstance(keys, list) or not all(isinstance(k, str) and k in types for k in keys):
            raise ValueError("the list of its storages is damaged")
        places, place = {}, data.tell()
        for key in keys:
            count = int.from_bytes(data[place : place + 8], "little", signed=True)
            place += 8
            size = count * types[key].itemsize
            if count < 0 or place + size > len(data):
                raise ValueError(f"the file ends before the end of the storage {key}")
            places[key] = Place(place, size, None)
            place += size
        return TorchFile(path, value, places)
