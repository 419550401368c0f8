"""Units inside a graph: y to w and back, and the ends of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, Value
from edge.graph.tables import Tables

_NORMAL = NormalDist()


def to_w(tables: Tables, fleet: Fleet, y: Value) -> Value:
    """Return w = y / scale, or log(y / scale) under LOG; `y` is (B, k).

    A series without LOG may share a file with others: its logarithms are computed and not used.
    """
    w = y
    if (fleet.scale != 1.0).any():
        w = tables.graph.add("Div", y, tables.rows(fleet.scale))
    return tables.blend(fleet.log, tables.graph.add("Log", w), w) if fleet.log.any() else w


def to_y(tables: Tables, fleet: Fleet, w: Value, axes: int = 1) -> Value:
    """Return y = w scale, or exp(w + log(scale)) under LOG, which is finite wherever y is.

    Parameters
    ----------
    w
        (B, ...) with `axes` dimensions after the first.
    """
    graph, shape = tables.graph, (-1,) + (1,) * axes
    scaled, log = bool((fleet.scale != 1.0).any()), fleet.log
    if not log.any():
        return graph.add("Mul", w, tables.rows(fleet.scale.reshape(shape))) if scaled else w
    y = graph.add("Add", w, tables.rows(np.log(fleet.scale).reshape(shape))) if scaled else w
    y = graph.add("Exp", y)
    if log.all():
        return y
    plain = graph.add("Mul", w, tables.rows(fleet.scale.reshape(shape))) if scaled else w
    return graph.add("Where", tables.stored(log.reshape(shape)), y, plain)


def bands(
    tables: Tables, fleet: Fleet, mean: Value, variance: Value, levels: Sequence[float]
) -> tuple[Value, Value]:
    """Return lo and hi (B, levels, H) in units of y.

    Parameters
    ----------
    mean, variance
        (B, H) in units of w and of its square, calibrated.
    levels
        Coverage in percent; the quantiles are Gaussian, as in `forecast.models.forecasting`.
    """
    graph = tables.graph
    reach = np.array([_NORMAL.inv_cdf(0.5 + float(level) / 200.0) for level in levels])
    middle = graph.add("Unsqueeze", mean, graph.ints([1]))
    sd = graph.add("Unsqueeze", graph.add("Sqrt", variance), graph.ints([1]))
    half = graph.add("Mul", sd, graph.constant(reach[:, None]))
    lo, hi = graph.add("Sub", middle, half), graph.add("Add", middle, half)
    return to_y(tables, fleet, lo, axes=2), to_y(tables, fleet, hi, axes=2)


def publish(
    tables: Tables, fleet: Fleet, center: Value, variance: Value, levels: Sequence[float], horizon: int
) -> None:
    """Make the outputs that both graphs have: `mean`, `variance`, and with levels `lo` and `hi`.

    `center` and `variance` are (B, H), units of w and of its square.
    """
    graph = tables.graph
    graph.output("mean", to_y(tables, fleet, center), DOUBLE, ["B", horizon])
    graph.output("variance", variance, DOUBLE, ["B", horizon])
    if levels:
        lo, hi = bands(tables, fleet, center, variance, levels)
        graph.output("lo", lo, DOUBLE, ["B", len(levels), horizon])
        graph.output("hi", hi, DOUBLE, ["B", len(levels), horizon])
