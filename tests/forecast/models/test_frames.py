"""Long frame to panel: order, gaps, statuses, and every frame that is refused."""

# ruff: noqa: PD011  # `values` of a Panel is an array
from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ColumnError, DuplicateError, FrequencyError, InputError
from forecast.models.frames import to_panel
from forecast.models.output import panel_to_frame
from forecast.models.schema import Schema
from forecast.types import Status
from tests.oracles import frames as oracle


def monthly(ids=("b", "a"), t=6, freq="MS", **kwargs):
    parts = [pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=t, freq=freq, **kwargs)}) for _ in ids]
    df = pd.concat(parts, ignore_index=True)
    df.insert(0, "unique_id", np.repeat(list(ids), t))
    df["y"] = np.arange(len(df), dtype=float)
    return df


def same(a, b):
    assert a.ids.tolist() == b.ids.tolist()
    for name in ("values", "indptr", "start", "status"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_panel_by_hand():
    panel, schema = to_panel(monthly(), "MS")
    assert panel.ids.tolist() == ["b", "a"]
    assert panel.values.tolist() == list(range(12))
    assert panel.indptr.tolist() == [0, 6, 12]
    assert pd.Timestamp(int(panel.start[0])) == pd.Timestamp("2020-01-01")
    assert (panel.status == Status.OK).all()
    assert Schema.from_json(schema.to_json()) == schema


@given(
    freq=st.sampled_from(["MS", "QE-DEC", "W-SUN", "D", "h", "B", 3]),
    drop=st.sets(st.integers(0, 35), max_size=25),
    seed=st.integers(0, 1000),
)
def test_missing_rows_are_nan_and_the_order_of_rows_is_nothing(freq, drop, seed):
    times = np.arange(5, 41, 3) if freq == 3 else pd.date_range("2020-01-01", periods=12, freq=freq)
    df = pd.DataFrame(
        {"unique_id": np.repeat(["b", "a", "c"], 12), "ds": np.tile(times, 3), "y": np.arange(36.0)}
    )
    df = df.drop(index=list(drop))
    panel, _ = to_panel(df, freq)
    want = oracle.grids(df, freq)
    assert panel.ids.tolist() == list(want)
    for i, (points, values) in enumerate(want.values()):
        np.testing.assert_array_equal(panel.series(i), values)
        first = points[0] if freq == 3 else points[0].as_unit("ns").value
        assert panel.start[i] == first
        assert panel.status[i] == (Status.GAPS if np.isnan(values).any() else Status.OK)
    shuffled = df.sample(frac=1.0, random_state=seed)
    again, _ = to_panel(shuffled, freq)
    order = [again.ids.tolist().index(i) for i in panel.ids]
    same(again.take(np.array(order)), panel)
    assert again.ids.tolist() == shuffled["unique_id"].unique().tolist()


@pytest.mark.parametrize("dtype", ["object", "category", "str", "string[python]", "string[pyarrow]"])
def test_ids_of_every_dtype_round_trip(dtype):
    df = monthly()
    df["unique_id"] = df["unique_id"].astype(dtype)
    panel, schema = to_panel(df, "MS")
    pd.testing.assert_frame_equal(panel_to_frame(panel, schema), df)


@pytest.mark.parametrize("ids", [np.array([7, 3]), np.array([7, 3], dtype="int32")])
def test_int_ids_stay_ints(ids):
    df = monthly(ids)
    df["unique_id"] = np.repeat(ids, 6)
    panel, schema = to_panel(df, "MS")
    pd.testing.assert_frame_equal(panel_to_frame(panel, schema), df)
    df["unique_id"] = df["unique_id"].astype("Int64")
    assert to_panel(df, "MS")[0].ids.tolist() == [7, 3]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    ("freq", "tz"), [("MS", None), ("D", "Europe/Berlin"), ("h", "America/New_York"), ("ME", "UTC")]
)
def test_units_and_zones_round_trip(unit, freq, tz):
    df = monthly(t=100, freq=freq, tz=tz)
    df["ds"] = df["ds"].dt.as_unit(unit)
    panel, schema = to_panel(df, freq)
    assert (panel.status == Status.OK).all()
    pd.testing.assert_frame_equal(panel_to_frame(panel, schema), df)
    inferred, told = to_panel(df)
    assert inferred.freq == panel.freq
    assert told.freq_inferred


def test_a_day_without_midnight_is_no_gap():
    days = pd.date_range("2017-10-10", periods=10, freq="D").tz_localize(
        "America/Sao_Paulo", nonexistent="shift_forward"
    )
    df = pd.DataFrame({"unique_id": "a", "ds": days, "y": 1.0})
    panel, schema = to_panel(df, "D")
    assert panel.status.tolist() == [Status.OK]
    assert (panel_to_frame(panel, schema)["ds"] == df["ds"]).all()


def test_arrow_tables_slices_and_chunks_give_the_same_panel():
    df = monthly(("x", "y", "z"))
    want, _ = to_panel(df.iloc[4:], "MS")
    table = pa.Table.from_pandas(df, preserve_index=False)
    same(to_panel(table.slice(4), "MS")[0], want)
    same(to_panel(pa.concat_tables([table.slice(4, 5), table.slice(9)]), "MS")[0], want)
    text = table.set_column(0, "unique_id", table["unique_id"].cast(pa.string()))
    same(to_panel(text.slice(4), "MS")[0], want)
    split = pd.concat([df.iloc[4:8], df.iloc[8:]])
    same(to_panel(split, "MS")[0], want)


@pytest.mark.parametrize(
    "dtype", ["float32", "int64", "bool", "Int64", "Float64", "boolean", "double[pyarrow]"]
)
def test_numeric_targets_become_float64(dtype):
    df = monthly()
    df["y"] = (df["y"] % 2).astype(dtype)
    panel, _ = to_panel(df, "MS")
    assert panel.values.dtype == np.float64
    assert panel.values.tolist() == [0.0, 1.0] * 6


def test_objects_that_are_all_numbers_pass_and_the_frame_is_not_changed():
    df = monthly(t=2)
    df["y"] = pd.Series([Decimal("1.5"), 2, None, np.inf], dtype=object)
    before = df.copy(deep=True)
    panel, _ = to_panel(df, "MS")
    np.testing.assert_array_equal(panel.values, [1.5, 2.0, np.nan, np.nan])
    pd.testing.assert_frame_equal(df, before)


def test_a_panel_does_not_share_memory_with_the_frame():
    df = monthly()
    panel, _ = to_panel(df, "MS")
    assert not np.shares_memory(panel.values, df["y"].to_numpy())


def test_statuses_of_bad_series_leave_the_rest_unharmed():
    df = monthly(("nan", "inf", "gap", "odd", "far", "ok"))
    df.loc[0:5, "y"] = np.nan
    df.loc[7, "y"] = np.inf
    df = df.drop(index=14)
    df.loc[20, "ds"] += pd.Timedelta(days=1)
    panel, _ = to_panel(df, "MS")
    want = [Status.ALL_MISSING, Status.NOT_FINITE, Status.GAPS, Status.IRREGULAR_CLOCK, Status.OK, Status.OK]
    assert panel.status.tolist() == want
    assert "1 infinite" in panel.notes[1]
    assert "2020-03-02" in panel.notes[3]
    assert np.isnan(panel.series(1)[1])
    assert panel.series(3).tolist() == [18.0, 19.0, 20.0, 21.0, 22.0, 23.0]
    assert panel.end()[3] == panel.end()[5]


def test_one_mistyped_year_does_not_fill_the_memory():
    df = monthly(("far", "ok"), t=30, freq="h")
    df.loc[29, "ds"] = pd.Timestamp("2200-01-01")
    panel, _ = to_panel(df, "h")
    assert panel.status.tolist() == [Status.IRREGULAR_CLOCK, Status.OK]
    assert len(panel.values) == 60
    assert "2200-01-01" in panel.notes[0]
    assert pd.Timestamp(int(panel.end()[0])) == pd.Timestamp("2200-01-01")


def test_a_long_irregular_series_keeps_its_latest_rows():
    days = pd.date_range("1999-01-01", periods=9000, freq="D")
    df = pd.concat([pd.DataFrame({"unique_id": "d", "ds": days, "y": np.arange(9000.0)}), monthly(("ok",))])
    panel, _ = to_panel(df, "MS")
    assert panel.status.tolist() == [Status.IRREGULAR_CLOCK, Status.OK]
    assert panel.series(0)[-1] == 8999.0
    assert panel.lengths[0] < 9000
    assert pd.Timestamp(int(panel.end()[0])) == days[-1].replace(day=1)


def test_exog_follows_its_rows_and_other_columns_are_not_used():
    df = monthly().assign(x=np.arange(12) * 10, text="not used")
    df = df.drop(index=2).iloc[::-1]
    panel, _ = to_panel(df, "MS", ["x"])
    assert list(panel.exog) == ["x"]
    np.testing.assert_array_equal(panel.exog["x"], panel.values * 10)


@pytest.mark.parametrize(
    ("policy", "y", "x"), [("last", [3.0, 5.0], [9.0, 1.0]), ("mean", [2.0, 5.0], [6.0, 1.0])]
)
def test_duplicates_by_policy(policy, y, x):
    ds = pd.to_datetime(["2020-01-01", "2020-02-01", "2020-01-01"])
    df = pd.DataFrame({"unique_id": "a", "ds": ds, "y": [1.0, 5.0, 3.0], "x": [3.0, 1.0, 9.0]})
    panel, _ = to_panel(df, "MS", ["x"], duplicates=policy)
    assert panel.values.tolist() == y
    assert panel.exog["x"].tolist() == x


def test_text_dates_are_parsed():
    df = monthly()
    iso = df.assign(ds=df["ds"].dt.strftime("%Y-%m-%d"))
    same(to_panel(iso, "MS")[0], to_panel(df, "MS")[0])
    dates = df.assign(ds=pd.Series(df["ds"].dt.date, dtype=object))
    same(to_panel(dates, "MS")[0], to_panel(df, "MS")[0])


def put(column, row, value, dtype=object):
    def change(df):
        df[column] = df[column].astype(dtype)
        df.loc[row, column] = value
        return df

    return change


ZONES = [pd.Timestamp("2020-01-01", tz="Europe/Paris"), pd.Timestamp("2020-02-01", tz="UTC")] * 6

BAD = {
    "empty": (lambda df: df.iloc[:0], InputError, ["empty", "'unique_id'"]),
    "no frame": (lambda df: [1, 2], InputError, ["list", "DataFrame"]),
    "missing column": (lambda df: df.rename(columns={"y": "yy"}), ColumnError, ["'y'", "did you mean 'yy'"]),
    "id in the index": (lambda df: df.set_index("unique_id"), ColumnError, ["'unique_id'", "reset_index"]),
    "column twice": (lambda df: df[["unique_id", "ds", "y", "y"]], ColumnError, ["'y'", "2 times"]),
    "duplicates": (
        lambda df: pd.concat([df, df.iloc[[4]]]),
        DuplicateError,
        ["1 rows", "('b', 2020-05-01)", "'last'"],
    ),
    "mixed zones": (
        lambda df: df.assign(ds=pd.Series(ZONES, dtype=object)),
        ColumnError,
        ["Europe/Paris", "utc=True"],
    ),
    "mixed text zones": (put("ds", 3, "2020-04-01T00:00+02:00", str), ColumnError, ["+02:00", "utc=True"]),
    "NaT": (put("ds", 3, pd.NaT, "datetime64[ns]"), ColumnError, ["'ds'", "row 3", "dropna"]),
    "null id": (put("unique_id", 2, None), ColumnError, ["'unique_id'", "row 2", "dropna"]),
    "null str id": (put("unique_id", 2, None, "str"), ColumnError, ["'unique_id'", "row 2", "dropna"]),
    "text that is no date": (put("ds", 3, "spring", str), ColumnError, ["'spring'", "row 3", "to_datetime"]),
    "float ds": (lambda df: df.assign(ds=1.5), ColumnError, ["float64", "to_datetime"]),
    "period ds": (
        lambda df: df.assign(ds=df["ds"].dt.to_period("M")),
        ColumnError,
        ["period", "to_timestamp"],
    ),
    "out of range": (
        put("ds", 5, pd.Timestamp("9999-12-31"), "datetime64[us]"),
        ColumnError,
        ["9999", "row 5"],
    ),
    "int ds": (lambda df: df.assign(ds=np.tile(np.arange(6), 2)), FrequencyError, ["'MS'", "freq=1"]),
    "text y": (
        lambda df: df.assign(y=df["y"].astype(str)),
        ColumnError,
        ["'y'", "'0.0'", "row 0", "to_numeric"],
    ),
    "object y": (put("y", 4, "n/a"), ColumnError, ["'y'", "'n/a'", "row 4", "to_numeric"]),
    "Decimal and text y": (
        lambda df: df.assign(y=pd.Series([Decimal(1)] * 11 + ["2"], dtype=object)),
        ColumnError,
        ["'y'", "'2'", "row 11", "to_numeric"],
    ),
    "date y": (lambda df: df.assign(y=df["ds"]), ColumnError, ["'y'", "datetime64", "to_numeric"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_frame_is_refused_with_value_and_fix(case):
    change, error, words = BAD[case]
    df = change(monthly())
    with pytest.raises(error) as caught:
        to_panel(df, "MS")
    for word in words:
        assert word in str(caught.value)


BAD_CALLS = {
    "unknown freq": ({"freq": "monthly"}, FrequencyError, ["'monthly'", "'MS'"]),
    "int freq": ({"freq": 1}, FrequencyError, ["freq=1", "'MS'"]),
    "wrong freq": ({"freq": "ME"}, FrequencyError, ["'ME'", "2020-01-01", "'MS'"]),
    "policy": ({"duplicates": "first"}, InputError, ["'first'", "'mean'"]),
    "exog is y": ({"exog": ["y"]}, ColumnError, ["'y'", "leave it out"]),
    "exog absent": ({"exog": ["temp"]}, ColumnError, ["'temp'", "did you mean 'temps'"]),
    "exog text": ({"exog": ["name"]}, ColumnError, ["'name'", "'u'", "to_numeric"]),
    "exog str": ({"exog": "temps"}, InputError, ["['temps']"]),
    "exog twice": ({"exog": ["temps", "temps"]}, InputError, ["'temps' twice"]),
    "exog NaN": ({"exog": ["holes"]}, InputError, ["'holes'", "1 NaN", "('b', 2020-03-01", "fill"]),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_argument_is_refused_with_value_and_fix(case):
    arguments, error, words = BAD_CALLS[case]
    df = monthly().assign(temps=1.0, name="u", holes=1.0)
    df.loc[2, "holes"] = np.nan
    with pytest.raises(error) as caught:
        to_panel(df, **{"freq": "MS", **arguments})
    for word in words:
        assert word in str(caught.value)
