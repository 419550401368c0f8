"""Origins inside the training data: no point after an origin may be seen there."""

import numpy as np
import pytest

from forecast.models.baselines import walk
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Family
from forecast.selection.rolling import place_origins, score


def panel(*series, exog=None):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"), exog or {})


def naive(part):
    return walk(part, Family.NAIVE), np.ones(part.n_series, dtype=np.bool_)


@pytest.mark.parametrize("n", [5, 16, 40, 100, 333])
@pytest.mark.parametrize("h", [1, 6, 12])
def test_origins_leave_room_on_both_sides(n, h):
    origins = place_origins(panel(np.arange(float(n)), np.arange(3.0)), h, 4, 8)
    assert origins.cuts.shape == (4, 2)
    cuts = origins.cuts[:, 0]
    used = cuts[cuts > 0]
    assert (origins.cuts[:, 1] == 0).all()
    assert origins.horizon.tolist() == [origins.horizon[0] if len(used) else 0, 0]
    assert (used + origins.horizon[0] <= n).all()
    assert (used >= max(8, n // 2)).all()
    assert (np.diff(used) < 0).all()
    assert origins.horizon[0] <= h
    if len(used):
        assert used[0] + origins.horizon[0] == n  # the latest reaches the end


def test_an_origin_needs_observed_points():
    y = np.arange(40.0)
    y[:30] = np.nan
    origins = place_origins(panel(y, np.arange(40.0)), 4, 3, 8)
    assert (origins.cuts[:, 0] == 0).all() or (origins.cuts[origins.cuts[:, 0] > 0, 0] >= 38).all()
    assert origins.horizon[1] > 0


def test_scores_by_hand():
    y = np.random.default_rng(0).normal(size=40).cumsum()
    p = panel(y, np.full(3, 1.0))
    origins = place_origins(p, 4, 3, 8)
    got = score(naive, p, origins, 4)
    errors = [np.abs(y[c : c + 4] - y[c - 1]) for c in origins.cuts[:, 0]]
    assert got.mae[0] == pytest.approx(np.mean(errors))
    assert got.count.tolist() == [12, 0]
    assert got.mae[1] == np.inf


def test_the_future_is_not_seen():
    y = np.random.default_rng(1).normal(size=40).cumsum()
    seen = []

    def spy(part):
        seen.append(part.values.copy())
        return naive(part)

    origins = place_origins(panel(y), 4, 3, 8)
    score(spy, panel(y), origins, 4)
    assert [len(values) for values in seen] == [c for c in origins.cuts[:, 0] if c > 0]
    for values in seen:
        np.testing.assert_array_equal(values, y[: len(values)])


def test_a_candidate_that_fails_once_is_out():
    y = np.random.default_rng(2).normal(size=60).cumsum()
    calls = []

    def flaky(part):
        calls.append(1)
        records, ok = naive(part)
        return records, ok & (len(calls) != 2)

    origins = place_origins(panel(y), 4, 3, 8)
    assert score(flaky, panel(y), origins, 4).mae[0] == np.inf
