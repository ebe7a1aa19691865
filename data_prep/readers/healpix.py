"""Maps that are on the HEALPix grid already, of the sky or the earth.

All .fits, .fits.gz and .npy files of the root and the folders in it are maps.

* FITS: the first binary table with the key ORDERING (RING or NESTED), and NSIDE; every column is a
  channel, its rows may be vectors. Tables with INDXSCHM = EXPLICIT name their pixels in the column
  PIXEL; all others hold every pixel. (Calabretta and Roukema 2007; the keys are those of healpy.)
* .npy: (pixels,) or (channels, pixels); in RING order, or NESTED where the name ends in
  ``_nest.npy`` or ``_nested.npy``.

Pixels that hold UNSEEN (-1.6375e30), NaN or infinity have no value. The axes of the map stay as
they are, and so do the units.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np
from jaxtyping import Float32, UInt8

from data_prep.classes import ClassList
from data_prep.readers.base import Frame
from data_prep.readers.depth import decode_npy, map_npy
from data_prep.readers.files import reading, source_folder
from healswin.data.depth_files import DepthFiles
from healswin.resample import HealpixMap

if TYPE_CHECKING:
    from astropy.io.fits import BinTableHDU

UNSEEN = -1.6375e30

_SUFFIXES = (".fits", ".fits.gz", ".npy")
_NESTED_NPY = ("_nest.npy", "_nested.npy")
# What astropy and gzip answer to files that are not whole.
_DAMAGED = (OSError, EOFError, zlib.error, TypeError, IndexError, KeyError)
_ORDERS = {"RING": "ring", "NESTED": "nested", "NEST": "nested"}


@dataclass(frozen=True)
class _MapHeader:
    nside: int
    order: str
    channels: int


class HealpixReader:
    """Reads a folder of HEALPix maps.

    Args:
        root: The folder.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ()
    classes: ClassVar[dict[str, ClassList]] = {}
    default_classes: ClassVar[str | None] = None
    default_pole: ClassVar[str] = "zenith"
    depth_files: ClassVar[DepthFiles | None] = None

    def __init__(self, root: Path) -> None:
        self.root = source_folder(root)
        self._headers: dict[str, _MapHeader] = {}

    def default_tasks(self) -> tuple[str, ...]:
        """See `data_prep.readers.base.Reader`."""
        return ()

    def frames(self, tasks: tuple[str, ...]) -> list[Frame]:
        """See `data_prep.readers.base.Reader`."""
        frames: dict[str, Frame] = {}
        for path in _maps(self.root):
            suffix = next(s for s in _SUFFIXES if path.lower().endswith(s))
            name = path[: -len(suffix)].replace("/", "_")
            if name in frames:
                other = frames[name].files["image"]
                raise ValueError(
                    f"the name {name} is doubled: {self.root / other} and {self.root / path}"
                )
            # Every map has holes of its own, hence its own row of "valid".
            frames[name] = Frame(name, name, name, {"image": path})
        if not frames:
            raise ValueError(
                f"{self.root} holds no maps: {', '.join(_SUFFIXES)} files are expected"
            )
        return [frame for _, frame in sorted(frames.items())]

    def calibration(self, frame: Frame) -> HealpixMap:
        """See `data_prep.readers.base.Reader`."""
        path = self.root / frame.files["image"]
        header = self._header(frame)
        try:
            return HealpixMap(header.nside, header.order, frame.name)
        except ValueError as error:
            raise ValueError(f"{path} is no HEALPix map: {error}") from None

    def check(self, frame: Frame, camera: HealpixMap) -> None:
        """See `data_prep.readers.base.Reader`."""
        channels = self._header(frame).channels
        first, header = next(iter(self._headers.items()))
        if channels != header.channels:
            raise ValueError(
                f"{self.root / frame.files['image']} has {channels} channels, {first} has "
                f"{header.channels}: all maps must have the same"
            )

    def image_format(self, frames: list[Frame]) -> tuple[int, str]:
        """See `data_prep.readers.base.Reader`."""
        return self._header(frames[0]).channels, "float32"

    def image(self, data: bytes, file: str) -> Float32[np.ndarray, "pixels channels"]:
        """See `data_prep.readers.base.Reader`."""
        if file.lower().endswith(".npy"):
            values = np.atleast_2d(decode_npy(data, file))
            _npy_header(values, file)
        else:
            values = _fits_values(data, file)
        with np.errstate(over="ignore", invalid="ignore"):
            # What is too large for float32 becomes infinite: no value.
            image = np.ascontiguousarray(values.T, dtype=np.float32)
            unseen = np.abs(image / np.float32(UNSEEN) - 1) < 1e-5
        image[unseen | ~np.isfinite(image)] = np.nan
        return image

    def semantic(self, data: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
        """Not offered: `tasks` is empty.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{file}: labels on HEALPix maps are not supported")

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """Not offered: `tasks` is empty.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{file}: depth on HEALPix maps is not supported")

    def _header(self, frame: Frame) -> _MapHeader:
        file = frame.files["image"]
        if file not in self._headers:
            path = self.root / file
            is_npy = file.lower().endswith(".npy")
            self._headers[file] = (
                _npy_header(np.atleast_2d(map_npy(path)), str(path))
                if is_npy
                else _read_fits_header(path)
            )
        return self._headers[file]


def _maps(root: Path) -> list[str]:
    """Paths of all maps under the root, relative to it."""

    def refuse(error: OSError) -> None:
        with reading(Path(error.filename)):
            raise error

    found = []
    for folder, inner, names in os.walk(root, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                found.append(Path(folder, name).relative_to(root).as_posix())
    return sorted(found)


def _npy_header(values: np.ndarray, file: str) -> _MapHeader:
    pixels = values.shape[-1]
    nside = math.isqrt(pixels // 12)
    if values.ndim != 2 or pixels != 12 * nside**2 or nside == 0 or values.dtype.kind not in "fiub":
        raise ValueError(
            f"{file} holds {values.dtype} of shape {values.shape}, numbers of shape (pixels,) or "
            "(channels, pixels) with 12 nside^2 pixels are needed"
        )
    order = "nested" if file.lower().endswith(_NESTED_NPY) else "ring"
    return _MapHeader(nside, order, len(values))


def _read_fits_header(path: Path) -> _MapHeader:
    with reading(path), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if path.suffix.lower() != ".gz":
            with _map_table(file, str(path)) as table:
                place = table.fileinfo()
                if size < place["datLoc"] + place["datSpan"]:
                    raise ValueError(f"{path} is truncated: the end of its table is missing")
                return _fits_header(table, str(path))
        # Whether a compressed file is whole is not known before it is decompressed.
        plain = io.BytesIO(_decompressed(file.read(), str(path)))
        with _map_table(plain, str(path)) as table:
            return _fits_header(table, str(path))


@contextmanager
def _map_table(file: BinaryIO, name: str) -> Iterator[BinTableHDU]:
    """The table of a FITS file that holds the map."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        # The length is looked at here; what else astropy may have to say is no matter of ours.
        warnings.simplefilter("ignore", AstropyUserWarning)
        try:
            with fits.open(file, memmap=False, lazy_load_hdus=True) as units:
                tables = (unit for unit in units if isinstance(unit, fits.BinTableHDU))
                table = next((unit for unit in tables if "ORDERING" in unit.header), None)
                if table is None:
                    raise ValueError(f"{name} holds no table with the key ORDERING")
                yield table
        except (*_DAMAGED, fits.VerifyError) as error:
            raise ValueError(f"{name} is no whole FITS file: {error}") from None


def _fits_header(table: BinTableHDU, file: str) -> _MapHeader:
    header = table.header
    order = _ORDERS.get(str(header["ORDERING"]).strip().upper())
    if order is None:
        raise ValueError(f"{file}: ORDERING is {header['ORDERING']!r}, RING or NESTED is needed")
    if not isinstance(header.get("NSIDE"), int):
        raise ValueError(f"{file} lacks the key NSIDE, a whole number")
    if None in table.columns.names:
        number = table.columns.names.index(None) + 1
        raise ValueError(f"{file} lacks the key TTYPE{number}, the name of a column")
    nside, columns = header["NSIDE"], _channel_columns(table)
    if not columns:
        raise ValueError(f"{file} has no column of values")
    for index in columns:
        dtype = table.columns.dtype[index]
        if dtype.base.kind not in "fiub":
            raise ValueError(f"{file}: column {table.columns.names[index]!r} holds no numbers")
        values = header["NAXIS2"] * math.prod(dtype.shape)
        if values != 12 * nside**2 and not _is_explicit(table):
            raise ValueError(
                f"{file}: column {table.columns.names[index]!r} holds {values} values, NSIDE="
                f"{nside} has {12 * nside**2} pixels"
            )
    if _is_explicit(table) and _pixel_column(table) is None:
        raise ValueError(f"{file}: INDXSCHM is EXPLICIT, but the column PIXEL is missing")
    return _MapHeader(nside, order, len(columns))


def _is_explicit(table: BinTableHDU) -> bool:
    return str(table.header.get("INDXSCHM", "")).strip().upper() == "EXPLICIT"


def _pixel_column(table: BinTableHDU) -> int | None:
    names = [name.upper() for name in table.columns.names]
    return names.index("PIXEL") if _is_explicit(table) and "PIXEL" in names else None


def _channel_columns(table: BinTableHDU) -> list[int]:
    """Places of the columns that are channels."""
    return [i for i in range(len(table.columns)) if i != _pixel_column(table)]


def _fits_values(data: bytes, file: str) -> np.ndarray:
    """The values (channels, pixels) of a FITS file, NaN where it has none."""
    if file.lower().endswith(".gz"):
        data = _decompressed(data, file)
    with _map_table(io.BytesIO(data), file) as table:
        header = _fits_header(table, file)
        channels = [_column(table, index) for index in _channel_columns(table)]
        if not _is_explicit(table):
            return np.stack(channels)
        pixels = np.asarray(table.data.field(_pixel_column(table))).reshape(-1)
    return _spread(pixels, channels, 12 * header.nside**2, file)


def _decompressed(data: bytes, file: str) -> bytes:
    try:
        return gzip.decompress(data)
    except _DAMAGED as error:
        raise ValueError(f"{file} is truncated or damaged: {error}") from None


def _column(table: BinTableHDU, index: int) -> np.ndarray:
    values: Any = np.asarray(table.data.field(index)).reshape(-1)
    null = table.columns[index].null
    if null is None or values.dtype.kind not in "iu":
        return values
    return np.where(values == null, np.nan, values)


def _spread(
    pixels: np.ndarray, channels: list[np.ndarray], num_pixels: int, file: str
) -> np.ndarray:
    """Values of some pixels -> all pixels, NaN for the others."""
    if any(channel.shape != pixels.shape for channel in channels):
        raise ValueError(f"{file}: every row must hold one PIXEL and one value a column")
    if pixels.size and not 0 <= pixels.min() <= pixels.max() < num_pixels:
        raise ValueError(
            f"{file}: PIXEL is {pixels.min()} to {pixels.max()}, the map has {num_pixels} pixels"
        )
    if np.unique(pixels).size != pixels.size:
        raise ValueError(f"{file}: PIXEL names a pixel twice")
    values = np.full((len(channels), num_pixels), np.nan)
    for row, channel in zip(values, channels, strict=True):
        row[pixels] = channel
    return values
