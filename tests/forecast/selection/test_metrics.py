import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from forecast.errors import InputError
from forecast.selection import metrics
from forecast.selection.scoring import METRICS, Metric, find_metric
from tests.oracles import metrics as oracle

# Sums of at most 40 terms in another order: a few units of rounding.
RTOL = 1e-12

values = st.floats(-1e6, 1e6).map(lambda x: 0.0 if abs(x) < 1e-6 else x)
gappy = st.one_of(values, st.just(float("nan")))


@st.composite
def windows(draw, gaps=True):
    h = draw(st.integers(1, 8))
    y = draw(st.lists(gappy if gaps else values, min_size=h, max_size=h))
    return np.array(y), np.array(draw(st.lists(values, min_size=h, max_size=h)))


@given(windows())
def test_point_scores_are_their_formulas(window):
    y, f = window
    for name in ("mae", "rmse", "smape"):
        want = getattr(oracle, name)(y, f)
        np.testing.assert_allclose(getattr(metrics, name)(y, f), want, rtol=RTOL)


@given(windows(), st.lists(gappy, min_size=1, max_size=30), st.integers(1, 12))
def test_scaled_scores_are_their_formulas(window, train, m):
    y, f = window
    for name in ("mase", "rmsse"):
        want = getattr(oracle, name)(y, f, train, m)
        np.testing.assert_allclose(getattr(metrics, name)(y, f, np.array(train), m), want, rtol=RTOL)


@given(windows(), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(1, 99), st.integers(1, 3))
def test_interval_scores_are_their_formulas(window, down, up, level, m):
    y, f = window
    train = [1.0, 5.0, 2.0, float("nan"), 4.0, 9.0]
    lo, hi = f - down, f + up
    assert metrics.coverage(y, lo, hi) == pytest.approx(oracle.coverage(y, lo, hi), nan_ok=True)
    got = metrics.msis(y, lo, hi, train, m, level)
    np.testing.assert_allclose(
        got, oracle.msis(y, lo, hi, train, m, level), rtol=1e-10
    )  # 1 - level / 100 cancels


@given(windows(), st.floats(0.01, 0.99))
def test_pinball_is_its_formula(window, tau):
    y, f = window
    np.testing.assert_allclose(metrics.pinball(y, f, tau), oracle.pinball(y, f, tau), rtol=RTOL, atol=1e-300)


@settings(max_examples=25)
@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    st.lists(st.integers(1, 99), min_size=3, max_size=3, unique=True),
)
def test_crps_is_the_integral_of_quantile_losses(y, q, percents):
    taus = np.sort(np.array(percents)) / 100.0
    # Quantiles that cross are integrated as they stand, so nothing here sorts them.
    rows = np.column_stack([q, q[::-1]])
    want = oracle.crps(y, rows.tolist(), taus.tolist())
    # The midpoint rule errs by less than (jump of the integrand) / (2 steps) at each kink.
    assert metrics.crps(y, rows, taus) == pytest.approx(want, abs=5e-3)


@given(windows())
def test_crps_of_a_point_is_its_absolute_error(window):
    y, f = window
    np.testing.assert_allclose(metrics.crps(y, f[None], [0.5]), metrics.mae(y, f), rtol=RTOL)


def test_crps_of_a_normal_is_near_its_closed_form():
    taus = np.arange(1, 200) / 200.0
    y = ndtri((np.arange(4000) + 0.5) / 4000)
    got = metrics.crps(y, np.repeat(ndtri(taus)[:, None], len(y), axis=1), taus)
    # E CRPS of N(0, 1) is 1 / sqrt(pi); 199 quantiles leave the tails beyond 0.5 and 99.5 % flat.
    assert got == pytest.approx(1 / np.sqrt(np.pi), abs=1e-3)


def test_crps_of_two_quantiles_by_hand():
    # q runs from 0 at tau = .25 to 4 at .75, y = 2: the quantile loss |2 - q| times tau or 1 - tau.
    # Tails: 2 * .25^2 / 2 each = .0625. Middle, twice: int_.25^.5 tau (4 - 8 tau) dtau
    # = [2 tau^2 - 8/3 tau^3] = .1666666 - .0833333 = .0833333. CRPS = 2 (.125 + .1666667).
    assert metrics.crps([2.0], [[0.0], [4.0]], [0.25, 0.75]) == pytest.approx(2 * (0.125 + 1 / 6), rel=1e-12)


def test_scores_worked_out_by_hand():
    y, f = [12.0, 8.0], [10.0, 10.0]
    train = [1.0, 2.0, 4.0, 4.0]  # seasonal differences at 2: 3, 2
    assert metrics.mae(y, f) == 2.0
    assert metrics.rmse([13.0, 8.0, 10.0], [10.0, 12.0, 10.0]) == pytest.approx(5 / np.sqrt(3))
    assert metrics.smape(y, f) == pytest.approx(200 * (2 / 22 + 2 / 18) / 2)
    assert metrics.mase(y, f, train, 2) == pytest.approx(2 / 2.5)
    assert metrics.rmsse(y, f, train, 2) == pytest.approx(2 / np.sqrt(6.5))
    assert metrics.coverage(y, [9.0, 9.0], [12.0, 12.0]) == 0.5
    # Width 3 each; 8 is 1 below: 2 / 0.05 = 40 more. (3 + 43) / 2 / 2.5
    assert metrics.msis(y, [9.0, 9.0], [12.0, 12.0], train, 2, 95) == pytest.approx(9.2)
    assert metrics.pinball(y, f, 0.9) == pytest.approx((0.9 * 2 + 0.1 * 2) / 2)


def test_smape_keeps_its_ends():
    assert metrics.smape([0.0, 0.0], [0.0, 0.0]) == 0.0
    assert metrics.smape([1.0, 0.0], [-1.0, 5.0]) == 200.0


def test_a_gap_is_left_out_and_a_missing_forecast_is_not():
    nan = np.nan
    assert metrics.mae([1.0, nan], [2.0, 99.0]) == 1.0
    assert metrics.mae([1.0, nan], [2.0, nan]) == 1.0
    assert np.isnan(metrics.mae([1.0, 2.0], [1.0, nan]))
    assert np.isnan(metrics.mae([nan, nan], [1.0, 1.0]))
    assert np.isnan(metrics.coverage([1.0, 2.0], [nan, 0.0], [3.0, 3.0]))
    assert np.isnan(metrics.crps([1.0], [[0.0], [nan]], [0.4, 0.6]))


@pytest.mark.parametrize("train", [[3.0, 3.0, 3.0], [1.0], [], [np.nan, 1.0, np.nan]])
def test_no_scale_is_nan_and_never_infinite(train):
    assert np.isnan(metrics.mase([1.0], [2.0], train, 1))
    assert np.isnan(metrics.rmsse([1.0], [1.0], train, 1))
    assert np.isnan(metrics.msis([1.0], [0.0], [2.0], train, 1))


@given(st.lists(st.lists(gappy, max_size=12), min_size=1, max_size=5), st.integers(1, 4), st.data())
def test_ragged_scale_is_the_scale_of_each_slice(series, m, data):
    flat = np.array([x for row in series for x in row], dtype=float)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in series])])
    picks = data.draw(st.lists(st.integers(0, len(series) - 1), min_size=1, max_size=8))
    ends = [data.draw(st.integers(0, len(series[i]))) for i in picks]
    first = starts[picks].astype(np.int64)
    for power in (1, 2):
        got = metrics.ragged_training_scale(flat, first, first + np.array(ends), m, power)
        want = [oracle.scale(series[i][:end], m, power) for i, end in zip(picks, ends, strict=True)]
        np.testing.assert_allclose(got, want, rtol=RTOL)


def test_a_batch_is_its_rows():
    rng = np.random.default_rng(0)
    y, f, lo, hi = rng.normal(size=(4, 3, 5)) + np.array([0, 0, -1, 1])[:, None, None]
    train = rng.normal(size=(3, 20))
    for name in ("mae", "rmse", "smape"):
        score = getattr(metrics, name)
        np.testing.assert_array_equal(score(y, f), [score(y[i], f[i]) for i in range(3)])
    rows = [metrics.msis(y[i], lo[i], hi[i], train[i], 4, 80) for i in range(3)]
    np.testing.assert_allclose(metrics.msis(y, lo, hi, train, 4, 80), rows, rtol=RTOL)
    q = np.stack([lo, f, hi], axis=1)
    np.testing.assert_array_equal(
        metrics.crps(y, q, [0.1, 0.5, 0.9]), [metrics.crps(y[i], q[i], [0.1, 0.5, 0.9]) for i in range(3)]
    )


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: metrics.pinball([1.0], [1.0], 1.0), "quantile"),
        (lambda: metrics.msis([1.0], [0.0], [1.0], [1.0, 2.0], 1, 100), "level"),
        (lambda: metrics.mase([1.0], [0.0], [1.0, 2.0], 0), "season_length"),
        (lambda: metrics.crps([1.0], [[1.0], [1.0]], [0.5, 0.5]), "taus"),
        (lambda: metrics.crps([1.0], [[1.0], [1.0]], [0.5]), "shape"),
        (lambda: find_metric("smap"), "smape"),
        (lambda: find_metric(np.mean), "mean"),
    ],
)
def test_what_cannot_be_meant_is_named(call, word):
    with pytest.raises(InputError, match=word):
        call()


def test_metrics_are_found_by_function_name_and_themselves():
    for name, metric in METRICS.items():
        assert find_metric(name) is find_metric(metric.function) is find_metric(metric) is metric
    own = Metric("bias", metrics.mae, lambda w: {"bias": w.mean[:, 0]})
    assert find_metric(own) is own


def test_seasonal_naive_on_m3_monthly_is_what_pandas_says(shared):
    folder = shared / "data" / "panels"
    train = pd.read_parquet(folder / "m3_monthly_train.parquet")
    test = pd.read_parquet(folder / "m3_monthly_test.parquet")
    scale = train.groupby("unique_id")["y"].apply(lambda y: y.diff(12).abs().mean())
    past = {key: y.to_numpy() for key, y in train.groupby("unique_id")["y"]}
    got, want = [], []
    for key, y in test.groupby("unique_id")["y"]:
        forecast = np.resize(past[key][-12:], len(y))
        got.append(metrics.mase(y, forecast, past[key], 12))
        want.append(np.abs(y.to_numpy() - forecast).mean() / scale[key])
    np.testing.assert_allclose(got, want, rtol=1e-9)
