import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError
from shape_checker import check_arrays

from healswin.grid import HealpixGrid


def test_annotated_functions_are_checked_while_testing():
    with pytest.raises(TypeCheckError, match="vectors"):
        HealpixGrid(4).lookup(np.zeros((5, 2)))


def test_arrays_inside_tuples_and_options_are_checked():
    @check_arrays
    def function(x: Float[np.ndarray, " n"] | None) -> tuple[Float[np.ndarray, " n"], int]:
        return (np.zeros((2, 2)) if x is None else x), 1

    assert function(np.zeros(3))[1] == 1
    with pytest.raises(TypeError, match="x does not fit"):
        function(np.zeros((3, 3)))
    with pytest.raises(TypeError, match="the result does not fit"):
        function(None)
