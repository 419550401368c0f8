"""What stands around the AR recursion in a graph: differences, the mean, the seasonal factor.

Each is a filter 1 - sum_i c_i L^{i stride} that is applied to the past values and undone on the path. One
after the other they keep the small numbers that an AR part works on apart from the large ones of the
levels; differences are exact. Series of one file may differ in d, D and s: a filter that concerns only some
has flags.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from edge.fleet import Fleet
from edge.graph.builder import Value
from edge.graph.recursion import flipped, joined
from edge.graph.tables import Tables
from forecast.types import Bool


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One filter, of which some series may be free."""

    stride: int
    coefficients: tuple[Callable[[], Value | None], ...]
    """Make them when they are used: (B, 1) or (1, 1) each; None is 1."""
    on: Bool
    """(n,) series that have it; for the others the coefficients are 0."""
    difference: bool
    """Whether it is 1 - L^stride."""

    @property
    def reach(self) -> int:
        """Past values that it uses up."""
        return self.stride * len(self.coefficients)


def differences(tables: Tables, fleet: Fleet, within: int | None = None) -> list[Stage]:
    """(1 - L^s)^D, then (1 - L)^d; of lags up to `within` only, where that is given."""
    orders = [(int(s), np.where(fleet.s == s, fleet.D, 0)) for s in np.unique(fleet.s[fleet.D > 0])]
    stages = []
    for stride, order in [*orders, (1, fleet.d)]:
        if within is not None and stride > within:
            continue
        stages += [_difference(tables, stride, order > k) for k in range(int(order.max()))]
    return stages


def _difference(tables: Tables, stride: int, on: Bool) -> Stage:
    def flag() -> Value | None:
        return None if on.all() else tables.rows(on.astype(np.int8), np.int8)

    return Stage(stride, (cache(flag),), on, difference=True)


def seasonal_factor(
    tables: Tables, fleet: Fleet, seasonal_phi: Value | None, within: int | None = None
) -> list[Stage]:
    """Phi(L^s), a stage for each s; `seasonal_phi` is (B, max P) or (1, max P).

    Of lags up to `within` only, where that is given.
    """
    if seasonal_phi is None:
        return []
    stages = []
    for s in np.unique(fleet.s[fleet.P > 0]):
        on = (fleet.s == s) & (fleet.P > 0)
        width = int(fleet.P[on].max())
        if within is not None:
            width = min(width, within // int(s))
        if width:
            columns = tuple(cache(_column(tables, fleet, seasonal_phi, on, i)) for i in range(width))
            stages.append(Stage(int(s), columns, on, difference=False))
    return stages


def _column(tables: Tables, fleet: Fleet, seasonal_phi: Value, on: Bool, i: int) -> Callable[[], Value]:
    """Column `i` of the seasonal coefficients, 0 for series of another season."""

    def make() -> Value:
        column = seasonal_phi
        if fleet.seasonal_phi.shape[1] > 1:
            column = tables.graph.slice(seasonal_phi, i, i + 1, axis=1)
        if (on | (fleet.P == 0)).all():
            return column
        return tables.graph.add("Mul", column, tables.rows(on.astype(np.int8), np.int8))

    return make


def apply(tables: Tables, stage: Stage, past: Value, width: int) -> tuple[Value, int]:
    """Filter (B, width) past values, newest first; what is left is `reach` shorter."""
    graph, left = tables.graph, width - stage.reach
    out = graph.slice(past, 0, left, axis=1)
    for i, coefficient in enumerate(stage.coefficients, start=1):
        term = graph.slice(past, i * stage.stride, i * stage.stride + left, axis=1)
        out = graph.add("Sub", out, _times(tables, coefficient(), term))
    return out, left


def undo(tables: Tables, stage: Stage, path: Value, past: Value | None, horizon: int) -> Value:
    """Turn the path (B, H) of what was filtered into that of what was not.

    Parameters
    ----------
    past
        (B, any) values before the filter, newest first; None: zeros, as for psi weights.
    """
    if stage.stride == 1 and stage.difference:
        return tables.blend(stage.on, _sums(tables, path, past), path)
    graph, s = tables.graph, stage.stride
    blocks: list[Value] = []
    for first in range(0, horizon, s):
        size = min(s, horizon - first)
        block = path if size == horizon else graph.slice(path, first, first + size, axis=1)
        for i, coefficient in enumerate(stage.coefficients, start=1):
            back = len(blocks) - i
            before = _block(tables, blocks, past, back, s, size)
            if before is not None:
                block = graph.add("Add", block, _times(tables, coefficient(), before))
        blocks.append(block)
    return joined(graph, blocks)


def _sums(tables: Tables, path: Value, past: Value | None) -> Value:
    graph = tables.graph
    sums = graph.add("CumSum", path, graph.whole(1))
    return sums if past is None else graph.add("Add", sums, graph.slice(past, 0, 1, axis=1))


def _block(
    tables: Tables, blocks: list[Value], past: Value | None, back: int, s: int, size: int
) -> Value | None:
    """Return the first `size` values of block `back`; blocks below 0 are in the past."""
    graph = tables.graph
    if back >= 0:
        return blocks[back] if size == s else graph.slice(blocks[back], 0, size, axis=1)
    if past is None:
        return None
    oldest = -back * s  # of the block, counted from 1 = newest
    piece = graph.slice(past, oldest - size, oldest, axis=1)
    return piece if size == 1 else flipped(graph, piece)


def _times(tables: Tables, coefficient: Value | None, term: Value) -> Value:
    return term if coefficient is None else tables.graph.add("Mul", coefficient, term)
