"""What a prepared data set is, and how it is read.

A prepared set is one Zarr v3 group with these arrays, one chunk a sample:

| array | shape | dtype | outside `valid` |
|---|---|---|---|
| image | (sample, pixel, channel) | uint8; float32 for maps such as those of the sky | 0 |
| semantic | (sample, pixel) | uint8 | 255 (ignored), or 0 with `--invalid void` |
| depth | (sample, pixel) | float32, metres | NaN (unknown); +inf is the sky |
| label | (sample,) | int64 | a class for the whole sample, whatever is valid |
| valid | (camera, pixel) | bool | the definition: see below |

The axes bear these names (Zarr's dimension names). A pixel is valid for a camera if its ray is
inside the lens's field and meets the image, and for a HEALPix map if the map knows a value there;
it is not where the own vehicle was masked. Pixels are in the order of the set's grid, any of
`healswin.grid`.

Everything else is in the group's attributes as plain JSON: the grid, class names, colours and
weights, the names of the labels, the calibration of every camera (of the image after cropping;
null for samples that no camera took) and the pixels that were cropped, name, camera and source
files of every sample, the source files that were skipped, the split, and statistics of the training
split. Nothing in a set depends on the time, the order or the number of workers with which it was
made.

Chunks are compressed with zstd at level 1, with a checksum. `python benchmarks/store.py` reads an
image with its labels at nside 256 and 8 base pixels (2.10 MB) in 1.2 ms uncompressed, in 3.3 ms at
level 1 (1.04 MB, as at level 3), and in 7.8 ms from a compressed .npz file (0.95 MB); 2 cores of
an AMD EPYC, zarr 3.1.6, 2026-11-21. Half the space is worth 2 ms where a training step takes a
hundred times as long.

Of many small samples a file of each array holds several, its shard (`healswin.data.shards`): one
flush to the disk for all of them, and reading without what Zarr needs for each. In the same script
images of 12,288 bytes with masks and labels are written at 3,000 a second in shards and at 32 in
files of their own, and read at 10,000 and 370 a second of one core; the same machine, busy with
other work.

A missing chunk or shard reads as zeros in Zarr. So a set is built under another name
(`healswin.data.writer`), only a whole one carries the attribute ``complete``, and the reader
looks whether a sample's chunk is there before it reads it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from healswin.data.shards import ShardedRows, is_sharded

if TYPE_CHECKING:
    from healswin.cameras import Camera
    from healswin.grid import Grid

FORMAT = "healswin-prepared"
FORMAT_VERSION = 1
IGNORE_INDEX = 255


def partial_path(out: Path) -> Path:
    """Where the set OUT is while it is being built: OUT.partial, beside it."""
    return out.with_name(out.name + ".partial")


class PreparedSet:
    """A whole prepared set, opened for reading.

    Opening reads the attributes only; arrays are opened at their first use. A set pickles as its
    path, so that it travels into data-loading workers however they are started.

    Use `open`.
    """

    def __init__(self, root: Path, attributes: dict[str, Any]) -> None:
        self.root = root
        self.attributes = attributes
        self._rows: dict[str, ChunkRows | ShardedRows] = {}

    @classmethod
    def open(cls, root: str | Path) -> PreparedSet:
        """Open the prepared set in the folder `root`.

        Raises:
            ValueError: If there is no whole prepared set; the message says what is there and how
                to get one.
        """
        path = Path(root).expanduser().absolute()
        attributes = _read_attributes(path)
        if attributes.get("format") != FORMAT or attributes.get("complete") is not True:
            raise ValueError(
                f"{path} is no prepared data set (its attributes hold no format "
                f"{FORMAT!r}); make one with `healswin-prep convert` or `mnist`"
            )
        if attributes["format_version"] != FORMAT_VERSION:
            raise ValueError(
                f"{path} has format version {attributes['format_version']}, this version of "
                f"HealSwin reads version {FORMAT_VERSION}: convert the data again"
            )
        for name in ("image", *attributes["tasks"], "valid"):
            if not (path / name / "zarr.json").is_file():
                raise ValueError(f"{path} has lost its array {name!r}: copy or convert it again")
        return cls(path, attributes)

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return PreparedSet.open, (self.root,)

    def __repr__(self) -> str:
        return f"PreparedSet({str(self.root)!r}: {len(self)} samples, {self.grid})"

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.sample_names)

    @cached_property
    def grid(self) -> Grid:
        """The pixels of all maps.

        Raises:
            ValueError: If the attributes do not describe a grid.
        """
        from healswin.grid import grid_from_dict

        try:
            return grid_from_dict(self.attributes)
        except ValueError as error:
            raise ValueError(f"{self.root / 'zarr.json'}: {error}") from None

    @property
    def pole(self) -> str:
        """What the grid's north pole is: see `healswin.cameras.pole_rotation`."""
        return self.attributes["pole"]

    @property
    def up(self) -> tuple[float, float, float]:
        """Unit vector of the map that points up in the world, as seen by a level camera."""
        return tuple(self.attributes["up"])

    @property
    def tasks(self) -> list[str]:
        """Arrays besides the image: "semantic", "depth", "label"."""
        return self.attributes["tasks"]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes of `semantic` in the order of their ids; empty without labels."""
        return self.attributes["class_names"]

    @property
    def class_colours(self) -> list[list[int]]:
        """RGB colour (0..255) of each class."""
        return self.attributes["class_colours"]

    @property
    def class_frequencies(self) -> list[float]:
        """Share of each class among the labelled valid pixels of the training split."""
        return self.attributes["class_frequencies"]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def depth_statistics(self) -> dict[str, Any] | None:
        """Moments and limits of the training split's depth, as stored; None without depth."""
        return self.attributes.get("depth_statistics")

    @property
    def label_names(self) -> list[str]:
        """Names of the classes of whole samples (`label`) in their order; empty without."""
        return self.attributes.get("label_names", [])

    @property
    def label_frequencies(self) -> list[float]:
        """Share of each label among the samples of the training split."""
        return self.attributes.get("label_frequencies", [])

    @property
    def ignore_index(self) -> int:
        """Label of pixels without truth."""
        return self.attributes["ignore_index"]

    @property
    def image_dtype(self) -> str:
        """Dtype of the stored images: "uint8" or "float32"."""
        # Sets that were made before there were float32 maps do not say it.
        return self.attributes.get("image_dtype", "uint8")

    @property
    def image_mean(self) -> list[float]:
        """Mean of each channel over the training split's valid pixels; uint8 values / 255."""
        return self.attributes["image_mean"]

    @property
    def image_std(self) -> list[float]:
        """Standard deviation of each channel, like `image_mean`."""
        return self.attributes["image_std"]

    @property
    def num_channels(self) -> int:
        """Number of image channels."""
        return len(self.image_mean)

    @property
    def sample_names(self) -> list[str]:
        """Name of each sample, e.g. "00001_FV"."""
        return self.attributes["sample_names"]

    @property
    def sample_camera(self) -> list[str]:
        """Key of each sample's camera, as `cameras` and `valid` take it."""
        return self.attributes["sample_camera"]

    @property
    def split(self) -> dict[str, list[int]]:
        """Indices of samples by the name of their part: "train", "val", "test"."""
        return self.attributes["split"]

    @cached_property
    def cameras(self) -> dict[str, Camera]:
        """The calibrations by key: the camera's name, then "FV#2" where calibrations differ.

        Samples that no camera took (maps of the sky, projected digits) have none.
        """
        from healswin.cameras import camera_from_dict

        return {
            entry["key"]: camera_from_dict(entry["calibration"])
            for entry in self.attributes["cameras"]
            if is_camera(entry["calibration"])
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the attributes but for `source_root`, in hexadecimal digits.

        The attributes name the samples, their files' checksums, the grid, the split and the
        statistics: two sets that were made alike from the same data agree, wherever they were made.
        """
        lasting = {key: value for key, value in self.attributes.items() if key != "source_root"}
        text = json.dumps(lasting, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def source_root(self) -> Path:
        """Folder of the data set that this one was made from."""
        return Path(self.attributes["source_root"])

    def source_files(self, index: int) -> dict[str, str]:
        """Paths of a sample's source files under `source_root`, by kind; empty if it has none."""
        files = self.attributes["sources"][self._checked(index)]
        return {kind: entry["path"] for kind, entry in files.items()}

    def image(self, index: int) -> Shaped[np.ndarray, "pixels channels"]:
        """The image of a sample, uint8 or float32 as stored."""
        return self._sample("image", index)

    def semantic(self, index: int) -> UInt8[np.ndarray, " pixels"]:
        """The class of each pixel, `ignore_index` where there is none."""
        return self._sample("semantic", index)

    def depth(self, index: int) -> Float32[np.ndarray, " pixels"]:
        """The distance along each pixel's ray in metres; +inf sky, NaN unknown."""
        return self._sample("depth", index)

    def label(self, index: int) -> int:
        """The class of a whole sample, an index into `label_names`."""
        return int(self._sample("label", index))

    def valid(self, camera: str) -> Bool[np.ndarray, " pixels"]:
        """The pixels that a camera sees, or that a map knows.

        Args:
            camera: One of `sample_camera`.

        Raises:
            ValueError: If the set has no such camera.
        """
        if camera not in self._row_of_camera:
            raise ValueError(
                f"camera={camera!r} is none of this set's cameras {list(self._row_of_camera)}"
            )
        return self._read("valid", self._row_of_camera[camera])

    @cached_property
    def _row_of_camera(self) -> dict[str, int]:
        return {entry["key"]: row for row, entry in enumerate(self.attributes["cameras"])}

    def _sample(self, name: str, index: int) -> np.ndarray:
        if name != "image" and name not in self.tasks:
            raise ValueError(f"{self.root} holds no {name!r}, only image, {', '.join(self.tasks)}")
        return self._read(name, self._checked(index))

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(
                f"sample {index} of {self.root}, which holds samples 0..{len(self) - 1}"
            )
        return int(index)

    def _read(self, name: str, row: int) -> np.ndarray:
        if name not in self._rows:
            self._rows[name] = open_rows(self.root, name)
        rows = self._rows[name]
        try:
            return rows.read(row)
        except FileNotFoundError:
            raise ValueError(
                f"{self.root}: chunk {row} of the array {name!r} is missing, the set was copied "
                "incompletely: copy or convert it again"
            ) from None
        except ValueError as error:
            raise ValueError(
                f"{rows.file(row)} is damaged ({error}): copy or convert the set again"
            ) from None


class ChunkRows:
    """The rows of an array that has a file for each of them, read by Zarr.

    Args:
        folder: The array.
    """

    def __init__(self, folder: Path) -> None:
        import zarr

        self._folder = folder
        self._array = zarr.open_array(folder, mode="r")

    def file(self, row: int) -> Path:
        """The chunk of a row."""
        return chunk_path(self._folder.parent, self._folder.name, row, self._array.ndim)

    def read(self, row: int) -> Shaped[np.ndarray, "*row"]:
        """The values of a row.

        Raises:
            FileNotFoundError: If its chunk is not there.
            ValueError: If it is damaged.
        """
        if not self.file(row).is_file():
            raise FileNotFoundError(f"{self.file(row)} is missing")
        try:
            return np.asarray(self._array[row])
        except RuntimeError as error:  # what codecs answer to damage
            raise ValueError(str(error)) from None


def open_rows(root: Path, name: str) -> ChunkRows | ShardedRows:
    """The rows of an array of a set.

    Raises:
        ValueError: If the array cannot be opened.
    """
    metadata = array_metadata(root, name)
    return ShardedRows(root / name, metadata) if is_sharded(metadata) else ChunkRows(root / name)


def array_metadata(root: Path, name: str) -> dict[str, Any]:
    """What the zarr.json of an array holds: shape, data type, chunks, codecs.

    Raises:
        ValueError: If it is not the description of an array.
    """
    path = root / name / "zarr.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    if not (isinstance(metadata, dict) and isinstance(metadata.get("codecs"), list)):
        raise ValueError(f"{path} does not describe an array: copy or convert the set again")
    return metadata


def is_camera(calibration: dict[str, Any] | None) -> bool:
    """Whether an entry of the attribute ``cameras`` is the calibration of a camera.

    It is not where samples are no photographs: null, or the model "healpix" of a map.
    """
    return calibration is not None and calibration["intrinsic"]["model"] != "healpix"


def chunk_path(root: Path, name: str, row: int, ndim: int) -> Path:
    """The file of one sample's chunk in the folder of a set; of one shard if ROW counts these."""
    return root.joinpath(name, "c", str(row), *["0"] * (ndim - 1))


def _read_attributes(path: Path) -> dict[str, Any]:
    if path.name.endswith(".partial"):
        raise ValueError(
            f"{path} is an unfinished data set: run the same `healswin-prep` command "
            "again, it continues where it stopped"
        )
    metadata = path / "zarr.json"
    if metadata.is_file():
        try:
            return json.loads(metadata.read_text(encoding="utf-8")).get("attributes", {})
        except ValueError as error:
            raise ValueError(f"{metadata} is no JSON file: {error}") from None
    if partial_path(path).is_dir():
        raise ValueError(
            f"{path} is not finished, {partial_path(path).name} is: run the same `healswin-prep` "
            "command again, it continues where it stopped"
        )
    what = "holds no zarr.json" if path.is_dir() else "does not exist"
    raise ValueError(
        f"{path} {what}: a prepared data set is needed, made with `healswin-prep convert` "
        "or `mnist`"
    )
