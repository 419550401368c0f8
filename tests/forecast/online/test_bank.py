"""The bank: forecasts and intervals of the library after every tick, whatever the model and the calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import online
from forecast.errors import InputError
from forecast.online.bank import LONG_GAP, Bank
from tests.forecast.online.bank_models import (
    GIVEN,
    MODELS,
    NAN,
    assert_close,
    build,
    expected,
    waves,
)
from tests.strategies import make_records

H = 6
LEVELS = (80, 95)
VALUES = st.one_of(st.floats(0.1, 5.0), st.just(NAN))
TICKS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2, 7]), VALUES), min_size=1, max_size=14
)


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


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_forecasts_as_the_library_does(name):
    driven = Driven([name], h=9)
    driven.check([(0, 0, 1.5), (0, 0, NAN), (0, 2, 2.5), (0, 0, 1.0), (0, 9, 3.0)])
    driven.check([(0, 0, y) for y in (1.0, 2.0, 0.5, 3.0, 1.0, 2.0, 2.5, 1.0, 2.0, 1.5)])
    driven.check([(0, 60, NAN), (0, 0, 2.0)])


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(MODELS)), min_size=4, max_size=4), ticks=TICKS)
def test_any_ticks_of_any_models_are_forecast_as_the_library_does(names, ticks):
    Driven(names).check(ticks)
