"""Building the models of a bundle, and saying how each is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.bundle.closed_vectors import Closed, decoded
from edge.bundle.order import Order
from edge.bundle.schema import Layout
from edge.bundle.source import Source
from edge.fleet import Fleet
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
    closed = _closed(found, order, progress) if found.fleet.stateless.any() else None
    progress("graph", 2, 2)
    return Graphs(step, closed)


def _closed(found: Source, order: Order, progress: Progress) -> ClosedForm:
    raise NotImplementedError
