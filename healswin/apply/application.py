"""A model applied to images of one camera, with the resampling there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped, UInt8

from healswin.cameras import Camera
from healswin.grid import HealpixGrid
from healswin.resample import GridToImage, ImageToGrid
from healswin.zoo.model import ZooModel

OUTSIDE = 255
"""Class of pixels of which the model says nothing: they are outside the lens or the grid."""


@dataclass(frozen=True)
class Applied:
    """What a model says of one image or map; what it does not say is None.

    Args:
        sphere_image: (pixels, channels), the input on the grid in its own units; 0 where not valid.
        valid: (pixels,) bool, the camera sees the pixel.
        labels: (height, width) uint8, the class of every pixel of the image, `OUTSIDE` where the
            model has none.
        sphere_labels: (pixels,) uint8, the same on the grid.
        depth: (height, width) float32 in metres along the ray, NaN where the model has none.
        sphere_depth: (pixels,) float32, the same on the grid.
        scores: (classes,) float32, the probability of each label, of a model that classifies.
    """

    sphere_image: Shaped[np.ndarray, "pixels channels"]
    valid: Bool[np.ndarray, " pixels"]
    labels: UInt8[np.ndarray, "height width"] | None = None
    sphere_labels: UInt8[np.ndarray, " pixels"] | None = None
    depth: Float32[np.ndarray, "height width"] | None = None
    sphere_depth: Float32[np.ndarray, " pixels"] | None = None
    scores: Float32[np.ndarray, " classes"] | None = None


class Applier:
    """Applies a model to images of one camera; the tables are made once.

    Where the grid is coarser than the images they are averaged over its pixels, as
    ``healswin-prep convert --antialias`` does. Classes go back to the image by the grid pixel that
    a ray meets, depths by bilinear interpolation among the pixels that the camera sees.

    Args:
        model: A model of the zoo for colour images on a HEALPix grid.
        camera: Calibration of the images.

    Raises:
        ValueError: If the model takes something else, or its pole needs a pose that the
            calibration does not state.
    """

    def __init__(self, model: ZooModel, camera: Camera) -> None:
        check_takes_photographs(model)
        self.model = model
        self.camera = camera
        pole = model.config.pole
        try:
            self._to_grid = ImageToGrid(camera, model.grid, pole, antialias=True)
        except ValueError as error:
            raise ValueError(f"{error} (the pole of {model.config.name} is {pole!r})") from None
        if not self._to_grid.valid.any():
            raise ValueError(
                f"camera {camera.name!r} sees no pixel of the grid of {model.config.name}: "
                f"{model.grid}, pole {pole!r}"
            )

    @cached_property
    def _to_image(self) -> GridToImage:
        return GridToImage(self.camera, self.model.grid, self.model.config.pole)

    def __call__(
        self, images: Sequence[Shaped[np.ndarray, "height width channels"]]
    ) -> list[Applied]:
        """Apply the model to some images, all of them in one batch.

        Args:
            images: RGB, uint8 (height, width, 3), of the calibration's size.

        Raises:
            ValueError: If size or dtype of an image do not fit.
        """
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    f"image is {image.dtype} {image.shape}, uint8 (height, width, 3) is needed"
                )
        maps = [self._to_grid.bilinear(image) for image in images]
        answers = answer(self.model, maps, self._to_grid.valid)
        return [self._in_image(applied) for applied in answers]

    def _in_image(self, applied: Applied) -> Applied:
        """The same with what is on the sphere brought back to the image."""
        labels, depth = None, None
        if applied.sphere_labels is not None:
            labels = self._to_image.nearest(applied.sphere_labels, OUTSIDE)
        if applied.sphere_depth is not None:
            depth = self._depth_in_image(applied.sphere_depth)
        return Applied(
            sphere_image=applied.sphere_image,
            valid=applied.valid,
            labels=labels,
            sphere_labels=applied.sphere_labels,
            depth=depth,
            sphere_depth=applied.sphere_depth,
            scores=applied.scores,
        )

    def _depth_in_image(
        self, depth: Float32[np.ndarray, " pixels"]
    ) -> Float32[np.ndarray, "height width"]:
        # Times a weight of 0 neither NaN nor infinity is 0, so that only finite depths are mixed.
        # A ray that meets an infinitely far pixel goes there, beside it the farthest depth stands
        # for it; what the camera does not see has no weight.
        finite = np.isfinite(depth)
        farthest = depth[finite].max(initial=0)
        mixed = np.where(finite, depth, np.float32(farthest))
        result = self._to_image.bilinear(mixed[:, None])[..., 0]
        nearest = self._to_image.nearest(depth, np.nan)
        result[np.isinf(nearest)] = np.inf
        result[~self._to_image.covered] = np.nan
        return result


def apply_to_image(
    model: ZooModel, image: Shaped[np.ndarray, "height width channels"], camera: Camera
) -> Applied:
    """Apply a model to one photograph.

    For several images of one camera make an `Applier`, which makes the tables once.

    Args:
        model: What `healswin.load_model` returns.
        image: RGB, uint8 (height, width, 3).
        camera: Its calibration, e.g. of `healswin.cameras.read_calibration`.

    Returns:
        Classes or depth in the image and on the sphere, or the scores of the image's label.

    Raises:
        ValueError: As for `Applier`.
    """
    return Applier(model, camera)([image])[0]


def answer(
    model: ZooModel,
    maps: Sequence[Shaped[np.ndarray, "pixels channels"]],
    valid: Bool[np.ndarray, " pixels"],
) -> list[Applied]:
    """What a model says of some maps on its grid.

    Args:
        model: The model.
        maps: (pixels, channels) in stored units, one each.
        valid: Which pixels hold something; nothing is said of the others.
    """
    stored = np.stack([np.ascontiguousarray(values.T) for values in maps])
    with torch.inference_mode():
        if model.config.task == "classification":
            scores = model(model.normalise(stored)).float().softmax(dim=-1).cpu().numpy()
            return [Applied(m, valid, scores=s) for m, s in zip(maps, scores, strict=True)]
        predicted = model.predict(stored).cpu().numpy()
    if model.config.task == "depth":
        depths = [np.where(valid, row, np.nan).astype(np.float32) for row in predicted]
        return [Applied(m, valid, sphere_depth=d) for m, d in zip(maps, depths, strict=True)]
    labels = [np.where(valid, row, OUTSIDE).astype(np.uint8) for row in predicted]
    return [Applied(m, valid, sphere_labels=c) for m, c in zip(maps, labels, strict=True)]


def check_takes_photographs(model: ZooModel) -> None:
    """Refuse models that photographs cannot be brought to.

    Raises:
        ValueError: If the model works on another grid than HEALPix or takes other values than
            three channels of 8 bits; the message says what it takes.
    """
    config = model.config
    if not isinstance(model.grid, HealpixGrid):
        raise ValueError(
            f"{config.name} works on the grid {model.grid}: photographs are brought to HEALPix "
            "grids only"
        )
    if config.in_chans != 3 or config.image_dtype != "uint8":
        raise ValueError(
            f"{config.name} takes maps of {config.in_chans} channels of {config.image_dtype}, not "
            "photographs (3 channels of uint8): give it maps with --map"
        )
