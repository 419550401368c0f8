"""The public AR and ARX against statsmodels: coefficients, likelihoods and forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import burg
from statsmodels.tsa.ar_model import AutoReg, ar_select_order
from statsmodels.tsa.statespace.sarimax import SARIMAX

import forecast as fc

N, H = 120, 7


def series(seed, slope=0.0, season=0.0):
    rng = np.random.default_rng(seed)
    y = np.zeros(N + 50)
    for t in range(2, N + 50):
        y[t] = 0.5 * y[t - 1] - 0.3 * y[t - 2] + rng.normal()
    t = np.arange(N)
    return 5.0 + y[50:] + slope * t + season * np.cos(2 * np.pi * t / 4)


def fit(y, model, **columns):
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(len(y)), "y": y, **columns})
    return fc.fit(df, model, freq=1, exog=list(columns), season_length=4)


def coefficients(fitted):
    """(constant, slope, seasonal effects, lags) of the only series, in the order of AutoReg."""
    (r,) = fitted.records
    p = r.p[0]
    return r.const[0], r.slope[0], r.seasonal[0] if r.seasonal.size else np.zeros(0), r.phi[0, :p]


def nonzero(phi):
    return phi[phi != 0]


@pytest.mark.parametrize("p", [0, 1, 3, 12])
@pytest.mark.parametrize("trend", ["n", "c", "ct"])
def test_ols_is_autoreg(p, trend):
    y = series(1, slope=0.02 if trend == "ct" else 0.0)
    y = y - 5.0 if trend == "n" else y
    fitted = fit(y, fc.AR(lags=p, method="ols", trend=trend))
    result = AutoReg(y, p or None, trend=trend).fit()
    const, slope, _, phi = coefficients(fitted)
    fixed = {"n": [], "c": [const], "ct": [const, slope]}[trend]
    # Normal equations of a well conditioned problem: about 1e-10, see the kernel.
    np.testing.assert_allclose([*fixed, *phi], result.params, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fitted.predict(H)["AR"], result.forecast(H), rtol=1e-9)
    row = fitted.report().iloc[0]
    assert row["loglik"] == pytest.approx(result.llf, rel=1e-10)
    assert row["sigma2"] == pytest.approx(result.sigma2, rel=1e-10)


@pytest.mark.parametrize("lags", [[2], [1, 4], [1, 2, 12]])
def test_a_lag_subset_is_autoreg(lags):
    y = series(2)
    fitted, result = fit(y, fc.AR(lags=lags)), AutoReg(y, lags).fit()
    const, _, _, phi = coefficients(fitted)
    np.testing.assert_allclose([const, *nonzero(phi)], result.params, rtol=1e-9)
    np.testing.assert_allclose(fitted.predict(H)["AR"], result.forecast(H), rtol=1e-9)
    assert fitted.report()["order"][0] == f"AR[{','.join(map(str, lags))}]"


@pytest.mark.parametrize("trend", ["c", "ct"])
def test_seasonal_dummies_are_autoreg(trend):
    y = series(3, slope=0.05, season=3.0)
    fitted = fit(y, fc.AR(lags=2, trend=trend, seasonal=True))
    result = AutoReg(y, 2, trend=trend, seasonal=True, period=4).fit()
    # The dummies may be coded in another way; fitted values, and so forecasts, are the same.
    np.testing.assert_allclose(fitted.predict(H)["AR"], result.forecast(H), rtol=1e-9)
    assert fitted.report()["loglik"][0] == pytest.approx(result.llf, rel=1e-10)
    assert fitted.records[0].n_params[0] == len(result.params) + 1


@pytest.mark.parametrize("ic", ["aic", "bic", "hqic"])
@pytest.mark.parametrize("seed", range(4))
def test_orders_are_those_of_ar_select_order(ic, seed):
    y = series(seed)
    fitted = fit(y, fc.AR(lags=ic, max_lags=8, method="ols"))
    chosen = ar_select_order(y, 8, ic=ic).ar_lags or []
    assert fitted.records[0].p[0] == len(chosen)
    result = AutoReg(y, chosen or None).fit()
    np.testing.assert_allclose(fitted.predict(H)["AR"], result.forecast(H), rtol=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lags": 3},
        {"lags": "bic", "max_lags": 6},
        {"lags": [1, 3]},
        {"lags": 2, "trend": "ct"},
        {"lags": 2, "trend": "ct", "seasonal": True},
        {"lags": 1, "trend": "n"},
    ],
    ids=str,
)
def test_the_two_backends_agree(arguments):
    y = series(5, slope=0.01, season=1.0)
    native = fit(y, fc.AR(method="ols", **arguments))
    slow = fit(y, fc.AR(backend="statsmodels", **arguments))
    for name in ("sigma2", "loglik", "phi", "n_params", "n_used", "p"):
        got, want = getattr(native.records[0], name), getattr(slow.records[0], name)
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10, err_msg=name)
    got, want = native.predict(H, level=[80, 95]), slow.predict(H, level=[80, 95])
    np.testing.assert_allclose(got["AR"], want["AR"], rtol=1e-8)
    if not arguments.get("seasonal"):  # the reference has no covariance of the coefficients of a trend
        half = (got["AR-hi-95"] - got["AR"]) / (want["AR-hi-95"] - want["AR"])
        np.testing.assert_allclose(half, 1.0, rtol=1e-8 if arguments.get("trend") != "ct" else 0.1)


def test_the_reference_says_what_it_cannot():
    gapped = series(1)
    gapped[5] = np.nan
    row = fit(gapped, fc.AR(lags=1, backend="statsmodels")).report().iloc[0]
    assert row["status"] == "failed"
    assert "native" in row["message"]
    row = fit(np.array([1.0, 2.0, 4.0]), fc.AR(lags=2, backend="statsmodels")).report().iloc[0]
    assert row["status"] == "failed"
    with pytest.raises(fc.InputError, match="aicc"):
        fit(series(1), fc.AR(lags="aicc", backend="statsmodels"))


@pytest.mark.parametrize("lags", [1, [1, 3]])
def test_arx_is_autoreg_with_exog(lags):
    rng = np.random.default_rng(8)
    x, z = rng.normal(size=(2, N + H))
    y = series(8) + 2.0 * x[:N] - z[:N]
    fitted = fit(y, fc.ARX(lags=lags), x=x[:N], z=z[:N])
    known, future = np.column_stack([x, z])[:N], np.column_stack([x, z])[N:]
    result = AutoReg(y, lags, exog=known).fit()
    const, _, _, phi = coefficients(fitted)
    got = [const, *nonzero(phi), *fitted.records[0].beta[0]]
    np.testing.assert_allclose(got, result.params, rtol=1e-9)
    X_df = pd.DataFrame({"unique_id": "a", "ds": np.arange(N, N + H), "z": future[:, 1], "x": future[:, 0]})
    want = result.forecast(H, exog=future)
    np.testing.assert_allclose(fitted.predict(H, X_df=X_df)["ARX"], want, rtol=1e-9)


def test_arx_with_lagged_regressors_is_autoreg_on_shifted_columns():
    rng = np.random.default_rng(9)
    x = rng.normal(size=N + H)
    y = series(9)
    y[2:] += 1.5 * x[: N - 2]
    fitted = fit(y, fc.ARX(lags=1, exog_lags={"x": [0, 2]}), x=x[:N])
    shifted = np.concatenate([[0.0, 0.0], x])[: N + H]
    both = np.column_stack([x, shifted])
    result = AutoReg(y, 1, exog=both[:N], hold_back=2).fit()
    X_df = pd.DataFrame({"unique_id": "a", "ds": np.arange(N, N + H), "x": x[N:]})
    got = fitted.predict(H, X_df=X_df)["ARX"]
    np.testing.assert_allclose(got, result.forecast(H, exog=both[N:]), rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_burg_is_burg(p):
    y = series(11)
    phi, _ = burg(y, order=p)
    fitted = fit(y, fc.AR(lags=p, method="burg"))
    const, _, _, got = coefficients(fitted)
    np.testing.assert_allclose(got, phi, atol=1e-12)
    # Burg takes the mean out first: c = mean (1 - sum phi).
    assert const == pytest.approx(y.mean() * (1 - phi.sum()), rel=1e-12)
    # Levinson's recursion, as R's ar.burg(var.method = 1); statsmodels averages the prediction errors.
    k = fitted.records[0].parcor[0]
    assert fitted.report()["sigma2"][0] == pytest.approx(y.var() * np.prod(1 - k**2), rel=1e-12)


@pytest.mark.parametrize("method", ["burg", "ols", "mle"])
def test_gaps_are_the_exact_likelihood_of_sarimax(method):
    y = series(12)
    y[[10, 11, 12, 50, 77, 118]] = np.nan
    fitted = fit(y, fc.AR(lags=2, method=method))
    (r,) = fitted.records
    model = SARIMAX(y, order=(2, 0, 0), trend="c")
    ours = [r.const[0], *r.phi[0, :2], r.sigma2[0]]
    # The same likelihood at our parameters, and no better one close by.
    assert model.loglike(ours) == pytest.approx(r.loglik[0], rel=1e-9)
    best = model.fit(disp=False)
    assert r.loglik[0] > best.llf - 1e-6
    assert fitted.report()["status"][0] == "gaps"
    assert r.n_used[0] == N - 6
    want = model.smooth(ours).get_forecast(H)
    got = fitted.predict(H, level=95)
    np.testing.assert_allclose(got["AR"], want.predicted_mean, rtol=1e-8)


def test_mle_is_sarimax():
    y = series(13)
    fitted = fit(y, fc.AR(lags=2, method="mle"))
    best = SARIMAX(y, order=(2, 0, 0), trend="c").fit(disp=False)
    assert fitted.records[0].loglik[0] >= best.llf - 1e-6
    const, _, _, phi = coefficients(fitted)
    # A flat optimum: SARIMAX's gradient of 1e-5 leaves about 1e-4 in the parameters.
    np.testing.assert_allclose([const, *phi], best.params[:3], atol=2e-3)
