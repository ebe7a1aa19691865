"""From directions to pixels in torch: batched, on any device, for directions that always change.

`HealpixGrid.lookup` and `HealpixGrid.interpolation` (healpy), and those of `EquiangularGrid`, give
the same answers in float64 on the CPU; they are what the tests compare with. Here all is arithmetic
and a few tables.

float32 is good enough to turn maps. Rounding moves a direction by some 1e-7 radians, which is a
ten-thousandth of a pixel at nside 1024: another pixel is the nearest only that close to its border,
and interpolated values, which are continuous, change by that share of the difference between
neighbours (`tests/layers/test_lookup.py` measures both).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from healswin.grid import EquiangularGrid, HealpixGrid

# A term of an interpolation: which pixel, and with which weight.
Term = tuple[Tensor, Tensor]


class HealpixLookup(nn.Module):
    """Pixels of the full HEALPix sphere at directions; answers are NESTED indices.

    Rings are numbered from the north, 1 to 4 nside - 1; 0 and 4 nside are the poles.

    Args:
        nside: Pixels along one side of a face.
    """

    nested: Int64[Tensor, " pixels"]
    first: Int64[Tensor, " rings"]
    count: Int64[Tensor, " rings"]
    start: Float[Tensor, " rings"]
    colatitude: Float[Tensor, " rings"]

    def __init__(self, nside: int) -> None:
        super().__init__()
        grid = HealpixGrid(nside)
        self.nside = nside
        nested = np.empty(grid.num_pixels, dtype=np.int64)
        nested[grid.ring_order()] = grid.pixels()
        for name, table in {"nested": nested, **_rings(nside)}.items():
            tensor = torch.from_numpy(table)
            if tensor.is_floating_point():
                tensor = tensor.to(torch.get_default_dtype())
            self.register_buffer(name, tensor, persistent=False)

    def nearest(self, directions: Float[Tensor, "*any 3"]) -> Int64[Tensor, "*any"]:
        """The pixel that contains each direction.

        Along the borders of pixels the longitude grows evenly with z, or falls (near the poles with
        the square root of what z lacks to 1). How many borders of either kind lie before a
        direction says in which pixel it is (Gorski et al. 2005, ApJ 622, 759, section 4).

        Args:
            directions: Finite, of any length above zero.
        """
        z, sine, turn = _coordinates(directions)
        n = self.nside
        # The belt, |z| <= 2/3.
        falling = torch.floor(n * (0.5 + turn - 0.75 * z)).long()
        rising = torch.floor(n * (0.5 + turn + 0.75 * z)).long()
        ring = (n + 1 + falling - rising).clamp(1, 2 * n + 1)  # 1 where z = 2/3
        odd = 1 - ring % 2
        place = (falling + rising - n + odd + 1) // 2 % (4 * n)
        belt = 2 * n * (n - 1) + (ring - 1) * 4 * n + place
        # The caps, in each of which every quarter turn has borders of its own.
        inside = turn - torch.floor(turn)
        distance = _cap_distance(z, sine, n)
        falling = torch.floor(inside * distance).long()
        rising = torch.floor((1 - inside) * distance).long()
        ring = (falling + rising + 1).clamp(max=n)  # counted from the nearer pole
        place = torch.floor(turn * ring).long() % (4 * ring)
        north = 2 * ring * (ring - 1) + place
        south = 12 * n * n - 2 * ring * (ring + 1) + place
        cap = torch.where(z > 0, north, south)
        return self.nested[torch.where(z.abs() <= 2 / 3, belt, cap)]

    def corners(self, directions: Float[Tensor, "*any 3"]) -> list[Term]:
        """Four pixels around each direction and their weights, as healpy defines them.

        Two neighbours on the ring above and two on the ring below, linear in longitude on each and
        in colatitude between them. Beyond the first and the last ring comes the pole, whose value
        is the mean of the four pixels around it.

        Args:
            directions: Finite, of any length above zero.

        Returns:
            Four indices int64 and weights, (*any) each; the weights of a direction add up to 1.
        """
        z, sine, turn = _coordinates(directions)
        n = self.nside
        cap = torch.floor(_cap_distance(z, sine, n))
        cap = torch.where(z > 0, cap, 4 * n - 1 - cap)
        upper = torch.where(z.abs() <= 2 / 3, torch.floor(n * (2 - 1.5 * z)), cap)
        upper = upper.long().clamp(0, 4 * n - 1)
        lower = upper + 1
        colatitude, table = torch.atan2(sine, z), self.colatitude.to(z.dtype)
        above, below = table[upper], table[lower]
        down = ((colatitude - above) / (below - above)).clamp(0, 1)
        terms = []
        poles = (upper == 0, lower == 4 * n)
        for ring, share, pole, other_pole in (
            (upper, 1 - down, poles[0], poles[1]),
            (lower, down, poles[1], poles[0]),
        ):
            place = turn * 0.25 * self.count[ring] - self.start.to(z.dtype)[ring]
            left = torch.floor(place)
            right_share = place - left
            # For a pole: the two pixels opposite to those of the ring beside it.
            left = left.long() + 2 * pole
            from_pole = torch.where(other_pole, 0.25 * (1 - share), 0.0)
            for step, weight in ((0, 1 - right_share), (1, right_share)):
                index = self.first[ring] + (left + step) % self.count[ring]
                weight = torch.where(pole, 0.25 * share, share * weight + from_pole)
                terms.append((self.nested[index], weight))
        return terms


class EquiangularLookup(nn.Module):
    """Points of an equiangular grid at directions: `EquiangularGrid.lookup` and `interpolation`.

    Args:
        grid: The grid.
    """

    def __init__(self, grid: EquiangularGrid) -> None:
        super().__init__()
        self.bandwidth = grid.bandwidth
        # Of a step: how far the first ring is from the north pole.
        self.half = 0.5 if grid.sampling == "soft" else 0.0

    def nearest(self, directions: Float[Tensor, "*any 3"]) -> Int64[Tensor, "*any"]:
        """The point whose cell holds each direction.

        Args:
            directions: Finite, of any length above zero.
        """
        steps, longitude = self._steps(directions)
        size = 2 * self.bandwidth
        ring = torch.floor(steps + 0.5).long().clamp(0, size - 1)
        return ring * size + torch.floor(longitude + 0.5).long() % size

    def corners(self, directions: Float[Tensor, "*any 3"]) -> list[Term]:
        """Four points around each direction and their weights, bilinear in both angles.

        Beyond the last ring before a pole comes that ring again, on the opposite meridian.

        Args:
            directions: Finite, of any length above zero.

        Returns:
            Four indices int64 and weights, (*any) each; the weights of a direction add up to 1.
        """
        steps, longitude = self._steps(directions)
        size = 2 * self.bandwidth
        upper = torch.floor(steps).clamp(-1 if self.half else 0, size - 1)
        gap = torch.where(upper == size - 1, 2 - 2 * self.half, 1.0)
        down = ((steps - upper) / gap).clamp(0, 1)
        left = torch.floor(longitude)
        right_share = longitude - left
        upper, left = upper.long(), left.long()
        terms = []
        for ring, share in ((upper, 1 - down), (upper + 1, down)):
            beyond = (ring < 0) | (ring >= size)
            row = ring.clamp(0, size - 1)
            for step, weight in ((0, 1 - right_share), (1, right_share)):
                point = (left + step + self.bandwidth * beyond) % size
                terms.append((row * size + point, share * weight))
        return terms

    def _steps(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Colatitude in steps from the first ring, longitude in steps."""
        x, y, z = directions.unbind(-1)
        steps = torch.atan2(torch.hypot(x, y), z) * (2 * self.bandwidth / math.pi) - self.half
        return steps, torch.atan2(y, x) * (self.bandwidth / math.pi)


def _coordinates(directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine and sine of the colatitude, and the longitude in quarter turns, 0..4."""
    x, y, z = directions.unbind(-1)
    across = torch.hypot(x, y)
    length = torch.hypot(across, z)
    turn = torch.atan2(y, x) * (2 / math.pi)
    return z / length, across / length, torch.where(turn < 0, turn + 4, turn)


def _cap_distance(z: Tensor, sine: Tensor, nside: int) -> Tensor:
    """Rings from the nearer pole: nside sqrt(3 (1 - |z|)), without cancellation at the pole."""
    return nside * sine * torch.sqrt(3 / (1 + z.abs()))


def _rings(nside: int) -> dict[str, np.ndarray]:
    """First pixel, number of pixels, place of the first in steps, colatitude of every ring.

    A pole has those of the ring beside it, but for the colatitude.
    """
    ring = np.arange(4 * nside + 1)
    real = ring.clip(1, 4 * nside - 1)
    from_pole = np.minimum(np.minimum(real, 4 * nside - real), nside)
    north = 2 * real * (real - 1)
    belt = 2 * nside * (nside - 1) + (real - nside) * 4 * nside
    south = 12 * nside**2 - 2 * from_pole * (from_pole + 1)
    is_belt = from_pole == nside
    first = np.where(is_belt, belt, np.where(real < nside, north, south))
    half = np.where(is_belt & ((real - nside) % 2 == 1), 0.0, 0.5)
    # Colatitude by its half: sin^2(theta / 2) = (1 - z) / 2, exact near the poles.
    cap = 2 * np.arcsin(from_pole / (nside * np.sqrt(6)))
    cap = np.where(real < nside, cap, np.pi - cap)
    height = np.clip((4 * nside - 2 * real) / (3 * nside), -1, 1)
    colatitude = np.where(is_belt, np.arccos(height), cap)
    colatitude[[0, -1]] = 0.0, np.pi
    return {"first": first, "count": 4 * from_pole, "start": half, "colatitude": colatitude}
