"""Champion and challenger from the same origins: what each forecast, and what came true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from scipy.special import ndtr

from forecast.models.assemble import take
from forecast.models.certificate import certify
from forecast.models.filtering import advance
from forecast.models.forecasting import Forecasts, forecast
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.soundness import state_sizes
from forecast.models.spec import Model
from forecast.selection.backtest import cut
from forecast.selection.challenge_windows import Windows, choose, contenders, last_change, windows_at
from forecast.types import F64, I64, Bool, Status


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where the origins of the series of a panel lie: `k` of them, `paths * h` points apart, to the end."""

    origins: I64
    """(k, n) points before each origin, the earliest first."""
    there: Bool
    """(k, n) whether the origin lies after what the champion was fitted to."""
    h: int
    """Points of a path; no two paths of a series overlap."""
    paths: int
    """Paths that follow one another from each origin, both forecasters moved on between them."""
    warm: int
    """First origins, which only show which window is the best: they are no part of what is tested."""


@dataclass(slots=True, eq=False)
class Scored:
    """Errors of one forecaster: (k, n) by origin and series, means over its paths; NaN where none are."""

    loss: F64
    """Mean absolute error over the path, in units of the champion's one-step standard deviation."""
    interval: F64
    """Interval score (Gneiting and Raftery 2007, eq. 43), in the same units."""
    crps: F64
    """Of a normal distribution with this mean and interval (eq. 21 there), in the same units: by it windows
    are chosen, for it knows of the spread as well as of the mean."""
    inside: F64
    count: F64

    def drop(self, first: int) -> None:
        """Forget the first origins."""
        for name in ("loss", "interval", "crps", "inside", "count"):
            setattr(self, name, getattr(self, name)[first:])


@dataclass(slots=True, eq=False)
class Rounds:
    """What the origins showed."""

    champion: Scored
    challenger: Scored
    window: I64
    """(k, n) candidate that was chosen at each origin, -1 where there was none."""
    final: Windows
    """Candidates at the end of the series."""
    chosen: I64
    """(n,) candidate to fit to all data."""
    unsound: dict[int, str] = field(default_factory=dict)
    """Series whose challenger could not forecast from some origin, and why."""

    def drop(self, warm: int) -> None:
        """Forget the first origins, which only taught which window to choose."""
        self.champion.drop(warm)
        self.challenger.drop(warm)
        self.window = self.window[warm:]


def play(
    panel: Panel,
    champion: Records,
    z: F64,
    after: I64,
    model: Model,
    plan: Plan,
    sizes: Sequence[int],
    level: float,
    jobs: int,
    tell: Callable[[int, int], None],
) -> Rounds:
    """Forecast from every origin with the champion, moved on, and with a challenger fitted to its past.

    Parameters
    ----------
    champion
        Records of the series of `panel`, which end at points `after` (n,).
    z
        (N,) standardised innovations of the champion, NaN before `after`.
    sizes
        Points of the windows that are tried beside all of the past and what came since a change.
    """
    k, n = plan.origins.shape
    losses = np.full((k, 2 + len(sizes), n), np.nan)
    found = np.full((k, n), -1, dtype=np.int64)
    final = windows_at(panel.lengths, _changes(panel, z, after, panel.lengths), sizes)
    rounds = Rounds(_empty(k, n), _empty(k, n), found.copy(), final, np.zeros(n, dtype=np.int64))
    at, scale = after.copy(), np.full(n, np.nan)
    for r in range(k):
        active = np.flatnonzero(plan.there[r])
        origin = plan.origins[r]
        goal = np.where(plan.there[r], origin, at)
        champion, at = advance(champion, cut(panel, np.arange(n), at, goal)), goal
        mine = take(champion, active)
        unit = _unit(panel, mine, active, origin, level)
        scale[active] = np.where(np.isnan(scale[active]), unit, scale[active])
        _follow(rounds.champion, r, mine, panel, active, origin, plan, level, jobs, scale)
        found[r, active] = _changes(panel, z, after, origin)[active]
        windows = windows_at(origin, found[r], sizes)
        race = contenders(losses[:r], windows.there, found[r], found[:r])
        scores = _try(panel, model, windows, race, active, plan, r, level, jobs, scale)
        losses[r] = [scored.crps[0] for scored in scores]
        pick = choose(losses[:r], windows.there & ~np.isnan(losses[r]), found[r], found[:r])
        _take(rounds, r, scores, pick, active)
        if r >= plan.warm:
            _note_blind(rounds, r, losses[r, pick[active], active], active, origin)
        tell(r + 1, k + 1)
    rounds.chosen = choose(losses, final.there, final.since, found)
    rounds.drop(plan.warm)
    return rounds


def _note_blind(rounds: Rounds, r: int, loss: F64, active: I64, origin: I64) -> None:
    """Note series of which the champion forecast from an origin and no challenger did."""
    blind = active[np.isnan(loss) & ~np.isnan(rounds.champion.loss[r, active])]
    for i in blind.tolist():
        rounds.unsound.setdefault(i, f"no challenger could be fitted to its first {int(origin[i])} points")


def sound(records: Records) -> tuple[Bool, dict[int, str]]:
    """(n,) which records can be published, and why the others cannot."""
    passed = certify(records.phi, records.p, records.seasonal_phi, records.P, records.season_length).passed
    sizes, _ = state_sizes(records)
    needed = np.arange(records.levels.shape[1]) < sizes[:, None]
    finite = np.isfinite(np.where(needed, records.levels, 0.0)).all(axis=1) & np.isfinite(records.sigma2)
    finite &= np.isfinite(records.phi).all(axis=1) & np.isfinite(records.const)
    fitted = records.status <= Status.GUARDED
    reasons: dict[int, str] = {}
    for i in np.flatnonzero(~(passed & finite & fitted)).tolist():
        status = Status(int(records.status[i]))
        if not fitted[i]:
            told = records.messages.get(i, "")
            reasons[i] = f"the challenger is no model ({status.name.lower()}{': ' if told else ''}{told})"
        elif not finite[i]:
            reasons[i] = "the challenger is not finite"
        else:
            reasons[i] = (
                f"the challenger is not stationary: margin {records.margin[i]:.3g}, "
                f"largest pole {records.max_pole[i]:.6g}"
            )
    return passed & finite & fitted, reasons


def _changes(panel: Panel, z: F64, after: I64, ends: I64) -> I64:
    """(n,) points at which the changes began that are seen at the points `ends`, -1 where none is."""
    out = np.full(panel.n_series, -1, dtype=np.int64)
    for i in range(panel.n_series):
        if ends[i] > after[i]:
            began = last_change(z[panel.indptr[i] + after[i] : panel.indptr[i] + ends[i]])
            out[i] = after[i] + began if began >= 0 else -1
    return out


def _try(
    panel: Panel, model: Model, windows: Windows, race: Bool, active: I64, plan: Plan, r: int, level: float,
    jobs: int, scale: F64,
) -> list[Scored]:  # fmt: skip
    """Fit every candidate that is in the race to the past of the active series, and score it."""
    out, origin = [], plan.origins[r]
    for first, there in zip(windows.first, race, strict=True):
        scored = _empty(1, panel.n_series)
        rows = active[there[active]]
        if len(rows):
            records = model.fit(cut(panel, rows, first[rows], origin[rows]), jobs)
            fine, _ = sound(records)
            kept = rows[fine]
            if len(kept):
                able = take(records, np.flatnonzero(fine))
                _follow(scored, 0, able, panel, kept, origin, plan, level, jobs, scale)
        out.append(scored)
    return out


def _follow(
    to: Scored, r: int, records: Records, panel: Panel, rows: I64, origin: I64, plan: Plan, level: float,
    jobs: int, scale: F64,
) -> None:  # fmt: skip
    """Forecast the paths after an origin, moving the records on from one to the next; keep the means."""
    each = _empty(plan.paths, panel.n_series)
    at = origin[rows]
    for q in range(plan.paths):
        if q:
            records = advance(records, cut(panel, rows, at, at + plan.h))
            at = at + plan.h
        ahead = _ahead(records, panel, rows, at, plan.h, level, jobs)
        truth = panel.values[_points(panel, rows, at, plan.h)]
        _put(each, q, rows, ahead, truth, scale[rows], level)
    for name in ("loss", "interval", "crps"):
        getattr(to, name)[r, rows] = _column_means(getattr(each, name)[:, rows])
    to.inside[r, rows], to.count[r, rows] = each.inside[:, rows].sum(axis=0), each.count[:, rows].sum(axis=0)


def _column_means(values: F64) -> F64:
    """(n,) means of (m, n) values over what is no NaN; NaN where all are."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=0)
    return np.where(count > 0, np.where(seen, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _take(rounds: Rounds, r: int, scores: Sequence[Scored], pick: I64, active: I64) -> None:
    """Note for round `r` which candidate each series got, and what it scored."""
    rounds.window[r, active] = pick[active]
    for name in ("loss", "interval", "crps", "inside", "count"):
        table = np.stack([getattr(scored, name)[0] for scored in scores])
        getattr(rounds.challenger, name)[r, active] = table[pick[active], active]


def _ahead(
    records: Records, panel: Panel, rows: I64, origin: I64, h: int, level: float, jobs: int
) -> Forecasts:
    points = _points(panel, rows, origin, h)
    exog = {name: column[points] for name, column in panel.exog.items()} or None
    return forecast(records, h, (level,), exog, jobs)


def _points(panel: Panel, rows: I64, origin: I64, h: int) -> I64:
    points: I64 = (panel.indptr[rows] + origin)[:, None] + np.arange(h)
    return points


def _unit(panel: Panel, records: Records, rows: I64, origin: I64, level: float) -> F64:
    """(m,) one-step standard deviation that the champion says, in units of y; 1 where it says none."""
    ahead = _ahead(records, panel, rows, origin[rows], 1, level, 1)
    sd = (ahead.hi[:, 0, 0] - ahead.lo[:, 0, 0]) / _reach(level)
    return np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)


def _reach(level: float) -> float:
    """Width of an interval of a normal distribution, in standard deviations."""
    return 2.0 * NormalDist().inv_cdf(0.5 + level / 200.0)


def _crps(error: F64, sd: F64) -> F64:
    """CRPS of N(0, sd^2) at `error`; without a spread the absolute error."""
    some = np.where(sd > 0, sd, 1.0)
    w = error / some
    crps = some * (
        w * (2.0 * ndtr(w) - 1.0) + np.exp(-w * w / 2.0) * np.sqrt(2.0 / np.pi) - 1.0 / np.sqrt(np.pi)
    )
    return np.where(sd > 0, crps, np.abs(error))


def _empty(k: int, n: int) -> Scored:
    loss, interval, crps = (np.full((k, n), np.nan) for _ in range(3))
    return Scored(loss, interval, crps, np.zeros((k, n)), np.zeros((k, n)))


def _put(to: Scored, r: int, rows: I64, ahead: Forecasts, truth: F64, scale: F64, level: float) -> None:
    lo, hi = ahead.lo[:, 0], ahead.hi[:, 0]
    seen = ~np.isnan(truth)
    count = seen.sum(axis=1).astype(np.float64)
    usable = (count > 0) & np.isfinite(ahead.mean).all(axis=1) & np.isfinite(hi - lo).all(axis=1)
    per = np.where(usable, count, np.nan) * scale
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.where(seen, np.abs(truth - ahead.mean), 0.0).sum(axis=1) / per
        outside = np.maximum(lo - truth, 0.0) + np.maximum(truth - hi, 0.0)
        width = (hi - lo) + 2.0 / (1.0 - level / 100.0) * outside
        interval = np.where(seen, width, 0.0).sum(axis=1) / per
        crps = np.where(seen, _crps(truth - ahead.mean, (hi - lo) / _reach(level)), 0.0).sum(axis=1) / per
    to.crps[r, rows] = np.where(np.isfinite(crps), crps, np.nan)
    to.loss[r, rows] = np.where(np.isfinite(error), error, np.nan)
    to.interval[r, rows] = np.where(np.isfinite(interval), interval, np.nan)
    hits = (seen & (lo <= truth) & (truth <= hi)).sum(axis=1)
    to.inside[r, rows] = np.where(usable, hits, 0.0)
    to.count[r, rows] = np.where(usable, count, 0.0)
