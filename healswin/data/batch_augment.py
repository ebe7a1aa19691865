"""Augmentations of whole batches, on the device where the training runs.

They do what `healswin.data.augment` does sample by sample in the loading processes, but on
normalised batches (see `healswin.data.prepared`), so that a GPU can do it. In a configuration:

    data:
      batch_augmentations:
        - class_path: healswin.data.batch_augment.BatchRotation
          init_args: {max_degrees: 180}

One's own is a subclass of `BatchAugmentation`, named there by its import path.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor, nn

from healswin.grid import EquiangularGrid, Grid, HealpixGrid, pixel_symmetries
from healswin.layers.rotation import MapRotation, check_rotatable, interpolated

Batch = dict[str, Tensor]

# What has a value for each pixel, but for the image.
_MAPS = ("semantic", "depth", "valid")


class BatchAugmentation(ABC):
    """Changes the samples of a batch at random, each by numbers of its own.

    Drawing and doing are apart: random numbers are drawn on the CPU, sample by sample, from
    generators that know seed, epoch and sample, and the batch is changed on its device. So neither
    the rest of the batch nor the device changes what happens to a sample.
    """

    @abstractmethod
    def check(self, grid: Grid) -> None:
        """Refuse data that it cannot be applied to, before a sample is read.

        Args:
            grid: The pixels of the maps.

        Raises:
            ValueError: If it does not fit the data.
        """

    @abstractmethod
    def draw(
        self, generators: Sequence[np.random.Generator], grid: Grid
    ) -> Shaped[Tensor, "*drawn"]:
        """What will be done to each sample, drawn on the CPU.

        Args:
            generators: One for each sample; nothing else may decide.
            grid: As for `check`.

        Returns:
            (batch, ...), as `__call__` takes it.
        """

    @abstractmethod
    def __call__(
        self,
        batch: Batch,
        drawn: Shaped[Tensor, "*drawn"],
        grid: Grid,
        background: Float[Tensor, " channels"],
    ) -> Batch:
        """The changed batch; the tensors that are given stay as they are.

        Args:
            batch: As the data module makes it, on any device.
            drawn: The answer of `draw`, on the same device.
            grid: As for `check`.
            background: What a stored 0 becomes when it is normalised: the image outside `valid`.
        """


@dataclass(frozen=True)
class BatchRotation(BatchAugmentation):
    """Turns maps of the full sphere by random rotations: (T f)(p) = f(R^-1 p).

    What `healswin.data.augment.RandomRotation` does sample by sample: R is uniform among the
    rotations by at most `max_degrees`; images are interpolated between four pixels, of which only
    valid ones take part; classes, depth and `valid` are those of the nearest pixel.

    Args:
        max_degrees: Largest angle of the rotations, above 0 and at most 180.

    Raises:
        ValueError: If max_degrees is no such angle.
    """

    max_degrees: float = 180.0

    def __post_init__(self) -> None:
        if not 0 < self.max_degrees <= 180:
            raise ValueError(f"max_degrees={self.max_degrees} must be above 0 and at most 180")

    def check(self, grid: Grid) -> None:
        """Refuse a part of the sphere, and grids that are none of the sphere."""
        try:
            check_rotatable(grid)
        except ValueError as error:
            raise ValueError(f"{self}: {error}") from None

    def draw(
        self, generators: Sequence[np.random.Generator], grid: Grid
    ) -> Float32[Tensor, "batch 3 3"]:
        """A rotation for each sample."""
        numbers = np.array([(*g.normal(size=3), g.random()) for g in generators])
        return torch.from_numpy(random_rotations(numbers, math.radians(self.max_degrees))).float()

    def __call__(
        self,
        batch: Batch,
        drawn: Float[Tensor, "batch 3 3"],
        grid: Grid,
        background: Float[Tensor, " channels"],
    ) -> Batch:
        """The turned batch; one rotation, (1, 3, 3), turns all samples alike."""
        image, valid = batch["image"], batch["valid"]
        turn = _map_rotation(grid).to(image.device)
        nearest = turn.pixels(drawn).expand_as(valid)
        turned = {key: batch[key].gather(1, nearest) for key in _MAPS if key in batch}
        corners = [(index.expand_as(valid), weight) for index, weight in turn.corners(drawn)]
        known = [(index, weight * valid.gather(1, index)) for index, weight in corners]
        total = sum(weight for _, weight in known)
        # The pixel that contains a direction need not be one of the four.
        known.append((nearest, (total == 0).to(total.dtype)))
        total = total + known[-1][1]
        mixed = interpolated(image, [(index, weight / total) for index, weight in known])
        seen = turned["valid"].unsqueeze(1)
        turned["image"] = torch.where(seen, mixed, background.to(mixed)[:, None])
        return {**batch, **turned}


@dataclass(frozen=True)
class BatchSymmetries(BatchAugmentation):
    """Turns or mirrors maps by the exact symmetries of their pixels, each equally likely.

    HEALPix has 16 (`healswin.grid.pixel_symmetries`), 8 of them rotations; a part of the sphere has
    those that map its base pixels onto themselves. An equiangular grid of bandwidth b has its 2b
    turns about the z axis by whole steps and their products with the mirror of the longitude. One
    that is sampled as "soft" is mirrored at the equator too, so that it has 8b, of which 4b are
    rotations (half turns about horizontal axes); "driscoll-healy" has a point at one pole only, so
    that 4b are left, of which 2b are rotations. The identity is always among them.

    Args:
        reflections: Whether reflections are among them, or rotations only.
    """

    reflections: bool = False

    def check(self, grid: Grid) -> None:
        """Refuse grids that are none of the sphere, or have no symmetry but the identity."""
        if not isinstance(grid, (HealpixGrid, EquiangularGrid)):
            raise ValueError(f"{self}: {grid} is no grid of the sphere")
        if self._tables(grid).count == 1:
            raise ValueError(
                f"{self}: no symmetry but the identity is left of {grid}: allow reflections, or "
                "leave this augmentation out"
            )

    def draw(
        self, generators: Sequence[np.random.Generator], grid: Grid
    ) -> Int64[Tensor, " batch"]:
        """The number of a symmetry for each sample."""
        count = self._tables(grid).count
        return torch.tensor([int(g.integers(count)) for g in generators])

    def __call__(
        self,
        batch: Batch,
        drawn: Int64[Tensor, " batch"],
        grid: Grid,
        background: Float[Tensor, " channels"],
    ) -> Batch:
        """The turned batch."""
        image = batch["image"]
        source = self._tables(grid).to(image.device)(drawn)
        turned = {key: batch[key].gather(1, source) for key in _MAPS if key in batch}
        turned["image"] = image.gather(2, source.unsqueeze(1).expand_as(image))
        return {**batch, **turned}

    def _tables(self, grid: Grid) -> HealpixSources | EquiangularSources:
        make = HealpixSources if isinstance(grid, HealpixGrid) else EquiangularSources
        return _sources(make, grid, self.reflections)


class HealpixSources(nn.Module):
    """Where each pixel comes from under each pixel symmetry of a HEALPix grid.

    Kept as `PixelSymmetry.gather_factors`.

    Args:
        grid: The grid.
        reflections: Whether reflections are among the symmetries.

    Attributes:
        count: Number of symmetries.
    """

    face: Int64[Tensor, "symmetries faces"]
    inside: Int64[Tensor, "symmetries face_pixels"]

    def __init__(self, grid: HealpixGrid, reflections: bool) -> None:
        super().__init__()
        symmetries = [s for s in pixel_symmetries(grid) if reflections or s.is_rotation]
        self.count = len(symmetries)
        faces, insides = [], []
        for symmetry in symmetries:
            face, inside = symmetry.gather_factors(grid)
            faces.append(face * grid.nside**2)
            insides.append(inside)
        self.register_buffer("face", torch.from_numpy(np.stack(faces)), persistent=False)
        self.register_buffer("inside", torch.from_numpy(np.stack(insides)), persistent=False)

    def forward(self, symmetry: Int64[Tensor, " batch"]) -> Int64[Tensor, "batch pixels"]:
        """The source of each pixel, for a symmetry (by its number) a map."""
        return (self.face[symmetry].unsqueeze(2) + self.inside[symmetry].unsqueeze(1)).flatten(1)


class EquiangularSources(nn.Module):
    """Where each point comes from under each symmetry of an equiangular grid.

    R = Rz(turn) My^a Mz^b, as for `PixelSymmetry`; its number is turn + 2 bandwidth * the place of
    (a, b) among the mirrors that there are.

    Args:
        grid: The grid.
        reflections: Whether reflections are among the symmetries.

    Attributes:
        count: Number of symmetries.
    """

    mirrors: Int64[Tensor, "kinds 2"]

    def __init__(self, grid: EquiangularGrid, reflections: bool) -> None:
        super().__init__()
        self.size = 2 * grid.bandwidth
        mirrors = [(0, 0), (1, 1)] if grid.sampling == "soft" else [(0, 0)]
        if reflections:
            mirrors += [(1, 0), (0, 1)] if grid.sampling == "soft" else [(1, 0)]
        self.count = self.size * len(mirrors)
        self.register_buffer("mirrors", torch.tensor(mirrors), persistent=False)

    def forward(self, symmetry: Int64[Tensor, " batch"]) -> Int64[Tensor, "batch pixels"]:
        """The source of each point, for a symmetry (by its number) a map."""
        steps = torch.arange(self.size, device=symmetry.device)
        longitude, equator = self.mirrors[symmetry // self.size].unbind(1)
        turned = steps - symmetry[:, None]  # back by the turn, before the mirrors
        point = torch.where(longitude[:, None] == 1, -turned, turned) % self.size
        ring = torch.where(equator[:, None] == 1, self.size - 1 - steps, steps)
        return (ring.unsqueeze(2) * self.size + point.unsqueeze(1)).flatten(1)


def random_rotations(
    numbers: Float64[np.ndarray, "batch 4"], max_angle: float = math.pi
) -> Float64[np.ndarray, "batch 3 3"]:
    """Rotations by at most an angle out of random numbers, all at once.

    The same as `healswin.data.augment.random_rotation`, which says what their distribution is,
    makes of the same numbers.

    Args:
        numbers: Three normal ones and one that is uniform in [0, 1) for each rotation.
        max_angle: In radians, above 0 and at most pi.

    Returns:
        (batch, 3, 3) float64.
    """
    axis = numbers[:, :3] / np.linalg.norm(numbers[:, :3], axis=1, keepdims=True)
    part = numbers[:, 3] * (max_angle - math.sin(max_angle))
    low, high = np.zeros(len(numbers)), np.full(len(numbers), max_angle)
    for _ in range(60):  # w - sin w grows with w: halve the interval until it is one number
        middle = (low + high) / 2
        above = middle - np.sin(middle) > part
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    sin, cos = np.sin(low)[:, None, None], np.cos(low)[:, None, None]
    cross = np.zeros((len(numbers), 3, 3))
    for row, column, component in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        cross[:, row, column], cross[:, column, row] = axis[:, component], -axis[:, component]
    return np.eye(3) + sin * cross + (1 - cos) * cross @ cross


# The tables stay on the device of the training once they are there.
@lru_cache(maxsize=2)
def _map_rotation(grid: HealpixGrid | EquiangularGrid) -> MapRotation:
    return MapRotation(grid)


@lru_cache(maxsize=4)
def _sources(
    make: type[HealpixSources | EquiangularSources], grid: Grid, reflections: bool
) -> HealpixSources | EquiangularSources:
    return make(grid, reflections)


__all__ = ["BatchAugmentation", "BatchRotation", "BatchSymmetries"]
