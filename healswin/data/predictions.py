"""Predictions as a Zarr group that can be opened again.

One array, ``semantic`` (samples, pixels) uint8, one chunk a sample, and attributes that say on
which grid it lives and which samples of which prepared set it predicts. Like a prepared set it is
built under another name and renamed when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import UInt8

from healswin.data.store import PreparedSet, chunk_path, partial_path
from healswin.grid import HealpixGrid, grid_from_dict

FORMAT = "healswin-predictions"
FORMAT_VERSION = 1


class PredictionSet:
    """Predicted classes, opened for reading. Use `open`.

    Attributes:
        root: The folder.
        attributes: Everything known of the predictions, plain JSON values.
        grid: Grid of the maps.
        sample_names: Names of the predicted samples, in the order of the rows.
        class_names: Names of the classes.
    """

    def __init__(self, root: Path, attributes: dict[str, Any]) -> None:
        self.root = root
        self.attributes = attributes
        self.grid = grid_from_dict(attributes)
        self.sample_names: list[str] = attributes["sample_names"]
        self.class_names: list[str] = attributes["class_names"]

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
            ValueError: If the row's chunk has been lost, which Zarr would read as zeros.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {self.root}, which holds rows 0..{len(self) - 1}")
        if not chunk_path(self.root, "semantic", row, 2).is_file():
            raise ValueError(f"{self.root} has lost row {row}: run `healswin predict` again")
        return np.asarray(zarr.open_array(self.root / "semantic", mode="r")[row])


class PredictionFile:
    """Writes a `PredictionSet`; several processes may write different samples.

    Args:
        root: Where the whole set will be; an older one there is replaced.
        prepared: The set that is predicted.
        indices: Samples of the prepared set, one row each.
        class_names: Names of the predicted classes.
        class_colours: Their RGB colours.
    """

    def __init__(
        self,
        root: Path,
        prepared: PreparedSet,
        indices: Sequence[int],
        class_names: Sequence[str],
        class_colours: Sequence[Sequence[int]],
    ) -> None:
        self.root = root
        self.partial = partial_path(root)
        self._prepared = prepared
        self._class_names = list(class_names)
        self._class_colours = [list(colour) for colour in class_colours]
        self._rows = {index: row for row, index in enumerate(indices)}

    def create(self) -> None:
        """Make the empty array. Called by one process, before the others write."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        pixels = self._prepared.grid.num_pixels
        zarr.create_array(
            self.partial / "semantic",
            shape=(len(self._rows), pixels),
            chunks=(1, pixels),
            dtype="uint8",
            config={"write_empty_chunks": True},
        )

    def write(self, index: int, labels: UInt8[np.ndarray, " pixels"]) -> None:
        """Store the prediction of one sample of the prepared set."""
        # Zarr leaves out chunks that equal the fill value unless it is told to write them, and
        # `open_array` forgets what it is told.
        array = zarr.open_array(self.partial / "semantic", mode="r+")
        array.with_config({"write_empty_chunks": True})[self._rows[index]] = labels

    def finish(self) -> None:
        """State what the predictions are and give them their name. Called by one process.

        Raises:
            ValueError: If samples were not written.
        """
        prepared = self._prepared
        missing = [
            index
            for index, row in self._rows.items()
            if not chunk_path(self.partial, "semantic", row, 2).is_file()
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
            "class_names": self._class_names,
            "class_colours": self._class_colours,
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
