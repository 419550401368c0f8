"""From fits of single series to records: the stationarity gate, the end state, the residual check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import place
from forecast.models.baselines import fallback
from forecast.models.certificate import certify, repair
from forecast.models.filtering import end_state
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Family, Form, Records
from forecast.models.residual_tests import whiteness
from forecast.models.sarimax_backend import SarimaxFit, profiled
from forecast.models.triage import Triage
from forecast.types import F64, I32, I64, Status

TRENDS = ("n", "c", "t", "ct")


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


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One series' answer: a fit with its design, or why there is none."""

    fit: SarimaxFit | None
    design: Design
    status: Status = Status.OK
    message: str = ""


def gated(fitted: Fitted, y: F64) -> Fitted:
    """Pull AR factors with poles on the unit circle inside; variance and likelihood follow."""
    fit = fitted.fit
    if fit is None:
        return fitted
    s = np.array([fit.order.s])
    phi, changed = repair(fit.phi[None], np.array([fit.order.p]))
    seasonal, seasonal_changed = repair(fit.seasonal_phi[None], np.array([fit.order.P]), s)
    if not (changed[0] or seasonal_changed[0]):
        return fitted
    inside = profiled(replace(fit, phi=phi[0], seasonal_phi=seasonal[0], cov=None), y, fitted.design.X)
    message = "AR part was on the edge of stationarity: poles pulled inside the unit circle"
    return replace(fitted, fit=inside, status=Status.REPAIRED, message=message)


def fit_rows(
    panel: Panel, found: Triage, fit_one: Callable[[int], Fitted], family: Family, jobs: int
) -> Records:
    """Fit every series that triage lets through; put records and fallbacks together."""
    rows = np.flatnonzero(found.status < Status.GUARDED)
    if jobs > 1 and rows.size > 1:
        with ThreadPoolExecutor(jobs) as pool:
            answers = list(pool.map(fit_one, rows.tolist()))
    else:
        answers = [fit_one(int(row)) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        if answer.fit is None:
            found.reject(np.array([row]), answer.status, answer.message)
    good = [(int(row), answer) for row, answer in zip(rows, answers, strict=True) if answer.fit is not None]
    parts, places = [], []
    if good:
        where = np.array([row for row, _ in good])
        parts.append(arima_records(panel.take(where), [a for _, a in good], where, found, family, jobs))
        places.append(where)
    rest = found.hopeless()
    if rest.size:
        why = {k: found.messages[int(row)] for k, row in enumerate(rest) if int(row) in found.messages}
        parts.append(fallback(panel, rest, found.status[rest], why))
        places.append(rest)
    return place(parts, places, panel.n_series)


def arima_records(
    panel: Panel, answers: Sequence[Fitted], rows: I64, found: Triage, family: Family, jobs: int = 1
) -> Records:
    """Build the records of the series of `panel`, which are `rows` of the triage."""
    fits = [a.fit for a in answers if a.fit is not None]
    orders = [fit.order for fit in fits]
    scale = found.scale[rows]
    status, messages = _verdicts(panel, answers, rows, found)
    records = Records(
        ids=panel.ids, freq=panel.freq, start=panel.start, nobs=panel.lengths.astype(np.int32),
        family=np.full(len(fits), family, dtype=np.uint8),
        form=np.full(len(fits), Form.REGRESSION, dtype=np.uint8), status=status,
        season_length=_ints([o.s for o in orders]),
        p=_ints([o.p for o in orders]), d=_ints([o.d for o in orders]), q=_ints([o.q for o in orders]),
        P=_ints([o.P for o in orders]), D=_ints([o.D for o in orders]), Q=_ints([o.Q for o in orders]),
        phi=_matrix([f.phi for f in fits]), theta=_matrix([f.theta for f in fits]),
        seasonal_phi=_matrix([f.seasonal_phi for f in fits]),
        seasonal_theta=_matrix([f.seasonal_theta for f in fits]),
        const=_term(answers, "c"), slope=_term(answers, "t"), beta=_betas(answers, len(panel.exog)),
        exog=tuple(ExogTerm(name) for name in panel.exog),
        sigma2=np.array([f.sigma2 for f in fits]), loglik=np.array([f.loglik for f in fits]),
        n_params=_ints([f.n_params for f in fits]), n_used=_ints([f.n_used for f in fits]),
        levels=np.zeros((len(fits), 1)), scale=scale, messages=messages,
        param_cov={i: f.cov for i, f in enumerate(fits) if f.cov is not None},
    )  # fmt: skip
    return _finished(records, panel, jobs)


def _finished(records: Records, panel: Panel, jobs: int) -> Records:
    """Add the certificate, the partial autocorrelations of the MA factors, end state and residual check."""
    gate = certify(records.phi, records.p, records.seasonal_phi, records.P, records.season_length, jobs)
    # 1 + theta_1 L + ... is the polynomial whose "AR" coefficients are -theta.
    ma = certify(-records.theta, records.q, -records.seasonal_theta, records.Q, records.season_length, jobs)
    levels, shocks, state_cov = end_state(records, panel)
    df = (records.p + records.q + records.P + records.Q).astype(np.int64)
    return replace(
        records, parcor=gate.parcor, seasonal_parcor=gate.seasonal_parcor, margin=gate.margin,
        max_pole=gate.max_pole, theta_parcor=ma.parcor, seasonal_theta_parcor=ma.seasonal_parcor,
        levels=levels, innovations=shocks, state_cov=state_cov,
        ljung_box_p=whiteness(records, panel, df),
    )  # fmt: skip


def _verdicts(
    panel: Panel, answers: Sequence[Fitted], rows: I64, found: Triage
) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], Mapping[int, str]]:
    """Statuses and sentences: what triage found, gaps, columns left out, repairs."""
    status, messages = found.status[rows].copy(), {}
    names = list(panel.exog)
    for i, answer in enumerate(answers):
        said = [found.messages[int(rows[i])]] if int(rows[i]) in found.messages else []
        if found.observed[rows[i]] < panel.lengths[i]:
            status[i] = max(int(status[i]), Status.GAPS)
            said.append("gaps: exact likelihood of what is observed")
        dropped = _dropped(answer, names)
        if dropped:
            status[i] = Status.COLLINEAR_EXOG
            said.append(f"left out as constant or collinear: {', '.join(dropped)}")
        if answer.status != Status.OK:
            status[i] = answer.status
        if answer.message:
            said.append(answer.message)
        if said:
            messages[i] = "; ".join(said)
    return status, messages


def _dropped(answer: Fitted, names: Sequence[str]) -> list[str]:
    if answer.fit is None:
        return []
    columns = list(answer.design.trend) + list(names)
    return [name for name, used in zip(columns, answer.fit.used, strict=True) if not used]


def _term(answers: Sequence[Fitted], name: str) -> F64:
    """(n,) constant ("c") or slope ("t"); 0 where a model lacks it."""
    out = np.zeros(len(answers))
    for i, answer in enumerate(answers):
        column = answer.design.column(name)
        if column is not None and answer.fit is not None:
            out[i] = answer.fit.beta[column]
    return out


def _betas(answers: Sequence[Fitted], k: int) -> F64:
    out = np.zeros((len(answers), k))
    for i, answer in enumerate(answers):
        if k and answer.fit is not None:
            out[i] = answer.fit.beta[-k:]
    return out


def _matrix(rows: Sequence[F64]) -> F64:
    out = np.zeros((len(rows), max((len(row) for row in rows), default=0)))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _ints(values: Sequence[int]) -> I32:
    return np.array(values, dtype=np.int32)
