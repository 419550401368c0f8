"""The data of a refit: history and archive on one grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.models.frames import to_panel
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from pipelines.retrain.data import extended
from pipelines.retrain.source import joined

NAN = np.nan


def panel(*lengths: int, freq: str = "h", start: int = 0, ids=None, exog=False) -> Panel:
    n = sum(lengths)
    names = np.array(ids or [f"s{i}" for i in range(len(lengths))], dtype=object)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    blocks = {"x": np.arange(n, dtype=np.float64)} if exog else {}
    return Panel(np.zeros(n), indptr, names, np.full(len(lengths), start, np.int64), Freq(freq), blocks)


def ticks(rows, **exog) -> pd.DataFrame:
    """Rows (id, hours, y); what `read_ticks` returns."""
    ids, hours, y = zip(*rows, strict=True) if rows else ((), (), ())
    ts = (np.array(hours, dtype=np.float64) * 3_600_000).astype(np.int64)
    return pd.DataFrame({
        "unique_id": pd.Series(ids, dtype=object), "ts_ms": ts, "y": np.array(y, dtype=np.float64),
        **exog,
    })  # fmt: skip


def test_ticks_are_laid_after_the_end_and_gaps_are_missing():
    found = extended(panel(3, 2), ticks([("s1", 4, 5.0), ("s0", 3, 1.0), ("s0", 4, 2.0)]))
    assert found.lengths.tolist() == [5, 5]
    np.testing.assert_array_equal(found.series(0), [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(found.series(1), [0, 0, NAN, NAN, 5])
    assert found.start.tolist() == [0, 0]


def test_what_the_history_has_stays_and_strangers_are_left_out():
    before = panel(3)
    same = extended(before, ticks([("s0", 1, 9.0), ("s9", 5, 9.0)]))
    assert same is before
    assert extended(before, ticks([])) is before


def test_a_tick_near_a_point_is_of_it_and_the_later_of_two_counts():
    found = extended(panel(3), ticks([("s0", 3.1, 1.0), ("s0", 3.3, 2.0), ("s0", 3.9, 3.0)]))
    np.testing.assert_array_equal(found.series(0), [0, 0, 0, 2, 3])


def test_a_tick_of_another_century_is_not_believed():
    far = 3_600_000 * 10_000_000
    frame = ticks([("s0", 3, 1.0)])
    frame.loc[1] = ["s0", far * 3, 2.0]
    assert extended(panel(3), frame).lengths.tolist() == [4]


def test_a_regressor_that_is_missing_is_held():
    frame = ticks([("s0", 4, 1.0), ("s0", 5, 2.0), ("s0", 6, 3.0)], x=[NAN, 7.0, NAN])
    found = extended(panel(3, exog=True), frame)
    np.testing.assert_array_equal(found.exog["x"], [0, 1, 2, 2, 2, 7, 7])
    without = extended(panel(3, exog=True), ticks([("s0", 4, 1.0)]))
    np.testing.assert_array_equal(without.exog["x"], [0, 1, 2, 2, 2])


def test_ids_that_are_numbers_are_known_by_their_text():
    found = extended(panel(2, 2, ids=[7, 8]), ticks([("8", 2, 5.0)]))
    assert found.lengths.tolist() == [2, 3]


def test_a_grid_of_ints_and_one_of_a_wall_clock():
    ints = panel(3, freq="2", start=10)
    frame = pd.DataFrame({"unique_id": ["s0", "s0"], "ts_ms": [16, 20], "y": [1.0, 2.0]})
    np.testing.assert_array_equal(extended(ints, frame).series(0), [0, 0, 0, 1, NAN, 2])
    days = pd.date_range("2024-03-29", periods=2, freq="D", tz="Europe/Berlin")
    data, _ = to_panel(pd.DataFrame({"unique_id": "s0", "ds": days, "y": [1.0, 2.0]}), "D")
    after = pd.date_range("2024-03-31", periods=3, freq="D", tz="Europe/Berlin")  # the clocks change
    ts = (after.tz_convert("UTC").as_unit("ns").asi8 // 1_000_000).astype(np.int64)
    frame = pd.DataFrame({"unique_id": "s0", "ts_ms": ts, "y": [3.0, 4.0, 5.0]})
    np.testing.assert_array_equal(extended(data, frame).series(0), [1, 2, 3, 4, 5])


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12), st.floats(-9, 9)), max_size=25),
)
def test_it_is_what_a_dictionary_would_say(lengths, rows):
    by_key = {}
    for i, hour, y in rows:
        if i < len(lengths) and hour >= lengths[i]:
            by_key[i, hour] = y
    found = extended(panel(*lengths), ticks([(f"s{i}", hour, y) for i, hour, y in rows]))
    for i, length in enumerate(lengths):
        last = max([hour + 1 for j, hour in by_key if j == i], default=length)
        wanted = [0.0] * length + [by_key.get((i, hour), NAN) for hour in range(length, last)]
        np.testing.assert_array_equal(found.series(i), wanted)


def test_panels_are_joined_in_order():
    first, second = panel(2, 1, exog=True), panel(3, ids=["z"], exog=True)
    whole = joined([first, second])
    assert whole.ids.tolist() == ["s0", "s1", "z"]
    assert whole.lengths.tolist() == [2, 1, 3]
    assert whole.exog["x"].tolist() == [0, 1, 2, 0, 1, 2]
    assert joined([first]) is first


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2]])
def test_the_history_is_read_in_the_order_that_was_asked_for(tmp_path, order):
    from types import SimpleNamespace

    from pipelines.errors import TrainError
    from pipelines.retrain.source import read_history
    from pipelines.train.history import write_history
    from tests.pipelines.retrain.plant import IDS, whole

    data, schema = to_panel(whole(30), "h")
    history = write_history(data, schema, tmp_path / "plant", 2, 1, "tests")
    row = SimpleNamespace(name="plant@1", fleet="plant", training={"history": str(history.folder), "job": {}})
    wanted = [IDS[k] for k in order]
    found = read_history(row, tmp_path, wanted)
    assert found.ids.tolist() == wanted
    for i, k in enumerate(order):
        np.testing.assert_array_equal(found.series(i), data.series(k))
    with pytest.raises(TrainError, match="no series 'p9'"):
        read_history(row, tmp_path, ["p9"])
    moved = tmp_path / "elsewhere"
    history.folder.parent.rename(moved)
    with pytest.raises(TrainError, match="--input FILE"):
        read_history(row, tmp_path, wanted)
    (tmp_path / "new").mkdir()
    moved.rename(tmp_path / "new" / "plant")  # the folder of histories was moved, and the setting with it
    assert read_history(row, tmp_path / "new", wanted).ids.tolist() == wanted


def test_a_few_ticks_long_after_all_others_are_set_aside(caplog):
    """One tick with a wrong clock would be the end of the series, after points that nobody knows."""
    rows = [("s0", 3, 1.0), ("s0", 4, 2.0), ("s1", 3, 1.0), ("s0", 900, 9.0), ("s0", 9000, 9.0)]
    found = extended(panel(3, 3), ticks(rows))
    assert found.lengths.tolist() == [5, 4]
    assert "2 ticks of 's0'" in caplog.text


def test_a_feed_that_comes_back_is_believed_when_some_have_come():
    back = [("s0", 300 + t, float(t)) for t in range(6)]
    assert extended(panel(3), ticks(back[:5])).lengths.tolist() == [3]
    assert extended(panel(3), ticks(back)).lengths.tolist() == [306]
    assert extended(panel(3), ticks([("s0", 102, 1.0)])).lengths.tolist() == [103]  # no silence yet
