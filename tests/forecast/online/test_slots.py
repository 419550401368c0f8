"""Slots: tick by tick the same as filtering the longer series, and the forecast that follows from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import online
from forecast.errors import FutureExogError, InputError
from forecast.kernels import stream
from forecast.models.filtering import advance
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Form, Transform
from tests.strategies import make_records

NAN = float("nan")
H = 6
MODELS = {
    "ar": {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0]},
    "long ar": {"phi": [0.3, 0.0, 0.1, 0.0, 0.0, 0.1, 0.0, 0.2], "levels": [1.0] * 8},
    "arima": {"phi": [0.5], "theta": [0.4], "d": 1, "levels": [1.5, 1.0], "innovations": [0.3]},
    "seasonal": {"phi": [0.4], "seasonal_phi": [0.3], "seasonal_theta": [-0.5], "theta": [0.2], "D": 1,
                 "season_length": 4, "levels": [1.0, 2.0, 0.5, 1.5, 1.0, 2.0, 0.5, 1.5, 1.0],
                 "innovations": [0.1, -0.2, 0.3, 0.1, 0.2]},
    "arma": {"phi": [0.5], "theta": [0.4], "const": 2.0, "slope": 0.1, "levels": [0.5], "innovations": [0.3],
             "form": Form.REGRESSION},
    "arx": {"phi": [0.6], "beta": [2.0, -1.0], "exog": (ExogTerm("a"), ExogTerm("b", 2)), "levels": [1.0],
            "exog_tail": np.array([[[0.5, -0.5]]])},
    "arimax": {"phi": [0.6], "beta": [2.0], "exog": (ExogTerm("a"),), "levels": [1.0],
               "form": Form.REGRESSION},
    "log": {"phi": [0.6], "const": 0.1, "transform": Transform.LOG, "scale": 2.0, "levels": [0.2]},
    "season": {"phi": [0.6], "seasonal": [0.5, 1.0, -1.0, 0.0], "season_length": 4, "levels": [1.0]},
    "noise": {"const": 3.0},
    "exact": {"phi": [0.5], "const": 1.0, "levels": [1.0], "sigma2": 0.0},
}  # fmt: skip
TICKS = st.lists(st.one_of(st.floats(0.1, 5.0), st.just(NAN)), min_size=1, max_size=14)
ONE = pytest.mark.parametrize("model", MODELS)


def build(model, n=1):
    fields = {"sigma2": 0.5} | MODELS[model]
    if "exog_tail" in fields:
        fields["exog_tail"] = np.repeat(fields["exog_tail"], n, axis=0)
    return make_records(n, **fields)


def waves(n):
    return {"a": np.sin(np.arange(n)), "b": np.cos(np.arange(n))}


def at(exog, k):
    return {name: float(x[k]) for name, x in exog.items()}


@settings(max_examples=60)
@given(model=st.sampled_from(sorted(MODELS)), y=TICKS)
def test_ticks_are_the_filter_and_the_forecast_follows_from_them(model, y):
    records, exog = build(model), waves(len(y) + H)
    slots = online.load(records, H)
    for k, value in enumerate(y):
        info = online.step(slots, 0, value, at(exog, k))
        assert (info.z is None) == np.isnan(value)
    past = {name: x[: len(y)] for name, x in exog.items()}
    new = Panel(np.array(y), np.array([0, len(y)]), records.ids, np.array([100]), Freq("1"), past)
    want, got = advance(records, new), online.unload(slots)
    assert got.nobs[0] == want.nobs[0]
    # The same sums, of at most 15 terms of size 10, in another order: 1e-14 each, some ten ticks long.
    for name in ("levels", "innovations", "exog_tail"):
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), atol=1e-12)
    assert got.state_cov.keys() == want.state_cov.keys()
    for i, cov in want.state_cov.items():
        np.testing.assert_allclose(got.state_cov[i], cov, atol=1e-12)
    future = {name: x[len(y) :] for name, x in exog.items()}
    mean = forecast(want, H, exog={name: x[None] for name, x in future.items()}).mean[0]
    np.testing.assert_allclose(online.ahead(slots, 0, future), mean, rtol=1e-11, atol=1e-11)


@settings(max_examples=30)
@given(model=st.sampled_from(sorted(MODELS)), y=TICKS)
def test_a_slot_and_the_pure_tick_agree(model, y):
    records, exog = build(model), waves(len(y))
    slots, state = online.load(records, 1), online.init(records)
    for k, value in enumerate(y):
        state, want = online.tick(records, state, 0, value, at(exog, k))
        got = online.step(slots, 0, value, at(exog, k))
        np.testing.assert_allclose(
            [got.mean, got.z or 0, got.f], [want.mean, want.z or 0, want.f], rtol=1e-11, atol=1e-11
        )
    kept = online.state_of(slots, 0)
    assert kept.t == state.t
    np.testing.assert_allclose(kept.levels, state.levels, atol=1e-12)
    assert (kept.cov is None) == (state.cov is None)
    assert kept.exog_tail == state.exog_tail


def test_a_tick_by_hand():
    """w = 1 + w/2: from 2 the forecast is 2, 2, 2; the value 5 is a surprise of 3, halved at each step."""
    slots = online.load(make_records(1, phi=[0.5], const=1.0, sigma2=4.0, levels=[2.0]), 3)
    assert online.ahead(slots, 0).tolist() == [2.0, 2.0, 2.0]
    assert online.step(slots, 0, 5.0) == (2.0, 1.5, 4.0)
    assert online.ahead(slots, 0).tolist() == [3.5, 2.75, 2.375]
    assert online.state_of(slots, 0).levels == (5.0,)


def test_a_gap_by_hand():
    """Two steps without a value: the variance is sigma2 (1 + 1/4), then (1 + 1/4 + 1/16)."""
    slots = online.load(make_records(1, phi=[0.5], const=1.0, sigma2=4.0, levels=[4.0]), 2)
    assert online.step(slots, 0, NAN) == (3.0, None, 4.0)
    assert online.step(slots, 0, NAN) == (2.5, None, 5.0)
    assert online.step(slots, 0, 3.25) == (2.25, pytest.approx(1.0 / 5.25**0.5), 5.25)
    assert online.state_of(slots, 0).cov is None  # known again: an AR(1) needs one value
    assert online.ahead(slots, 0).tolist() == [2.625, 2.3125]


@ONE
def test_a_slot_does_not_touch_its_neighbours(model):
    slots, alone = online.load(build(model, 3), H), online.load(build(model), H)
    before = slots.table[[0, 2]].copy()
    for k in range(8):
        exog = at(waves(8), k)
        value = NAN if k in (2, 5) else 1.0 + k % 3
        assert online.step(slots, 1, value, exog) == online.step(alone, 0, value, exog)
    np.testing.assert_array_equal(slots.table[[0, 2]], before)
    assert online.ahead(slots, 1).tobytes() == online.ahead(alone, 0).tobytes()


def test_rounding_does_not_pile_up():
    """An integrated model over 3000 ticks; the incremental forecast against one from the state."""
    slots = online.load(build("arima"), 24)
    y = np.random.default_rng(0).normal(size=3000).cumsum()
    for value in y[: stream.REFRESH - 1]:
        online.step(slots, 0, value)
    moved = online.ahead(slots, 0)
    stream.project(slots.table, 0, 24, slots.quiet)
    np.testing.assert_allclose(moved, online.ahead(slots, 0), atol=1e-11)  # 1e-16 * 50 a tick, 1000 ticks
    for value in y[stream.REFRESH - 1 :]:
        online.step(slots, 0, value)
    assert slots.table[0, stream.AGE] < stream.REFRESH


def test_the_pool_grows_with_the_gaps_and_loads_again():
    records = build("seasonal", 11)
    slots = online.load(records, H)
    for i in range(11):
        online.step(slots, i, NAN)
        online.step(slots, i, float(i))
    moved = online.unload(slots)
    assert len(moved.state_cov) == 11
    again = online.load(moved, H)
    for i in range(11):
        assert online.step(again, i, 2.0) == online.step(slots, i, 2.0)
        np.testing.assert_allclose(online.ahead(again, i), online.ahead(slots, i), atol=1e-13)


def test_what_it_needs_is_said():
    slots = online.load(build("arx"), H)
    with pytest.raises(InputError, match="'a'"):
        online.step(slots, 0, 1.0, {"b": 1.0})
    with pytest.raises(InputError, match="'b'"):
        online.step(slots, 0, 1.0, {"a": 1.0})
    online.step(slots, 0, 1.0, {"a": 1.0, "b": 1.0})
    assert np.isnan(online.ahead(slots, 0)).any()
    with pytest.raises(FutureExogError, match="'b'"):
        online.ahead(slots, 0, {"a": np.zeros(H)})
    with pytest.raises(InputError, match="shape"):
        online.ahead(slots, 0, {"a": np.zeros(2), "b": np.zeros(H)})
    with pytest.raises(InputError, match="slot 1"):
        online.step(slots, 1, 1.0)
    with pytest.raises(InputError, match="horizon"):
        online.load(build("ar"), 0)


@pytest.mark.parametrize("bad", [float("inf"), NAN, None, "a", 1j, 10**400])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_regressor_that_is_no_finite_number_is_refused_and_nothing_moves(name, bad):
    records = build("arx")
    slots, exog = online.load(records, 2), {"a": 1.0, "b": 1.0, name: bad}
    before = slots.table.copy(), slots.tails.copy()
    with pytest.raises(InputError, match=f"'{name}'"):
        online.step(slots, 0, 1.0, exog)
    with pytest.raises(InputError, match=f"'{name}'"):
        online.tick(records, online.init(records), 0, 1.0, exog)
    np.testing.assert_array_equal(slots.table, before[0])
    np.testing.assert_array_equal(slots.tails, before[1])


def test_regressors_that_overflow_together_are_refused():
    records = build("arimax")
    with pytest.raises(InputError, match="not finite"):
        online.step(online.load(records, 2), 0, 1.0, {"a": 1.5e308})
    with pytest.raises(InputError, match="not finite"):
        online.tick(records, online.init(records), 0, 1.0, {"a": 1.5e308})


@pytest.mark.parametrize(
    ("future", "words"),
    [
        (5, "must map"),
        ({"a": ["x", "y"]}, "'a' must be 2 numbers"),
        ({"a": [1.0, NAN]}, "'a' is NaN or infinite at step 2"),
        ({"a": [1.0]}, "shape"),
    ],
)
def test_a_future_without_a_meaning_is_refused(future, words):
    slots = online.load(build("arimax"), 2)
    with pytest.raises(InputError, match=words):
        online.step(slots, 0, 1.0, {"a": 1.0}, future)
    with pytest.raises(InputError, match=words):
        online.ahead(slots, 0, future)
    assert online.state_of(slots, 0).t == 100


def test_exog_that_is_no_mapping_is_refused():
    with pytest.raises(InputError, match="exog must map"):
        online.step(online.load(build("arimax"), 2), 0, 1.0, [1.0])


@pytest.mark.parametrize("model", ["ar", "arma", "arima", "exact", "season"])
def test_a_wild_value_counts_as_missing(model):
    """-1e308 is 2e308 from 1e308: no float, and no state would recover from it."""
    records = build(model)
    slots, gap, state = online.load(records, H), online.load(records, H), online.init(records)
    with np.errstate(over="ignore"):
        for y in (1e308, -1e308, 1.0, 2.0):
            info = online.step(slots, 0, y)
            state, pure = online.tick(records, state, 0, y)
            assert info == online.step(gap, 0, y if abs(y) < 3 else NAN)
            assert (pure.z is None) == (info.z is None)
    assert np.isfinite(online.ahead(slots, 0)).all()
    # The same sums of some terms of size 10 in another order.
    np.testing.assert_allclose(state.levels, online.state_of(slots, 0).levels, atol=1e-12)


@pytest.mark.parametrize("y", ["3", pd.NA, 10**400, 1j, np.ones(1), [1.0]])
def test_what_is_no_number_is_no_observation(y):
    records = build("ar")
    slots = online.load(records, 2)
    with pytest.raises(InputError, match="y "):
        online.step(slots, 0, y)
    with pytest.raises(InputError, match="y "):
        online.tick(records, online.init(records), 0, y)
    assert online.state_of(slots, 0).t == 100


@pytest.mark.parametrize("y", [None, 2, np.float32(2.0), np.int64(2)])
def test_an_observation_may_be_any_real_number_or_none(y):
    one, two = online.load(build("ar"), 2), online.load(build("ar"), 2)
    assert online.step(one, np.int64(0), y) == online.step(two, 0, NAN if y is None else 2.0)


@pytest.mark.parametrize("slot", [-1, 2, 0.5, "a", None, True])
def test_a_slot_that_is_not_there_is_refused(slot):
    slots = online.load(build("ar", 2), 2)
    for ask in (lambda: online.step(slots, slot, 1.0), lambda: online.ahead(slots, slot),
                lambda: online.state_of(slots, slot)):  # fmt: skip
        with pytest.raises(InputError, match="out of range"):
            ask()


@pytest.mark.parametrize("horizon", [0, 1.5, "x", None, True, 10**9])
def test_a_horizon_without_a_meaning_is_refused(horizon):
    with pytest.raises(InputError, match="horizon must be"):
        online.load(build("ar"), horizon)
