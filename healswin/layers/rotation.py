"""Rotation of maps, batched: every map of a batch by a rotation of its own."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.layers.lookup import EquiangularLookup, HealpixLookup, Term

# How far from orthogonal a rotation matrix may be, by rounding in float32.
_TOLERANCE = 1e-4


class MapRotation(nn.Module):
    """Turns maps of the full sphere: (T f)(p) = f(R^-1 p).

    `healswin.equivariance.Rotation` does the same for one rotation and HEALPix, from tables that it
    makes at construction; here nothing depends on R but the arithmetic of `forward`. Between pixels
    maps are interpolated: `HealpixGrid.interpolation`, `EquiangularGrid.interpolation`.

    Args:
        grid: HEALPix over the full sphere, or an equiangular grid.

    Raises:
        ValueError: If the grid is another, or a part of the sphere, into which a rotation would
            turn unknown pixels.
    """

    points: Float[Tensor, "3 pixels"]

    def __init__(self, grid: HealpixGrid | EquiangularGrid) -> None:
        super().__init__()
        check_rotatable(grid)
        self.grid = grid
        if isinstance(grid, HealpixGrid):
            self.lookup: HealpixLookup | EquiangularLookup = HealpixLookup(grid.nside)
        else:
            self.lookup = EquiangularLookup(grid)
        points = torch.from_numpy(grid.vectors().T.copy()).to(torch.get_default_dtype())
        self.register_buffer("points", points, persistent=False)

    def forward(
        self,
        maps: Shaped[Tensor, "*batch_channels_pixels"],
        rotations: Shaped[Tensor, "*batch_3_3"],
    ) -> Float[Tensor, "batch channels pixels"]:
        """Turned and interpolated maps.

        Args:
            maps: (batch, channels, pixels) of any floating dtype, which stays.
            rotations: (batch, 3, 3), R of each map, on the device of the maps. Directions are
                computed in its dtype, in float32 at least. Pixel centres have torch's default
                dtype, as it was at construction.

        Raises:
            ValueError: If shapes do not fit the grid or each other, the maps are not floating, or a
                matrix is no rotation.
        """
        if not maps.is_floating_point():
            raise ValueError(f"maps are {maps.dtype}: take `nearest` for whole numbers")
        self._check(maps, "maps", rotations)
        return interpolated(maps, self.corners(rotations))

    def nearest(
        self,
        labels: Shaped[Tensor, "*batch_pixels"],
        rotations: Shaped[Tensor, "*batch_3_3"],
    ) -> Shaped[Tensor, "batch pixels"]:
        """Turned maps whose values are those of the nearest pixel, exactly; of any dtype.

        Args:
            labels: (batch, pixels), one value for each pixel.
            rotations: As for `forward`.

        Raises:
            ValueError: If shapes do not fit the grid or each other, or a matrix is no rotation.
        """
        self._check(labels, "labels", rotations)
        return labels.gather(1, self.pixels(rotations))

    def corners(self, rotations: Float[Tensor, "batch 3 3"]) -> list[Term]:
        """Which four pixels each turned pixel is a mean of: indices and weights (batch, pixels)."""
        return self.lookup.corners(self.directions(rotations))

    def pixels(self, rotations: Float[Tensor, "batch 3 3"]) -> Int64[Tensor, "batch pixels"]:
        """Which pixel contains the centre of each turned pixel."""
        return self.lookup.nearest(self.directions(rotations))

    def directions(self, rotations: Float[Tensor, "batch 3 3"]) -> Float[Tensor, "batch pixels 3"]:
        """R^-1 p for all pixel centres p."""
        if rotations.dtype in (torch.float16, torch.bfloat16):
            rotations = rotations.float()
        points = self.points.to(rotations.dtype)
        # Not as a matrix product, which some settings would compute with 8 or 11 bits.
        rows = rotations.unsqueeze(-1)
        turned = sum(rows[:, row] * points[row] for row in range(3))
        return turned.transpose(1, 2)

    def _check(self, values: Tensor, name: str, rotations: Tensor) -> None:
        axes = 3 if name == "maps" else 2
        if values.ndim != axes or values.shape[-1] != self.grid.num_pixels:
            raise ValueError(
                f"{name} have shape {tuple(values.shape)}, {axes} axes with "
                f"{self.grid.num_pixels} pixels are needed"
            )
        if rotations.shape != (len(values), 3, 3):
            raise ValueError(
                f"rotations have shape {tuple(rotations.shape)}, for {len(values)} maps "
                f"{(len(values), 3, 3)} is needed"
            )
        if torch.compiler.is_compiling():
            return  # what follows looks at values
        rotations = rotations.double()
        unit = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        product = (rotations.unsqueeze(-1) * rotations.unsqueeze(-2)).sum(dim=1)
        wrong = ((product - unit).abs().amax(dim=(1, 2)) <= _TOLERANCE).logical_not()
        wrong |= torch.linalg.det(rotations) < 0
        if bool(wrong.any()):
            first = rotations[wrong.nonzero()[0, 0]].tolist()
            raise ValueError(f"rotations holds {first}, which is no rotation matrix")


def check_rotatable(grid: object) -> None:
    """Refuse a grid whose maps cannot be rotated.

    Raises:
        ValueError: If it is no grid of the sphere, or only a part of it.
    """
    if isinstance(grid, HealpixGrid):
        if not grid.is_full_sphere:
            raise ValueError(
                f"the maps cover base_pixels={grid.base_pixels}, to rotate them the full sphere "
                "is needed"
            )
    elif not isinstance(grid, EquiangularGrid):
        raise ValueError(f"{grid} is no grid of the sphere, its maps cannot be rotated")


def interpolated(
    maps: Float[Tensor, "batch channels pixels"], terms: list[Term]
) -> Float[Tensor, "batch channels pixels"]:
    """The sum of weight * map[index] over terms of indices and weights (batch, pixels)."""
    total = None
    for index, weight in terms:
        part = maps.gather(2, index.unsqueeze(1).expand_as(maps)) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total.to(maps.dtype)
