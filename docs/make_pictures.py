"""Draw the pictures of the documentation: run `python docs/make_pictures.py`.

They are drawn from code alone; docs/pages/images/demo.png is a page of `make demo` (its
runs/demo/report/*.png).
"""

from pathlib import Path

import numpy as np

from healswin.grid import HealpixGrid, window_shift
from healswin.viz import windows_figure, write_png

IMAGES = Path(__file__).parent / "pages" / "images"


def windows() -> None:
    """Windows of 4 x 4 pixels at nside 16 and their shifts, on the fisheye domain."""
    grid = HealpixGrid(16, range(8))
    window = 16
    numbers = {"unshifted: consecutive nested pixels": np.arange(grid.num_pixels) // window}
    for strategy in ("grid", "ring", "vertex"):
        shift = window_shift(strategy, grid, window)
        # Pixels of one window that do not attend to each other are windows of their own.
        number = shift.inverse // window
        apart = number * (shift.group.max() + 1) + shift.group[shift.inverse]
        numbers[f"shift '{strategy}'"] = np.unique(apart, return_inverse=True)[1]
    figure = windows_figure(grid, numbers, size=360, centre=(0.9, 0.35))
    write_png(IMAGES / "windows.png", figure)


if __name__ == "__main__":
    windows()
