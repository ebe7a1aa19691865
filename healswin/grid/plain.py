"""Grids from plain values: what a configuration, a checkpoint or a data set says of its grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healswin.grid.equiangular import SAMPLINGS, EquiangularGrid
from healswin.grid.healpix import HealpixGrid
from healswin.grid.image import ImageGrid

# What the pixels of data can be. Each is a frozen value with num_pixels, shape and to_dict, and
# its fields are the first arguments of the networks that work on it.
Grid = HealpixGrid | EquiangularGrid | ImageGrid


def grid_from_dict(values: Mapping[str, Any]) -> Grid:
    """The grid that plain values describe; the inverse of ``to_dict``.

    Args:
        values: ``grid`` says which it is: "healpix" (with nside and base_pixels), "soft" or
            "driscoll-healy" (with bandwidth), or "image" (with height and width). Other entries
            do not matter.

    Raises:
        ValueError: If the grid is not known, an entry is missing, or the values are no grid.
    """
    kind = values.get("grid")
    try:
        if kind == "healpix":
            return HealpixGrid(values["nside"], tuple(values["base_pixels"]))
        if kind in SAMPLINGS:
            return EquiangularGrid(values["bandwidth"], kind)
        if kind == "image":
            return ImageGrid(values["height"], values["width"])
    except KeyError as error:
        raise ValueError(f"the grid {kind!r} lacks {error}: {dict(values)}") from None
    known = ("healpix", *SAMPLINGS, "image")
    raise ValueError(f"grid={kind!r} is not known, known are {known}")
