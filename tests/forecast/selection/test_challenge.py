from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

import forecast as fc
from forecast.errors import InputError
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.spec import Model
from forecast.selection.backtest import cut
from forecast.selection.challenge import BAND, GAIN, LEAST_NEW, challenge

FITTED = 300
SD = 1 / np.sqrt(0.75)
MODEL = fc.AR(lags=2)


def series(n, t, seed=0, phi=0.5):
    e = np.random.default_rng(seed).normal(size=(n, t + 50))
    y = np.zeros_like(e)
    for k in range(1, t + 50):
        y[:, k] = phi * y[:, k - 1] + e[:, k]
    return 10 + y[:, 50:]


def panel(y, **exog):
    n, t = y.shape
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    blocks = {name: np.array(block).ravel() for name, block in exog.items()}
    return Panel(y.ravel().copy(), np.arange(n + 1) * t, ids, np.zeros(n, np.int64), Freq("1"), blocks)


def shifted(n=1, new=50, by=2.0, seed=0, calm=10):
    y = series(n, FITTED + new, seed)
    y[:, FITTED + calm :] += by * SD
    return y


def fit(data, model=MODEL, points=FITTED):
    return model.fit(data.head(np.full(data.n_series, points)))


def judge(y, model=MODEL, h=12, folds=8, **more):
    data = panel(y)
    return challenge(data, fit(data, model), model, h=h, folds=folds, **more)


def plain(value):
    """Whether JSON keeps it as it is."""
    return json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_level_shift_is_won_by_what_came_after_it():
    found = judge(shifted())
    assert (found.passed, found.reason) == (True, GAIN)
    assert found.records.ids.tolist() == ["s0"]
    records = found.records
    assert records.start[0] + records.nobs[0] == FITTED + 50  # it stands at the end of the data
    mean = records.const / (1 - records.phi.sum(axis=1))
    assert mean[0] == pytest.approx(10 + 2 * SD, abs=1.0)
    assert records.oos_scale[0] > 0
    assert found.evidence["p_value"] < 0.05
    assert sum(found.evidence["windows"].values()) == 1
    assert records.nobs[0] <= 50
    assert plain(found.evidence)


@pytest.mark.slow
@pytest.mark.parametrize(("points", "least"), [(30, 0.5), (60, 0.85)])
def test_a_shift_of_two_sd_passes_within_tens_of_points(points, least):
    passed = [judge(shifted(new=10 + points, seed=seed)).passed for seed in range(40)]
    assert np.mean(passed) >= least - 2 * np.sqrt(least * (1 - least) / 40)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "folds", "new"), [(1, 8, 96), (3, 8, 40), (4, 4, 48)])
def test_without_drift_a_promotion_is_as_rare_as_alpha(n, folds, new):
    rounds = 60
    passed = sum(judge(series(n, FITTED + new, seed), folds=folds).passed for seed in range(rounds))
    assert passed / rounds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


def test_the_same_data_give_the_same_verdict():
    first, second = judge(shifted(3, 40)), judge(shifted(3, 40))
    assert first.evidence == second.evidence
    assert np.array_equal(first.records.phi, second.records.phi)


def test_no_challenger_sees_what_comes_after_its_origin():
    y = series(2, FITTED + 96, 5)
    before = judge(y).evidence
    assert (before["folds"], before["horizon"]) == (8, 12)
    y[:, -12:] += np.random.default_rng(0).normal(size=(2, 12))  # what the last path forecasts
    after = judge(y).evidence
    for side in ("champion", "challenger"):
        assert before["by_fold"][side][:7] == after["by_fold"][side][:7]
        assert before["by_fold"][side][7] != after["by_fold"][side][7]


def test_a_challenger_is_fitted_to_its_past_and_the_champion_moved_on():
    @dataclass(frozen=True)
    class Seen:
        seen: list
        alias: str = "Seen"

        def fit(self, part, jobs=1):
            self.seen.append(part.end().max())
            return MODEL.fit(part, jobs)

    data = panel(series(1, FITTED + 96, 7))
    champion, model = fit(data), Seen([])
    found = challenge(data, champion, model, h=12, folds=8, windows=())
    assert model.seen[:8] == [FITTED - 1 + 12 * k for k in range(8)]
    assert len(model.seen) == 8 + found.passed
    from forecast.models.filtering import advance
    from forecast.models.forecasting import forecast

    moved = advance(champion, cut(data, np.array([0]), np.array([FITTED]), np.array([FITTED + 12])))
    ahead = forecast(moved, 12).mean[0]
    error = np.abs(data.values[FITTED + 12 : FITTED + 24] - ahead).mean() / np.sqrt(champion.sigma2[0])
    assert found.evidence["by_fold"]["champion"][1] == pytest.approx(error, rel=0.02)


def test_with_much_new_data_paths_follow_one_another():
    from forecast.models.filtering import advance
    from forecast.models.forecasting import forecast

    data = panel(series(1, FITTED + 8 * 6 * 3, 7, phi=0.9))
    champion, one = fit(data), np.array([0])
    found = challenge(data, champion, MODEL, h=6, folds=8, windows=()).evidence
    assert (found["folds"], found["paths"], found["horizon"]) == (8, 3, 6)
    errors, moved = [], champion
    for q in range(3):
        at = FITTED + 6 * q
        errors.append(np.abs(data.values[at : at + 6] - forecast(moved, 6).mean[0]).mean())
        moved = advance(moved, cut(data, one, np.array([at]), np.array([at + 6])))
    error = np.mean(errors) / np.sqrt(champion.sigma2[0])
    assert found["by_fold"]["champion"][0] == pytest.approx(error, rel=0.02)


def test_only_series_that_changed_are_taken():
    y = series(6, FITTED + 60, 11)
    y[2, FITTED + 10 :] += 3 * SD
    found = judge(y)
    assert found.passed
    assert "s2" in found.records.ids.tolist()
    assert found.records.n_series <= 4
    assert len(found.kept) == 6 - found.records.n_series
    assert all("does not forecast it better" in why for why in found.kept.values())


def test_intervals_that_do_not_hold_are_a_reason():
    """The spread is three times what it was, the mean is not: errors cannot become smaller."""
    y = series(4, FITTED + 96, 3)
    y[:, FITTED:] = 10 + (y[:, FITTED:] - 10) * 3
    found = judge(y)
    assert (found.passed, found.reason) == (True, BAND)
    assert found.evidence["coverage"]["champion"] < 0.8
    assert found.evidence["coverage"]["challenger"] > found.evidence["coverage"]["champion"]
    assert (found.records.sigma2 > 5).all()


def test_gaps_and_a_tail_that_is_missing_are_no_fault():
    y = shifted(3, 60)
    y[0, FITTED + 20 : FITTED + 23] = np.nan
    y[1, -5:] = np.nan
    found = judge(y)
    assert found.passed
    assert plain(found.evidence)


def test_a_feed_that_stands_still_or_is_gone_is_left_alone():
    y = shifted(4, 50)
    y[0, -LEAST_NEW:] = 7.0
    y[1, FITTED:] = np.nan
    y[2, FITTED:] = 3.5
    found = judge(y)
    assert set(found.kept) == {"s0", "s1", "s2"}
    assert "look at the feed" in found.kept["s0"]
    assert "missing" in found.kept["s1"]
    assert found.records.ids.tolist() == ["s3"]
    only = judge(y[2:3])
    assert not only.passed
    assert "look at the feed" in only.reason
    assert plain(only.evidence)


def test_a_series_that_was_always_constant_is_left_alone():
    found = judge(np.full((1, FITTED + 40), 5.0))
    assert not found.passed
    assert "are all 5" in found.reason


def test_too_little_new_data_is_told():
    y = series(1, FITTED + LEAST_NEW - 1)
    assert judge(y).reason.startswith(f"too little new data: {LEAST_NEW - 1} points")
    assert judge(y[:, :FITTED]).reason == "no data came after the champion was fitted"


@pytest.mark.parametrize("bad", ["nan", "explosive", "constant"])
def test_a_challenger_that_is_not_sound_is_kept_out(bad):
    @dataclass(frozen=True)
    class Bad:
        alias: str = "Bad"

        def fit(self, part, jobs=1):
            records = MODEL.fit(part, jobs)
            row = records.ids == "s0"
            if bad == "nan":
                return replace(records, const=np.where(row, np.nan, records.const))
            if bad == "explosive":
                phi = records.phi.copy()
                phi[row] = [1.3, 0.0]
                return replace(records, phi=phi)
            return replace(records, status=np.where(row, 17, records.status).astype(np.uint8))

    data = panel(shifted(2))
    champion = fit(data)
    found = challenge(data, champion, Bad(), h=12, folds=8)
    assert found.records.ids.tolist() == ["s1"]
    assert set(found.kept) == {"s0"}
    alone = challenge(data.take(np.array([0])), champion, Bad(), h=12, folds=8)
    assert (alone.passed, alone.records) == (False, None)
    assert plain(alone.evidence)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"const": np.nan}, "not finite"), ({"phi": 1.2}, "not stationary"), ({"status": 18}, "too_short")],
)
def test_what_is_not_sound_at_the_end_alone_is_kept_out_too(change, why):
    @dataclass(frozen=True)
    class Late:
        alias: str = "Late"

        def fit(self, part, jobs=1):
            records = MODEL.fit(part, jobs)
            if part.end().max() < FITTED + 49:
                return records
            name, value = next(iter(change.items()))
            old = getattr(records, name)
            return replace(records, **{name: np.full_like(old, value)})

    data = panel(shifted())
    found = challenge(data, fit(data), Late(), h=12, folds=8)
    assert (found.passed, found.reason) == (False, "no challenger is sound")
    assert why in found.kept["s0"]


def test_regressors_are_known_over_a_path():
    rng = np.random.default_rng(4)
    t = FITTED + 80
    x = rng.normal(size=(2, t))
    y = series(2, t, 9) + 2.0 * x
    y[:, FITTED:] -= 5.0 * x[:, FITTED:]  # the effect turned round
    data, model = panel(y, x=x), fc.ARX(lags=1)
    found = challenge(data, fit(data, model), model, h=8, folds=8)
    assert (found.passed, found.reason) == (True, GAIN)
    assert found.records.beta[:, 0] == pytest.approx(-3.0, abs=0.5)


def test_a_missing_regressor_keeps_a_series_out():
    t = FITTED + 60
    x = np.random.default_rng(4).normal(size=(2, t))
    y = series(2, t, 9) + 2.0 * x
    x[0, FITTED + 5] = np.nan
    data, model = panel(y, x=x), fc.ARX(lags=1)
    found = challenge(data, fit(data, model), model, h=8, folds=8)
    assert "regressor 'x' is missing at 1 points" in found.kept["s0"]


def test_the_data_may_begin_before_or_after_those_of_the_champion():
    y = shifted(new=60)
    data = panel(y)
    later = cut(data, np.array([0]), np.array([100]), np.array([FITTED]))
    champion = MODEL.fit(later)
    whole = challenge(data, champion, MODEL, h=12, folds=8)
    short = challenge(cut(data, np.array([0]), np.array([250]), np.array([FITTED + 60])), fit(data), MODEL,
                      h=12, folds=8)  # fmt: skip
    assert whole.passed
    assert short.passed
    beyond = challenge(cut(data, np.array([0]), np.array([310]), np.array([FITTED + 60])), fit(data), MODEL,
                       h=12, folds=8)  # fmt: skip
    assert "the data begin after" in beyond.reason


def test_series_of_several_lengths_share_the_origins_that_they_have():
    y = shifted(2, 60)
    data = panel(y)
    ragged = cut(data, np.arange(2), np.array([0, 0]), np.array([FITTED + 60, FITTED + 20]))
    found = challenge(ragged, fit(data), MODEL, h=12, folds=8)
    assert plain(found.evidence)
    assert found.passed


def test_strangers_are_named_and_none_known_is_an_error():
    data = panel(shifted(2))
    champion = fit(data.take(np.array([1])))
    found = challenge(data, champion, MODEL, h=12, folds=8)
    assert found.kept["s0"] == "the champion does not know it"
    with pytest.raises(InputError, match="knows none of the series"):
        challenge(data.take(np.array([0])), champion, MODEL, h=12, folds=8)
    with pytest.raises(InputError, match="grid"):
        challenge(replace(data, freq=Freq("2")), champion, MODEL, h=12, folds=8)


@pytest.mark.parametrize(
    "wrong",
    [{"h": 0}, {"folds": 1}, {"alpha": 0.0}, {"alpha": 0.6}, {"level": 100}, {"band": (0.9, 0.8)},
     {"windows": (2,)}],
)  # fmt: skip
def test_arguments_are_checked(wrong):
    with pytest.raises(InputError):
        judge(series(1, FITTED + 20), **({"h": 12, "folds": 8} | wrong))


def test_progress_is_told_and_may_stop_it():
    told = []
    judge(shifted(), progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 10) for k in range(1, 11)]  # one to warm up, eight, and the fit to all

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(shifted(), progress=stop)


def test_the_champion_is_not_touched():
    data = panel(shifted())
    champion: Records = fit(data)
    before = champion.levels.copy(), champion.nobs.copy()
    challenge(data, champion, MODEL, h=12, folds=8)
    assert np.array_equal(before[0], champion.levels)
    assert np.array_equal(before[1], champion.nobs)


def test_auto_models_take_part():
    model: Model = fc.AutoAR(season_length=1)
    found = judge(shifted(new=60), model)
    assert found.passed
    assert found.records.oos_n[0] > 0


def test_a_series_that_the_champion_cannot_forecast_gets_the_challenger():
    y = series(3, FITTED + 60, 3)
    y[1, :FITTED] = np.nan
    found = judge(y)
    assert found.passed
    assert "s1" in found.records.ids.tolist()
    alone = judge(y[1:2])
    assert (alone.passed, alone.reason) == (True, "the champion has no forecast")
    assert plain(alone.evidence)


def test_infinities_are_missing_values():
    y = shifted(2, 60)
    y[0, FITTED + 30], y[1, FITTED + 31] = np.inf, -np.inf
    gaps = np.where(np.isinf(y), np.nan, y)
    assert judge(y).evidence == judge(gaps).evidence


def test_windows_are_chosen_by_the_crps():
    from scipy.integrate import quad
    from scipy.special import ndtr

    from forecast.selection.challenge_folds import _crps

    for error, sd in ((1.3, 0.7), (-0.2, 2.0), (0.0, 1.0)):
        by_hand = quad(lambda x, e=error, s=sd: (ndtr(x / s) - (x >= e)) ** 2, -20, 20, points=[error])[0]
        assert _crps(np.array([error]), np.array([sd]))[0] == pytest.approx(by_hand, abs=1e-7)
    assert _crps(np.array([-2.0]), np.array([0.0]))[0] == 2.0
