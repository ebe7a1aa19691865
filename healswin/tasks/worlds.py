"""Where a prediction is compared with the truth: on the sphere, in the image, on common pixels.

A network that sees the sphere and one that sees flat images predict on unlike pixels. They are
compared in a world that both are looked up in:

* "sphere": the valid pixels of a HEALPix set. Predictions of flat images are looked up there, at
  the pixels of a companion, a HEALPix set that was made from the same sources.
* "image": the pixels of the full-resolution source image. Of a HEALPix set those whose ray meets
  its base pixels; of flat images all that the lens sees.
* "image_common": of flat images with a companion those pixels of "image" whose ray meets the
  companion's base pixels. These are the pixels that "image" has of the companion.

Everything is looked up by nearest neighbour, so that classes stay classes and depths stay depths.
Pixels without truth (ignored classes, unknown depths) count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Shaped

from healswin.cameras import Camera
from healswin.cameras.base import pixel_grid, pole_rotation
from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.sources import source_file
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.resample import GridToImage
from healswin.tasks.evaluation import ImageView

WORLDS = ("sphere", "image", "image_common")

# Why a world is not measured, where a reader of a report may look for it.
NO_CAMERA = "samples without a camera"
NO_SOURCES = "source images absent"
NO_COMPANION = (
    "no companion is given: --report.companion ROOT names a HEALPix set made from the same sources"
)
COMMON_ALREADY = "the image's pixels are the common ones already"
NO_DEPTH_FILES = (
    "the set does not say how its depth files are read: convert the data again with this version"
)

# Surround rigs have four cameras; bounded where every sample is calibrated anew.
_TABLES_KEPT = 8


@dataclass(frozen=True, eq=False)
class View:
    """Prediction and truth of one sample in one world, on the pixels that count.

    Attributes:
        world: One of `WORLDS`.
        prediction: (n,) class, uint8, or metres, float32.
        truth: (n,) of the same dtype; metres may be +inf, the sky.
        angle: (n,) radians from the camera's optical axis; NaN where there is no camera.
        areas: (n,) solid angles in steradians where they differ, None where all pixels count alike.
        pixels: (n,) index of each among all pixels of the world.
        shape: That of all pixels of the world: (pixels,), or (height, width) of an image.
    """

    world: str
    prediction: Shaped[np.ndarray, " n"]
    truth: Shaped[np.ndarray, " n"]
    angle: Float32[np.ndarray, " n"]
    areas: Float64[np.ndarray, " n"] | None
    pixels: Int32[np.ndarray, " n"]
    shape: tuple[int, ...]

    def as_map(
        self, values: Shaped[np.ndarray, " n"], background: float
    ) -> Shaped[np.ndarray, "*shape"]:
        """Values of the pixels that count as a map of all pixels of the world.

        Args:
            values: One for each pixel that counts, such as ``prediction``.
            background: What all other pixels get.
        """
        result = np.full(int(np.prod(self.shape)), background, dtype=values.dtype)
        result[self.pixels] = values
        return result.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class _Table:
    """The pixels of a world that have a prediction, and where it is.

    Attributes:
        pixels: (m,) their index among all pixels of the world.
        source: (m,) index of each one's value in a prediction.
        angle: (m,) radians from the optical axis.
        areas: (m,) solid angles where they differ.
        shape: That of all pixels of the world.
    """

    pixels: Int32[np.ndarray, " m"]
    source: Int32[np.ndarray, " m"]
    angle: Float32[np.ndarray, " m"]
    areas: Float64[np.ndarray, " m"] | None
    shape: tuple[int, ...]

    def only(self, chosen: Bool[np.ndarray, " m"]) -> _Table:
        """The table of some of its pixels."""
        if chosen.all():
            return self
        areas = None if self.areas is None else self.areas[chosen]
        return _Table(
            self.pixels[chosen], self.source[chosen], self.angle[chosen], areas, self.shape
        )


class Worlds:
    """Compares the predictions for the test split of a set with the truth, world by world.

    Args:
        data: What is tested.
        kind: Which array is predicted, "semantic" or "depth".
        companion: Of flat images: a HEALPix set that was made from the same sources. A HEALPix set
            may be given one of flat images, which is checked and changes nothing.

    Attributes:
        own: What the pixels of the set itself are called: "sphere", or "resized" of flat images.
        worlds: Those of `WORLDS` that can be measured, in this order.
        absent: Why each of the others cannot.
        same_split: Whether the companion has the same samples in its test split; None without one.
        view: Looks maps up in the images.

    Raises:
        ValueError: If the companion does not fit the set, see `check_companion`.
    """

    def __init__(
        self,
        data: PreparedDataModule,
        kind: Literal["semantic", "depth"],
        companion: PreparedSet | None = None,
    ) -> None:
        if kind not in ("semantic", "depth"):
            raise ValueError(f"kind={kind!r} must be 'semantic' or 'depth'")
        self.data = data
        self.kind = kind
        self.companion = companion
        self.view = ImageView(data, companion)
        self._flat = isinstance(data.prepared.grid, ImageGrid)
        self._indices = data.split_indices("test")
        self.same_split: bool | None = None
        if companion is not None:
            check_companion(data, kind, companion, self._indices)
            self._row = {name: row for row, name in enumerate(companion.sample_names)}
            ours = {data.prepared.sample_names[i] for i in self._indices}
            part = "test" if "test" in companion.split else "val"
            theirs = {companion.sample_names[i] for i in companion.split.get(part, ())}
            self.same_split = ours == theirs
        self.own = "resized" if self._flat else "sphere"
        reasons = {world: self._reason(world) for world in WORLDS}
        self.worlds = tuple(world for world in WORLDS if reasons[world] is None)
        self.absent = {world: reason for world, reason in reasons.items() if reason is not None}
        self._tables = lru_cache(maxsize=_TABLES_KEPT)(self._make_tables)
        # Several maps of one sample are looked up in a row.
        self._counted = lru_cache(maxsize=1)(self._find_counted)

    def camera_name(self, sample: int) -> str | None:
        """The camera on the vehicle that took a sample, e.g. "FV"; None without one.

        Cameras of one name whose calibrations differ ("FV" and "FV#2") are the same here.
        """
        camera = self.data.prepared.cameras.get(self.data.prepared.sample_camera[sample])
        return None if camera is None else camera.name

    def views(self, sample: int, prediction: Shaped[np.ndarray, " pixels"]) -> list[View]:
        """A prediction beside the truth in every world that can be measured.

        Args:
            sample: Index into the set.
            prediction: One value for every pixel of the set's grid: classes or metres.

        Raises:
            ValueError: If the number of values does not fit.
        """
        self._check_values("prediction", prediction)
        return [
            View(
                world=world,
                prediction=prediction[table.source],
                truth=truth,
                angle=table.angle,
                areas=table.areas,
                pixels=table.pixels,
                shape=table.shape,
            )
            for world, (table, truth) in self._counted(sample).items()
        ]

    def extra(
        self, sample: int, values: Shaped[np.ndarray, " pixels"]
    ) -> dict[str, Shaped[np.ndarray, " _"]]:
        """A second map of a sample on the pixels of its `views`, in their order, by world.

        Args:
            sample: Index into the set.
            values: One for every pixel of the set's grid.

        Raises:
            ValueError: If the number of values does not fit.
        """
        self._check_values("values", values)
        return {world: values[table.source] for world, (table, _) in self._counted(sample).items()}

    def _find_counted(self, sample: int) -> dict[str, tuple[_Table, Shaped[np.ndarray, " _"]]]:
        """In every world the pixels of a sample that have a truth, and the truth."""
        prepared = self.data.prepared
        key, there = prepared.sample_camera[sample], None
        if self._flat and self.companion is not None:
            row = self._row[prepared.sample_names[sample]]
            there = self.companion.sample_camera[row]
        truth = {}
        if "image" in self.worlds:
            truth["image"] = self._image_truth(sample)
        if "image_common" in self.worlds:
            truth["image_common"] = truth["image"]
        if "sphere" in self.worlds:
            stored = (prepared, sample) if there is None else (self.companion, row)
            truth["sphere"] = self._grid_truth(*stored)
        counted = {}
        for world, table in self._tables(key, there).items():
            values = truth[world].reshape(-1)[table.pixels]
            known = self._has_truth(values)
            counted[world] = (table.only(known), values if known.all() else values[known])
        return counted

    def _make_tables(self, key: str, there: str | None) -> dict[str, _Table]:
        """The tables of a camera, named KEY in the set and THERE in the companion."""
        prepared, companion = self.data.prepared, self.companion
        camera = prepared.cameras.get(key)
        tables = {}
        if "sphere" in self.worlds and not self._flat:
            tables["sphere"] = self._sphere_table(camera, prepared, prepared.valid(key))
        elif "sphere" in self.worlds:
            places = np.arange(prepared.grid.num_pixels, dtype=np.int32)
            source = self.view.sphere_table(key).nearest(places, -1)
            valid = companion.valid(there) & (source >= 0)
            tables["sphere"] = self._sphere_table(camera, companion, valid, source)
        if "image" in self.worlds:
            tables["image"] = self._image_table(key, camera)
        if "image_common" in self.worlds:
            common = GridToImage(camera, companion.grid, companion.pole).covered.reshape(-1)
            tables["image_common"] = tables["image"].only(common[tables["image"].pixels])
        return tables

    def _sphere_table(
        self,
        camera: Camera | None,
        prepared: PreparedSet,
        valid: Bool[np.ndarray, " pixels"],
        source: Int32[np.ndarray, " pixels"] | None = None,
    ) -> _Table:
        """The valid pixels of a set of the sphere; by default they are their own source."""
        grid = prepared.grid
        pixels = np.flatnonzero(valid).astype(np.int32)
        angle = np.full(len(pixels), np.nan, dtype=np.float32)
        if camera is not None:
            angle = _angle(grid.vectors()[pixels] @ pole_rotation(camera, prepared.pole).T)
        return _Table(
            pixels=pixels,
            source=pixels if source is None else source[pixels],
            angle=angle,
            areas=grid.areas()[pixels] if isinstance(grid, EquiangularGrid) else None,
            shape=(grid.num_pixels,),
        )

    def _image_table(self, key: str, camera: Camera) -> _Table:
        """The pixels of the source image in which something is predicted."""
        source = self.view.table(key).nearest(
            np.arange(self.data.prepared.grid.num_pixels, dtype=np.int32), -1
        )
        shape, source = source.shape, source.reshape(-1)
        pixels = np.flatnonzero(source >= 0).astype(np.int32)
        points = pixel_grid(camera.width, camera.height).reshape(-1, 2)[pixels]
        angle = _angle(camera.unproject(points))
        return _Table(pixels, source[pixels], angle, None, shape)

    def _image_truth(self, sample: int) -> Shaped[np.ndarray, "height width"]:
        read = self.data.image_truth if self.kind == "semantic" else self.data.image_depth
        truth = read(sample)
        if truth is None:
            name = self.data.prepared.sample_names[sample]
            raise ValueError(f"the {self.kind} file of sample {name!r} is gone")
        return truth

    def _grid_truth(self, prepared: PreparedSet, sample: int) -> Shaped[np.ndarray, " pixels"]:
        return prepared.semantic(sample) if self.kind == "semantic" else prepared.depth(sample)

    def _has_truth(self, values: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        return values != self.data.ignore_index if self.kind == "semantic" else ~np.isnan(values)

    def _reason(self, world: str) -> str | None:
        """Why a world cannot be measured; None if it can."""
        # Decided by the set and its files, not by the samples of one process: all must agree.
        if world == "sphere":
            return NO_COMPANION if self._flat and self.companion is None else None
        prepared, source = self.data.prepared, self.data.source
        if any(prepared.sample_camera[i] not in prepared.cameras for i in self._indices):
            return NO_CAMERA
        if not all(source_file(prepared, i, self.kind, source) for i in self._indices):
            return NO_SOURCES
        if self.kind == "depth" and self.data.image_depth(self._indices[0]) is None:
            return NO_DEPTH_FILES
        if world == "image_common" and not self._flat:
            return COMMON_ALREADY
        return NO_COMPANION if world == "image_common" and self.companion is None else None

    def _check_values(self, name: str, values: np.ndarray) -> None:
        pixels = self.data.prepared.grid.num_pixels
        if values.shape != (pixels,):
            raise ValueError(
                f"{name} has shape {values.shape}; one value for each of the {pixels} pixels of "
                f"{self.data.prepared.grid} is needed"
            )


def check_companion(
    data: PreparedDataModule, kind: str, companion: PreparedSet, indices: Sequence[int]
) -> None:
    """Refuse a companion on whose pixels the predictions for a set cannot be compared.

    Args:
        data: The set that is tested.
        kind: Which array is predicted.
        companion: The other set.
        indices: The samples that are tested.

    Raises:
        ValueError: If one of the two is not of flat images and the other not a HEALPix set; if the
            companion lacks the array or has other classes; if a sample is missing there, or comes
            from another file or camera.
    """
    prepared = data.prepared
    wanted = HealpixGrid if isinstance(prepared.grid, ImageGrid) else ImageGrid
    kinds = {HealpixGrid: "a HEALPix set", ImageGrid: "a set of flat images"}
    if not isinstance(companion.grid, wanted):
        raise ValueError(
            f"companion={companion.root} has the grid {companion.grid}: beside {prepared.root} "
            f"with {prepared.grid} {kinds[wanted]} is needed, made from the same sources"
        )
    if kind not in companion.tasks:
        raise ValueError(
            f"companion={companion.root} holds {companion.tasks}, not {kind!r}: convert it again "
            f"with --tasks {kind}"
        )
    if kind == "semantic" and companion.class_names != data.class_names:
        raise ValueError(
            f"companion={companion.root} has the classes {companion.class_names}, {prepared.root} "
            f"has {data.class_names}: convert both with the same --classes"
        )
    rows = {name: row for row, name in enumerate(companion.sample_names)}
    missing = [i for i in indices if prepared.sample_names[i] not in rows]
    if missing:
        name = prepared.sample_names[missing[0]]
        raise ValueError(
            f"companion={companion.root} lacks {len(missing)} of the {len(indices)} test samples "
            f"of {prepared.root}, e.g. {name!r}: convert both from the same sources"
        )
    for index in indices:
        name = prepared.sample_names[index]
        if _origin(prepared, index, kind) != _origin(companion, rows[name], kind):
            raise ValueError(
                f"companion={companion.root}: sample {name!r} comes from another file, camera or "
                f"part of the image than in {prepared.root}: convert both from the same sources "
                "with the same --crop"
            )


def _origin(prepared: PreparedSet, index: int, kind: str) -> tuple[object, ...]:
    """What two sets agree in whose samples show the same: contents of the files, and the camera."""
    files = prepared.attributes["sources"][index]
    camera = prepared.cameras.get(prepared.sample_camera[index])
    contents = [files.get(name, {}).get("sha256") for name in ("image", kind)]
    return (*contents, None if camera is None else camera.to_dict())


def _angle(rays: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
    """Angle of rays in camera axes to the optical axis, in radians."""
    x, y, z = rays.T
    return np.arctan2(np.hypot(x, y), z).astype(np.float32)
