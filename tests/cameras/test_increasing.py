import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from healswin.cameras.increasing import first_fall, solve_increasing


@given(st.lists(st.floats(0.05, 4), min_size=1, max_size=4, unique_by=lambda x: round(x, 1)))
def test_the_first_zero_of_a_product_is_found(zeros):
    product = Polynomial.fromroots(zeros)
    coefficients = tuple(product.coef / product.coef[0])
    assert first_fall(coefficients, 5.0) == pytest.approx(min(zeros), abs=1e-6)
    assert first_fall(coefficients, 0.9 * min(zeros)) is None


def test_a_point_of_rest_is_no_fall():
    # (1 - x)^2, and (1 - x)^2 (2 - x).
    assert first_fall((1.0, -2.0, 1.0), 5.0) is None
    assert first_fall((2.0, -5.0, 4.0, -1.0), 5.0) == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("last", [0.0, 1e-18, -1e-18, 1e-30])
def test_a_last_coefficient_of_next_to_nothing_changes_nothing(last):
    assert first_fall((1.0, 0.0, -0.25, last), 5.0) == pytest.approx(2)


def test_zeros_next_to_a_flat_end_are_found():
    targets = 1 - np.logspace(-15, 0, 50)

    def miss(x):
        # 1 - (1 - x)^3 grows on 0 to 1 and is flat at 1.
        return 1 - (1 - x) ** 3 - targets, 3 * (1 - x) ** 2

    x = solve_increasing(miss, np.zeros(50), 1.0)
    np.testing.assert_allclose(1 - (1 - x) ** 3, targets, atol=1e-14)
