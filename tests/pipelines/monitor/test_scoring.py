"""Windows of scores against the formulas, what is written of them, and bands of coverage."""

from __future__ import annotations

import gzip
import logging
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from forecast.models.freq import Freq
from pipelines.errors import PipelineError, StoreError
from pipelines.monitor import scoring
from pipelines.monitor.coverage_band import design_effect, outside
from pipelines.monitor.matured import Scored
from pipelines.monitor.maturing import Made, Maturing, Seen
from pipelines.monitor.score_sums import Sums
from pipelines.monitor.scoring import Scores, default_window, write_window
from tests.oracles import live_scores, metrics
from tests.pipelines.store.fleets import manifest

HOUR, DAY = 3_600_000, 86_400_000
LEVELS = (80.0, 95.0)


def paths(rows, end, *, n=4, mae=1.0, hits=None, who=("v", "ar"), scale=1.0, source=1, levels=LEVELS):
    rows = np.atleast_1d(np.array(rows, dtype=np.int64))
    k = len(rows)
    wide = np.broadcast_to(np.array(mae, dtype=float), k)
    scales = np.broadcast_to(np.array(scale, dtype=float), k)
    counts = np.broadcast_to(np.array(n if hits is None else hits), (k, len(levels)))
    end = np.broadcast_to(np.array(end, dtype=np.int64), k)
    return Scored(
        rows, end - 4 * HOUR, end, np.zeros(k, np.int64), (who,), levels, np.full(k, n), np.full(k, 4 - n),
        wide, wide / scales, wide / 2, counts, scales, np.full(k, source, np.uint8),
    )  # fmt: skip


def names(partition, rows):
    return [f"p{partition}/s{row}" for row in rows.tolist()]


def fleet(window):
    return {row.metric: (row.value, row.n) for row in window.fleet.itertuples()}


def series(window):
    table = window.frame.pivot_table(index="unique_id", columns="metric", values=window.model, dropna=False)
    return {key: {str(k): v for k, v in row.items()} for key, row in table.iterrows()}


def test_a_window_by_hand():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0, 0], HOUR, mae=[1.0, 2.0], hits=[3, 4]))
    scores.add(1, paths([0], HOUR, n=2, mae=9.0, hits=[0, 1], scale=np.nan, source=0))
    (window,) = scores.scores(0, names, Freq("h"))
    found = series(window)
    assert found["p0/s0"]["mae"] == 1.5
    assert found["p0/s0"]["mase"] == 1.5
    assert found["p0/s0"]["coverage-80"] == 0.75
    assert found["p0/s0"]["coverage-95"] == 1.0
    assert found["p1/s0"]["crps"] == 4.5
    assert math.isnan(found["p1/s0"]["mase"])
    whole = fleet(window)
    assert whole["mae_mean"] == (5.25, 2)
    assert whole["mase_mean"] == (1.5, 1)
    assert whole["mae_p90"][0] == pytest.approx(1.5 + 0.9 * 7.5)
    assert whole["missing"] == (2 / 12, 12)
    assert whole["scale_from_ticks"] == (0.0, 3)
    assert (window.fleet["cutoff"] == pd.Timestamp(0)).all()
    assert "cutoff" not in window.frame


@pytest.mark.slow
def test_real_series_are_scored_as_the_formulas_say(shared):
    """Half-hourly electricity, h = 12, seasonal naive with bands from what lay before."""
    with gzip.open(shared / "data" / "drift" / "elec2_nsw.csv.gz", "rt") as file:
        frame = pd.read_csv(file, nrows=48 * 40)
    columns = ["nswprice", "nswdemand"]
    values = frame[columns].to_numpy(dtype=float).T.copy()
    values[:, 700:730] = np.nan
    h, m, step = 12, 48, HOUR // 2
    quantiles = {80.0: 0.1, 95.0: 0.025}
    maturing, scores = Maturing(2, h, LEVELS, m), Scores(LEVELS, DAY)
    reference = values[:, : m * 10]
    scale = np.array([metrics.scale(row.tolist(), m) for row in reference])
    maturing.reference.fix(np.arange(2), scale)
    wanted: dict[tuple[int, int], list] = {}
    one = [live_scores.Series(), live_scores.Series()]
    written = {}
    for t in range(m * 10, values.shape[1]):
        made = []
        for row in range(2):
            past = np.where(np.isnan(values[row]), 0.4, values[row])[t + 1 - m * 2 : t + 1]
            change = past[m:] - past[:m]
            mean = past[m : m + h] if t % 3 else past[m : m + h] * 1.1
            bounds = [np.quantile(change, [tau, 1 - tau]) for tau in quantiles.values()]
            lo, hi = ([(mean + bound[k]).tolist() for bound in bounds] for k in (0, 1))
            forecast = {
                "ts": t * step, "times": [(t + k) * step for k in range(1, h + 1)],
                "beyond": [(t + k) * step for k in range(h + 1, 4 * h + 1)],
                "mean": mean.tolist(), "lo": lo, "hi": hi,
            }  # fmt: skip
            one[row].tick(t * step, float(values[row, t]))
            one[row].forecast(forecast)
            made.append(forecast)
        scored = maturing.feed(
            Made(
                np.arange(2), np.full(2, t), np.full(2, t * step), np.array([f["mean"] for f in made]),
                np.array([f["lo"] for f in made]).swapaxes(0, 1),
                np.array([f["hi"] for f in made]).swapaxes(0, 1),
                np.full(2, step), np.full(2, maturing.number("v", "ar")),
            ),
            Seen(np.arange(2), np.full(2, t), np.full(2, t * step), values[:, t]),
        )  # fmt: skip
        scores.add(0, scored)
        for index in scores.due():
            (written[index],) = scores.scores(
                index, lambda _, rows: [columns[row] for row in rows], Freq("30min")
            )
            scores.done(index)
    for row in range(2):
        for forecast, actual in one[row].closed:
            wanted.setdefault((forecast["times"][-1] // DAY, row), []).append(
                live_scores.score(forecast, actual, LEVELS, scale[row])
            )
    assert len(written) > 20
    for index, window in written.items():
        for row, name in enumerate(columns):
            found, rows = series(window)[name], wanted[index, row]
            n = sum(one[0] for one in rows)
            if not n:
                assert all(math.isnan(value) for value in found.values())
                continue
            for metric, at in (("mae", 2), ("mase", 3), ("crps", 4)):
                mean = sum(one[0] * one[at] for one in rows if one[0]) / n
                assert found[metric] == pytest.approx(mean, rel=2e-3 if metric == "crps" else 1e-5, abs=1e-6)
            assert found["coverage-80"] == pytest.approx(sum(one[5][0] for one in rows) / n)
            assert found["coverage-95"] == pytest.approx(sum(one[5][1] for one in rows) / n)


def test_a_window_is_done_once_later_paths_are_half_as_many():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths(range(10), DAY - 1))
    assert scores.due() == []
    scores.add(0, paths(range(4), DAY))
    assert scores.due() == []
    scores.add(0, paths([4], DAY))
    assert scores.due() == [0]
    assert scores.open() == [0, 1]


def test_a_clock_gone_wrong_ends_no_window(monkeypatch):
    monkeypatch.setattr(scoring, "_NUMBERS", 1)  # as with so many series that four windows are all
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths(range(10), DAY - 1))
    for k in range(1, 5):
        scores.add(0, paths([0], 10**12 * k))
    assert scores.due() == []
    assert len(scores.open()) == 4
    scores.add(0, paths(range(6), DAY))
    assert scores.due() == [0]
    assert scores.late == 2  # one for each window that there was no room for
    (window,) = scores.scores(0, names, Freq("h"))
    assert fleet(window)["mae_mean"][1] == 10


def test_windows_of_a_backlog_are_all_kept():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths(np.tile(range(5), 30), np.repeat(np.arange(30) * DAY, 5)))
    assert scores.late == 0
    assert scores.due() == list(range(29))
    for index in scores.due():
        scores.done(index)
    scores.add(0, paths([0], DAY))
    assert scores.late == 1  # of the second window, which is written
    assert scores.open() == [29]


def test_clocks_that_go_wrong_day_after_day_end_no_window():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths(range(10), DAY - 1))
    scores.add(0, paths([0] * 40, DAY * np.arange(500, 540)))
    assert scores.due() == []


def test_a_partition_that_is_behind_is_waited_for():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths(np.tile(range(5), 9), np.repeat(np.arange(9) * DAY, 5)))
    assert scores.due(reached=3 * DAY - 1) == [0, 1]
    assert scores.due(reached=3 * DAY) == [0, 1, 2]


@pytest.mark.parametrize("end", [-9_223_372_036_000, 9_223_372_036_000])
def test_windows_in_years_that_no_frame_can_show_are_left_out(end):
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0], end))
    assert (scores.open(), scores.late) == ([], 1)


def test_paths_that_come_after_their_window_are_counted():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0], 1))
    scores.done(0)
    scores.add(0, paths([0, 1], 1))
    assert scores.late == 2
    assert scores.open() == []


def test_versions_are_scored_apart():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0], 1, mae=1.0))
    scores.add(0, paths([0], 1, mae=3.0, who=("w", "ar")))
    found = {window.version: fleet(window)["mae_mean"][0] for window in scores.scores(0, names, Freq("h"))}
    assert found == {"v": 1.0, "w": 3.0}


def test_paths_without_an_actual_count_as_missing_only():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0], 1, n=0, mae=np.nan, hits=0))
    (window,) = scores.scores(0, names, Freq("h"))
    assert fleet(window)["missing"] == (1.0, 4)
    assert math.isnan(series(window)["p0/s0"]["mae"])
    assert "mae_mean" not in fleet(window)


def test_without_levels_there_is_no_coverage():
    scores = Scores((), DAY)
    scores.add(0, paths([0], 1, hits=np.empty((1, 0)), levels=()))
    (window,) = scores.scores(0, names, Freq("h"))
    assert not any("coverage" in name or "outside" in name for name in fleet(window))


def test_bands_are_of_what_was_served_lately():
    scores = Scores(LEVELS, DAY)
    for index in range(30):  # first nothing is covered, then all as it should be
        rng = np.random.default_rng(index)
        hits = np.zeros((40, 2), int) if index < 5 else rng.binomial(4, [0.8, 0.95], size=(40, 2))
        scores.add(0, paths(np.arange(40) % 20, index * DAY, hits=hits))
        (window,) = scores.scores(index, names, Freq("h"))
        share = fleet(window)["outside-95"][0]
        scores.done(index)
        if index == 4:
            assert share == 1.0
    assert share < 0.2


def test_other_levels_are_an_error():
    with pytest.raises(PipelineError, match="have the levels"):
        Scores((90.0,), DAY).add(0, paths([0], 1))
    with pytest.raises(PipelineError, match="length of 1 or more"):
        Scores((), 0)


def test_a_dump_goes_on_where_it_was():
    whole, first = Scores(LEVELS, DAY), Scores(LEVELS, DAY)
    for scores in (whole, first):
        scores.add(3, paths([0, 7], 1, mae=[1.0, 2.0], hits=3))
        scores.done(0)
        scores.add(3, paths([0, 7], DAY, mae=[1.0, 2.0], hits=3))
    second = Scores(LEVELS, DAY)
    second.load(3, first.dump(3))
    for scores in (whole, second):
        scores.add(3, paths([7], DAY + 1, mae=5.0))
        scores.add(3, paths([7], 1))
    assert whole.late == second.late == 1
    for one, other in zip(whole.scores(1, names, Freq("h")), second.scores(1, names, Freq("h")), strict=True):
        pd.testing.assert_frame_equal(one.frame, other.frame)
        pd.testing.assert_frame_equal(one.fleet, other.fleet)


def test_a_dump_of_other_levels_is_not_taken_and_a_damaged_one_is_told():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0], 1))
    data = scores.dump(0)
    for other in (Scores((90.0,), DAY), Scores(LEVELS, HOUR)):
        other.load(0, data)
        assert other.open() == []
    for bad in (b"", data[:-1], data[:60] + b"x" + data[61:]):
        with pytest.raises(PipelineError, match="begin anew"):
            Scores(LEVELS, DAY).load(0, bad)


def test_a_partition_that_went_is_in_no_score():
    scores = Scores(LEVELS, DAY)
    scores.add(0, paths([0, 1], 1))
    scores.add(1, paths([0], 1))
    scores.drop(0)
    (window,) = scores.scores(0, names, Freq("h"))
    assert fleet(window)["mae_mean"][1] == 1
    scores.drop(1)
    assert scores.open() == []


class Recorder:
    def __init__(self, fail=0):
        self.written, self.fail = [], fail

    def write_live_scores(self, version, frame, fleet_frame):
        if self.fail:
            self.fail -= 1
            raise StoreError("away", retriable=True)
        self.written.append((version, frame, fleet_frame))


def test_rows_are_bounded_and_the_worst_series_stay(caplog):
    scores, store = Scores(LEVELS, DAY), Recorder()
    scores.add(0, paths(range(10), 1, mae=np.arange(10.0)))
    with caplog.at_level(logging.WARNING):
        write_window(store, scores, 0, names, Freq("h"), sql_rows=20)
    (_, frame, whole) = store.written[0]
    assert set(frame["unique_id"]) == {"p0/s9", "p0/s8", "p0/s7"}  # 6 metrics each
    assert "scores of 7 series are not written" in caplog.text
    assert len(whole) > 10
    scores.add(0, paths(range(10), DAY))
    write_window(store, scores, 1, names, Freq("h"), sql_rows=0)
    assert store.written[1][1].empty


def test_a_store_that_is_down_is_tried_again():
    scores, store = Scores(LEVELS, DAY), Recorder(fail=1)
    scores.add(0, paths([0], 1))
    with pytest.raises(StoreError):
        write_window(store, scores, 0, names, Freq("h"), 1000)
    assert scores.open() == [0]
    write_window(store, scores, 0, names, Freq("h"), 1000)
    assert len(store.written) == 1
    assert scores.open() == []


def test_a_series_in_two_partitions_is_written_once():
    scores, store = Scores(LEVELS, DAY), Recorder()
    scores.add(0, paths([0], 1))
    scores.add(1, paths([0], 1))
    write_window(store, scores, 0, lambda _, rows: ["same"] * len(rows), Freq("h"), 1000)
    assert not store.written[0][1].duplicated(["unique_id", "metric"]).any()


@pytest.mark.parametrize(("freq", "tz"), [("h", None), ("D", "Europe/Berlin"), ("MS", None), ("1", None)])
def test_the_store_takes_what_is_written(store, freq, tz):
    row = store.add_version("fleet", manifest(1, ("ar",), freq=freq, tz=tz), "m")
    for _ in range(2):  # again after a crash: it replaces
        found = write_window(
            store, _gathered(row), 10, lambda _, rows: ["a/b", "é日本"][: len(rows)], Freq(freq, tz), 1000
        )
    assert len(store.scores(row)) == 12
    table = store.fleet_scores(row.fleet, "live")
    assert len(table) == len(found[0].fleet)
    assert set(store.scores(row)["unique_id"]) == {"a/b", "é日本"}


def _gathered(row):
    fresh = Scores(LEVELS, DAY)
    fresh.add(0, paths([0, 1], 10 * DAY, who=(row.version, "ar")))
    return fresh


def sums_of(hits, n):
    """Sums of (series, paths) hits of n points each."""
    sums = Sums(1)
    for column in hits.T:
        scored = SimpleNamespace(
            rows=np.arange(len(column)), n=np.full(len(column), n), missing=np.zeros(len(column)),
            mae=np.ones(len(column)), crps=np.ones(len(column)), mase=np.ones(len(column)),
            scale=np.ones(len(column)),
            scale_source=np.ones(len(column)), hits=column[:, None],
        )  # fmt: skip
        sums.add(scored, np.arange(len(column)))
    return sums


def test_the_band_of_independent_points_is_the_binomial_one():
    from scipy.stats import binom

    rng = np.random.default_rng(0)
    hits = rng.binomial(1, 0.9, size=(400, 60))  # paths of one point have no design effect
    hits[:5] = rng.binomial(1, 0.3, size=(5, 60))
    sums = sums_of(hits, 1)
    off, judged = outside(sums, 0, 0.9, 0.99)
    x = hits.sum(axis=1)
    wanted = (binom.cdf(x, 60, 0.9) < 0.005) | (binom.sf(x - 1, 60, 0.9) < 0.005)
    np.testing.assert_array_equal(off[:400], wanted)
    assert off[:5].all()
    assert judged[:400].all()
    assert not judged[400:].any()


def test_points_that_hang_together_are_not_taken_for_more_than_they_are():
    rng = np.random.default_rng(1)
    n = 24
    whole = rng.binomial(1, 0.9, size=(500, 20)) * n  # a path is inside, or it is not
    sums = sums_of(whole, n)
    assert design_effect(sums, 0) == pytest.approx(n, rel=0.1)
    off, _ = outside(sums, 0, 0.9)
    assert off[:500].mean() < 0.02
    naive = np.abs(whole.sum(axis=1) / (n * 20) - 0.9) > 2.58 * np.sqrt(0.09 / (n * 20))
    assert naive.mean() > 0.3  # what a band of 480 independent points would say
    free = sums_of(rng.binomial(n, 0.9, size=(500, 20)), n)
    assert design_effect(free, 0) == pytest.approx(1.0, abs=0.1)


def test_series_that_are_off_do_not_hide_themselves():
    rng = np.random.default_rng(2)
    hits = rng.binomial(24, 0.95, size=(200, 10))
    hits[:40] = rng.binomial(24, 0.5, size=(40, 10))
    off, _ = outside(sums_of(hits, 24), 0, 0.95)
    assert off[:40].all()
    assert off[40:200].mean() < 0.05


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_path_says_little_and_nothing_breaks_at_the_ends(share):
    sums = sums_of(np.full((3, 1), 24 * share), 24)
    off, judged = outside(sums, 0, 0.95)
    assert judged[:3].all()
    assert not off[:3].any() or share == 0.0
    many = sums_of(np.full((3, 200), 24 * share), 24)
    off, _ = outside(many, 0, 0.95)
    assert off[:3].all()


def test_windows_are_a_day_or_a_path():
    assert default_window(HOUR, 24) == DAY
    assert default_window(HOUR, 48) == 2 * DAY
    assert default_window(3, 5, is_int=True) == 15
