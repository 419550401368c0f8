"""Walks of many series in step: every round scores the next candidate of each by one call of a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast.kernels.arima_candidates import Effort, Scores
from forecast.kernels.arima_fit import FITTED
from forecast.models.native_backend import climb
from forecast.models.panel import Panel
from forecast.selection.order_search import Candidate, Trial, Walk
from forecast.types import F64, I64

# Models with roots of phi or theta nearer to the unit circle forecast badly, whatever their likelihood
# (Hyndman and Khandakar, 3.2). They refuse what is at its best there; here it is taken at its best within the
# bound: a season or a level that hardly changes calls for a moving average there, and would have none.
MIN_ROOT = 1.01
# A few steps up from the best start, most often the estimates of a neighbour.
ROUGH = Effort(1, 12, 1e-2, 1.0 / MIN_ROOT, 0.97, False)
# To the top of the best of the likelihood's hills.
EXACT = Effort(3, 40, 1e-4, 1.0 / MIN_ROOT, 0.97, False)
# The chosen one, to the last digit.
FINAL = Effort(1, 150, 1e-9, 1.0 / MIN_ROOT, 1.0, True)
_TRENDS = ("n", "c", "t", "ct")
# Series that are walked in step on one thread: enough to share the cost of a call, few enough to share out.
_BLOCK = 128
_SMALLEST_BLOCK = 8
_ORDERS = ("p", "q", "P", "Q")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What candidates are scored on."""

    panel: Panel
    """Cut to the observed points, in safe units."""
    counts: I64
    """(n,) points with everything observed."""
    d: I64
    D: I64
    s: int
    ic: str
    final: Effort = EXACT
    """How far finalists are maximised."""

    def order(self, i: int, c: Candidate) -> tuple[int, int, int, int, int, int, int]:
        """(p, d, q, P, D, Q, s) of a candidate of series `i`."""
        return c.p, int(self.d[i]), c.q, c.P, int(self.D[i]), c.Q, self.s

    def trend(self, i: int, c: Candidate) -> str:
        """Name the constant of a candidate of series `i`: "c", "t", or "n" where differences leave none."""
        differences = int(self.d[i] + self.D[i])
        return "n" if not c.const or differences > 1 else "ct"[differences]

    def fits(self, i: int, c: Candidate) -> bool:
        """Whether series `i` is long enough for its lags and parameters."""
        k = len(self.panel.exog) + int(self.trend(i, c) != "n")
        return bool(self.counts[i] - self.d[i] - self.s * self.D[i] >= sum(c[:4]) + k + 2)


class Choice(NamedTuple):
    """A candidate that may win, and its point."""

    candidate: Candidate
    point: F64


def rankings(question: Question, rows: I64, walks: Sequence[Walk], jobs: int = 1) -> list[list[Choice]]:
    """Drive the walk of each of `rows` to its end; candidates with finite scores, best first."""
    n = len(rows)
    size = min(max(n // (8 * jobs), _SMALLEST_BLOCK), _BLOCK)
    blocks = [slice(a, min(a + size, n)) for a in range(0, n, size)]

    def work(at: slice) -> list[list[Choice]]:
        return _in_step(question, rows[at].tolist(), walks[at])

    with ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(work, blocks))
    return [ranking for part in parts for ranking in part]


def _in_step(question: Question, rows: Sequence[int], walks: Sequence[Walk]) -> list[list[Choice]]:
    found: list[list[Choice]] = [[] for _ in rows]
    points: list[dict[Candidate, F64]] = [{} for _ in rows]
    asked = {k: next(walk) for k, walk in enumerate(walks)}
    while asked:
        for final in (False, True):
            some = {k: trial for k, trial in asked.items() if trial.final is final}
            if not some:
                continue
            scores = _scored(question, rows, some, points, question.final if final else ROUGH)
            for k, score in zip(some, scores.tolist(), strict=True):
                try:
                    asked[k] = walks[k].send(score)
                except StopIteration as end:
                    found[k] = [Choice(c, points[k][c]) for c in end.value]
                    del asked[k]
    return found


def _scored(
    question: Question,
    rows: Sequence[int],
    asked: dict[int, Trial],
    points: list[dict[Candidate, F64]],
    effort: Effort,
) -> F64:
    """Scores of the candidates that are asked for; their points are kept for those after them."""
    out = np.full(len(asked), np.inf)
    at = [j for j, (k, trial) in enumerate(asked.items()) if question.fits(rows[k], trial.candidate)]
    if not at:
        return out
    ks = list(asked)
    some = [(ks[j], asked[ks[j]]) for j in at]
    orders = np.array([question.order(rows[k], trial.candidate) for k, trial in some], dtype=np.int64)
    trends = np.array([_TRENDS.index(question.trend(rows[k], trial.candidate)) for k, trial in some])
    near = np.full((len(some), max(int(orders[:, [0, 2, 3, 5]].sum(axis=1).max()), 1)), np.nan)
    for row, (k, trial) in zip(near, some, strict=True):
        if trial.near is not None and trial.near in points[k]:
            _place(trial.near, points[k][trial.near], trial.candidate, row)
    series = np.array([rows[k] for k, _ in some], dtype=np.int64)
    # With the fewest regressors that may be kept: the penalty is no smaller, nor is what is needed.
    k = orders[:, [0, 2, 3, 5]].sum(axis=1) + 1
    n = question.counts[series] - question.d[series] - question.s * question.D[series]
    penalty = np.minimum(penalties(n, k, question.ic), np.finfo(float).max)
    needed = penalty / 2.0 - np.array([trial.goal for _, trial in some]) / 2.0
    scores = climb(question.panel, series, orders, trends, near, needed, effort)
    for (k, trial), point, code in zip(some, scores.point, scores.code, strict=True):
        if code == FITTED:
            points[k][trial.candidate] = point[: sum(trial.candidate[:4])].copy()
    out[at] = _criteria(scores, orders, question.ic)
    return out


def _place(source: Candidate, point: F64, target: Candidate, out: F64) -> None:
    """Write the point of one model as one of another: orders that it lacks are zero."""
    first = at = 0
    out[: sum(target[:4])] = 0.0
    for name in _ORDERS:
        have, want = getattr(source, name), getattr(target, name)
        out[at : at + min(have, want)] = point[first : first + min(have, want)]
        first, at = first + have, at + want


def _criteria(scores: Scores, orders: I64, ic: str) -> F64:
    penalty = penalties(scores.n_used, orders[:, [0, 2, 3, 5]].sum(axis=1) + scores.n_regressors + 1, ic)
    value = penalty - 2.0 * scores.loglik
    return np.where((scores.code == FITTED) & np.isfinite(value), value, np.inf)


def penalties(n: I64, k: I64, ic: str) -> F64:
    """Penalty of a criterion for k parameters and n observations; infinite where AICc has no meaning."""
    if ic == "aicc":
        room = np.maximum(n - k - 1, 1)
        return np.where(n > k + 1, 2.0 * k + 2.0 * k * (k + 1) / room, np.inf)
    log_n = np.log(np.maximum(n, 2))
    each = {"aic": np.full(len(n), 2.0), "bic": log_n, "hqic": 2.0 * np.log(np.maximum(log_n, 1.0))}
    value: F64 = k * each[ic]
    return value
