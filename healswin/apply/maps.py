"""A model applied to maps of the sphere, which need no camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from healswin.apply.application import Applied, answer
from healswin.grid import HealpixGrid, ImageGrid
from healswin.resample import HealpixMap, MapToGrid
from healswin.zoo.model import ZooModel


def apply_to_map(
    model: ZooModel, values: Shaped[np.ndarray, "*any pixels"], order: str = "ring"
) -> Applied:
    """Apply a model to a map of the full sphere.

    Args:
        model: What `healswin.load_model` returns.
        values: (pixels,) for one channel, or (channels, pixels), in the units of the model's
            training data. For a HEALPix grid 12 nside^2 pixels of any nside, for a grid of rings
            its own (ring by ring; the two axes may be apart).
        order: "ring" or "nested", of a HEALPix map.

    Raises:
        ValueError: If the map does not fit the model, or is not finite.
    """
    grid, config = model.grid, model.config
    if isinstance(grid, ImageGrid):
        raise ValueError(f"{config.name} works on images, not on maps of the sphere")
    values = np.asarray(values)
    if not isinstance(grid, HealpixGrid) and values.shape[-2:] == grid.shape:
        values = values.reshape(*values.shape[:-2], -1)
    values = np.atleast_2d(values)
    if values.ndim != 2 or values.shape[0] != config.in_chans:
        raise ValueError(
            f"the map has shape {values.shape}, {config.name} takes ({config.in_chans}, pixels)"
        )
    wanted = np.dtype(config.image_dtype)
    if values.dtype != wanted and not (wanted.kind == "f" and values.dtype.kind == "f"):
        raise ValueError(f"the map has dtype {values.dtype}, {config.name} was trained on {wanted}")
    if not np.isfinite(values).all():
        raise ValueError("the map holds values that are not finite numbers")
    maps = values.T.astype(np.float32)
    if isinstance(grid, HealpixGrid):
        nside = round((values.shape[1] / 12) ** 0.5)
        if 12 * nside**2 != values.shape[1]:
            raise ValueError(
                f"the map has {values.shape[1]} pixels, a HEALPix map of the full sphere has "
                "12 nside^2"
            )
        table = MapToGrid(HealpixMap(nside, order), grid)
        maps, _ = table.sample(maps, np.ones(values.shape[1], dtype=bool))
    elif len(maps) != grid.num_pixels:
        raise ValueError(f"the map has {len(maps)} pixels, {grid} has {grid.num_pixels}")
    maps = (np.rint(maps) if wanted.kind == "u" else maps).astype(wanted)
    return answer(model, [maps], np.ones(grid.num_pixels, dtype=bool))[0]


def read_map(path: Path) -> tuple[np.ndarray, str]:
    """Read a map and its order from an .npy file.

    Returns:
        The values, and "nested" where the name ends in ``_nest.npy``, else "ring".

    Raises:
        ValueError: If there is no such file, or it holds no array of numbers.
    """
    if not path.is_file():
        raise ValueError(f"the map {path} does not exist")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "uif":
        raise ValueError(f"{path} is no .npy file of numbers")
    return values, "nested" if path.stem.endswith("_nest") else "ring"
