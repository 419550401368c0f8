"""Rolling origins inside the training data: how a candidate would have done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecast.models.forecasting import forecast
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import F64, I64, Bool

# Half-width of a 95 % interval in standard deviations.
_Z95: Final = 1.959963984540054

# A candidate is fitted to the panel cut at an origin; `ok` says for which series that worked.
Fit = Callable[[Panel], tuple[Records, Bool]]


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """Where the series of a panel are cut, and how far ahead is looked from there."""

    cuts: I64
    """(n_windows, n) points before each origin, latest first; 0 where a series is too short for it."""
    horizon: I64
    """(n,) steps that count; 0 for series that are never cut."""


def place_origins(panel: Panel, h: int, n_windows: int, shortest: int) -> Origins:
    """Spread origins over the end of each series.

    The horizon is `h`, or a fifth of a shorter series. The origins cover the last third of the series, at
    least half a horizon apart, so that one regime does not decide; none leaves fewer than `shortest`
    observed points or less than half the series to fit to.
    """
    lengths = panel.lengths
    horizon = np.maximum(np.minimum(h, lengths // 5), 1)
    step = np.maximum(np.maximum(horizon // 2, (lengths // 3 - horizon) // n_windows), 1)
    cuts = lengths - horizon - np.arange(n_windows)[:, None] * step
    cuts = np.where(cuts >= np.maximum(shortest, lengths // 2), cuts, 0)
    seen = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
    observed = seen[panel.indptr[:-1] + cuts] - seen[panel.indptr[:-1]]
    cuts = np.where(observed >= shortest, cuts, 0)
    return Origins(cuts, np.where((cuts > 0).any(axis=0), horizon, 0))


@dataclass(slots=True, eq=False)
class Scores:
    """Out-of-sample errors of one candidate."""

    mae: F64
    """(n,) mean absolute error over all windows and steps, units of y; inf where it could not be fitted."""
    z2: F64
    """(n,) sum of squared standardised errors."""
    inside: F64
    """(n,) number of points inside their 95 % interval."""
    count: I64
    """(n,) points scored."""


def score(fit: Fit, panel: Panel, origins: Origins, h: int, jobs: int = 1) -> Scores:
    """Fit a candidate at every origin and score its forecasts; no point after an origin is seen there."""
    n = panel.n_series
    total, z2, inside = np.zeros(n), np.zeros(n), np.zeros(n)
    count = np.zeros(n, dtype=np.int64)
    failed = np.zeros(n, dtype=np.bool_)
    for cuts in origins.cuts:
        rows = np.flatnonzero(cuts > 0)
        if not rows.size:
            continue
        whole = panel if len(rows) == n else panel.take(rows)
        records, ok = fit(whole.head(cuts[rows]))
        where = _following(whole, cuts[rows], h)
        exog = {name: column[where] for name, column in whole.exog.items()}
        ahead = forecast(records, h, levels=(95,), exog=exog, jobs=jobs)
        beyond = np.arange(h) >= origins.horizon[rows, None]
        for column in exog.values():  # past a missing regressor nothing can be forecast
            beyond |= np.maximum.accumulate(np.isnan(column), axis=1)
        actual = np.where(beyond, np.nan, whole.values[where])
        seen = ~np.isnan(actual)
        error = np.where(seen, actual - ahead.mean, 0.0)
        total[rows] += np.abs(error).sum(axis=1)
        width = (ahead.hi[:, 0] - ahead.lo[:, 0]) / (2 * _Z95)
        with np.errstate(divide="ignore", invalid="ignore"):
            z2[rows] += np.where(seen, np.square(error / width), 0.0).sum(axis=1)
        inside[rows] += (seen & (actual >= ahead.lo[:, 0]) & (actual <= ahead.hi[:, 0])).sum(axis=1)
        count[rows] += seen.sum(axis=1)
        failed[rows] |= ~ok
    with np.errstate(divide="ignore", invalid="ignore"):
        mae = np.where(failed | (count == 0) | ~np.isfinite(total), np.inf, total / count)
    return Scores(mae, z2, inside, count)


def _following(panel: Panel, cuts: I64, h: int) -> I64:
    """(n, h) positions of the points after each cut; past the end, of the last point."""
    where: I64 = panel.indptr[:-1, None] + cuts[:, None] + np.arange(h)
    return np.minimum(where, panel.indptr[1:, None] - 1)
