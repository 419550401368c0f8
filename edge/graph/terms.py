"""The deterministic part m_t inside a graph: constant, slope, season, regressors, Fourier terms.

As `forecast.models.deterministic`, but for any window of times about the last grid point seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from edge.errors import GraphError
from edge.fleet import Fleet, is_wave, lag_of
from edge.graph.builder import DOUBLE, Value
from edge.graph.tables import Tables
from forecast.types import F64


@dataclass(frozen=True, slots=True)
class Window:
    """Times t + first .. t + last - 1 of every series in the batch, where t is the last grid point seen."""

    first: int
    last: int
    t: Value | None = None
    """(B,) int64; None where nothing depends on it (`needs_t`)."""
    x: Value | None = None
    """(B, rows, names) supplied regressors, in the order of `Fleet.names`; None without any."""
    origin: int = -1
    """The row of `x` that stands at time t."""

    @property
    def width(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class Terms:
    """What of m_t a graph has to compute; a part that is 0 for every series makes no node."""

    fleet: Fleet
    const: F64
    """(n,) constants and slopes as the graph wants them: it may have moved some of them elsewhere."""
    slope: F64

    @staticmethod
    def of(fleet: Fleet) -> Terms:
        """All of m_t."""
        return Terms(fleet, fleet.const, fleet.slope)

    @property
    def needs_t(self) -> bool:
        """Whether anything depends on t itself."""
        return bool(self.slope.any() or self.fleet.seasonal.any() or _waves(self.fleet))

    @property
    def trivial(self) -> bool:
        """Whether m_t is 0 for every series."""
        return not (
            self.const.any() or self.slope.any() or self.fleet.seasonal.any() or self.fleet.beta.any()
        )


def deterministic(tables: Tables, terms: Terms, window: Window) -> Value | None:
    """Return m_t over `window`, (B, width) or what broadcasts to it, units of w; None where it is 0.

    A regressor whose coefficient is 0 does not count, even where it is NaN.
    """
    parts: list[Value] = []
    if terms.const.any():
        parts.append(tables.rows(terms.const))
    if terms.needs_t:
        parts += _of_time(tables, terms, _times(tables, window))
    parts += _supplied(tables, terms.fleet, window)
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total = tables.graph.add("Add", total, part)
    return total


def _times(tables: Tables, window: Window) -> Value:
    """(B, width) int64 t of every point."""
    if window.t is None:
        raise GraphError("these series depend on t, which the graph does not have")
    ahead = tables.graph.constant(np.arange(window.first, window.last, dtype=np.int64)[None, :])
    return tables.graph.add("Add", tables.graph.add("Unsqueeze", window.t, tables.graph.ints([1])), ahead)


def _of_time(tables: Tables, terms: Terms, times: Value) -> list[Value]:
    graph, fleet = tables.graph, terms.fleet
    parts = []
    if terms.slope.any():
        parts.append(graph.add("Mul", tables.rows(terms.slope), graph.cast(times, DOUBLE)))
    if fleet.seasonal.any():
        parts.append(_season(tables, fleet, times))
    parts += [
        graph.add("Mul", tables.rows(fleet.beta[:, j]), _wave(tables, name, times))
        for j, name in _waves(fleet)
    ]
    return parts


def _season(tables: Tables, fleet: Fleet, times: Value) -> Value:
    """(B, width) seasonal effect at (t - 1) mod s, t >= 1 or not."""
    graph = tables.graph
    length = tables.stored(fleet.s[:, None])
    phase = graph.add("Mod", graph.add("Sub", times, graph.whole(1)), length)  # the sign of s: never negative
    effects = tables.rows(fleet.seasonal)
    if tables.index is None or (fleet.seasonal == fleet.seasonal[:1]).all():
        return graph.add("Gather", graph.add("Reshape", effects, graph.ints([-1])), phase, axis=0)
    return graph.add("GatherElements", effects, phase, axis=1)


def _waves(fleet: Fleet) -> list[tuple[int, str]]:
    """Fourier terms that count: (column of beta, name)."""
    return [
        (j, term.name) for j, term in enumerate(fleet.terms) if is_wave(term.name) and fleet.beta[:, j].any()
    ]


def _wave(tables: Tables, name: str, times: Value) -> Value:
    """(B, width) sine or cosine.

    Whole turns go first, without rounding: the angle of a late t would lose digits. A cosine is the
    sine a quarter of a turn later: onnxruntime has no Cos of float64.
    """
    graph = tables.graph
    text, wave, k = name.removeprefix("fourier(").removesuffix(")").split(",")
    period = float(text)
    steps = graph.add("Mul", graph.cast(times, DOUBLE), graph.number(float(k)))
    turns = graph.add("Div", graph.add("Mod", steps, graph.number(period), fmod=1), graph.number(period))
    if wave == "cos":
        turns = graph.add("Add", turns, graph.number(0.25))
    return graph.add("Sin", graph.add("Mul", turns, graph.number(2.0 * pi)))


def _supplied(tables: Tables, fleet: Fleet, window: Window) -> list[Value]:
    """sum_j beta_j x_j of the supplied regressors, one value (B, width) for each lag that occurs."""
    if not fleet.names:
        return []
    if window.x is None:
        raise GraphError(
            f"these series need the regressors {list(fleet.names)}, which the graph does not have"
        )
    return [
        _at_lag(tables, fleet, window, lag)
        for lag in sorted({lag_of(fleet.terms[j]) for j in _columns(fleet)})
    ]


def _columns(fleet: Fleet) -> list[int]:
    return [j for j, term in enumerate(fleet.terms) if term.name in fleet.names and fleet.beta[:, j].any()]


def _at_lag(tables: Tables, fleet: Fleet, window: Window, lag: int) -> Value:
    graph = tables.graph
    beta = np.zeros((fleet.n, len(fleet.names)))
    for j in _columns(fleet):
        if lag_of(fleet.terms[j]) == lag:
            beta[:, fleet.names.index(fleet.terms[j].name)] += fleet.beta[:, j]
    first = window.origin + window.first - lag
    if first < 0 or window.x is None:
        raise GraphError(f"x begins {-first} rows too late for lag {lag}")
    x = graph.slice(window.x, first, first + window.width, axis=1)
    used = np.flatnonzero(beta.any(axis=0))
    if len(used) < len(fleet.names):
        x, beta = graph.add("Gather", x, graph.ints(used.tolist()), axis=2), beta[:, used]
    if (beta == 0).any():  # 0 times NaN would be NaN
        none = graph.add("Equal", tables.rows(beta[:, None, :]), graph.number(0.0))
        x = graph.add("Where", none, graph.number(0.0), x)
    return graph.add(
        "ReduceSum", graph.add("Mul", x, tables.rows(beta[:, None, :])), graph.ints([2]), keepdims=0
    )
