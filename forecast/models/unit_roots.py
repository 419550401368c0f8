"""Unit-root and stationarity tests of every series of a ragged block at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError, nearest
from forecast.kernels.adf import adf
from forecast.kernels.kpss import kpss
from forecast.kernels.phillips_perron import phillips_perron
from forecast.kernels.unit_root import observe
from forecast.models.panel import frozen
from forecast.models.threads import over_rows
from forecast.models.unit_root_tables import TRENDS, kpss_p, rho_p, tau_p
from forecast.types import F64, I64, Bool

_CRITERIA = {"fixed": 0, "aic": 1, "bic": 2}


@dataclass(frozen=True, slots=True, eq=False)
class UnitRootTest:
    """One test of n series; NaN (and lag -1) where the series is too short, constant or without noise."""

    stat: F64
    p: F64
    lag: I64
    """(n,) lagged differences (ADF), or lags of the long-run variance."""

    def __post_init__(self) -> None:
        for name in ("stat", "p", "lag"):
            frozen(getattr(self, name))


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Where the series of a block are observed."""

    count: I64
    """(n,) observed points."""
    begin: I64
    end: I64
    """(n,) offsets of the first observed point, and of one past the last."""
    constant: Bool
    """(n,) whether all observed points are the same, to 1.5e-8 of their size."""


def block(values: F64, indptr: I64) -> tuple[F64, I64]:
    """Return read-only float64 and int64 arrays: every kernel sees one type, and compiles once."""
    return (
        frozen(np.ascontiguousarray(values, dtype=np.float64).view()),
        frozen(np.ascontiguousarray(indptr, dtype=np.int64).view()),
    )


def cut(values: F64, starts: I64, lengths: I64) -> tuple[F64, I64]:
    """Return the ragged block of the pieces ``values[starts[i]:starts[i] + lengths[i]]``."""
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    where = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
    return block(values[where], indptr)


def take(values: F64, indptr: I64, rows: I64) -> tuple[F64, I64]:
    """Return the ragged block of some series."""
    if len(rows) == len(indptr) - 1:
        return values, indptr
    return cut(values, indptr[rows], np.diff(indptr)[rows])


def observed(values: F64, indptr: I64) -> Observed:
    """Count the observed points of every series, NaN being a missing one."""
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    count, begin, end = (np.empty(n, dtype=np.int64) for _ in range(3))
    constant = np.empty(n, dtype=np.bool_)
    observe(values, indptr, 0, n, count, begin, end, constant)
    return Observed(frozen(count), frozen(begin), frozen(end), frozen(constant))


def adf_test(
    values: F64,
    indptr: I64,
    trend: str = "c",
    criterion: str = "aic",
    max_lag: int | None = None,
    jobs: int = 1,
) -> UnitRootTest:
    """Augmented Dickey-Fuller test; the null hypothesis is a unit root.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing: rows of the regression with a missing term are left out.
    trend
        "n" none, "c" constant, "ct" constant and trend.
    criterion
        "aic" or "bic" choose the lag among 0..max_lag on a common sample and estimate again on
        the longest; "fixed" takes max_lag.
    max_lag
        By default 12 (n / 100)^(1/4), rounded up, n the observed points (Schwert 1989).

    Returns
    -------
    UnitRootTest
        p by the response surface of MacKinnon (1994).
    """
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    code = _trend(trend, TRENDS)
    if criterion not in _CRITERIA:
        raise InputError(f"unknown criterion {criterion!r}{nearest(criterion, _CRITERIA)}")
    stat, lag, nobs = np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    wanted = np.full(n, -1 if max_lag is None else _lag(max_lag), dtype=np.int64)

    def rows(first: int, last: int) -> None:
        adf(values, indptr, first, last, code, wanted, _CRITERIA[criterion], stat, lag, nobs)

    over_rows(rows, n, jobs)
    return UnitRootTest(stat, tau_p(stat, code), lag)


def kpss_test(
    values: F64, indptr: I64, trend: str = "c", lags: str | int = "auto", jobs: int = 1
) -> UnitRootTest:
    """KPSS test; the null hypothesis is stationarity about a level ("c") or a line ("ct").

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing; see `forecast.kernels.kpss.kpss` for what a gap does.
    lags
        "auto" (Hobijn et al. 2004), "short" trunc(4 (n/100)^(1/4)), "long" trunc(12 (n/100)^(1/4)),
        "root" trunc(3 sqrt(n) / 13), or a number; n counts observed points.

    Returns
    -------
    UnitRootTest
        p interpolated in the table of the paper, within [0.01, 0.1].
    """
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    code = _trend(trend, TRENDS[1:])
    wanted = (
        np.full(n, -1, dtype=np.int64) if lags == "auto" else lag_rule(lags, observed(values, indptr).count)
    )
    stat, lag = np.empty(n), np.empty(n, dtype=np.int64)
    over_rows(lambda first, last: kpss(values, indptr, first, last, code, wanted, stat, lag), n, jobs)
    return UnitRootTest(stat, kpss_p(stat, code), lag)


def phillips_perron_test(
    values: F64,
    indptr: I64,
    trend: str = "c",
    lags: str | int = "short",
    statistic: str = "tau",
    moment: str = "lagged",
    jobs: int = 1,
) -> UnitRootTest:
    """Phillips-Perron test; the null hypothesis is a unit root.

    Parameters
    ----------
    trend
        "c" constant, "ct" constant and trend.
    lags
        Lags of the long-run variance: "short", "long", "root" (see `kpss_test`, with n one less) or a number.
    statistic
        "tau" or "rho" (Z-alpha).
    moment
        Which level the correction is divided by: "lagged", y_{t-1}, is the paper's and that of R's
        ``tseries::pp.test``; "current", y_t, is that of R's ``urca::ur.pp``. The limit is the same.

    Returns
    -------
    UnitRootTest
        p by the response surfaces of MacKinnon (1994).
    """
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    code = _trend(trend, TRENDS[1:])
    if statistic not in ("tau", "rho"):
        raise InputError(f"statistic must be 'tau' or 'rho', got {statistic!r}")
    if moment not in ("lagged", "current"):
        raise InputError(f"moment must be 'lagged' or 'current', got {moment!r}")
    wanted = lag_rule(lags, np.maximum(observed(values, indptr).count - 1, 0))
    tau, rho, nobs = np.empty(n), np.empty(n), np.empty(n, dtype=np.int64)
    current = moment == "current"

    def rows(first: int, last: int) -> None:
        phillips_perron(values, indptr, first, last, code, wanted, current, tau, rho, nobs)

    over_rows(rows, n, jobs)
    lag = np.where(np.isnan(tau), -1, wanted)
    if statistic == "tau":
        return UnitRootTest(tau, tau_p(tau, code), lag)
    return UnitRootTest(rho, rho_p(rho, code), lag)


_RULES = {"short": (4.0, 100.0, 0.25), "long": (12.0, 100.0, 0.25), "root": (3.0 / 13.0, 1.0, 0.5)}


def lag_rule(lags: str | int, count: I64) -> I64:
    """Return the (n,) lags of the long-run variance for `count` (n,) points: a (count / b)^c, cut off."""
    if isinstance(lags, str):
        if lags not in _RULES:
            raise InputError(f"unknown lag rule {lags!r}{nearest(lags, _RULES)}")
        a, b, c = _RULES[lags]
        return (a * (count / b) ** c).astype(np.int64)
    return np.full(len(count), _lag(lags), dtype=np.int64)


def _lag(lag: int) -> int:
    if lag < 0:
        raise InputError(f"lags must be >= 0, got {lag}")
    return lag


def _trend(trend: str, allowed: tuple[str, ...]) -> int:
    if trend not in allowed:
        raise InputError(f"trend must be one of {', '.join(allowed)}, got {trend!r}")
    return TRENDS.index(trend)
