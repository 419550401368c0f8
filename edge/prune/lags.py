"""Lag subsets: backward elimination, BIC, a guard on real forecasts."""

from __future__ import annotations

import numpy as np

from edge.prune.batch import Outcome, prune_batch
from edge.prune.eligible import by_shape, lag_reasons, with_data
from edge.prune.history import Histories
from edge.prune.pruned import Pruned, nonzero
from edge.prune.rewriting import rewritten, written
from forecast.errors import InputError
from forecast.models.panel import Panel
from forecast.models.records import Form, Records
from forecast.types import I64

# Series computed at once: the windows of 256 are 13 MB at 24 lags and 24 steps.
_BATCH = 256


def prune_lags(
    records: Records, panel: Panel, horizon: int = 24, max_rise: float = 0.005, jobs: int = 1
) -> Pruned:
    r"""Leave out the lags that forecasts do not need, and fit the others again.

    For every series: the lag with the smallest \|t\| goes out again and again (all regressions on one common
    sample); the BIC minimum on that path is tried. Then two guards, on rolling forecasts h = 1..horizon over
    the last fifth of the series. Fitted on what comes before it, the fewer lags must not have an RMSE (mean
    over h) above 1 + `max_rise` times that of all lags. Fitted on everything, they must not exceed the record
    by more than that and what its further coefficients gain by chance. While a guard fails, the path is
    walked back. The final fit is least squares on every complete row; poles that it puts outside the
    stationarity gate are pulled inside by bandwidth expansion, which keeps the zeros.

    Parameters
    ----------
    records
        Any; what cannot be pruned (see `Pruned.reason`) is kept as it is. Constant, slope, season and
        regressors stay in the equation and are fitted again with it; in the REGRESSION form they stay as they
        are.
    panel
        The data that the records were fitted on, found by id; later points are ignored, gaps are left out.
    horizon
        Steps ahead that forecasts are compared on, >= 1.
    max_rise
        Relative rise of the RMSE that is let pass, >= 0. Negative where only better forecasts will do.
    jobs
        Threads for the end state and the residual check.

    Raises
    ------
    InputError
        The frequencies differ, or an argument makes no sense.
    """
    if horizon < 1:
        raise InputError(f"horizon must be 1 or more, got {horizon!r}")
    if not -1.0 < max_rise < np.inf:
        raise InputError(f"max_rise must be a number above -1, such as 0.005, got {max_rise!r}")
    before, reason = nonzero(records.phi), lag_reasons(records)
    data, rows = with_data(records, panel, reason)
    found = _search(data, len(rows), horizon, max_rise)
    for i, text in found.reasons.items():
        reason[rows[i]] = text
    rise = np.full(records.n_series, np.nan)
    chosen = np.array(sorted(found.fits), dtype=np.int64)
    if chosen.size:
        rise[rows[chosen]] = [found.rise[int(i)] for i in chosen]
        part = rewritten(data, chosen, found, jobs)
        records = written(records, rows[chosen], part)
    return Pruned(records, before, nonzero(records.phi), reason, rise)


def _search(data: Histories, n: int, horizon: int, max_rise: float) -> Outcome:
    out = Outcome()
    if not n:
        return out
    phi = data.records.phi
    longest = phi.shape[1] - np.argmax(phi[:, ::-1] != 0, axis=1)
    for group in by_shape(_regressors(data.records), nonzero(phi), longest):
        for first in range(0, len(group), _BATCH):
            _one(data, group[first : first + _BATCH], horizon, max_rise, out)
    return out


def _regressors(records: Records) -> I64:
    """(n,) coefficients beside the lags that the equation of v estimates."""
    count = (
        (records.const != 0).astype(np.int64)
        + (records.slope != 0)
        + nonzero(records.seasonal)
        + nonzero(records.beta)
    )
    return np.where(records.form == Form.CONDITIONAL, count, 0)


def _one(data: Histories, rows: I64, horizon: int, max_rise: float, out: Outcome) -> None:
    past = [data.of(int(i), horizon) for i in rows]
    found = prune_batch(past, horizon, max_rise)
    for name in ("fits", "moved", "rise", "reasons"):
        getattr(out, name).update({int(rows[i]): value for i, value in getattr(found, name).items()})
