"""The grid of times, in the words that a device understands without the library."""

from __future__ import annotations

from typing import Final

from edge.runtime.schema import FreqInfo
from forecast.models.alias import Kind
from forecast.models.freq import Freq

_NS_PER_MS: Final = 1_000_000
# Nominal steps of forecast messages, as in the stream: a year has 365.2425 days, a week 5 business days.
_MS_PER_MONTH: Final = 2_629_746_000
_MS_PER_OFFSET: Final = 86_400_000 * 7 // 5


def grid_of(freq: Freq) -> FreqInfo:
    """Describe a frequency.

    Business days and steps of no whole number of milliseconds are "ticks": a device cannot tell where their
    points are, so it takes every tick as the next one.
    """
    grid = freq.grid
    if grid.kind is Kind.INT:
        return FreqInfo(freq.text, freq.tz, "int", grid.step, 0, False, grid.step)
    if grid.kind is Kind.MONTHS:
        late = int(bool(grid.late))
        return FreqInfo(freq.text, freq.tz, "months", grid.step, late, freq.wall, grid.step * _MS_PER_MONTH)
    if grid.kind is Kind.FIXED and grid.step % _NS_PER_MS == 0:
        step = grid.step // _NS_PER_MS
        return FreqInfo(freq.text, freq.tz, "fixed", step, 0, freq.wall, step)
    nominal = grid.step * _MS_PER_OFFSET if grid.kind is Kind.OFFSET else 1
    return FreqInfo(freq.text, freq.tz, "ticks", 1, 0, freq.wall, nominal)
