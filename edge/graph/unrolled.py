"""A forecast of many series in one file: parameters gathered by `index`, the recursion unrolled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import DTypeLike

from edge.fleet import Fleet
from edge.graph.builder import Value
from edge.graph.cascade import Stage, apply, differences, seasonal_factor, undo
from edge.graph.decode import lag_coefficients, plain_coefficients, seasonal_coefficients
from edge.graph.inputs import Inputs, drives
from edge.graph.plain import Plain
from edge.graph.recursion import growth, path, psi_weights
from edge.graph.tables import FINE, Tables, fine_parts
from edge.psi import psi_weights as impulse
from edge.quantize.quantized import Quantized
from forecast.types import F64

# Numbers within these bounds keep 24 bits in float32.
_SMALLEST, _LARGEST = 1e-37, 1e38

# Part of a forecast that the rounding of its center may be: a tenth of what forecasts are held to.
ROUNDING: Final = 1e-7
# The same in innovation standard deviations: half its square, 5e-7, joins the forecast RMSE.
OFF: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Form:
    """How coefficients are stored."""

    profile: str
    codes: Quantized | None
    """None: as they are."""

    @property
    def folded(self) -> bool:
        """Whether all series are decoded when the file is loaded."""
        return self.profile == "balanced"

    def store(self, numbers: F64) -> DTypeLike:
        """Return the type for one number a series: beside codes float32 (7 digits) where it fits."""
        size = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
        fits = bool(((size > _SMALLEST) & (size < _LARGEST)).all())
        return np.float32 if fits and self.profile != "latency" else np.float64


@dataclass(frozen=True, slots=True)
class Factors:
    """Coefficients of the batch (or (1, p), where all series share them)."""

    phi: Value
    seasonal_phi: Value | None
    p: int
    """Columns of `phi`, at least 1."""


def unrolled_forecast(
    tables: Tables, plain: Plain, form: Form, inputs: Inputs, w: Value, horizon: int
) -> tuple[Value, Value]:
    """Return mean (B, H) of w and its variance (B, H), calibrated.

    Parameters
    ----------
    w
        (B, n_lags) past values, newest first.
    """
    whole = Tables(tables.graph) if form.folded else tables
    factors = _factors(whole, plain, form)
    ratio = _growth(tables, whole, plain, form, factors, horizon)
    if form.folded:
        seasonal = factors.seasonal_phi
        seasonal = None if seasonal is None else _gathered(tables, seasonal)
        factors = Factors(_gathered(tables, factors.phi), seasonal, factors.p)
    mean = _mean(tables, plain, form, factors, inputs, w, horizon)
    return mean, _variance(tables, plain, form, ratio, mean)


def _factors(tables: Tables, plain: Plain, form: Form) -> Factors:
    """Make `phi` and `seasonal_phi`; a file without any AR part has one lag with coefficient 0."""
    fleet = plain.fleet
    phi = fleet.phi if fleet.phi.shape[1] else np.zeros((fleet.n, 1))
    seasonal = fleet.seasonal_phi if fleet.seasonal_phi.shape[1] else None
    p = phi.shape[1]
    codes = form.codes
    if codes is None or not fleet.phi.any():
        coefficients = plain_coefficients(tables, phi, "phi")
    else:
        classes = (codes.n16, codes.n8, codes.n4)
        coefficients = lag_coefficients(tables, codes.codes, codes.scale, classes, "phi")
    if seasonal is None:
        return Factors(coefficients, None, p)
    if codes is None or not seasonal.any():
        return Factors(coefficients, plain_coefficients(tables, seasonal, "seasonal_phi"), p)
    seasonal_phi = seasonal_coefficients(tables, codes.seasonal_codes, codes.seasonal_scale, "seasonal_phi")
    return Factors(coefficients, seasonal_phi, p)


def _gathered(tables: Tables, table: Value) -> Value:
    """Return the rows of the batch, of a table of all series."""
    return table if tables.index is None else tables.graph.add("Gather", table, tables.index, axis=0)


def _mean(
    tables: Tables, plain: Plain, form: Form, factors: Factors, inputs: Inputs, w: Value, horizon: int
) -> Value:
    graph, drive = tables.graph, drives(tables, plain, inputs, horizon)
    if drive.past is not None:
        w = graph.add("Sub", w, drive.past)
    integrals = differences(tables, plain.fleet)
    factor = seasonal_factor(tables, plain.fleet, factors.seasonal_phi)
    need = factors.p + sum(stage.reach for stage in (*integrals, *factor))
    recent, width = _padded(tables, w, inputs.signature.n_lags, need)
    center = _center(tables, plain, form, horizon) if plain.center.any() else None
    pasts: list[tuple[Stage, Value]] = []
    for stage in integrals:
        pasts.append((stage, recent))
        recent, width = apply(tables, stage, recent, width)
    if center is not None:
        recent = graph.add("Sub", recent, center)
    inner: list[tuple[Stage, Value]] = []
    for stage in factor:
        inner.append((stage, recent))
        recent, width = apply(tables, stage, recent, width)
    if width > factors.p:
        recent = graph.slice(recent, 0, factors.p, axis=1)
    mean = path(graph, factors.phi, recent, factors.p, horizon, drive.ahead)
    for stage, past in reversed(inner):
        mean = undo(tables, stage, mean, past, horizon)
    if center is not None:
        mean = graph.add("Add", mean, center)
    for stage, past in reversed(pasts):
        mean = undo(tables, stage, mean, past, horizon)
    return mean if drive.free is None else graph.add("Add", mean, drive.free)


def _center(tables: Tables, plain: Plain, form: Form, horizon: int) -> Value:
    """Return the center of the batch: beside codes in 4, 5 or 8 bytes, as its part in forecasts asks for."""
    center = plain.center
    # Beside other terms it may cancel with them, and then its own rounding would be seen.
    if not plain.terms.trivial or form.store(center) != np.float32:
        return tables.rows(center)
    weight, sd = center_weight(plain.fleet, horizon), np.nan_to_num(np.sqrt(calibrated(plain.fleet)))
    # Under a logarithm what is lost of w is a part of y, however large w is.
    size = np.where(plain.fleet.log, 1.0, np.maximum(np.abs(center), sd))
    most = np.minimum(ROUNDING * size, np.where(sd > 0.0, OFF * sd, np.inf))
    if not (np.abs(center.astype(np.float32) - center) * weight > most).any():
        return tables.rows(center, np.float32)
    high, low = fine_parts(center)
    if not (np.abs(high * (1.0 + low * FINE) - center) * weight > most).any():
        return tables.fine(center)
    return tables.rows(center)


def center_weight(fleet: Fleet, horizon: int) -> F64:
    """(n,) largest change of a forecast of u, by step, when the center moves by 1 and the past does not."""
    p = fleet.phi.shape[1]
    path = np.concatenate([np.ones((fleet.n, p)), np.zeros((fleet.n, horizon))], axis=1)
    for k in range(p, p + horizon):
        path[:, k] = (fleet.phi * path[:, k - p : k][:, ::-1]).sum(axis=1)
    return np.asarray(np.abs(1.0 - path[:, p:]).max(axis=1))


def _padded(tables: Tables, w: Value, n_lags: int, need: int) -> tuple[Value, int]:
    """Give the window zeros at its old end, where no series reads: none is as wide as all stages together."""
    if need <= n_lags:
        return w, n_lags
    graph = tables.graph
    size = graph.add("Concat", graph.add("Shape", tables.index or w), graph.ints([need - n_lags]), axis=0)
    zeros = graph.add("Expand", graph.number(0.0), size)
    return graph.add("Concat", w, zeros, axis=1), need


def _growth(tables: Tables, whole: Tables, plain: Plain, form: Form, factors: Factors, horizon: int) -> Value:
    """(B, H) or (1, H) variance in units of the innovations'."""
    if form.profile == "latency":
        ratio = growth_of(plain.fleet, horizon)
        return tables.rows(ratio)
    psi = psi_weights(whole.graph, factors.phi, factors.p, horizon)
    reach = horizon - 1
    stages = differences(whole, plain.fleet, reach)
    stages += seasonal_factor(whole, plain.fleet, factors.seasonal_phi, reach)
    for stage in reversed(stages):
        psi = undo(whole, stage, psi, None, horizon)
    ratio_value = growth(whole.graph, psi)
    return _gathered(tables, ratio_value) if form.folded else ratio_value


def _variance(tables: Tables, plain: Plain, form: Form, ratio: Value, mean: Value) -> Value:
    """(B, H), also where all series have the same."""
    graph, sigma2 = tables.graph, calibrated(plain.fleet)
    product = graph.add("Mul", ratio, tables.rows(sigma2, form.store(sigma2)))
    return graph.add("Expand", product, graph.add("Shape", mean))


def calibrated(fleet: Fleet) -> F64:
    """(n,) innovation variance with the calibration of intervals in it."""
    return np.asarray(fleet.sigma2 * fleet.calibration**2)


def growth_of(fleet: Fleet, horizon: int) -> F64:
    """(n, H) sums of squared psi weights of the whole model, differences included."""
    return np.cumsum(impulse(fleet.a, np.zeros((fleet.n, 0)), horizon) ** 2, axis=1)
