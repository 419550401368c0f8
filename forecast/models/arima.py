"""ARIMA and, with regressors, ARIMAX: regression with (seasonal) ARIMA errors by exact likelihood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forecast.errors import InputError
from forecast.models.ar_spec import check_whole
from forecast.models.arima_estimates import Estimates, Fitted, stacked
from forecast.models.arima_records import asked, check_trend, default_trend, design, records_of
from forecast.models.computed import (
    Pairs,
    check_not_differenced,
    read_fourier,
    settle_terms,
    terms_of,
    with_computed,
)
from forecast.models.native_backend import fit_native
from forecast.models.panel import Panel
from forecast.models.records import Family, Records
from forecast.models.sarimax import Order, differenced
from forecast.models.sarimax_backend import fit_sarimax, quiet
from forecast.models.triage import triage
from forecast.types import F64, I64, Status

BACKENDS = ("native", "statsmodels")

# A fit takes a minute a series at 80 coefficients, and no series tells so many apart.
MAX_ORDERS = 60


@dataclass(frozen=True, slots=True)
class ARIMA:
    r"""Regression with seasonal ARIMA errors.

    .. math:: \phi(L) \Phi(L^s) (1-L)^d (1-L^s)^D (y_t - m_t) = \theta(L) \Theta(L^s) e_t,
              \quad m_t = const + slope\, t + x_t' \beta

    Parameters
    ----------
    order
        (p, d, q).
    seasonal_order
        (P, D, Q). p + q + P + Q is at most 60.
    season_length
        s in steps; at least 2 where `seasonal_order` has anything in it. None: from the frequency.
    trend
        "n", "c" (constant), "t" (slope; with one difference: drift) or "ct". None: a constant where
        nothing is differenced, nothing otherwise.
    fourier
        Harmonics by season length, ``{24: 3, 168: 5}``: regressors for several seasons at once, or long ones.
    calendar
        Fields of the date as dummies: "hour", "dayofweek", "month". Like `fourier`, known for any future.
    backend
        "native": exact maximum likelihood by compiled kernels; "statsmodels": by its SARIMAX, the slow
        reference.

    Raises
    ------
    InputError
        For values outside these, and for a trend or a wave that differencing wipes out.
    """

    takes_exog: ClassVar[bool] = True
    order: tuple[int, int, int] = (0, 0, 0)
    seasonal_order: tuple[int, int, int] = (0, 0, 0)
    season_length: int | None = 1
    trend: str | None = None
    fourier: Mapping[float, int] | Pairs = ()
    calendar: Sequence[str] = ()
    backend: str = "native"
    alias: str = "ARIMA"

    def __post_init__(self) -> None:
        for name in ("order", "seasonal_order"):
            object.__setattr__(self, name, _triple(name, getattr(self, name)))
        check_backend(self.backend)
        settle_terms(self)
        _check_size(self.order, self.seasonal_order)
        s = self.season_length
        if s is not None:
            check_whole("season_length", s)
        if s == 1 and any(self.seasonal_order):
            raise InputError(
                f"seasonal_order={self.seasonal_order} needs a season: pass season_length=12, say, not 1"
            )
        check_trend(self.trend, self.order[1], self.seasonal_order[1])
        check_not_differenced(read_fourier(self.fourier), self.seasonal_order[1], s or 1)

    def resolved(self) -> Order:
        """Return the orders in one value."""
        if self.season_length is None and any(self.seasonal_order):
            raise InputError("seasonal_order needs a period: pass season_length=12, say")
        (p, d, q), (P, D, Q) = self.order, self.seasonal_order
        return Order(p, d, q, P, D, Q, self.season_length or 1)

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        order = self.resolved()
        panel = with_computed(panel, terms_of(self))
        trend = default_trend(order.d, order.D) if self.trend is None else self.trend
        found = triage(panel, jobs=jobs)
        rows = np.flatnonzero(found.status < Status.GUARDED)
        scaled = replace(panel, values=found.values)
        if self.backend == "statsmodels" or not rows.size:
            estimates = _reference(scaled, rows, order, trend, jobs)
        else:
            some = scaled if len(rows) == panel.n_series else scaled.take(rows)
            estimates = fit_native(some, orders_of([order] * len(rows)), trend, jobs)
        return records_of(panel, found, rows, estimates, Family.ARIMA, jobs)


def orders_of(orders: Sequence[Order]) -> I64:
    """(n, 7) p, d, q, P, D, Q, s."""
    return np.array([[o.p, o.d, o.q, o.P, o.D, o.Q, o.s] for o in orders], dtype=np.int64).reshape(-1, 7)


def _reference(panel: Panel, rows: I64, order: Order, trend: str, jobs: int) -> Estimates:
    with quiet():
        return stacked(over_series(lambda i: fit_one(panel, i, order, trend), rows, jobs))


def over_series(fit: Callable[[int], Fitted], rows: I64, jobs: int) -> list[Fitted]:
    """Call `fit` for every row, `jobs` at a time."""
    if jobs > 1 and rows.size > 1:
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(fit, rows.tolist()))
    return [fit(int(row)) for row in rows]


def fit_one(panel: Panel, i: int, order: Order, trend: str) -> Fitted:
    """Fit series `i` of a panel in safe units by the reference; enter `quiet` around it."""
    y, frame = panel.series(i), design(panel, i, trend)
    columns = asked(panel, trend)
    observed = int((~np.isnan(y)).sum())
    needed = order.lost + order.n_arma + frame.X.shape[1] + 2
    if observed < needed:
        message = f"{order} needs {needed} observed points, got {observed}; naive instead"
        return Fitted(None, columns, Status.TOO_SHORT, message)
    if _exactly_determined(y, order):
        message = f"the series is constant after {order.d} and {order.D} differences; naive instead"
        return Fitted(None, columns, Status.CONSTANT, message)
    fit = fit_sarimax(y, frame.X, order)
    if fit is None:
        return Fitted(None, columns, Status.FAILED, f"{order} could not be estimated; naive instead")
    if not fit.converged:
        return Fitted(
            None, columns, Status.NOT_CONVERGED, f"{order}: the search did not converge; naive instead"
        )
    return Fitted(fit, columns)


def _exactly_determined(y: F64, order: Order) -> bool:
    w = differenced(y, order)
    w = w[~np.isnan(w)]
    return bool(w.size > 1 and np.ptp(w) == 0.0)


def check_backend(backend: str) -> None:
    """Raise InputError for a backend that does not exist."""
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def _triple(name: str, value: tuple[int, ...]) -> tuple[int, ...]:
    """Three whole numbers >= 0, as a tuple (JSON hands in lists)."""
    try:
        numbers = () if any(isinstance(k, (bool, np.bool_)) for k in value) else tuple(int(k) for k in value)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != 3 or min(numbers) < 0 or numbers != tuple(value):
        raise InputError(f"{name} must be three whole numbers of 0 or more, got {value!r}")
    return numbers


def _check_size(order: tuple[int, int, int], seasonal_order: tuple[int, int, int]) -> None:
    (p, _, q), (P, _, Q) = order, seasonal_order
    if p + q + P + Q > MAX_ORDERS:
        raise InputError(
            f"order={order} and seasonal_order={seasonal_order} have p + q + P + Q = {p + q + P + Q}, "
            f"at most {MAX_ORDERS} can be estimated; use AR for a long memory"
        )
