"""Which series of a panel go which way, and what is said of them."""

import numpy as np
import pytest

import forecast as fc
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.types import Status


def ar1(n=80, seed=0, phi=0.6, mean=5.0):
    rng = np.random.default_rng(seed)
    y = np.zeros(n + 30)
    for t in range(1, n + 30):
        y[t] = phi * y[t - 1] + rng.normal()
    return mean + y[30:]


def panel(*series, exog=None):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"), exog or {})


def gapped(*at, n=80, seed=0):
    y = ar1(n, seed)
    y[list(at)] = np.nan
    return y


@pytest.mark.parametrize("method", ["burg", "ols", "mle", "yule_walker"])
def test_counts(method):
    records = fc.AR(lags=3, method=method).fit(panel(ar1(), gapped(4, 50)))
    assert records.n_used.tolist() == [77 if method == "ols" else 80, 78]
    assert records.n_params.tolist() == [5, 5]  # three lags, constant, variance
    assert records.status.tolist() == [Status.OK, Status.GAPS]
    assert "exact likelihood" in records.messages[1]


@pytest.mark.parametrize("method", ["burg", "ols", "mle", "yule_walker"])
def test_an_order_that_does_not_fit_is_not_lowered_in_silence(method):
    records = fc.AR(lags=8, method=method).fit(panel(ar1(), ar1(12), gapped(3, n=10)))
    assert records.status.tolist() == [Status.OK, Status.TOO_SHORT, Status.TOO_SHORT]
    assert records.p.tolist() == [8, 0, 0]
    assert "12 observed points are too few for lag 8" in records.messages[1]
    assert "9 observed points" in records.messages[2]


def test_a_criterion_lowers_the_order_to_what_a_short_series_can_carry():
    records = fc.AR(lags="aic", method="ols").fit(panel(ar1(12), ar1()))
    assert (records.status == Status.OK).all()
    assert records.p[0] <= 4


def test_a_series_that_its_past_predicts_exactly():
    """y_t = -y_{t-1}: least squares has no residual; Burg's pole on the circle is pulled inside."""
    y = np.tile([1.0, -1.0], 20)
    records = fc.AR(lags=1, method="ols", trend="n").fit(panel(ar1(mean=0.0), y))
    assert records.status.tolist()[0] == Status.OK
    assert records.status[1] in (Status.REPAIRED, Status.FAILED)
    assert "exactly" in records.messages[1]
    assert (records.max_pole < 1).all()
    if records.status[1] == Status.REPAIRED:
        np.testing.assert_allclose(forecast(records, 3, ()).mean[1], [1, -1, 1], atol=1e-3)


def test_an_explosive_series_is_repaired_and_says_so():
    t = np.arange(60)
    y = 1.08**t + np.random.default_rng(3).normal(size=60)
    records = fc.AR(lags=1, method="ols").fit(panel(y, ar1()))
    assert records.status.tolist() == [Status.REPAIRED, Status.OK]
    assert "unit circle" in records.messages[0]
    assert records.max_pole[0] < 1
    # Constant and variance are of the residuals of what is published.
    e = y[1:] - records.const[0] - records.phi[0, 0] * y[:-1]
    assert e.mean() == pytest.approx(0.0, abs=1e-9 * y[-1])
    assert records.sigma2[0] == pytest.approx(e.var(), rel=1e-9)


def test_trend_and_season_in_two_steps():
    t = np.arange(80)
    y = ar1(mean=0.0) + 2.0 + 0.3 * t + np.tile([3.0, -1.0, 0.0, -2.0], 20)
    model = fc.AR(lags=1, trend="ct", seasonal=True, season_length=4, method="burg")
    records = model.fit(panel(y, np.where(t == 9, np.nan, y), y[:7]))
    assert records.status.tolist() == [Status.OK, Status.GAPS, Status.TOO_SHORT]
    assert records.slope[0] == pytest.approx(0.3, abs=0.05)
    assert "least squares" in records.messages[1]
    ahead = forecast(records, 8, ()).mean[:2]
    want = 2.0 + 0.3 * np.arange(80, 88) + np.tile([3.0, -1.0, 0.0, -2.0], 2)
    np.testing.assert_allclose(ahead, np.tile(want, (2, 1)), atol=2.0)


def test_no_lag_at_all_is_the_mean():
    y = ar1()
    records = fc.AR(lags=0).fit(panel(y))
    np.testing.assert_allclose(forecast(records, 2, ()).mean, y.mean())
    assert records.max_pole[0] == 0.0


@pytest.mark.parametrize("jobs", [2, 3])
def test_threads_change_no_bit(jobs):
    p = panel(*(ar1(40, seed=s) if s % 3 else gapped(5, n=40, seed=s) for s in range(200)))
    for model in (fc.AR(lags="aicc", max_lags=4), fc.AR(lags=[1, 3])):
        one, many = model.fit(p), model.fit(p, jobs=jobs)
        for name in ("phi", "const", "sigma2", "levels", "loglik", "ljung_box_p"):
            np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
