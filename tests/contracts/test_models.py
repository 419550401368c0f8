"""What holds of every model of the library, whatever its mathematics."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import forecast as fc
from forecast import online
from forecast.api.storage import MODELS
from forecast.api.updating import follow
from forecast.models.alias import read_alias
from forecast.models.assemble import take
from forecast.models.deterministic import deterministic_path
from forecast.models.filtering import advance, end_state
from forecast.models.forecasting import forecast
from forecast.models.frames import to_panel
from forecast.models.records import Records, Transform
from forecast.models.spec import Model, describe, with_season
from forecast.types import Status

# Small enough to be quick, rich enough to use what the model has; seasons come from the frequency.
SMALL = {
    "AR": {"lags": "aicc", "max_lags": 14},
    "ARX": {"lags": 2, "exog_lags": {"x": [0, 2], "z": [1]}},
    "ARIMA": {"order": (1, 0, 1)},
    "AutoARIMA": {"max_p": 1, "max_q": 1, "max_P": 0, "max_Q": 0, "max_d": 1, "max_D": 0},
    "AutoAR": {"max_lags": 14, "n_windows": 3},
    "Naive": {},
    "SeasonalNaive": {},
    "Drift": {},
}
# The same class fitted in another way has other records.
VARIANTS = {
    "AR-ols-subset": ("AR", {"lags": [1, 2, 12]}),
    "AR-trend-season": ("AR", {"lags": 2, "trend": "ct", "seasonal": True}),
    "AR-burg-trend": ("AR", {"lags": 2, "trend": "ct", "method": "burg"}),
    "AR-mle": ("AR", {"lags": 2, "method": "mle"}),
    "AR-yule-walker": ("AR", {"lags": 2, "method": "yule_walker"}),
    "AR-fourier": ("AR", {"lags": 2, "fourier": {12: 2, 6.5: 1}}),
    "ARX-fourier": ("ARX", {"lags": 2, "fourier": [[12, 1]], "exog_lags": {"x": [0, 1]}}),
    "ARX-lasso": ("ARX", {"lags": 3, "method": "lasso"}),
    "AR-seasonal-lags": ("AR", {"lags": "aicc", "max_lags": 3, "seasonal_lags": {12: 1, 7: 2}}),
    "ARIMA-x": ("ARIMA", {"order": (1, 1, 0), "trend": "t"}),
    "ARIMA-fourier": ("ARIMA", {"order": (1, 0, 0), "fourier": {12: 1, 6.5: 1}}),
    "ARIMA-seasonal": ("ARIMA", {"order": (0, 1, 1), "seasonal_order": (0, 1, 1), "season_length": 4}),
    "AutoARIMA-fourier": ("AutoARIMA", {"max_p": 1, "max_q": 1, "fourier": {12: 1}}),
    "AutoAR-fourier": ("AutoAR", {"max_lags": 3, "n_windows": 3, "fourier": {12: 1}}),
    "AutoAR-x": ("AutoAR", {"max_lags": 14, "n_windows": 3}),
}
CASES = {**{name: (name, arguments) for name, arguments in SMALL.items()}, **VARIANTS}
WITH_EXOG = {"ARX", "ARX-fourier", "ARX-lasso", "ARIMA-x", "AutoAR-x"}
CASE = pytest.mark.parametrize("case", CASES)
COLUMNS = [
    "unique_id", "model", "status", "order", "d", "D", "sigma2", "loglik", "aicc", "min_root",
    "roots_outside", "ljung_box_p", "message",
]  # fmt: skip
H = 5


def build(case):
    name, arguments = CASES[case]
    return MODELS[name](**arguments)


def columns(case):
    return ["x", "z"] if case in WITH_EXOG else []


def series(seed, n=60, level=20.0, season=0.0, slope=0.0, gaps=()):
    rng = np.random.default_rng(seed)
    x, z, u = rng.normal(size=n), rng.normal(size=n), np.zeros(n)
    for t in range(1, n):
        u[t] = 0.6 * u[t - 1] + rng.normal()
    t = np.arange(n)
    y = level + u + 1.5 * x + slope * t + season * np.sin(2 * np.pi * t / 12)
    y[list(gaps)] = np.nan
    return pd.DataFrame({"y": y, "x": x, "z": z})


def long_frame():
    made = {
        "plain": series(1),
        "gap": series(2, n=54, gaps=(20, 21, 40, 53)),
        "season": series(3, n=66, season=4.0),
        "trend": series(4, slope=0.4),
        "short": series(6, n=9),
    }
    starts = pd.Timestamp("2012-01-01") + np.array([pd.DateOffset(months=k) for k in (0, 3, 1, 7, 0)])
    frames = [
        frame.assign(unique_id=name, ds=pd.date_range(start, periods=len(frame), freq="MS"))
        for (name, frame), start in zip(made.items(), starts, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)[["unique_id", "ds", "y", "x", "z"]]


LONG = long_frame()
# The last two rows of every series are held back for `update`.
NEW = LONG.groupby("unique_id", sort=False).tail(2)
DF = LONG.drop(index=NEW.index)


def future(df, h, case, freq="MS", id_col="unique_id", time_col="ds"):
    """Future regressors that depend on id and time alone."""
    if case not in WITH_EXOG:
        return None
    rows = []
    for name, group in df.groupby(id_col, sort=False):
        times = pd.date_range(group[time_col].max(), periods=h + 1, freq=freq)[1:]
        wave = np.cos(np.arange(1, h + 1) + len(str(name)))
        rows.append(pd.DataFrame({id_col: name, time_col: times, "z": -wave, "x": wave}))
    return pd.concat(rows, ignore_index=True)


def months(df):
    return (df["ds"].dt.year * 12 + df["ds"].dt.month).astype(np.int64)


def fit(case, df, **options):
    return fc.fit(df, build(case), freq=options.pop("freq", "MS"), exog=columns(case), **options)


@lru_cache
def fitted(case):
    return fit(case, DF)


def predict(case, model, h=H, df=DF, level=(80, 95)):
    return model.predict(h, level=list(level), X_df=future(df, h, case))


def same_frame(got, want):
    pd.testing.assert_frame_equal(got, want, check_exact=True)


def row_of(records, i):
    """What one record says, in a form that can be compared; padding stripped."""
    one = take(records, np.array([i]))
    out = {}
    for f in fields(Records):
        value = getattr(one, f.name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            # Widths depend on the widest series of the batch; what lies beyond a series is zeros.
            value = np.atleast_1d(np.trim_zeros(value.ravel(), "b")) if value.size else np.zeros(0)
        out[f.name] = value
    return out


def same_record(records, i, others, j):
    ours, theirs = row_of(records, i), row_of(others, j)
    for name, value in ours.items():
        other = theirs[name]
        if isinstance(value, dict):
            assert value.keys() == other.keys(), name
            for key in value:
                np.testing.assert_array_equal(value[key], other[key], err_msg=name)
        elif name not in ("freq", "exog", "beta", "exog_tail"):
            np.testing.assert_array_equal(value, other, err_msg=name)


def test_every_model_of_the_library_is_here():
    assert set(SMALL) == set(MODELS)
    assert {name for name, _ in CASES.values()} == set(MODELS)


@CASE
def test_records_are_sane(case):
    model = fitted(case)
    (records,) = model.records
    assert isinstance(model.models[0], Model)
    assert records.ids.tolist() == DF["unique_id"].unique().tolist()
    assert records.nobs.tolist() == DF.groupby("unique_id", sort=False).size().tolist()
    assert np.isfinite(records.sigma2).all()
    assert (records.sigma2 > 0).all()
    assert np.isfinite(records.levels).all()
    assert (records.n_params >= 1).all()
    assert (records.n_used <= records.nobs).all()
    status = dict(zip(records.ids, records.status, strict=True))
    assert status["gap"] in (Status.GAPS, Status.GUARDED)
    assert np.isfinite(predict(case, model).iloc[:, 2:].to_numpy()).all()


@CASE
def test_every_series_that_is_not_ok_says_why(case):
    report = fitted(case).report()
    assert (report.loc[report["status"] != "ok", "message"] != "").all()


@CASE
def test_every_record_is_certified(case):
    (records,) = fitted(case).records
    assert (records.margin > 0).all()
    assert (records.max_pole < 1).all()
    assert fitted(case).report()["roots_outside"].all()
    for i in range(records.n_series):
        poles = np.roots(np.concatenate([[1.0], -records.phi[i, : records.p[i]]]))
        # np.roots knows multiple poles to a root of the rounding only.
        assert np.abs(poles).max(initial=0.0) == pytest.approx(records.max_pole[i], abs=1e-4)


@CASE
def test_a_specification_is_frozen_and_survives_json(case):
    model = with_season(build(case), 12)
    text = describe(model)
    assert MODELS[text.name](**text.arguments) == model
    with pytest.raises(FrozenInstanceError):
        model.alias = "other"


@CASE
def test_what_was_saved_forecasts_the_same_to_the_last_bit(case, tmp_path):
    fitted(case).save(tmp_path / "model")
    loaded = fc.load(tmp_path / "model")
    same_frame(predict(case, loaded), predict(case, fitted(case)))
    same_frame(loaded.report(), fitted(case).report())
    assert loaded.models == fitted(case).models


@CASE
def test_forecasting_leaves_the_model_alone(case):
    model = fitted(case)
    same_frame(predict(case, model), predict(case, model))
    for f in fields(Records):
        value = getattr(model.records[0], f.name)
        if isinstance(value, np.ndarray) and value.size:
            assert not value.flags.writeable, f.name
            with pytest.raises(ValueError, match="read-only"):
                value[:1] = value[:1]
    with pytest.raises(FrozenInstanceError):
        model.n_jobs = 2


@CASE
def test_the_same_seed_gives_the_same_paths(case):
    x = future(DF, H, case)
    few = fitted(case).simulate(H, n_paths=3, seed=5, X_df=x)
    many = fitted(case).simulate(H, n_paths=7, seed=5, X_df=x)
    same_frame(many[many["path"] < 3].reset_index(drop=True), few)
    alias = fitted(case).models[0].alias
    other = fitted(case).simulate(H, n_paths=3, seed=6, X_df=x)
    assert (few[alias] != other[alias]).all()


@CASE
def test_a_series_does_not_depend_on_the_others(case):
    ids = DF["unique_id"].unique()
    together = predict(case, fitted(case)).set_index("unique_id")
    turned = DF.set_index("unique_id").loc[ids[::-1]].reset_index()
    model = fit(case, turned)
    same_frame(predict(case, model, df=turned).set_index("unique_id").loc[ids], together)
    for i in range(len(ids)):
        same_record(fitted(case).records[0], i, model.records[0], len(ids) - 1 - i)
    for name in ("plain", "gap"):
        alone = DF[DF["unique_id"] == name]
        lonely = fit(case, alone)
        same_record(fitted(case).records[0], ids.tolist().index(name), lonely.records[0], 0)
        got = predict(case, lonely, df=alone).set_index("unique_id")
        same_frame(got, together.loc[[name]])


@CASE
def test_threads_change_no_bit(case):
    same_frame(predict(case, fit(case, DF, n_jobs=2)), predict(case, fitted(case)))


@CASE
def test_rows_and_columns_come_in_any_order(case):
    shuffled = DF.sample(frac=1.0, random_state=0)
    first_seen = DF["unique_id"].drop_duplicates().index
    shuffled = pd.concat([DF.loc[first_seen], shuffled.drop(index=first_seen)])[
        ["z", "y", "ds", "x", "unique_id"]
    ]
    same_frame(predict(case, fit(case, shuffled)), predict(case, fitted(case)))


@CASE
def test_float32_is_computed_in_float64(case):
    rounded = DF.astype({"y": "float32", "x": "float32", "z": "float32"})
    wide = rounded.astype({"y": "float64", "x": "float64", "z": "float64"})
    got = predict(case, fit(case, rounded))
    assert (got.dtypes.iloc[2:] == np.float64).all()
    same_frame(got, predict(case, fit(case, wide)))


@CASE
def test_update_is_filtering_the_longer_series(case):
    model = fitted(case).update(NEW)
    panel, _ = to_panel(LONG, "MS", columns(case))
    (records,) = model.records
    levels, shocks, cov = end_state(fitted(case).records[0], panel)
    assert records.nobs.tolist() == panel.lengths.tolist()
    size = np.abs(records.levels).max()
    # The two filters take the same steps from other starting points: rounding, and 1e-9 of MA start-up.
    np.testing.assert_allclose(records.levels[:, : levels.shape[1]], levels, rtol=0, atol=1e-6 * size)
    np.testing.assert_allclose(records.innovations[:, : shocks.shape[1]], shocks, rtol=0, atol=1e-6 * size)
    assert set(records.state_cov) == set(cov)


@CASE
def test_update_tick_by_tick_is_update_at_once(case):
    at_once = fitted(case).update(NEW)
    slowly = fitted(case)
    for k in range(2):
        slowly = slowly.update(NEW.groupby("unique_id", sort=False).nth(k))
    got, want = predict(case, slowly, df=LONG), predict(case, at_once, df=LONG)
    pd.testing.assert_frame_equal(got, want, rtol=1e-12)
    # The old value still forecasts from where it stood.
    same_frame(predict(case, fitted(case)), predict(case, fit(case, DF)))


@CASE
def test_after_a_missing_tick_the_next_step_is_the_second_one(case):
    hole = NEW.groupby("unique_id", sort=False).nth(0).assign(y=np.nan)
    if case in WITH_EXOG:  # both see the same future
        hole = hole.drop(columns=["x", "z"]).merge(future(DF, 1, case), on=["unique_id", "ds"])
    x = future(DF, 2, case)
    told = fitted(case).predict(2, level=[95], X_df=x).groupby("unique_id", sort=False).nth(1)
    got = fitted(case).update(hole).predict(1, level=[95], X_df=x)
    np.testing.assert_array_equal(got["ds"], told["ds"])
    alias = fitted(case).models[0].alias
    np.testing.assert_allclose(got[alias], told[alias], rtol=1e-9)
    # The error of the parameters counts for one step instead of two: a little less in short series.
    width, before = (f[f"{alias}-hi-95"].to_numpy() - f[f"{alias}-lo-95"].to_numpy() for f in (got, told))
    assert ((width > 0.7 * before) & (width < before * 1.02)).all()


@CASE
def test_report_has_the_columns_that_are_promised(case):
    report = fitted(case).report()
    assert list(report.columns) == COLUMNS
    assert (report["model"] == build(case).alias).all()
    assert report["unique_id"].tolist() == DF["unique_id"].unique().tolist()
    assert (report["sigma2"] > 0).all()
    assert (report["min_root"] > 1).all()


@CASE
def test_diagnostics_have_a_row_a_series(case):
    table = fitted(case).diagnostics()
    assert table["unique_id"].tolist() == DF["unique_id"].unique().tolist()
    p = table["ljung_box_p"].dropna()
    assert ((p >= 0) & (p <= 1)).all()
    ours = fitted(case).records[0].ljung_box_p
    known = ~np.isnan(ours)  # baselines do not test themselves
    np.testing.assert_array_equal(table["ljung_box_p"].to_numpy()[known], ours[known])


@CASE
def test_columns_may_have_other_names(case):
    names = {"unique_id": "shop", "ds": "month", "y": "sold"}
    renamed = DF.rename(columns=names)
    model = fit(case, renamed, id_col="shop", time_col="month", target_col="sold")
    x = future(DF, H, case)
    got = model.predict(H, level=[80, 95], X_df=None if x is None else x.rename(columns=names))
    same_frame(got, predict(case, fitted(case)).rename(columns=names))
    new = model.update(NEW.rename(columns=names))
    assert new.records[0].nobs.tolist() == (model.records[0].nobs + 2).tolist()


@CASE
def test_times_may_be_integers_or_have_a_zone(case):
    alias = build(case).alias
    want = predict(case, fitted(case))
    number = DF.assign(ds=months(DF))
    model = fc.fit(number, build(case), freq=1, exog=columns(case), season_length=12)
    x = future(DF, H, case)
    x = None if x is None else x.assign(ds=months(x))
    got = model.predict(H, level=[80, 95], X_df=x)
    assert got["ds"].dtype == np.int64
    np.testing.assert_array_equal(got["ds"], months(want))
    np.testing.assert_array_equal(got.iloc[:, 2:], want.iloc[:, 2:])
    zoned = DF.assign(ds=DF["ds"].dt.tz_localize("Europe/Berlin"))
    model = fit(case, zoned)
    x = future(DF, H, case)
    x = None if x is None else x.assign(ds=x["ds"].dt.tz_localize("Europe/Berlin"))
    got = model.predict(H, level=[80, 95], X_df=x)
    assert str(got["ds"].dt.tz) == "Europe/Berlin"
    np.testing.assert_array_equal(got["ds"].dt.tz_localize(None), want["ds"])
    np.testing.assert_array_equal(got[alias], want[alias])


@CASE
def test_an_arrow_table_is_a_frame(case):
    table = pa.Table.from_pandas(DF, preserve_index=False)
    got = predict(case, fit(case, table))
    np.testing.assert_array_equal(got.iloc[:, 2:], predict(case, fitted(case)).iloc[:, 2:])


@CASE
def test_intervals_are_nested(case):
    got = predict(case, fitted(case))
    alias = fitted(case).models[0].alias
    names = [f"{alias}-lo-95", f"{alias}-lo-80", alias, f"{alias}-hi-80", f"{alias}-hi-95"]
    assert sorted(got.columns[2:]) == sorted(names)
    assert (np.diff(got[names].to_numpy(), axis=1) >= 0).all()


@CASE
def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(case):
    x = future(DF, 8, case)
    long = fitted(case).predict(8, level=[95], X_df=x)
    short = fitted(case).predict(3, level=[95], X_df=x)
    want = long.groupby("unique_id", sort=False).head(3).reset_index(drop=True)
    pd.testing.assert_frame_equal(short, want, rtol=1e-12)


@CASE
def test_forecasts_scale_with_the_series(case):
    """Times 4 is exact in binary: only searches with an absolute tolerance may differ."""
    scaled = DF.assign(y=4.0 * DF["y"])
    model = fit(case, scaled)
    log = (model.records[0].transform == Transform.LOG) | (fitted(case).records[0].transform == Transform.LOG)
    keep = np.repeat(~log, H)
    got = predict(case, model).iloc[keep, 2:].to_numpy()
    want = 4.0 * predict(case, fitted(case)).iloc[keep, 2:].to_numpy()
    # Optimisers of the ARIMA likelihood stop at gradients of about 1e-5 in their own units.
    rtol = 1e-4 if "ARIMA" in case else 1e-9
    np.testing.assert_allclose(got, want, rtol=rtol)


@CASE
def test_one_step_is_the_equation_written_out(case):
    """The record is all there is: phi, levels, const, beta give the forecast by hand."""
    (records,) = fitted(case).records
    x = future(DF, 1, case)
    exog = {} if x is None else {name: x[name].to_numpy()[:, None] for name in ("x", "z")}
    m = deterministic_path(records, 1, exog)[:, 0]
    got = forecast(records, 1, (), exog).mean[:, 0]
    for i in range(records.n_series):
        if records.d[i] + records.D[i] + records.q[i] + records.P[i] or records.transform[i]:
            continue
        p = records.p[i]
        want = records.scale[i] * (m[i] + records.phi[i, :p] @ records.levels[i, :p])
        assert got[i] == pytest.approx(want, rel=1e-12)


def test_the_default_model_is_the_automatic_one():
    model = fc.fit(DF, freq="MS")
    assert type(model.models[0]) is fc.AutoAR
    assert model.models[0].season_length == 12
    assert read_alias(model.freq).text == "MS"


def test_several_models_share_one_frame():
    model = fc.fit(DF, [fc.AR(lags=1), fc.Naive()], freq="MS")
    got = model.predict(2, level=80)
    assert list(got.columns[2:]) == ["AR", "AR-lo-80", "AR-hi-80", "Naive", "Naive-lo-80", "Naive-hi-80"]
    assert len(model.report()) == 2 * DF["unique_id"].nunique()


def new_panel(case):
    records = fitted(case).records[0]
    return follow(records, to_panel(NEW, "MS", columns(case))[0])


@CASE
def test_ticks_one_by_one_are_the_update_and_the_longer_series(case):
    """1e-10: the filters add the same numbers, of size 20, in another order, over 70 points."""
    records, new = fitted(case).records[0], new_panel(case)
    slots, ticks = online.load(records, H), new.values.tolist()  # noqa: PD011  # of a Panel
    for i in range(new.n_series):
        for k in range(int(new.indptr[i]), int(new.indptr[i + 1])):
            online.step(slots, i, ticks[k], {name: float(x[k]) for name, x in new.exog.items()})
    got, updated = online.unload(slots), fitted(case).update(NEW).records[0]
    assert got.nobs.tolist() == updated.nobs.tolist()
    whole, _ = to_panel(LONG, "MS", columns(case))
    levels, innovations, cov = end_state(replace(records, nobs=updated.nobs), whole)
    found = np.isin(records.status, (Status.OK, Status.GAPS, Status.GUARDED))
    for i in np.flatnonzero(found):
        scale = 1.0 + np.abs(updated.levels[i]).max(initial=0.0)
        for have in (updated.levels, levels):
            width = min(have.shape[1], got.levels.shape[1])
            np.testing.assert_allclose(got.levels[i, :width], have[i, :width], atol=1e-10 * scale)
        for have in (updated.innovations, innovations):
            width = min(have.shape[1], got.innovations.shape[1])
            np.testing.assert_allclose(got.innovations[i, :width], have[i, :width], atol=1e-8 * scale)
        assert (i in got.state_cov) == (i in updated.state_cov) == (i in cov)


def holes(new):
    """The same points, of which in every other series the first is missing, in the rest the second."""
    values = np.array(new.values)  # of a Panel
    for i, first in enumerate(new.indptr[:-1].tolist()):
        values[first + i % 2] = np.nan
    return replace(new, values=values)


@CASE
def test_missing_ticks_are_missing_in_the_update_and_the_longer_series(case):
    """1e-9: rounding of some 70 sums, and the start-up of the MA part, which both filters leave behind."""
    records, new = fitted(case).records[0], holes(new_panel(case))
    slots, ticks = online.load(records, H), new.values.tolist()  # noqa: PD011  # of a Panel
    for i in range(new.n_series):
        for k in range(int(new.indptr[i]), int(new.indptr[i + 1])):
            online.step(slots, i, ticks[k], {name: float(x[k]) for name, x in new.exog.items()})
    got, updated = online.unload(slots), advance(records, new)
    whole = to_panel(LONG, "MS", columns(case))[0]
    tail = (whole.indptr[1:, None] + np.array([-2, -1])).ravel()
    values = np.array(whole.values)  # of a Panel
    values[tail] = new.values  # noqa: PD011  # of a Panel
    anew = end_state(replace(records, nobs=updated.nobs), replace(whole, values=values))
    assert got.state_cov.keys() == updated.state_cov.keys() == anew[2].keys()
    x = future(LONG, H, case)
    exog = None if x is None else {name: x[name].to_numpy().reshape(-1, H) for name in ("x", "z")}
    refiltered = replace(updated, levels=anew[0], innovations=anew[1], state_cov=anew[2])
    want = forecast(refiltered, H, exog=exog)
    for moved in (got, updated):
        have = forecast(moved, H, exog=exog)
        np.testing.assert_allclose(have.mean, want.mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(have.sd, want.sd, rtol=1e-9)
    for i in range(new.n_series):
        given = None if exog is None else {name: path[i] for name, path in exog.items()}
        np.testing.assert_allclose(online.ahead(slots, i, given), want.mean[i], rtol=1e-9, atol=1e-9)
