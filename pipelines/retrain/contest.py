"""Champion and challenger on the same live ticks: errors, coverage, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.models.assemble import take
from forecast.models.records import Records
from forecast.selection.challenge_judges import judge_band
from forecast.selection.compare import diebold_mariano
from forecast.types import F64, I64, Bool
from pipelines.retrain.replay import Paths, Ticks, future_values, lay_out, replay

if TYPE_CHECKING:
    import pandas as pd

LEVEL: Final = 95.0

# Series replayed at once.
_BLOCK_SERIES: Final = 512

# Points before the first that is scored, which bring the champion from the end of its own training data to
# where the stream had it: what lies further back has decayed.
WARM_POINTS: Final = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """What both did on the ticks after the end of the challenger's data; rows are pairs of origins."""

    series: I64
    """(n,) positions in the challenger's records."""
    ts_ms: I64
    """(n,) of the origin."""
    champion: F64
    """(n,) scaled absolute error one step ahead."""
    challenger: F64
    champion_path: F64
    """(n,) mean scaled absolute error over the whole path; NaN where it has not come true yet."""
    challenger_path: F64
    champion_inside: Bool
    """(n,) whether the one-step interval held."""
    challenger_inside: Bool
    n_series: int
    """Series that both have."""

    def ticks(self) -> I64:
        """(n_series,) scored ticks of every series, the fewest first."""
        counts = np.bincount(self.series, minlength=0)
        found = counts[counts > 0]
        return np.sort(np.concatenate([np.zeros(self.n_series - len(found), dtype=np.int64), found]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is to serve."""

    passed: bool
    why: str
    evidence: dict[str, Any]
    """Plain JSON."""


def contest(champion: Records, challenger: Records, frame: pd.DataFrame, h: int) -> Contest:
    """Replay archived ticks through both, parameters fixed, and score the forecasts that came true.

    Scored are the ticks after the data that the challenger was fitted to; both start where their own data
    end, and take the ticks between those ends into their state.

    Parameters
    ----------
    champion
        Of the same series in the same order as `challenger`.
    frame
        ``unique_id, ts_ms, y`` and regressors, sorted, as `read_ticks` returns them.
    h
        Steps of a whole path.
    """
    found = []
    ticks = lay_out(challenger, frame)
    for first in range(0, challenger.n_series, _BLOCK_SERIES):
        rows = np.arange(first, min(first + _BLOCK_SERIES, challenger.n_series))
        one = _contest(take(champion, rows), take(challenger, rows), _of(ticks, rows), h)
        found.append(replace(one, series=one.series + first))
    columns = {
        name: np.concatenate([getattr(one, name) for one in found])
        for name in Contest.__dataclass_fields__
        if name != "n_series"
    }
    return Contest(**columns, n_series=challenger.n_series)


def judge(found: Contest, h: int, alpha: float) -> Verdict:
    """Promote what is no worse on the live ticks, and whose intervals hold.

    The gate saw the points that raised the alarm, which are unlike others even where it was false; so what
    comes after has to say the same. The challenger fails where its mean error is larger (over whole paths
    where enough have come true, else one step ahead) and its coverage no nearer to what it should be.
    It fails as well where its errors are significantly larger (Diebold-Mariano, one-sided at `alpha`, on
    the mean over the series at each time: one step ahead, and whole paths where enough have come true), or
    where the coverage of its intervals is significantly off and no nearer to what it should be than the
    champion's.
    """
    step = _test(found.ts_ms, found.challenger, found.champion, 1)
    path = _test(found.ts_ms, found.challenger_path, found.champion_path, h)
    n = len(found.series)
    inside = int(found.challenger_inside.sum())
    off = _coverage_p(found.challenger_inside, found.ts_ms)
    shares = [float(np.mean(x)) if n else None for x in (found.challenger_inside, found.champion_inside)]
    evidence: dict[str, Any] = {
        "n_series": found.n_series, "n_ticks": n, "alpha": alpha, "level": LEVEL, "h": h,
        "one_step": step, "path": path,
        "coverage": {"challenger": shares[0], "champion": shares[1], "p": off},
    }  # fmt: skip
    nearer = n > 0 and abs(shares[0] * 100 - LEVEL) < abs(shares[1] * 100 - LEVEL)  # type: ignore[operator]
    why = None
    for what, test in (("one step ahead", step), ("over whole paths", path)):
        if test["p_worse"] is not None and test["p_worse"] < alpha:
            why = why or f"the challenger is worse {what} (p {test['p_worse']:.2g})"
    if why is None and off < alpha and not nearer:
        why = f"{inside} of {n} values lie in the challenger's {LEVEL:g} % intervals (p {off:.2g})"
    decisive = step if path["p_worse"] is None else path
    if why is None and n and not nearer and decisive["challenger"] > decisive["champion"]:
        why = "the challenger is worse in the mean on the live ticks, which the gate had not seen"
    passed = why is None and n > 0
    why = why or ("no worse, and its intervals hold" if n else "there is no tick to judge by")
    return Verdict(passed, why, {**evidence, "passed": passed, "why": why})


def _of(ticks: Ticks, rows: I64) -> Ticks:
    """Return the ticks of some series, which stand together, as if there were no others."""
    kept = (ticks.rows >= rows[0]) & (ticks.rows <= rows[-1])
    some = ticks.take(kept)
    return replace(some, rows=some.rows - rows[0])


def _contest(champion: Records, challenger: Records, ticks: Ticks, h: int) -> Contest:
    since = ticks.points - challenger.nobs[ticks.rows]
    recent = since >= -WARM_POINTS
    ticks, origins = ticks.take(recent), since[recent] >= 0
    both = [replay(each, ticks, h, (LEVEL,), origins) for each in (champion, challenger)]
    future = future_values(ticks.rows, ticks.points, ticks.y, h)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = [np.abs(future - each.mean) for each in both]
        rated = origins & np.isfinite(errors[0][:, 0]) & np.isfinite(errors[1][:, 0])
        scale = _scale(ticks, errors[0][:, 0] + errors[1][:, 0], challenger.n_series)[ticks.rows]
        errors = [each / scale[:, None] for each in errors]
        paths = [each.mean(axis=1) for each in errors]
    inside = [_inside(future, each) for each in both]
    return Contest(
        ticks.rows[rated], ticks.ts_ms[rated], errors[0][rated, 0], errors[1][rated, 0],
        paths[0][rated], paths[1][rated], inside[0][rated], inside[1][rated], challenger.n_series,
    )  # fmt: skip


def _inside(future: F64, paths: Paths) -> Bool:
    held: Bool = (future[:, 0] >= paths.lo[0, :, 0]) & (future[:, 0] <= paths.hi[0, :, 0])
    return held


def _scale(ticks: Ticks, errors: F64, n: int) -> F64:
    """(n,) what an error is divided by: the mean step of the series, else its mean error, else 1.

    It is the same for both, and gives every series its say in the mean.
    """
    steps = np.abs(np.diff(ticks.y, prepend=np.nan))
    steps[np.diff(ticks.rows, prepend=-1) != 0] = np.nan
    scale = np.ones(n)
    for values in (errors / 2.0, steps):
        known = np.isfinite(values)
        counts = np.bincount(ticks.rows[known], minlength=n)
        sums = np.bincount(ticks.rows[known], weights=values[known], minlength=n)
        mean = sums / np.maximum(counts, 1)
        scale = np.where(np.isfinite(mean) & (mean > 0), mean, scale)
    return scale


def _test(ts_ms: I64, challenger: F64, champion: F64, h: int) -> dict[str, Any]:
    """Compare mean errors by time; p is of "the challenger is worse", None where too few have come true."""
    known = np.isfinite(challenger) & np.isfinite(champion)
    times, at = np.unique(ts_ms[known], return_inverse=True)
    counts = np.maximum(np.bincount(at, minlength=len(times)), 1)
    a = np.bincount(at, weights=challenger[known], minlength=len(times)) / counts
    b = np.bincount(at, weights=champion[known], minlength=len(times)) / counts
    means = [float(np.mean(x)) if len(x) else None for x in (a, b)]
    out: dict[str, Any] = {"n": len(times), "challenger": means[0], "champion": means[1], "p_worse": None}
    if len(times) < 2 or len(times) <= h:
        return out
    two_sided = diebold_mariano(a, b, h)
    p, above = float(two_sided.p_value), float(two_sided.difference) > 0
    return out | {"p_worse": p / 2 if above else 1 - p / 2}


def _coverage_p(inside: Bool, ts_ms: I64) -> float:
    """Return the two-sided p of so many values in intervals of `LEVEL`; 1 for none.

    Series at one time share the weather: they count as so many independent ones as their misses say.
    """
    share = LEVEL / 100.0
    times, at = np.unique(ts_ms, return_inverse=True)
    hits = np.bincount(at, weights=inside).astype(np.float64)
    count = np.bincount(at).astype(np.float64)
    found = judge_band(hits.reshape(len(times), 1), count.reshape(len(times), 1), (share, share))
    return min(1.0, 2.0 * min(found.p_below, found.p_above))
