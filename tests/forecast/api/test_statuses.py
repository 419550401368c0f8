"""One bad series has a status, a reason and a fallback; its neighbours do not change by a bit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.models.assemble import take

N = 60
MODELS = {
    "AutoAR": (fc.AutoAR(max_lags=13, n_windows=3), ()),
    "AR": (fc.AR(lags=2), ()),
    "AR-ols": (fc.AR(lags="aic", max_lags=6, method="ols"), ()),
    "AR-trend": (fc.AR(lags=1, trend="ct", seasonal=True), ()),
    "ARX": (fc.ARX(lags=1, exog_lags={"x": [0, 1], "w": [0]}), ("x", "w")),
    "AutoAR-x": (fc.AutoAR(max_lags=6, n_windows=3), ("x", "w")),
    "ARIMA": (fc.ARIMA(order=(1, 0, 0)), ()),
    "Naive": (fc.Naive(), ()),
    "SeasonalNaive": (fc.SeasonalNaive(), ()),
    "Drift": (fc.Drift(), ()),
}
MODEL = pytest.mark.parametrize("model", MODELS)
BASELINES = ("Naive", "SeasonalNaive", "Drift")


def healthy(seed):
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=N), np.zeros(N)
    for t in range(1, N):
        u[t] = 0.5 * u[t - 1] + rng.normal()
    frame = pd.DataFrame({"ds": pd.date_range("2015-01-01", periods=N, freq="MS"), "y": 10 + u + x, "x": x})
    return frame.assign(w=rng.normal(size=N))


def _with(y=None, rows=None, **columns):
    frame = healthy(7)
    if y is not None:
        frame["y"] = y(frame["y"].to_numpy().copy())
    frame = frame.assign(**{name: make(frame) for name, make in columns.items()})
    return frame if rows is None else frame.iloc[rows]


def _put(*pairs):
    def change(y):
        for at, value in pairs:
            y[at] = value
        return y

    return change


def _off_grid(frame):
    frame = frame.copy()
    frame.loc[30, "ds"] += pd.Timedelta(days=11)
    return frame


BAD = {
    "all_nan": _with(lambda y: np.full(N, np.nan)),
    "constant": _with(lambda y: np.full(N, 3.25)),
    "zero": _with(lambda y: np.zeros(N)),
    "one_point": _with(rows=slice(0, 1)),
    "two_points": _with(rows=slice(0, 2)),
    "inf": _with(_put((5, np.inf))),
    "huge": _with(lambda y: y * 1e299),
    "tiny": _with(lambda y: y * 1e-301),
    "gap": _with(_put((20, np.nan), (21, np.nan), (40, np.nan))),
    "gap_first": _with(_put((slice(0, 3), np.nan))),
    "gap_last": _with(_put((slice(57, 60), np.nan))),
    "no_row": _with(rows=np.delete(np.arange(N), [12, 30])),
    "irregular": _off_grid(healthy(7)),
    "line": _with(lambda y: 3.0 + 0.5 * np.arange(N)),
    "mostly_nan": _with(_put((slice(2, 58), np.nan))),
}
EXOG_BAD = {
    "constant_exog": _with(x=lambda f: np.full(N, 2.0)),
    "collinear_exog": _with(w=lambda f: 3.0 * f["x"] - 1.0),
    "zero_exog": _with(x=lambda f: np.zeros(N), w=lambda f: np.zeros(N)),
}
GOOD = {"good_1": healthy(1), "good_2": healthy(2)}


def long(parts):
    return pd.concat([f.assign(unique_id=name) for name, f in parts.items()], ignore_index=True)


def future(df):
    rows = []
    for name, group in df.groupby("unique_id", sort=False):
        last = group["ds"].max().to_period("M").to_timestamp()
        times = pd.date_range(last, periods=4, freq="MS")[1:]
        rows.append(pd.DataFrame({"unique_id": name, "ds": times, "x": [0.1, 0.2, 0.3], "w": 0.5}))
    return pd.concat(rows, ignore_index=True)


def run(name, df):
    model, exog = MODELS[name]
    fitted = fc.fit(df, model, freq="MS", exog=list(exog))
    return fitted, fitted.predict(3, level=[95], X_df=future(df) if exog else None)


@lru_cache
def mixed(name):
    """Bad series between good ones."""
    bad = BAD | (EXOG_BAD if MODELS[name][1] else {})
    df = long({"good_1": GOOD["good_1"], **bad, "good_2": GOOD["good_2"]})
    return run(name, df)


@lru_cache
def pure(name):
    return run(name, long(GOOD))


def report(name):
    return mixed(name)[0].report().set_index("unique_id")


def forecasts(name, series):
    frame = mixed(name)[1]
    return frame.loc[frame["unique_id"] == series].iloc[:, 2:].to_numpy()


@MODEL
def test_the_healthy_are_unharmed(model):
    both, alone = mixed(model), pure(model)
    got = both[1][both[1]["unique_id"].isin(GOOD)].reset_index(drop=True)
    pd.testing.assert_frame_equal(got, alone[1], check_exact=True)
    ids = both[0].records[0].ids.tolist()
    rows = np.array([ids.index(name) for name in GOOD])
    ours, theirs = take(both[0].records[0], rows), alone[0].records[0]
    for name in (
        "status",
        "p",
        "const",
        "sigma2",
        "loglik",
        "ljung_box_p",
        "margin",
        "max_pole",
        "oos_scale",
    ):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@MODEL
def test_every_series_is_reported_and_forecast(model):
    table = report(model)
    assert table["roots_outside"].all()
    assert (table.loc[table["status"] != "ok", "message"].str.len() > 10).all()
    fine = [name for name in table.index if name not in ("all_nan",)]
    for name in fine:
        assert np.isfinite(forecasts(model, name)[:, 0]).all(), name
    assert np.isnan(forecasts(model, "all_nan")).all()


@MODEL
def test_all_missing(model):
    row = report(model).loc["all_nan"]
    assert row["status"] == "all_missing"
    assert "no observed value" in row["message"]


@MODEL
@pytest.mark.parametrize(("series", "value"), [("constant", 3.25), ("zero", 0.0)])
def test_a_constant_goes_on(model, series, value):
    assert report(model).loc[series, "status"] == "constant"
    np.testing.assert_array_equal(forecasts(model, series), value)


@MODEL
@pytest.mark.parametrize("series", ["one_point", "two_points"])
def test_too_few_points(model, series):
    row = report(model).loc[series]
    last = BAD[series]["y"].iloc[-1]
    if not (series == "two_points" and model in ("Naive", "Drift")):  # two points have one step
        assert row["status"] == "too_short"
        assert forecasts(model, series)[0, 0] == last
    if series == "one_point":
        assert np.isnan(forecasts(model, series)[:, 1:]).all()


@MODEL
def test_an_infinite_value(model):
    row = report(model).loc["inf"]
    assert row["status"] == "not_finite"
    assert "infinite" in row["message"]


@MODEL
@pytest.mark.parametrize(("series", "scale"), [("huge", 1e299), ("tiny", 1e-301)])
def test_sizes_at_the_ends_of_the_double_range(model, series, scale):
    row = report(model).loc[series]
    assert row["status"] in ("rescaled", "guarded", "collinear_exog")
    assert (np.abs(forecasts(model, series)) < 30 * scale).all()
    assert (forecasts(model, series)[:, 0] > 5 * scale).all()
    if row["status"] == "rescaled":
        assert "units" in row["message"]


@MODEL
@pytest.mark.parametrize("series", ["gap", "gap_first", "gap_last", "no_row"])
def test_gaps_say_how_they_were_fitted(model, series):
    row = report(model).loc[series]
    assert row["status"] in ("gaps", "guarded")
    assert row["status"] == "gaps" or model.startswith("AutoAR")
    assert np.isfinite(forecasts(model, series)).all()
    if row["status"] == "gaps":
        assert "gaps" in row["message"]


@MODEL
def test_an_irregular_clock(model):
    row = report(model).loc["irregular"]
    assert row["status"] == "irregular_clock"
    assert "2017-07-12" in row["message"]


@MODEL
def test_two_points_far_apart(model):
    row = report(model).loc["mostly_nan"]
    assert row["status"] in ("too_short", "gaps", "guarded", "failed")
    assert np.isfinite(forecasts(model, "mostly_nan")[:, 0]).all()


@pytest.mark.parametrize("model", [m for m in MODELS if m not in BASELINES])
def test_an_exact_line_is_carried_on(model):
    row = report(model).loc["line"]
    assert (row["status"], row["order"]) == ("constant", "Drift")
    assert "line" in row["message"]
    # 3 + 0.5 * 60, by hand.
    np.testing.assert_allclose(forecasts(model, "line")[:, 0], [33.0, 33.5, 34.0], rtol=1e-12)


@pytest.mark.parametrize("model", ["ARX", "AutoAR-x"])
@pytest.mark.parametrize(
    ("series", "names"), [("constant_exog", "x"), ("zero_exog", "x, w"), ("collinear_exog", "w")]
)
def test_useless_regressors_are_left_out(model, series, names):
    row = report(model).loc[series]
    assert row["status"] == "collinear_exog" or (model == "AutoAR-x" and row["status"] == "guarded")
    if row["status"] == "collinear_exog":
        for name in names.split(", "):
            assert name in row["message"].split(":")[1]


def test_arimax_leaves_useless_regressors_out():
    df = long({**GOOD, **EXOG_BAD})
    table = fc.fit(df, fc.ARIMA(order=(1, 0, 0)), freq="MS", exog=["x", "w"]).report().set_index("unique_id")
    assert table.loc[list(EXOG_BAD), "status"].tolist() == ["collinear_exog"] * 3
    assert table.loc[list(GOOD), "status"].tolist() == ["ok"] * 2


def test_a_fit_that_does_not_converge(monkeypatch):
    """The optimiser is told that it failed on one series; nothing else is touched."""
    from forecast.models import arima

    real = arima.fit_sarimax
    doomed = GOOD["good_1"]["y"].to_numpy()

    def fit_sarimax(y, *arguments, **options):
        fit = real(y, *arguments, **options)
        if fit is not None and np.array_equal(y, doomed):
            return arima.replace(fit, converged=False)
        return fit

    model = fc.ARIMA(order=(1, 0, 0), backend="statsmodels")
    want = fc.fit(long(GOOD), model, freq="MS").predict(3)
    monkeypatch.setattr(arima, "fit_sarimax", fit_sarimax)
    fitted = fc.fit(long(GOOD), model, freq="MS")
    table = fitted.report()
    assert table["status"].tolist() == ["not_converged", "ok"]
    assert "converge" in table["message"][0]
    got = fitted.predict(3)["ARIMA"].to_numpy()
    np.testing.assert_array_equal(got[:3], doomed[-1])
    np.testing.assert_array_equal(got[3:], want["ARIMA"].to_numpy()[3:])


@MODEL
def test_a_panel_of_bad_series_alone(model):
    """No healthy series at all: still no error."""
    fitted, ahead = run(model, long({k: BAD[k] for k in ("all_nan", "constant", "one_point", "inf")}))
    assert fitted.report()["status"].tolist() == ["all_missing", "constant", "too_short", "not_finite"]
    assert len(ahead) == 12


@MODEL
def test_bad_series_are_stored_too(model, tmp_path):
    fitted, ahead = mixed(model)
    fitted.save(tmp_path / "m")
    df = long(
        {"good_1": GOOD["good_1"], **BAD, **(EXOG_BAD if MODELS[model][1] else {}), "good_2": GOOD["good_2"]}
    )
    got = fc.load(tmp_path / "m").predict(3, level=[95], X_df=future(df) if MODELS[model][1] else None)
    pd.testing.assert_frame_equal(got, ahead, check_exact=True)
