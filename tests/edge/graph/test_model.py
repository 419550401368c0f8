"""Graph A against the definitions, against the library, and at its edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edge.fleet import Fleet
from edge.graph.builder import ALLOWED, IR_VERSION, OPSET
from edge.graph.model import PROFILES, forecast_model
from edge.graph.plain import signature
from edge.quantize.polynomial import step_up
from edge.quantize.quantized import quantize
from forecast.errors import InputError
from forecast.models.assemble import take
from forecast.models.baselines import Drift, Naive, SeasonalNaive
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import dynamics
from forecast.models.forecasting import forecast, to_units
from forecast.models.freq import Freq
from forecast.models.intervals import innovation_variance
from forecast.models.panel import Panel
from forecast.models.records import Form
from tests.edge.graph.fleets import (
    EXOG,
    answers,
    as_decoded,
    coded,
    gap,
    inputs,
    mixed_records,
    plain_records,
    session,
)
from tests.record_strategies import object_array
from tests.strategies import make_records

# Float64 throughout, and lags that cancel by at most 1e6 here.
EXACT = 1e-9
# Beside codes the mean and the variance of innovations are float32: 6e-8 of each, times what a quantile under
# LOG makes of it.
STORED = 1e-6


def run(records, horizon, profile, index, levels=(), seed=0):
    """Return what the graph says, what it should say, and the fleet in the order of the file."""
    codes = coded(records, seed) if profile != "latency" and len(records.ids) > 1 else None
    data = forecast_model(Fleet.of(records), horizon, levels, profile, codes)
    if codes is not None:
        records = as_decoded(records, codes)
    fleet = Fleet.of(records)
    call = inputs(fleet, index, horizon, seed)
    got = session(data).run(None, call)
    return got, answers(records, fleet, index, call, horizon, levels), fleet, data


def worst(got, expected, fleet, index):
    log, scale = fleet.log[index], fleet.scale[index]
    gaps = [gap(got[0], expected[0], expected[1], log, scale)]
    gaps.append(float(np.abs(got[1] / expected[1] - 1).max()))
    # Under LOG the error of half a width in w is one of parts of y.
    wide = np.where(log[:, None], np.maximum(1.0, 2.0 * np.sqrt(expected[1])), 1.0)
    for a, b in zip(got[2:], expected[2:], strict=True):
        gaps += [gap(a[:, j], b[:, j], expected[1], log, scale, wide) for j in range(a.shape[1])]
    return max(gaps)


def check_a_fleet(profile, seed, horizon, exog):
    records = mixed_records(6, seed, EXOG if exog else ())
    index = np.random.default_rng(seed).integers(0, 6, 4)
    got, expected, fleet, _ = run(records, horizon, profile, index, (50, 95), seed)
    assert worst(got, expected, fleet, index) < (EXACT if profile == "latency" else STORED)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("seed", "horizon", "exog"), [(1, 10, True), (2, 5, False), (3, 1, True)])
def test_fleets_of_all_kinds_say_what_their_records_mean(profile, seed, horizon, exog):
    check_a_fleet(profile, seed, horizon, exog)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**20), horizon=st.integers(1, 12), exog=st.booleans())
def test_any_fleet_says_what_its_records_mean(profile, seed, horizon, exog):
    check_a_fleet(profile, seed, horizon, exog)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), horizon=st.integers(1, 12), exog=st.booleans())
def test_any_single_series_says_what_its_record_means(seed, horizon, exog):
    records = mixed_records(1, seed, EXOG if exog else ())
    index = np.zeros(3, dtype=int)
    got, expected, fleet, _ = run(records, horizon, "latency", index, (80,), seed)
    assert worst(got, expected, fleet, index) < EXACT


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("p", "horizon"), [(1, 1), (1, 5), (3, 3), (5, 2), (2, 7), (24, 24), (25, 50)])
def test_every_width_and_horizon(profile, p, horizon):
    index = np.array([3, 0, 3, 4])
    got, expected, fleet, _ = run(plain_records(5, p, seed=p), horizon, profile, index, (90,))
    assert worst(got, expected, fleet, index) < (EXACT if profile == "latency" else STORED)


def library(records, horizon):
    """Mean and calibrated variance of innovations, and the lags that a device would hold."""
    m = deterministic_path(records, horizon)
    run_ = dynamics(records, m, 0, records.n_series)
    wider = np.where(records.oos_scale > 1, records.oos_scale, 1.0)
    fleet, levels = Fleet.of(records), records.levels
    if (records.form == Form.REGRESSION).any():
        past = deterministic_path(replace(records, nobs=records.nobs - fleet.n_lags), fleet.n_lags)[:, ::-1]
        levels = levels + np.where((records.form == Form.REGRESSION)[:, None], past, 0.0)
    mean = forecast(records, horizon, ()).mean
    return mean, innovation_variance(records, run_) * wider[:, None] ** 2, to_units(records, levels)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_as_the_library(profile):
    records = mixed_records(12, seed=5)
    codes = coded(records) if profile != "latency" else None
    data = forecast_model(Fleet.of(records), 24, (), profile, codes)
    records = records if codes is None else as_decoded(records, codes)
    fleet = Fleet.of(records)
    mean, variance, lags = library(records, 24)
    call = {"index": np.arange(12), "lags": lags[:, : fleet.n_lags].copy()}
    if signature(fleet).needs_t:
        call["t"] = fleet.nobs.copy()
    got = session(data).run(None, call)
    assert gap(got[0], mean, variance, fleet.log, fleet.scale) < 1e-6
    np.testing.assert_allclose(got[1], variance, rtol=1e-6)


def test_an_ar1_by_hand():
    records = make_records(1, phi=[0.5], const=1.0, sigma2=4.0, levels=[10.0])
    data = forecast_model(Fleet.of(records), 3, (50,))
    mean, variance, lo, hi = session(data).run(None, {"lags": np.array([[10.0]])})
    np.testing.assert_allclose(mean, [[6.0, 4.0, 3.0]], rtol=1e-15)  # 1 + 0.5 * 10, ...
    np.testing.assert_allclose(variance, [[4.0, 5.0, 5.25]], rtol=1e-15)  # 4 (1 + 1/4 + 1/16)
    np.testing.assert_allclose(hi - lo, 2 * 0.6744897501960817 * np.sqrt(variance)[:, None], rtol=1e-12)


@pytest.mark.parametrize("profile", PROFILES)
def test_baselines_share_a_file(profile):
    records = make_records(
        3, p=[0, 0, 0], d=np.array([1, 1, 0], np.int32), D=np.array([0, 0, 1], np.int32),
        season_length=np.array([1, 1, 4], np.int32), form=Form.REGRESSION, slope=np.array([0.0, 0.5, 0.0]),
        levels=np.array([[7.0, 0, 0, 0], [7.0, 0, 0, 0], [4.0, 3, 2, 1]]), sigma2=np.array([1.0, 2.0, 3.0]),
    )  # fmt: skip
    data = forecast_model(Fleet.of(records), 5, (), profile)
    lags = np.array([[7.0, 9, 9, 9], [7.0, 9, 9, 9], [4.0, 3, 2, 1]])
    mean, variance = session(data).run(None, {"index": np.arange(3), "lags": lags})
    np.testing.assert_array_equal(mean, [[7.0] * 5, [7.5, 8, 8.5, 9, 9.5], [1.0, 2, 3, 4, 1]])
    np.testing.assert_allclose(
        variance, [[1.0, 2, 3, 4, 5], [2.0, 4, 6, 8, 10], [3.0, 3, 3, 3, 6]], rtol=1e-7
    )


@pytest.mark.parametrize("model", [Naive(), SeasonalNaive(4), Drift()])
def test_fitted_baselines(model):
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0, 7.0, *[3.0] * 6])
    panel = Panel(
        values, np.array([0, 6, 12]), object_array(["a", "b"]), np.zeros(2, dtype=np.int64), Freq("1")
    )
    records = model.fit(panel)
    fleet = Fleet.of(records)
    assert not signature(fleet).needs_t  # the slope of a drift is what its differences have
    data = forecast_model(fleet, 6, (80,))
    lags = records.levels[:, : fleet.n_lags] + 0.0
    if isinstance(model, Drift):
        lags = lags + records.slope[:, None] * records.nobs[:, None]
    mean, variance, lo, hi = session(data).run(None, {"index": np.arange(2), "lags": lags})
    np.testing.assert_allclose(mean, forecast(records, 6, ()).mean, rtol=1e-12)
    np.testing.assert_array_equal(variance[1], 0.0)  # a constant series
    np.testing.assert_array_equal(lo[1], hi[1])


def test_no_ar_part_at_all():
    got, expected, fleet, _ = run(
        make_records(2, const=np.array([3.0, -1.0]), sigma2=2.0), 4, "size", np.array([1, 0])
    )
    np.testing.assert_allclose(got[0], [[-1.0] * 4, [3.0] * 4])
    np.testing.assert_allclose(got[1], 2.0)
    assert worst(got, expected, fleet, np.array([1, 0])) < EXACT


@pytest.mark.parametrize("profile", PROFILES)
def test_twins_give_a_row_each(profile):
    """What all series share is stored once; outputs have a row for each of the batch nevertheless."""
    records = make_records(3, phi=[0.5, 0.2], const=0.3, sigma2=2.0)
    got, expected, fleet, data = run(records, 4, profile, np.array([2, 0, 1, 1, 0]))
    assert [a.shape for a in got] == [(5, 4), (5, 4)]
    assert worst(got, expected, fleet, np.array([2, 0, 1, 1, 0])) < STORED
    assert len(data) < 4000


def test_lags_that_cancel():
    """An AR(24) with close poles: float32 loses the forecast here, 1e-6 has to hold."""
    rng = np.random.default_rng(3)
    phi = []
    for _ in range(20):
        poly = np.ones(1)
        for radius in [rng.uniform(0.99, 0.9999), *rng.uniform(0.3, 0.95, 11)]:
            poly = np.convolve(poly, [1, -2 * radius * np.cos(rng.uniform(0.02, 3.1)), radius**2])
        phi.append(-poly[1:])
    phi = np.array(phi)
    y = np.zeros((20, 400))
    for t in range(24, 400):
        y[:, t] = (phi * y[:, t - 24 : t][:, ::-1]).sum(axis=1) + rng.normal(size=20)
    records = make_records(20, phi=phi, levels=y[:, :-25:-1])
    mean, variance, lags = library(records, 24)
    data = forecast_model(Fleet.of(records), 24)
    got = session(data).run(None, {"index": np.arange(20), "lags": lags})
    assert gap(got[0], mean, variance, np.zeros(20, bool), np.ones(20)) < 1e-6
    np.testing.assert_allclose(got[1], variance, rtol=1e-6)
    one = session(forecast_model(Fleet.of(take(records, np.array([7]))), 24))
    alone = one.run(None, {"lags": lags[7:8]})
    assert gap(alone[0], mean[7:8], variance[7:8], np.zeros(1, bool), np.ones(1)) < 1e-6


@pytest.mark.parametrize("profile", PROFILES)
def test_regressors_that_do_not_count_may_be_nan(profile):
    records = make_records(
        2, phi=[0.3], exog=EXOG[:2], beta=np.array([[1.0, 0.0], [0.0, 0.0]]),
        exog_tail=np.ones((2, 1, 2)), ids=np.array(["a", "b"], dtype=object),
    )  # fmt: skip
    fleet = Fleet.of(records)
    data = forecast_model(fleet, 3, (), profile, coded(records, n16=0, n4=0))
    order = coded(records, n16=0, n4=0).order
    x = np.ones((2, signature(fleet).n_past + 3, 1))
    x[np.flatnonzero(order == 1)] = np.nan
    mean, _ = session(data).run(None, {"index": np.arange(2), "lags": np.ones((2, 1)), "x": x})
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_short_series_ignores_what_pads_its_lags(profile):
    records = make_records(
        2, phi=np.array([[0.5, 0.0, 0.0], [0.2, 0.1, 0.3]]), p=np.array([1, 3], np.int32),
        d=np.array([1, 0], np.int32), form=Form.REGRESSION, levels=np.ones((2, 3)),
    )  # fmt: skip
    codes = coded(records, n16=0, n4=0)
    at = int(np.flatnonzero(codes.order == 0)[0]) if profile != "latency" else 0
    ran = session(forecast_model(Fleet.of(records), 4, (), profile, codes))
    lags = np.array([[3.0, 2.0, 1e9], [3.0, 2.0, -5.0]])
    mean, _ = ran.run(None, {"index": np.array([at, at]), "lags": lags})
    np.testing.assert_array_equal(mean[0], mean[1])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_file_is_checked_and_plain(profile):
    _, _, _, data = run(mixed_records(6, 1, EXOG), 6, profile, np.arange(6), (80,))
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == IR_VERSION
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    assert {p.key: p.value for p in model.metadata_props} == {"kind": "forecast.model", "profile": profile}


def phi_of(data, index=None, name="phi"):
    """The tensor `name` of a file, as the runtime computes it."""
    model = onnx.load_from_string(data)
    for stored in model.graph.initializer:
        if stored.name == name:
            return onnx.numpy_helper.to_array(stored)
    for value in list(model.graph.output):
        model.graph.output.remove(value)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, None))
    sizes = {
        v.name: [d.dim_value or len(index) for d in v.type.tensor_type.shape.dim] for v in model.graph.input
    }
    call = {key: np.ones(size, dtype=np.int64 if key == "t" else float) for key, size in sizes.items()}
    call["index"] = np.asarray(index)
    return session(model.SerializeToString()).run([name], call)[0]


@pytest.mark.parametrize(("n16", "n4"), [(0, 0), (7, 0), (0, 7), (3, 2), (2, 5), (1, 0), (0, 1)])
@pytest.mark.parametrize("profile", ["size", "balanced"])
@pytest.mark.parametrize("p", [1, 2, 5, 24])
def test_codes_decode_as_in_numpy(profile, n16, n4, p):
    records = plain_records(7, p, seed=n16 + n4)
    codes = coded(records, 1, n16, n4)
    found = phi_of(forecast_model(Fleet.of(records), 3, (), profile, codes), np.arange(7))
    np.testing.assert_allclose(found, codes.phi, rtol=0, atol=1e-15 * max(1.0, np.abs(codes.phi).max()))


def test_seasonal_codes_decode_as_in_numpy():
    records = mixed_records(9, 2)
    codes = coded(records)
    for profile in ("size", "balanced"):
        data = forecast_model(Fleet.of(records), 3, (), profile, codes)
        found = phi_of(data, np.arange(9), "seasonal_phi")
        np.testing.assert_allclose(found, codes.seasonal_phi, rtol=0, atol=1e-15)


def test_the_file_of_a_quantised_fleet_says_what_the_decoded_records_mean():
    records = plain_records(12, 6, seed=8)
    codes = quantize(Fleet.of(records), horizon=6)
    data = forecast_model(Fleet.of(records), 6, (), "size", codes)
    stand = as_decoded(records, codes)
    fleet = Fleet.of(stand)
    call = inputs(fleet, np.arange(12), 6)
    got, expected = session(data).run(None, call), answers(stand, fleet, np.arange(12), call, 6)
    assert worst(got, expected, fleet, np.arange(12)) < STORED


def test_series_stand_in_the_order_of_the_codes_even_without_any_ar_part():
    records = make_records(3, const=np.array([1.0, 2.0, 3.0]))
    codes = coded(records)
    data = forecast_model(Fleet.of(records), 2, (), "balanced", codes)
    mean = session(data).run(["mean"], {"index": np.arange(3), "lags": np.zeros((3, 1))})[0]
    np.testing.assert_array_equal(mean[:, 0], codes.order + 1.0)


def test_what_cannot_be_a_file():
    fleet = Fleet.of(plain_records(2, 2))
    with pytest.raises(InputError, match="profile must be one of"):
        forecast_model(fleet, 3, (), "fast")
    with pytest.raises(InputError, match="h must be 1 or more"):
        forecast_model(fleet, 0)
    with pytest.raises(InputError, match="a level is a percentage"):
        forecast_model(fleet, 3, (0,))
    with pytest.raises(InputError, match="give `quantized`"):
        forecast_model(fleet, 3, (), "size")
    moving = Fleet.of(make_records(2, phi=[0.5], theta=[0.3]))
    with pytest.raises(InputError, match="'s0', 's1' have a moving average"):
        forecast_model(moving, 3)


def test_the_same_fleet_gives_the_same_bytes():
    records = mixed_records(5, 3, EXOG)
    for profile in PROFILES:
        files = {forecast_model(Fleet.of(records), 5, (80,), profile, coded(records)) for _ in range(2)}
        assert len(files) == 1


def test_sizes():
    """The budget: 40 bytes a series beside codes, 2,400 without, 2.6 kB for one alone; p = H = 24."""
    n = 10_000
    rng = np.random.default_rng(0)
    phi = step_up(np.sin(rng.uniform(-0.4, 0.4, (n, 24))))
    records = make_records(n, phi=phi, const=rng.normal(size=n), sigma2=rng.gamma(2.0, size=n))
    fleet = Fleet.of(records)
    codes = coded(records, n16=0, n4=0)
    for profile, most in (("size", 40), ("balanced", 40), ("latency", 2400)):
        assert len(forecast_model(fleet, 24, (), profile, codes)) / n <= most
    assert len(forecast_model(Fleet.of(take(records, np.array([4]))), 24)) <= 2600


@pytest.mark.parametrize("profile", ["size", "balanced"])
@pytest.mark.parametrize("mean", [1e5, 1e7, 1e9])
def test_means_far_from_zero_cost_nothing_of_the_forecasts(mean, profile):
    """A forecast is off by little of its own error, not only of its size: float32 has 8 digits of a mean."""
    rng, n = np.random.default_rng(0), 6
    phi, centers = step_up(np.tanh(0.4 * rng.normal(size=(n, 4)))), mean * rng.uniform(1.0, 2.0, n)
    levels = centers[:, None] + rng.normal(size=(n, 4))
    fleet = Fleet.of(make_records(n, phi=phi, const=centers * (1.0 - phi.sum(axis=1)), levels=levels))
    codes = quantize(fleet)
    data = forecast_model(fleet, 24, (), profile, codes)
    got = session(data).run(["mean"], {"index": np.argsort(codes.order), "lags": levels})[0]
    decoded, w = codes.phi[np.argsort(codes.order)], levels - fleet.mean[:, None]
    for k in range(24):
        ahead = (decoded * w).sum(axis=1)
        assert np.abs(got[:, k] - fleet.mean - ahead).max() < 2e-3  # of a standard deviation of 1
        w = np.concatenate([ahead[:, None], w[:, :-1]], axis=1)


def test_means_of_logarithms_keep_what_forecasts_are_held_to():
    """What w loses is a part of y: 14 is off by up to 5e-7 in float32, and lags may weigh more than once."""
    rng, n = np.random.default_rng(0), 200
    phi, centers = step_up(np.tanh(0.4 * rng.normal(size=(n, 6)))), np.log(1e6 * rng.uniform(0.5, 4.0, n))
    w = centers[:, None] + 0.1 * rng.normal(size=(n, 6))
    records = make_records(
        n, phi=phi, const=centers * (1.0 - phi.sum(axis=1)), sigma2=0.01, levels=w, transform=1
    )
    fleet = Fleet.of(records)
    codes = quantize(fleet)
    data = forecast_model(fleet, 24, (), "size", codes)
    got = session(data).run(["mean"], {"index": np.arange(n), "lags": np.exp(w)[codes.order]})[0]
    some = as_decoded(records, codes)
    want = forecast(some, 24, ()).mean
    assert np.abs(got / want - 1.0).max() < 2e-7
