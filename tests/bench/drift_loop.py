"""The loop in memory, of the parts of production: detectors, challenge, overlay; no store, log or clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast.models.assemble import place, take
from forecast.models.filtering import advance, advance_errors
from forecast.models.forecasting import forecast
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.spec import Model
from forecast.online.drift import DETECTORS, DriftBank
from forecast.selection.backtest import cut
from forecast.selection.challenge import challenge
from forecast.types import F64, I64
from pipelines.monitor.options import MOST_COOLDOWNS


@dataclass(frozen=True, slots=True)
class Rules:
    """Defaults of the platform's settings of the same names."""

    arl0: float = 1_440_000.0
    cooldown_ticks: int = 48
    folds: int = 8
    alpha: float = 0.05
    windows: Sequence[int] | None = None
    most_cooldowns: int = MOST_COOLDOWNS


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the challenge."""

    day: int
    series: tuple[str, ...]
    detectors: tuple[str, ...]
    passed: bool
    reason: str
    refitted: tuple[str, ...]
    horizon: int | None


@dataclass(slots=True)
class Outcome:
    """What a strategy did."""

    errors: F64
    """(n, days, h) absolute errors of the forecasts made at the end of each day."""
    refits: int = 0
    """Series refitted: by the clock, or by a job, whether it was promoted or not."""
    fits: int = 0
    """Series fitted in all, those at the origins of a challenge included."""
    seconds: float = 0.0
    jobs: list[Job] = field(default_factory=list)

    @property
    def mae(self) -> float:
        return float(self.errors.mean())

    @property
    def by_series(self) -> list[float]:
        return [float(one.mean()) for one in self.errors]


class Counted:
    """A model that counts the series it is fitted to."""

    def __init__(self, model: Model) -> None:
        self.model, self.fits = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        self.fits += panel.n_series
        return self.model.fit(panel, jobs)


def span(panel: Panel, first: int, last: int) -> Panel:
    """Points first..last of every series."""
    n = panel.n_series
    return cut(panel, np.arange(n), np.full(n, first), np.full(n, last))


def by_the_clock(
    panel: Panel, model: Model, first: int, h: int, every: int | None, size: int | None = None
) -> Outcome:
    """Refit all series every `every` days on all data so far, or on the last `size` points; None: never."""
    began, counted = time.perf_counter(), Counted(model)
    records = counted.model.fit(span(panel, 0, first))
    errors = []
    for day, origin in enumerate(range(first, int(panel.lengths[0]) - h + 1, h)):
        if every is not None and day and day % every == 0:
            records = counted.fit(span(panel, 0 if size is None else max(0, origin - size), origin))
        today = span(panel, origin, origin + h)
        errors.append(np.abs(forecast(records, h, (95,)).mean - today.values.reshape(-1, h)))
        records = advance(records, today)
    return Outcome(np.stack(errors, 1), counted.fits, counted.fits, time.perf_counter() - began)


class _Watch:
    """Innovations into the bank; alarms within the cool-down of a series are not told."""

    def __init__(self, n: int, rules: Rules) -> None:
        self.bank, self.rules = DriftBank(n, rules.arl0), rules
        self.until = np.full(n, -1)
        self.weight = np.ones(n, dtype=np.int64)
        self.alarmed, self.end = np.zeros(n, dtype=np.int64), 0

    def step(self, z: F64, origin: int) -> dict[int, str]:
        """Return series that alarmed, and by which detector; z is (n, h)."""
        n, h = z.shape
        alarms = self.bank.step(np.tile(np.arange(n), h), z.T.ravel())
        found: dict[int, str] = {}
        for position, row, code in zip(alarms.position, alarms.row, alarms.detector, strict=True):
            at, i = origin + int(position) // n, int(row)
            calm = (at - self.alarmed[i]) // (self.rules.most_cooldowns * self.rules.cooldown_ticks)
            self.weight[i] = max(1, self.weight[i] >> min(calm, self.rules.most_cooldowns))
            self.alarmed[i] = at
            if at > self.until[i]:
                self.until[i] = at + self.rules.cooldown_ticks * self.weight[i]
                self.weight[i] = min(2 * self.weight[i], self.rules.most_cooldowns)
                found[i] = DETECTORS[code]
        self.end = origin + h
        return found

    def replaced(self, row: int) -> None:
        """Begin anew with a series that has another model."""
        self.bank.reset(np.array([row]))
        self.weight[row] = max(1, self.weight[row] // 2)
        until = self.end + self.rules.cooldown_ticks * self.weight[row]
        self.until[row] = min(self.until[row], until)


def loop(panel: Panel, model: Model, first: int, h: int, rules: Rules | None = None) -> Outcome:
    """Refit what drifted, and take it where the challenge passes."""
    rules, counted, began = rules or Rules(), Counted(model), time.perf_counter()
    fitted = counted.model.fit(span(panel, 0, first))  # where each record stood after its fit
    now, watch, outcome = fitted, _Watch(panel.n_series, rules), Outcome(np.zeros(0))
    champions = [take(fitted, np.array([i])) for i in range(panel.n_series)]
    errors = []
    for day, origin in enumerate(range(first, int(panel.lengths[0]) - h + 1, h)):
        today = span(panel, origin, origin + h)
        errors.append(np.abs(forecast(now, h, (95,)).mean - today.values.reshape(-1, h)))
        scale = np.where(np.isfinite(now.oos_scale) & (now.oos_scale > 0), now.oos_scale, 1.0)
        now, e, f = advance_errors(now, today)
        found = watch.step((e / np.sqrt(f)).reshape(-1, h) / scale[:, None], origin)
        if not found:
            continue
        rows = np.array(sorted(found), dtype=np.int64)
        winners = _contest(panel, rows, champions, counted, origin + h, h, rules, found, day, outcome)
        for i in winners:
            watch.replaced(i)
        if winners:
            now = _with(now, winners)
            champions = [winners.get(i, one) for i, one in enumerate(champions)]
    outcome.errors, outcome.fits = np.stack(errors, 1), counted.fits
    outcome.seconds = time.perf_counter() - began
    return outcome


def _contest(
    panel: Panel, rows: I64, champions: list[Records], model: Counted, end: int, h: int, rules: Rules,
    found: dict[int, str], day: int, outcome: Outcome,
) -> dict[int, Records]:  # fmt: skip
    """One challenge for all series that drifted on a day; return the records of those that are replaced."""
    past = span(panel, 0, end).take(rows)
    standing = place([champions[i] for i in rows], [np.array([j]) for j in range(len(rows))], len(rows))
    judged = challenge(
        past, standing, model, h=h, folds=rules.folds, alpha=rules.alpha, windows=rules.windows
    )  # fmt: skip
    outcome.refits += len(rows)
    new: dict[int, Records] = {}
    if judged.passed and judged.records is not None:
        at = {key: i for i, key in enumerate(panel.ids.tolist())}
        new = {
            at[key]: take(judged.records, np.array([j])) for j, key in enumerate(judged.records.ids.tolist())
        }
    outcome.jobs.append(
        Job(
            day, tuple(map(str, past.ids)), tuple(found[i] for i in rows), judged.passed, judged.reason,
            tuple(str(panel.ids[i]) for i in new), judged.evidence.get("horizon"),
        )
    )  # fmt: skip
    return new


def _with(records: Records, new: dict[int, Records]) -> Records:
    """Return records with some replaced, and moved to the same time."""
    n = records.n_series
    parts = [new.get(i, take(records, np.array([i]))) for i in range(n)]
    return place(parts, [np.array([i]) for i in range(n)], n)
