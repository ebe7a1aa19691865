"""The colour legend, the bar of a scale, and text that fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.viz import ColourScale, legend, scale_bar
from healswin.viz.colour import INK, PAPER, SKY, scale_colours
from healswin.viz.text import draw_text, fitting_size, shortened, text_width

NAMES = ["void", "road", "four-wheeler vehicle", "sky", "person", "pole", "sign"]
COLOURS = [(40 * k, 255 - 30 * k, (90 * k) % 256) for k in range(len(NAMES))]


def pixels_of(picture, colour):
    return np.argwhere((picture == colour).all(axis=-1))


@pytest.mark.parametrize("columns", [None, 1, 3, 7])
def test_legend_shows_every_colour(columns):
    strip = legend(NAMES, COLOURS, width=1400, columns=columns)
    assert strip.dtype == np.uint8
    assert strip.shape[1:] == (1400, 3)
    for colour in COLOURS:
        assert len(pixels_of(strip, colour)) > 50


def test_legend_reads_row_by_row_in_the_given_columns():
    strip = legend(NAMES, COLOURS, width=900, columns=3)
    middles = [pixels_of(strip, colour).mean(axis=0) for colour in COLOURS]
    assert len({round(row) for row, _ in middles}) == 3
    assert len({round(column) for _, column in middles}) == 3
    assert middles[1][1] > middles[0][1]
    assert middles[3][0] > middles[0][0]


def test_no_text_touches_the_next_column_or_the_border():
    """Every column ends with paper, whatever the width asks of the text."""
    for width in (480, 560, 900):
        strip = legend(NAMES, COLOURS, width, columns=3)
        for column in (1, 2, 3):
            end = round(column * width / 3)
            assert (strip[:, end - 2 : end] == PAPER).all()


def test_many_names_take_more_rows_than_columns_can_hold():
    low = legend(NAMES, COLOURS, width=1400)
    high = legend(NAMES, COLOURS, width=300)
    assert high.shape[0] > low.shape[0]


@pytest.mark.parametrize(
    ("names", "colours", "columns", "message"),
    [
        (NAMES, COLOURS[:-1], None, "7 names and 6 colours"),
        ([], [], None, "0 names"),
        (NAMES, COLOURS, 0, "columns=0"),
        (NAMES, COLOURS, 7, "does not fit"),
    ],
)
def test_legend_refuses(names, colours, columns, message):
    with pytest.raises(ValueError, match=message):
        legend(names, colours, 400, columns)


def test_fitting_size_fits_and_is_not_smaller_than_needed():
    assert fitting_size("Prediction", 16, 1000) == 16
    size = fitting_size("Prediction", 16, 60)
    assert text_width("Prediction", size) <= 60 < text_width("Prediction", size + 0.5)


def test_text_stays_in_its_width_and_about_its_middle():
    picture = np.full((40, 300, 3), PAPER, np.uint8)
    draw_text(picture, "HEALPix", 20, 20, 16)
    rows, columns = np.nonzero((picture != PAPER).any(axis=-1))
    assert picture.min() >= min(INK)
    assert columns.min() >= 18
    assert columns.max() <= 22 + text_width("HEALPix", 16)
    assert abs((rows.min() + rows.max()) / 2 - 20) <= 2


@given(st.text("ab WMi_", max_size=60), st.integers(40, 300), st.booleans())
def test_shortened_text_fits(text, width, bold):
    short = shortened(text, 16, width, bold)
    assert text_width(short, 16, bold) <= width
    if short != text:
        assert text_width(text, 16, bold) > width
        assert short.endswith("...")
        kept = short[:-3]
        assert text.startswith(kept)
        # One letter more would be too much.
        assert text_width(text[: len(kept) + 1] + "...", 16, bold) > width


@pytest.mark.parametrize("kind", ["depth", "sequential", "diverging"])
def test_scale_bar_goes_from_the_first_colour_to_the_last(kind):
    strip = scale_bar(ColourScale(1.0, 60.0, kind), "m", 500, [("sky", SKY)])
    assert strip.dtype == np.uint8
    assert strip.shape[1] == 500
    first, last = (pixels_of(strip, c) for c in scale_colours(kind, np.array([0.0, 1.0])))
    assert first[:, 1].min() < 60
    assert 300 < last[:, 1].max() < pixels_of(strip, SKY)[:, 1].min()
    ticks = pixels_of(strip[18:26], INK)[:, 1]
    assert len(np.unique(ticks)) >= 5


def test_scale_bar_needs_room():
    with pytest.raises(ValueError, match="width=150 is too small"):
        scale_bar(ColourScale(0.0, 1.0), "a long caption", 150, [("sky", SKY)])
