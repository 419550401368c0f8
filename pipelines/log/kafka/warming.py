"""Kernels compiled before a member joins: seconds in the midst of a rebalance would cost its place."""

from __future__ import annotations

from functools import cache

import numpy as np

from pipelines.kernels import record_batch as kernel
from pipelines.log.records import Partition, make_block


@cache
def warm() -> None:
    """Call each kernel of the seams once, in the form in which they call it."""
    block = make_block(Partition("t", 0), [(b"k", b"v")])
    none = np.zeros((0, 2), dtype=np.int64)
    empty = np.frombuffer(b"", dtype=np.uint8)
    out = np.empty(2 * kernel.AROUND, dtype=np.uint8)
    kernel.pack(block.data, block.keys, block.values, empty, none, 0, 0, out)
    data = np.frombuffer(bytes(kernel.HEAD), dtype=np.uint8)
    table = np.zeros((1, kernel.COLUMNS), dtype=np.int64)
    kernel.survey(data, True, table)
    wanted = np.zeros(1, dtype=np.bool_)
    kernel.choose(data, table, True, none[:, 0].copy(), none[:, 0].copy(), wanted)
    shapes = (1,), (1,), (1, 2), (1, 2)
    kernel.unpack(data, table, wanted, 0, kernel.Records(*(np.empty(s, dtype=np.int64) for s in shapes)))
