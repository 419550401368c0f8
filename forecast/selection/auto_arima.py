"""AutoARIMA: differences by tests, orders by a stepwise search over an information criterion.

Source: Hyndman and Khandakar (2008), "Automatic time series forecasting", Journal of Statistical
Software 27(3), sec. 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from forecast.errors import InputError
from forecast.models.arima import check_backend, over_series
from forecast.models.arima_estimates import Fitted, stacked
from forecast.models.arima_records import asked, design, records_of
from forecast.models.certificate import certify
from forecast.models.native_backend import fit_series
from forecast.models.panel import Panel
from forecast.models.records import Family, Records
from forecast.models.sarimax import Order, SarimaxFit, differenced
from forecast.models.sarimax_backend import fit_sarimax, quiet
from forecast.models.stationarity import ndiffs, nsdiffs
from forecast.models.triage import triage
from forecast.types import F64, Status

CRITERIA = ("aic", "aicc", "bic", "hqic")

# A root of phi or theta closer to the unit circle than this is a sign of over-differencing or of a
# common factor: such fits forecast badly, whatever their likelihood (Hyndman and Khandakar, 3.2).
MIN_ROOT = 1.01
# Largest p + q + P + Q of an exhaustive search, and most models of a stepwise one, as in the paper's package.
_MAX_TOTAL = 5
_MAX_MODELS = 94


class Candidate(NamedTuple):
    """Orders under trial, differences fixed; `const` is a mean (d + D = 0) or a drift (d + D = 1)."""

    p: int
    q: int
    P: int
    Q: int
    const: bool


class Limits(NamedTuple):
    """Largest orders, and whether a constant may enter."""

    p: int
    q: int
    P: int
    Q: int
    const: bool

    def allows(self, c: Candidate) -> bool:
        """Whether `c` is within the limits."""
        orders = zip(c[:4], self[:4], strict=True)
        return all(0 <= k <= top for k, top in orders) and (self.const or not c.const)


Score = Callable[[Candidate], float]

_SEASONAL_MOVES = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def starts(limits: Limits) -> Iterator[Candidate]:
    """Yield the models that a search begins with."""
    c = limits.const
    for p, q, P, Q in ((2, 2, 1, 1), (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)):
        yield Candidate(min(p, limits.p), min(q, limits.q), min(P, limits.P), min(Q, limits.Q), c)
    yield Candidate(0, 0, 0, 0, False)


def neighbours(c: Candidate) -> Iterator[Candidate]:
    """Yield what is one step away: seasonal orders first, then the others, then the constant."""
    for dP, dQ in _SEASONAL_MOVES:
        yield c._replace(P=c.P + dP, Q=c.Q + dQ)
    for dp, dq in _SEASONAL_MOVES:
        yield c._replace(p=c.p + dp, q=c.q + dq)
    yield c._replace(const=not c.const)


def stepwise(score: Score, limits: Limits) -> Candidate | None:
    """Walk downhill from the best start, moving on as soon as a neighbour is better.

    Returns None where every start scores infinity.
    """
    tried: dict[Candidate, float] = {}

    def value(c: Candidate) -> float:
        if c not in tried:
            tried[c] = score(c)
        return tried[c]

    best = min(dict.fromkeys(starts(limits)), key=value)
    moved = math.isfinite(tried[best])
    while moved and len(tried) < _MAX_MODELS:
        moved = False
        for c in neighbours(best):
            if limits.allows(c) and c not in tried and value(c) < tried[best]:
                best, moved = c, True
                break
    return best if math.isfinite(tried[best]) else None


def exhaustive(score: Score, limits: Limits) -> Candidate | None:
    """Try every order with p + q + P + Q <= 5."""
    ranges = [range(top + 1) for top in limits[:4]]
    consts = (True, False) if limits.const else (False,)
    every = (
        Candidate(orders[0], orders[1], orders[2], orders[3], const)
        for orders in itertools.product(*ranges)
        if sum(orders) <= _MAX_TOTAL
        for const in consts
    )
    scored = [(score(c), c) for c in every]
    value, best = min(scored, key=lambda pair: pair[0])
    return best if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class AutoARIMA:
    """ARIMA with orders chosen for each series.

    Parameters
    ----------
    season_length
        s in steps; None: from the frequency.
    max_p, max_q, max_P, max_Q
        Largest orders; short series consider fewer (a third of the observations).
    max_d, max_D
        Most differences that the tests may ask for.
    stepwise
        Search step by step (some 20 fits); False tries every order up to 5 in all.
    ic
        "aic", "aicc", "bic" or "hqic".
    d, D
        Differences to take; None: by KPSS tests after the seasonal strength has decided D. With
        regressors the tests look at the residuals of a regression on them.
    backend
        "native", or "statsmodels": the slow reference.

    Raises
    ------
    InputError
        For values outside these.
    """

    takes_exog: ClassVar[bool] = True
    season_length: int | None = 1
    max_p: int = 5
    max_q: int = 5
    max_P: int = 2
    max_Q: int = 2
    max_d: int = 2
    max_D: int = 1
    stepwise: bool = True
    ic: str = "aicc"
    d: int | None = None
    D: int | None = None
    backend: str = "native"
    alias: str = "AutoARIMA"

    def __post_init__(self) -> None:
        check_backend(self.backend)
        if self.ic not in CRITERIA:
            raise InputError(f"ic must be one of {', '.join(CRITERIA)}, got {self.ic!r}")
        if self.season_length is not None and self.season_length < 1:
            raise InputError(f"season_length must be 1 or more, got {self.season_length!r}")
        for name in ("max_p", "max_q", "max_P", "max_Q", "max_d", "max_D", "d", "D"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f"{name} must be 0 or more, got {value!r}")

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`. Slow: tens of exact likelihood searches a series."""
        found = triage(panel)
        scaled = replace(panel, values=found.values)

        rows = np.flatnonzero(found.status < Status.GUARDED)
        with quiet() if self.backend == "statsmodels" else nullcontext():
            answers = over_series(lambda i: search(self, scaled, i), rows, jobs)
        return records_of(panel, found, rows, stacked(answers), Family.ARIMA, jobs)


def search(spec: AutoARIMA, panel: Panel, i: int) -> Fitted:
    """Choose and fit the model of series `i`; enter `quiet` around it with the reference."""
    y = panel.series(i)
    fit_by = fit_sarimax if spec.backend == "statsmodels" else fit_series
    d, D = differences(spec, y, design(panel, i, "c").X)
    s = spec.season_length or 1
    limits = _limits(spec, int((~np.isnan(y)).sum()), d, D, s)
    frames = {const: design(panel, i, _trend(const, d, D)) for const in (False, True)}

    def score(c: Candidate) -> float:
        if _too_long(c, d, D, s, int((~np.isnan(y)).sum()), frames[c.const].X.shape[1]):
            return math.inf
        fit = fit_by(y, frames[c.const].X, _order(c, d, D, s), False)
        return math.inf if fit is None or not sound(fit) else fit.criterion(spec.ic)

    if np.ptp(_seen(differenced(y, Order(d=d, D=D, s=s)))) == 0.0:
        message = f"the series is constant after {d} and {D} differences; naive instead"
        return Fitted(None, asked(panel, "n"), Status.CONSTANT, message)
    best = stepwise(score, limits) if spec.stepwise else exhaustive(score, limits)
    if best is None:
        message = f"no order with d={d}, D={D} could be estimated; naive instead"
        return Fitted(None, asked(panel, "n"), Status.NOT_CONVERGED, message)
    fit = fit_by(y, frames[best.const].X, _order(best, d, D, s), True)
    return Fitted(fit, asked(panel, _trend(best.const, d, D)))


def differences(spec: AutoARIMA, y: F64, X: F64) -> tuple[int, int]:
    """Choose d and D of one series; tests look at what a regression on X (constant first) leaves."""
    s = spec.season_length or 1
    x = y if X.shape[1] == 1 else _residuals(y, X)
    D = spec.D if spec.D is not None else 0
    if spec.D is None and s > 1 and spec.max_D > 0:
        D = int(nsdiffs(np.array(x), _bounds(x), s, max_D=spec.max_D)[0])
    if s == 1:
        D = 0
    if spec.d is not None:
        return spec.d, D
    x = differenced(x, Order(D=D, s=s))
    return (int(ndiffs(np.array(x), _bounds(x), max_d=spec.max_d)[0]) if spec.max_d and x.size else 0), D


def sound(fit: SarimaxFit) -> bool:
    """Whether the search ended and no root of the AR or MA side is within `MIN_ROOT` of the unit circle."""
    s = np.array([fit.order.s])

    def radius(plain: F64, seasonal: F64) -> float:
        orders = np.array([len(plain)]), np.array([len(seasonal)])
        return float(certify(plain[None], orders[0], seasonal[None], orders[1], s).max_pole[0])

    largest = max(radius(fit.phi, fit.seasonal_phi), radius(-fit.theta, -fit.seasonal_theta))
    return fit.converged and largest < 1.0 / MIN_ROOT


def _limits(spec: AutoARIMA, n: int, d: int, D: int, s: int) -> Limits:
    third, seasons = n // 3, n // 3 // s
    P, Q = (min(spec.max_P, seasons), min(spec.max_Q, seasons)) if s > 1 else (0, 0)
    return Limits(min(spec.max_p, third), min(spec.max_q, third), P, Q, d + D <= 1)


def _too_long(c: Candidate, d: int, D: int, s: int, n: int, k: int) -> bool:
    """Fewer observations left than parameters and the longest lag need."""
    return n - d - s * D < c.p + c.q + c.P + c.Q + k + 2


def _order(c: Candidate, d: int, D: int, s: int) -> Order:
    return Order(c.p, d, c.q, c.P, D, c.Q, s)


def _trend(const: bool, d: int, D: int) -> str:
    if not const or d + D > 1:
        return "n"
    return "c" if d + D == 0 else "t"


def _residuals(y: F64, X: F64) -> F64:
    """(t,) least squares residuals; NaN where y or a regressor is missing."""
    fine = ~np.isnan(y) & np.isfinite(X).all(axis=1)
    out = np.full(len(y), np.nan)
    size = np.maximum(np.abs(X[fine]).max(axis=0, initial=0.0), np.finfo(float).tiny)
    beta, *_ = np.linalg.lstsq(X[fine] / size, y[fine], rcond=None)
    out[fine] = y[fine] - X[fine] / size @ beta
    return out


def _seen(x: F64) -> F64:
    seen = x[~np.isnan(x)]
    return seen if seen.size else np.zeros(1)


def _bounds(x: F64) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([0, len(x)], dtype=np.int64)
