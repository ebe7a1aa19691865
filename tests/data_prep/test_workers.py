"""Threads that do work side by side."""

import threading

import pytest

from data_prep.workers import run_in_threads


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(run_in_threads(lambda x: x * x, range(50), workers)) == [x * x for x in range(50)]


def test_several_threads_are_at_work():
    both = threading.Barrier(2, timeout=10)
    assert sorted(run_in_threads(lambda _: both.wait(), range(2), 2)) == [0, 1]


def test_the_first_error_ends_the_work():
    begun = []

    def work(item):
        begun.append(item)
        if item == 3:
            raise ValueError("the fourth")
        return item

    done = run_in_threads(work, range(1000), 2)
    assert [next(done) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(done)
    assert len(begun) < 100
