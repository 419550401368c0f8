"""Pruning of a batch of series whose equations have the same shape."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge.prune.eligible import dense, too_few
from edge.prune.elimination import Path, bic_drops, eliminate
from edge.prune.history import History
from edge.prune.moments import regression_rows, solve
from edge.prune.refit import Refit, inside, refit
from edge.prune.validation import LEAST_ORIGINS, Windows, first_validated, loss, origins, windows
from forecast.types import F64, I64, Bool


@dataclass(slots=True, eq=False)
class Outcome:
    """What became of the series of a batch, by position in it."""

    fits: dict[int, Refit] = field(default_factory=dict)
    moved: dict[int, bool] = field(default_factory=dict)
    """True where poles had to be pulled inside."""
    rise: dict[int, float] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Batch:
    past: list[History]
    where: I64
    """(S,) position of the series in what `prune_batch` was given."""
    full: F64
    """(S, k + 1, k + 1) cross products of all rows."""
    head: F64
    """The same of the rows before the validated part."""
    n: I64
    starts: list[I64]

    def take(self, rows: I64) -> _Batch:
        return _Batch(
            [self.past[int(i)] for i in rows], self.where[rows], self.full[rows], self.head[rows],
            self.n[rows], [self.starts[int(i)] for i in rows],
        )  # fmt: skip


def prune_batch(past: list[History], horizon: int, max_rise: float) -> Outcome:
    """Choose lags for series with equal numbers of regressors and lags, and equal largest lag."""
    out = Outcome()
    batch = _gather(past, horizon, out)
    if batch is None:
        return out
    f = batch.past[0].z.shape[1]
    path = eliminate(batch.full, f)
    drops = np.where(path.sound, bic_drops(path, batch.n), 0)
    _reject(out, batch.where, ~path.sound, "its lags or regressors are linear in each other")
    _reject(out, batch.where, path.sound & (drops == 0), "the BIC wants every lag")
    rows = np.flatnonzero(drops > 0)
    if rows.size:
        kept = Path(path.dropped_at[rows], path.rss[rows], path.sound[rows])
        _Guard(batch.take(rows), kept, drops[rows], horizon, max_rise, out).walk()
    return out


def _gather(past: list[History], horizon: int, out: Outcome) -> _Batch | None:
    """Cross products of the series that have enough rows and windows; reasons for the others."""
    where, full, head, n, starts = [], [], [], [], []
    for i, history in enumerate(past):
        rows, p = regression_rows(history, history.lags), int(history.lags.max())
        before = int(np.searchsorted(rows.time, first_validated(len(history.v), horizon)))
        why = too_few(before, rows.x.shape[1])
        at = origins(history, p, horizon)
        if not why and len(at) < LEAST_ORIGINS:
            why = f"{len(at)} validation windows without a gap, needs {LEAST_ORIGINS}"
        if why:
            out.reasons[i] = f"too short: {why}"
            continue
        tail = rows.products(slice(before, None))
        where.append(i)
        head.append(rows.products(slice(before)))
        full.append(head[-1] + tail)
        n.append(len(rows.y))
        starts.append(at)
    if not where:
        return None
    return _Batch(
        [past[i] for i in where], np.array(where), np.stack(full), np.stack(head), np.array(n), starts
    )


class _Guard:
    """Walks every series back along its path until its forecasts are as good as before."""

    def __init__(
        self, batch: _Batch, path: Path, drops: I64, horizon: int, max_rise: float, out: Outcome
    ) -> None:
        self.batch, self.path, self.drops, self.out = batch, path, drops.copy(), out
        self.f, self.p = batch.past[0].z.shape[1], int(batch.past[0].lags.max())
        self.lags = np.stack([history.lags for history in batch.past])
        self.seen = windows(batch.past, batch.starts, self.p, horizon)
        everything = np.arange(len(drops))
        b = np.stack([history.b for history in batch.past])
        phi = np.stack([history.phi for history in batch.past])
        self.of_record = loss(self.seen, dense(self.lags, phi, self.p), b) * (1.0 + max_rise)
        self.unpruned = self._ahead(everything, np.zeros(len(drops), dtype=np.int64))
        self.limit = self.unpruned * (1.0 + max_rise)

    def walk(self) -> None:
        """Accept the sparsest fits that pass; what is walked back to all lags is left alone."""
        active = np.flatnonzero(np.isfinite(self.unpruned))
        _reject(
            self.out, self.batch.where, ~np.isfinite(self.unpruned), "its unpruned fit forecasts no number"
        )
        while active.size:
            ahead = self._ahead(active, self.drops[active])
            good = ahead <= self.limit[active]
            rows = active[good]
            accepted = self._final(rows) if rows.size else np.zeros(0, dtype=np.bool_)
            for i, value in zip(rows[accepted].tolist(), ahead[good][accepted].tolist(), strict=True):
                self.out.rise[int(self.batch.where[i])] = value / float(self.unpruned[i]) - 1.0
            self._forget(rows[~accepted])
            active = np.concatenate([active[~good], rows[~accepted]])
            self.drops[active] -= 1
            back = self.drops[active] == 0
            _reject(self.out, self.batch.where[active], back, "with fewer lags it forecasts worse")
            active = np.sort(active[~back])

    def _ahead(self, rows: I64, drops: I64) -> F64:
        """(rows,) loss on the validated part of fits on what comes before it."""
        keep = Path(self.path.dropped_at[rows], self.path.rss[rows], self.path.sound[rows]).keep(drops)
        stays = np.ones((len(rows), self.f), dtype=np.bool_)
        fit = solve(self.batch.head[rows], np.concatenate([stays, keep], axis=1))
        phi = dense(self.lags[rows], fit.coef[:, self.f :], self.p)
        value = loss(self._windows(rows), phi, fit.coef[:, : self.f])
        return np.where(fit.sound, value, np.inf)

    def _final(self, rows: I64) -> Bool:
        """(rows,) whether the fit on all data is no worse than the record it replaces."""
        keep = self.path.dropped_at[rows] > self.drops[rows, None]
        fits = [refit(self.batch.past[int(i)], self.lags[i][keep[j]], self.p) for j, i in enumerate(rows)]
        fits, moved = inside(fits)
        phi, b = np.stack([fit.phi for fit in fits]), np.stack([fit.b for fit in fits])
        value = loss(self._windows(rows), phi, b)
        limit = self.of_record[rows] * self._advantage(fits)
        good: Bool = np.array([fit.sound for fit in fits]) & (value <= limit)
        for j, i in enumerate(rows.tolist()):
            at = int(self.batch.where[i])
            self.out.fits[at], self.out.moved[at] = fits[j], bool(moved[j])
        return good

    def _advantage(self, fits: list[Refit]) -> F64:
        """(fits,) how much better more coefficients fit, by chance alone, windows that they have seen.

        A residual sum of squares is sigma^2 (n - k) on average.
        """
        n, k = np.array([fit.n for fit in fits]), np.array([len(fit.products) - 1 for fit in fits])
        before = self.batch.full.shape[1] - 1
        return np.asarray(np.sqrt((n - k) / (n - before).clip(1)), dtype=np.float64)

    def _forget(self, rows: I64) -> None:
        for i in self.batch.where[rows].tolist():
            del self.out.fits[i], self.out.moved[i]

    def _windows(self, rows: I64) -> Windows:
        return self.seen if len(rows) == len(self.drops) else self.seen.take(rows)


def _reject(out: Outcome, where: I64, found: Bool, text: str) -> None:
    out.reasons.update(dict.fromkeys(where[found].tolist(), text))
