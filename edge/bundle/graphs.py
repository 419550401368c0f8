"""Building the models of a bundle, and saying how each is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.closed_vectors import Closed, decoded
from edge.bundle.order import Order
from edge.bundle.schema import Layout
from edge.bundle.source import Source
from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.graph.plain import signature
from edge.graph.step import step_model
from edge.quantize import Quantized, quantize
from forecast.models.assemble import take
from forecast.types import F64, I64

Progress = Callable[[str, int, int], None]
"""Called with a stage, the steps done, and all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class ClosedForm:
    """model.onnx; arrays are in the order of the file."""

    data: bytes
    fleet: Fleet
    asked: Closed
    rows: I64
    """Of the whole fleet."""
    bits: I64
    rise: F64
    layout: Layout


@dataclass(frozen=True, slots=True, eq=False)
class Graphs:
    """The models."""

    step: bytes
    closed: ClosedForm | None
    """None where every series has a moving average."""

    @property
    def layout(self) -> Layout:
        """How model.onnx is asked."""
        return Layout(np.zeros(0, dtype=np.int64)) if self.closed is None else self.closed.layout


def build(found: Source, order: Order, progress: Progress) -> Graphs:
    """Quantise where the profile asks for it, and write both graphs."""
    progress("graph", 0, 2)
    step = step_model(found.fleet, order.horizon, order.levels)
    progress("graph", 1, 2)
    closed = build_closed(found, np.flatnonzero(found.fleet.stateless), order, progress)
    progress("graph", 2, 2)
    return Graphs(step, closed)


def build_closed(
    found: Source, rows: NDArray[np.intp], order: Order, progress: Progress
) -> ClosedForm | None:
    """Write model.onnx of the series at `rows`; None where there are none."""
    return _closed(found, rows.astype(np.int64), order, progress) if len(rows) else None


def _closed(found: Source, rows: I64, order: Order, progress: Progress) -> ClosedForm:
    records = take(found.records, rows)
    fleet = Fleet.of(records)  # as wide as its own series are
    fleet.__dict__["names"] = found.fleet.names  # the files of a bundle share the columns of `x`
    codes = _codes(fleet, order, progress)
    data = forecast_model(fleet, order.horizon, order.levels, order.profile, codes)
    if codes is not None:  # the file has its own order, and models that are decoded
        rows, fleet = rows[codes.order], fleet.take(codes.order)
        records = decoded(take(records, codes.order), fleet, codes.phi, codes.seasonal_phi)
    how = signature(fleet)
    asked = Closed(records, how.names, how.n_lags, how.n_past, how.needs_t, order.horizon, order.levels)
    # A file of one series, and the fastest form, hold float64.
    bits = np.full(len(rows), 64) if codes is None else codes.bits.astype(np.int64)
    rise = np.zeros(len(rows)) if codes is None else codes.rise
    layout = Layout(rows, how.n_lags, how.n_past, how.needs_t)
    return ClosedForm(data, fleet, asked, rows, bits, rise, layout)


def _codes(fleet: Fleet, order: Order, progress: Progress) -> Quantized | None:
    """Return the codes of the fleet's coefficients; None where the file has them as they are."""
    if order.profile == "latency" or fleet.n == 1:
        return None

    def tell(done: int, total: int) -> None:
        progress("quantize", done, total)

    return quantize(fleet, horizon=order.horizon, progress=tell)
