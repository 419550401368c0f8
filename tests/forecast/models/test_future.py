"""Future regressors are aligned by name and by (unique_id, ds)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ColumnError, DuplicateError, FutureExogError, InputError
from forecast.models.frames import to_panel
from forecast.models.future import future_exog

DS = pd.date_range("2020-01-01", periods=10, freq="MS")
H = 4


def parts(tz=None):
    ds = DS.tz_localize(tz)
    df = pd.DataFrame({"unique_id": np.repeat(["b", "a"], 6), "ds": list(ds[:6]) * 2, "y": 1.0})
    panel, schema = to_panel(df, "MS")
    future = pd.DataFrame({"unique_id": np.repeat(["b", "a"], H), "ds": list(ds[6:]) * 2})
    return panel, schema, future.assign(temp=np.arange(8.0), rain=np.arange(8.0) * 10)


def run(panel, schema, X_df, names=("temp", "rain")):
    return future_exog(panel.ids, panel.end(), panel.freq, H, names, X_df, schema)


@given(seed=st.integers(0, 1000))
def test_rows_columns_and_strangers_in_any_order(seed):
    panel, schema, future = parts()
    extra = future.assign(unique_id="stranger", temp=np.nan)
    late = future.assign(ds=future["ds"] + pd.DateOffset(years=3), rain=np.inf)
    mixed = pd.concat([extra, future, late]).sample(frac=1.0, random_state=seed)[
        ["rain", "ds", "temp", "unique_id"]
    ]
    got = run(panel, schema, mixed)
    np.testing.assert_array_equal(got["temp"], np.arange(8.0).reshape(2, 4))
    np.testing.assert_array_equal(got["rain"], np.arange(8.0).reshape(2, 4) * 10)


def test_zones_are_compared_as_instants():
    panel, schema, future = parts("Europe/Berlin")
    got = run(panel, schema, future.assign(ds=future["ds"].dt.tz_convert("UTC")))
    np.testing.assert_array_equal(got["temp"], np.arange(8.0).reshape(2, 4))


def test_no_regressors_need_no_frame():
    panel, schema, future = parts()
    assert run(panel, schema, None, ()) == {}
    with pytest.raises(InputError, match="without exog"):
        run(panel, schema, future, ())


BAD = {
    "absent": (lambda X: None, FutureExogError, ["temp", "rain", "X_df="]),
    "column": (
        lambda X: X.rename(columns={"temp": "tempo"}),
        FutureExogError,
        ["'temp'", "did you mean 'tempo'"],
    ),
    "keys": (
        lambda X: X.drop(index=[1, 5]),
        FutureExogError,
        ["lacks 2 of the 8", "('b', 2020-08-01)", "('a', 2020-08-01)"],
    ),
    "short": (lambda X: X[X["ds"] < "2020-10-01"], FutureExogError, ["lacks 2", "2020-10-01"]),
    "wrong dates": (
        lambda X: X.assign(ds=X["ds"] + pd.Timedelta(days=1)),
        FutureExogError,
        ["lacks 8 of the 8", "('b', 2020-07-01)", "..."],
    ),
    "other ids": (lambda X: X.assign(unique_id=range(8)), FutureExogError, ["lacks 8", "dtypes"]),
    "NaN": (
        lambda X: X.assign(temp=X["temp"].where(X.index != 2)),
        FutureExogError,
        ["'temp'", "('b', 2020-09-01)", "fill"],
    ),
    "inf": (lambda X: X.assign(rain=np.inf), FutureExogError, ["'rain'", "8 NaN or infinite"]),
    "text": (lambda X: X.assign(temp="warm"), ColumnError, ["'temp'", "'warm'", "to_numeric"]),
    "twice": (lambda X: pd.concat([X, X.iloc[:1]]), DuplicateError, ["('b', 2020-07-01)", "drop"]),
    "zone": (lambda X: X.assign(ds=X["ds"].dt.tz_localize("UTC")), FutureExogError, ["UTC", "no time zone"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_future_frame_is_refused_with_value_and_fix(case):
    change, error, words = BAD[case]
    panel, schema, future = parts()
    X_df = change(future)
    with pytest.raises(error) as caught:
        run(panel, schema, X_df)
    for word in words:
        assert word in str(caught.value)
