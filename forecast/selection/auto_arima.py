"""AutoARIMA: differences by tests, orders by a search over an information criterion.

Source: Hyndman and Khandakar (2008), "Automatic time series forecasting", Journal of Statistical
Software 27(3), sec. 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forecast.errors import InputError
from forecast.models.ar_spec import check_choice, check_whole
from forecast.models.arima import check_backend, over_series
from forecast.models.arima_estimates import Estimates, Fitted, stacked
from forecast.models.arima_records import asked, design, records_of
from forecast.models.certificate import certify
from forecast.models.computed import Pairs, settle_terms, terms_of, with_computed
from forecast.models.panel import Panel
from forecast.models.records import Family, Records
from forecast.models.sarimax import Order, SarimaxFit, differenced
from forecast.models.sarimax_backend import fit_sarimax, quiet
from forecast.models.triage import triage
from forecast.models.unit_roots import cut
from forecast.selection.best_fits import best_fits
from forecast.selection.difference_orders import difference_orders
from forecast.selection.lock_step import EXACT, MIN_ROOT, ROUGH, Choice, Question, rankings
from forecast.selection.order_search import (
    MAX_ORDER,
    Candidate,
    Limits,
    Trial,
    Walk,
    exhaustive,
    stepwise,
    walked,
)
from forecast.types import F64, I64, Bool, Status

CRITERIA = ("aic", "aicc", "bic", "hqic")

# Where approximation is left to us: series this long, or seasons longer, as in the paper's package.
_LONG = 150
_LONG_SEASON = 12
# Points below which orders are a matter of luck.
_SHORTEST = 10
_ORDERS = ("max_p", "max_q", "max_P", "max_Q", "start_p", "start_q", "start_P", "start_Q")
_DIFFERENCES = ("max_d", "max_D", "d", "D")


@dataclass(frozen=True, slots=True)
class AutoARIMA:
    """ARIMA with orders chosen for each series.

    Parameters
    ----------
    season_length
        s in steps; None: from the frequency.
    max_p, max_q, max_P, max_Q
        Largest orders; short series consider fewer (a third of the observations), and with a season
        p and q stay below it.
    max_d, max_D
        Most differences that the tests may ask for.
    stepwise
        Search step by step (some 50 candidates); False tries every order up to `max_order` in all.
    ic
        "aic", "aicc", "bic" or "hqic".
    d, D
        Differences to take; None: by KPSS tests after the seasonal strength has decided D. With
        regressors the tests look at the residuals of a regression on them.
    start_p, start_q, start_P, start_Q
        Orders of the first candidate of the stepwise search; cut to the largest orders above, as in R.
    max_order
        Largest p + q + P + Q of the full search.
    max_models
        Most candidates of the stepwise search.
    allow_mean, allow_drift
        Whether a mean (nothing differenced) or a drift (differenced once) may enter. R and statsforecast
        call them allowmean and allowdrift.
    approximation
        Candidates are scored by the exact likelihood a few steps up from one good start. False: the best
        few once more, from several starts and to the maximum. True: only the chosen one. None: True for
        series of more than 150 observations or seasons of more than 12 steps. Not so the reference
        backend: it fits every candidate to the end.
    truncate
        Score candidates on this many of the last points; None: on all. The chosen one is fitted to all.
    fourier, calendar
        Further regressors that follow from the time, as in `ARIMA`.
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
    start_p: int = 2
    start_q: int = 2
    start_P: int = 1
    start_Q: int = 1
    max_order: int = 5
    max_models: int = 94
    allow_mean: bool = True
    allow_drift: bool = True
    approximation: bool | None = None
    truncate: int | None = None
    fourier: Mapping[float, int] | Pairs = ()
    calendar: Sequence[str] = ()
    backend: str = "native"
    alias: str = "AutoARIMA"

    def __post_init__(self) -> None:
        settle_terms(self)
        check_backend(self.backend)
        check_choice("ic", self.ic, CRITERIA)
        if self.season_length is not None:
            check_whole("season_length", self.season_length)
        for name in (*_ORDERS, *_DIFFERENCES, "max_order"):
            _check_order(name, getattr(self, name))
        check_whole("max_models", self.max_models)
        for name in ("stepwise", "allow_mean", "allow_drift"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.approximation not in (None, True, False):
            raise InputError(f"approximation must be None, True or False, got {self.approximation!r}")
        if self.truncate is not None:
            check_whole("truncate", self.truncate)
            if self.truncate < _SHORTEST:
                raise InputError(
                    f"truncate={self.truncate} leaves too little to choose by: use {_SHORTEST} or more"
                )

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`. Tens of candidates a series, about 13 ms for 100 months."""
        panel = with_computed(panel, terms_of(self))
        found = triage(panel, jobs=jobs)
        rows = np.flatnonzero(found.status < Status.GUARDED)
        some = replace(panel, values=found.values).take(rows) if rows.size else panel
        estimates = _choose(self, some, jobs) if rows.size else stacked([])
        return records_of(panel, found, rows, estimates, Family.ARIMA, jobs)


def _choose(spec: AutoARIMA, panel: Panel, jobs: int) -> Estimates:
    """Choose and fit the model of every series; results do not depend on `jobs` nor on the other series."""
    s = spec.season_length or 1
    d, D = difference_orders(panel, s, spec.d, spec.D, spec.max_d, spec.max_D, jobs)
    fine = _complete(panel)
    counts = np.add.reduceat(np.append(fine, False), panel.indptr[:-1]).astype(np.int64)
    failures = _constants(panel, d, D, s)
    left = np.array([i for i in range(panel.n_series) if i not in failures], dtype=np.int64)
    if spec.backend == "statsmodels":
        with quiet():
            answers = dict(zip(left.tolist(), over_series(
                lambda i: reference(spec, panel, i, int(d[i]), int(D[i]), int(counts[i])), left, jobs
            ), strict=True))  # fmt: skip
        return stacked([failures.get(i) or answers[i] for i in range(panel.n_series)])
    whole = Question(_searched(panel, fine, None)[0], counts, d, D, s, spec.ic)
    ranked: list[list[Choice]] = [[] for _ in range(panel.n_series)]
    approximate = _approximate(spec, counts, s)
    search, kept = _searched(panel, fine, spec.truncate)
    for roughly in (False, True):
        rows = left[approximate[left] == roughly]
        question = replace(whole, panel=search, counts=kept, final=ROUGH if roughly else EXACT)
        walks = [walk_of(spec, int(counts[i]), int(d[i]), int(D[i])) for i in rows.tolist()]
        for i, ranking in zip(rows.tolist(), rankings(question, rows, walks, jobs), strict=True):
            ranked[i] = ranking
    estimates = best_fits(whole, ranked, failures, jobs)
    # The last innovations are those before the forecasts only where the last point is there.
    return replace(estimates, ended=estimates.ended & (whole.panel.lengths == panel.lengths))


def walk_of(spec: AutoARIMA, n: int, d: int, D: int) -> Walk:
    """Begin the search of a series with `n` observations."""
    limits = limits_of(spec, n, d, D)
    if not spec.stepwise:
        return exhaustive(limits, spec.max_order)
    first = spec.start_p, spec.start_q, spec.start_P, spec.start_Q
    if n < _SHORTEST:
        first = min(spec.start_p, 1), min(spec.start_q, 1), 0, 0
    return stepwise(limits, first, spec.max_models)


def limits_of(spec: AutoARIMA, n: int, d: int, D: int) -> Limits:
    """Largest orders for `n` observations, d and D differences."""
    s, third = spec.season_length or 1, n // 3
    top = third if s == 1 else min(third, s - 1)
    P, Q = (min(spec.max_P, third // s), min(spec.max_Q, third // s)) if s > 1 else (0, 0)
    const = {0: spec.allow_mean, 1: spec.allow_drift}.get(d + D, False)
    return Limits(min(spec.max_p, top), min(spec.max_q, top), P, Q, const)


def reference(spec: AutoARIMA, panel: Panel, i: int, d: int, D: int, n: int) -> Fitted:
    """Choose and fit the model of series `i` by statsmodels; enter `quiet` around it."""
    y, s = panel.series(i), spec.season_length or 1
    question = Question(panel, np.full(i + 1, n), np.full(i + 1, d), np.full(i + 1, D), s, spec.ic)
    lo = len(y) - (spec.truncate or len(y))

    def fit_of(c: Candidate, first: int) -> SarimaxFit | None:
        X = design(panel, i, question.trend(i, c)).X
        fit = fit_sarimax(y[first:], X[first:], Order(*question.order(i, c)))
        return fit if fit is not None and sound(fit) else None

    def score(trial: Trial) -> float:
        c = trial.candidate
        if trial.final:
            return scores[c]
        fit = fit_of(c, max(lo, 0)) if question.fits(i, c) else None
        scores[c] = np.inf if fit is None else fit.criterion(spec.ic)
        return scores[c]

    scores: dict[Candidate, float] = {}

    for c in walked(walk_of(spec, n, d, D), score):
        fit = fit_of(c, 0)
        if fit is not None:
            return Fitted(fit, asked(panel, question.trend(i, c)))
    message = f"no order with d={d}, D={D} could be estimated; naive instead"
    return Fitted(None, asked(panel, "n"), Status.NOT_CONVERGED, message)


def sound(fit: SarimaxFit) -> bool:
    """Whether the search ended and no root of the AR or MA side is within `MIN_ROOT` of the unit circle."""
    s = np.array([fit.order.s])

    def radius(plain: F64, seasonal: F64) -> float:
        orders = np.array([len(plain)]), np.array([len(seasonal)])
        return float(certify(plain[None], orders[0], seasonal[None], orders[1], s).max_pole[0])

    largest = max(radius(fit.phi, fit.seasonal_phi), radius(-fit.theta, -fit.seasonal_theta))
    return fit.converged and largest < 1.0 / MIN_ROOT


def _complete(panel: Panel) -> Bool:
    """(N,) points whose value and regressors are all there."""
    fine: Bool = ~np.isnan(panel.values)
    for column in panel.exog.values():
        fine = fine & np.isfinite(column)
    return fine


def _approximate(spec: AutoARIMA, counts: I64, s: int) -> Bool:
    """(n,) series whose candidates are scored by approximation."""
    if spec.approximation is not None:
        return np.full(len(counts), spec.approximation)
    found: Bool = (counts > _LONG) | (s > _LONG_SEASON)
    return found


def _searched(panel: Panel, fine: Bool, truncate: int | None) -> tuple[Panel, I64]:
    """Cut every series to its complete points, the last `truncate` of them, and count these."""
    values = np.where(fine, panel.values, np.nan)
    starts, lengths = np.zeros(panel.n_series, dtype=np.int64), np.zeros(panel.n_series, dtype=np.int64)
    for i, (lo, hi) in enumerate(zip(panel.indptr[:-1].tolist(), panel.indptr[1:].tolist(), strict=True)):
        at = lo + np.flatnonzero(fine[lo:hi])
        if at.size:
            first = at[0] if truncate is None else at[np.searchsorted(at, at[-1] + 1 - truncate)]
            starts[i], lengths[i] = first, at[-1] + 1 - first
    data, indptr = cut(values, starts, lengths)
    exog = {name: cut(np.asarray(column), starts, lengths)[0] for name, column in panel.exog.items()}
    counts = np.add.reduceat(np.append(~np.isnan(data), False), indptr[:-1]).astype(np.int64)
    return Panel(data, indptr, panel.ids, panel.start, panel.freq, exog), counts


def _constants(panel: Panel, d: I64, D: I64, s: int) -> dict[int, Fitted]:
    """Series that their differences leave nothing of to model."""
    found = {}
    for i in range(panel.n_series):
        w: F64 = differenced(panel.series(i), Order(d=int(d[i]), D=int(D[i]), s=s))
        seen = w[~np.isnan(w)]
        if not seen.size or np.ptp(seen) == 0.0:
            message = f"the series is constant after {d[i]} and {D[i]} differences; naive instead"
            found[i] = Fitted(None, asked(panel, "n"), Status.CONSTANT, message)
    return found


def _check_order(name: str, value: int | None) -> None:
    if value is None and name in ("d", "D"):
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= MAX_ORDER:
        raise InputError(f"{name} must be a whole number from 0 to {MAX_ORDER}, got {value!r}")
