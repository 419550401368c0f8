"""The baselines every model has to beat, and falls back to: Naive, SeasonalNaive, Drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from forecast.kernels.seasonal_walk import fit_walk
from forecast.models.ar_spec import check_whole
from forecast.models.assemble import place, take
from forecast.models.panel import Panel
from forecast.models.records import Family, Form, Records
from forecast.models.scaling import rescale
from forecast.models.triage import exact_lines
from forecast.types import F64, I32, I64, U8, Status

_WHY: Final = {
    Status.GAPS: "gaps: a step over k points counts as the sum of k steps",
    Status.RESCALED: "values so large or small that they are kept in units of a power of two",
    Status.CONSTANT: "every observed value is the same: the interval has no width",
    Status.TOO_SHORT: "too few points to tell how far the next one may be: no interval",
    Status.ALL_MISSING: "no observed value: nothing to forecast",
}


@dataclass(frozen=True, slots=True)
class Naive:
    """The last value, for ever: ARIMA(0,1,0)."""

    takes_exog: ClassVar[bool] = False
    alias: str = "Naive"

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        return walk(panel, Family.NAIVE)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The value one season ago: ARIMA(0,0,0)(0,1,0)s.

    Parameters
    ----------
    season_length
        s in steps; None: from the frequency, see `default_season_length`. 1 gives the naive forecast.
    """

    takes_exog: ClassVar[bool] = False
    season_length: int | None = None
    alias: str = "SeasonalNaive"

    def __post_init__(self) -> None:
        if self.season_length is not None:
            check_whole("season_length", self.season_length)

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        season = self.season_length or 1
        records = walk(panel, Family.SEASONAL_NAIVE, season)
        short = np.flatnonzero((records.status == Status.TOO_SHORT) & (season > 1))
        if not short.size:
            return records
        why = {
            i: f"no two points one season ({season} steps) apart; naive instead" for i in range(len(short))
        }
        naive = fallback(panel, short, records.status[short], why)
        rest = np.setdiff1d(np.arange(panel.n_series), short)
        return place([take(records, rest), naive], [rest, short], panel.n_series) if rest.size else naive


@dataclass(frozen=True, slots=True)
class Drift:
    """The line through the first and the last value, carried on: ARIMA(0,1,0) with drift."""

    takes_exog: ClassVar[bool] = False
    alias: str = "Drift"

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        return walk(panel, Family.DRIFT)


def fallback(panel: Panel, rows: I64, status: U8, messages: Mapping[int, str]) -> Records:
    """Naive records for `rows` of a panel whose wanted model could not be fitted; drift for exact lines.

    Parameters
    ----------
    status
        (len(rows),) why.
    messages
        Sentences by position within `rows`.
    """
    part = panel.take(rows)
    naive = walk(part, Family.NAIVE, status=status, messages=messages)
    lines = exact_lines(part.values, part.indptr)
    if not lines.any():
        return naive
    drift = walk(part, Family.DRIFT, status=status, messages=messages)
    line, rest = np.flatnonzero(lines), np.flatnonzero(~lines)
    return place([take(drift, line), take(naive, rest)], [line, rest], len(rows)) if rest.size else drift


def walk(
    panel: Panel,
    family: Family,
    season: int = 1,
    status: U8 | None = None,
    messages: Mapping[int, str] | None = None,
) -> Records:
    """Fit one of the baselines to every series of `panel`.

    Values without any observation give a record whose level is NaN, and so are its forecasts; a single
    observation gives a level, but sigma2 = NaN and so no interval. A constant series has sigma2 = 0:
    its interval has no width, which is what the data say.
    """
    n = panel.n_series
    values, scale = rescale(panel)
    levels, age = np.empty((n, season)), np.empty((n, season))
    slope, sigma2, used = np.empty(n), np.empty(n), np.empty(n, dtype=np.int64)
    drift, seasonal = family is Family.DRIFT, family is Family.SEASONAL_NAIVE
    fit_walk(values, panel.indptr, 0, n, season, drift, levels, age, slope, sigma2, used)
    _fill_seasons(levels)
    found = _statuses(panel, scale, levels, sigma2, slope) if status is None else status
    return Records(
        ids=panel.ids,
        freq=panel.freq,
        start=panel.start,
        nobs=panel.lengths.astype(np.int32),
        family=np.full(n, family, dtype=np.uint8),
        form=np.full(n, Form.REGRESSION, dtype=np.uint8),
        status=found,
        season_length=_same(n, season),
        p=_same(n, 0), d=_same(n, 0 if seasonal else 1), q=_same(n, 0),
        P=_same(n, 0), D=_same(n, 1 if seasonal else 0), Q=_same(n, 0),
        phi=np.zeros((n, 0)),
        const=np.zeros(n),
        slope=slope,
        sigma2=sigma2,
        levels=levels,
        state_cov=_unseen(age, sigma2),
        scale=scale,
        loglik=_loglik(sigma2, used),
        n_params=_same(n, 2 if drift else 1),
        n_used=used.astype(np.int32),
        messages=_reasons(panel, found) if messages is None else dict(messages),
    )  # fmt: skip


def _same(n: int, value: int) -> I32:
    return np.full(n, value, dtype=np.int32)


def _fill_seasons(levels: F64) -> None:
    """Give a season never observed the level of the nearest later season that was."""
    for j in range(1, levels.shape[1]):
        levels[:, j] = np.where(np.isnan(levels[:, j]), levels[:, j - 1], levels[:, j])
    for j in range(levels.shape[1] - 2, -1, -1):
        levels[:, j] = np.where(np.isnan(levels[:, j]), levels[:, j + 1], levels[:, j])


def _unseen(age: F64, sigma2: F64) -> dict[int, F64]:
    """Covariance of the levels where the last point of a season is missing: k sigma2 on the diagonal."""
    return {int(i): np.diag(age[i] * sigma2[i]) for i in np.flatnonzero(age.any(axis=1))}


def _statuses(panel: Panel, scale: F64, levels: F64, sigma2: F64, slope: F64) -> U8:
    status = panel.status.copy()
    status[(status == Status.OK) & (scale != 1.0)] = Status.RESCALED
    same = (sigma2 == 0) & (slope == 0) & (levels.max(axis=1) == levels.min(axis=1))
    status[(status < Status.GUARDED) & same] = Status.CONSTANT
    status[(status < Status.GUARDED) & np.isnan(sigma2)] = Status.TOO_SHORT
    status[np.isnan(levels).all(axis=1)] = Status.ALL_MISSING
    return status


def _reasons(panel: Panel, status: U8) -> dict[int, str]:
    """Return a sentence for every series that is not plain; what was found on the way in goes first."""
    found = {int(i): _WHY[Status(status[i])] for i in np.flatnonzero(status) if status[i] in _WHY}
    return found | dict(panel.notes)


def _loglik(sigma2: F64, used: I64) -> F64:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sigma2 > 0, -0.5 * used * (np.log(2 * np.pi * sigma2) + 1.0), np.nan)
