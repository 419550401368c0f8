r"""A forecast of one series in closed form: two matrices that are made when the file is loaded.

With a(L) = phi(L) Phi(L^s) (1-L)^d (1-L^s)^D = 1 - sum_i a_i L^i and psi = 1 / a,

.. math:: \hat w_{T+k} = \sum_{j=1}^k \psi_{k-j} (\sum_{i \ge j} a_i w_{T+j-i} + drive_j)

which is Psi H w + Psi drive, Psi lower triangular Toeplitz of psi and H a Hankel matrix of a. The file
holds phi, Phi and psi; the rest is folded.
"""

from __future__ import annotations

import numpy as np

from edge.fleet import Fleet
from edge.graph.builder import Graph, Value
from edge.graph.inputs import Inputs, drives
from edge.graph.plain import Plain
from edge.graph.tables import Tables
from edge.graph.unrolled import calibrated
from edge.psi import psi_weights
from forecast.types import F64


def closed_forecast(
    tables: Tables, plain: Plain, inputs: Inputs, w: Value, horizon: int
) -> tuple[Value, Value]:
    """Return mean (B, H) of w and its variance (B, H), calibrated; `w` is (B, n_lags), newest first."""
    graph, fleet = tables.graph, plain.fleet
    drive = drives(tables, plain, inputs, horizon)
    psi = psi_weights(fleet.a, np.zeros((1, 0)), horizon)[0]
    toeplitz = _toeplitz(graph, psi)
    weights = graph.add("Gemm", _hankel(graph, _expanded(graph, fleet), fleet.n_lags, horizon), toeplitz)
    if drive.past is not None:
        w = graph.add("Sub", w, drive.past)
    center = _settled(plain)
    if center:
        w = graph.add("Sub", w, graph.number(center))
    # Not MatMul: onnxruntime takes a number that multiplies a MatMul into it, rounded to float32.
    mean = graph.add("Gemm", w, weights)
    if drive.ahead is not None:
        mean = graph.add("Add", mean, graph.add("Gemm", drive.ahead, toeplitz))
    added = _constant_path(plain, psi)
    if added.any():
        mean = graph.add("Add", mean, graph.constant(added))
    if drive.free is not None:
        mean = graph.add("Add", mean, drive.free)
    variance = graph.constant(calibrated(fleet)[0] * np.cumsum(psi**2)[None, :])
    return mean, graph.add("Expand", variance, graph.add("Shape", mean))


def _settled(plain: Plain) -> float:
    """Mean that is taken from the past; through differences there is none to take."""
    fleet = plain.fleet
    return float(plain.center[0]) if fleet.d[0] + fleet.D[0] == 0 else 0.0


def _constant_path(plain: Plain, psi: F64) -> F64:
    """(1, H) what the center adds: itself, or through differences what its recursion sums up."""
    center = float(plain.center[0])
    if _settled(plain) == center:
        return np.full((1, 1), center)
    return np.asarray(center * plain.fleet.gain[0] * np.cumsum(psi)[None, :])


def _expanded(graph: Graph, fleet: Fleet) -> Value:
    """(1 + L,) coefficients 1, -a_1, .. -a_L, from `phi` and `seasonal_phi`."""
    s = int(fleet.s[0])
    phi = fleet.phi[:, : fleet.p[0]] if fleet.p[0] else np.zeros((1, 1))
    stored = graph.constant(phi, "phi")
    poly = graph.add("Neg", graph.add("Reshape", stored, graph.ints([-1])))
    poly = graph.add("Concat", graph.constant(np.ones(1)), poly, axis=0)
    if fleet.P[0]:
        stored = graph.constant(fleet.seasonal_phi, "seasonal_phi")
        poly = _times_seasonal(graph, poly, stored, s, fleet.seasonal_phi.shape[1])
    for stride, times in ((1, int(fleet.d[0])), (s, int(fleet.D[0]))):
        for _ in range(times):
            poly = graph.add("Sub", _shifted(graph, poly, 0, stride), _shifted(graph, poly, stride, 0))
    return poly


def _times_seasonal(graph: Graph, poly: Value, seasonal_phi: Value, s: int, P: int) -> Value:
    out = _shifted(graph, poly, 0, P * s)
    for j in range(1, P + 1):
        coefficient = graph.slice(seasonal_phi, j - 1, j, axis=1) if P > 1 else seasonal_phi
        coefficient = graph.add("Reshape", coefficient, graph.ints([1]))
        term = graph.add("Mul", coefficient, _shifted(graph, poly, j * s, (P - j) * s))
        out = graph.add("Sub", out, term)
    return out


def _shifted(graph: Graph, poly: Value, front: int, end: int) -> Value:
    return graph.add("Pad", poly, graph.ints([front, end]))


def _range(graph: Graph, size: int) -> Value:
    return graph.add("Range", graph.whole(0), graph.whole(size), graph.whole(1))


def _column(graph: Graph, row: Value) -> Value:
    return graph.add("Unsqueeze", row, graph.ints([1]))


def _hankel(graph: Graph, poly: Value, n_lags: int, horizon: int) -> Value:
    """(L, H) a_{i+k} at the i-th lag and step k, both from 1; 0 beyond the last coefficient."""
    a = _shifted(graph, graph.add("Neg", poly), 0, 1)
    steps = graph.add("Add", _range(graph, horizon), graph.whole(1))
    at = graph.add("Add", _column(graph, _range(graph, n_lags)), steps)
    return graph.add("Gather", a, graph.add("Min", at, graph.whole(n_lags + 1)), axis=0)


def _toeplitz(graph: Graph, psi: F64) -> Value:
    """(H, H) psi_{k-j} in row j, column k; 0 below the diagonal."""
    weights = _shifted(graph, graph.constant(psi), 1, 0)
    steps = _range(graph, len(psi))
    ahead = graph.add("Sub", graph.add("Add", steps, graph.whole(1)), _column(graph, steps))
    return graph.add("Gather", weights, graph.add("Max", ahead, graph.whole(0)), axis=0)
