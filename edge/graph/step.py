"""Graph B: one tick of the Kalman filter in float64, for any record; value in, state and forecasts out.

The same answer as `forecast.online.tick` and the forecast from the state that it leaves. The slow oracle is
``tests/oracles/edge_step.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, INT64, Graph, Value
from edge.graph.covariance import Prediction, Structure, predict, update
from edge.graph.responses import Responses, along, coefficients, innovation_variance, responses, through
from edge.graph.tables import Tables
from edge.graph.terms import Terms, Window, deterministic
from edge.graph.units import publish, to_w, to_y
from forecast.kernels.stream import LARGEST
from forecast.models.forecasting import check_request

_INF: Final = float("inf")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The tensors that go in; names and shapes are those of docs/contracts.md."""

    y: Value
    """(B, 1)"""
    state: Value
    cov: Value
    t: Value | None
    x: Value | None


@dataclass(frozen=True, slots=True)
class _Drive:
    """A deterministic part, now and over the horizon; None where it is 0."""

    now: Value | None
    """(B, 1) or what broadcasts to it."""
    ahead: Value | None
    """(B, H), or (R, 1) where `constant`."""
    constant: bool = False


@dataclass(frozen=True, slots=True)
class _Moved:
    """A state after the tick."""

    state: Value
    cov: Value
    seen: Value
    """(B, 1) bool"""
    forecast: Value
    """(B, 1) what stood for the tick, units of w."""
    error: Value
    """(B, 1) innovation; anything where nothing was seen."""
    ahead: Prediction


def step_model(fleet: Fleet, horizon: int, levels: Sequence[float] = ()) -> bytes:
    """Return step.onnx.

    Parameters
    ----------
    horizon
        Steps ahead of the tick, >= 1.
    levels
        Coverage of the intervals in percent; without any there are no outputs `lo` and `hi`.

    Notes
    -----
    Inputs and outputs are those of graph B in docs/contracts.md. `y` = NaN is a missing value, as is one
    without a logarithm, minus infinity, or what is beyond 1e154 from its forecast. `y` = plus infinity is no
    tick at all: the state comes out as it went in, and the forecasts are those from where it stands (`t` then
    counts one point less).
    """
    check_request(horizon, levels)
    graph = Graph("step")
    inputs = _declare(graph, fleet, horizon)
    tables = Tables(graph, graph.input("index", INT64, ["B"], idle=True) if fleet.n > 1 else None)
    structure = Structure.of(tables, fleet, tables.rows(coefficients(fleet)))
    drive, free = _drives(tables, fleet, inputs, horizon)
    moved = _tick(structure, fleet, inputs, drive, free)
    _publish_tick(tables, fleet, inputs, moved)
    respond = responses(tables, fleet, structure.c, horizon)
    center = _center(tables, moved, respond, drive, free)
    variance = _variance(tables, fleet, moved.cov, respond, horizon)
    publish(tables, fleet, center, variance, levels, horizon)
    data: bytes = graph.model({"kind": "forecast.step"}).SerializeToString(deterministic=True)
    return data


def _declare(graph: Graph, fleet: Fleet, horizon: int) -> _Inputs:
    size = fleet.levels.shape[1] + fleet.innovations.shape[1]
    y = graph.input("y", DOUBLE, ["B"])
    state = graph.input("state", DOUBLE, ["B", size])
    cov = graph.input("cov", DOUBLE, ["B", size, size])
    t = graph.input("t", INT64, ["B"]) if Terms.of(fleet).needs_t else None
    rows = fleet.max_lag + 1 + horizon
    x = graph.input("x", DOUBLE, ["B", rows, len(fleet.names)]) if fleet.names else None
    return _Inputs(graph.add("Unsqueeze", y, graph.ints([1])), state, cov, t, x)


def _drives(tables: Tables, fleet: Fleet, inputs: _Inputs, horizon: int) -> tuple[_Drive, _Drive]:
    """Return m_t as the CONDITIONAL form wants it, and as REGRESSION does."""
    terms = Terms.of(fleet)
    m = deterministic(tables, terms, Window(1, horizon + 2, inputs.t, inputs.x, fleet.max_lag - 1))
    none = _Drive(None, None)
    if m is None:
        return none, none
    plain = not (terms.needs_t or fleet.names)
    now, ahead = (m, m) if plain else tables.graph.split(m, [1, horizon], axis=1)
    whole = _Drive(now, ahead, plain)
    if fleet.regression.all():
        return none, whole
    if not fleet.regression.any():
        return whole, none
    zero = tables.graph.number(0.0)
    drive = (tables.blend(fleet.regression, zero, part) for part in (now, ahead))
    free = (tables.blend(fleet.regression, part, zero) for part in (now, ahead))
    return _Drive(next(drive), next(drive), plain), _Drive(next(free), next(free), plain)


def _tick(structure: Structure, fleet: Fleet, inputs: _Inputs, drive: _Drive, free: _Drive) -> _Moved:
    tables = structure.tables
    graph = tables.graph
    level = _plus(graph, along(tables, inputs.state, structure.c), drive.now)
    value = to_w(tables, fleet, inputs.y)
    if free.now is not None:
        value = graph.add("Sub", value, free.now)
    error = graph.add("Sub", value, level)
    # No comparison with NaN holds, so this is False for all that is missing.
    seen = graph.add("Less", graph.add("Mul", error, error), graph.number(LARGEST**2))
    ahead = predict(structure, inputs.cov)
    state = graph.add("Where", seen, value, level)
    if ahead.gain is not None:
        moves = graph.add("Mul", ahead.gain, graph.add("Where", seen, error, graph.number(0.0)))
        rest = graph.add("Add", structure.shifted(inputs.state), moves)
        state = graph.add("Concat", state, rest, axis=1)
    cov = update(structure, inputs.cov, ahead, seen)
    stays = graph.add("Equal", inputs.y, graph.number(_INF))
    state = graph.add("Where", stays, inputs.state, state)
    cov = graph.add("Where", graph.add("Unsqueeze", stays, graph.ints([2])), inputs.cov, cov)
    return _Moved(state, cov, seen, _plus(graph, level, free.now), error, ahead)


def _publish_tick(tables: Tables, fleet: Fleet, inputs: _Inputs, moved: _Moved) -> None:
    graph, size = tables.graph, fleet.levels.shape[1] + fleet.innovations.shape[1]
    graph.output("state_out", moved.state, DOUBLE, ["B", size])
    graph.output("cov_out", moved.cov, DOUBLE, ["B", size, size])
    imputed = graph.add("Where", moved.seen, inputs.y, to_y(tables, fleet, moved.forecast))
    graph.output("imputed", graph.add("Squeeze", imputed, graph.ints([1])), DOUBLE, ["B"])
    sd = graph.add("Sqrt", moved.ahead.f)
    if moved.ahead.certain is not None:  # the innovation itself, as in the library
        sd = graph.add("Where", moved.ahead.certain, graph.number(1.0), sd)
    z = graph.add("Where", moved.seen, graph.add("Div", moved.error, sd), graph.number(float("nan")))
    graph.output("z", graph.add("Squeeze", z, graph.ints([1])), DOUBLE, ["B"])


def _center(tables: Tables, moved: _Moved, respond: Responses, drive: _Drive, free: _Drive) -> Value:
    """(B, H) mean of w."""
    graph = tables.graph
    center = through(tables, moved.state, respond.of_state)
    if drive.ahead is None:
        return _plus(graph, center, free.ahead)
    if drive.constant:  # through the matrix it is a multiple of its column sums
        sums = graph.add("ReduceSum", respond.of_drive, graph.ints([1]), keepdims=0)
        added = graph.add("Mul", sums, drive.ahead)
    else:
        added = through(tables, drive.ahead, respond.of_drive)
    return _plus(graph, graph.add("Add", center, added), free.ahead)


def _variance(tables: Tables, fleet: Fleet, cov: Value, respond: Responses, horizon: int) -> Value:
    """(B, H) innovations and what is unknown of the state, calibrated."""
    graph = tables.graph
    product = graph.shield(graph.add("MatMul", cov, respond.of_state))
    weighted = graph.add("Mul", product, respond.of_state)
    of_state = graph.add("ReduceSum", weighted, graph.ints([1]), keepdims=0)
    if (fleet.calibration != 1.0).any():
        of_state = graph.add("Mul", of_state, tables.rows(fleet.calibration**2))
    return graph.add("Add", of_state, tables.rows(innovation_variance(fleet, horizon)))


def _plus(graph: Graph, left: Value, right: Value | None) -> Value:
    return left if right is None else graph.add("Add", left, right)
