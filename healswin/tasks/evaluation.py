"""Predictions on the sphere seen through the camera: what callbacks need of data and tables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from healswin.data import PreparedDataModule
from healswin.resample import GridToImage
from healswin.viz import comparison_panel


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

    def labels(self, sample: int, labels: UInt8[np.ndarray, " pixels"]) -> UInt8[np.ndarray, "h w"]:
        """Labels of the grid at the pixels of the sample's image; ignored outside the domain."""
        table = self._table(self.data.prepared.sample_camera[sample])
        return table.nearest(labels, self.data.ignore_index)

    def panel(
        self, sample: int, prediction: UInt8[np.ndarray, " pixels"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Image, truth, prediction and errors of a sample, in the image and on the sphere."""
        data = self.data
        truth = data.image_truth(sample)
        sphere_truth = data.prepared.semantic(sample) if "semantic" in data.tasks else None
        return comparison_panel(
            grid=data.prepared.grid,
            image=data.source_image(sample),
            truth=truth,
            prediction=self.labels(sample, prediction),
            sphere_image=_as_picture(data.prepared.image(sample)),
            sphere_truth=sphere_truth,
            sphere_prediction=prediction,
            class_names=data.class_names,
            class_colours=data.class_colours,
            title=data.prepared.sample_names[sample],
            ignore_index=data.ignore_index,
            up=data.prepared.up,
        )


def _as_picture(image: np.ndarray) -> UInt8[np.ndarray, "pixels 3"]:
    """Stored values as RGB; other numbers of channels show the first as grey, stretched."""
    if image.dtype == np.uint8 and image.shape[1] == 3:
        return image
    grey = image[:, :1].astype(np.float64)
    low, high = np.nanmin(grey), np.nanmax(grey)
    stretched = (grey - low) / (high - low) if high > low else np.zeros_like(grey)
    return np.repeat(np.rint(255 * stretched).astype(np.uint8), 3, axis=1)
