"""Rows of a panel over threads: kernels release the GIL and take row bounds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Fewer rows than this a thread are not worth its start (about 50 us against 1 to 10 us a series).
_MIN_ROWS = 64


def over_rows(work: Callable[[int, int], object], n: int, jobs: int = 1, *, least: int = _MIN_ROWS) -> None:
    """Call ``work(first, last)`` on blocks of `least` rows or more that cover range(n), `jobs` at a time."""
    blocks = max(1, min(jobs * 4 if jobs > 1 else 1, n // least))
    if blocks == 1:
        work(0, n)
        return
    bounds = np.linspace(0, n, blocks + 1).astype(int).tolist()
    with ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(work, a, b) for a, b in itertools.pairwise(bounds)]:
            future.result()
