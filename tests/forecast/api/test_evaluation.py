import pickle

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.api.arguments import check_levels, resolve_models
from forecast.errors import ColumnError, InputError, UnknownSeriesError
from forecast.selection.scoring import Metric
from tests.oracles import metrics as oracle

MODELS = [fc.SeasonalNaive(), fc.Naive()]


def frame(lengths=(60, 40), names=("b", "a"), freq="MS"):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "unique_id": name,
                "ds": pd.date_range("2020-01-01", periods=n, freq=freq),
                "y": rng.normal(size=n).cumsum() + 20.0,
            }
        )
        for name, n in zip(names, lengths, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def df():
    return frame()


@pytest.fixture(scope="module")
def cv(df):
    return fc.cross_validation(df, MODELS, h=6, n_windows=3, step_size=4, level=[95, 80], freq="MS")


def test_columns_are_those_that_users_know(cv):
    assert list(cv.columns[:5]) == ["unique_id", "ds", "cutoff", "y", "SeasonalNaive"]
    assert set(cv.columns[5:9]) == {
        f"SeasonalNaive-{side}-{level}" for side in ("lo", "hi") for level in (80, 95)
    }
    assert list(cv["unique_id"].drop_duplicates()) == ["b", "a"]
    assert len(cv) == 2 * 3 * 6


def test_rows_are_the_rows_of_the_input(df, cv):
    assert cv["ds"].dtype == cv["cutoff"].dtype == df["ds"].dtype
    assert cv["unique_id"].dtype == df["unique_id"].dtype
    both = cv.merge(df, on=["unique_id", "ds"], suffixes=("", "_input"))
    assert len(both) == len(cv)
    np.testing.assert_array_equal(both["y"], both["y_input"])
    assert (cv["cutoff"] < cv["ds"]).all()
    last = cv.groupby("unique_id")["ds"].max()
    pd.testing.assert_series_equal(last, df.groupby("unique_id")["ds"].max())


def test_naive_is_the_value_at_the_cutoff(df, cv):
    at = cv.merge(df, left_on=["unique_id", "cutoff"], right_on=["unique_id", "ds"], suffixes=("", "_cutoff"))
    np.testing.assert_allclose(at["Naive"], at["y_cutoff"])


def slow_mase(df, cv, model, m):
    """By series: the mean over windows."""
    out = {}
    for (key, cutoff), window in cv.groupby(["unique_id", "cutoff"]):
        train = df[(df["unique_id"] == key) & (df["ds"] <= cutoff)]["y"].tolist()
        score = oracle.mase(window["y"].tolist(), window[model].tolist(), train, m)
        out.setdefault(key, []).append(score)
    return {key: np.mean(scores) for key, scores in out.items()}


@pytest.mark.parametrize("m", [1, 12, None])
def test_mase_is_scaled_by_what_came_before_each_cutoff(df, cv, m):
    by_series = fc.evaluate(cv, [fc.mase], season_length=m, by="unique_id").set_index("unique_id")
    table = fc.evaluate(cv, fc.mase, season_length=m)
    for model in ("SeasonalNaive", "Naive"):
        want = slow_mase(df, cv, model, m or 12)
        for key, value in want.items():
            assert by_series.loc[key, model] == pytest.approx(value, rel=1e-10)
        assert table[model].item() == pytest.approx(np.mean(list(want.values())), rel=1e-10)


def test_the_table_has_a_row_a_metric_and_a_column_a_model(cv):
    table = fc.evaluate(cv, [fc.mae, "rmse", fc.coverage, fc.msis, fc.crps, fc.pinball, fc.rmsse])
    assert list(table.columns) == ["metric", "SeasonalNaive", "Naive"]
    assert table["metric"].tolist() == [
        "mae", "rmse", "coverage-80", "coverage-95", "msis-80", "msis-95", "crps",
        "pinball-0.025", "pinball-0.1", "pinball-0.5", "pinball-0.9", "pinball-0.975", "rmsse",
    ]  # fmt: skip
    window = cv[cv["unique_id"] == "a"]
    inside = window["y"].between(window["Naive-lo-80"], window["Naive-hi-80"]).mean()
    by = fc.evaluate(cv, fc.coverage, by="unique_id").set_index(["unique_id", "metric"])
    assert by.loc[("a", "coverage-80"), "Naive"] == pytest.approx(inside)
    assert fc.evaluate(cv)["metric"].tolist()[:4] == ["mae", "rmse", "smape", "mase"]


def test_by_chooses_the_rows(cv):
    assert len(fc.evaluate(cv, "mae", by="cutoff")) == cv["cutoff"].nunique()
    windows = fc.evaluate(cv, ["mae", "smape"], by=["unique_id", "cutoff"])
    assert list(windows.columns[:3]) == ["unique_id", "cutoff", "metric"]
    assert len(windows) == 6 * 2
    first = cv[(cv["unique_id"] == "b") & (cv["cutoff"] == windows["cutoff"][0])]
    assert windows["Naive"][0] == pytest.approx((first["y"] - first["Naive"]).abs().mean())


def test_a_mean_over_series_weighs_them_alike():
    """Three windows of one series and one of another: the mean of two means, by hand."""
    cv = pd.DataFrame(
        {"unique_id": ["a"] * 3 + ["b"], "ds": 5, "cutoff": [2, 3, 4, 4], "y": 0.0, "M": [1, 2, 3, 10]}
    )
    assert fc.evaluate(cv, "mae")["M"].item() == 6.0


def test_a_file_loses_the_training_data_and_train_df_gives_it_back(df, cv, tmp_path):
    cv.to_parquet(tmp_path / "cv.parquet")
    again = pd.read_parquet(tmp_path / "cv.parquet")
    with pytest.raises(InputError, match="train_df="):
        fc.evaluate(again, fc.mase)
    want = fc.evaluate(cv, [fc.mase, fc.rmsse, fc.msis], season_length=4)
    got = fc.evaluate(again, [fc.mase, fc.rmsse, fc.msis], season_length=4, train_df=df)
    pd.testing.assert_frame_equal(got, want)
    shuffled = df.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(fc.evaluate(again, fc.mase, train_df=shuffled), fc.evaluate(cv, fc.mase))


def test_selecting_copying_and_pickling_keep_the_training_data(cv):
    want = fc.evaluate(cv[cv["unique_id"] == "a"], fc.mase)
    for kept in (cv.query("unique_id == 'a'"), cv.copy().iloc[18:], pickle.loads(pickle.dumps(cv)).iloc[18:]):  # noqa: S301
        pd.testing.assert_frame_equal(fc.evaluate(kept, fc.mase), want)
    more = cv.assign(Mine=cv["Naive"] + 1.0)
    assert list(fc.evaluate(more, fc.mase).columns) == ["metric", "SeasonalNaive", "Naive", "Mine"]


def test_a_test_set_without_cutoffs_is_one_window_a_series(df):
    test = df.groupby("unique_id", sort=False).tail(6).assign(M=20.0)
    train = df.drop(test.index)
    got = fc.evaluate(test, fc.mase, train_df=train, season_length=12, by="unique_id").set_index("unique_id")[
        "M"
    ]
    for key in ("a", "b"):
        y = test[test["unique_id"] == key]["y"].tolist()
        want = oracle.mase(y, [20.0] * 6, train[train["unique_id"] == key]["y"].tolist(), 12)
        assert got[key] == pytest.approx(want, rel=1e-10)


def test_gaps_and_constant_series_are_left_out_for_all_models_alike(df):
    holes = df.copy()
    holes.loc[58, "y"] = np.nan
    still = pd.DataFrame(
        {"unique_id": "c", "ds": pd.date_range("2020-01-01", periods=30, freq="MS"), "y": 7.0}
    )
    cv = fc.cross_validation(pd.concat([holes, still]), MODELS, h=6, freq="MS")
    assert cv["y"].isna().sum() == 1
    table = fc.evaluate(cv, [fc.mae, fc.mase], by="unique_id").set_index(["unique_id", "metric"])
    window = cv[cv["unique_id"] == "b"].dropna()
    assert table.loc[("b", "mae"), "Naive"] == pytest.approx((window["y"] - window["Naive"]).abs().mean())
    assert table.loc[("c", "mase")].isna().all()
    whole = fc.evaluate(cv, [fc.mae, fc.mase])
    assert whole.notna().all(axis=None)
    assert whole.attrs["left_out"] == {"mase": 1}


def test_a_missing_forecast_is_not_forgiven(cv):
    lost = cv.copy()
    lost.loc[0, "Naive"] = np.nan
    table = fc.evaluate(lost, [fc.mae, fc.coverage])
    assert np.isnan(table["Naive"][0])
    assert not table["SeasonalNaive"].isna().any()


def test_models_without_intervals_are_scored_by_their_points(cv):
    more = cv.assign(Point=cv["Naive"])
    table = fc.evaluate(more, [fc.mae, fc.crps, fc.coverage]).set_index("metric")
    assert table.loc["crps", "Point"] == pytest.approx(table.loc["mae", "Point"])
    assert np.isnan(table.loc["coverage-95", "Point"])
    assert table.loc["coverage-95", "Naive"] > 0


def test_a_metric_of_ones_own(cv):
    bias = Metric("bias", fc.mae, lambda w: {"bias": np.nanmean(w.mean - w.y, axis=1)})
    assert fc.evaluate(cv, bias)["metric"].tolist() == ["bias"]


def test_short_series_give_fewer_rows_and_are_named():
    cv = fc.cross_validation(frame((30, 9, 4), ("a", "b", "c")), fc.Naive(), h=4, n_windows=3, freq="MS")
    assert cv.groupby("unique_id")["cutoff"].nunique().to_dict() == {"a": 3, "b": 2}
    assert [note[:2] for note in cv.notes] == ["b:", "c:"]


@pytest.mark.parametrize("refit", [False, 2])
def test_names_ints_and_categories_are_kept(df, refit):
    other = df.rename(columns={"unique_id": "shop", "ds": "t", "y": "sold"})
    other["t"] = other.groupby("shop").cumcount().astype("int32")
    other["shop"] = pd.Categorical(other["shop"], categories=["b", "a", "unused"])
    cv = fc.cross_validation(
        other,
        MODELS,
        h=3,
        n_windows=3,
        refit=refit,
        season_length=4,
        id_col="shop",
        time_col="t",
        target_col="sold",
        freq=1,
    )
    assert list(cv.columns[:4]) == ["shop", "t", "cutoff", "sold"]
    assert cv["t"].dtype == cv["cutoff"].dtype == np.int32
    assert cv["shop"].dtype == other["shop"].dtype
    assert fc.evaluate(cv, [fc.mase], by="shop")["shop"].tolist() == ["b", "a"]
    plain = pd.DataFrame(cv)
    got = fc.evaluate(plain, "mase", 4, other, id_col="shop", time_col="t", target_col="sold")
    pd.testing.assert_frame_equal(got, fc.evaluate(cv, "mase"))


def test_m3_monthly_seasonal_naive_is_what_pandas_says(shared):
    folder = shared / "data" / "panels"
    train = pd.read_parquet(folder / "m3_monthly_train.parquet")
    test = pd.read_parquet(folder / "m3_monthly_test.parquet")
    df = pd.concat([train, test]).sort_values(["unique_id", "ds"], ignore_index=True)
    cv = fc.cross_validation(df, fc.SeasonalNaive(), h=18, freq=1, season_length=12, level=None)
    scale = train.groupby("unique_id")["y"].apply(lambda y: y.diff(12).abs().mean())
    past = {key: y.to_numpy()[-12:] for key, y in train.groupby("unique_id")["y"]}
    want = {
        k: np.abs(y - np.resize(past[k], 18)).mean() / scale[k] for k, y in test.groupby("unique_id")["y"]
    }
    got = fc.evaluate(cv, fc.mase, by="unique_id").set_index("unique_id")["SeasonalNaive"]
    np.testing.assert_allclose(got, pd.Series(want).reindex(got.index), rtol=1e-9)  # sums of up to 126 terms


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"h": 0}, "h must"),
        ({"h": 2.5}, "h must"),
        ({"level": [80, 100]}, "level .* got 100"),
        ({"level": "95"}, "level"),
        ({"n_windows": 0}, "n_windows"),
        ({"step_size": 0}, "step_size"),
        ({"input_size": 0}, "input_size"),
        ({"season_length": 0}, "season_length"),
        ({"refit": 0}, "refit"),
        ({"model": [fc.Naive(), fc.Naive()]}, "alias="),
        ({"model": fc.Naive}, r"write Naive\("),
        ({"model": "Naiv"}, "'Naive'"),
        ({"model": []}, "empty"),
        ({"model": fc.Naive(alias="ds")}, "alias="),
    ],
)
def test_wrong_arguments_raise_before_any_work(arguments, word):
    with pytest.raises(InputError, match=word):
        fc.cross_validation(
            None, **{"model": fc.Naive(), "h": 2, **arguments}
        )  # None: data are not looked at


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"metrics": "mas"}, InputError, "'mase'"),
        ({"metrics": []}, InputError, "empty"),
        ({"by": "ds"}, InputError, "by must"),
        ({"season_length": 0}, InputError, "season_length"),
        ({"models": ["Naiv"]}, ColumnError, "'Naive'"),
    ],
)
def test_wrong_questions_are_named(cv, arguments, error, word):
    with pytest.raises(error, match=word):
        fc.evaluate(cv, **{"metrics": "mae", **arguments})


def test_what_the_frame_lacks_is_named(df, cv):
    with pytest.raises(InputError, match="level="):
        fc.evaluate(cv[["unique_id", "ds", "cutoff", "y", "Naive"]], fc.coverage)
    with pytest.raises(ColumnError, match="'y'"):
        fc.evaluate(cv.drop(columns="y"), "mae")
    with pytest.raises(ColumnError, match="forecasts"):
        fc.evaluate(cv[["unique_id", "ds", "cutoff", "y"]], "mae")
    with pytest.raises(InputError, match="empty"):
        fc.evaluate(cv.iloc[:0], "mae")
    plain = pd.DataFrame(cv)
    with pytest.raises(UnknownSeriesError, match="'a'"):
        fc.evaluate(plain, "mase", train_df=df[df["unique_id"] == "b"])
    with pytest.raises(InputError, match="same type"):
        fc.evaluate(plain, "mase", train_df=df.assign(ds=np.arange(len(df))))


def test_levels_are_sorted_and_each_once():
    assert check_levels([95, 80.0, 95]) == (80.0, 95.0)
    assert check_levels(np.array([50, 90])) == (50.0, 90.0)
    assert check_levels(99) == (99.0,)
    assert check_levels(None) == ()


def test_the_season_is_filled_in_where_it_was_left_open():
    open_, given = resolve_models([fc.SeasonalNaive(), fc.SeasonalNaive(7, alias="Week")], 12)
    assert (open_.season_length, given.season_length) == (12, 7)


def test_progress_is_told(df, capsys):
    fc.cross_validation(df, MODELS, h=2, n_windows=2, freq="MS", progress=True)
    assert capsys.readouterr().err.endswith("4 of 4 fits\n")
