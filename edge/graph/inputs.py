"""What graph A is given, and the deterministic part at the times that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from edge.graph.builder import DOUBLE, INT64, Graph, Value
from edge.graph.plain import Plain, Signature
from edge.graph.recursion import flipped
from edge.graph.tables import Tables
from edge.graph.terms import Window, deterministic


@dataclass(frozen=True, slots=True)
class Inputs:
    """The tensors that go in."""

    lags: Value
    index: Value | None
    t: Value | None
    x: Value | None
    signature: Signature


@dataclass(frozen=True, slots=True)
class Drive:
    """The deterministic part; None where there is none."""

    past: Value | None
    """(B, n_lags) newest first, taken from the past values."""
    ahead: Value | None
    """(B, H) added at each step of the recursion."""
    free: Value | None
    """(B, H) added to the path."""


def declare(graph: Graph, signature: Signature, n: int, horizon: int) -> Inputs:
    """Make the inputs of a file of `n` series."""
    names = len(signature.names)
    return Inputs(
        index=graph.input("index", INT64, ["B"]) if n > 1 else None,
        lags=graph.input("lags", DOUBLE, ["B", signature.n_lags]),
        t=graph.input("t", INT64, ["B"]) if signature.needs_t else None,
        x=graph.input("x", DOUBLE, ["B", signature.n_past + horizon, names]) if names else None,
        signature=signature,
    )


def drives(tables: Tables, plain: Plain, inputs: Inputs, horizon: int) -> Drive:
    """Compute m_t where it is needed; series of the other form get zeros."""
    free, driven = plain.free, plain.driven
    if not (free.any() or driven.any()):
        return Drive(None, None, None)
    graph, n_lags = tables.graph, inputs.signature.n_lags
    back = n_lags if free.any() else 0
    window = Window(1 - back, horizon + 1, inputs.t, inputs.x, inputs.signature.n_past - 1)
    m = deterministic(tables, plain.terms, window)
    if m is None:
        return Drive(None, None, None)
    if not free.any():
        return Drive(None, m, None)
    past, ahead = graph.split(m, [back, horizon], axis=1)
    past = past if back == 1 else flipped(graph, past)
    if not driven.any():
        return Drive(past, None, ahead)
    zero = graph.number(0.0)
    return Drive(
        tables.blend(plain.fleet.regression, past, zero),
        tables.blend(plain.fleet.regression, zero, ahead),
        tables.blend(plain.fleet.regression, ahead, zero),
    )
