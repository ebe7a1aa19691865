from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from healswin.resample.children import lower_median, majority

SHAPES = st.tuples(st.sampled_from([1, 4, 16]), st.integers(1, 6))
DISTANCES = st.sampled_from([0.5, 1.0, 2.0, np.inf, np.nan])


@given(hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 254, 255])))
def test_majority_is_the_smallest_of_the_most_frequent_classes(children):
    before = children.copy()
    for got, column in zip(majority(children), before.T.tolist(), strict=True):
        votes = Counter(c for c in column if c != 255)
        expected = min(votes, key=lambda c: (-votes[c], c)) if votes else 255
        assert got == expected
    np.testing.assert_array_equal(children, before)


@given(hnp.arrays(np.float32, SHAPES, elements=DISTANCES))
def test_lower_median_is_a_known_distance_in_the_middle(children):
    for got, column in zip(lower_median(children), children.T.tolist(), strict=True):
        known = sorted(d for d in column if not np.isnan(d))
        if known:
            assert got == known[(len(known) - 1) // 2]
        else:
            assert np.isnan(got)
