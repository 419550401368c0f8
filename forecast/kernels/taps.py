"""A tile of eight sums in registers: the step that lag products and forecasts have in common."""

from __future__ import annotations

from typing import Any, TypeAlias

from forecast.kernels._jit import kernel
from forecast.kernels.simd import Vec, fma, load, store
from forecast.types import F64

Tile: TypeAlias = Any
"""Eight vectors."""

TAPS = 8
"""Sums of a tile. With their window and one factor they fill 17 registers; one load feeds four sums."""


@kernel
def tap(sums: Tile, window: Tile, newest: Vec, factor: Vec) -> tuple[Tile, Tile]:
    """Move `window` on by one and add its products with `factor`; the sums and the window that come of it."""
    s, c = sums, window
    sums = (
        fma(newest, factor, s[0]), fma(c[0], factor, s[1]), fma(c[1], factor, s[2]), fma(c[2], factor, s[3]),
        fma(c[3], factor, s[4]), fma(c[4], factor, s[5]), fma(c[5], factor, s[6]), fma(c[6], factor, s[7]),
    )  # fmt: skip
    return sums, (newest, c[0], c[1], c[2], c[3], c[4], c[5], c[6])


@kernel
def add_back(s: Tile, factor: Vec, a: F64, row: int) -> Tile:
    """Add `factor` times rows row, row - 1, ..., row - 7 of `a` (rows, WIDTH)."""
    return (
        fma(factor, load(a, row), s[0]), fma(factor, load(a, row - 1), s[1]),
        fma(factor, load(a, row - 2), s[2]), fma(factor, load(a, row - 3), s[3]),
        fma(factor, load(a, row - 4), s[4]), fma(factor, load(a, row - 5), s[5]),
        fma(factor, load(a, row - 6), s[6]), fma(factor, load(a, row - 7), s[7]),
    )  # fmt: skip


@kernel
def add_on(s: Tile, factor: Vec, a: F64, row: int) -> Tile:
    """Add `factor` times rows row, row + 1, ..., row + 7 of `a` (rows, WIDTH)."""
    return (
        fma(factor, load(a, row), s[0]), fma(factor, load(a, row + 1), s[1]),
        fma(factor, load(a, row + 2), s[2]), fma(factor, load(a, row + 3), s[3]),
        fma(factor, load(a, row + 4), s[4]), fma(factor, load(a, row + 5), s[5]),
        fma(factor, load(a, row + 6), s[6]), fma(factor, load(a, row + 7), s[7]),
    )  # fmt: skip


@kernel
def scaled(s: Tile, factor: Vec) -> Tile:
    """`factor` times all eight."""
    return (
        s[0] * factor, s[1] * factor, s[2] * factor, s[3] * factor,
        s[4] * factor, s[5] * factor, s[6] * factor, s[7] * factor,
    )  # fmt: skip


@kernel
def load_tile(a: F64, row: int) -> Tile:
    """Eight rows of `a` from `row` on."""
    return (
        load(a, row), load(a, row + 1), load(a, row + 2), load(a, row + 3),
        load(a, row + 4), load(a, row + 5), load(a, row + 6), load(a, row + 7),
    )  # fmt: skip


@kernel
def store_tile(a: F64, row: int, s: Tile) -> None:
    """Write eight rows of `a`."""
    store(a, row, s[0])
    store(a, row + 1, s[1])
    store(a, row + 2, s[2])
    store(a, row + 3, s[3])
    store(a, row + 4, s[4])
    store(a, row + 5, s[5])
    store(a, row + 6, s[6])
    store(a, row + 7, s[7])
