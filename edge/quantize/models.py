"""Codes for models of any shapes, by the fewest bits that pass the guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.quantize.block import COARSE, FINE, FIRST, SECOND, THIRD, Block, Coded, Effort
from edge.quantize.loss import summation
from forecast.errors import InputError
from forecast.types import F64, I64, U8, Bool

Progress = Callable[[int, int], None]
"""Called with the number of series that are done, and of all."""

MAX_RISE: Final = 2e-4
"""The guard: no series may lose more than this part of its forecast RMSE while more bits are left."""

HORIZON: Final = 24

_LADDER: Final[dict[int, tuple[Effort, ...]]] = {4: (COARSE,), 8: (FIRST, SECOND, THIRD), 16: (FINE, SECOND)}

Rungs: TypeAlias = list[tuple[int, Effort]]

# The last rung that is tried block by block; those after it are for the few that fail here.
_COMMON: Final = (8, FIRST)

# Where the curvature says so many times the guard, the true rise is not computed: at 4 bits the two differ,
# but not by that.
_HOPELESS: Final = 8.0

# Memory of one block, bytes; what it needs a series follows from the shape. Larger blocks are no faster.
_BLOCK_BYTES: Final = 48e6


@dataclass(frozen=True, slots=True)
class Shape:
    """What models have in common that are coded together."""

    p: int
    P: int
    s: int
    d: int
    D: int

    @property
    def size(self) -> int:
        """Angles of one model."""
        return self.p + self.P

    def rows_at_once(self, horizon: int, effort: Effort) -> int:
        """Return how many models keep to the memory of one block."""
        m, L = self.size, self.p + self.s * self.P
        judged = effort.judged * (2 if effort.moves else 1)
        curvature, root = 3 * m * horizon * L, 2 * L * L + m * m
        trials, judging = 12 * effort.trials * m, 2 * judged * horizon * L
        numbers = 1 + root + max(curvature, trials, judging, 8 * m * m)
        return max(1, int(_BLOCK_BYTES / 8 / numbers))


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

    def take(self, rows: NDArray[np.intp]) -> Models:
        """Return the models at positions `rows`."""
        return Models(*(getattr(self, f.name)[rows] for f in fields(self)))

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
        np.full(n, ladder[0], np.uint8), np.where(models.p + models.P > 0, np.inf, 0.0),
    )  # fmt: skip
    rungs = [(bits, effort) for bits in ladder for effort in _LADDER[bits]]
    common = next((i + 1 for i, rung in enumerate(rungs) if rung == _COMMON), len(rungs))
    done = 0
    for rows, shape in _shapes(models):
        at_once = shape.rows_at_once(horizon, FIRST)
        for some in _chunks(rows, at_once):
            _climb(models, out, some, rungs[:common], shape, max_rise, horizon)
            done += len(some)
            if progress is not None:
                progress(done, n)
        # The later rungs are for the few that fail, of all blocks together.
        for some in _chunks(rows[out.rise[rows] > max_rise], at_once):
            _climb(models, out, some, rungs[common:], shape, max_rise, horizon)
    return out


def merged(parts: Sequence[tuple[NDArray[np.intp], CodedModels]], n: int) -> CodedModels:
    """Put parts at their positions among n models."""
    columns = []
    for f in fields(CodedModels):
        like = getattr(parts[0][1], f.name)
        column = np.zeros((n, *like.shape[1:]), like.dtype)
        for rows, part in parts:
            column[rows] = getattr(part, f.name)
        columns.append(column)
    return CodedModels(*columns)


def _climb(
    models: Models, out: CodedModels, rows: I64, rungs: Rungs, shape: Shape, max_rise: float, horizon: int
) -> None:
    """Code one block: each rung sees what failed before."""
    if not (rungs and shape.size):
        return
    undo = summation(shape.d, shape.D, shape.s, horizon)
    first, last = models.parcor[rows, : shape.p], models.seasonal_parcor[rows, : shape.P]
    block = Block.of(first, last, shape.s, horizon, undo)
    for bits, effort in rungs:
        if effort.reduced and not block.one_factor:
            continue
        limit = max_rise * _HOPELESS if bits == 4 and len(rungs) > 1 else np.inf
        failed = np.flatnonzero(out.rise[rows] > max_rise)
        for some in _chunks(failed, shape.rows_at_once(horizon, effort)):
            at = rows[some]
            found = block.take(some).search(bits, effort, limit)
            # What was found with fewer bits counts as well: its codes are codes of more bits, too.
            _store(out, at, found, shape, found.rise <= out.rise[at])
            out.bits[at] = bits


def _store(out: CodedModels, rows: I64, found: Coded, shape: Shape, wins: Bool) -> None:
    at = rows[wins]
    out.codes[at, : shape.p] = found.codes[wins, : shape.p]
    out.seasonal_codes[at, : shape.P] = found.codes[wins, shape.p :]
    out.scale[at], out.seasonal_scale[at] = found.scales[wins, 0], found.scales[wins, 1]
    out.rise[at] = found.rise[wins]


def _shapes(models: Models) -> Iterator[tuple[I64, Shape]]:
    """Yield the positions of the series of each shape, and the shape."""
    season = np.where((models.P > 0) | (models.D > 0), models.s, 1)
    columns = np.column_stack([models.p, models.P, season, models.d, models.D])
    shapes, which = np.unique(columns, axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(shapes)))
    for shape, rows in zip(shapes.tolist(), np.split(order, ends[:-1]), strict=True):
        yield rows, Shape(*shape)


def _chunks(rows: I64, size: int) -> Iterator[I64]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
