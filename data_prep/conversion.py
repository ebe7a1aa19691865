"""The arguments of a conversion."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.readers import READERS
from healswin.cameras import POLES
from healswin.data.store import IGNORE_INDEX
from healswin.grid import HealpixGrid, ImageGrid

GRIDS = ("healpix", "image")

# What pixels outside the camera's field are labelled: left out of the loss, or the class "void",
# which takes part in it, as in the published conversion.
INVALID_LABELS = {"ignore": IGNORE_INDEX, "void": 0}

# What only one of the grids has; sets of the other grid do not state it.
_OF_HEALPIX = ("nside", "base_pixels", "pole", "antialias")
_OF_IMAGES = ("grid", "size")

# Pixels cut from the left, top, right and bottom side of every image.
Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Conversion:
    """The arguments that decide what a prepared set holds.

    Where None is allowed it means what fits the source; `data_prep.plan.make_plan` finds out.

    Args:
        source: Folder of the source data set.
        reader: A key of `data_prep.readers.READERS`.
        classes: A class list of the reader or a YAML file (`data_prep.classes.read_class_list`);
            used if labels are converted. None: the reader's usual one, or ``classes.yaml`` in the
            source.
        grid: "healpix", or "image": the images are resized and stay flat, and what belongs to a
            sphere (nside, base_pixels, antialias, and another pole than "camera") is refused.
        size: Height and width of flat images.
        nside: Pixels along one side of a base pixel. None: 256.
        base_pixels: The part of the sphere. None: (0, ..., 7), the fisheye domain; all 12 for
            panoramas and maps.
        tasks: Arrays besides the image. None: the labels, if the source has any.
        split: See `data_prep.split.parse_split`. None: "train:0.8", all for training where the
            source shows one scene only.
        seed: Decides which scenes go into which part.
        pole: "camera", "vehicle" or "zenith" (`healswin.cameras.pole_rotation`). None: "camera",
            for panoramas and maps "zenith".
        invalid: "ignore" or "void": the label outside the camera's field.
        antialias: Average the image over each pixel where the grid is coarser than the image
            (`healswin.resample.ImageToGrid`).
        crop: Pixels cut from the left, top, right and bottom of every image, or "green": as many
            as the green strips of WoodScape need (`data_prep.crop.green_strips`).
        own_vehicle: Folder of one mask a camera, CAMERA.png, where the own vehicle is not 0.
        cameras: Names of the cameras that are wanted; none names all.
        limit: Number of frames, the first in the order of their names; None for all.

    Raises:
        ValueError: If an argument cannot be right whatever the source is.
    """

    source: Path
    reader: str = "synwoodscape"
    classes: str | None = None
    grid: str = "healpix"
    size: tuple[int, int] | None = None
    nside: int | None = None
    base_pixels: tuple[int, ...] | None = None
    tasks: tuple[str, ...] | None = None
    split: str | None = None
    seed: int = 42
    pole: str | None = None
    invalid: str = "ignore"
    antialias: bool = False
    crop: Sides | str | None = None
    own_vehicle: Path | None = None
    cameras: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise ValueError(f"reader={self.reader!r} must be one of {sorted(READERS)}")
        self._check_grid()
        if self.invalid not in INVALID_LABELS:
            raise ValueError(f"invalid={self.invalid!r} must be one of {sorted(INVALID_LABELS)}")
        if self.pole is not None and self.pole not in POLES:
            raise ValueError(f"pole={self.pole!r} must be one of {POLES}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit={self.limit} must be at least 1")
        if isinstance(self.crop, str):
            if self.crop != "green":
                raise ValueError(f"crop={self.crop!r} must be four numbers or 'green'")
        elif self.crop is not None and (len(self.crop) != 4 or min(self.crop) < 0):
            raise ValueError(f"crop={self.crop} must be four numbers of pixels, none negative")
        tasks = self.tasks or ()
        offered = READERS[self.reader].tasks
        if len(set(tasks)) != len(tasks) or not set(tasks) <= set(offered):
            kinds = f"different ones of {offered}" if offered else "empty: it reads images only"
            raise ValueError(
                f"tasks={','.join(tasks)!r}: those of the reader {self.reader!r} must be {kinds}"
            )

    def _check_grid(self) -> None:
        if self.grid not in GRIDS:
            raise ValueError(f"grid={self.grid!r} must be one of {GRIDS}")
        if self.grid == "healpix":
            if self.size is not None:
                raise ValueError(f"size={self.size} is for grid='image'; HEALPix has an nside")
            return
        if self.size is None:
            raise ValueError("size is missing: grid='image' needs a height and a width, as 640x768")
        ImageGrid(*self.size)  # which says what else is wrong
        for name in ("nside", "base_pixels"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name}={getattr(self, name)} is for grid='healpix'; a flat image has a size "
                    "alone: leave it out"
                )
        if self.pole not in (None, "camera"):
            raise ValueError(
                f"pole={self.pole!r} is for grid='healpix'; a flat image stays as the camera took "
                "it: leave it out"
            )
        if self.antialias:
            raise ValueError(
                "antialias is for grid='healpix'; what makes an image smaller takes means over its "
                "pixels anyway: leave it out"
            )

    def pixels(self) -> HealpixGrid | ImageGrid:
        """The grid of a conversion that is `settled`."""
        if self.grid == "image":
            return ImageGrid(*self.size)
        return HealpixGrid(self.nside, self.base_pixels)

    def settled(self) -> Conversion:
        """With what the reader and the grid alone decide in the place of None."""
        reader = READERS[self.reader]
        conversion = dataclasses.replace(self, classes=self.classes or reader.default_classes)
        if self.grid == "image":
            return dataclasses.replace(conversion, pole="camera")
        faces = range(12 if reader.default_pole == "zenith" else 8)
        return dataclasses.replace(
            conversion,
            nside=256 if self.nside is None else self.nside,
            base_pixels=tuple(faces if self.base_pixels is None else self.base_pixels),
            pole=self.pole or reader.default_pole,
        )

    def arguments(self) -> dict[str, Any]:
        """As JSON values, paths absolute, without what only the other grid has."""
        values = dataclasses.asdict(self)
        for name in _OF_HEALPIX if self.grid == "image" else _OF_IMAGES:
            del values[name]
        for name in ("source", "own_vehicle"):
            path = getattr(self, name)
            values[name] = None if path is None else str(path.expanduser().resolve())
        return json.loads(json.dumps(values))

    def stated(self) -> dict[str, Any]:
        """`arguments` without those that are left to the source."""
        open_ended = ("tasks", "split", "classes")
        values = self.settled().arguments()
        return {k: v for k, v in values.items() if v is not None or k not in open_ended}
