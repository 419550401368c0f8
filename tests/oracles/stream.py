"""The engine of the stream, slowly: a dict a series, its whole history filtered anew at every tick."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.models.assemble import take
from forecast.models.baselines import Naive
from forecast.models.forecasting import forecast
from forecast.models.panel import Panel
from forecast.online import init, tick

NAN = math.nan


@dataclass
class Series:
    row: int | None
    end: int = -1
    """Position of the last point of the record."""
    at: int | None = None
    source: int = -1
    imputed: int = 0
    seen: int = 0
    values: dict = field(default_factory=dict)
    """By position, what was observed since the record."""
    fresh: int = -(10**9)
    """What is before it is no longer in the window."""
    floor: int = -(10**9)
    """Late ticks at or below it are not taken in."""
    exog: dict = field(default_factory=dict)
    """(position, name): value"""
    driven: dict = field(default_factory=dict)
    """Regressors that stood at positions behind, by position."""


class Oracle:
    """`process` takes ticks as tuples (id, ts, value, exog, offset)."""

    def __init__(self, records, options, step=1, alias="model"):
        self.options, self.step, self.alias = options, step, alias
        self.series = {}
        self.use(records)

    def use(self, records):
        self.records = records
        self.names = sorted({term.name for term in records.exog})
        self.lags = {term.name for term in records.exog if term.lag}
        self.ids = {str(name): i for i, name in enumerate(records.ids)}
        self.ahead = (self.options.exog_ahead or self.options.horizon) if self.names else 0
        self.grace = 0 if self.names else self.options.grace
        self.width = max(self.options.window, self.grace + 1)

    def swap(self, records):
        old = self.series
        self.use(records)
        self.series = {}
        for name, was in old.items():
            one = self._new(name)
            self.series[name] = one
            if was.source < 0:
                continue
            at = was.at
            one.source, one.seen = was.source, was.seen
            one.imputed = was.imputed
            if one.row is not None and one.end > at:
                one.imputed = 0
            one.at = at if one.row is None else max(at, one.end)
            one.values = {
                k: v for k, v in was.values.items() if max(at - self.width, was.fresh - 1) < k <= one.at
            }
            one.exog = dict(was.exog)
            if one.row is not None:
                self._drive_again(one, at)

    def _drive_again(self, one, at):
        """Regressors of the points between the record and `at`."""
        for name in self.names:
            last = self._tail(one, name)
            known = {k: v for (k, other), v in one.exog.items() if other == name and k <= at + self.ahead}
            known = {k: v for k, v in known.items() if k > at - self.width}
            first = known[min(known)] if known else 0.0
            for k in range(one.end + 1, at + 1):
                if k in known:
                    last = known[k]
                one.driven.setdefault(k, {})[name] = first if math.isnan(last) else last
            if at > one.end and at in one.driven:
                one.exog[at, name] = one.driven[at][name]

    def _tail(self, one, name):
        lagged = list(dict.fromkeys(term.name for term in self.records.exog if term.lag))
        return float(self.records.exog_tail[one.row, lagged.index(name), 0]) if name in lagged else NAN

    def _new(self, name):
        row = self.ids.get(name)
        if row is None:
            return Series(None)
        end = int(self.records.nobs[row]) - 1
        one = Series(row, end, end, floor=end)
        for exog in self.names:
            if not math.isnan(self._tail(one, exog)):
                one.exog[end, exog] = self._tail(one, exog)
        return one

    def process(self, ticks):
        return [self.tick(*one) for one in ticks]

    def tick(self, name, ts, value, exog, offset):
        """("forecast", {...}), or a word alone."""
        one = self.series.setdefault(name, self._new(name))
        options = self.options
        if offset <= one.source:
            return ("replayed",)
        start = int(self.records.start[one.row or 0])
        place, rest = divmod(ts - start, self.step)
        if rest > self.step - rest:
            place, rest = place + 1, self.step - rest
        if rest > options.tolerance * self.step:
            return ("off_grid",)
        value = NAN if value is None else value
        if one.row is None:
            return self._unknown(one, place, value, exog, offset, start)
        gap = place - one.at
        if gap <= 0:
            free = math.isnan(one.values.get(place, NAN))
            inside = self.grace and -gap <= self.grace and place > one.floor
            if inside and free and not math.isnan(value):
                one.values[place], one.source = value, offset
                one.seen += 1
                z = self._state(one)[1]
                one.imputed = 0
                while math.isnan(one.values.get(one.at - one.imputed, NAN)):
                    one.imputed += 1
                return self._forecast(one, start, z, offset)
            return ("duplicate",) if gap == 0 else ("late",)
        given = {k: v for k, v in exog.items() if k in self.names}
        if math.isnan(value) and gap > 1 and exog:
            if self.names and gap > self.ahead:
                return ("too_far_ahead",)
            if self.names:
                one.source = offset
                one.exog.update({(place, k): v for k, v in given.items()})
            return ("null_ahead",)
        if not self._drive(one, place, given):
            return ("missing_exog",)
        if gap - 1 > options.gap_cap:
            one.imputed, one.seen, one.floor, one.fresh = 0, 0, place - 1, place
            gap = 1
        before = one.imputed
        one.values[place], one.at, one.source = value, place, offset
        _, z = self._state(one)
        if z is None:
            one.values[place] = NAN
            one.imputed = before + gap
        else:
            one.imputed = 0
            one.seen += 1
        one.floor = max(one.floor, place - self.grace - 1)
        return self._forecast(one, start, z, offset)

    def _needed(self, one):
        needed = set(self.lags)
        for j, term in enumerate(self.records.exog):
            if self.records.beta[one.row, j] != 0:
                needed.add(term.name)
        return needed

    def _drive(self, one, place, given):
        """Note the regressors of all points up to `place`; False where they cannot be known."""
        if not self.names:
            return True
        last, reach = one.at, one.at + self.ahead
        for name in self._needed(one):
            near = [k for k in range(last, min(place, reach + 1)) if (k, name) in one.exog]
            here = name in given or (place <= reach and (place, name) in one.exog)
            if not here and (self.options.exog == "require" or not near):
                return False
        far = place - last - 1 > self.options.gap_cap
        for name in self.names:
            known = {k: v for (k, other), v in one.exog.items() if other == name and last <= k <= place}
            if name in given:
                known[place] = given[name]
            current = known.get(last, NAN)
            after = [known[k] for k in sorted(known) if k > last]
            for k in range(last + 1, place + 1):
                jumped = far and place - last > self.width + self.ahead and k < place
                current = current if jumped else known.get(k, current)
                value = (after[0] if after else 0.0) if math.isnan(current) else current
                one.driven.setdefault(k, {})[name] = value
            if far:  # the model jumps to the tick, with the regressors that stand there
                for k in range(last + 1, place):
                    one.driven[k][name] = one.driven[place][name]
            one.exog[place, name] = one.driven[place][name]
        return True

    def _state(self, one):
        state, z = init(self.records, one.row), None
        for k in range(one.end + 1, one.at + 1):
            value = one.values.get(k, NAN)
            state, info = tick(self.records, state, one.row, value, one.driven.get(k, {}))
            z = info.z
        return state, z

    def _forecast(self, one, start, z, offset):
        state, _ = self._state(one)
        h = self.options.horizon
        future, known = {}, True
        for name in self.names:
            last, path = one.exog[one.at, name], []
            for k in range(one.at + 1, one.at + 1 + h):
                found = one.exog.get((k, name)) if k <= one.at + self.ahead else None
                if found is None and self.options.exog == "require" and name in self._needed(one):
                    known = False
                last = last if found is None else found
                path.append(last)
            future[name] = np.array([path])
        if not known:
            return ("missing_future",)
        found = forecast(self._standing(one, state), h, self.options.levels, future)
        return self._said(one, start, found, z, offset, self.alias)

    def _standing(self, one, state):
        record = take(self.records, np.array([one.row]))
        levels, innovations = np.array(record.levels), np.array(record.innovations)
        levels[0, : len(state.levels)] = state.levels
        innovations[0, : len(state.innovations)] = state.innovations
        tail = np.array(record.exog_tail)
        for j, past in enumerate(state.exog_tail.values()):
            tail[0, j, : len(past)] = past
        cov = {} if state.cov is None else {0: np.array(state.cov)}
        return replace(
            record, nobs=np.array([state.t], np.int32), levels=levels, innovations=innovations,
            state_cov=cov, exog_tail=tail,
        )  # fmt: skip

    def _said(self, one, start, found, z, offset, model):
        numbers = (found.mean[0], found.lo[0], found.hi[0])
        if not all(np.isfinite(part).all() for part in numbers) or (z is not None and not math.isfinite(z)):
            return ("not_finite",)
        return (
            "forecast",
            {
                "model": model, "ts_ms": start + one.at * self.step, "mean": found.mean[0].tolist(),
                "lo": found.lo[0].tolist(), "hi": found.hi[0].tolist(), "z": z, "imputed": one.imputed,
                "offset": offset,
            },
        )  # fmt: skip

    def _unknown(self, one, place, value, exog, offset, start):
        null = math.isnan(value)
        if one.source < 0:
            if null:
                return ("warming",)
            one.at = place - 1
        gap = place - one.at
        if gap <= 0:
            return ("duplicate",) if gap == 0 else ("late",)
        if null and gap > 1 and exog:
            return ("too_far_ahead",) if self.names and gap > self.ahead else ("null_ahead",)
        if gap - 1 > self.options.gap_cap:
            one.values, one.seen, gap = {}, 0, 1
        z = None if null else self._step_of_walk(one, place - gap, gap, value)
        one.values[place], one.at, one.source = value, place, offset
        one.imputed = one.imputed + gap if null else 0
        one.seen += not null
        records = self._walk(one, place)
        if one.seen < self.options.warm_up or math.isnan(records.sigma2[0]) or (z is None and not null):
            return ("warming",)
        return self._said(
            one, start, forecast(records, self.options.horizon, self.options.levels), z, offset, "Naive"
        )

    def _walk(self, one, at):
        window = np.array([one.values.get(k, NAN) for k in range(at - self.width + 1, at + 1)])
        one_id = np.array(["x"], dtype=object)
        return Naive().fit(
            Panel(window, np.array([0, len(window)]), one_id, np.array([0]), self.records.freq, {})
        )

    def _step_of_walk(self, one, at, gap, value):
        records = self._walk(one, at)
        if math.isnan(records.sigma2[0]):
            return None
        state = init(records, 0)
        for _ in range(gap - 1):
            state, _ = tick(records, state, 0, NAN)
        return tick(records, state, 0, value)[1].z
