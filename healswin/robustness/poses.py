"""The poses in which a model is scored, and maps turned into them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from healswin.data import PreparedSet

# So many of the rotations are undone again for the control.
CONTROLS = 5

Batch = dict[str, "Tensor"]


@dataclass(frozen=True)
class Pose:
    """A pose in which the model is scored.

    Attributes:
        kind: "turn", "random" or "control".
        matrix: The rotation.
        degrees: Of a turn about z; 0 is upright.
    """

    kind: str
    matrix: np.ndarray
    degrees: float | None = None


def poses_of(
    data: PreparedSet, angles: Sequence[float], rotations: int, seed: int
) -> tuple[list[Pose], list[str]]:
    """All poses that the grid allows, upright first, and what was left out with the reason.

    Args:
        data: Whose grid it is.
        angles: Of the turns about z, in degrees.
        rotations: How many random rotations.
        seed: Of these.
    """
    from healswin.equivariance import haar_rotations, rotation_about
    from healswin.grid import HealpixGrid, PixelSymmetry

    poses, left_out = [Pose("turn", np.eye(3), 0.0)], []
    grid = data.grid
    whole = not isinstance(grid, HealpixGrid) or grid.is_full_sphere
    for degrees in angles:
        if degrees == 0:
            continue
        matrix = rotation_about((0.0, 0.0, 1.0), math.radians(degrees))
        if not whole:
            quarters, rest = divmod(degrees, 90)
            if rest or not PixelSymmetry(int(quarters) % 4).permutes(grid):
                left_out.append(
                    f"a turn about z by {degrees:g} degrees: it does not map base pixels "
                    f"{list(grid.base_pixels)} onto themselves pixel by pixel"
                )
                continue
        poses.append(Pose("turn", matrix, degrees))
    if whole:
        drawn = haar_rotations(rotations, seed)
        poses += [Pose("random", matrix) for matrix in drawn]
        poses += [Pose("control", matrix) for matrix in drawn[:CONTROLS]]
    else:
        left_out.append(
            "random rotations: the maps cover a part of the sphere, unknown pixels would come into "
            "view"
        )
    return poses, left_out


class Turning:
    """Turns batches into poses.

    Args:
        grid: Of the maps.
        background: What a stored 0 is when it is normalised, (channels,).
        device: Of the batches.
    """

    def __init__(self, grid: Any, background: Tensor, device: Any) -> None:
        from healswin.data.batch_augment import BatchRotation

        self.grid = grid
        self.background = background.to(device)
        self._rotation = BatchRotation()

    def __call__(self, batch: Batch, pose: Pose) -> Batch:
        """The batch as it looks in a pose."""
        if pose.degrees == 0:
            return batch
        if not getattr(self.grid, "is_full_sphere", True):
            return self._exactly(batch, round(pose.degrees / 90) % 4)
        turned = self._turned(batch, pose.matrix)
        if pose.kind == "control":
            back = self._turned(turned, pose.matrix.T)
            return {**batch, "image": back["image"]}
        return turned

    def _turned(self, batch: Batch, matrix: np.ndarray) -> Batch:
        import torch

        one = torch.from_numpy(matrix.copy())[None].to(batch["image"])
        return self._rotation(batch, one, self.grid, self.background)

    def _exactly(self, batch: Batch, quarters: int) -> Batch:
        from healswin.equivariance import PixelPermutation
        from healswin.grid import PixelSymmetry

        permuted = PixelPermutation(PixelSymmetry(quarters), self.grid)
        return {
            key: permuted(values) if values.shape[-1:] == self.grid.shape else values
            for key, values in batch.items()
        }
