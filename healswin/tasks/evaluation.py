"""Predictions as pictures: what callbacks need of data and tables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.views import view_of
from healswin.grid import ImageGrid
from healswin.resample import FlatToGrid, FlatToImage, GridToImage
from healswin.viz import comparison_panel, image_panel, orthographic
from healswin.viz.layout import Picture


class ImageView:
    """Looks maps of a prepared set up in the images they were made from.

    Args:
        data: The data module that the maps belong to.
        companion: Of flat images: a set of the sphere with the same samples, where they are looked
            up too. It is checked by `healswin.tasks.worlds.check_companion`.

    Attributes:
        companion: The set on whose sphere flat predictions are shown, or None.
        table: Looks values up at the pixels of the full image of a camera, given by its key.
        sphere_table: Looks values of flat images up at the companion's pixels, likewise.
    """

    def __init__(self, data: PreparedDataModule, companion: PreparedSet | None = None) -> None:
        self.data = data
        self.companion = companion if isinstance(data.prepared.grid, ImageGrid) else None
        self.table = lru_cache(maxsize=8)(self._make_table)
        self.sphere_table = lru_cache(maxsize=8)(self._make_sphere_table)

    def _make_table(self, camera: str) -> GridToImage | FlatToImage:
        prepared = self.data.prepared
        if isinstance(prepared.grid, ImageGrid):
            return FlatToImage(prepared.cameras[camera], prepared.grid)
        return GridToImage(prepared.cameras[camera], prepared.grid, prepared.pole)

    def _make_sphere_table(self, camera: str) -> FlatToGrid:
        prepared, there = self.data.prepared, self.companion
        return FlatToGrid(prepared.cameras[camera], prepared.grid, there.grid, there.pole)

    def labels(
        self, sample: int, labels: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "h w"] | None:
        """Labels of the grid at the pixels of the sample's image; ignored outside the domain.

        None for a sample that no camera took.
        """
        camera = self.data.prepared.sample_camera[sample]
        if camera not in self.data.prepared.cameras:
            return None
        return self.table(camera).nearest(labels, self.data.ignore_index)

    def panel(
        self, sample: int, prediction: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Image, truth, prediction and errors of a sample, in the image and on the sphere.

        Flat sets have no sphere but that of a companion; without one theirs are the resized images
        where the sources are absent.
        """
        data, there, row = self.data, self.data.prepared, sample
        labelled, on_sphere = "semantic" in data.tasks, prediction
        if isinstance(there.grid, ImageGrid):
            if self.companion is None:
                return self._flat_panel(sample, prediction)
            table = self.sphere_table(there.sample_camera[sample])
            on_sphere = table.nearest(prediction, data.ignore_index)
            row = self.companion.sample_names.index(there.sample_names[sample])
            there = self.companion
            labelled = "semantic" in there.tasks
        centre, up = view_of(there, row)
        return comparison_panel(
            grid=there.grid,
            image=data.source_image(sample),
            truth=data.image_truth(sample),
            prediction=self.labels(sample, prediction),
            sphere_image=as_picture(there.image(row)),
            sphere_truth=there.semantic(row) if labelled else None,
            sphere_prediction=on_sphere,
            class_names=data.class_names,
            class_colours=data.class_colours,
            title=data.prepared.sample_names[sample],
            ignore_index=data.ignore_index,
            centre=centre,
            up=up,
        )

    def _flat_panel(
        self, sample: int, prediction: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        data, shape = self.data, self.data.prepared.grid.shape
        image, truth = data.source_image(sample), data.image_truth(sample)
        shown = self.labels(sample, prediction)
        if image is None or shown is None:
            image = as_picture(data.prepared.image(sample)).reshape(*shape, 3)
            shown, truth = prediction.reshape(shape), None
            if "semantic" in data.tasks:
                truth = data.prepared.semantic(sample).reshape(shape)
        return image_panel(
            image=image,
            truth=truth,
            prediction=shown,
            class_names=data.class_names,
            class_colours=data.class_colours,
            title=data.prepared.sample_names[sample],
            ignore_index=data.ignore_index,
        )


def ball(prepared: PreparedSet, sample: int, size: int) -> Picture:
    """The image of a sample as a ball, from inside, with what it shows in the middle."""
    centre, up = view_of(prepared, sample)
    image = as_picture(prepared.image(sample))
    return orthographic(image, prepared.grid, size, centre, up, supersample=2)


def as_picture(image: np.ndarray) -> UInt8[np.ndarray, "pixels 3"]:
    """Values (pixels, channels) as RGB; of other than three the first as grey, stretched."""
    if image.dtype == np.uint8 and image.shape[1] == 3:
        return image
    grey = image[:, :1].astype(np.float64)
    low, high = np.nanmin(grey), np.nanmax(grey)
    stretched = (grey - low) / (high - low) if high > low else np.zeros_like(grey)
    return np.repeat(np.rint(255 * stretched).astype(np.uint8), 3, axis=1)
