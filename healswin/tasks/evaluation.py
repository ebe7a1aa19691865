"""Predictions as pictures: what callbacks need of data and tables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from healswin.data import PreparedDataModule, PreparedSet
from healswin.data.views import view_of
from healswin.resample import GridToImage
from healswin.viz import comparison_panel, orthographic
from healswin.viz.layout import Picture


class ImageView:
    """Looks maps of a prepared set up in the images they were made from.

    Args:
        data: The data module that the maps belong to.
    """

    def __init__(self, data: PreparedDataModule) -> None:
        self.data = data
        self._table = lru_cache(maxsize=8)(self._make_table)

    def _make_table(self, camera: str) -> GridToImage:
        prepared = self.data.prepared
        return GridToImage(prepared.cameras[camera], prepared.grid, prepared.pole)

    def labels(
        self, sample: int, labels: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "h w"] | None:
        """Labels of the grid at the pixels of the sample's image; ignored outside the domain.

        None for a sample that no camera took.
        """
        camera = self.data.prepared.sample_camera[sample]
        if camera not in self.data.prepared.cameras:
            return None
        return self._table(camera).nearest(labels, self.data.ignore_index)

    def panel(
        self, sample: int, prediction: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Image, truth, prediction and errors of a sample, in the image and on the sphere."""
        data = self.data
        centre, up = view_of(data.prepared, sample)
        return comparison_panel(
            grid=data.prepared.grid,
            image=data.source_image(sample),
            truth=data.image_truth(sample),
            prediction=self.labels(sample, prediction),
            sphere_image=as_picture(data.prepared.image(sample)),
            sphere_truth=data.prepared.semantic(sample) if "semantic" in data.tasks else None,
            sphere_prediction=prediction,
            class_names=data.class_names,
            class_colours=data.class_colours,
            title=data.prepared.sample_names[sample],
            ignore_index=data.ignore_index,
            centre=centre,
            up=up,
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
