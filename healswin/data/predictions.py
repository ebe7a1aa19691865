"""Predictions as a Zarr group that can be opened again.

| array | shape | dtype | chunk |
|---|---|---|---|
| semantic | (sample, pixel) | uint8 | a sample |
| depth | (sample, pixel) | float32, metres | a sample |
| deviation | (sample, pixel) | float32, metres | a sample |
| label | (sample,) | int64 | all |
| scores | (sample, label) | float32: they sum to 1 in each row | all |

A set of predictions holds classes of pixels, distances along their rays and how uncertain these
are, or labels of whole samples with their scores, and attributes that say on which grid and which
samples of which prepared set they are. Like a prepared set it is built under another name and
renamed when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float32, Int64, Shaped, UInt8

from healswin.data.store import PreparedSet, chunk_path, partial_path
from healswin.grid import HealpixGrid, grid_from_dict

FORMAT = "healswin-predictions"
FORMAT_VERSION = 1


class PredictionSet:
    """What was predicted, opened for reading. Use `open`.

    Attributes:
        root: The folder.
        attributes: Everything known of the predictions, plain JSON values.
        grid: Grid of the maps.
        sample_names: Names of the predicted samples, in the order of the rows.
        class_names: Names of the classes of pixels; empty if none were predicted.
        label_names: Names of the labels of whole samples; empty if none were predicted.
    """

    def __init__(self, root: Path, attributes: dict[str, Any]) -> None:
        self.root = root
        self.attributes = attributes
        self.grid = grid_from_dict(attributes)
        self.sample_names: list[str] = attributes["sample_names"]
        self.class_names: list[str] = attributes.get("class_names", [])
        self.label_names: list[str] = attributes.get("label_names", [])

    @classmethod
    def open(cls, root: str | Path) -> PredictionSet:
        """Open the predictions in the folder `root`.

        Raises:
            ValueError: If there are no whole predictions of a known version.
        """
        root = Path(root)
        metadata = root / "zarr.json"
        if not metadata.is_file():
            raise ValueError(f"{root} holds no predictions: make some with `healswin predict`")
        attributes = json.loads(metadata.read_text(encoding="utf-8")).get("attributes", {})
        if attributes.get("format") != FORMAT or not attributes.get("complete"):
            raise ValueError(f"{root} holds no whole predictions: run `healswin predict` again")
        if attributes["format_version"] != FORMAT_VERSION:
            raise ValueError(
                f"{root} has format version {attributes['format_version']}, this version of "
                f"HealSwin reads version {FORMAT_VERSION}"
            )
        return cls(root, attributes)

    def __len__(self) -> int:
        return len(self.sample_names)

    def semantic(self, row: int) -> UInt8[np.ndarray, " pixels"]:
        """Predicted class of every pixel of a row's sample.

        Raises:
            IndexError: If there is no such row.
            ValueError: If no classes were predicted, or the row's chunk has been lost, which Zarr
                would read as zeros.
        """
        self._check(row)
        if not self.class_names:
            raise ValueError(f"{self.root} holds no classes of pixels")
        return self._map("semantic", row)

    def depth(self, row: int) -> Float32[np.ndarray, " pixels"]:
        """Predicted distance along the ray of every pixel of a row's sample, in metres.

        Raises:
            IndexError: If there is no such row.
            ValueError: If no depth was predicted, or the row's chunk has been lost.
        """
        return self._metres("depth", "depth", row)

    def deviation(self, row: int) -> Float32[np.ndarray, " pixels"]:
        """Predicted standard deviation of `depth`, in metres.

        Raises:
            IndexError: If there is no such row.
            ValueError: If no deviation was predicted, or the row's chunk has been lost.
        """
        return self._metres("deviation", "deviation of depth", row)

    def label(self, row: int) -> int:
        """Predicted label of a row's sample, an index into `label_names`.

        Raises:
            IndexError: If there is no such row.
            ValueError: If no labels were predicted, or they have been lost.
        """
        self._check(row)
        return int(self._labels[row])

    def scores(self, row: int) -> Float32[np.ndarray, " labels"]:
        """The scores of all labels for a row's sample, which sum to 1.

        Raises:
            IndexError: If there is no such row.
            ValueError: If no labels were predicted, or they have been lost.
        """
        self._check(row)
        return self._scores[row]

    @cached_property
    def _labels(self) -> Int64[np.ndarray, " samples"]:
        return self._whole("label", 1)

    @cached_property
    def _scores(self) -> Float32[np.ndarray, "samples labels"]:
        return self._whole("scores", 2)

    def _check(self, row: int) -> None:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {self.root}, which holds rows 0..{len(self) - 1}")

    def _metres(self, name: str, what: str, row: int) -> np.ndarray:
        self._check(row)
        if not (self.root / name).is_dir():
            raise ValueError(f"{self.root} holds no {what}")
        return self._map(name, row)

    def _map(self, name: str, row: int) -> np.ndarray:
        if not chunk_path(self.root, name, row, 2).is_file():
            raise ValueError(f"{self.root} has lost row {row}: run `healswin predict` again")
        return np.asarray(zarr.open_array(self.root / name, mode="r")[row])

    def _whole(self, name: str, dimensions: int) -> np.ndarray:
        if not self.label_names:
            raise ValueError(f"{self.root} holds no labels of whole samples")
        if not chunk_path(self.root, name, 0, dimensions).is_file():
            raise ValueError(f"{self.root} has lost {name!r}: run `healswin predict` again")
        return np.asarray(zarr.open_array(self.root / name, mode="r")[:])


class PredictionFile:
    """Writes a `PredictionSet`; several processes may write different samples.

    Args:
        root: Where the whole set will be; an older one there is replaced.
        prepared: The set that is predicted.
        indices: Samples of the prepared set, one row each.
        maps: Dtype of each array (samples, pixels) that `write` fills, by its name.
        attributes: What else is to be known: ``class_names`` and ``class_colours`` of "semantic",
            ``label_names`` of "label".
    """

    def __init__(
        self,
        root: Path,
        prepared: PreparedSet,
        indices: Sequence[int],
        maps: Mapping[str, str],
        attributes: Mapping[str, Any],
    ) -> None:
        self.root = root
        self.partial = partial_path(root)
        self._prepared = prepared
        self._maps = dict(maps)
        self._attributes = dict(attributes)
        self._rows = {index: row for row, index in enumerate(indices)}

    def joined(self, other: PredictionFile) -> PredictionFile:
        """One file for what this one and another one hold of the same samples."""
        return PredictionFile(
            self.root,
            self._prepared,
            list(self._rows),
            {**self._maps, **other._maps},
            {**self._attributes, **other._attributes},
        )

    def create(self) -> None:
        """Make the empty arrays. Called by one process, before the others write."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        pixels = self._prepared.grid.num_pixels
        for name, dtype in self._maps.items():
            zarr.create_array(
                self.partial / name,
                shape=(len(self._rows), pixels),
                chunks=(1, pixels),
                dtype=dtype,
                config={"write_empty_chunks": True},
            )

    def write(self, name: str, index: int, values: Shaped[np.ndarray, " pixels"]) -> None:
        """Store the map that is predicted for one sample of the prepared set."""
        # Zarr leaves out chunks that equal the fill value unless it is told to write them, and
        # `open_array` forgets what it is told.
        array = zarr.open_array(self.partial / name, mode="r+")
        array.with_config({"write_empty_chunks": True})[self._rows[index]] = values

    def write_all(self, name: str, values: Shaped[np.ndarray, " samples *any"]) -> None:
        """Store small values of all samples, in the order of the rows. Called by one process.

        Raises:
            ValueError: If there is not one row a sample.
        """
        if len(values) != len(self._rows):
            raise ValueError(f"{name} has {len(values)} rows for {len(self._rows)} samples")
        array = zarr.create_array(
            self.partial / name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            config={"write_empty_chunks": True},
        )
        array[...] = values

    def finish(self) -> None:
        """State what the predictions are and give them their name. Called by one process.

        Raises:
            ValueError: If samples were not written.
        """
        prepared = self._prepared
        for name in self._maps:
            missing = [
                index
                for index, row in self._rows.items()
                if not chunk_path(self.partial, name, row, 2).is_file()
            ]
            if missing:
                raise ValueError(
                    f"{self.partial} lacks {len(missing)} of {len(self._rows)} samples, first "
                    f"{prepared.sample_names[missing[0]]}"
                )
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "prepared_set": str(prepared.root),
            **prepared.grid.to_dict(),
            **({"order": "nested"} if isinstance(prepared.grid, HealpixGrid) else {}),
            "pole": prepared.pole,
            **self._attributes,
            "sample_names": [prepared.sample_names[index] for index in self._rows],
            "sample_camera": [prepared.sample_camera[index] for index in self._rows],
            "complete": True,
        }
        zarr.open_group(self.partial, mode="a", attributes=attributes)
        # The old predictions go when the new ones have their name, not before.
        old = self.root.with_name(self.root.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.root.exists():
            self.root.rename(old)
        self.partial.rename(self.root)
        shutil.rmtree(old, ignore_errors=True)
