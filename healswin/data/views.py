"""Which way to look at the sphere of a sample, so that a picture shows what it holds."""

from __future__ import annotations

import math

import numpy as np

from healswin.data.store import PreparedSet
from healswin.grid import EquiangularGrid, ImageGrid

Direction = tuple[float, float, float]

# Of directions closer than 30 degrees to each other none says well what is up at the other.
_ALIKE = math.cos(math.radians(30))


def view_of(prepared: PreparedSet, index: int) -> tuple[Direction, Direction]:
    """The direction in the middle of a picture of a sample, and one that points up in it.

    A camera's sample is seen as the camera looks: towards the pole, or with the zenith's pole in
    its horizontal direction; a map of the sky towards longitude 0. What was projected onto the
    sphere (a sample without a calibration) may lie anywhere: the middle is the mean direction of
    all pixels, weighted with how far their values are from the median, the background.

    Args:
        prepared: The set; its grid is one of the sphere.
        index: The sample.

    Returns:
        Two vectors (x, y, z) of length 1, as `healswin.viz.sphere` takes them.

    Raises:
        ValueError: If the set's grid has no directions, or the sample is damaged.
    """
    if isinstance(prepared.grid, ImageGrid):
        raise ValueError(f"{prepared.root} holds flat images, {prepared.grid}, and no sphere")
    calibrations = {entry["key"]: entry["calibration"] for entry in prepared.attributes["cameras"]}
    key = prepared.sample_camera[index]
    if calibrations[key] is None:
        centre = _middle(prepared, index)
    elif prepared.pole != "zenith":
        centre = (0.0, 0.0, 1.0)
    else:
        # The map's axes are those of the vehicle: forward, left, up.
        camera = prepared.cameras.get(key)
        x, y, _ = (1.0, 0.0, 0.0) if camera is None else camera.rotation()[:, 2].tolist()
        # What looks straight up or down has no horizontal direction.
        centre = (x, y, 0.0) if math.hypot(x, y) > 0.1 else (1.0, 0.0, 0.0)
    ups = (prepared.up, (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    return centre, next(up for up in ups if abs(np.dot(up, centre)) < _ALIKE * _length(centre))


def _middle(prepared: PreparedSet, index: int) -> Direction:
    """The mean direction of what stands out; longitude 0 where nothing does or all around."""
    grid = prepared.grid
    valid = prepared.valid(prepared.sample_camera[index])
    values = prepared.image(index).astype(np.float64)
    weights = np.abs(values - np.median(values[valid], axis=0)).sum(axis=1) * valid
    if isinstance(grid, EquiangularGrid):
        weights *= grid.areas()
    mean = weights @ grid.vectors()
    if _length(mean) <= 0.01 * weights.sum():
        return (1.0, 0.0, 0.0)
    x, y, z = (mean / _length(mean)).tolist()
    return (x, y, z)


def _length(vector: np.ndarray | Direction) -> float:
    return float(np.linalg.norm(vector))
