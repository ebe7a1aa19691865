"""Everything that knows a pixel index: the HEALPix grid, its windows and their shifts.

A HEALPix sphere has 12 base pixels ("faces"), each a square of nside x nside pixels of equal
area (Gorski et al. 2005, ApJ 622, 759). Inside this library pixels are in NESTED order: pixel
``k`` of a face has coordinates ``(x, y)`` whose bits are interleaved in ``k``. Two things follow,
and the models rest on them:

* any 4^j consecutive pixels form a square of 2^j x 2^j pixels, so that patches and windows are
  plain reshapes of the pixel axis;
* a subset of base pixels is a plain concatenation of blocks of nside^2 pixels.

`HealpixGrid` names the pixels. Attention is local: half of the blocks of a transformer attend
inside the windows of consecutive pixels, and `window_shift` regroups the pixels for the other half,
so that something crosses the borders; ``docs/pages/images/windows.png`` shows them. Of its
strategies "vertex" fits the sphere. The unshifted windows are a mesh of quadrilateral cells; a
vertex window holds the quadrants that meet at one corner of that mesh. Each character is a quadrant
of a window:

    unshifted windows     vertex windows
        a a b b              1 2 2 3
        a a b b              4 5 5 6
        c c d d              4 5 5 6
        c c d d              7 8 8 9

Four cells meet at every corner but 8, where three faces meet and one quadrant of the window stays
empty, so that F windows have F + 2 vertex windows, over all seams and both poles. Every pixel lies
in exactly one. A grid of some base pixels leaves quadrants out, and nothing else changes.

`discs` are the alternative without windows: the pixels within a distance of each pixel.
`neighbours` are the eight pixels around a pixel. `turn_classes` says which windows or discs are
quarter turns of each other, so that what depends on their geometry is computed once. healpy does
the index arithmetic, here and nowhere else, and only at construction; it is imported where it is
used, for with it come a plotting library and 60 MB, which the other grids do without.

Two other grids serve the baselines: `EquiangularGrid` those that transform on the sphere,
`ImageGrid` those that see images. A `Grid` is any of the three.
"""

from healswin.grid.discs import Discs, discs
from healswin.grid.equiangular import EquiangularGrid
from healswin.grid.harmonics import band_limited_map
from healswin.grid.healpix import HealpixGrid, holds
from healswin.grid.image import ImageGrid
from healswin.grid.neighbours import CORNERS, EDGES, neighbours
from healswin.grid.plain import Grid, grid_from_dict
from healswin.grid.shifts import SHIFTS, WindowShift, window_shift
from healswin.grid.symmetries import PixelSymmetry, pixel_symmetries
from healswin.grid.turns import turn_classes
from healswin.grid.windows import window_coordinates, window_count, window_side

__all__ = [
    "CORNERS",
    "EDGES",
    "SHIFTS",
    "Discs",
    "EquiangularGrid",
    "Grid",
    "HealpixGrid",
    "ImageGrid",
    "PixelSymmetry",
    "WindowShift",
    "band_limited_map",
    "discs",
    "grid_from_dict",
    "holds",
    "neighbours",
    "pixel_symmetries",
    "turn_classes",
    "window_coordinates",
    "window_count",
    "window_shift",
    "window_side",
]
