"""Alarms on their way out: a large share of a fleet that alarms together is a fault of its feed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from pipelines.errors import StreamError
from pipelines.monitor.options import FEWEST_TOGETHER
from pipelines.monitor.rows import NEVER
from pipelines.wire.message import MAX_TEXT_CHARS

FLEET: Final = "fleet"
"""Detector of an event of the whole fleet."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A series that a detector finds changed."""

    series: str
    """Empty: the whole fleet."""
    version: str
    model: str
    detector: str
    ts_ms: int
    """Time of the tick that raised it."""
    dt_ms: int
    """Nominal step of the grid."""
    statistic: float
    threshold: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def of(values: Mapping[str, Any]) -> Alarm:
        """Return what `to_json` was called on; `StreamError` for anything else."""
        if set(values) != {each.name for each in fields(Alarm)}:
            raise StreamError(f"it holds no alarm: {sorted(values)}")
        return Alarm(**values)

    def key(self, fleet: str) -> str:
        """Return the name of this alarm, the same for its repeats; a digest where that is too long."""
        text = f"{fleet}/{self.version}/{self.series or '*'}/{self.model}/{self.detector}/{self.ts_ms}"
        return text if len(text) <= MAX_TEXT_CHARS else hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Held:
    """Alarms of one partition that wait for others of their window, and those told just before."""

    waiting: list[tuple[Alarm, float]] = field(default_factory=list)
    """With the second of the monotonic clock at which each began to wait."""
    recent: list[tuple[int, str]] = field(default_factory=list)
    """Time and series."""
    closed: tuple[int, int] | None = None
    """First and last time of the fault of the feed that was told last."""
    news: bool = True
    """Whether something came since the last verdict."""
    step_ms: int = 0
    """Of the grid, as the last alarm had it."""

    def take(self, alarms: list[Alarm], now_s: float) -> None:
        """Let alarms wait."""
        self.waiting += [(alarm, now_s) for alarm in alarms]
        if alarms:
            self.news, self.step_ms = True, alarms[-1].dt_ms

    def forget(self, before: int) -> None:
        """Forget what was told of times before this."""
        if self.recent and min(self.recent)[0] < before:
            self.recent = [one for one in self.recent if one[0] >= before]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        waiting = [alarm.to_json() for alarm, _ in self.waiting]
        return {"waiting": waiting, "recent": self.recent, "closed": self.closed}

    @staticmethod
    def of(values: Mapping[str, Any], now_s: float) -> Held:
        """Return what `to_json` was called on; the waits begin anew."""
        closed = values["closed"]
        return Held(
            [(Alarm.of(each), now_s) for each in values["waiting"]],
            [(int(ts_ms), str(series)) for ts_ms, series in values["recent"]],
            None if closed is None else (int(closed[0]), int(closed[1])),
        )


@dataclass(slots=True)
class Verdict:
    """What is to be done with alarms, by partition."""

    real: dict[int, list[Alarm]] = field(default_factory=dict)
    """To be recorded, and to lead to a retraining."""
    faults: dict[int, list[Alarm]] = field(default_factory=dict)
    """To be recorded only."""
    fleet: dict[int, list[Alarm]] = field(default_factory=dict)
    """One for all of those."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Tells drift of series from faults of a feed.

    Parameters
    ----------
    share
        Of the active series.
    steps
        Length of the window, steps of the grid.
    hold_s
        Longest wait of an alarm.
    name
        Detector of the event of a whole fleet.
    """

    share: float
    steps: int
    hold_s: float
    name: str = FLEET

    def judge(
        self,
        held: Mapping[int, Held],
        active: int,
        passed: Mapping[int, int],
        now_s: float,
        *,
        all_: bool = False,
    ) -> Verdict:
        """Let go of alarms that are a fault together, and of those that have waited long enough.

        Parameters
        ----------
        held
            By partition; what is let go of is taken out.
        active
            Series whose ticks come at present, of all these partitions.
        passed
            Event time that most series of a partition have reached, ms.
        all_
            Whether nothing may wait any longer.
        """
        verdict = Verdict()
        if any(each.news for each in held.values()) and any(each.waiting for each in held.values()):
            self._close(held, active, verdict)
        for number, each in held.items():
            each.news = False
            reached, stay = passed.get(number, NEVER), []
            for alarm, since_s in each.waiting:
                length = self.steps * alarm.dt_ms
                if all_ or now_s - since_s >= self.hold_s or reached > alarm.ts_ms + length:
                    verdict.real.setdefault(number, []).append(alarm)
                    each.recent.append((alarm.ts_ms, alarm.series))
                else:
                    stay.append((alarm, since_s))
            each.waiting = stay
            each.forget(reached - 2 * self.steps * each.step_ms)
        return verdict

    def _close(self, held: Mapping[int, Held], active: int, verdict: Verdict) -> None:
        """Take alarms out that are a fault of the feed together."""
        seen = [(alarm.ts_ms, at, alarm.series) for at, each in held.items() for alarm, _ in each.waiting]
        seen += [(ts_ms, at, series) for at, each in held.items() for ts_ms, series in each.recent]
        length = self.steps * max(alarm.dt_ms for each in held.values() for alarm, _ in each.waiting)
        need = max(FEWEST_TOGETHER, math.ceil(self.share * active))
        for first, last, count in crowds(sorted(seen), length, need):
            known = [each.closed for each in held.values() if each.closed is not None]
            told = any(begin - length <= last and first <= end + length for begin, end in known)
            for number, each in held.items():
                within = [alarm for alarm, _ in each.waiting if first <= alarm.ts_ms <= last]
                if not within:
                    continue
                each.waiting = [one for one in each.waiting if not first <= one[0].ts_ms <= last]
                each.recent += [(alarm.ts_ms, alarm.series) for alarm in within]
                each.closed = (first, last)
                verdict.faults.setdefault(number, []).extend(within)
                if not told:
                    told = True
                    verdict.fleet[number] = [
                        *verdict.fleet.get(number, []),
                        self._whole(within[0], first, count, active),
                    ]

    def _whole(self, alarm: Alarm, ts_ms: int, count: int, active: int) -> Alarm:
        """Return the event of a fleet of which `count` series alarm together, first at `ts_ms`."""
        share = count / max(active, count)
        return replace(
            alarm, series="", detector=self.name, ts_ms=ts_ms, statistic=share, threshold=self.share
        )


def crowds(seen: list[tuple[int, int, str]], length: int, need: int) -> list[tuple[int, int, int]]:
    """Return first and last time, and most series, of windows in which `need` series or more alarm.

    Parameters
    ----------
    seen
        Time, partition and series of alarms, ascending.
    length
        Of a window, ms.

    Windows that overlap are one.
    """
    found: list[tuple[int, int, int]] = []
    inside: Counter[tuple[int, str]] = Counter()
    left = 0
    for ts_ms, number, series in seen:
        inside[number, series] += 1
        while seen[left][0] < ts_ms - length:
            gone = seen[left][1:]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            left += 1
        if len(inside) < need:
            continue
        window = seen[left][0], ts_ms, len(inside)
        if found and window[0] <= found[-1][1]:
            window = found[-1][0], ts_ms, max(found[-1][2], window[2])
            found.pop()
        found.append(window)
    return found
