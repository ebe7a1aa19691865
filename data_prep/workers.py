"""Work done side by side: by processes that never outlive their parent, or by threads."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

_work: Callable | None = None


def run_all(
    make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Work on all items, yielding results as they come.

    Args:
        make: Picklable; called once in every worker, returns the function that does an item.
        items: What to work on.
        workers: Number of processes; with 1 the work is done here, one item after the other.

    Raises:
        ValueError: If workers is below 1.
        RuntimeError: If a worker died.
        Exception: What the work raised first; what was not begun by then is dropped.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    if workers == 1:
        work = make()
        for item in items:
            yield work(item)
        return
    # spawn, not fork: a forked child would share the parent's threads' locks and its lock file.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(os.getpid(), make),
    )
    try:
        with _one_thread_each():
            futures = [pool.submit(_call, item) for item in items]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise RuntimeError(
            "a worker process died (killed, or out of memory?): run the same command again to "
            "continue, perhaps with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Work on all items in threads of this process, yielding results in the items' order.

    For work that spends its time in functions that let go of Python's lock, such as decoding
    images: threads start at once, processes have to import everything first.

    Args:
        work: Does one item.
        items: What to work on.
        workers: Number of threads.

    Raises:
        Exception: What the work raised for the first of the items for which it did; what was not
            begun by then is dropped.
    """
    with ThreadPoolExecutor(workers) as pool:
        # So many at a time that no list of all items' results is held.
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile use one thread each for linear algebra.

    The libraries read their number of threads when they are loaded; with as many threads as cores
    in every worker the workers take each other's cores: on two cores `healswin-prep street OUT
    --scenes 10 --workers 2` took 11.5 s with two threads each and 7.0 s with one (2026-11-21).
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(parent: int, make: Callable[[], Callable]) -> None:
    global _work
    _end_with(parent)
    # Ctrl-C reaches the whole process group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    _work = make()


def _call(item: Item) -> Result:
    return _work(item)


def _end_with(parent: int) -> None:
    """End this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
