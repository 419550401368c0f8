"""From fits of single series to records: the stationarity gate, the end state, the residual check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import InputError
from forecast.models.arima_estimates import Estimates
from forecast.models.assemble import place
from forecast.models.baselines import fallback
from forecast.models.certificate import certify, repair
from forecast.models.filtering import end_state
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Family, Form, Records
from forecast.models.residual_tests import whiteness
from forecast.models.sarimax import SarimaxFit, profiled
from forecast.models.triage import Triage
from forecast.types import F64, I64, Bool, Status

TRENDS = ("n", "c", "t", "ct")

# Where a pole on the circle is pulled inside, a root of the MA part that all but cancelled it has to follow,
# or several units of log-likelihood are lost. How far it goes best is found among these sizes, 1 first.
_FOLLOW = 1.0 - np.array([0.0, 1e-3, 2e-3, 3e-3, 5e-3, 7e-3, 1e-2, 1.5e-2, 2e-2, 3e-2])


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Regressors of the mean of one series: constant, slope, then exog in the order of the panel."""

    trend: str
    X: F64
    """(t, k)"""

    def column(self, name: str) -> int | None:
        """Position of "c" or "t", None where the trend lacks it."""
        return self.trend.index(name) if name in self.trend else None


def design(panel: Panel, i: int, trend: str) -> Design:
    """Columns of series `i`; `trend` is one of `TRENDS`."""
    at = slice(panel.indptr[i], panel.indptr[i + 1])
    t = np.arange(1.0, 1.0 + panel.lengths[i])
    columns = [np.ones_like(t)] if "c" in trend else []
    columns += [t] if "t" in trend else []
    columns += [column[at] for column in panel.exog.values()]
    X = np.column_stack(columns) if columns else np.zeros((len(t), 0))
    return Design("" if trend == "n" else trend, X)


def default_trend(d: int, D: int) -> str:
    """Return "c" where nothing is differenced, "n" otherwise."""
    return "c" if d + D == 0 else "n"


def check_trend(trend: str | None, d: int, D: int) -> None:
    """Raise InputError for a trend that does not exist, or that differencing wipes out."""
    if trend is None:
        return
    if trend not in TRENDS:
        raise InputError(f"trend must be None or one of {', '.join(TRENDS)}, got {trend!r}")
    if "c" in trend and d + D > 0:
        raise InputError(
            f"trend={trend!r} has a constant, which d + D = {d + D} differences away; use 't' or 'n'"
        )
    if "t" in trend and d + D > 1:
        raise InputError(f"trend={trend!r} has a slope, which d + D = {d + D} differences away; use 'n'")


def asked(panel: Panel, trend: str) -> Bool:
    """(2 + k,) which of constant, slope and regressors a design has."""
    return np.array(["c" in trend, "t" in trend] + [True] * len(panel.exog))


def records_of(
    panel: Panel, found: Triage, rows: I64, estimates: Estimates, family: Family, jobs: int
) -> Records:
    """Put the records of the fitted rows of a triage and fallbacks for all others together."""
    bad = np.flatnonzero(estimates.status >= Status.GUARDED)
    for i in bad.tolist():
        found.reject(rows[[i]], Status(int(estimates.status[i])), estimates.messages.get(i, ""))
    parts, places = [], []
    good = np.flatnonzero(estimates.status < Status.GUARDED)
    if good.size:
        where, kept = rows[good], estimates.take(good) if bad.size else estimates
        some = panel if len(where) == panel.n_series else panel.take(where)
        parts.append(arima_records(some, _gated(kept, some, found.scale[where]), where, found, family, jobs))
        places.append(where)
    rest = found.hopeless()
    if rest.size:
        why = {k: found.messages[int(row)] for k, row in enumerate(rest) if int(row) in found.messages}
        parts.append(fallback(panel, rest, found.status[rest], why))
        places.append(rest)
    return place(parts, places, panel.n_series)


def _followed(fit: SarimaxFit, y: F64, X: F64, plain: bool, seasonal: bool) -> SarimaxFit | None:
    """Shrink the roots of the MA factors beside repaired AR factors to where the likelihood is highest."""
    best = None
    for size in _FOLLOW.tolist() if len(fit.theta) * plain + len(fit.seasonal_theta) * seasonal else [1.0]:
        theta, Theta = (
            c * size ** np.arange(1, 1 + len(c)) if wanted else c
            for c, wanted in ((fit.theta, plain), (fit.seasonal_theta, seasonal))
        )
        found = profiled(replace(fit, theta=theta, seasonal_theta=Theta), y, X)
        if found is not None and (best is None or found.loglik > best.loglik):
            best = found
    return best


def _gated(estimates: Estimates, panel: Panel, scale: F64) -> Estimates:
    """Pull AR factors with poles on the unit circle inside; MA part, variance and likelihood follow."""
    o = estimates.orders
    phi, changed = repair(estimates.phi, o[:, 0])
    seasonal, seasonal_changed = repair(estimates.seasonal_phi, o[:, 3], o[:, 6])
    rows = np.flatnonzero(changed | seasonal_changed)
    if not rows.size:
        return estimates
    scaled = replace(panel, values=panel.values / np.repeat(scale, panel.lengths))
    sigma2, loglik, n_used = estimates.sigma2.copy(), estimates.loglik.copy(), estimates.n_used.copy()
    status, messages, ended = estimates.status.copy(), dict(estimates.messages), estimates.ended.copy()
    theta, seasonal_theta = estimates.theta.copy(), estimates.seasonal_theta.copy()
    inside = replace(estimates, phi=phi, seasonal_phi=seasonal, cov={})
    for i in rows.tolist():
        trend = "".join(name for name, is_in in zip("ct", estimates.asked[i], strict=False) if is_in) or "n"
        X = design(scaled, i, trend).X
        fit = _followed(inside.fit(i), scaled.series(i), X, bool(changed[i]), bool(seasonal_changed[i]))
        if fit is not None:
            sigma2[i], loglik[i], n_used[i] = fit.sigma2, fit.loglik, fit.n_used
            theta[i, : o[i, 2]], seasonal_theta[i, : o[i, 5]] = fit.theta, fit.seasonal_theta
        status[i], ended[i] = Status.REPAIRED, False
        messages[i] = "AR part was on the edge of stationarity: poles pulled inside the unit circle"
    cov = {i: cov for i, cov in estimates.cov.items() if status[i] != Status.REPAIRED}
    return replace(
        inside, theta=theta, seasonal_theta=seasonal_theta, sigma2=sigma2, loglik=loglik, n_used=n_used,
        status=status, messages=messages, ended=ended, cov=cov,
    )  # fmt: skip


def arima_records(
    panel: Panel, estimates: Estimates, rows: I64, found: Triage, family: Family, jobs: int = 1
) -> Records:
    """Build the records of the series of `panel`, which are `rows` of the triage."""
    n, o = panel.n_series, estimates.orders.astype(np.int32)
    status, messages = _verdicts(panel, estimates, rows, found)
    records = Records(
        ids=panel.ids, freq=panel.freq, start=panel.start, nobs=panel.lengths.astype(np.int32),
        family=np.full(n, family, dtype=np.uint8),
        form=np.full(n, Form.REGRESSION, dtype=np.uint8), status=status,
        p=o[:, 0].copy(), d=o[:, 1].copy(), q=o[:, 2].copy(), P=o[:, 3].copy(), D=o[:, 4].copy(),
        Q=o[:, 5].copy(), season_length=o[:, 6].copy(),
        phi=estimates.phi, theta=estimates.theta,
        seasonal_phi=estimates.seasonal_phi, seasonal_theta=estimates.seasonal_theta,
        const=estimates.beta[:, 0].copy(), slope=estimates.beta[:, 1].copy(),
        beta=estimates.beta[:, 2:].copy(),
        exog=tuple(ExogTerm(name) for name in panel.exog),
        sigma2=estimates.sigma2, loglik=estimates.loglik,
        n_params=estimates.n_params.astype(np.int32), n_used=estimates.n_used.astype(np.int32),
        levels=np.zeros((n, 1)), scale=found.scale[rows], messages=messages, param_cov=estimates.cov,
    )  # fmt: skip
    return _finished(records, panel, estimates, jobs)


def _finished(records: Records, panel: Panel, estimates: Estimates, jobs: int) -> Records:
    """Add the certificate, the partial autocorrelations of the MA factors, end state and residual check."""
    gate = certify(records.phi, records.p, records.seasonal_phi, records.P, records.season_length, jobs)
    # 1 + theta_1 L + ... is the polynomial whose "AR" coefficients are -theta.
    ma = certify(-records.theta, records.q, -records.seasonal_theta, records.Q, records.season_length, jobs)
    errors = np.full(len(panel.values), np.nan)
    levels, shocks, state_cov = end_state(
        records, panel, (estimates.ended, estimates.innovations, estimates.innovation_cov), errors, jobs
    )
    df = (records.p + records.q + records.P + records.Q).astype(np.int64)
    return replace(
        records, parcor=gate.parcor, seasonal_parcor=gate.seasonal_parcor, margin=gate.margin,
        max_pole=gate.max_pole, theta_parcor=ma.parcor, seasonal_theta_parcor=ma.seasonal_parcor,
        levels=levels, innovations=shocks, state_cov=state_cov,
        ljung_box_p=whiteness(records, panel, df, errors, jobs),
    )  # fmt: skip


def _verdicts(
    panel: Panel, estimates: Estimates, rows: I64, found: Triage
) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], Mapping[int, str]]:
    """Statuses and sentences: what triage found, gaps, columns left out, repairs."""
    status, messages = found.status[rows].copy(), {}
    names = np.array(["c", "t", *panel.exog])
    dropped = estimates.asked & ~estimates.used
    gaps = found.observed[rows] < panel.lengths
    said_before = np.array([int(row) in found.messages for row in rows], dtype=np.bool_)
    special = gaps | dropped.any(axis=1) | (estimates.status != Status.OK) | said_before
    for i in np.flatnonzero(special).tolist():
        said = [found.messages[int(rows[i])]] if said_before[i] else []
        if gaps[i]:
            status[i] = max(int(status[i]), Status.GAPS)
            said.append("gaps: exact likelihood of what is observed")
        if dropped[i].any():
            status[i] = Status.COLLINEAR_EXOG
            said.append(f"left out as constant or collinear: {', '.join(names[dropped[i]])}")
        if estimates.status[i] != Status.OK:
            status[i] = estimates.status[i]
        if i in estimates.messages:
            said.append(estimates.messages[i])
        messages[i] = "; ".join(said)
    return status, messages
