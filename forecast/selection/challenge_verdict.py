"""From the errors at the origins to a verdict: which series get the challenger, and by what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from forecast.selection.challenge_folds import Rounds
from forecast.selection.challenge_judges import BandTest, GainTest, judge_band, judge_gain
from forecast.selection.paired import holm
from forecast.types import F64, I64, Bool

GAIN: Final = "significant gain"
BAND: Final = "champion left its coverage band"
BLANK: Final = "the champion has no forecast"


@dataclass(frozen=True, slots=True)
class Sides:
    """What was asked for."""

    h: int
    folds: int
    alpha: float
    band: tuple[float, float]
    level: float


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the tests said; positions are those of the series that were compared."""

    passed: bool
    reason: str
    change: I64
    """Series that get the challenger."""
    gain: GainTest
    """Of all series together."""
    cover: BandTest
    alpha: float
    """Level of that test: half of what was asked for where single series are tested as well."""
    stay: Mapping[int, str] = field(default_factory=dict)
    """Series that do not, and why."""
    alone: Mapping[int, float] = field(default_factory=dict)
    """p-values of series by themselves, corrected after Holm; where that test was needed."""


def verdict(rounds: Rounds, fit: I64, sides: Sides, seed: int) -> Verdict:
    """Judge the series `fit`; those for which the champion has no forecast at all get the challenger."""
    mine, theirs = (np.isnan(side.loss[:, fit]).all(axis=0) for side in (rounds.champion, rounds.challenger))
    blank = fit[mine & ~theirs]
    found = _compare(rounds, np.setdiff1d(fit, blank), sides, seed)
    if not blank.size:
        return found
    change = np.sort(np.concatenate([found.change, blank]))
    return replace(found, passed=True, reason=found.reason if found.passed else BLANK, change=change)


def _compare(rounds: Rounds, fit: I64, sides: Sides, seed: int) -> Verdict:
    """Judge series together, and where that shows nothing, each by itself.

    A job may hold series that drifted and others whose alarm was false: together they show nothing. So half
    of the level of significance goes to each of the two questions; with one series there is one question.
    Where all together pass, series on which the challenger did not do better stay with the champion.

    Notes
    -----
    Single series: Holm (1979), *Scand. J. Stat.* 6: the k-th smallest p-value times n + 1 - k.
    """
    mine, theirs = rounds.champion, rounds.challenger
    gain = judge_gain(mine.loss[:, fit], theirs.loss[:, fit], seed)
    cover = judge_band(mine.inside[:, fit], mine.count[:, fit], sides.band)
    alpha = sides.alpha if len(fit) < 2 else sides.alpha / 2.0
    none = fit[:0]
    if not fit.size:
        return Verdict(False, "no challenger could be fitted", none, gain, cover, alpha)
    if _better(gain, alpha):
        change = fit[_mean_gain(mine.loss, theirs.loss, fit) > 0]
        return Verdict(True, GAIN, change, gain, cover, alpha, _stay(fit, change))
    if len(fit) > 1:
        alone = _alone(rounds, fit, seed)
        change = np.array([i for i, p in alone.items() if p < alpha], dtype=np.int64)
        if change.size:
            return Verdict(True, GAIN, change, gain, cover, alpha, _stay(fit, change), alone)
    return _by_band(rounds, fit, gain, cover, alpha)


def _by_band(rounds: Rounds, fit: I64, gain: GainTest, cover: BandTest, alpha: float) -> Verdict:
    """Judge by coverage: intervals that do not hold are a reason to change, where what comes is not worse."""
    mine, theirs = rounds.champion.interval, rounds.challenger.interval
    if cover.left(alpha):
        worse = np.isfinite(gain.p_value) and gain.p_value > 1.0 - alpha
        better = _mean_gain(mine, theirs, fit)
        change = fit[better > 0]
        if not worse and change.size and np.nansum(better) > 0:
            return Verdict(True, BAND, change, gain, cover, alpha, _stay(fit, change))
        why = "the champion left its coverage band, but the challenger is worse"
    elif np.isfinite(gain.p_value):
        why = f"no significant gain: p = {gain.p_value:.3g}, needs less than {alpha:g}"
    else:
        why = "too few pairs of losses for a test"
    return Verdict(False, why, fit[:0], gain, cover, alpha)


def _better(gain: GainTest, alpha: float) -> bool:
    return bool(np.isfinite(gain.p_value) and gain.p_value < alpha and gain.gain > 0)


def _alone(rounds: Rounds, fit: I64, seed: int) -> dict[int, float]:
    """Return the corrected p-value of every series by itself."""
    mine, theirs = rounds.champion.loss, rounds.challenger.loss
    p = np.array([judge_gain(mine[:, [i]], theirs[:, [i]], seed).p_value for i in fit.tolist()])
    corrected = holm(np.where(np.isfinite(p), p, 1.0))  # one that could not be tested was asked as well
    return dict(zip(fit.tolist(), corrected.tolist(), strict=True))


def _mean_gain(mine: F64, theirs: F64, fit: I64) -> F64:
    """(len(fit),) mean over the origins of what the challenger does better; 0 where nothing was paired."""
    d = mine[:, fit] - theirs[:, fit]
    paired: Bool = ~np.isnan(d)
    gain: F64 = np.where(paired, d, 0.0).sum(axis=0) / np.maximum(paired.sum(axis=0), 1)
    return gain


def _stay(fit: I64, change: I64) -> dict[int, str]:
    return dict.fromkeys(np.setdiff1d(fit, change).tolist(), "the challenger does not forecast it better")
