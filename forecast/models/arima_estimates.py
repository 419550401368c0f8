"""Estimates of a panel of regressions with ARIMA errors, a struct of arrays, whichever backend made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from forecast.models.sarimax import Order, SarimaxFit
from forecast.types import F64, I64, U8, Bool, Status


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """What n series were fitted by; matrices are zero-padded to the widest."""

    orders: I64
    """(n, 7) p, d, q, P, D, Q, s."""
    phi: F64
    theta: F64
    seasonal_phi: F64
    seasonal_theta: F64
    beta: F64
    """(n, 2 + k) constant, slope, regressors; 0 for those left out and those that a model lacks."""
    used: Bool
    """(n, 2 + k)"""
    asked: Bool
    """(n, 2 + k) columns of the design, the used ones among them."""
    sigma2: F64
    loglik: F64
    n_used: I64
    cov: dict[int, F64]
    """By row: of the used beta, then phi."""
    status: U8
    """(n,) `Status.OK`, one that falls back, or one to be shown."""
    messages: dict[int, str]
    innovations: F64
    """(n, largest q + s Q) the last ones, newest first, of the rows in `ended`."""
    innovation_cov: dict[int, F64]
    """By row: their covariance where they are not known exactly."""
    ended: Bool = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """(n,) rows whose last innovations are here."""

    @property
    def n_params(self) -> I64:
        """(n,) with sigma2."""
        count: I64 = self.orders[:, [0, 2, 3, 5]].sum(axis=1) + self.used.sum(axis=1) + 1
        return count

    def order(self, i: int) -> Order:
        """Return the orders of row `i`."""
        return Order(*self.orders[i].tolist())

    def fit(self, i: int) -> SarimaxFit:
        """Row `i` by itself; beta of the columns that were asked for."""
        o, columns = self.order(i), np.flatnonzero(self.asked[i])
        return SarimaxFit(
            o, self.phi[i, : o.p].copy(), self.theta[i, : o.q].copy(), self.seasonal_phi[i, : o.P].copy(),
            self.seasonal_theta[i, : o.Q].copy(), self.beta[i, columns], float(self.sigma2[i]),
            float(self.loglik[i]), int(self.n_used[i]), self.cov.get(i), self.used[i, columns], True,
        )  # fmt: skip

    def take(self, rows: I64) -> Estimates:
        """Return the estimates of some rows."""
        return Estimates(
            self.orders[rows], self.phi[rows], self.theta[rows], self.seasonal_phi[rows],
            self.seasonal_theta[rows], self.beta[rows], self.used[rows], self.asked[rows],
            self.sigma2[rows], self.loglik[rows], self.n_used[rows],
            {k: self.cov[int(row)] for k, row in enumerate(rows) if int(row) in self.cov},
            self.status[rows],
            {k: self.messages[int(row)] for k, row in enumerate(rows) if int(row) in self.messages},
            self.innovations[rows],
            {k: self.innovation_cov[int(i)] for k, i in enumerate(rows) if int(i) in self.innovation_cov},
            self.ended[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One series' answer: a fit, or why there is none."""

    fit: SarimaxFit | None
    asked: Bool
    """(2 + k,) columns of its design among constant, slope, regressors."""
    status: Status = Status.OK
    message: str = ""


def stacked(answers: Sequence[Fitted]) -> Estimates:
    """Put single answers into one struct; rows without a fit are zero."""
    n, width = len(answers), len(answers[0].asked) if answers else 2
    beta, used = np.zeros((n, width)), np.zeros((n, width), dtype=np.bool_)
    orders, fits = np.zeros((n, 7), dtype=np.int64), [answer.fit for answer in answers]
    for i, answer in enumerate(answers):
        if answer.fit is not None:
            o = answer.fit.order
            orders[i] = o.p, o.d, o.q, o.P, o.D, o.Q, o.s
            beta[i, answer.asked], used[i, answer.asked] = answer.fit.beta, answer.fit.used
    return Estimates(
        orders, _matrix([f.phi if f else np.zeros(0) for f in fits]),
        _matrix([f.theta if f else np.zeros(0) for f in fits]),
        _matrix([f.seasonal_phi if f else np.zeros(0) for f in fits]),
        _matrix([f.seasonal_theta if f else np.zeros(0) for f in fits]),
        beta, used, np.array([a.asked for a in answers], dtype=np.bool_).reshape(n, width),
        np.array([f.sigma2 if f else np.nan for f in fits]),
        np.array([f.loglik if f else np.nan for f in fits]),
        np.array([f.n_used if f else 0 for f in fits], dtype=np.int64),
        {i: f.cov for i, f in enumerate(fits) if f is not None and f.cov is not None},
        np.array([a.status for a in answers], dtype=np.uint8),
        {i: a.message for i, a in enumerate(answers) if a.message},
        np.zeros((n, 0)), {}, np.zeros(n, dtype=np.bool_),
    )  # fmt: skip


def _matrix(rows: Sequence[F64]) -> F64:
    out = np.zeros((len(rows), max((len(row) for row in rows), default=0)))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
