"""Archived ticks through fixed parameters: the same as moving the model on over them, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from pipelines.retrain.contest import contest, judge
from pipelines.retrain.replay import future_values, lay_out, replay
from tests.pipelines.retrain.fleet import HOUR_MS, IDS, POINTS, START_MS, fit, frame, ticks, values


def fitted(level=10.0, seed=0, n=POINTS):
    return fit({name: values(seed + i, n, level) for i, name in enumerate(IDS)})


def live(n=30, level=10.0, seed=900):
    return {name: values(seed + i, n, level) for i, name in enumerate(IDS)}


def test_the_forecast_after_every_tick_is_that_of_the_model_moved_on():
    model, new = fitted(), live(8)
    new["b"][3] = np.nan
    laid = lay_out(model.records[0], ticks(new, POINTS))
    got = replay(model.records[0], laid, 5, (95.0,))
    assert len(laid) == 32
    for k in range(8):
        moved = model.update(frame({name: y[: k + 1] for name, y in new.items()}, POINTS))
        want = moved.predict(5, level=95).set_index("unique_id")
        for i, name in enumerate(IDS):
            row = 8 * i + k
            np.testing.assert_allclose(got.mean[row], want.loc[name, "AR"], rtol=1e-9)
            np.testing.assert_allclose(got.lo[0, row], want.loc[name, "AR-lo-95"], rtol=1e-9)
            np.testing.assert_allclose(got.hi[0, row], want.loc[name, "AR-hi-95"], rtol=1e-9)


def test_gaps_repeats_strangers_and_what_was_seen_before():
    model, new = fitted(), live(6)
    whole = ticks(new, POINTS)
    known = ticks(new, POINTS - 10)
    gap = whole[whole["ts_ms"] != whole["ts_ms"].unique()[2]]
    off = whole.assign(ts_ms=whole["ts_ms"] + HOUR_MS * 3 // 5)[:0]
    again = whole.iloc[[0]].assign(y=1e9)
    stranger = whole.iloc[[0]].assign(unique_id="zz")
    far = whole.iloc[[0]].assign(ts_ms=START_MS + 2**43)
    both = pd.concat([known, again, gap, off, stranger, far]).sort_values(
        ["unique_id", "ts_ms"], kind="stable", ignore_index=True
    )
    laid = lay_out(model.records[0], both)
    got = replay(model.records[0], laid, 3, (95.0,))
    clean = lay_out(model.records[0], gap)
    want = replay(model.records[0], clean, 3, (95.0,))
    seen = laid.points < POINTS
    assert np.isnan(got.mean[seen]).all()
    kept = ~seen & (laid.points < 2 * POINTS)
    np.testing.assert_array_equal(got.mean[kept], want.mean)
    jump = model.update(frame({"a": np.r_[new["a"][:2], np.nan, new["a"][3]]}, POINTS))
    wanted = jump.predict(3).query("unique_id == 'a'")["AR"]
    np.testing.assert_allclose(
        want.mean[(clean.rows == 0) & (clean.points == POINTS + 3)][0], wanted, rtol=1e-9
    )


def test_ticks_before_the_first_forecast_only_move_the_state():
    model, new = fitted(), live(40)
    new["b"][3:6] = np.nan
    laid = lay_out(model.records[0], ticks(new, POINTS))
    laid = laid.take(~((laid.rows == 2) & (laid.points % 7 == 1)))
    want = replay(model.records[0], laid, 3, (80.0, 95.0))
    first = laid.points >= POINTS + np.array([0, 1, 30, 45])[laid.rows]
    got = replay(model.records[0], laid, 3, (80.0, 95.0), first)
    np.testing.assert_array_equal(got.mean[first], want.mean[first])
    np.testing.assert_array_equal(got.hi[:, first], want.hi[:, first])
    assert np.isnan(got.mean[~first]).all()


def test_what_comes_next_by_series_and_point():
    rows = np.array([0, 0, 0, 1, 1])
    points = np.array([4, 5, 8, 2, 3])
    got = future_values(rows, points, np.arange(5.0), 3)
    nan = np.nan
    want = [[1, nan, nan], [nan, nan, 2], [nan, nan, nan], [4, nan, nan], [nan, nan, nan]]
    np.testing.assert_array_equal(got, want)


def test_regressors_come_from_the_ticks():
    rng = np.random.default_rng(3)
    y, x = rng.normal(size=60), rng.normal(size=60)
    y[1:] += 2 * x[1:]
    long = frame({"a": y}).assign(x=x)
    model = fc.fit(long[:50], fc.ARX(lags=1), "h", exog=["x"], n_jobs=1)
    new = ticks({"a": y[50:]}, 50).assign(x=x[50:])
    laid = lay_out(model.records[0], new)
    got = replay(model.records[0], laid, 2, (95.0,))
    for k in range(8):
        moved = model.update(long[50 : 51 + k])
        want = moved.predict(2, X_df=long[51 + k : 53 + k].drop(columns="y"))["ARX"]
        np.testing.assert_allclose(got.mean[k], want, rtol=1e-8)
    assert np.isnan(got.mean[-1]).all()  # nothing is known of the regressor after the last
    lacks = replay(model.records[0], lay_out(model.records[0], new.drop(columns="x")), 2, (95.0,))
    assert np.isnan(lacks.mean).all()


@pytest.mark.parametrize(
    ("champion", "challenger", "passed"), [(10, 20, True), (20, 10, False), (20, 20, True)]
)
def test_who_is_worse_on_live_ticks_is_told(champion, challenger, passed):
    new = ticks(live(40, level=20.0), POINTS)
    old, fresh = fitted(champion).records[0], fitted(challenger).records[0]
    found = contest(old, fresh, new, 6)
    verdict = judge(found, 6, 0.05)
    assert verdict.passed is passed, verdict
    assert verdict.evidence["n_ticks"] == 4 * 39
    assert found.ticks().tolist() == [39] * 4
    if not passed:
        assert "worse one step ahead" in verdict.why


def test_the_scores_are_those_of_the_models_moved_on():
    new = live(20, level=12.0)
    old, fresh = fitted(10), fitted(12)
    found = contest(old.records[0], fresh.records[0], ticks(new, POINTS), 4)
    step = {name: np.abs(np.diff(y)).mean() for name, y in new.items()}
    for model, got, paths, inside in (
        (old, found.champion, found.champion_path, found.champion_inside),
        (fresh, found.challenger, found.challenger_path, found.challenger_inside),
    ):
        for k in (0, 7, 18):
            moved = model.update(frame({name: y[: k + 1] for name, y in new.items()}, POINTS))
            want = moved.predict(4, level=95).set_index("unique_id")
            for i, name in enumerate(IDS):
                row = np.flatnonzero((found.series == i) & (found.ts_ms == START_MS + (POINTS + k) * HOUR_MS))
                truth = new[name][k + 1 : k + 5]
                mean = want.loc[name, "AR"].to_numpy()[: len(truth)]
                errors = np.abs(truth - mean) / step[name]
                np.testing.assert_allclose(got[row], errors[0], rtol=1e-8)
                whole = errors.mean() if len(truth) == 4 else np.nan
                np.testing.assert_allclose(paths[row], whole, rtol=1e-8)
                ends = want.loc[name, ["AR-lo-95", "AR-hi-95"]].to_numpy()[0]
                assert inside[row] == (ends[0] <= truth[0] <= ends[1])


def test_a_champion_that_stands_further_back_takes_the_ticks_between():
    y = live(60, level=10.0)
    old = fitted(10)
    fresh = fit({name: np.r_[values(i, POINTS), y[name][:30]] for i, name in enumerate(IDS)})
    found = contest(old.records[0], fresh.records[0], ticks(y, POINTS), 3)
    assert found.ts_ms.min() == START_MS + (POINTS + 30) * HOUR_MS
    moved = old.update(frame({name: part[:31] for name, part in y.items()}, POINTS)).predict(1)
    first = moved.query("unique_id == 'a'")["AR"].iloc[0]
    scale = np.abs(np.diff(y["a"])).mean()
    row = np.flatnonzero((found.series == 0) & (found.ts_ms == found.ts_ms.min()))
    np.testing.assert_allclose(found.champion[row], abs(y["a"][31] - first) / scale, rtol=1e-8)


@pytest.mark.parametrize("kind", ["none", "nan", "huge", "constant"])
def test_ticks_that_say_nothing_give_no_error(kind):
    new = live(10)
    if kind == "nan":
        new = {name: np.full(10, np.nan) for name in new}
    if kind == "huge":
        new = {name: np.full(10, 1e300) for name in new}
    if kind == "constant":
        new = {name: np.full(10, 7.0) for name in new}
    laid = ticks(new, POINTS)
    found = contest(fitted(10).records[0], fitted(12).records[0], laid[:0] if kind == "none" else laid, 3)
    verdict = judge(found, 3, 0.05)
    if kind in ("none", "nan"):
        assert not verdict.passed
        assert verdict.why == "there is no tick to judge by"
    assert np.isfinite(found.champion).all()


def test_intervals_that_do_not_hold_are_a_reason_against_it():
    from dataclasses import replace

    y = ticks(live(60, level=10.0), POINTS)
    old = fitted(10).records[0]
    narrow = replace(old, sigma2=old.sigma2 / 100.0)
    verdict = judge(contest(old, narrow, y, 3), 3, 0.05)
    assert not verdict.passed
    assert "in the challenger's 95 % intervals" in verdict.why
    worse = replace(old, sigma2=old.sigma2 / 1000.0)
    assert judge(contest(worse, narrow, y, 3), 3, 0.05).passed  # nearer than the champion's


def shared(rng, n_series: int, n_times: int, share: float):
    """Sound intervals of series that share the weather; the champion's are a little wider."""
    from pipelines.retrain.contest import Contest

    weather = rng.normal(size=(1, n_times))
    z = np.sqrt(share) * weather + np.sqrt(1 - share) * rng.normal(size=(n_series, n_times))
    error = np.abs(z).ravel()
    rows, times = np.repeat(np.arange(n_series), n_times), np.tile(np.arange(n_times), n_series)
    none = np.full(len(rows), np.nan)
    return Contest(rows, times, error, error, none, none, error < 2.0, error < 1.96, n_series)


def test_weather_that_all_series_share_is_no_fault_of_the_intervals():
    rng = np.random.default_rng(0)
    refused = [not judge(shared(rng, 200, 24, 0.3), 24, 0.05).passed for _ in range(100)]
    assert np.mean(refused) < 0.12  # of independent ones 2 %; counted as independent these are 25 %
