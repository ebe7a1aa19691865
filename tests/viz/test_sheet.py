"""Contact sheets: what is on them, and that nothing makes them fail that may happen in a set."""

import numpy as np
import pytest

from healswin.grid import HealpixGrid, ImageGrid
from healswin.viz import SheetSample, contact_sheet
from healswin.viz.colour import EMPTY

GRID = HealpixGrid(8, range(8))
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SIZE = 100


def plain(colour):
    return np.full((GRID.num_pixels, 3), colour, np.uint8)


def sample(views=(RED,), source=None, **changes):
    image = source
    if isinstance(source, tuple):
        image = np.full((60, 80, 3), source, np.uint8)
    arguments = {"name": "a", "notes": "notes", "source": image}
    return SheetSample(**arguments | changes, views=[plain(colour) for colour in views])


def share(picture, colour):
    return (picture == colour).all(axis=-1).mean()


def test_every_source_and_view_is_there():
    captions = ["one", "two"]
    sheet = contact_sheet(GRID, [sample((RED, GREEN), BLUE)], captions, "title", size=SIZE)
    for colour in (RED, GREEN, BLUE):
        assert share(sheet, colour) > 0.05
    without = contact_sheet(GRID, [sample((RED, GREEN))], captions, "title", size=SIZE)
    assert share(without, BLUE) == 0
    assert without.shape[0] == sheet.shape[0]
    assert without.shape[1] < sheet.shape[1]


def flat_sample(colours, grid, source=None):
    views = [np.full((grid.num_pixels, 3), colour, np.uint8) for colour in colours]
    return SheetSample("a", "notes", source, views)


@pytest.mark.parametrize(
    ("height", "width", "shown"), [(30, 36, 120), (30, 30, 100), (20, 60, 133)]
)
def test_flat_images_are_shown_as_they_are(height, width, shown):
    grid = ImageGrid(height, width)
    one = contact_sheet(grid, [flat_sample((RED,), grid)], ["one"], "title", size=SIZE)
    samples = [flat_sample((RED, GREEN), grid, np.full((60, 80, 3), BLUE, np.uint8))] * 2
    sheet = contact_sheet(grid, samples, ["one", "two"], "title", size=SIZE)
    area = shown * shown * height / width  # images wider than 4:3 are smaller, not wider
    for colour in (RED, GREEN):
        found = share(sheet, colour) * sheet.shape[0] * sheet.shape[1]
        assert found == pytest.approx(2 * area, rel=0.05)
    assert share(sheet, BLUE) > 0
    marked = flat_sample((RED,), grid)
    marked.views[0][0] = GREEN  # the first pixel is the upper left one
    corner = np.argwhere(
        (contact_sheet(grid, [marked], ["one"], "title", size=SIZE) == GREEN).all(axis=-1)
    )
    reds = np.argwhere((one == RED).all(axis=-1))
    np.testing.assert_array_equal(corner.min(axis=0), reds.min(axis=0))


def test_values_of_another_grid_are_refused():
    grid = ImageGrid(4, 6)
    with pytest.raises(ValueError, match=r"\(30, 3\), \(24, 3\) is that of ImageGrid"):
        contact_sheet(grid, [flat_sample((RED,), ImageGrid(5, 6))], ["one"], "title")


def test_balls_are_as_large_as_asked_for():
    sheet = contact_sheet(GRID, [sample((RED, GREEN))], ["one", "two"], "title", size=SIZE)
    hemisphere, ellipse = np.pi / 4 * SIZE**2, np.pi / 8 * SIZE**2
    # Of the Mollweide picture, which has equal areas, the grid has two thirds.
    found = share(sheet, RED) * sheet.shape[0] * sheet.shape[1]
    assert found == pytest.approx(hemisphere + ellipse * 2 / 3, rel=0.06)


def test_a_single_view_is_one_row():
    one = contact_sheet(GRID, [sample((RED,))], ["one"], "title", size=SIZE)
    two = contact_sheet(GRID, [sample((RED, RED))], ["one", "two"], "title", size=SIZE)
    assert one.shape[0] < two.shape[0]
    assert one.shape[1] > two.shape[1]


def test_the_hemisphere_behind_is_shown_where_there_is_no_source():
    view = plain(RED)
    view[GRID.vectors()[:, 2] < 0] = BLUE
    shown = SheetSample("a", "", None, [view])
    sheet = contact_sheet(GRID, [shown], ["one"], "", size=SIZE)
    blue = (sheet == BLUE).all(axis=-1)
    columns = np.flatnonzero(blue.any(axis=0))
    # Nothing of it on the first ball; on the second the ring that the grid has.
    assert columns.min() > SIZE
    assert blue[:, SIZE + 20 : 2 * SIZE].mean() > 0.02


def test_the_centre_is_in_the_middle():
    view = plain(RED)
    view[GRID.vectors() @ (1.0, 0.0, 0.0) > 0.97] = BLUE
    shown = SheetSample("a", "", None, [view], centre=(1.0, 0.0, 0.0))
    sheet = contact_sheet(GRID, [shown], ["one"], "", up=(0.0, 0.0, 1.0), size=SIZE)
    columns = np.flatnonzero((sheet == BLUE).all(axis=-1)[:, : SIZE + 14].any(axis=0))
    assert (columns.min() + columns.max()) / 2 == pytest.approx(14 + SIZE / 2, abs=3)


def test_a_source_that_is_missing_leaves_its_place():
    samples = [sample((RED, GREEN), BLUE), sample((RED, GREEN))]
    sheet = contact_sheet(GRID, samples, ["one", "two"], "title", size=SIZE)
    both = contact_sheet(GRID, samples[:1] * 2, ["one", "two"], "title", size=SIZE)
    assert sheet.shape == both.shape
    assert share(sheet, EMPTY) > share(both, EMPTY) + 0.05


def test_wide_sources_do_not_widen_the_sheet_without_end():
    wide = sample((RED, GREEN), source=np.zeros((20, 400, 3), np.uint8))
    usual = sample((RED, GREEN), BLUE)
    sheets = [
        contact_sheet(GRID, [shown], ["one", "two"], "title", size=SIZE) for shown in (wide, usual)
    ]
    assert sheets[0].shape == sheets[1].shape


def test_names_of_any_length_fit():
    long = sample((RED, GREEN), name="name " * 200, notes="notes " * 200)
    sheet = contact_sheet(GRID, [long], ["one", "two"], "title " * 200, size=SIZE)
    short = contact_sheet(GRID, [sample((RED, GREEN))], ["one", "two"], "title", size=SIZE)
    assert sheet.shape == short.shape


@pytest.mark.parametrize(
    ("samples", "captions", "message"),
    [
        ([], ["one"], "0 samples"),
        ([sample()], [], "0 captions"),
        ([sample((RED, RED))], ["one"], "sample 'a' has 2 views"),
        ([SheetSample("a", "", None, [np.zeros((3, 3), np.uint8)])], ["one"], "values is uint8"),
    ],
)
def test_refused(samples, captions, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(GRID, samples, captions, "title", size=SIZE)
