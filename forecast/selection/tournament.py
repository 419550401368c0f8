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
    k = len(candidates)
    first = table.handicapped[:k].argmin(axis=0)
    rival = k + table.mae[k:].argmin(axis=0)
    at = np.arange(panel.n_series)
    lost = ~(table.mae[first, at] <= table.mae[rival, at])
    winner = np.where(lost, rival, first)
    unknown = ~np.isfinite(table.mae).any(axis=0)
    winner[unknown] = len(players)
    parts, places = [], []
    for j in range(len(players)):
        rows = np.flatnonzero(winner == j)
        if rows.size:
            parts.append(_refit(players[j], j, panel, rows, table, first, jobs))
            places.append(rows)
    short = np.flatnonzero(unknown)
    if short.size:
        why = dict.fromkeys(range(len(short)), "too short to compare models on it; naive instead")
        parts.append(fallback(panel, short, np.full(len(short), Status.TOO_SHORT, dtype=np.uint8), why))
        places.append(short)
    return place(parts, places, panel.n_series)


def _fit(player: Candidate, jobs: int, panel: Panel) -> tuple[Records, Bool]:
    return player.fit(panel, jobs)


def _tabulate(players: Sequence[Candidate], scores: Sequence[Scores]) -> _Table:
    mae = np.stack([s.mae for s in scores])
    handicap = np.array([player.handicap for player in players])
    z2, inside, count = (np.stack([getattr(s, name) for s in scores]) for name in ("z2", "inside", "count"))
    return _Table(mae, mae * handicap[:, None], z2, inside, count)


def _refit(
    player: Candidate, j: int, panel: Panel, rows: I64, table: _Table, first: I64, jobs: int
) -> Records:
    part = panel if len(rows) == panel.n_series else panel.take(rows)
    records, ok = player.fit(part, jobs)
    good, bad = np.flatnonzero(ok), np.flatnonzero(~ok)
    if bad.size:
        why = dict.fromkeys(range(len(bad)), "the model chosen at the origins did not fit the whole series")
        spare = fallback(part, bad, np.full(len(bad), Status.FAILED, dtype=np.uint8), why)
        if not good.size:
            return spare
        kept = _refit(player, j, panel, rows[good], table, first, jobs)
        return place([kept, spare], [good, bad], len(rows))
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
    count = table.count[j, rows]
    z2 = np.where(np.isfinite(table.z2[j, rows]), table.z2[j, rows], count)
    return replace(
        records,
        status=status,
        messages=notes,
        oos_scale=np.sqrt((_PRIOR_POINTS + z2) / (_PRIOR_POINTS + count)),
        oos_n=count.astype(np.int32),
        oos_coverage=table.inside[j, rows] / np.maximum(count, 1),
    )
