"""The arguments of ``healswin-prep mnist``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from healswin.grid import EquiangularGrid, HealpixGrid

GRIDS = ("healpix", "soft", "driscoll-healy")
ROTATED = ("all", "none", "test")
TASKS = ("label", "semantic")

MOST_ITEMS = 4
SEVERAL_CANVAS = 60

# A canvas has some thousand pixels; OpenCV refuses more than 32767 in a row.
_FINEST = 1024


@dataclass(frozen=True)
class MnistConversion:
    """The arguments that decide what a set of projected digits holds.

    What is None, but for the numbers of samples and the canvas of one item, is replaced by what
    fits the other arguments.

    Args:
        source: A folder of idx files, or a name (`data_prep.mnist.originals.NAMED`).
        grid: "healpix", "soft" or "driscoll-healy". None: "healpix", or "driscoll-healy" if
            published.
        nside: Of the HEALPix grid. None: 32.
        base_pixels: Of the HEALPix grid. None: all 12.
        bandwidth: Of the other grids. None: 30.
        items: Pictures on a canvas, 1 to 4.
        canvas: Pixels along a side of the canvas. None: that of the pictures with one item, 60
            with several.
        rotated: "all" samples, "none", or those for the "test" only.
        rotation_block: Consecutive samples that share a rotation; 500 in the published sets.
        train: Samples for training. None: all originals that are not for validation.
        val: Samples for validation, of the last training originals. None: a twelfth of them, at
            most 5000.
        test: Samples for tests. None: all originals.
        threshold: A pixel belongs to an item if its grey level is above.
        tasks: "label", what a sample shows (with one item), and "semantic", what each pixel shows.
            None: what is possible.
        seed: Decides rotations, items and places.
        published: Sample as the published program does (`data_prep.mnist.projection`).

    Raises:
        ValueError: If an argument cannot be right whatever the source is.
    """

    source: str
    grid: str | None = None
    nside: int | None = None
    base_pixels: tuple[int, ...] | None = None
    bandwidth: int | None = None
    items: int = 1
    canvas: int | None = None
    rotated: str = "all"
    rotation_block: int = 1
    train: int | None = None
    val: int | None = None
    test: int | None = None
    threshold: int = 150
    tasks: tuple[str, ...] | None = None
    seed: int = 42
    published: bool = False

    def __post_init__(self) -> None:
        self._settle_grid()
        if not 1 <= self.items <= MOST_ITEMS:
            raise ValueError(f"items={self.items} must be 1 to {MOST_ITEMS}")
        if self.canvas is None and self.items > 1:
            self._settle("canvas", SEVERAL_CANVAS)
        if self.canvas is not None and not 1 <= self.canvas <= _FINEST:
            raise ValueError(f"canvas={self.canvas} must be 1 to {_FINEST} pixels")
        if self.rotated not in ROTATED:
            raise ValueError(f"rotated={self.rotated!r} must be one of {ROTATED}")
        if self.rotation_block < 1:
            raise ValueError(f"rotation_block={self.rotation_block} must be at least 1")
        if not 0 <= self.threshold <= 255:
            raise ValueError(f"threshold={self.threshold} must be a grey level, 0 to 255")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must not be negative")
        if self.tasks is None:
            self._settle("tasks", TASKS if self.items == 1 else ("semantic",))
        said = ",".join(self.tasks)
        if not self.tasks or len(set(self.tasks)) < len(self.tasks) or set(self.tasks) - set(TASKS):
            raise ValueError(f"tasks={said!r} must be different ones of {TASKS}")
        if "label" in self.tasks and self.items > 1:
            raise ValueError(f"tasks={said!r}: a canvas with {self.items} items has no one label")
        self._settle("tasks", tuple(task for task in TASKS if task in self.tasks))

    def pixels(self) -> HealpixGrid | EquiangularGrid:
        """The grid."""
        if self.grid == "healpix":
            return HealpixGrid(self.nside, self.base_pixels)
        return EquiangularGrid(self.bandwidth, self.grid)

    def arguments(self) -> dict[str, Any]:
        """All but the source as JSON values, as they stand in the set's attributes."""
        values = dataclasses.asdict(self)
        del values["source"]
        return {"command": "mnist", **json.loads(json.dumps(values))}

    def _settle(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _settle_grid(self) -> None:
        if self.grid is None:
            self._settle("grid", "driscoll-healy" if self.published else "healpix")
        if self.grid not in GRIDS:
            raise ValueError(f"grid={self.grid!r} must be one of {GRIDS}")
        if self.published and self.grid != "driscoll-healy":
            raise ValueError(f"grid={self.grid!r}: the published sets have 'driscoll-healy'")
        healpix = self.grid == "healpix"
        if healpix and self.bandwidth is not None:
            raise ValueError(f"bandwidth={self.bandwidth}: a HEALPix grid has an nside instead")
        if not healpix and (self.nside, self.base_pixels) != (None, None):
            raise ValueError(
                f"nside={self.nside}, base_pixels={self.base_pixels}: the grid {self.grid!r} has a "
                "bandwidth instead"
            )
        name, usual = ("nside", 32) if healpix else ("bandwidth", 30)
        if getattr(self, name) is None:
            self._settle(name, usual)
        if not 1 <= getattr(self, name) <= _FINEST:
            raise ValueError(f"{name}={getattr(self, name)} must be 1 to {_FINEST}")
        if healpix and self.base_pixels is None:
            self._settle("base_pixels", tuple(range(12)))
        self.pixels()  # which says what else is wrong
