import numpy as np
import pytest

from healswin.viz.gallery import gallery
from healswin.viz.layout import GAP

RED = (200, 20, 20)


def cells(count, size=40):
    picture = np.full((size, size, 3), RED, dtype=np.uint8)
    return [((f"Number {number}", "below"), picture) for number in range(count)]


def red_columns(row):
    """Where pictures begin in a line of pixels that crosses them."""
    red = (row == RED).all(axis=-1)
    return np.flatnonzero(red & ~np.roll(red, 1)).tolist()


def test_pictures_stand_in_rows_of_one_width():
    figure = gallery(cells(5), "Five", columns=3, size=40)
    assert figure.shape[1] == GAP + 3 * (40 + GAP)
    starts = [red_columns(row) for row in figure]
    assert starts.count([GAP, GAP + 54, GAP + 108]) == 40
    assert starts.count([GAP, GAP + 54]) == 40


def test_few_pictures_make_a_narrow_figure():
    assert gallery(cells(1, 90), "One", size=90).shape[1] == GAP + 90 + GAP


@pytest.mark.parametrize("given", [[], [(("one",), np.zeros((2, 2, 3), np.uint8)), *cells(1)]])
def test_what_is_no_gallery_is_refused(given):
    with pytest.raises(ValueError, match="at least one picture and equally many lines"):
        gallery(given, "Title")
