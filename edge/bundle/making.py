"""From records to the files of a bundle, every one of them checked as it was written."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle.closed_vectors import Closed, answers, asked, closed_vectors, own_history
from edge.bundle.gate import Verdict, judge
from edge.bundle.graphs import ClosedForm, Graphs, Progress, build, build_closed
from edge.bundle.holding import (
    CLOSED_RTOL,
    DEVICE_CLOSED_RTOL,
    DEVICE_STEP_RTOL,
    STEP_RTOL,
    hold,
    hold_ticks,
    steady,
    wide_bands,
)
from edge.bundle.order import Order
from edge.bundle.sampling import sample
from edge.bundle.schema import write_schema
from edge.bundle.source import Source
from edge.bundle.states import States
from edge.bundle.step_vectors import step_vectors
from edge.bundle.table import Table, table_of
from edge.check import Contents, read
from edge.errors import GateError
from edge.fleet import Fleet
from forecast.types import F64

# Series that the vectors are about: enough for one of every kind, few enough for a small device's self-test.
_CLOSED_SERIES: Final = 24
_STEP_SERIES: Final = 12

# Part of the series that may be left to step.onnx.
_FEW: Final = 0.01

MODEL: Final = "model.onnx"
STEP: Final = "step.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The content of a bundle, but for what surrounds it."""

    files: dict[str, bytes]
    table: Table
    contents: tuple[Contents, ...]
    """Of the models that there are."""
    errors: dict[str, float]
    """Largest relative difference from the library, by model."""
    phi: F64
    """(n, max p) lag coefficients of the whole fleet, as model.onnx decodes them where it has the series."""
    seasonal_phi: F64

    @property
    def ops(self) -> tuple[str, ...]:
        """Operators of all models, sorted."""
        return tuple(sorted({op for found in self.contents for op in found.ops}))


def make(found: Source, order: Order, progress: Progress) -> Made:
    """Build the models and what belongs to them, and read them back.

    Raises
    ------
    GateError
        A series is not stationary as a file decodes it, an operator is off the list, or an answer differs
        from the library by more than the tolerance.
    """
    found, graphs, verdict, of_ends = _held(found, build(found, order, progress), order, progress)
    contents = [read(graphs.step)]
    errors = {STEP: 0.0}
    vectors: dict[str, NDArray[Any]] = {}
    progress("check", 0, 2)
    if graphs.closed is not None and verdict is not None:
        contents.append(verdict.contents)
        vectors, of_vectors = _closed(graphs.closed, verdict)
        errors[MODEL] = max(of_ends, of_vectors)
    progress("check", 1, 2)
    ticks, errors[STEP] = _step(found, graphs, order)
    progress("check", 2, 2)
    table = table_of(found, graphs.closed, verdict)
    tolerances = {STEP: STEP_RTOL, MODEL: CLOSED_RTOL}
    files = {
        STEP: graphs.step,
        "schema.json": write_schema(found.fleet, graphs.layout, order.horizon, order.levels),
        "states.npz": States.of(found.fleet).to_bytes(),
        "parity.npz": _npz(vectors | ticks),
        "parity_report.json": table.report({name: tolerances[name] for name in errors}, errors),
    }
    if graphs.closed is not None:
        files[MODEL] = graphs.closed.data
    phi, seasonal_phi = _decoded(found.fleet, graphs.closed, verdict)
    return Made(files, table, tuple(contents), errors, phi, seasonal_phi)


def _held(
    found: Source, graphs: Graphs, order: Order, progress: Progress
) -> tuple[Source, Graphs, Verdict | None, float]:
    """Judge model.onnx and hold it to the library at the end of every series; return its largest error.

    A few series whose intervals it cannot give as exactly are left to step.onnx, and their rows say so.
    """
    form = graphs.closed
    if form is None:
        return found, graphs, None, 0.0
    verdict = judge(form.data, form.asked.records)
    inputs, references = _ends(form.asked)
    try:
        return found, graphs, verdict, hold(MODEL, form.data, inputs, references, CLOSED_RTOL)
    except GateError:
        wide = form.rows[wide_bands(form.data, inputs, references, CLOSED_RTOL)]
        n = len(form.rows)
        if not len(wide) or len(wide) > max(1.0, _FEW * n) or len(wide) == n:
            raise
    notes = found.notes.copy()
    notes[wide] = f"its intervals span so many decades that model.onnx is off by more than {CLOSED_RTOL:g}"
    closed = build_closed(found, np.setdiff1d(form.rows, wide), order, progress)
    return _held(replace(found, notes=notes), replace(graphs, closed=closed), order, progress)


def _ends(closed: Closed) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return inputs and answers at the end of the data of every series."""
    inputs = own_history(closed)
    x = inputs.get("x", np.zeros((closed.records.n_series, closed.n_past + closed.horizon, 0)))
    t = closed.records.nobs.astype(np.int64)
    return inputs, answers(closed, closed.records, inputs["lags"], t, x)


def _decoded(fleet: Fleet, form: ClosedForm | None, verdict: Verdict | None) -> tuple[F64, F64]:
    phi, seasonal_phi = fleet.phi.copy(), fleet.seasonal_phi.copy()
    if form is not None and verdict is not None:
        for matrix, read_back in ((phi, verdict.phi), (seasonal_phi, verdict.seasonal_phi)):
            width = min(matrix.shape[1], read_back.shape[1])
            matrix[form.rows, :width] = read_back[:, :width]
    return phi, seasonal_phi


def _closed(form: ClosedForm, verdict: Verdict) -> tuple[dict[str, NDArray[Any]], float]:
    """Return the vectors of model.onnx, and its error over them."""
    closed, data = form.asked, form.data
    rows = sample(form.fleet, form.bits, verdict.max_pole, _CLOSED_SERIES)
    vectors = closed_vectors(closed, rows)
    plain = {name.removeprefix("closed."): value for name, value in vectors.items()}
    references: dict[str, NDArray[Any]] = {
        name: plain[name] for name in ("mean", "variance", "lo", "hi") if name in plain
    }
    worst = hold(MODEL, data, plain, references, CLOSED_RTOL)
    kept = steady(data, plain, references, CLOSED_RTOL)
    vectors = {
        name: value
        for name, value in vectors.items()
        if name.removeprefix("closed.") in {*kept, *asked(closed)}
    }
    return vectors | {"closed.rtol": np.array(DEVICE_CLOSED_RTOL)}, worst


def _step(found: Source, graphs: Graphs, order: Order) -> tuple[dict[str, NDArray[Any]], float]:
    """Return the vectors of step.onnx, and its error over them."""
    fleet, n = found.fleet, found.fleet.n
    rows = sample(fleet, np.full(n, 64), np.asarray(found.records.max_pole), _STEP_SERIES)
    vectors = step_vectors(found.records, fleet, rows, order.horizon, order.levels)
    worst = hold_ticks(STEP, graphs.step, vectors, STEP_RTOL)
    return vectors | {"step.rtol": np.array(DEVICE_STEP_RTOL)}, worst


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return out.getvalue()
