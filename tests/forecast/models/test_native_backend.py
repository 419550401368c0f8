"""The native backend against statsmodels: likelihoods, standard errors, state; threads change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecast.models.arima import ARIMA, orders_of
from forecast.models.filtering import end_state
from forecast.models.freq import Freq
from forecast.models.native_backend import fit_native, fit_series
from forecast.models.panel import Panel
from forecast.models.sarimax import Order, profiled
from forecast.models.sarimax_backend import fit_sarimax, quiet
from forecast.models.smoothing import RecordImputer
from forecast.types import Status
from tests.bench.bench_core_arima import simulate


def panel_of(series, exog=None):
    bounds = np.concatenate([[0], np.cumsum([len(y) for y in series])]).astype(np.int64)
    ids = np.array([f"s{i}" for i in range(len(series))], dtype=object)
    starts = np.zeros(len(series), dtype=np.int64)
    return Panel(np.concatenate(series), bounds, ids, starts, Freq("1"), exog or {})


def path(order, n, seed, gaps=0.0):
    rng = np.random.default_rng(seed)
    y = simulate((order.p, order.d, order.q, order.P, order.D, order.Q, order.s), n, rng)
    hole = rng.random(n) < gaps
    hole[[0, -1]] = False
    return np.where(hole, np.nan, y)


ORDERS = [
    Order(1, 0, 1),
    Order(3, 0, 2),
    Order(0, 1, 2),
    Order(2, 1, 0),
    Order(0, 1, 1, 0, 1, 1, 4),
    Order(1, 0, 1, 1, 0, 1, 4),
    Order(0, 0, 0),
]


@pytest.mark.parametrize("gaps", [0.0, 0.1])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_it_reaches_the_likelihood_of_statsmodels(order, gaps):
    rng = np.random.default_rng(1)
    y = path(order, 150, 3, gaps)
    X = np.column_stack([np.ones(150)] * (order.lost == 0) + [rng.normal(size=150)])
    y = y + 2.0 * X[:, -1] + 5.0
    got = fit_series(y, X, order)
    with quiet():
        want = fit_sarimax(y, X, order)
    assert got.loglik >= want.loglik - 1e-4
    assert got.n_used == want.n_used
    # Its number is the exact likelihood of its own estimates, by the filter that is tested elsewhere.
    exact = profiled(got, y, X)
    assert got.loglik == pytest.approx(exact.loglik, abs=1e-6)
    assert got.sigma2 == pytest.approx(exact.sigma2, rel=1e-8)
    if got.loglik < want.loglik + 1e-5:  # the same maximum, not a better one
        np.testing.assert_allclose(got.beta, want.beta, atol=1e-3)
        size = np.sqrt(np.diag(want.cov))
        # Both are numeric Hessians; that of statsmodels is good to a percent.
        np.testing.assert_allclose(np.sqrt(np.diag(got.cov)), size, rtol=3e-2)
        correlation = got.cov / np.sqrt(np.outer(np.diag(got.cov), np.diag(got.cov)))
        np.testing.assert_allclose(correlation, want.cov / np.outer(size, size), atol=5e-2)


def test_standard_errors_of_an_autoregression_are_the_asymptotic_ones():
    y = path(Order(1, 0, 0), 4_000, 5)
    fit = fit_series(y, np.zeros((len(y), 0)), Order(1, 0, 0))
    assert fit.cov[0, 0] == pytest.approx(
        (1.0 - fit.phi[0] ** 2) / len(y), rel=5e-2
    )  # sampling of the Hessian


def test_the_mean_of_white_noise_by_hand():
    y = np.array([1.0, 2.0, 4.0, 5.0])
    fit = fit_series(y, np.ones((4, 1)), Order())
    assert fit.beta[0] == pytest.approx(3.0, rel=1e-14)
    assert fit.sigma2 == pytest.approx(2.5, rel=1e-14)
    assert fit.n_params == 2


def test_threads_and_company_do_not_change_a_bit():
    order = Order(1, 0, 1, 1, 0, 0, 4)
    series = [path(order, 60 + 3 * i % 40, i, 0.1 * (i % 2)) for i in range(150)]
    spec = ARIMA((1, 0, 1), (1, 0, 0), 4)
    one, two = spec.fit(panel_of(series)), spec.fit(panel_of(series), jobs=2)
    back = spec.fit(panel_of(series[::-1]))
    for name in ("phi", "theta", "seasonal_phi", "const", "sigma2", "loglik", "innovations", "ljung_box_p"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(back, name)[::-1])
    for i, cov in one.param_cov.items():
        np.testing.assert_array_equal(cov, two.param_cov[i])


@pytest.mark.parametrize(
    "order", [Order(1, 1, 2), Order(0, 0, 1, 0, 0, 1, 12), Order(2, 0, 2, 0, 1, 1, 4)], ids=str
)
def test_the_end_state_is_that_of_the_filter(order):
    panel = panel_of([path(order, 60, seed) for seed in range(3)])
    spec = ARIMA((order.p, order.d, order.q), (order.P, order.D, order.Q), order.s)
    records = spec.fit(panel)
    assert (records.status < Status.GUARDED).all()
    levels, innovations, cov = end_state(records, panel)
    np.testing.assert_allclose(records.levels, levels, atol=1e-9)
    np.testing.assert_allclose(records.innovations, innovations, atol=1e-6)
    for i in range(3):  # below 1e-12 of sigma2 either may call a state known
        L, q = levels.shape[1], innovations.shape[1]
        got = records.state_cov.get(i, np.zeros((L + q, L + q)))
        want = cov.get(i, np.zeros((L + q, L + q)))
        np.testing.assert_allclose(got, want, atol=1e-6 * records.sigma2[i])


def test_missing_points_at_the_ends_say_nothing():
    y = path(Order(1, 0, 1), 80, 2)
    padded = np.concatenate([[np.nan] * 3, y, [np.nan] * 2])
    one, two = (ARIMA((1, 0, 1)).fit(panel_of([x])) for x in (y, padded))
    assert two.loglik[0] == pytest.approx(one.loglik[0], rel=1e-14)
    assert two.status[0] == Status.GAPS
    assert np.isfinite(two.levels).all()


def test_a_moving_average_on_the_edge_keeps_the_other_standard_errors():
    """Differenced once too often: theta = -1."""
    y = np.random.default_rng(4).normal(size=100)
    fit = fit_series(y, np.arange(100.0)[:, None], Order(0, 1, 1))
    assert fit.theta[0] == pytest.approx(-1.0, abs=1e-5)
    assert np.isfinite(fit.cov).all()
    assert fit.cov[0, 0] > 0


def test_every_backend_counts_and_refuses_alike():
    series = [np.arange(5.0) ** 2, np.full(30, 1.0), np.tile([1.0, 2.0, 3.0, 4.0], 10)]
    for backend in ("native", "statsmodels"):
        records = ARIMA((1, 0, 0), (1, 1, 0), 4, backend=backend).fit(panel_of(series))
        assert records.status.tolist() == [Status.TOO_SHORT, Status.CONSTANT, Status.CONSTANT]
        assert "needs" in records.messages[0]
        assert "got 5" in records.messages[0]


def test_no_default_path_imports_statsmodels():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np\n"
        "import forecast as fc, pandas as pd\n"
        "y = np.random.default_rng(0).normal(size=60)\n"
        "df = pd.DataFrame({'unique_id': 'a', 'ds': range(60), 'y': y})\n"
        "fc.fit(df, fc.ARIMA(order=(1, 0, 1)), freq=1).predict(3)\n"
        "fc.fit(df, fc.AutoARIMA(max_p=1, max_q=1), freq=1)\n"
        "print('statsmodels' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rows_of_different_orders_are_the_fits_of_each():
    orders = [Order(1, 0, 0), Order(2, 0, 1), Order(0, 0, 1, 1, 0, 0, 4)]
    series = [path(order, 90, k) for k, order in enumerate(orders)]
    found = fit_native(panel_of(series), orders_of(orders), "c")
    for k, (order, y) in enumerate(zip(orders, series, strict=True)):
        alone = fit_series(y, np.ones((90, 1)), order)
        row = found.fit(k)
        assert row.loglik == alone.loglik
        for name in ("phi", "theta", "seasonal_phi", "seasonal_theta", "beta"):
            np.testing.assert_array_equal(getattr(row, name), getattr(alone, name))


@pytest.mark.parametrize("order", [Order(1, 1, 1), Order(0, 1, 1, 0, 1, 1, 4), Order(2, 0, 1)], ids=str)
def test_imputation_is_that_of_the_smoother_of_statsmodels(order):
    """Exact diffuse levels on both sides, gaps in the middle and next to the ends."""
    y = path(order, 60, 6)
    y[[1, 20, 21, 22, 40, 57]] = np.nan
    spec = ARIMA((order.p, order.d, order.q), (order.P, order.D, order.Q), order.s, trend="n")
    records = spec.fit(panel_of([y]))
    mean, variance = RecordImputer(records).impute(y)
    with quiet():
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        s = order.s if order.P or order.D or order.Q else 0
        model = SARIMAX(
            y, order=(order.p, order.d, order.q), seasonal_order=(order.P, order.D, order.Q, s),
            trend="n", use_exact_diffuse=True,
        )  # fmt: skip
        params = [
            records.phi[0, : order.p], records.theta[0, : order.q], records.seasonal_phi[0, : order.P],
            records.seasonal_theta[0, : order.Q], records.sigma2,
        ]  # fmt: skip
        smoothed = model.smooth(np.concatenate(params)).smoother_results
    design = model.ssm["design"].reshape(-1)
    want = design @ smoothed.smoothed_state
    spread = np.einsum("i,ijt,j->t", design, smoothed.smoothed_state_cov, design)
    hole = np.isnan(y)
    np.testing.assert_allclose(mean[hole], want[hole], atol=1e-6)  # its filter stops at 1e-19 of P
    np.testing.assert_allclose(variance[hole], spread[hole], rtol=1e-6)


@pytest.mark.parametrize("seed", [10, 24, 36])
def test_maxima_next_to_cancellation_are_found_in_series_with_gaps(seed):
    y = path(Order(2, 0, 2), 100, seed, 0.1)
    thorough, plain = (fit_series(y, np.zeros((100, 0)), Order(2, 0, 2), cov) for cov in (True, False))
    assert thorough.loglik > plain.loglik + 1.0


def test_roots_of_the_ma_part_follow_poles_that_are_pulled_inside():
    y = path(Order(2, 0, 2), 100, 24, 0.1)
    free = fit_series(y, np.zeros((100, 0)), Order(2, 0, 2))
    records = ARIMA((2, 0, 2), trend="n").fit(panel_of([y]))
    assert records.status[0] == Status.REPAIRED
    kept = replace(free, phi=records.phi[0])
    # The pole goes in by a thousandth; alone it would leave the root beside it.
    assert profiled(kept, y, np.zeros((100, 0))).loglik < free.loglik - 0.5
    assert free.loglik - 0.2 < records.loglik[0] < free.loglik
