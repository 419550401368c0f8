"""One partition under watch: innovations in, alarms out, and all of it as bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.online.drift import DETECTORS, DriftBank
from forecast.types import F64, I64, Bool
from pipelines.errors import StreamError
from pipelines.monitor.columns import Author, Forecasts
from pipelines.monitor.feed import Fault, Feed, active
from pipelines.monitor.gate import Alarm
from pipelines.monitor.inputs import Inputs
from pipelines.monitor.options import MOST_COOLDOWNS
from pipelines.monitor.rows import NEVER, Rows
from pipelines.monitor.versions import STRANGER, Catalog, Lineage

if TYPE_CHECKING:
    from forecast.online.drift import Alarms
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.ticks import Ticks

_BANK: Final = "bank"


class Watch:
    """What is known of the series of one partition.

    Parameters
    ----------
    catalog
        Of the fleet's versions.
    counts
        Gets what becomes of forecasts: counted, duplicate, imputed, stranger; alarms, cooled, restarted.
    """

    def __init__(self, options: MonitorOptions, catalog: Catalog, counts: Counter[str]) -> None:
        self.rows = Rows()
        self.messages = 0
        """Observed ticks so far."""
        self.dt_ms = 1
        self.author: Author = ("", "")
        """Of the last forecast."""
        self.reached = NEVER
        """Event time that the last forecasts were of, with a value or without."""
        self.feed = Feed(options.constant_ticks, options.silent_ticks)
        self.inputs = Inputs(options.arl0)
        self._options, self._catalog, self._counts = options, catalog, counts
        self._bank = DriftBank(0, arl0=options.arl0)

    def take(self, found: Forecasts) -> tuple[I64, Bool, list[Alarm]]:
        """Take forecasts in the order of the log.

        Returns
        -------
        rows, known, alarms
            (n,) numbers of the series; (n,) whether their version has a model of them; what is to be told.

        Raises
        ------
        UnknownVersionError, StoreError
            A version is not known, or the store does not answer; nothing was taken.
        """
        lineages = [self._catalog.lineage(author) for author in found.authors]
        if not len(found):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_), []
        rows = self.rows.number(found.text, found.first, found.last)
        self._bank.grow(len(self.rows))
        self._hear(found, rows)
        scale, origin = _places(found, lineages)
        observed = np.isfinite(found.z)
        self._counts["imputed"] += int((~observed).sum())
        self._counts["stranger"] += int((observed & (origin == STRANGER)).sum())
        alarms: list[Alarm] = []
        use = np.flatnonzero(observed & (origin != STRANGER))
        for part in _stretches(found.author[use]):
            some = use[part]
            self._change(rows[some], origin[some])
            with np.errstate(over="ignore"):  # infinite is large
                z = found.z[some] / scale[some]
            alarms += self._step(found, some, rows[some], z)
        return rows, np.asarray(origin != STRANGER), alarms

    def tick(self, ticks: Ticks) -> tuple[I64, list[Alarm]]:
        """Take ticks, and return their rows, and faults of the feed and drift of regressors to be told."""
        rows = self.rows.number(ticks.text, ticks.first, ticks.last)
        known = np.flatnonzero(rows >= 0)
        ts_ms = ticks.ts_ms[known]
        faults = self.feed.look(self.rows, rows[known], ts_ms, ticks.y[known])
        self._count_healed()
        drifts = self.inputs.take(rows[known], ticks.exog[known], ticks.names)
        if not self.author[0]:  # no forecast yet: there is no version that an event could be of
            return rows, []
        faults += [Fault(row, name, int(ts_ms[i]), *numbers) for row, i, name, *numbers in drifts]
        return rows, [self._fault(fault) for fault in faults]

    def listen(self) -> list[Alarm]:
        """Return the series that have become silent."""
        found = [self._fault(fault) for fault in self.feed.listen(self.rows, self.messages, self.dt_ms)]
        self._count_healed()
        return found

    def active(self) -> tuple[int, int]:
        """Return how many series take part at present, and the event time that half of them have reached."""
        times = self.rows.alive_ts[active(self.rows, self.messages)]
        return len(times), int(np.sort(times)[(len(times) - 1) // 2]) if len(times) else NEVER

    def dump(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        """Return everything, as plain values and arrays."""
        arrays = self.rows.dump()
        used, arrays["origin"] = np.unique(arrays["origin"], return_inverse=True)
        arrays["origin"] = arrays["origin"].astype(np.int64)
        names, inputs = self.inputs.dump()
        head = {
            "inputs": names,
            "messages": self.messages,
            "dt_ms": self.dt_ms,
            "author": self.author,
            "origins": [None if i < 0 else self._catalog.author(i) for i in used.tolist()],
        }
        return head, {**arrays, **inputs, _BANK: np.frombuffer(self._bank.dump(), dtype=np.uint8)}

    def load(self, head: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take what `dump` returned; `StreamError` where it does not fit together."""
        origins = [
            STRANGER if each is None else self._catalog.origin((str(each[0]), str(each[1])))
            for each in head["origins"]
        ]
        number = arrays["origin"]
        if len(number) and not 0 <= number.min() <= number.max() < len(origins):
            raise StreamError("a series of the snapshot is of a version that it does not name")
        arrays = {**arrays, "origin": np.array(origins, dtype=np.int64)[number]}
        rows = Rows.load(arrays)
        bank = DriftBank.load(arrays[_BANK].tobytes(), arl0=self._options.arl0)
        if bank.n > len(rows):
            raise StreamError(f"the bank of the snapshot has {bank.n} streams for {len(rows)} series")
        bank.grow(len(rows))
        inputs = Inputs(self._options.arl0)
        inputs.load(head["inputs"], arrays)
        self.rows, self._bank, self.inputs = rows, bank, inputs
        self.messages, self.dt_ms = int(head["messages"]), max(int(head["dt_ms"]), 1)
        self.author = str(head["author"][0]), str(head["author"][1])

    def _hear(self, found: Forecasts, rows: I64) -> None:
        """Note signs of life."""
        alive = np.flatnonzero(np.isfinite(found.z))
        self.dt_ms, self.author = int(found.dt_ms[-1]), found.authors[int(found.author[-1])]
        self.reached = int(np.median(found.ts_ms[-len(self.rows) :]))  # one a series, about
        marks = self.messages + 1 + np.arange(len(alive))
        self.messages += len(alive)
        self.rows.mark[rows[alive]] = marks  # of several the last one stays
        np.maximum.at(self.rows.alive_ts, rows[alive], found.ts_ms[alive])
        last = np.full(len(self.rows), -1)
        last[rows[alive]] = alive
        without = np.flatnonzero(~np.isfinite(found.z))
        self.rows.gap[rows[alive]] = 0
        np.add.at(self.rows.gap, rows[without[without > last[rows[without]]]], 1)

    def _change(self, rows: I64, origin: I64) -> None:
        """Put series whose record is another one now at rest."""
        old = self.rows.origin[rows]
        changed = old != origin
        if not changed.any():
            return
        self.rows.origin[rows] = origin
        again = np.unique(rows[changed & (old != STRANGER)])
        if len(again):
            self._bank.reset(again)
            self.rows.last_ts[again] = NEVER
            weight = self.rows.weight[again] = np.maximum(self.rows.weight[again] // 2, 1)
            until = self.rows.seen[again] + self._options.cooldown_ticks * weight
            self.rows.quiet[again] = np.minimum(self.rows.quiet[again], until)
            self._counts["restarted"] += len(again)

    def _step(self, found: Forecasts, some: I64, rows: I64, z: F64) -> list[Alarm]:
        """Count innovations of one model; those that came before count nothing."""
        nth, fresh = _fresh(rows, found.ts_ms[some], self.rows.last_ts)
        some, rows, z = some[fresh], rows[fresh], z[fresh]
        self._counts["duplicate"] += len(fresh) - len(some)
        self._counts["counted"] += len(some)
        if not len(some):
            return []
        count = self.rows.seen[rows] + nth[fresh] + 1
        alarms = self._bank.step(rows, z)
        np.maximum.at(self.rows.seen, rows, count)
        np.maximum.at(self.rows.last_ts, rows, found.ts_ms[some])
        return self._told(alarms, found, some, count)

    def _told(self, alarms: Alarms, found: Forecasts, some: I64, count: I64) -> list[Alarm]:
        """Return the alarms of series that are not quiet, and make those quiet."""
        told = []
        columns = (alarms.position, alarms.row, alarms.detector, alarms.statistic)
        for position, row, detector, statistic in zip(*(each.tolist() for each in columns), strict=True):
            self._counts["alarms"] += 1
            self._calm(row, int(count[position]))
            if count[position] <= self.rows.quiet[row]:
                self._counts["cooled"] += 1
                continue
            weight = int(self.rows.weight[row])
            self.rows.quiet[row] = count[position] + self._options.cooldown_ticks * weight
            self.rows.weight[row] = min(2 * weight, MOST_COOLDOWNS)
            i = int(some[position])
            told.append(
                Alarm(
                    self.rows.id(row), *found.authors[int(found.author[i])], DETECTORS[detector],
                    int(found.ts_ms[i]), int(found.dt_ms[i]), statistic,
                    float(self._bank.thresholds[detector]),
                )
            )  # fmt: skip
        return told

    def _calm(self, row: int, count: int) -> None:
        """Halve the cool-downs of a series for every longest one that it was calm."""
        longest = max(MOST_COOLDOWNS * self._options.cooldown_ticks, 1)
        halvings = min(max(count - int(self.rows.alarmed[row]), 0) // longest, MOST_COOLDOWNS)
        self.rows.weight[row] = max(int(self.rows.weight[row]) >> halvings, 1)
        self.rows.alarmed[row] = count

    def _count_healed(self) -> None:
        self._counts["healed"] += self.feed.healed
        self.feed.healed = 0

    def _fault(self, fault: Fault) -> Alarm:
        version, model = self.author
        return Alarm(
            self.rows.id(fault.row), version, model, fault.detector, fault.ts_ms, self.dt_ms, fault.statistic,
            fault.threshold,
        )  # fmt: skip


def _places(found: Forecasts, lineages: Sequence[Lineage | None]) -> tuple[F64, I64]:
    """(n,) what z is divided by, and the number of the record's version; `STRANGER` for series without."""
    scale, origin = np.ones(len(found)), np.full(len(found), STRANGER, dtype=np.int64)
    for i, lineage in enumerate(lineages):
        if lineage is None:
            continue
        mine = np.flatnonzero(found.author == i)
        at = lineage.keys.find(found.text, found.first[mine], found.last[mine])
        mine, at = mine[at >= 0], at[at >= 0]
        scale[mine], origin[mine] = lineage.scale[at], lineage.origin[at]
    return scale, origin


def _stretches(author: I64) -> Iterator[slice]:
    """Yield stretches of one author."""
    cuts = np.flatnonzero(np.diff(author)) + 1
    bounds = [0, *cuts.tolist(), len(author)]
    for first, last in pairwise(bounds):
        if last > first:
            yield slice(first, last)


def _fresh(rows: I64, ts_ms: I64, last_ts: I64) -> tuple[I64, Bool]:
    """Return which innovations are newer than all before them of their series.

    Returns
    -------
    nth, fresh
        (n,) how many of the series' fresh ones came before; whether it is one.
    """
    order = np.argsort(rows, kind="stable")
    row, ts = rows[order], ts_ms[order]
    head = np.r_[True, row[1:] != row[:-1]]
    group = np.cumsum(head) - 1
    # Times as ranks: with the group before them one running maximum serves all series.
    _, rank = np.unique(ts, return_inverse=True)
    place = group * len(rows) + rank
    before = np.r_[-1, np.maximum.accumulate(place)[:-1]]
    new = (place > before) & (ts > last_ts[row])
    passed = np.cumsum(new) - new
    nth = passed - passed[head][group]
    out_nth, out_new = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.bool_)
    out_nth[order], out_new[order] = nth, new
    return out_nth, out_new
