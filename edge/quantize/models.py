"""Codes for models of any shapes, by the fewest bits that pass the guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.quantize.block import COARSE, FINE, FIRST, SECOND, Block, Coded, Effort, better
from edge.quantize.loss import summation
from forecast.errors import InputError
from forecast.types import F64, I64, U8

Progress = Callable[[int, int], None]
"""Called with the number of series that are done, and of all."""

MAX_RISE: Final = 2e-4
"""The guard: no series may lose more than this part of its forecast RMSE while more bits are left."""

HORIZON: Final = 24

_LADDER: Final[dict[int, tuple[Effort, ...]]] = {4: (COARSE,), 8: (FIRST, SECOND), 16: (FINE,)}

# Where the curvature says so many times the guard, the true rise is not computed: at 4 bits the two differ,
# but not by that.
_HOPELESS: Final = 8.0

# Memory of one block, bytes; what it needs a series follows from the shape. Larger blocks are no faster.
_BLOCK_BYTES: Final = 48e6


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The AR factors of n series, as arrays."""

    parcor: F64
    """(n, max p) reflection coefficients of phi, 0 beyond the order."""
    p: I64
    seasonal_parcor: F64
    """(n, max P), of Phi."""
    P: I64
    s: I64
    d: I64
    D: I64

    @classmethod
    def plain(cls, parcor: F64) -> Models:
        """Take (n, p) coefficients of models of one order, without season and differences."""
        n, p = parcor.shape
        none = np.zeros(n, dtype=np.int64)
        return cls(parcor, none + p, np.zeros((n, 0)), none, none + 1, none, none)

    def __post_init__(self) -> None:
        for name, k in (("parcor", self.parcor), ("seasonal_parcor", self.seasonal_parcor)):
            bad = np.flatnonzero(~(np.abs(k) < 1.0).all(axis=1))
            if len(bad):
                raise InputError(
                    f"{name} of series {bad[0]} is not inside (-1, 1): not stationary; fit again"
                )


@dataclass(frozen=True, slots=True, eq=False)
class CodedModels:
    """What is stored of n series, in their order."""

    codes: I64
    """(n, max p)"""
    scale: NDArray[np.float32]
    seasonal_codes: I64
    seasonal_scale: NDArray[np.float32]
    bits: U8
    """(n,) 4, 8 or 16."""
    rise: F64
    """(n,) mean rise of the forecast RMSE over the horizon, 0.01 is 1 %; inf where float64 cannot tell."""


def code(
    models: Models,
    ladder: tuple[int, ...] = (4, 8, 16),
    max_rise: float = MAX_RISE,
    horizon: int = HORIZON,
    progress: Progress | None = None,
) -> CodedModels:
    """Code every model with the first of `ladder` whose rise is at most `max_rise`, else with the last.

    Memory is bounded whatever n; 10,000 AR(24) take seconds.
    """
    n = len(models.p)
    out = CodedModels(
        np.zeros(models.parcor.shape, np.int64), np.zeros(n, np.float32),
        np.zeros(models.seasonal_parcor.shape, np.int64), np.zeros(n, np.float32),
        np.full(n, ladder[0], np.uint8), np.zeros(n),
    )  # fmt: skip
    done = 0
    for rows, shape in _shapes(models):
        p, P, s, d, D = shape
        if p + P:
            size = max(1, int(_BLOCK_BYTES / _bytes_a_row(p, P, s, horizon, FIRST)))
            undo = summation(d, D, s, horizon)
            for some in _chunks(rows, size):
                block = Block.of(models.parcor[some, :p], models.seasonal_parcor[some, :P], s, horizon, undo)
                coded, bits = _climb(block, ladder, max_rise, horizon)
                _store(out, some, coded, bits, p, P)
                if progress is not None:
                    progress(done + len(some), n)
                done += len(some)
        else:
            done += len(rows)
    if progress is not None and done:
        progress(n, n)
    return out


def _climb(block: Block, ladder: tuple[int, ...], max_rise: float, horizon: int) -> tuple[Coded, U8]:
    """Code one block: each step of the ladder sees what failed before."""
    n, m = block.factors.theta.shape
    kept = Coded(np.zeros((n, m), np.int64), np.zeros((n, 2), np.float32), np.full(n, np.inf))
    bits = np.full(n, ladder[0], np.uint8)
    for width in ladder:
        limit = max_rise * _HOPELESS if width == 4 and width != ladder[-1] else np.inf
        for effort in _LADDER[width]:
            failed = np.flatnonzero(~(kept.rise <= max_rise))
            for some in _chunks(failed, _rows_at_once(block, horizon, effort)):
                found = block.take(some).search(width, effort, limit)
                # Codes of fewer bits are codes of more bits as well.
                before = Coded(kept.codes[some], kept.scales[some], kept.rise[some])
                found = better(found, before)
                kept.codes[some], kept.scales[some], kept.rise[some] = found.codes, found.scales, found.rise
                bits[some] = width
    return kept, bits


def _store(out: CodedModels, rows: I64, coded: Coded, bits: U8, p: int, P: int) -> None:
    out.codes[rows, :p], out.seasonal_codes[rows, :P] = coded.codes[:, :p], coded.codes[:, p:]
    out.scale[rows], out.seasonal_scale[rows] = coded.scales[:, 0], coded.scales[:, 1]
    out.bits[rows], out.rise[rows] = bits, coded.rise


def _shapes(models: Models) -> Iterator[tuple[I64, tuple[int, ...]]]:
    """Yield the positions of the series of each shape, and the shape p, P, s, d, D."""
    season = np.where((models.P > 0) | (models.D > 0), models.s, 1)
    shapes, which = np.unique(
        np.column_stack([models.p, models.P, season, models.d, models.D]), axis=0, return_inverse=True
    )
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(shapes)))
    for shape, rows in zip(shapes.tolist(), np.split(order, ends[:-1]), strict=True):
        yield rows, tuple(shape)


def _chunks(rows: I64, size: int) -> Iterator[I64]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _rows_at_once(block: Block, horizon: int, effort: Effort) -> int:
    factors = block.factors
    p, m = factors.p, factors.theta.shape[1]
    return max(1, int(_BLOCK_BYTES / _bytes_a_row(p, m - p, factors.s, horizon, effort)))


def _bytes_a_row(p: int, P: int, s: int, horizon: int, effort: Effort) -> float:
    m, L = p + P, p + s * P
    judged = effort.judged * (2 if effort.moves else 1)
    curvature, root = 3 * m * horizon * L, 2 * L * L + m * m
    trials, judging = 12 * effort.trials * m, 2 * judged * horizon * L
    return 8.0 * (root + max(curvature, trials, judging, 8 * m * m))
