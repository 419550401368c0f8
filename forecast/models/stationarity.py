"""How many differences a series needs, and a table of the evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.kernels.adf import adf
from forecast.kernels.burg import fit_burg
from forecast.kernels.kpss import kpss
from forecast.kernels.phillips_perron import phillips_perron
from forecast.kernels.roots import max_pole_rows
from forecast.kernels.unit_root import difference, longest_run
from forecast.models.decomposition import seasonal_strength
from forecast.models.panel import Panel
from forecast.models.scaling import rescale
from forecast.models.threads import over_rows
from forecast.models.unit_root_tables import TRENDS, fuller_p, kpss_p, phillips_perron_p
from forecast.models.unit_roots import (
    adf_test,
    block,
    cut,
    kpss_test,
    lag_rule,
    observed,
    phillips_perron_test,
    take,
)
from forecast.types import F64, I64, Bool

__all__ = ["min_roots", "ndiffs", "ndiffs_after", "nsdiffs", "seasonal_strength", "stationarity_table"]

# Seasonal strength above which a seasonal difference forecasts better (Hyndman, on the M3 and M4 data).
STRENGTH_THRESHOLD = 0.64
# Largest order of the AR whose smallest root is shown: a season, and within these bounds. More lags find
# roots near the unit circle in noise; fewer miss the slow ones of monthly data.
ROOT_LAGS = (12, 24)
_AIC = 1


def ndiffs(
    values: F64,
    indptr: I64,
    test: str = "kpss",
    alpha: float = 0.05,
    max_d: int = 2,
    trend: str = "c",
    jobs: int = 1,
) -> I64:
    """Return the number of first differences (n,) each series needs.

    Difference while "kpss" rejects stationarity, or while "adf" (one lagged difference) or "pp" (Z-tau) do
    not reject a unit root, at level `alpha`; the answers are those of R's ``forecast::ndiffs``, with the same
    early exits: a constant series needs no more, and one too short for the test gets the last d that could
    be tested.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing. R closes the gaps first; here a difference across a gap is missing.
    alpha
        Within [0.01, 0.1], where the tables end.
    max_d
        >= 0.
    trend
        "c" level, "ct" trend.
    """
    if not 0.01 <= alpha <= 0.1:
        raise InputError(f"alpha must lie in [0.01, 0.1], got {alpha}")
    if max_d < 0:
        raise InputError(f"max_d must be >= 0, got {max_d}")
    if test not in ("kpss", "adf", "pp"):
        raise InputError(f"test must be kpss, adf or pp, got {test!r}")
    if trend not in TRENDS[1:]:
        raise InputError(f"trend must be c or ct, got {trend!r}")
    values, indptr = block(values, indptr)
    d = np.zeros(len(indptr) - 1, dtype=np.int64)
    rows = np.arange(len(d))
    for k in range(max_d + 1):
        seen = observed(values, indptr)
        moving = np.flatnonzero(~seen.constant & (seen.count > 0))
        values, indptr, rows = *take(values, indptr, moving), rows[moving]
        if len(rows) == 0:
            break
        p = _difference_p(values, indptr, test, trend, jobs)
        d[rows[np.isnan(p)]] = max(k - 1, 0)
        again = np.flatnonzero(p < alpha if test == "kpss" else p > alpha)
        if k == max_d or len(again) == 0:
            break
        d[rows[again]] = k + 1
        values, indptr, rows = *take(values, indptr, again), rows[again]
        values = _difference(values, indptr, 1)
    return d


def nsdiffs(
    values: F64,
    indptr: I64,
    season_length: int,
    threshold: float = STRENGTH_THRESHOLD,
    max_D: int = 1,
    jobs: int = 1,
) -> I64:
    """Return the number of seasonal differences (n,) each series needs.

    Difference while the seasonal strength exceeds `threshold`; the answers are those of R's
    ``forecast::nsdiffs`` with ``test = "seas"``. 0 for a constant series, for one that spans no more than
    two seasons, and when `season_length` is 1.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing; a difference across a missing point is missing.
    max_D
        >= 0.
    """
    if max_D < 0:
        raise InputError(f"max_D must be >= 0, got {max_D}")
    values, indptr = block(values, indptr)
    D = np.zeros(len(indptr) - 1, dtype=np.int64)
    rows = np.arange(len(D))
    for k in range(max_D):
        seen = observed(values, indptr)
        enough = seen.end - seen.begin >= 2 * season_length if k > 0 else seen.count > 0
        moving = np.flatnonzero(~seen.constant & enough)
        values, indptr, rows = *take(values, indptr, moving), rows[moving]
        seasonal = np.flatnonzero(seasonal_strength(values, indptr, season_length, jobs) > threshold)
        D[rows[seasonal]] = k + 1
        values, indptr, rows = *take(values, indptr, seasonal), rows[seasonal]
        values = _difference(values, indptr, season_length)
    return D


def ndiffs_after(
    values: F64,
    indptr: I64,
    D: I64,
    season_length: int,
    alpha: float = 0.05,
    max_d: int = 2,
    jobs: int = 1,
) -> I64:
    """Return the first differences (n,) that are left to take by KPSS once D (n,) seasonal ones are taken."""
    d = np.zeros(len(D), dtype=np.int64)
    for k in range(int(D.max(initial=0)) + 1):
        rows = np.flatnonzero(k == D)
        if len(rows):
            v, p = take(values, indptr, rows)
            for _ in range(k):
                v = _difference(v, p, season_length)
            d[rows] = ndiffs(v, p, alpha=alpha, max_d=max_d, jobs=jobs)
    return d


def stationarity_table(
    panel: Panel, season_length: int, alpha: float = 0.05, jobs: int = 1
) -> dict[str, NDArray[Any]]:
    """Return the evidence about every series as columns of length n.

    Columns: ``n`` (grid points), ``n_missing``; ``adf, adf_p`` (constant, lag by AIC), ``kpss, kpss_p``
    (level, automatic lag), ``pp, pp_p`` (Z-tau, constant, short lag); ``seasonal_strength``; ``d, D``
    (suggested differences: D by the strength, then d by KPSS after D seasonal ones); ``min_root`` (see
    `min_roots`); ``verdict``.

    The verdict reads ADF and KPSS at level `alpha`:

    ==================  ====================  =====================================================
    ADF                 KPSS                  verdict
    ==================  ====================  =====================================================
    rejects unit root   keeps stationarity    stationary
    anything else                             trend stationary, when with constant and trend ADF
                                              rejects and KPSS keeps
    keeps unit root     rejects stationarity  unit root, otherwise
    otherwise                                 unclear: the two contradict, or neither finds anything
    ==================  ====================  =====================================================

    Without a test statistic it is "all missing", "constant", "not finite", or "too short" (which covers a
    series that a regression fits without any error).
    """
    values, indptr = _from_first(panel), panel.indptr
    seen = observed(values, indptr)
    unit = adf_test(values, indptr, jobs=jobs)
    level = kpss_test(values, indptr, jobs=jobs)
    pp = phillips_perron_test(values, indptr, jobs=jobs)
    seasonal = seasonal_strength(values, indptr, season_length, jobs)
    D = (seasonal > STRENGTH_THRESHOLD).astype(np.int64)  # what `nsdiffs` answers
    return {
        "n": panel.lengths,
        "n_missing": panel.lengths - seen.count,
        "adf": unit.stat,
        "adf_p": unit.p,
        "kpss": level.stat,
        "kpss_p": level.p,
        "pp": pp.stat,
        "pp_p": pp.p,
        "seasonal_strength": seasonal,
        "d": ndiffs_after(values, indptr, D, season_length, alpha, jobs=jobs),
        "D": D,
        "min_root": min_roots(values, indptr, season_length, jobs),
        "verdict": _verdict(values, indptr, unit.p, level.p, seen.count, seen.constant, alpha, jobs),
    }


def _from_first(panel: Panel) -> F64:
    """(N,) values in safe units, less the first of each series: no test depends on unit or level."""
    values, _ = rescale(panel)
    out = np.array(values)
    for i in range(panel.n_series):
        row = out[panel.indptr[i] : panel.indptr[i + 1]]
        finite = np.flatnonzero(np.isfinite(row))
        if finite.size:
            row -= row[finite[0]]
    return out


def min_roots(values: F64, indptr: I64, season_length: int = 1, jobs: int = 1) -> F64:
    """Return the smallest modulus (n,) of the roots of an AR polynomial fitted to the undifferenced series.

    Burg's method, order by AIC up to `season_length` (at least 12, at most 24), on the longest stretch
    without a gap. Above 1 by construction; a value near 1 says that shocks hardly fade. Infinite when the
    order is 0, NaN when nothing can be fitted.
    """
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    begin, end = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    longest_run(values, indptr, 0, n, begin, end)
    values, indptr = cut(values, indptr[:-1] + begin, end - begin)
    m = min(max(season_length, ROOT_LAGS[0]), ROOT_LAGS[1])
    phi, ic = np.zeros((n, m)), np.empty((n, m + 1))
    mean, sigma2, loglik, pole = (np.empty(n) for _ in range(4))
    order, ok = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.uint8)

    def rows(first: int, last: int) -> None:
        fit_burg(values, indptr, first, last, m, _AIC, 1, phi, mean, sigma2, order, ic, loglik, ok)
        max_pole_rows(phi, order, pole, first, last)

    over_rows(rows, n, jobs)
    with np.errstate(divide="ignore"):
        return np.where(ok > 0, 1.0 / pole, np.nan)


def _verdict(
    values: F64, indptr: I64, adf_p: F64, kpss_p: F64, count: I64, constant: Bool, alpha: float, jobs: int
) -> NDArray[np.object_]:
    """Apply the table of `stationarity_table`."""
    # The table of KPSS ends at 0.1, where it says "at least": so that p = alpha = 0.1 keeps.
    rejects, keeps = adf_p < alpha, kpss_p >= alpha
    tested = ~np.isnan(adf_p) & ~np.isnan(kpss_p)
    stationary = tested & rejects & keeps
    infinite = np.zeros(len(count), dtype=np.bool_)
    infinite[np.searchsorted(indptr, np.flatnonzero(np.isinf(values)), side="right") - 1] = True
    open_rows = np.flatnonzero(tested & ~stationary)
    around_line = np.zeros(len(count), dtype=np.bool_)
    if len(open_rows):
        part = take(values, indptr, open_rows)
        unit, line = adf_test(*part, trend="ct", jobs=jobs), kpss_test(*part, trend="ct", jobs=jobs)
        around_line[open_rows] = (unit.p < alpha) & (line.p >= alpha)
    cases = {
        "all missing": count == 0,
        "constant": constant,
        "not finite": infinite,
        "too short": ~tested,
        "stationary": stationary,
        "trend stationary": around_line,
        "unit root": ~rejects & ~keeps,
    }
    return np.select(list(cases.values()), list(cases), default="unclear").astype(object)


def _difference_p(values: F64, indptr: I64, test: str, trend: str, jobs: int) -> F64:
    """Return the p-value (n,) that decides about one more difference: lags and tables of R's ``ndiffs``."""
    n = len(indptr) - 1
    code = TRENDS.index(trend)
    count = observed(values, indptr).count
    stat, rho = np.empty(n), np.empty(n)
    lag, nobs = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    if test == "kpss":
        lags = lag_rule("root", count)
        over_rows(lambda a, b: kpss(values, indptr, a, b, code, lags, stat, lag), n, jobs)
        return kpss_p(stat, code)
    if test == "adf":
        lags = np.ones(n, dtype=np.int64)
        over_rows(lambda a, b: adf(values, indptr, a, b, code, lags, 0, stat, lag, nobs), n, jobs)
        return fuller_p(stat, count - 1, code)
    lags = lag_rule("short", count - 1)
    over_rows(lambda a, b: phillips_perron(values, indptr, a, b, code, lags, True, stat, rho, nobs), n, jobs)
    return phillips_perron_p(stat, count - 1, code)


def _difference(values: F64, indptr: I64, lag: int) -> F64:
    out = np.empty_like(values)
    difference(values, indptr, 0, len(indptr) - 1, lag, out)
    out.flags.writeable = False
    return out
