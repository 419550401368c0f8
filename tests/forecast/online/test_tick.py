"""Tick by tick: the same as moving the records over all ticks at once."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models.filtering import advance
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Form, Transform
from forecast.online import State, init, tick
from tests.strategies import make_records

MODELS = {
    "ar": {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0]},
    "arma": {"phi": [0.5], "theta": [0.4], "const": 2.0, "slope": 0.1, "levels": [0.5], "innovations": [0.3],
             "form": Form.REGRESSION},
    "arx": {"phi": [0.6], "beta": [2.0, -1.0], "exog": (ExogTerm("a"), ExogTerm("b", 2)), "levels": [1.0],
            "exog_tail": np.array([[[0.5, -0.5]]])},
    "log": {"phi": [0.6], "const": 0.1, "transform": Transform.LOG, "scale": 2.0, "levels": [0.2]},
    "season": {"phi": [0.6], "seasonal": [0.5, 1.0, -1.0, 0.0], "season_length": 4, "levels": [1.0]},
}  # fmt: skip
TICKS = st.lists(st.one_of(st.floats(0.1, 5.0), st.just(float("nan"))), min_size=1, max_size=12)


@settings(max_examples=40)
@given(model=st.sampled_from(sorted(MODELS)), y=TICKS)
def test_ticks_one_by_one_are_the_same_as_all_at_once(model, y):
    records = make_records(1, sigma2=0.5, **MODELS[model])
    exog = {"a": np.sin(np.arange(len(y))), "b": np.cos(np.arange(len(y)))}
    state = init(records)
    for k, value in enumerate(y):
        state, info = tick(records, state, 0, value, {name: x[k] for name, x in exog.items()})
        assert (info.z is None) == np.isnan(value)
    new = Panel(np.array(y), np.array([0, len(y)]), records.ids, np.array([100]), Freq("1"), exog)
    want = advance(records, new)
    assert state.t == want.nobs[0]
    np.testing.assert_allclose(state.levels, want.levels[0], atol=1e-12)
    np.testing.assert_allclose(state.innovations, want.innovations[0], atol=1e-12)
    assert (state.cov is None) == (0 not in want.state_cov)
    if state.cov is not None:
        np.testing.assert_allclose(state.cov, want.state_cov[0], atol=1e-12)
    if want.exog_tail.size:
        np.testing.assert_array_equal(state.exog_tail["b"], want.exog_tail[0, 0])


@pytest.mark.parametrize("model", MODELS)
def test_a_state_survives_pickle_and_json(model):
    records = make_records(1, **MODELS[model])
    state, _ = tick(records, init(records), 0, float("nan"), {"a": 1.0, "b": 2.0})
    assert state.cov is not None
    assert pickle.loads(pickle.dumps(state)) == state  # noqa: S301  # our own bytes
    assert State.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize("model", ["ar", "arma", "season"])
def test_what_stood_for_the_tick_is_the_forecast_and_forecasting_leaves_the_state_alone(model):
    records = make_records(1, sigma2=0.5, **MODELS[model])
    before = init(records)
    mean = forecast(records, 1).mean[0, 0]
    assert init(records) == before
    _, info = tick(records, before, 0, 3.0)
    assert info.mean == pytest.approx(mean, abs=1e-12)
    assert info.f == 0.5
    assert info.z == pytest.approx((3.0 - mean) / np.sqrt(0.5))
    assert init(records) == before


def test_a_tick_by_hand():
    records = make_records(1, phi=[0.5], const=1.0, sigma2=4.0, levels=[2.0])
    state, info = tick(records, init(records), 0, 5.0)
    assert (info.mean, info.z, info.f) == (2.0, 1.5, 4.0)
    assert (state.t, state.levels) == (101, (5.0,))


def test_one_of_several_series_is_named():
    records = make_records(2, phi=[0.5])
    assert init(records, 1).t == 100
    with pytest.raises(InputError, match="which one"):
        init(records)
    with pytest.raises(InputError, match="out of range"):
        init(records, 2)


def test_a_missing_regressor_is_refused():
    records = make_records(1, **MODELS["arx"])
    with pytest.raises(InputError, match="'a'"):
        tick(records, init(records), 0, 1.0, {"b": 1.0})
    with pytest.raises(InputError, match="'b'"):
        tick(records, init(records), 0, 1.0, {"a": 1.0})
