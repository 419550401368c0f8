r"""The covariance of the state over one tick, without a transition matrix.

The state (levels, innovations), newest first, moves by a shift and one new row, so

.. math:: P' = \begin{pmatrix} f & g' \\ g & S P S' \end{pmatrix}, \quad g = S P c + \sigma^2 e_L,
    \quad f = c' P c + \sigma^2

with S the shift, c the coefficients and e_L the place of the newest innovation. An observation subtracts
g g' / f, which leaves the newest level without variance (Durbin and Koopman 2012, 4.3, with no noise in what
is observed).

What is known exactly stays so: from P = 0 the gain is 1 at the newest innovation and 0 elsewhere, without
rounding. P stays symmetric to the last bit, because h h' with h = g / sqrt(f) is, and its diagonal is never
negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, Graph, Value
from edge.graph.responses import along
from edge.graph.tables import Tables
from forecast.kernels.companion_filter import KNOWN
from forecast.types import F64

_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the covariance before a tick says of it; 2-d values with a row a series."""

    f: Value
    """(B, 1) variance of the one-step forecast."""
    g: Value | None
    """(B, M - 1) covariance of the new level with the rest of the new state; None where M = 1."""
    gain: Value | None
    """(B, M - 1) by which the rest of the state moves for each unit of the innovation."""
    certain: Value | None
    """(B, 1) bool f = 0: the tick teaches nothing. None where sigma2 > 0 in every series."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What of a fleet the covariance needs, for the state without its newest level: M - 1 places."""

    tables: Tables
    size: int
    """M."""
    c: Value
    """(R, M) coefficients."""
    sigma2: F64
    """(n,) 0 where the record has none: such a series has no variances, and its state is known."""
    kept: Value | None
    """(R, M - 1) bool: the shift brings something, not so at the newest innovation, nor beyond the sizes of a
    series. None where it always does."""
    newest: Value | None
    """(R, M - 1) bool: the place of the newest innovation; None where no series has a moving average."""

    @staticmethod
    def of(tables: Tables, fleet: Fleet, c: Value) -> Structure:
        """Read a fleet."""
        L, q = fleet.levels.shape[1], fleet.innovations.shape[1]
        innovation = np.arange(q) < fleet.ma_width[:, None]
        newest = np.zeros((fleet.n, L - 1 + q), dtype=np.bool_)
        newest[:, L - 1 : L] = innovation[:, :1]
        innovation[:, :1] = False
        kept = np.concatenate([np.arange(1, L) < fleet.width[:, None], innovation], axis=1)
        sigma2 = np.nan_to_num(fleet.sigma2)
        if kept.all():
            return Structure(tables, L + q, c, sigma2, None, None)
        moving = tables.stored(kept)
        if not newest.any():
            return Structure(tables, L + q, c, sigma2, moving, None)
        same = bool((newest == ~kept).all())  # all series of one size
        place = tables.graph.add("Not", moving) if same else tables.stored(newest)
        return Structure(tables, L + q, c, sigma2, moving, place)

    @property
    def variance(self) -> Value:
        """(R, 1) sigma2."""
        return self.tables.rows(self.sigma2)

    def shifted(self, rows: Value) -> Value:
        """(B, M - 1) the state (B, M) one place on, zero where nothing comes from."""
        graph = self.tables.graph
        moved = graph.slice(rows, 0, self.size - 1, axis=1)
        return moved if self.kept is None else graph.add("Where", self.kept, moved, graph.number(0.0))


def predict(structure: Structure, cov: Value) -> Prediction:
    """Move the first row of the covariance `cov` (B, M, M) one step ahead."""
    tables, c = structure.tables, structure.c
    graph = tables.graph
    product = graph.add("MatMul", cov, graph.add("Unsqueeze", c, graph.ints([2])))
    row = graph.add("Squeeze", product, graph.ints([2]))
    f = graph.add("Add", along(tables, row, c), structure.variance)
    certain = None
    if (structure.sigma2 == 0).any():
        certain = graph.add("Not", graph.add("Greater", f, graph.number(0.0)))
    if structure.size == 1:
        return Prediction(f, None, None, certain)
    g = graph.slice(row, 0, structure.size - 1, axis=1)
    if structure.kept is not None:
        g = graph.add("Where", structure.kept, g, _shock(structure))
    if certain is None:
        return Prediction(f, g, graph.add("Div", g, f), None)
    gain = graph.add("Div", g, graph.add("Where", certain, graph.number(_NEVER), f))
    if structure.newest is not None:
        gain = _gain_of_certain(graph, cov, certain, gain, structure.newest)
    return Prediction(f, g, gain, certain)


def _shock(structure: Structure) -> Value:
    """(R, M - 1) covariance of the new level with the newest innovation, at its place."""
    zero = structure.tables.graph.number(0.0)
    if structure.newest is None:
        return zero
    return structure.tables.graph.add("Where", structure.newest, structure.variance, zero)


def _gain_of_certain(graph: Graph, cov: Value, certain: Value, gain: Value, newest: Value) -> Value:
    """Let what differs from a certain forecast be the innovation, where all of the state was known."""
    most = graph.add("ReduceMax", cov, graph.ints([1, 2]), keepdims=0)
    open_ = graph.add("Greater", graph.add("Unsqueeze", most, graph.ints([1])), graph.number(0.0))
    known = graph.add("And", certain, graph.add("Not", open_))
    return graph.add("Where", known, graph.cast(newest, DOUBLE), gain)


def update(structure: Structure, cov: Value, ahead: Prediction, seen: Value) -> Value:
    """Return the covariance (B, M, M) after the tick; `seen` is (B, 1) bool."""
    graph = structure.tables.graph
    zero, two = graph.number(0.0), graph.ints([2])
    f = graph.add("Where", seen, zero, ahead.f)
    if ahead.g is None:
        return graph.add("Unsqueeze", f, two)
    border = graph.add("Where", seen, zero, ahead.g)
    top = graph.add("Unsqueeze", graph.add("Concat", f, border, axis=1), graph.ints([1]))
    rest = _rest(structure, cov, ahead, ahead.g, seen)
    below = graph.add("Concat", graph.add("Unsqueeze", border, two), rest, axis=2)
    return graph.add("Concat", top, below, axis=1)


def _rest(structure: Structure, cov: Value, ahead: Prediction, g: Value, seen: Value) -> Value:
    """(B, M - 1, M - 1) covariance of all but the newest level."""
    graph = structure.tables.graph
    learns = seen if ahead.certain is None else graph.add("And", seen, graph.add("Not", ahead.certain))
    h = graph.add("Div", g, graph.add("Where", learns, graph.add("Sqrt", ahead.f), graph.number(_NEVER)))
    column, row = (graph.add("Unsqueeze", h, graph.ints([axis])) for axis in (2, 1))
    left = graph.add("Sub", _moved(structure, cov), graph.add("Mul", column, row))
    rest = graph.add("Max", left, _floor(structure))
    # Once nothing above rounding is left unknown, the state is known: as in `companion_filter`. The largest
    # element of a covariance is on its diagonal.
    most = graph.add("ReduceMax", rest, graph.ints([1, 2]), keepdims=1)
    least = structure.tables.rows((KNOWN * structure.sigma2)[:, None, None])
    return graph.add("Where", graph.add("Greater", most, least), rest, graph.number(0.0))


def _moved(structure: Structure, cov: Value) -> Value:
    """S P S', and the variance of the newest innovation."""
    graph, end = structure.tables.graph, structure.size - 1
    moved = graph.add("Slice", cov, graph.ints([0, 0]), graph.ints([end, end]), graph.ints([1, 2]))
    if structure.kept is None:
        return moved
    new = graph.number(0.0)
    if structure.newest is not None:
        variance = graph.add("Unsqueeze", structure.variance, graph.ints([2]))
        new = graph.add("Where", _both(graph, structure.newest), variance, new)
    return graph.add("Where", _both(graph, structure.kept), moved, new)


def _both(graph: Graph, places: Value) -> Value:
    """(R, M - 1, M - 1) whether row and column are among `places`."""
    column, row = (graph.add("Unsqueeze", places, graph.ints([axis])) for axis in (2, 1))
    return graph.add("And", column, row)


def _floor(structure: Structure) -> Value:
    """(M - 1, M - 1) lower bounds: 0 on the diagonal, none elsewhere."""
    graph = structure.tables.graph
    places = graph.add("Range", graph.whole(0), graph.whole(structure.size - 1), graph.whole(1))
    diagonal = graph.add("Equal", places, graph.add("Unsqueeze", places, graph.ints([1])))
    return graph.add("Where", diagonal, graph.number(0.0), graph.number(-_NEVER))
