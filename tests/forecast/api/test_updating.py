import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import UnknownSeriesError

N = 30
DS = pd.date_range("2022-01-01", periods=N + 6, freq="D")
Y = np.random.default_rng(5).normal(size=(2, N + 6))


def rows(series, at, **columns):
    i = {"a": 0, "b": 1}[series]
    frame = pd.DataFrame({"unique_id": series, "ds": DS[at], "y": Y[i, at]})
    return frame.assign(**columns)


DF = pd.concat([rows("a", range(N)), rows("b", range(N))])


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(DF, fc.AR(lags=2), freq="D")


def test_series_without_news_stay(fitted):
    got = fitted.update(rows("b", [N]))
    assert got.records[0].nobs.tolist() == [N, N + 1]
    assert got.predict(1)["ds"].tolist() == [DS[N], DS[N + 1]]
    assert got.predict(1)["AR"][0] == fitted.predict(1)["AR"][0]
    assert got.records[0].levels[1].tolist() == Y[1, [N, N - 1]].tolist()


def test_a_time_left_out_is_a_gap(fitted):
    got = fitted.update(rows("a", [N + 1]))
    assert got.records[0].nobs.tolist() == [N + 2, N]
    told = fitted.predict(2)["AR"][0]
    np.testing.assert_allclose(got.records[0].levels[0][0], Y[0, N + 1])
    # The missing point, given both neighbours: not the plain forecast, and known with an error.
    assert got.records[0].levels[0][1] != told
    assert got.records[0].state_cov[0][1, 1] > 0
    explicit = rows("a", [N, N + 1])
    explicit.loc[0, "y"] = np.nan
    same = fitted.update(explicit).predict(3, level=90)
    pd.testing.assert_frame_equal(got.predict(3, level=90), same, check_exact=True)


def test_order_of_the_rows_does_not_matter(fitted):
    new = pd.concat([rows("b", [N, N + 1]), rows("a", [N, N + 1])])
    want = fitted.update(new).predict(2)
    pd.testing.assert_frame_equal(fitted.update(new.iloc[::-1]).predict(2), want, check_exact=True)
    assert want["unique_id"].tolist() == ["a", "a", "b", "b"]


@pytest.mark.parametrize("at", [N - 1, 3])
def test_rows_that_were_seen_already(fitted, at):
    with pytest.raises(fc.InputError, match=r"'a'.*2022-01-31"):
        fitted.update(rows("a", [at]))


def test_rows_off_the_grid(fitted):
    late = rows("a", [N]).assign(ds=DS[N] + pd.Timedelta(hours=3))
    with pytest.raises(fc.InputError, match=r"grid|do not follow"):
        fitted.update(late)


def test_infinite_values(fitted):
    with pytest.raises(fc.InputError, match="infinite"):
        fitted.update(rows("a", [N]).assign(y=np.inf))


def test_strangers(fitted):
    with pytest.raises(UnknownSeriesError, match="1 series were not fitted: zoe"):
        fitted.update(rows("a", [N]).assign(unique_id="zoe"))


def test_regressors_come_along():
    x = np.random.default_rng(6).normal(size=N + 6)
    df = rows("a", range(N), x=x[:N])
    fitted = fc.fit(df, fc.ARX(lags=1, exog_lags={"x": [0, 2]}), freq="D", exog=["x"])
    got = fitted.update(rows("a", [N, N + 1], x=x[N : N + 2]))
    assert got.records[0].exog_tail.tolist() == [[[x[N + 1], x[N]]]]
    with pytest.raises(fc.InputError, match="'x'"):
        fitted.update(rows("a", [N]))
    with pytest.raises(fc.InputError, match="regressor is missing"):
        fitted.update(rows("a", [N + 1], x=1.0))


def test_updating_a_loaded_model(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    new = pd.concat([rows("a", [N]), rows("b", [N])])
    want = fitted.update(new).predict(4, level=[80])
    pd.testing.assert_frame_equal(
        fc.load(tmp_path / "m").update(new).predict(4, level=[80]), want, check_exact=True
    )


def test_residual_tests_after_an_update_are_of_the_training_data(fitted):
    got = fitted.update(rows("a", [N]))
    pd.testing.assert_frame_equal(got.diagnostics(), fitted.diagnostics())
