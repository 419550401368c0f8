import numpy as np
import pytest

import forecast as fc
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm
from forecast.types import Status

N = 80
RNG = np.random.default_rng(4)
X, Z = RNG.normal(size=(2, N))


def driven(noise=0.1):
    y = np.zeros(N)
    for t in range(1, N):
        y[t] = 1.0 + 0.5 * y[t - 1] + 2.0 * X[t] + 0.7 * X[t - 1] + noise * RNG.normal()
    return y


def panel(y, **exog):
    ids = np.array(["a"], dtype=object)
    values = np.array(y, dtype=float)
    return Panel(values, np.array([0, len(y)]), ids, np.zeros(1, dtype=np.int64), Freq("1"), exog)


def least_squares(y, x, z):
    """By numpy, on rows t = 1..N-1 with every member observed."""
    rows = np.column_stack([np.ones(N - 1), x[1:], x[:-1], z[1:], y[:-1]])
    good = np.isfinite(rows).all(axis=1) & np.isfinite(y[1:])
    coef, rss, *_ = np.linalg.lstsq(rows[good], y[1:][good], rcond=None)
    sigma2 = rss[0] / good.sum()
    return coef, sigma2, sigma2 * np.linalg.inv(rows[good].T @ rows[good])


MODEL = fc.ARX(lags=1, exog_lags={"x": [0, 1]})


@pytest.mark.parametrize("holes", [(), (10, 40)])
def test_arx_is_least_squares_on_complete_rows(holes):
    y = driven()
    y[list(holes)] = np.nan
    records = MODEL.fit(panel(y, x=X, z=Z))
    coef, sigma2, cov = least_squares(y, X, Z)
    assert records.exog == (ExogTerm("x"), ExogTerm("x", 1), ExogTerm("z"))
    got = [records.const[0], *records.beta[0], records.phi[0, 0]]
    np.testing.assert_allclose(got, coef, rtol=1e-9)
    assert records.sigma2[0] == pytest.approx(sigma2, rel=1e-9)
    np.testing.assert_allclose(records.param_cov[0], cov, rtol=1e-7, atol=1e-12)
    assert records.n_used[0] == N - 1 - 2 * len(holes)
    assert records.exog_tail.tolist() == [[[X[-1]]]]


def test_a_forecast_by_hand():
    y = driven()
    records = MODEL.fit(panel(y, x=X, z=Z))
    c, b0, b1, g, phi = least_squares(y, X, Z)[0]
    got = forecast(records, 2, (), {"x": np.array([[1.0, 2.0]]), "z": np.array([[3.0, 4.0]])}).mean[0]
    first = c + b0 * 1.0 + b1 * X[-1] + g * 3.0 + phi * y[-1]
    np.testing.assert_allclose(got, [first, c + b0 * 2.0 + b1 * 1.0 + g * 4.0 + phi * first], rtol=1e-9)


def test_the_last_regressors_must_be_known():
    x = X.copy()
    x[-1] = np.nan
    records = MODEL.fit(panel(driven(), x=x, z=Z))
    assert records.status[0] == Status.FAILED
    assert "x" in records.messages[0]
    fine = fc.ARX(lags=1).fit(panel(driven(), x=x, z=Z))  # lag 0 needs no past
    assert fine.status[0] == Status.OK


@pytest.mark.parametrize(
    "z", [np.full(N, 4.0), 2.0 * X + 1.0, np.zeros(N)], ids=["constant", "linear", "zero"]
)
def test_a_useless_regressor_changes_nothing(z):
    y = driven()
    records = MODEL.fit(panel(y, x=X, z=z))
    alone = MODEL.fit(panel(y, x=X))
    assert records.status[0] == Status.COLLINEAR_EXOG
    assert records.messages[0].endswith(": z")
    assert records.beta[0, 2] == 0.0
    np.testing.assert_allclose(records.beta[0, :2], alone.beta[0], rtol=1e-9)
    future = {"x": np.ones((1, 3)), "z": np.full((1, 3), 1e9)}
    ours = forecast(records, 3, (95,), future)
    theirs = forecast(alone, 3, (95,), {"x": np.ones((1, 3))})
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-9)
    np.testing.assert_allclose(ours.hi, theirs.hi, rtol=1e-9)


def test_lasso_leaves_noise_out():
    noise = {f"n{k}": np.random.default_rng(k).normal(size=N) for k in range(5)}
    records = fc.ARX(lags=6, exog_lags={"x": [0, 1]}, method="lasso").fit(panel(driven(), x=X, **noise))
    beta = dict(zip(records.exog, records.beta[0], strict=True))
    assert beta[ExogTerm("x")] == pytest.approx(2.0, abs=0.4)  # the penalty shrinks
    assert sum(beta[ExogTerm(name)] != 0 for name in noise) <= 1
    assert records.phi[0, 0] == pytest.approx(0.5, abs=0.2)


def test_a_perfect_regression_is_not_an_error():
    records = fc.ARX(lags=0).fit(panel(2.0 * X, x=X))
    assert records.status[0] in (Status.OK, Status.FAILED)
    assert np.isfinite(forecast(records, 1, (), {"x": np.array([[1.5]])}).mean).all()
    if records.status[0] == Status.OK:
        assert forecast(records, 1, (), {"x": np.array([[1.5]])}).mean[0, 0] == pytest.approx(3.0)
