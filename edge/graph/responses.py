r"""What a state, and a drive, do to the levels of the next H steps: the expanded recursion as two matrices.

With :math:`u_{t+k} = d_{t+k} + \sum_j a_j u_{t+k-j} + \sum_j b_j e_{t+k-j}` and the weights psi of 1 / a(L),

.. math:: \hat u_{t+1+k} = \sum_{i \le k} \psi_{k-i} \Big(d_{t+1+i} + \sum_j a_{i+j} u_{t+1-j}
    + \sum_j b_{i+j} e_{t+1-j}\Big)

so that the path is the drive and a Hankel matrix of coefficients times the state, through one Toeplitz matrix
of weights (Box and Jenkins 1976, 5.1). Files hold the coefficients and psi; the matrices are made from them,
once where a file has one series. No power of a transition matrix, and nothing of size M^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.fleet import Fleet
from edge.graph.builder import Graph, Value
from edge.graph.tables import Tables
from edge.psi import psi_weights
from forecast.types import F64


@dataclass(frozen=True, slots=True)
class Responses:
    """Matrices of the batch; R is B, or 1 where all series are the same."""

    of_state: Value
    """(R, M, H) derivative of each step by each part of the state."""
    of_drive: Value
    """(R, H, H) derivative of each step (column) by the drive of each step (row)."""


def coefficients(fleet: Fleet) -> F64:
    """(n, M) of the levels, then of the innovations: the first row of the transition."""
    return np.concatenate([_levels(fleet), _innovations(fleet)], axis=1)


def innovation_variance(fleet: Fleet, horizon: int) -> F64:
    """(n, H) variance of the error of each step where the state is known, calibrated, units of w squared."""
    shock = psi_weights(_levels(fleet), _innovations(fleet), horizon)
    return np.asarray((fleet.sigma2 * fleet.calibration**2)[:, None] * np.cumsum(shock**2, axis=1))


def responses(tables: Tables, fleet: Fleet, c: Value, horizon: int) -> Responses:
    """Add both matrices to the graph; `c` is (R, M) `coefficients`."""
    graph = tables.graph
    steps = _range(graph, horizon)
    column = graph.add("Unsqueeze", steps, graph.ints([1]))
    psi = _padded(graph, tables.rows(psi_weights(_levels(fleet), np.zeros((fleet.n, 0)), horizon)), horizon)
    # A negative position counts from the end, where the padding is.
    of_drive = graph.add("Gather", psi, graph.add("Sub", steps, column), axis=1)
    L, q = fleet.levels.shape[1], fleet.innovations.shape[1]
    parts = graph.split(c, [L, q], axis=1) if q else [c]
    blocks = [_hankel(graph, part, size, steps, horizon) for part, size in zip(parts, (L, q), strict=False)]
    hankel = graph.add("Concat", *blocks, axis=1) if q else blocks[0]
    return Responses(graph.add("MatMul", hankel, of_drive), of_drive)


def through(tables: Tables, rows: Value, matrix: Value) -> Value:
    """(B, H) rows (B, k) times matrices (R, k, H)."""
    graph = tables.graph
    if tables.index is None:  # one matrix for all: made two-dimensional when the file is loaded
        return graph.add("Gemm", rows, graph.add("Squeeze", matrix, graph.ints([0])))
    one = graph.ints([1])
    product = graph.add("MatMul", graph.add("Unsqueeze", graph.shield(rows), one), matrix)
    return graph.shield(graph.add("Squeeze", product, one))


def along(tables: Tables, rows: Value, c: Value) -> Value:
    """(B, 1) sums of rows (B, k) times c (R, k)."""
    graph = tables.graph
    if tables.index is None:
        return through(tables, rows, graph.add("Unsqueeze", c, graph.ints([2])))
    return graph.add("ReduceSum", graph.add("Mul", rows, c), graph.ints([1]), keepdims=1)


def _levels(fleet: Fleet) -> F64:
    """(n, L) with the L of the state: 1 at least, and no more than some series has."""
    return fleet.a[:, : fleet.levels.shape[1]]


def _innovations(fleet: Fleet) -> F64:
    """(n, q) with the q of the state, 0 where no series has a moving average."""
    return fleet.b[:, : fleet.innovations.shape[1]]


def _hankel(graph: Graph, coef: Value, size: int, steps: Value, horizon: int) -> Value:
    """(R, size, H) coefficient i + j of each row: how step j meets the i-th newest value."""
    rows = graph.add("Unsqueeze", _range(graph, size), graph.ints([1]))
    return graph.add("Gather", _padded(graph, coef, horizon), graph.add("Add", rows, steps), axis=1)


def _padded(graph: Graph, rows: Value, width: int) -> Value:
    """(R, k + width) with zeros behind."""
    return graph.add("Pad", rows, graph.ints([0, 0, 0, width]))


def _range(graph: Graph, stop: int) -> Value:
    """(stop,) int64 from 0 on; a node is shorter than the numbers."""
    return graph.add("Range", graph.whole(0), graph.whole(stop), graph.whole(1))
