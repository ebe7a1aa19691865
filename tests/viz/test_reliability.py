import math

import numpy as np
import pytest

from healswin.viz import reliability
from healswin.viz.reliability import reliability_diagram

NAN = math.nan


def column_of(picture, colour):
    """How many pixels of a colour each column of the plot has."""
    return (picture == np.array(colour)).all(axis=2).sum(axis=0)


def diagram(accuracy, confidence, share):
    return reliability_diagram(
        {"a": {"share": share, "confidence": confidence, "accuracy": accuracy}}
    )


def test_bars_are_as_high_as_their_values():
    share, confidence = [0.75, 0.0, 0.25], [0.3, NAN, 0.9]
    picture = diagram([0.1, NAN, 1.0], confidence, share)
    plot = picture[:-60]  # without the legend
    gap = column_of(plot, reliability._LESS)
    assert gap.max() == pytest.approx((0.3 - 0.1) * reliability._PLOT, abs=1)
    more = column_of(plot, reliability._MORE)
    assert more.max() == pytest.approx((1.0 - 0.9) * reliability._PLOT, abs=2)
    # A third of the plot each, the gaps of like bins beside each other.
    assert (gap > 10).sum() == pytest.approx(reliability._PLOT / 3, abs=2)
    assert (more > 10).sum() == pytest.approx(reliability._PLOT / 3, abs=2)
    bars = column_of(plot, reliability._ACCURACY)
    first = np.flatnonzero(gap > 10)[10]
    last = np.flatnonzero(more > 10)[10]
    below = reliability._SHARES * np.array([1.0, 0.25 / 0.75])  # the largest share fills its plot
    # The diagonal, the border and its smoothing take some pixels of a bar.
    expected = np.array([0.1, 0.9]) * reliability._PLOT + below
    np.testing.assert_allclose(bars[[first, last]], expected, atol=6)
    empty = slice(first + reliability._PLOT // 3, last - 20)
    assert not bars[empty].any()


def test_diagrams_stand_side_by_side():
    values = {"share": [1.0], "confidence": [0.5], "accuracy": [0.5]}
    one = reliability_diagram({"a": values})
    two = reliability_diagram({"a": values, "b": values}, title="Both")
    assert two.shape[1] > 1.8 * one.shape[1]
    assert two.shape[0] > one.shape[0]
    assert not column_of(one[:-60], reliability._LESS).any()


def test_nothing_counted_draws_no_bar():
    picture = diagram([NAN, NAN], [NAN, NAN], [NAN, NAN])
    assert not column_of(picture[:-60], reliability._ACCURACY).any()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="bins is empty"):
        reliability_diagram({})
    with pytest.raises(ValueError, match="expected as many of each"):
        diagram([0.5], [0.5, 0.5], [1.0])
