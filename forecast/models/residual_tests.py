"""Tests of whether residuals are white, normal, and of constant variance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.kernels.portmanteau import arch_lm, jarque_bera, ljung_box
from forecast.kernels.summary import summarise
from forecast.models.filtering import innovations, over_blocks
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.threads import over_rows
from forecast.models.unit_roots import block, observed
from forecast.types import F64, I32, I64

# Degrees of freedom up to which the tail of chi-squared is summed up.
_MOST_TERMS = 100
# Where half a statistic is above this the tail is below 1e-200, and the sum would underflow.
_NOTHING = 700.0


def residual_tests(
    values: F64,
    indptr: I64,
    df: int | I64 = 0,
    lags: int | I64 | None = None,
    season_length: int | I64 | I32 = 1,
    jobs: int = 1,
) -> dict[str, NDArray[Any]]:
    """Test every series of a ragged block of residuals.

    Parameters
    ----------
    values, indptr
        (N,) residuals, NaN where there is none, and (n + 1,) bounds. Points on either side of a gap are never
        made neighbours; `forecast.kernels.portmanteau` says what a gap does to each statistic.
    df
        Coefficients of the model, one number or one a series: taken off the degrees of freedom of Ljung-Box.
    lags
        Lags of Ljung-Box and of the ARCH test, >= 1; by default `default_lags`.
    season_length
        Points in a season (one number, or one a series), for the default.

    Returns
    -------
    dict
        Columns of length n: ``n, lags, ljung_box, ljung_box_p, box_pierce, box_pierce_p, jarque_bera,
        jarque_bera_p, skewness, kurtosis, arch_lm, arch_lm_p``. A statistic that cannot be had (too short,
        constant) is NaN, and so is a p-value without degrees of freedom.
    """
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    count = observed(values, indptr).count
    m = default_lags(count, season_length) if lags is None else _per_series(lags, n, "lags", 1)
    left = m - _per_series(df, n, "df", 0)
    q, box, jb, skewness, kurtosis, arch = (np.empty(n) for _ in range(6))
    nobs = np.empty(n, dtype=np.int64)

    def rows(first: int, last: int) -> None:
        ljung_box(values, indptr, first, last, m, q, box)
        jarque_bera(values, indptr, first, last, jb, skewness, kurtosis)
        arch_lm(values, indptr, first, last, m, arch, nobs)

    over_rows(rows, n, jobs)
    return {
        "n": count,
        "lags": m,
        "ljung_box": q,
        "ljung_box_p": chi2_p(q, left),
        "box_pierce": box,
        "box_pierce_p": chi2_p(box, left),
        "jarque_bera": jb,
        "jarque_bera_p": chi2_p(jb, np.full(n, 2)),
        "skewness": skewness,
        "kurtosis": kurtosis,
        "arch_lm": arch,
        "arch_lm_p": chi2_p(arch, m),
    }


def whiteness(records: Records, panel: Panel, df: I64, errors: F64 | None = None, jobs: int = 1) -> F64:
    """Return the p-value (n,) of Ljung-Box on the innovations over the data; see `residual_tests`.

    Parameters
    ----------
    panel
        Series in the order of `records`, each from t = 1 on.
    df
        (n,) coefficients of the model.
    errors
        (N,) innovations of rows that were filtered before; see `innovations`.
    jobs
        Threads; the result is the same to the last bit.
    """
    p = np.empty(panel.n_series)

    def work(first: int, some: Records, data: Panel) -> None:
        known = None if errors is None else errors[panel.indptr[first] : panel.indptr[first + some.n_series]]
        values, indptr = block(innovations(some, data, known)[0], data.indptr)
        n = some.n_series
        count, low, high = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
        summarise(values, indptr, count, low, high)
        m = default_lags(count, some.season_length)
        q, box = np.empty(n), np.empty(n)
        ljung_box(values, indptr, 0, n, m, q, box)
        p[first : first + n] = chi2_p(q, m - df[first : first + n])

    over_blocks(work, records, panel, jobs)
    return p


def default_lags(count: I64, season_length: int | I64 | I32 = 1) -> I64:
    """Return min(10, n / 5), or min(2 s, n / 5) with a season of s points (Hyndman 2014)."""
    s = np.asarray(season_length, dtype=np.int64)
    return np.minimum(np.where(s <= 1, 10, 2 * s), count // 5)


def chi2_p(stat: F64, df: I64) -> F64:
    """Return the upper tail of chi-squared (n,); NaN where `df` is not positive.

    With few degrees of freedom a sum of positive terms (Abramowitz and Stegun 1964, 26.4.4 and 26.4.5).
    """
    if df.max(initial=0) > _MOST_TERMS:
        from scipy.special import chdtrc  # here: a tenth of a second, which most fits need not wait for

        return np.where(df > 0, chdtrc(np.maximum(df, 1), stat), np.nan)
    half = np.asarray(stat) / 2.0
    with np.errstate(invalid="ignore"):
        odd = df % 2 == 1
        tail = np.where(odd, [math.erfc(root) for root in np.sqrt(half).tolist()], 0.0)
        term = np.exp(-half) * np.where(odd, np.sqrt(half / np.pi) * 2.0, 1.0)
        for k in range(1, int(df.max(initial=0)) // 2 + 1):
            tail += np.where(2 * k <= df, term, 0.0)
            term = term * half / np.where(odd, k + 0.5, k)
    return np.where(df > 0, np.where(half > _NOTHING, 0.0, tail), np.nan)


def _per_series(value: int | I64, n: int, name: str, least: int) -> I64:
    array = np.array(np.broadcast_to(np.asarray(value, dtype=np.int64), n))
    if (array < least).any():
        raise InputError(f"{name} must be >= {least}, got {array.min()}")
    return array
