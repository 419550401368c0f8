"""Candidates and baselines against each other on the same origins, series by series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from forecast.models.assemble import place
from forecast.models.baselines import fallback
from forecast.models.panel import Panel
from forecast.models.records import Family, Records
from forecast.selection.candidates import Candidate, baselines
from forecast.selection.rolling import Scores, place_origins, score
from forecast.types import F64, I64, Bool, Status

# Horizon of the comparison where there is no season: about what yearly and weekly users ask for.
_PLAIN_HORIZON: Final = 6
# Two days of hours; longer horizons leave no room for several origins.
_LONGEST_HORIZON: Final = 48
# A series shorter than this at an origin says nothing about models with two or three parameters.
_SHORTEST: Final = 8
# The scale of the intervals starts from 1 with the weight of this many points: one short window of
# bad luck must not double them.
_PRIOR_POINTS: Final = 6.0

_NO_FIT: Final = "no model fits the whole series; naive instead"
_TOO_FEW: Final = "too short to compare models on it; naive instead"
_SECOND: Final = "the best at the origins did not fit the whole series: the next best"


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Scores by player (candidates, then baselines) and series."""

    mae: F64
    handicapped: F64
    z2: F64
    inside: F64
    count: I64


def play(
    candidates: Sequence[Candidate], panel: Panel, season: int, n_windows: int, jobs: int = 1
) -> Records:
    """Fit to every series the candidate that would have done best, or the baseline that beat it.

    Parameters
    ----------
    panel
        Values in safe units; ``panel.status`` and ``panel.notes`` go into the records.
    """
    players = [*candidates, *baselines(season)]
    h = min(season, _LONGEST_HORIZON) if season > 1 else _PLAIN_HORIZON
    origins = place_origins(panel, h, n_windows, _SHORTEST)
    table = _tabulate(players, [score(partial(_fit, c, jobs), panel, origins, h, jobs) for c in players])
    barred = np.zeros(table.mae.shape, dtype=np.bool_)
    left, parts, places = np.arange(panel.n_series), [], []
    while left.size:
        winner, first = _winners(table, len(candidates), barred)
        failed = [left[:0]]
        for j in range(len(players)):
            rows = left[winner[left] == j]
            if rows.size:
                records, ok = _refit(players[j], j, panel, rows, table, first, barred, jobs)
                barred[j, rows[~ok]] = True
                failed.append(rows[~ok])
                if records is not None:
                    parts.append(records)
                    places.append(rows[ok])
        none = left[winner[left] == len(players)]
        if none.size:
            parts.append(_without_model(panel, none, barred))
            places.append(none)
        left = np.sort(np.concatenate(failed))
    return place(parts, places, panel.n_series)


def _winners(table: _Table, k: int, barred: Bool) -> tuple[I64, I64]:
    """(n,) best player of each series, one more than there are where none can be had; and best candidate."""
    mae, handicapped = (np.where(barred, np.inf, m) for m in (table.mae, table.handicapped))
    first, rival = handicapped[:k].argmin(axis=0), k + mae[k:].argmin(axis=0)
    at = np.arange(mae.shape[1])
    winner = np.where(mae[first, at] <= mae[rival, at], first, rival)
    winner[~np.isfinite(mae).any(axis=0)] = len(mae)
    return winner, first


def _without_model(panel: Panel, rows: I64, barred: Bool) -> Records:
    tried: Bool = np.any(barred[:, rows], axis=0)
    why = {i: _NO_FIT if failed else _TOO_FEW for i, failed in enumerate(tried.tolist())}
    return fallback(panel, rows, np.where(tried, Status.FAILED, Status.TOO_SHORT).astype(np.uint8), why)


def _fit(player: Candidate, jobs: int, panel: Panel) -> tuple[Records, Bool]:
    return player.fit(panel, jobs)


def _tabulate(players: Sequence[Candidate], scores: Sequence[Scores]) -> _Table:
    mae = np.stack([s.mae for s in scores])
    handicap = np.array([player.handicap for player in players])
    z2, inside, count = (np.stack([getattr(s, name) for s in scores]) for name in ("z2", "inside", "count"))
    return _Table(mae, mae * handicap[:, None], z2, inside, count)


def _refit(
    player: Candidate, j: int, panel: Panel, rows: I64, table: _Table, first: I64, barred: Bool, jobs: int
) -> tuple[Records | None, Bool]:
    """Return records of the rows that the player fits on all their data, and which of `rows` these are."""
    part = panel if len(rows) == panel.n_series else panel.take(rows)
    records, ok = player.fit(part, jobs)
    if not ok.all():
        if not ok.any():
            return None, ok
        rows, part = rows[ok], part.take(np.flatnonzero(ok))
        records, _ = player.fit(part, jobs)
    records = player.publish(records, part, jobs)
    status, notes = records.status.copy(), dict(records.messages)
    if player.baseline:
        status[:] = Status.GUARDED
        beaten = table.mae[first[rows], rows]
        name = Family(int(records.family[0])).name.lower().replace("_", " ")
        for i, row in enumerate(rows):
            gain = f"({table.mae[j, row]:.4g} < {beaten[i]:.4g})"
            notes[i] = f"{name} had the smaller error inside the training data {gain}"
    else:
        notes = {**part.notes, **notes}
    for i in np.flatnonzero(barred[:, rows].any(axis=0)).tolist():
        notes[i] = "; ".join(filter(None, [notes.get(i), _SECOND]))
    count = table.count[j, rows]
    z2 = np.where(np.isfinite(table.z2[j, rows]), table.z2[j, rows], count)
    scored = replace(
        records,
        status=status,
        messages=notes,
        oos_scale=np.sqrt((_PRIOR_POINTS + z2) / (_PRIOR_POINTS + count)),
        oos_n=count.astype(np.int32),
        oos_coverage=table.inside[j, rows] / np.maximum(count, 1),
    )
    return scored, ok
