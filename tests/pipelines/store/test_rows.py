"""Series, observations, forecasts and scores: written once, however often they are sent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import forecast as fc
from forecast.errors import ForecastError
from pipelines.errors import StoreError
from pipelines.store import bulk
from pipelines.store.engine import reading
from pipelines.store.tables import Base
from tests.pipelines.store.fleets import manifest, predictions
from tests.pipelines.store.test_versions import at_once

ONCE = settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def dump(store, name):
    """All rows of a table, in order."""
    table = Base.metadata.tables[name]
    with reading(store._engine) as connection:
        return connection.execute(table.select().order_by(*table.primary_key)).all()


def test_series_are_one_row_each_of_a_fleet_on_a_grid(store):
    def known():
        return {(row.fleet, row.key, row.freq, row.tz): (row.id, row.unit) for row in dump(store, "series")}

    store.write_series("f", ["b", "a", "b", 7], "h")
    first = known()
    assert set(first) == {("f", key, "h", "") for key in ("a", "b", "7")}
    store.write_series("f", ["7", "b", "7"], "h", unit="MW")
    assert known() == {key: (number, None if key[1] == "a" else "MW") for key, (number, _) in first.items()}
    store.write_series("f", ["b", "c"], "h")
    assert known()["f", "b", "h", ""] == (first["f", "b", "h", ""][0], "MW")
    for grid in (("f", "D", None), ("f", "h", "Europe/Paris"), ("g", "h", None)):
        store.write_series(grid[0], ["a"], *grid[1:])
    assert len({number for number, _ in known().values()}) == len(known()) == 7


def test_threads_that_register_agree(store):
    ids = [f"s{i}" for i in range(300)]
    at_once(4, lambda i: store.write_series("f", ids[::-1] if i % 2 else ids, "h"))
    assert sorted(row.key for row in dump(store, "series")) == sorted(ids)


def test_fleets_share_no_rows(store):
    for y, fleet in enumerate("fg"):
        store.write_observations(fleet, ["a"] * 3, [1, 2, 3], [y] * 3, 1)
        row = store.add_version(fleet, manifest(), "m")
        store.write_forecasts(row, predictions(("a",), 1, ()).assign(AutoAR=float(y)))
        store.write_scores(row, pd.DataFrame({"unique_id": ["a"], "metric": ["mase"], "AutoAR": [float(y)]}))
    assert store.trim_observations("f", 1) == 2
    assert store.observations("f", "a", 1)["y"].tolist() == [0.0]
    assert store.observations("g", "a", 1)["y"].tolist() == [1.0] * 3
    for y, fleet in enumerate("fg"):
        row = store.version(fleet, 1)
        assert store.forecasts(row, "a")["mean"].tolist() == store.scores(row, "a")["value"].tolist() == [y]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
def test_ids_that_are_no_text_are_refused(store, bad):
    with pytest.raises(StoreError, match="rename"):
        store.write_series("f", ["ok", bad], "h")
    assert dump(store, "series") == []


def test_odd_ids_are_kept(store):
    ids = ["", "O'Brien", '"', "ключ", "a,b", "\\", "{x}", "%s", ":x", "🙂", "x" * 5000]
    store.write_observations("f", ids, [1] * len(ids), np.arange(len(ids)), 1)
    for i, one in enumerate(ids):
        assert store.observations("f", one, 1)["y"].tolist() == [i]


observed = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(-5, 5),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=64)),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:2],
)


@ONCE
@given(rows=observed, part=st.integers(0, 30))
def test_writing_twice_is_writing_once(store, rows, part):
    def write(some):
        ids, ts, y = zip(*some, strict=True)
        return store.write_observations("f", ids, ts, pd.Series(y, dtype="float64"), 1)

    assert write(rows) == len(rows)
    once = dump(store, "observation")
    write(rows)
    write(rows[part:] or rows)
    assert dump(store, "observation") == once
    for one in "abc":
        wanted = {ts: y for key, ts, y in rows if key == one}
        found = store.observations("f", one, 1)
        got = dict(zip(found["ds"].tolist(), found["y"].tolist(), strict=True))
        assert {ts: got[ts] for ts in wanted} == pytest.approx(
            {ts: np.nan if y is None else y for ts, y in wanted.items()}, nan_ok=True, abs=0, rel=0
        )


@ONCE
@given(
    ids=st.lists(st.sampled_from("abcd"), min_size=1, unique=True),
    h=st.integers(1, 4),
    levels=st.sampled_from([(), ("95",), ("80", "99.5")]),
    seed=st.integers(0, 3),
)
def test_forecasts_written_twice_are_written_once(store, ids, h, levels, seed):
    row = store.add_version("a", manifest(seed), "m")
    frame = predictions(ids, h, levels)
    before = len(store.forecasts(row))
    each = max(len(levels), 1)
    assert store.write_forecasts(row, frame) == len(frame) * each
    once = dump(store, "forecast")
    store.write_forecasts(row, frame.sample(frac=1.0, random_state=seed))
    assert dump(store, "forecast") == once
    assert before <= len(store.forecasts(row))


def test_forecasts_come_back_as_they_were(store):
    row = store.add_version("a", manifest(), "m")
    frame = predictions(("b", "a"), 2, ("80", "99.5"))
    frame.loc[0, "AutoAR-lo-80"] = np.nan
    store.write_forecasts(row, frame)
    found = store.forecasts(row, "b")
    assert found["level"].tolist() == [80.0, 99.5, 80.0, 99.5]
    assert found["h"].tolist() == [1, 1, 2, 2]
    assert found["cutoff"].unique().tolist() == [pd.Timestamp("2023-12-31 23:00")]
    assert (
        found["ds"].tolist()
        == [pd.Timestamp("2024-01-01 00:00")] * 2 + [pd.Timestamp("2024-01-01 01:00")] * 2
    )
    assert found["mean"].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(found["lo"], [np.nan, -99.5, -79, -98.5])
    np.testing.assert_array_equal(found["hi"], [80, 99.5, 81, 100.5])
    assert len(store.forecasts(row)) == 8


def test_a_forecast_and_an_observation_sent_again_replace_the_old(store):
    row = store.add_version("a", manifest(), "m")
    frame = predictions(("a", "b"), 1, ())
    store.write_forecasts(row, frame)
    store.write_forecasts(row, frame.iloc[:1].assign(AutoAR=99.0))  # of another future
    found = store.forecasts(row)
    assert (found["mean"].tolist(), found["level"].unique(), found["lo"].isna().all()) == (
        [99, 1],
        [0.0],
        True,
    )
    store.write_forecasts(row, predictions(("a",), 1, ("80",)))
    more = {
        name: 1.0 + value for name, value in (("AutoAR", 0.0), ("AutoAR-lo-80", -80), ("AutoAR-hi-80", 80))
    }
    store.write_forecasts(row, predictions(("a",), 1, ("80",)).assign(**more))
    found = store.forecasts(row, "a").query("level == 80")
    assert found[["mean", "lo", "hi"]].to_numpy().tolist() == [[1, -79, 81]]
    for y in (1.0, 2.0):
        store.write_observations("f", ["a"], [5], [y], 1)
    assert store.observations("f", "a", 1)["y"].tolist() == [2.0]


def test_midnights_of_a_zone_keep_their_origin(store):
    row = store.add_version("a", manifest(freq="D", tz="Europe/Paris"), "m")
    store.write_forecasts(row, predictions(("a",), 3, (), start="2024-03-31", freq="D", tz="Europe/Paris"))
    found = store.forecasts(row)
    assert found["h"].tolist() == [1, 2, 3]
    assert found["cutoff"].unique().tolist() == [pd.Timestamp("2024-03-30", tz="Europe/Paris")]
    hours = np.diff(found["ds"]).astype("timedelta64[h]").astype(int)
    assert hours.tolist() == [23, 24]  # the clocks go forward
    assert found["ds"].iloc[1] == pd.Timestamp("2024-04-01", tz="Europe/Paris")


def test_what_the_library_makes_goes_in(store, tmp_path):
    ds = pd.date_range("2020", periods=48, freq="MS")
    y = np.random.default_rng(0).normal(size=96)
    df = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 48), "ds": np.tile(ds, 2), "y": y})
    models = [fc.AR(lags=1), fc.Naive()]
    row = store.add_version("a", manifest(aliases=("AR", "Naive"), freq="MS"), "m")
    ahead = fc.fit(df, model=models, freq="MS").predict(h=3, level=[80])
    assert store.write_forecasts(row, ahead) == 12
    found = store.forecasts(row, "b").query("model == 'AR'")
    np.testing.assert_array_equal(found["hi"], ahead.query("unique_id == 'b'")["AR-hi-80"])
    assert found["cutoff"].unique().tolist() == [pd.Timestamp("2023-12-01")]
    cv = fc.cross_validation(df, model=models, freq="MS", h=2, n_windows=2)
    table = fc.evaluate(cv, by="unique_id")
    assert store.write_scores(row, table) == 2 * len(table)
    once = dump(store, "forecast_score")
    store.write_scores(row, table)
    assert dump(store, "forecast_score") == once
    by_window = fc.evaluate(cv, by=["unique_id", "cutoff"])
    store.write_scores(row, by_window, source="live")
    scores = store.scores(row, "a")
    assert len(scores) == (len(table) + len(by_window))
    mase = scores.query("source == 'backtest' and model == 'AR' and metric == 'mase'")["value"].tolist()
    assert mase == table.query("unique_id == 'a' and metric == 'mase'")["AR"].tolist()
    predicted = cv.drop(columns="y")
    assert store.write_forecasts(row, predicted) == 2 * len(predicted) * 2  # levels 80 and 95
    assert store.forecasts(row, "a")["cutoff"].nunique() == 3


def test_a_score_sent_again_replaces_the_old(store):
    row = store.add_version("a", manifest(), "m")
    frame = pd.DataFrame({"unique_id": ["a"], "metric": ["mase"], "AutoAR": [0.5], "Naive": [np.nan]})
    store.write_scores(row, frame)
    store.write_scores(row, frame.assign(AutoAR=0.25))
    found = store.scores(row)
    assert found["model"].tolist() == ["AutoAR", "Naive"]
    np.testing.assert_array_equal(found["value"], [0.25, np.nan])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="AutoAR"), "no column 'AutoAR'"),
        (lambda f: f.drop(columns="AutoAR-hi-80"), "no column 'AutoAR-hi-80'"),
        (lambda f: f.drop(columns="ds"), "no column 'ds'"),
        (lambda f: pd.concat([f, f]), "two rows"),
        (lambda f: f.assign(ds=f["ds"] + pd.to_timedelta([0, 5, 0] * 2, unit="min")), "not on the grid"),
        (lambda f: f.assign(AutoAR="x"), "needs numbers"),
        (lambda f: f.assign(**{"AutoAR-lo-x": 1.0}), "not all levels"),
        (lambda f: f.assign(cutoff=f["ds"]), "after its origin"),
        (lambda f: f.assign(ds=f["ds"].dt.tz_localize("UTC")), "time zone UTC"),
    ],
)
def test_a_frame_that_is_wrong_leaves_nothing(store, change, message):
    row = store.add_version("a", manifest(), "m")
    with pytest.raises(StoreError, match=message):
        store.write_forecasts(row, change(predictions()))
    assert store.forecasts(row).empty
    assert dump(store, "series") == []


def test_observations_that_are_wrong_leave_nothing(store):
    for ids, ds, y, freq in (
        (["a", "a"], [1, 1], [1.0, 2.0], 1),
        (["a", None], [1, 2], [1.0, 2.0], 1),
        (["a"], [1, 2], [1.0, 2.0], 1),
        (["a", "b"], [1, 2], [1.0, 2.0], "h"),
        (["a", "b"], pd.to_datetime(["2024-01-01 00:00:00.0001"] * 2), [1.0, 2.0], "h"),
    ):
        with pytest.raises((StoreError, ForecastError, ValueError)):
            store.write_observations("f", ids, ds, y, freq)
    assert dump(store, "observation") == []


def test_rows_beyond_a_batch_and_repeats_in_the_middle(store, monkeypatch):
    monkeypatch.setattr(bulk, "_BATCH", 7)
    y = np.arange(100.0)
    store.write_observations("f", ["a"] * 50, range(25, 75), y[25:75], 1)
    store.write_observations("f", ["a"] * 100, range(100), y + 1, 1)
    assert store.observations("f", "a", 1)["y"].tolist() == (y + 1).tolist()
    assert store.observations("f", "a", 1, last=2)["ds"].tolist() == [98, 99]


def test_the_last_points_of_every_series_are_kept(store):
    ds = pd.date_range("2024", periods=4, freq="h")
    store.write_observations("f", ["a"] * 4 + ["b"] * 2, [*ds, *ds[:2]], range(6), "h")
    store.write_observations("f", ["a"] * 4, range(4), range(4), 1)
    store.write_observations("g", ["a"] * 4, ds, range(4), "h")
    assert store.trim_observations("f", 4) == 0
    assert store.trim_observations("f", 2) == 4
    assert store.observations("f", "a", "h")["y"].tolist() == [2.0, 3.0]
    assert store.observations("f", "b", "h")["y"].tolist() == [4.0, 5.0]
    assert store.observations("f", "a", 1)["ds"].tolist() == [2, 3]
    assert len(store.observations("g", "a", "h")) == 4
    assert store.trim_observations("f", 0) == 6
    assert store.observations("f", "a", "h").empty
    assert len(store.observations("g", "a", "h")) == 4
    assert store.trim_observations("nobody", 0) == 0


def test_rows_of_old_versions_are_trimmed(store):
    frame = predictions()
    scores = pd.DataFrame({"unique_id": ["a"], "metric": ["mase"], "AutoAR": [0.5]})
    rows = [store.add_version(fleet, manifest(i), "m") for fleet in "xy" for i in range(5)]
    for row in rows:
        store.write_forecasts(row, frame)
        store.write_scores(row, scores)
    store.set_champion("x", rows[0], None)
    each = len(frame) * 2 + 1

    def have(fleet):
        return [v.ver for v in store.versions(fleet) if len(store.forecasts(v)) and len(store.scores(v))]

    assert store.trim_forecasts("x", 5) == 0
    assert store.trim_forecasts("x", 2, keep=rows[1]) == each
    assert have("x") == [1, 2, 4, 5]  # the champion, the one to keep, the last two
    assert store.trim_forecasts("x", 1) == 2 * each
    assert have("x") == [1, 5]
    assert have("y") == [1, 2, 3, 4, 5]
    assert len(store.versions("x")) == 5


def test_two_writers_of_the_same_rows_both_succeed(store):
    ids, ts = np.repeat([f"s{i}" for i in range(20)], 50), np.tile(np.arange(50), 20)
    found = at_once(4, lambda i: store.write_observations("f", ids, ts, np.full(1000, 1.5), 1))
    assert found == [1000] * 4
    assert len(dump(store, "observation")) == 1000
