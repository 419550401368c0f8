import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.statespace.sarimax import SARIMAX

from forecast.errors import InputError
from forecast.models import forecasting
from forecast.models.forecasting import calibration, forecast
from forecast.models.records import ExogTerm, Form, Transform
from tests.oracles import recursion as oracle
from tests.oracles import uncertainty
from tests.strategies import make_records, stationary_phi

Z95 = 1.959963984540054

NO_ESTIMATES = 10**9  # n_used so large that parameters count as known


@given(stationary_phi(max_p=5), st.integers(1, 24), st.integers(0, 2**32 - 1))
def test_mean_and_known_parameter_sd_are_the_formulas(phi, h, seed):
    levels = np.random.default_rng(seed).normal(size=len(phi))
    records = make_records(phi=phi, const=0.5, sigma2=2.0, levels=levels, n_used=NO_ESTIMATES)
    got = forecast(records, h)
    want = oracle.forecast_path(phi, [], levels, [], np.full(h, 0.5))
    np.testing.assert_allclose(got.mean[0], want, atol=1e-9)
    sd = np.sqrt(2.0 * np.cumsum(oracle.psi(phi, [], h) ** 2))
    np.testing.assert_allclose(got.sd[0], sd, rtol=1e-4)  # 1 / n_used is 1e-9, times squares of levels
    np.testing.assert_allclose(got.hi[0, 1] - got.mean[0], Z95 * got.sd[0], atol=1e-9)


def test_naive_by_hand():
    got = forecast(make_records(d=1, sigma2=4.0, levels=[7.0], form=Form.REGRESSION), 4, levels=(95,))
    np.testing.assert_array_equal(got.mean, [[7.0] * 4])
    np.testing.assert_allclose(got.sd, [[2.0, np.sqrt(8), np.sqrt(12), 4.0]])
    np.testing.assert_allclose(got.lo[0, 0], 7.0 - Z95 * got.sd[0])


def test_seasonal_naive_by_hand():
    records = make_records(D=1, season_length=3, sigma2=1.0, levels=[3.0, 2.0, 1.0])
    got = forecast(records, 5)
    np.testing.assert_array_equal(got.mean, [[1.0, 2.0, 3.0, 1.0, 2.0]])
    np.testing.assert_allclose(got.sd**2, [[1.0, 1.0, 1.0, 2.0, 2.0]])


@pytest.mark.parametrize("form", list(Form))
def test_drift_has_the_textbook_variance(form):
    """sigma2 (h + h^2 / (T - 1)): Hyndman and Athanasopoulos, *Forecasting*, 3rd ed., 5.5."""
    total, h = 21, 12
    line = {"slope": 0.5} if form is Form.REGRESSION else {"const": 0.5}
    level = 4.0 - (0.5 * total if form is Form.REGRESSION else 0.0)  # w - m, or w
    records = make_records(d=1, sigma2=3.0, levels=[level], form=form, nobs=total, n_used=total - 1, **line)
    got = forecast(records, h)
    k = np.arange(1, h + 1)
    np.testing.assert_allclose(got.mean[0], 4.0 + 0.5 * k)
    np.testing.assert_allclose(got.sd[0] ** 2, 3.0 * (k + k**2 / (total - 1)))


def test_without_n_used_what_differencing_leaves_counts():
    records = make_records(d=1, const=0.5, sigma2=3.0, nobs=21)
    np.testing.assert_allclose(forecast(records, 1).sd ** 2, 3.0 * (1 + 1 / 20))


@pytest.mark.parametrize("form", list(Form))
def test_a_known_mean_adds_sigma2_over_n_one_step_ahead(form):
    """White noise about an estimated mean: sigma2 (1 + 1 / n) at every step."""
    got = forecast(make_records(const=5.0, sigma2=2.0, n_used=50, form=form), 4)
    np.testing.assert_allclose(got.sd**2, 2.0 * (1 + 1 / 50))


def test_a_trend_has_the_variance_of_its_regression():
    """White noise about a line: sigma2 (1 + 1/n + (t - tbar)^2 / sum (t - tbar)^2)."""
    n, h = 30, 6
    got = forecast(make_records(const=5.0, slope=0.1, sigma2=2.0, nobs=n, n_used=n, form=Form.REGRESSION), h)
    t = np.arange(1, n + 1)
    ahead = np.arange(n + 1, n + h + 1) - t.mean()
    np.testing.assert_allclose(got.sd[0] ** 2, 2.0 * (1 + 1 / n + ahead**2 / ((t - t.mean()) ** 2).sum()))


@pytest.mark.parametrize("form", list(Form))
def test_phi_and_mean_enter_together(form):
    phi, mean, n, h = np.array([0.6, -0.2]), 3.0, 80, 8
    levels = np.array([5.0, 2.5])
    const = mean if form is Form.REGRESSION else mean * (1 - phi.sum())
    shown = levels - (mean if form is Form.REGRESSION else 0)
    got = forecast(make_records(phi=phi, const=const, levels=shown, sigma2=1.5, n_used=n, form=form), h)
    psi = oracle.psi(phi, [], h)
    want = 1.5 * np.cumsum(psi**2) + 1.5 / n * np.cumsum(psi) ** 2
    want += uncertainty.phi_variance(phi, mean, [], 0, 0, 1, levels, h, n)
    np.testing.assert_allclose(got.sd[0] ** 2, want, rtol=1e-8)  # the oracle differentiates numerically


def test_given_covariance_equals_the_asymptotic_one_where_both_say_the_same():
    """const, phi of an AR(2): V of (mean, phi), carried over to (const, phi) by the delta method."""
    phi, mean, n, sigma2 = np.array([0.6, -0.2]), 3.0, 80, 1.5
    at_one = 1 - phi.sum()
    v = np.zeros((3, 3))
    v[0, 0] = sigma2 / (n * at_one**2)
    v[1:, 1:] = uncertainty.covariance(phi, n)
    jacobian = np.array([[at_one, -mean, -mean], [0, 1, 0], [0, 0, 1]])
    fields = dict(phi=phi, const=mean * at_one, levels=[5.0, 2.5], sigma2=sigma2, n_used=n)
    plain = forecast(make_records(**fields), 10)
    given_ = forecast(make_records(**fields, param_cov={0: jacobian @ v @ jacobian.T}), 10)
    np.testing.assert_allclose(given_.sd, plain.sd, rtol=1e-12)


def test_given_covariance_of_a_regression_is_that_of_least_squares():
    """CONDITIONAL form, no lags: sigma2 (1 + x' (X'X)^{-1} x), with season, slope and a regressor."""
    rng = np.random.default_rng(5)
    n, h = 40, 6
    t = np.arange(1, n + h + 1)
    season = ((t - 1) % 2)[:, None] == np.arange(2)
    x = np.column_stack([t, season, rng.normal(size=n + h)])
    v = 2.0 * np.linalg.inv(x[:n].T @ x[:n])
    records = make_records(
        slope=0.3, seasonal=[1.0, 2.0], season_length=2, beta=[0.7], exog=(ExogTerm("x"),), nobs=n,
        sigma2=2.0, param_cov={0: v},
    )  # fmt: skip
    got = forecast(records, h, exog={"x": x[None, n:, 3]})
    ahead = x[n:]
    np.testing.assert_allclose(got.sd[0] ** 2, 2.0 + np.einsum("hk,kl,hl->h", ahead, v, ahead))


def test_given_covariance_in_the_regression_form():
    """A mean and a slope about an AR(1): numerical derivatives of the forecast in both."""
    phi, n, h = np.array([0.7]), 50, 6
    w_last = 9.0

    def path(const, slope, rho):
        level = w_last - const - slope * n
        return const + slope * (n + np.arange(1, h + 1)) + level * rho ** np.arange(1, h + 1)

    at = np.array([2.0, 0.1, 0.7])
    g = np.stack([(path(*(at + e)) - path(*(at - e))) / 2e-6 for e in np.eye(3) * 1e-6], axis=1)
    v = np.diag([0.5, 0.01, 0.02]) + 0.001
    records = make_records(
        phi=phi,
        const=2.0,
        slope=0.1,
        levels=[w_last - 2.0 - 0.1 * n],
        nobs=n,
        form=Form.REGRESSION,
        param_cov={0: v},
    )
    want = np.cumsum(0.7 ** (2 * np.arange(h))) + np.einsum("hk,kl,hl->h", g, v, g)
    np.testing.assert_allclose(forecast(records, h).sd[0] ** 2, want, rtol=1e-7)


def trend_about_ar1(form, n=20, phi=0.7, alpha=2.0, beta=0.3, last=11.0):
    """One process in both forms: an AR(1) about alpha + beta t."""
    if form is Form.REGRESSION:
        line = dict(const=alpha, slope=beta, levels=[last - alpha - beta * n])
    else:  # phi(L) (alpha + beta t) = alpha (1 - phi) + beta phi + beta (1 - phi) t
        line = dict(const=alpha * (1 - phi) + beta * phi, slope=beta * (1 - phi), levels=[last])
    return make_records(phi=[phi], nobs=n, n_used=n, form=form, **line)


@pytest.mark.parametrize("form", list(Form))
def test_a_trend_about_an_autoregression(form):
    """Level, slope and phi are orthogonal: numerical derivatives in the centred line, and their variances."""
    n, h, phi, k = 20, 6, 0.7, np.arange(1, 7)
    center = (n + 1) / 2

    def path(level, slope):
        line = level + slope * (n + np.arange(h + 1) - center)
        return line[1:] + (11.0 - line[0]) * phi**k

    at = np.array([2.0 + 0.3 * center, 0.3])
    g = np.stack([(path(*(at + e)) - path(*(at - e))) / 2e-6 for e in np.eye(2) * 1e-6], axis=1)
    v = np.array([1 / n, 12 / (n * (n**2 - 1))]) / (1 - phi) ** 2
    want = np.cumsum(phi ** (2 * np.arange(h))) + g**2 @ v
    want += uncertainty.phi_variance(np.array([phi]), 0.0, [], 0, 0, 1, [11.0 - 2.0 - 0.3 * n], h, n)
    got = forecast(trend_about_ar1(form, n), h)
    np.testing.assert_allclose(got.mean[0], path(*at))
    np.testing.assert_allclose(got.sd[0] ** 2, want, rtol=1e-7)  # central differences


def test_given_covariance_of_a_differenced_autoregression():
    """const and phi at lags 1 and 3 of an ARIMA(3,1,0): numerical derivatives in each."""
    h, levels = 5, np.array([4.0, 2.5, 3.0, 1.0])

    def path(const, one, three):
        a = oracle.expand_ar([one, 0.0, three], [], 1, 0, 1)
        return oracle.forecast_path(a, [], levels, [], np.full(h, const))

    at = np.array([0.4, 0.5, -0.2])
    g = np.stack([(path(*(at + e)) - path(*(at - e))) / 2e-6 for e in np.eye(3) * 1e-6], axis=1)
    v = np.diag([0.1, 0.02, 0.03]) + 0.005
    psi = oracle.psi(oracle.expand_ar([0.5, 0.0, -0.2], [], 1, 0, 1), [], h)
    records = make_records(phi=[0.5, 0.0, -0.2], const=0.4, d=1, levels=levels, param_cov={0: v})
    want = np.cumsum(psi**2) + np.einsum("hk,kl,hl->h", g, v, g)
    np.testing.assert_allclose(forecast(records, h).sd[0] ** 2, want, rtol=1e-7)


def test_a_covariance_that_does_not_fit_is_not_used():
    fields = dict(phi=[0.5], const=1.0, levels=[4.0], n_used=50)
    odd = forecast(make_records(**fields, param_cov={0: np.eye(5)}), 4)
    np.testing.assert_array_equal(odd.sd, forecast(make_records(**fields), 4).sd)


def test_models_with_a_moving_average_take_parameters_as_known():
    records = make_records(phi=[0.5], theta=[0.4], const=1.0, levels=[9.0], innovations=[0.3], n_used=20)
    want = np.cumsum(oracle.psi([0.5], [0.4], 5) ** 2)
    np.testing.assert_allclose(forecast(records, 5).sd[0] ** 2, want)


def test_an_unknown_end_state_widens():
    """AR(1) whose last value has variance 2: phi^(2k) 2 more."""
    records = make_records(phi=[0.5], levels=[0.0], n_used=NO_ESTIMATES, state_cov={0: np.array([[2.0]])})
    got = forecast(records, 3).sd[0] ** 2
    np.testing.assert_allclose(got, [1 + 0.5, 1.25 + 0.125, 1.3125 + 0.03125], rtol=1e-8)


def test_an_unknown_last_innovation_widens():
    """MA(1): the state is (level, innovation), and only step 1 sees the innovation."""
    records = make_records(theta=[0.5], innovations=[1.0], state_cov={0: np.diag([3.0, 0.8])})
    np.testing.assert_allclose(forecast(records, 2).sd[0] ** 2, [1 + 0.25 * 0.8, 1.25])


def test_parameter_uncertainty_against_brute_force():
    """Refit AR(1) with mean on 4,000 samples of one process that end near the same value.

    The spread of the forecasts over refits, about the forecast with true parameters, is the
    parameter part. Standard error of a variance from 4,000 draws: 2.2 %; terms of order 1/n^2 that the
    asymptotics drop: some 5 % at n = 100; hence 12 %.
    """
    phi, mean, n, h, end = 0.6, 10.0, 100, 4, 12.0
    rng = np.random.default_rng(11)
    # Run backwards from the end value: a Gaussian AR(1) is reversible.
    y = np.empty((4000, n + 1))
    y[:, -1] = end
    for t in range(n - 1, -1, -1):
        y[:, t] = mean + phi * (y[:, t + 1] - mean) + rng.normal(size=4000)
    past, now = y[:, :-1], y[:, 1:]
    # The step into the fixed end is not a draw of the process forwards; it is one row of 100.
    dev = past - past.mean(axis=1, keepdims=True)
    slope = (dev * now).sum(axis=1) / (dev**2).sum(axis=1)
    const = now.mean(axis=1) - slope * past.mean(axis=1)
    paths = [np.full(4000, end)]
    for _ in range(h):
        paths.append(const + slope * paths[-1])
    brute = np.stack(paths[1:], axis=1).var(axis=0)
    records = make_records(phi=[phi], const=mean * (1 - phi), levels=[end], n_used=n)
    added = forecast(records, h).sd[0] ** 2 - np.cumsum(oracle.psi([phi], [], h) ** 2)
    np.testing.assert_allclose(added, brute, rtol=0.12)


def test_log_series_are_back_in_their_units():
    records = make_records(const=1.0, sigma2=0.25, transform=Transform.LOG, scale=8.0, n_used=NO_ESTIMATES)
    got = forecast(records, 1, levels=(95,))
    np.testing.assert_allclose(got.mean, 8.0 * np.e)  # the median
    np.testing.assert_allclose(got.hi[0, 0], 8.0 * np.exp(1.0 + Z95 * 0.5))


def test_huge_and_tiny_series_are_representable():
    records = make_records(3, d=1, levels=[1.5], scale=np.array([1e300, 1e-300, 1.0]))
    got = forecast(records, 3)
    np.testing.assert_allclose(got.mean[:, 0], [1.5e300, 1.5e-300, 1.5])
    assert np.isfinite(got.lo).all()
    assert np.isfinite(got.hi).all()
    log = make_records(levels=[0.0], const=720.0, transform=Transform.LOG, scale=1e-300, n_used=NO_ESTIMATES)
    assert forecast(log, 1).mean[0, 0] == pytest.approx(np.exp(720.0 + np.log(1e-300)))


def test_calibration_widens_and_never_narrows():
    records = make_records(3, d=1, levels=[1.0], oos_scale=np.array([2.0, 0.5, np.nan]))
    np.testing.assert_array_equal(calibration(records), [2.0, 1.0, 1.0])
    got = forecast(records, 2)
    width = got.hi - got.lo
    np.testing.assert_allclose(width[0], 2 * width[1])
    np.testing.assert_array_equal(width[1], width[2])
    np.testing.assert_array_equal(got.sd[0], got.sd[1])


def test_a_series_without_model_is_nan_and_alone_in_it():
    levels = np.array([[np.nan], [2.0], [3.0]])
    got = forecast(make_records(3, d=1, levels=levels, sigma2=np.array([np.nan, np.nan, 1.0])), 2)
    assert np.isnan(got.mean[0]).all()
    np.testing.assert_array_equal(got.mean[1:], [[2.0, 2.0], [3.0, 3.0]])
    assert np.isnan(got.sd[1]).all()
    assert np.isfinite(got.lo[2]).all()


def test_neither_threads_nor_blocks_nor_batches_change_a_bit(monkeypatch):
    rng = np.random.default_rng(2)
    n = 500
    p = rng.integers(0, 4, n).astype(np.int32)
    phi = rng.uniform(-0.3, 0.3, (n, 3)) * (np.arange(3) < p[:, None])
    fields = dict(
        phi=phi, p=p, const=rng.normal(size=n), levels=rng.normal(size=(n, 3)), nobs=60,
        param_cov={3: np.eye(1 + p[3])}, state_cov={7: np.eye(max(1, p[7]))},
    )  # fmt: skip
    records = make_records(n, **fields)
    one, two = forecast(records, 7), forecast(records, 7, jobs=2)
    monkeypatch.setattr(forecasting, "BLOCK_ROWS", 13)
    three = forecast(records, 7)
    for other in (two, three):
        for name in ("mean", "sd", "lo", "hi"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    i = 11
    alone = make_records(phi=phi[i, : p[i]], const=fields["const"][i], levels=fields["levels"][i], nobs=60)
    np.testing.assert_array_equal(forecast(alone, 7).lo[0], one.lo[i])


def test_results_are_read_only():
    got = forecast(make_records(), 2)
    with pytest.raises(ValueError, match="read-only"):
        got.mean[0, 0] = 1.0


@pytest.mark.parametrize(("h", "levels"), [(0, (95,)), (-1, (95,)), (3, (0,)), (3, (100,)), (3, (95, 120))])
def test_senseless_requests_raise(h, levels):
    with pytest.raises(InputError):
        forecast(make_records(), h, levels)


def test_no_level_is_no_interval():
    assert forecast(make_records(), 2, levels=()).lo.shape == (1, 0, 2)


def test_a_record_too_narrow_for_its_orders_raises():
    records = make_records(phi=[0.5, 0.1], levels=[1.0, 2.0])
    narrow = make_records(phi=[0.5], levels=[1.0])
    object.__setattr__(narrow, "p", records.p)
    with pytest.raises(InputError, match="'phi' has 1 columns"):
        forecast(narrow, 2)


R_SERIES = [
    f for f in ("lh", "LakeHuron", "log10_lynx", "sunspot_year", "Nile", "WWWusage", "log_AirPassengers")
]


def r_cases(fixtures):
    """R's `arima` fits without MA part, regressors or gaps: coefficients and data make the record."""
    folder = fixtures / "r"
    data = json.loads((folder / "classic_data.json").read_text())["series"]
    for fit in json.loads((folder / "arima_fixed.json").read_text())["fits"]:
        (p, d, q), (sp, sd, sq, s) = fit["order"], fit["seasonal"]
        if q or sq or fit["xreg"] or fit["series"] not in R_SERIES or "forecast12" not in fit:
            continue
        y = np.array(data[fit["series"]]["y"], dtype=float)
        coef = fit["coef"]
        mean = coef.get("intercept", 0.0)
        need = p + d + s * (sp + sd)
        yield fit, make_records(
            phi=[coef[f"ar{i}"] for i in range(1, p + 1)],
            seasonal_phi=[coef[f"sar{i}"] for i in range(1, sp + 1)],
            d=d, D=sd, season_length=max(s, 1), const=mean, sigma2=fit["sigma2"], form=Form.REGRESSION,
            levels=(y[::-1] - mean)[:need], nobs=len(y),
        )  # fmt: skip


def test_r_agrees_on_forecasts_and_standard_errors(fixtures, monkeypatch):
    """R ignores parameter uncertainty, so here it is left out too.

    R's filter starts differences from variance 1e6, whose trace in standard errors is below 1e-6;
    exact otherwise up to the 15 printed digits.
    """
    monkeypatch.setattr(forecasting, "parameter_variance", lambda records, run, exog: 0.0)
    cases = list(r_cases(fixtures))
    assert len(cases) >= 20
    for fit, records in cases:
        got = forecast(records, 12)
        tolerance = 1e-6 if fit["order"][1] or fit["seasonal"][1] else 1e-9
        name = f"{fit['series']} {fit['order']} {fit['method']}"
        np.testing.assert_allclose(got.mean[0], fit["forecast12"]["mean"], rtol=tolerance, err_msg=name)
        np.testing.assert_allclose(got.sd[0], fit["forecast12"]["se"], rtol=tolerance, err_msg=name)


def test_statsmodels_agrees_on_a_seasonal_arima_with_ma(monkeypatch):
    """SARIMAX filtered at fixed parameters; the sample is long enough for its start to be forgotten."""
    rng = np.random.default_rng(9)
    s, y = 4, np.cumsum(rng.normal(size=400))
    model = SARIMAX(y, order=(1, 1, 1), seasonal_order=(1, 1, 0, s), simple_differencing=False)
    result = model.filter([0.5, 0.3, -0.4, 1.7])
    want = result.get_forecast(10)
    records = make_records(
        phi=[0.5], theta=[0.3], seasonal_phi=[-0.4], d=1, D=1, season_length=s, sigma2=1.7,
        levels=y[::-1][:10], innovations=[result.resid[-1]], nobs=400,
    )  # fmt: skip
    got = forecast(records, 10)
    np.testing.assert_allclose(got.mean[0], want.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(got.sd[0], want.se_mean, rtol=1e-6)
