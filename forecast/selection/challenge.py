"""Champion against challenger on shared rolling origins: whether a refit is better, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import take
from forecast.models.chunk import join
from forecast.models.codec import plain_id
from forecast.models.filtering import advance_errors
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.spec import Model
from forecast.selection.backtest import cut
from forecast.selection.challenge_evidence import evidence
from forecast.selection.challenge_folds import Plan, Rounds, play, sound
from forecast.selection.challenge_verdict import BAND, GAIN, Sides, verdict
from forecast.selection.challenge_windows import check_sizes, last_change
from forecast.selection.oos import measured
from forecast.types import F64, I64, Bool

# Of a 95 % interval; of another level the misses may be twice, or a fifth of, what was said.
Band = tuple[float, float]

# Fewer new points than this show nothing that could be significant.
LEAST_NEW: Final = 6
# Paths from one origin: with much new data more of it is used, at no more fits.
_MOST_PATHS: Final = 8
# Of what came since a change this much is left to the first challenger to learn from.
_LEARN: Final = 1 / 3

__all__ = ["BAND", "GAIN", "Challenge", "challenge"]


@dataclass(frozen=True, slots=True, eq=False)
class Challenge:
    """The outcome; `records` is None where nothing is to be published."""

    passed: bool
    reason: str
    """"significant gain", "champion left its coverage band", "the champion has no forecast", or why not."""
    records: Records | None
    """Of the challengers that are sound and stationary: an overlay of the champion."""
    kept: Mapping[str | int, str]
    """Series that stay with the champion, and why."""
    evidence: Mapping[str, Any]
    """Plain JSON values, all finite."""


def challenge(
    panel: Panel,
    champion: Records,
    model: Model,
    *,
    h: int,
    folds: int,
    alpha: float = 0.05,
    band: Band | None = None,
    level: float = 95,
    windows: Sequence[int] | None = None,
    jobs: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Challenge:
    """Judge whether a refit of some series forecasts better than their champion.

    At each of `folds` origins over the data that came after the champion was fitted, the champion is moved on
    without a refit, and a challenger is fitted to what lies before the origin only. Both forecast the points
    up to the next origin, in paths of `h` points, both moved on in between; with little new data there is one
    path an origin, and it is shorter. Paths never overlap. Where most series show a change of level,
    origins begin after it.

    Parameters
    ----------
    panel
        Series that drifted, up to now; it may begin before or after the data of the champion. Its regressors
        are taken as known over a path.
    champion
        Records with the same ids, in any order, and maybe more.
    model
        What is fitted: the champion's specification.
    alpha
        Level of significance of the one-sided test, and of the test of coverage.
    band
        Lowest and highest coverage that is well, as shares; None: from twice the misses of `level` to a
        fifth of them.
    windows
        Points of the windows that are tried beside all of the past and what came since a change; None: 8, 32
        and 128 seasons of at least 4 points. Which one is used is decided by origin and series, by the
        errors at earlier origins.
    seed
        Of the bootstrap.
    progress
        Called after every origin.

    Raises
    ------
    InputError
        An argument is out of range, or the champion knows none of the series.
    """
    _check(h, folds, alpha, band, level)
    sizes = _sizes(model, windows)
    sides = Sides(h, folds, alpha, band or _band(level), level)
    kept: dict[int, str] = {}
    rows, records, after = _comparable(panel, champion, kept)
    if not rows.size:
        return _nothing(panel, kept, sides)
    part = _finite(panel.take(rows))
    z = _innovations(part, records, after)
    plan = _plan(part, z, after, h, folds)
    if plan is None:
        return _too_early(panel, int((part.lengths - after).max()), kept, sides)
    rounds = play(part, records, z, after, model, plan, sizes, level, jobs, progress or _silent)
    for i, why in rounds.unsound.items():
        kept[int(rows[i])] = why
    fit = np.setdiff1d(np.arange(len(rows)), list(rounds.unsound))
    told = verdict(rounds, fit, sides, seed)
    for i, why in told.stay.items():
        kept[int(rows[i])] = why
    fitted = _fit(part, rounds, told.change, model, h, jobs, kept, rows) if told.passed else None
    (progress or _silent)(len(plan.origins) + 1, len(plan.origins) + 1)
    shown = evidence(sides, panel, kept, rows, plan, rounds, fit, told)
    sound_too = told.passed and fitted is not None
    reason = told.reason if sound_too or not told.passed else "no challenger is sound"
    return Challenge(sound_too, reason, fitted, _named(panel, kept), shown)


def _check(h: int, folds: int, alpha: float, band: Band | None, level: float) -> None:
    for name, value, least in (("h", h, 1), ("folds", folds, 2)):
        if value < least:
            raise InputError(f"{name} must be {least} or more, got {value!r}")
    if not 0 < alpha <= 0.5:
        raise InputError(f"alpha must lie in (0, 0.5], got {alpha!r}")
    if not 0 < level < 100:
        raise InputError(f"level must lie between 0 and 100, got {level!r}")
    if band is not None and not 0 <= band[0] < band[1] <= 1:
        raise InputError(f"band must be a lower and a higher share, got {band!r}")


def _sizes(model: Model, windows: Sequence[int] | None) -> tuple[int, ...]:
    if windows is not None:
        return check_sizes(windows)
    season = int(getattr(model, "season_length", None) or 1)
    return check_sizes(tuple(k * max(season, 4) for k in (8, 32, 128)))


def _band(level: float) -> Band:
    miss = 1.0 - level / 100.0
    return max(0.0, 1.0 - 2.0 * miss), 1.0 - miss / 5.0


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def _comparable(panel: Panel, champion: Records, kept: dict[int, str]) -> tuple[I64, Records, I64]:
    """Return the series that can be judged; see `_meet`, `_varied`."""
    rows, records, after = _meet(panel, champion, kept)
    if not rows.size:
        return rows, records, after
    fresh = _varied(panel, rows, after, kept)
    return rows[fresh], take(records, fresh), after[fresh]


def _meet(panel: Panel, champion: Records, kept: dict[int, str]) -> tuple[I64, Records, I64]:
    """Return the series that the champion can be moved on over, its records of them, and where those end."""
    at = {key: i for i, key in enumerate(champion.ids.tolist())}
    known = np.array([i for i, key in enumerate(panel.ids.tolist()) if key in at], dtype=np.int64)
    for i in np.setdiff1d(np.arange(panel.n_series), known).tolist():
        kept[i] = "the champion does not know it"
    if not known.size:
        raise InputError("the champion knows none of the series; ask for series that it holds")
    if champion.freq != panel.freq:
        raise InputError(f"the data are on grid {panel.freq.text!r}, the champion on {champion.freq.text!r}")
    records = take(champion, np.array([at[panel.ids[i]] for i in known], dtype=np.int64))
    following = records.freq.times(records.start, records.nobs.astype(np.int64))
    after, on = panel.freq.positions(following, panel.start[known])
    fine = on & (after >= 0) & (after < panel.lengths[known])
    for j in np.flatnonzero(~fine).tolist():
        row = int(known[j])
        if on[j] and after[j] >= panel.lengths[row]:
            kept[row] = "no data came after the champion was fitted"
        else:
            kept[row] = "the data begin after what the champion was fitted to, or are on another grid"
    _without_holes(panel, known, after, fine, kept)
    rows = np.flatnonzero(fine)
    return known[rows], take(records, rows), after[rows]


def _without_holes(panel: Panel, known: I64, after: I64, fine: Bool, kept: dict[int, str]) -> None:
    """Take out series that miss a regressor: the champion cannot be moved on over that."""
    for j in np.flatnonzero(fine).tolist():
        row = int(known[j])
        new = slice(int(panel.indptr[row] + after[j]), int(panel.indptr[row + 1]))
        for name, column in panel.exog.items():
            missing = int(np.isnan(column[new]).sum())
            if missing:
                fine[j] = False
                kept[row] = f"regressor {name!r} is missing at {missing} points since the champion was fitted"


def _varied(panel: Panel, rows: I64, after: I64, kept: dict[int, str]) -> I64:
    """Return which of `rows` have news: a feed that stands still, or is gone, is no reason to refit."""
    out = []
    for j, row in enumerate(rows.tolist()):
        new = panel.series(row)[int(after[j]) :]
        seen = new[~np.isnan(new)]
        if not len(seen):
            kept[row] = f"all {len(new)} points since the champion was fitted are missing"
        elif len(seen) >= LEAST_NEW and (seen[-LEAST_NEW:] == seen[-1]).all():
            kept[row] = f"its last {LEAST_NEW} values or more are all {seen[-1]:.6g}: look at the feed"
        else:
            out.append(j)
    return np.array(out, dtype=np.int64)


def _finite(panel: Panel) -> Panel:
    """Return `panel` with what is infinite missing: it is no value, and no model is fitted to it."""
    infinite = np.isinf(panel.values)
    return replace(panel, values=np.where(infinite, np.nan, panel.values)) if infinite.any() else panel


def _innovations(panel: Panel, records: Records, after: I64) -> F64:
    """(N,) standardised innovations of the champion since it was fitted, NaN before."""
    everyone = np.arange(panel.n_series)
    news = cut(panel, everyone, after, panel.lengths)
    _, e, f = advance_errors(records, news)
    scale = np.where(np.isfinite(records.oos_scale) & (records.oos_scale > 0), records.oos_scale, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = e / (np.sqrt(f) * np.repeat(scale, news.lengths))
    out = np.full(len(panel.values), np.nan)
    where = np.repeat(panel.indptr[:-1] + after - news.indptr[:-1], news.lengths) + np.arange(len(z))
    out[where] = np.where(np.isfinite(z), z, np.nan)
    return out


def _plan(panel: Panel, z: F64, after: I64, h: int, folds: int) -> Plan | None:
    """Lay the origins over what is new, or over what came since the change that most series show."""
    new = panel.lengths - after
    longest = int(new.max())
    if longest < LEAST_NEW:
        return None
    span = min(folds * h * _MOST_PATHS, longest)
    changed = []
    for i in range(panel.n_series):
        # Of the level only: the spread of real data changes all the time, and is no reason to look at less.
        began = last_change(z[panel.indptr[i] + after[i] : panel.indptr[i + 1]], spread=False)
        if began >= 0:
            changed.append(int(new[i]) - began)
    if 2 * len(changed) >= panel.n_series:
        since = float(np.median(changed))
        span = min(span, max(int(since * (1.0 - _LEARN)), LEAST_NEW))
    path = max(1, min(h, span // folds))
    paths = max(1, min(span // (folds * path), _MOST_PATHS))
    step = path * paths
    k = min(folds, span // step)
    # One more origin to choose windows by, where there are data for it: a first guess is no fair test.
    warm = int((panel.lengths - step * (k + 1) >= after).all())
    origins = panel.lengths[None, :] - step * np.arange(k + warm, 0, -1)[:, None]
    return Plan(origins, origins >= after[None, :], path, paths, warm)


def _fit(
    panel: Panel, rounds: Rounds, fit: I64, model: Model, h: int, jobs: int, kept: dict[int, str], rows: I64
) -> Records | None:  # fmt: skip
    """Fit the challengers to all data of their windows; those that are not sound are kept out."""
    first = rounds.final.first[rounds.chosen, np.arange(panel.n_series)]
    parts = []
    for choice in np.unique(rounds.chosen[fit]).tolist():
        some = fit[rounds.chosen[fit] == choice]
        data = cut(panel, some, first[some], panel.lengths[some])
        records = model.fit(data, jobs)
        fine, reasons = sound(records)
        for j, why in reasons.items():
            kept[int(rows[some[j]])] = why
        good = np.flatnonzero(fine)
        if good.size:
            parts.append(measured(take(records, good), data.take(good), model, h, jobs))
    return join(parts) if parts else None


def _named(panel: Panel, kept: Mapping[int, str]) -> dict[str | int, str]:
    return {plain_id(panel.ids[i]): why for i, why in sorted(kept.items())}


def _too_early(panel: Panel, longest: int, kept: Mapping[int, str], sides: Sides) -> Challenge:
    reason = f"too little new data: {longest} points since the champion was fitted, needs {LEAST_NEW}"
    return Challenge(False, reason, None, _named(panel, kept), evidence(sides, panel, kept))


def _nothing(panel: Panel, kept: dict[int, str], sides: Sides) -> Challenge:
    reasons = sorted(set(kept.values()))
    reason = reasons[0] if len(reasons) == 1 else "no series can be judged"
    return Challenge(False, reason, None, _named(panel, kept), evidence(sides, panel, kept))
