"""Ticks that follow from their offsets, and what must be read of them."""

from __future__ import annotations

import math

import numpy as np

IDS = ["a/b", "../c", "é\u2028日本", "x" * 256, "plain", " "]


def tick(offset):
    """Id, time, value, regressor: every seventh has no value, every fifth is for an earlier time."""
    name = IDS[offset % len(IDS)]
    ts = (offset - 6 if offset % 5 == 0 and offset >= 6 else offset) * 1000
    return name, ts, math.nan if offset % 7 == 0 else offset * 0.5, offset * 2.0 if offset % 3 else math.nan


def ticks(first, size):
    rows = [tick(offset) for offset in range(first, first + size)]
    names, ts, y, x = zip(*rows, strict=True)
    offsets = np.arange(first, first + size)
    return list(names), np.array(ts), np.array(y), {"temp": np.array(x)}, offsets


def expected(first, last):
    """{(id, ts): [y, temp]} of offsets first to last: of each the last that is known."""
    found = {}
    for offset in range(first, last + 1):
        name, ts, *values = tick(offset)
        row = found.setdefault((name, ts), [math.nan, math.nan])
        for k, value in enumerate(values):
            if not math.isnan(value):
                row[k] = value
    return found
