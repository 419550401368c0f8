from dataclasses import dataclass, replace

import numpy as np
import pytest

from forecast.models.ar_integrated import Recipe
from forecast.models.baselines import walk
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Family
from forecast.selection.candidates import Integrated
from forecast.selection.tournament import play
from forecast.types import Status


def panel(*series):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"))


@dataclass(frozen=True)
class Offset:
    """The naive forecast, off by so much: a candidate that always loses."""

    off: float
    baseline: bool = False
    handicap: float = 1.0

    def fit(self, panel, jobs):
        records = walk(panel, Family.NAIVE)
        return replace(records, levels=records.levels + self.off), np.ones(panel.n_series, dtype=np.bool_)

    def publish(self, records, panel, jobs):
        return records


def ar1(n=80, seed=0):
    rng = np.random.default_rng(seed)
    y = np.zeros(n + 20)
    for t in range(1, n + 20):
        y[t] = 0.5 * y[t - 1] + rng.normal()
    return y[20:]


AR = Integrated(Recipe(), 1, 4, 2)


def test_the_guard_takes_a_baseline_and_says_so():
    walk_ = np.random.default_rng(0).normal(size=60).cumsum()
    records = play([Offset(50.0)], panel(walk_), 1, 3)
    assert records.status[0] == Status.GUARDED
    assert records.family[0] in (Family.NAIVE, Family.DRIFT)
    assert "smaller error inside the training data" in records.messages[0]


def test_a_better_model_is_kept():
    records = play([Offset(50.0), AR], panel(ar1(), ar1(seed=1)), 1, 3)
    assert (records.family == Family.AR).all()
    assert (records.status == Status.OK).all()
    assert (records.oos_n > 0).all()
    assert ((records.oos_coverage >= 0) & (records.oos_coverage <= 1)).all()
    assert (records.oos_scale > 0.3).all()


def test_a_series_does_not_depend_on_the_others():
    ys = [ar1(seed=s, n=40 + 7 * s) for s in range(5)]
    together = play([AR, Integrated(Recipe(d=1), 1, 4, 2)], panel(*ys), 1, 3)
    for i, y in enumerate(ys):
        alone = play([AR, Integrated(Recipe(d=1), 1, 4, 2)], panel(y), 1, 3)
        for name in ("status", "d", "p", "sigma2", "const", "oos_scale", "oos_n"):
            assert getattr(together, name)[i] == getattr(alone, name)[0], name


@pytest.mark.parametrize("n", [3, 8])
def test_too_short_for_a_comparison(n):
    records = play([AR], panel(ar1()[:n], ar1()), 1, 3)
    assert records.status.tolist() == [Status.TOO_SHORT, Status.OK]
    assert "too short" in records.messages[0]


def test_the_status_found_before_stays_with_the_winner():
    p = panel(ar1())
    p = replace(p, status=np.array([Status.RESCALED], dtype=np.uint8), notes={0: "kept in units of 8"})
    records = play([AR], p, 1, 3)
    assert records.status[0] == Status.RESCALED
    assert records.messages[0] == "kept in units of 8"


@dataclass(frozen=True)
class Shy:
    """A model that fits short series only: all of them at an origin, none as a whole."""

    model: object
    longest: int
    baseline: bool = False
    handicap: float = 0.1

    def fit(self, panel, jobs):
        records, ok = self.model.fit(panel, jobs)
        return records, ok & (panel.lengths <= self.longest)

    def publish(self, records, panel, jobs):
        return self.model.publish(records, panel, jobs)


def test_where_the_winner_does_not_fit_the_whole_series_the_next_best_does():
    ys = [ar1(n=80), ar1(n=70, seed=1), ar1(n=90, seed=2)]
    records = play([Shy(AR, 79), AR], panel(*ys), 1, 3)
    plain = play([AR], panel(*ys), 1, 3)
    np.testing.assert_array_equal(records.phi, plain.phi)
    assert (records.status == Status.OK).all()
    assert list(records.messages) == [0]  # the third is too long at its origins already
    assert "the next best" in records.messages[0]
    hopeless = play([Shy(AR, 0)], panel(ys[0]), 1, 3)
    assert hopeless.status[0] == Status.GUARDED
