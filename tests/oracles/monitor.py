"""What the monitor does with single messages, one after the other."""

from __future__ import annotations

import math


def fresh(rows, ts_ms, last_ts):
    """Which innovations are newer than all before them of their series, and how many were so before each."""
    last, count, found = dict(enumerate(last_ts)), {}, []
    for row, ts in zip(rows, ts_ms, strict=True):
        new = ts > last[row]
        found.append((count.get(row, 0), new))
        if new:
            last[row] = ts
            count[row] = count.get(row, 0) + 1
    return found


class ConstantFeed:
    """Runs of equal values of each series."""

    def __init__(self, constant):
        self.constant, self.runs, self.ill, self.healed = constant, {}, set(), 0

    def take(self, row, ts_ms, y):
        """Return (start, length) when a run has just become too long."""
        if not math.isfinite(y):
            return None
        value, run, start = self.runs.get(row, (math.nan, 0, 0))
        if y == value:
            run += 1
        else:
            run, start = 1, ts_ms
            if row in self.ill:
                self.ill.discard(row)
                self.healed += 1
        self.runs[row] = (y, run, start)
        if run == self.constant:
            self.ill.add(row)
            return start, run
        return None


def crowds(seen, length, need):
    """Alarms (time, series) that lie in some window of `length` with `need` series or more."""
    covered = set()
    for first, _ in seen:
        window = [one for one in seen if first <= one[0] <= first + length]
        if len({series for _, series in window}) >= need:
            covered |= set(window)
    return covered
