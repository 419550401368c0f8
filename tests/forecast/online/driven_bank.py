"""A bank under test: what it was given, and what the library makes of that."""

import numpy as np

from forecast.online.bank import Bank
from tests.forecast.online.bank_models import GIVEN, NAN, assert_close, build, expected, waves

H = 6
LEVELS = (80, 95)


class Driven:
    """A bank and the history of its slots."""

    def __init__(self, names, h=H, levels=LEVELS):
        self.records = build(*names)
        self.bank = Bank(self.records, h, levels)
        self.h, self.levels = h, levels
        self.slots = self.bank.add(np.arange(len(names)))
        self.values = [[] for _ in names]
        self.past = [{name: [] for name in GIVEN} for _ in names]

    def exog(self, ticks):
        """Regressors of ticks (series, missing, y): those of `waves` at the time of the tick."""
        t = self.bank.t(self.slots)
        now, ahead = {name: [] for name in GIVEN}, {name: [] for name in GIVEN}
        for i, missing, _ in ticks:
            t[i] += missing + 1
            for name in GIVEN:
                now[name].append(waves(t[i] - 1, 1)[name][0])
                ahead[name].append(waves(t[i], self.h)[name])
        return now, ahead

    def step(self, ticks):
        now, ahead = self.exog(ticks)
        series, missing, y = ([tick[j] for tick in ticks] for j in range(3))
        return self.bank.step(self.slots[series], missing, y, now, ahead)

    def note(self, tick, now):
        """Put a tick into the history."""
        i, missing, y = tick
        self.values[i] += [NAN] * missing + [y]
        for name in GIVEN:
            self.past[i][name] += [now[name]] * (missing + 1)

    def check(self, ticks):
        now, _ = self.exog(ticks)
        got = self.step(ticks)
        for k, tick in enumerate(ticks):
            self.note(tick, {name: now[name][k] for name in GIVEN})
            i = tick[0]
            want = expected(self.records, i, self.values[i], self.past[i], self.h, self.levels)
            size = np.abs(want.mean[0])
            assert_close(got.mean[k], want.mean[0], size)
            for j in range(len(self.levels)):
                for mine, theirs in ((got.lo, want.lo), (got.hi, want.hi)):
                    assert_close(
                        mine[j, k], theirs[0, j], size + np.abs(theirs[0, j]) + np.abs(want.hi[0, j])
                    )
        return got


def same(one, two):
    """Bitwise equality of forecasts, NaN being NaN."""
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)
