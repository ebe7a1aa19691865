"""Everything that knows a pixel index: the HEALPix grid, its windows and their shifts.

A HEALPix sphere has 12 base pixels ("faces"), each a square of nside x nside pixels of equal
area (Gorski et al. 2005, ApJ 622, 759). Inside this library pixels are in NESTED order: pixel
``k`` of a face has coordinates ``(x, y)`` whose bits are interleaved in ``k``. Two things follow,
and the models rest on them:

* any 4^j consecutive pixels form a square of 2^j x 2^j pixels, so that patches and windows are
  plain reshapes of the pixel axis;
* a subset of base pixels is a plain concatenation of blocks of nside^2 pixels.

`HealpixGrid` names the pixels, `window_shift` says which pixels attend to each other
in the shifted blocks of the transformer; ``docs/pages/images/windows.png`` shows them. healpy does
the index arithmetic, here and nowhere else, and only at construction.
"""

from healswin.grid.healpix import HealpixGrid, holds
from healswin.grid.shifts import SHIFTS, WindowShift, window_shift
from healswin.grid.windows import window_coordinates, window_count, window_side

__all__ = [
    "SHIFTS",
    "HealpixGrid",
    "WindowShift",
    "holds",
    "window_coordinates",
    "window_count",
    "window_shift",
    "window_side",
]
