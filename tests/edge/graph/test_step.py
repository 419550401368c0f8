"""The Kalman step: the same as the library and as dense matrices, tick by tick."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.fleet import Fleet
from edge.graph.builder import ALLOWED
from edge.graph.step import step_model
from forecast.models.assemble import take
from forecast.models.records import Form, Transform
from tests import record_strategies
from tests.edge.graph.step_models import (
    LAGGED,
    MODELS,
    REG,
    TICKS,
    TOLERANCE,
    A,
    H,
    assert_states_agree,
    mixed,
    one,
    sound,
    values,
    worst,
)  # fmt: skip
from tests.edge.graph.step_worlds import Device, Library, regressors, with_tail
from tests.oracles import edge_step as oracle
from tests.strategies import make_records


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_what_the_library_gives_over_200_ticks(name):
    records = one(name)
    found, device, library = worst(records, values(records, TICKS, 5))
    assert max(found.values()) < TOLERANCE, found
    assert_states_agree(device, library)


@pytest.mark.parametrize("length", [12, 30])
@pytest.mark.parametrize(
    "name", ["sarima", "ar24", "arimax", "log", "seasonal naive", "no variance", "naive"]
)
def test_a_series_that_begins_with_a_long_gap(name, length):
    records = one(name)
    y = values(records, 60, 6)
    y[:length] = np.nan
    found, device, library = worst(records, y)
    # Where levels are summed up twice, variances grow a thousandfold in 30 steps and come back by
    # subtraction: library and graph are then both 2e-12 away from what 80-bit floats say.
    tolerance = TOLERANCE if length == 12 else 10 * TOLERANCE
    assert max(found.values()) < tolerance, found
    assert_states_agree(device, library, tolerance)


def _at(column, t):
    return column[0, t - 1]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_what_dense_matrices_give(name):
    records = one(name)
    x = regressors(records, 400, 1)
    records = with_tail(records, x)
    y = values(records, 40, 7, missing=0.2)
    y[5:12] = np.nan
    device, model = Device(records, 12), oracle.Model(records, 0)
    at = {name: partial(_at, column) for name, column in x.items()}
    mean, cov, t = device.state[0], device.cov[0], int(records.nobs[0])
    factor = max(1.0, float(np.nan_to_num(records.oos_scale[0]))) ** 2
    sd = max(float(np.sqrt(records.sigma2[0])), 1e-3)
    for row in y:
        want = oracle.tick(model, mean, cov, t, float(row[0]), at, 12)
        got = device.tick(row, x)
        for name_, unit in (("mean", records.scale[0] * sd), ("variance", sd**2)):
            expected = want[name_] * (factor if name_ == "variance" else 1)
            off = np.abs(got[name_][0] - expected) / np.maximum(np.abs(expected), unit)
            assert off.max() < 1e-10, (name_, off.max())
        assert got["imputed"][0] == pytest.approx(float(want["imputed"]), rel=1e-12, abs=1e-12)
        assert got["z"][0] == pytest.approx(float(want["z"]), rel=1e-11, abs=1e-11, nan_ok=True)
        mean, cov, t = want["state"], want["cov"], t + 1


def test_a_season_of_a_week_of_hours():
    fields = {"phi": [0.5], "theta": [0.4], "seasonal_phi": [0.3], "seasonal_theta": [-0.6], "D": 1}
    levels = np.random.default_rng(0).normal(size=(1, 337))
    records = make_records(1, **fields, season_length=168, levels=levels, innovations=np.zeros((1, 169)))
    found, device, library = worst(records, values(records, 8, 3, missing=0.3))
    assert max(found.values()) < TOLERANCE
    assert_states_agree(device, library)
    assert len(device.bytes) < 10_000  # a dense transition would have 2 MB


def test_a_tick_by_hand():
    device = Device(make_records(1, phi=[0.5], const=1.0, sigma2=4.0, levels=[2.0]), 2, (80.0,))
    out = device.tick(np.array([5.0]), {})
    assert (out["state_out"].item(), out["z"].item(), out["imputed"].item()) == (5.0, 1.5, 5.0)
    np.testing.assert_array_equal(out["mean"], [[3.5, 2.75]])
    np.testing.assert_array_equal(out["variance"], [[4.0, 5.0]])
    assert out["hi"][0, 0, 0] == pytest.approx(3.5 + 1.2815515655446004 * 2)
    out = device.tick(np.array([np.nan]), {})
    assert (out["state_out"].item(), out["imputed"].item(), out["cov_out"].item()) == (3.5, 3.5, 4.0)
    np.testing.assert_array_equal(out["variance"], [[5.0, 5.25]])


@pytest.mark.parametrize("seed", range(4))
def test_a_fleet_of_mixed_models_gives_what_the_library_gives(seed):
    records = mixed(seed, exog=LAGGED["exog"] if seed % 2 else ())
    found, device, library = worst(records, values(records, 60, seed), 12)
    assert max(found.values()) < TOLERANCE, found
    assert_states_agree(device, library)


def texts_differ(records):
    return len({str(key) for key in records.ids.tolist()}) == records.n_series


@settings(max_examples=25, deadline=None)
@given(
    drawn=record_strategies.records(max_size=4).filter(texts_differ),
    ticks=st.lists(st.sampled_from(["value", "value", "value", "gap", "jump"]), min_size=1, max_size=8),
    horizon=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_records_give_what_the_library_gives(drawn, ticks, horizon, seed):
    records = sound(drawn)
    y = values(records, len(ticks), seed, missing=0.0)
    y *= np.array([{"value": 1.0, "gap": np.nan, "jump": 40.0}[kind] for kind in ticks])[:, None]
    found, device, library = worst(records, y, horizon)
    assert max(found.values()) < TOLERANCE, found
    assert_states_agree(device, library)


def test_series_of_a_fleet_are_those_of_files_of_their_own():
    records = mixed(11)
    fleet = Device(records, H)
    y = values(records, 20, 1)
    alone = [Device(take(records, np.array([i])), H) for i in range(records.n_series)]
    for row in y:
        together = fleet.tick(row, {})
        for i, device in enumerate(alone):
            got = device.tick(row[i : i + 1], {})
            for name in ("mean", "variance", "imputed", "z"):
                np.testing.assert_allclose(together[name][i], got[name][0], rtol=1e-12, atol=1e-300)


def test_index_takes_any_series_in_any_order_and_twice():
    records = mixed(12)
    device = Device(records, 6)
    y = values(records, 1, 2, missing=0.0)[0]
    every, rows = device.ask(y, {}), [3, 0, 3, 6]
    some = device.ask(y[rows], {}, rows)
    for name, value in some.items():
        np.testing.assert_allclose(value, every[name][rows], rtol=1e-13, atol=0)


def test_a_file_of_one_series_takes_several_states():
    device = Device(one("sarima"), 6)
    y = np.array([1.0, np.nan, np.inf])
    feed = {"y": y, "state": np.repeat(device.state, 3, 0), "cov": np.repeat(device.cov, 3, 0)}
    out = dict(zip(device.gives, device.session.run(device.gives, feed), strict=True))
    for i, value in enumerate(y):
        alone = device.ask(np.array([value]), {})
        for name in out:
            np.testing.assert_allclose(out[name][i], alone[name][0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["sarima", "log", "naive", "arimax"])
@pytest.mark.parametrize("value", [-np.inf, 1e200, -1e200, np.nan])
def test_what_cannot_be_a_value_counts_as_missing(name, value):
    records = one(name)
    if records.transform[0] and value == 1e200:
        return  # 461 on the scale of logarithms: wild, but a value
    y = values(records, 6, 3, missing=0.0)
    y[2] = value
    found, device, library = worst(records, y)
    assert max(found.values()) < TOLERANCE
    assert_states_agree(device, library)


@pytest.mark.parametrize("name", ["ar1", "naive", "arima"])
@pytest.mark.parametrize(
    ("value", "taken"), [(1e120, True), (-9.9e153, True), (1.1e154, False), (-1e155, False)]
)
def test_an_innovation_beyond_1e154_counts_as_missing(name, value, taken):
    records = one(name)
    found, device, library = worst(records, np.array([[1.0], [value], [2.0]]))
    assert max(found.values()) < TOLERANCE
    assert_states_agree(device, library)
    device = Device(records, H)
    assert np.isnan(device.tick(np.array([value]), {})["z"]).all() != taken


@pytest.mark.parametrize("value", [0.0, -1.0, -0.0])
def test_what_has_no_logarithm_counts_as_missing(value):
    device, twin = Device(one("log"), H), Device(one("log"), H)
    got, want = device.tick(np.array([value]), {}), twin.tick(np.array([np.nan]), {})
    for name in got:
        np.testing.assert_array_equal(got[name], want[name])


@pytest.mark.parametrize("name", ["sarima", "log arimax", "naive", "ar24", "no variance", "waves"])
def test_plus_infinity_is_no_tick(name):
    records = one(name)
    x = regressors(records, 400, 1)
    records = with_tail(records, x)
    device, y = Device(records, H), values(records, 5, 4, missing=0.3)
    for row in y:
        before = device.tick(row, x)
    device.t -= 1
    again = device.ask(np.array([np.inf]), x)
    for one_of in ("mean", "variance", "lo", "hi"):
        np.testing.assert_array_equal(again[one_of], before[one_of])
    np.testing.assert_array_equal(again["state_out"], device.state)
    np.testing.assert_array_equal(again["cov_out"], device.cov)
    assert np.isnan(again["z"]).all()


@pytest.mark.parametrize("name", ["ar24", "arima", "sarima", "ma"])
def test_what_is_known_stays_known_without_a_digit_lost(name):
    records = one(name)
    device = Device(records, 4)
    rng = np.random.default_rng(0)
    L = device.fleet.levels.shape[1]
    m = float(records.const[0]) if records.form[0] == REG else 0.0
    seen = []
    for _ in range(40):
        y = rng.normal(size=1) * 1e3
        out = device.tick(y, {})
        seen.insert(0, y[0] - m)
        assert not out["cov_out"].any()
        np.testing.assert_array_equal(out["state_out"][0, : min(L, len(seen))], seen[:L])


# Rounding, 1e-16 of sigma2 a tick, fades with theta^2 alone: what is left of it in the end.
SETTLED = {
    "sarima, both": (1_000, 0.0),
    "d = 2": (1_000, 0.0),
    "near the circle": (1_000, 0.0),
    "seasonal ma": (4_000, 1e-14),
    "almost not invertible": (20_000, 2e-13),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTLED)
def test_a_covariance_stays_symmetric_and_nonnegative_over_10000_ticks(name):
    records = one(name)
    device, rng = Device(records, 2, ()), np.random.default_rng(1)
    for k in range(10_000):
        y = rng.normal(size=1)
        if rng.random() < 0.3 or k % 1000 < 40:
            y[:] = np.nan
        cov = device.tick(y, {})["cov_out"][0]
        assert np.isfinite(cov).all()
        np.testing.assert_array_equal(cov, cov.T)
        assert (np.diag(cov) >= 0.0).all()
        if k % 50 == 0:
            assert np.linalg.eigvalsh(cov).min() >= -1e-10 * max(1.0, np.trace(cov))
    assert device.cov.any()
    ticks, rest = SETTLED[name]
    for _ in range(ticks):
        device.tick(rng.normal(size=1), {})
    assert np.abs(device.cov).max() <= rest


def test_forecasts_beyond_float64_are_infinite_and_none_inside_it_is():
    fields = {
        "d": 1,
        "const": 300.0,
        "transform": Transform.LOG,
        "sigma2": 1.0,
        "levels": [100.0],
        "scale": 1e-100,
    }
    records = make_records(1, **fields)
    got = Device(records, 6).ask(
        np.array([np.inf]), {}
    )  # exp(400 - 230), exp(700 - 230), exp(1000 - 230) ...
    want = Library(records, 6).forecasts({})
    np.testing.assert_array_equal(np.isinf(got["mean"]), [[False, False, True, True, True, True]])
    for name in ("mean", "lo", "hi"):
        np.testing.assert_array_equal(np.isinf(got[name]), np.isinf(want[name]))
        finite = np.isfinite(want[name])
        np.testing.assert_allclose(got[name][finite], want[name][finite], rtol=1e-12)


# At 1e-140 squares of variances, which the library takes, are 0.
@pytest.mark.parametrize("size", [1e-70, 1e-25, 1e60])
@pytest.mark.parametrize("name", ["ar24", "sarima", "arima", "seasonal naive"])
def test_variances_far_from_1(name, size):
    fields = {"sigma2": 0.5, **MODELS[name]}
    for field in ("levels", "innovations"):
        if field in fields:
            fields[field] = np.array(fields[field]) * size
    scaled = {"sigma2": 0.5 * size**2, "const": size * fields.get("const", 0.0)}
    records = make_records(1, **(fields | scaled))
    found, device, library = worst(records, size * values(records, 40, 3))
    assert max(found.values()) < TOLERANCE, found
    assert_states_agree(device, library)


def test_numbers_that_are_almost_0_or_1_are_not_taken_for_it():
    """Onnxruntime leaves out a product with 1 and a sum with 0, and reads both as float32."""
    one_term = {"exog": (A,), "beta": [[1 + 1e-9]]}
    for form in (Form.CONDITIONAL, Form.REGRESSION):
        records = make_records(
            1,
            phi=[0.5],
            slope=1 - 1e-9,
            oos_scale=1 + 1e-9,
            scale=1 + 1e-9,
            levels=[1.0],
            form=form,
            **one_term,
        )
        found, *_ = worst(records, values(records, 10, 3) + 100.0)
        assert max(found.values()) < TOLERANCE, found


def test_a_series_without_variance_forecasts_a_mean_and_no_interval():
    records = replace(
        make_records(2, phi=[0.5], levels=[3.0]),
        sigma2=np.array([np.nan, 1.0]),
        status=np.array([17, 0], np.uint8),
    )
    device = Device(records, 3)
    out = device.tick(np.array([2.0, 2.0]), {})
    np.testing.assert_array_equal(out["mean"], [[1.0, 0.5, 0.25]] * 2)
    assert np.isnan(out["variance"][0]).all()
    assert np.isnan(out["lo"][0]).all()
    assert not np.isnan(out["variance"][1]).any()
    assert out["z"][0] == 0.5
    assert not out["cov_out"].any()
    out = device.tick(np.array([np.nan, np.nan]), {})
    np.testing.assert_array_equal(out["mean"][0], [0.5, 0.25, 0.125])
    assert out["imputed"][0] == 1.0


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_small_and_made_of_operators_that_devices_have(name):
    data = step_model(Fleet.of(one(name)), H, (80.0, 95.0))
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    assert (model.opset_import[0].version, model.ir_version) == (21, 10)
    assert not any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute)
    assert len(data) <= 6_000


def test_a_seasonal_model_takes_4_kb():
    assert len(step_model(Fleet.of(one("sarima")), H)) <= 4_096


def test_equal_fleets_give_equal_bytes():
    assert step_model(Fleet.of(one("sarima")), H, (80.0,)) == step_model(Fleet.of(one("sarima")), H, (80.0,))


@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("name", ["naive", "sarima", "arx", "ma"])
def test_short_horizons(name, horizon):
    records = one(name)
    found, *_ = worst(records, values(records, 10, 5), horizon)
    assert max(found.values()) < TOLERANCE


def test_a_horizon_or_level_that_makes_no_sense_is_refused():
    fleet = Fleet.of(one("ar1"))
    with pytest.raises((EdgeError, ValueError), match="h must be"):
        step_model(fleet, 0)
    with pytest.raises((EdgeError, ValueError), match="level"):
        step_model(fleet, 3, (120.0,))
