"""A file becomes ticks, or an error that names the row."""

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines import wire
from pipelines.replay import Names, read_ticks, tick_table


def frame(**columns):
    ds = pd.date_range("2026-01-01", periods=3, freq="h")
    return pd.DataFrame({"unique_id": ["a", "b", "a"], "ds": ds, "y": [1.0, 2.5, np.nan], **columns})


def decoded(table):
    return [wire.decode_tick(message) for message in table.messages(0, len(table))]


def test_ticks_are_ordered_over_series_and_keep_the_order_of_the_file_at_one_time():
    table = tick_table(
        pd.DataFrame(
            {"unique_id": [*"bab"], "ds": pd.to_datetime(["2026-01-02"] * 2 + ["2026-01-01"]), "y": 1.0}
        )
    )
    assert [table.ids[s] for s in table.series] == ["b", "b", "a"]
    assert table.rows.tolist() == [3, 1, 2]
    assert table.ts_ms[0] == pd.Timestamp("2026-01-01").value // 10**6


def test_messages_are_the_bytes_of_the_wire_and_nan_is_null():
    table = tick_table(frame(temp=[1, 2, 3], shop=["x", "y", "z"], price=[0.5, np.nan, 1e-9]))
    messages = table.messages(0, 3)
    assert messages == [wire.encode_tick(tick) for tick in decoded(table)]
    assert decoded(table)[1].exog == {"temp": 2.0}  # what is not known is not sent
    assert decoded(table)[2].value is None
    assert table.left_out == ("shop",)


def test_columns_have_the_names_that_they_are_given_and_exog_may_be_chosen():
    given = frame(temp=1.0, price=2.0).rename(columns={"unique_id": "shop", "ds": "when", "y": "sold"})
    table = tick_table(given, Names("shop", "when", "sold", ("price",)))
    assert decoded(table)[0].exog == {"price": 2.0}
    assert tick_table(given, Names("shop", "when", "sold", ())).exog == {}


def test_int_times_stay_ints_and_zones_become_utc():
    assert tick_table(frame(ds=[1700, 1701, 1702])).ts_ms.tolist() == [1700, 1701, 1702]
    berlin = pd.date_range("2026-07-01", periods=3, freq="h", tz="Europe/Berlin")
    assert tick_table(frame(ds=berlin)).ts_ms[0] == pd.Timestamp("2026-06-30T22:00").value // 10**6


def test_int_ids_are_text_on_the_wire():
    assert tick_table(frame(unique_id=[7, 8, 7])).ids == ("7", "8")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"y": [1.0, np.inf, 2.0]}, "row 2: y = inf is infinite"),
        ({"y": ["1", "2", "many"]}, "row 3: y = 'many' is no number"),
        ({"ds": [pd.Timestamp("2026-01-01"), pd.NaT, pd.NaT]}, "row 2: ds = NaT is missing.*1 more row"),
        (
            {"ds": pd.to_datetime([0, 1_500_000, 2_000_000])},
            r"row 2: ds = .*millisec",
        ),
        ({"ds": [1, 2, 10**18]}, "row 3: ds = 1000000000000000000 is beyond"),
        ({"unique_id": ["a", None, "b"]}, "row 2: unique_id = .* is missing"),
        ({"unique_id": ["a", "b", ""]}, "row 3: unique_id = '' is empty"),
        ({"unique_id": ["a", "b", "c" * 257]}, "row 3: column 'unique_id' cannot be a series id.*257"),
        ({"unique_id": ["a", "b", "c\0"]}, "row 3: .*NUL"),
        ({"unique_id": pd.Series(["a", "b", "\ud800"], dtype=object)}, "row 3: "),
        ({"x": [1.0, -np.inf, 2.0]}, "row 2: x = -inf is infinite"),
    ],
)
def test_a_bad_row_is_named(column, message):
    with pytest.raises(InputError, match=message):
        tick_table(frame(**column))


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"'Y' is missing.*y"):
        tick_table(frame(), Names(target_col="Y"))
    with pytest.raises(InputError, match=r"'tmp' is missing.*temp"):
        tick_table(frame(temp=1.0), Names(exog=("tmp",)))


def test_too_many_regressors_and_too_long_ticks_are_refused():
    wide = frame(**{f"x{i}": 1.0 for i in range(257)})
    with pytest.raises(InputError, match="257 regressors"):
        tick_table(wide)
    long = frame(**{f"{'x' * 250}{i}": 1 / 3 for i in range(256)})
    with pytest.raises(InputError, match=r"row 1: its tick has .* bytes"):
        tick_table(long).messages(0, 3)


def test_a_file_is_named_in_the_error(tmp_path):
    frame(y=["1", "x", "3"]).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(InputError, match=r"in\.csv.*row 2: y = 'x'"):
        read_ticks(tmp_path / "in.csv")
    frame().to_parquet(tmp_path / "in.parquet")
    assert len(read_ticks(tmp_path / "in.parquet")) == 3
