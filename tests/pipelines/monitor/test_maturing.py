"""Open paths: what they take, when they close, and that nothing depends on how messages are batched."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.models.freq import Freq
from pipelines.errors import PipelineError
from pipelines.monitor.maturing import Made, Maturing, Seen
from pipelines.monitor.reference import HISTORY, TICKS, UNKNOWN
from pipelines.stream.grid import Grid
from tests.oracles import live_scores

MINUTE = 60_000


def ints(*values):
    return np.array(values, dtype=np.int64)


def begin(maturing, row, ts, mean, width=1.0, dt=MINUTE, who=("v", "ar")):
    mean = np.array([mean], dtype=np.float64)
    bounds = np.array([(k + 1) * width for k in range(len(maturing.levels))]).reshape(-1, 1, 1)
    return maturing.open(ints(row), ints(ts), mean, mean - bounds, mean + bounds, dt, maturing.number(*who))


def tick(maturing, row, ts, y):
    return maturing.actual(ints(row), ints(ts), np.array([y]))


def test_a_path_by_hand():
    maturing = Maturing(2, 2, (80.0, 95.0))
    maturing.reference.fix(ints(1), np.array([0.5]))
    assert begin(maturing, 1, 0, [1.0, 2.0]) is None
    assert tick(maturing, 1, MINUTE, 2.5) is None
    scored = tick(maturing, 1, 2 * MINUTE, 2.5)
    assert (scored.rows.tolist(), scored.origin.tolist(), scored.end.tolist()) == ([1], [0], [2 * MINUTE])
    assert scored.mae[0] == 1.0  # (1.5 + 0.5) / 2
    assert scored.mase[0] == 2.0
    assert scored.hits.tolist() == [[1, 2]]  # 2.5 in 1 +- 1: no; in 2 +- 1, 1 +- 2, 2 +- 2: yes
    assert (scored.n[0], scored.missing[0], scored.scale_source[0]) == (2, 0, HISTORY)
    assert scored.names[scored.tag[0]] == ("v", "ar")
    assert not maturing.is_open(ints(0, 1)).any()


def test_missing_actuals_count_and_late_ones_are_taken():
    maturing = Maturing(1, 4, ())
    begin(maturing, 0, 0, [0.0, 0.0, 0.0, 0.0])
    for k, y in ((3, 3.0), (1, 1.0), (2, math.nan)):
        assert tick(maturing, 0, k * MINUTE, y) is None
    scored = tick(maturing, 0, 5 * MINUTE, 9.0)  # beyond the last point, which never came
    assert (scored.n[0], scored.missing[0], scored.mae[0]) == (2, 2, 2.0)
    assert scored.crps[0] == 2.0  # without levels the absolute error
    assert scored.hits.shape == (1, 0)


def test_ticks_after_the_end_come_too_late_in_one_call_as_in_two():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 0, [0.0, 0.0])
    scored = maturing.actual(ints(0, 0), ints(2 * MINUTE, MINUTE), np.array([4.0, 8.0]))
    assert (scored.n[0], scored.mae[0]) == (1, 4.0)


def test_forecasts_before_the_end_are_passed_over():
    maturing = Maturing(1, 3, ())
    begin(maturing, 0, 0, [0.0] * 3)
    begin(maturing, 0, MINUTE, [100.0] * 3)
    scored = tick(maturing, 0, 3 * MINUTE, 1.0)
    assert scored.mae[0] == 1.0
    begin(maturing, 0, 2 * MINUTE, [100.0] * 3)  # would share a point with the one that is over
    assert not maturing.is_open(ints(0))[0]
    begin(maturing, 0, 3 * MINUTE, [100.0] * 3)
    assert maturing.is_open(ints(0))[0]


def test_a_path_goes_on_when_another_version_starts():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 0, [0.0, 0.0], who=("old", "ar"))
    begin(maturing, 0, MINUTE, [5.0, 5.0], who=("new", "ar"))
    tick(maturing, 0, MINUTE, 1.0)
    scored = tick(maturing, 0, 2 * MINUTE, 1.0)
    assert scored.names[scored.tag[0]] == ("old", "ar")
    assert (scored.n[0], scored.mae[0]) == (2, 1.0)
    begin(maturing, 0, 2 * MINUTE, [5.0, 5.0], who=("new", "ar"))
    scored = maturing.actual(ints(0, 0), ints(3 * MINUTE, 4 * MINUTE), np.array([5.0, 5.0]))
    assert scored.names[scored.tag[0]] == ("new", "ar")


def test_names_of_versions_do_not_grow():
    maturing = Maturing(1, 1, ())
    for k in range(1000):
        begin(maturing, 0, k * MINUTE, [0.0], who=(f"v{k}", "ar"))
        scored = tick(maturing, 0, (k + 1) * MINUTE, 0.0)
        assert scored.names[scored.tag[0]] == (f"v{k}", "ar")
    assert len(maturing.names) == 256


def test_a_clock_far_ahead_ends_nothing_until_the_stream_believes_it():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 0, [0.0, 0.0])
    assert tick(maturing, 0, 10**12, 7.0) is None
    assert tick(maturing, 0, -(10**12), 7.0) is None
    tick(maturing, 0, MINUTE, 1.0)
    assert tick(maturing, 0, 2 * MINUTE, 1.0).n[0] == 2
    begin(maturing, 0, 2 * MINUTE, [0.0, 0.0])
    scored = begin(maturing, 0, 10**12, [0.0, 0.0])
    assert (scored.n[0], scored.missing[0]) == (0, 2)
    assert math.isnan(scored.mae[0])
    # And back: what was opened in the far future waits for nothing.
    assert begin(maturing, 0, 4 * MINUTE, [0.0, 0.0]) is None
    maturing.actual(ints(0), ints(5 * MINUTE), np.array([3.0]))
    assert tick(maturing, 0, 6 * MINUTE, 3.0).mae[0] == 3.0


def test_times_that_no_message_can_hold_are_left_out():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 2**62, [0.0, 0.0])
    assert not maturing.is_open(ints(0))[0]
    begin(maturing, 0, 0, [0.0, 0.0])
    assert tick(maturing, 0, -(2**63), 1.0) is None
    assert tick(maturing, 0, 2**63 - 1, 1.0) is None


def test_silent_series_are_closed_by_the_clock():
    maturing = Maturing(3, 2, ())
    for row in (0, 1):
        begin(maturing, row, row * MINUTE, [0.0, 0.0])
    assert maturing.expire(2 * MINUTE) is None
    assert maturing.expire(2 * MINUTE + 1).rows.tolist() == [0]
    assert maturing.is_open(ints(0, 1, 2)).tolist() == [False, True, False]


def test_values_far_from_zero_lose_nothing():
    maturing = Maturing(1, 1, (95.0,))
    begin(maturing, 0, 0, [1e12], width=0.5)
    scored = tick(maturing, 0, MINUTE, 1e12 + 0.25)
    assert scored.mae[0] == 0.25
    assert scored.hits.tolist() == [[1]]


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_values_beyond_float32_make_no_score_and_no_noise(value):
    maturing = Maturing(2, 2, (95.0,))
    begin(maturing, 0, 0, [0.0, value])
    begin(maturing, 1, 0, [0.0, 0.0])
    scored = maturing.actual(ints(0, 1, 0, 1), ints(1, 1, 2, 2) * MINUTE, np.array([1.0, value, 1.0, 1.0]))
    assert np.isnan(scored.mae).all()
    assert np.isnan(scored.crps).all()


def test_infinite_and_missing_values_replace_nothing():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 0, [0.0, 0.0])
    for y in (1.0, math.nan, math.inf, -math.inf):
        tick(maturing, 0, MINUTE, y)
    assert tick(maturing, 0, 2 * MINUTE, math.inf).mae[0] == 1.0


def test_a_forecast_that_is_not_finite_opens_nothing():
    maturing = Maturing(1, 1, ())
    begin(maturing, 0, 0, [math.nan])
    begin(maturing, 0, 0, [math.inf])
    begin(maturing, 0, 0, [0.0], dt=0)
    assert not maturing.is_open(ints(0))[0]


@pytest.mark.parametrize(
    ("freq", "tz", "origin", "points"),
    [
        ("MS", None, "2024-01-01", ["2024-02-01", "2024-03-01", "2024-04-01"]),
        (
            "MS", "Europe/Berlin", "2024-02-29T23:00",
            ["2024-03-31T22:00", "2024-04-30T22:00", "2024-05-31T22:00"],
        ),
        (
            "D", "Europe/Berlin", "2024-03-29T23:00",
            ["2024-03-30T23:00", "2024-03-31T22:00", "2024-04-01T22:00"],
        ),
        ("B", None, "2024-05-09", ["2024-05-10", "2024-05-13", "2024-05-14"]),
        (
            "h", "Europe/Berlin", "2024-03-30T23:00",
            ["2024-03-31T00:00", "2024-03-31T01:00", "2024-03-31T02:00"],
        ),
    ],
)  # fmt: skip
def test_points_of_calendars_are_those_of_the_grid(freq, tz, origin, points):
    def ms(text):
        return int(np.datetime64(text, "ms").astype(np.int64))

    maturing = Maturing(2, 3, (), 1, Grid.of(Freq(freq, tz)))
    begin(maturing, 0, ms(origin), [0.0, 0.0, 0.0], dt=1)
    for k, point in enumerate(points[:2]):
        assert tick(maturing, 0, ms(point), k + 1.0) is None
    scored = tick(maturing, 0, ms(points[2]), 3.0)
    assert scored.n[0] == 3
    assert scored.mae[0] == 2.0
    assert scored.end[0] == ms(points[2])


@pytest.mark.parametrize("freq", ["MS", "B", "D", "h"])
def test_the_end_of_the_calendar_is_no_crash(freq):
    maturing = Maturing(1, 3, (), 1, Grid.of(Freq(freq)))
    for ts in (9_223_372_036_854, -9_223_372_036_854, 9_223_372_000_000):
        begin(maturing, 0, ts, [0.0, 0.0, 0.0])
        tick(maturing, 0, ts, 1.0)
        tick(maturing, 0, 0, 1.0)
    begin(maturing, 0, 0, [0.0] * 3)
    tick(maturing, 0, 86_400_000, 1.0)


def test_ints_are_their_own_clock():
    maturing = Maturing(1, 2, (), 1, Grid.of(Freq("3")))
    begin(maturing, 0, 9, [0.0, 0.0], dt=3)
    assert maturing.actual(ints(0, 0), ints(12, 15), np.array([1.0, 3.0])).mae[0] == 2.0


def test_ticks_count_for_the_point_they_are_nearest_to():
    maturing = Maturing(1, 2, ())
    begin(maturing, 0, 0, [0.0, 0.0])
    tick(maturing, 0, MINUTE * 3 // 2, 1.0)  # between two the earlier, as in the stream
    tick(maturing, 0, MINUTE // 2, 9.0)  # nearer to no point of the path than to its origin
    assert tick(maturing, 0, MINUTE * 9 // 4, 3.0).mae[0] == 2.0


def messages(draw_seed, n=4, h=3, levels=(50.0, 90.0), length=60):
    """A log: (offset, row, ts, y, forecast or None), with gaps, late ticks, repeats, versions that change."""
    rng = np.random.default_rng(draw_seed)
    now, log = np.zeros(n, dtype=int), []
    for offset in range(length * n):
        row = int(rng.integers(n))
        kind = rng.random()
        if kind < 0.1:
            ts = (now[row] - int(rng.integers(0, 3))) * MINUTE  # late, or again
        else:
            now[row] += 1 if kind < 0.9 else int(rng.integers(1, 9))
            ts = int(now[row]) * MINUTE
        y = float(rng.normal()) if rng.random() < 0.9 else math.nan
        forecast = None
        if rng.random() < 0.95:
            at = int(now[row]) * MINUTE
            mean = rng.normal(size=h).astype(np.float32).astype(float).tolist()
            widths = [[0.5] * h, [1.5] * h]
            forecast = {
                "ts": at, "times": [at + k * MINUTE for k in range(1, h + 1)],
                "beyond": [at + k * MINUTE for k in range(h + 1, 4 * h + 1)], "mean": mean,
                "lo": [[m - w for m, w in zip(mean, width, strict=True)] for width in widths],
                "hi": [[m + w for m, w in zip(mean, width, strict=True)] for width in widths],
                "who": f"v{offset // 90}",
            }  # fmt: skip
        log.append((offset, row, ts, y, forecast))
    return log, n, h, levels


def batches(log, which, sizes):
    at = 0
    for size in sizes:
        part, at = log[at : at + size], at + size
        maturing = which()
        made = [(row, offset, f) for offset, row, _, _, f in part if f is not None]
        k, h, n_levels = len(made), maturing.h, len(maturing.levels)
        yield (
            Made(
                ints(*[row for row, _, _ in made]), ints(*[offset for _, offset, _ in made]),
                ints(*[f["ts"] for _, _, f in made]),
                np.array([f["mean"] for _, _, f in made]).reshape(k, h),
                np.array([f["lo"] for _, _, f in made]).reshape(k, n_levels, h).swapaxes(0, 1),
                np.array([f["hi"] for _, _, f in made]).reshape(k, n_levels, h).swapaxes(0, 1),
                np.full(k, MINUTE), ints(*[maturing.number(f["who"], "ar") for _, _, f in made]),
            ),
            Seen(
                ints(*[row for _, row, _, _, _ in part]), ints(*[offset for offset, *_ in part]),
                ints(*[ts for _, _, ts, _, _ in part]), np.array([y for _, _, _, y, _ in part]),
            ),
        )  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 240), grid=st.booleans())
def test_batches_of_any_size_are_the_messages_one_by_one(seed, size, grid):
    log, n, h, levels = messages(seed)
    series = [live_scores.Series() for _ in range(n)]
    for _, row, ts, y, forecast in log:
        series[row].tick(ts, y)
        if forecast is not None:
            series[row].forecast(forecast)
    wanted = {
        (row, f["ts"]): (f["who"], live_scores.score(f, actual, levels, 1.0))
        for row, one in enumerate(series)
        for f, actual in one.closed
    }
    maturing = Maturing(n, h, levels, 1, Grid.of(Freq("min")) if grid else None)
    maturing.reference.fix(np.arange(n), np.ones(n))
    found, held = {}, [maturing]
    for k, (made, seen) in enumerate(batches(log, lambda: held[0], [size] * (len(log) // size + 1))):
        if k % 3 == 2:  # as after a restart
            held[0] = Maturing.load(held[0].dump(), held[0].grid)
        scored = held[0].feed(made, seen)
        for i in range(0 if scored is None else len(scored)):
            key = int(scored.rows[i]), int(scored.origin[i])
            assert key not in found
            found[key] = (scored.names[scored.tag[i]][0], (
                scored.n[i], scored.missing[i], scored.mae[i], scored.mase[i], scored.crps[i], scored.hits[i]
            ))  # fmt: skip
    assert found.keys() == wanted.keys()
    for key, (who, numbers) in wanted.items():
        assert found[key][0] == who
        for one, other in zip(found[key][1], numbers, strict=True):
            # float32 differences; the CRPS of the oracle is a sum over a grid.
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_scale_is_fixed_by_the_first_ticks():
    rng = np.random.default_rng(0)
    maturing = Maturing(2, 3, (), 4)
    y = rng.normal(size=400)
    begin(maturing, 0, 0, [0.0] * 3)
    for k in range(1, 401):
        maturing.actual(ints(0, 1), ints(k, k) * MINUTE, np.array([y[k - 1], y[k - 1]]))
    scale, source = maturing.reference.scales(ints(0, 1))
    first = np.abs(y[4:] - y[:-4])[:100]
    assert scale[0] == pytest.approx(first.mean(), rel=1e-12)
    assert source.tolist() == [TICKS, UNKNOWN]  # of the second no forecast said where its grid is
    assert math.isnan(scale[1])


def test_the_scale_of_a_gappy_series_takes_pairs_a_season_apart():
    maturing = Maturing(1, 1, (), 3)
    begin(maturing, 0, 0, [0.0])
    values = {k: float(k * k % 11) for k in range(1, 60) if k % 4}
    for k, y in values.items():
        tick(maturing, 0, k * MINUTE, y)
    pairs = [abs(values[k] - values[k - 3]) for k in values if k - 3 in values]
    assert maturing.reference.scales(ints(0))[0][0] == pytest.approx(sum(pairs) / len(pairs))


def test_one_series_with_a_million_ticks_is_no_loop_without_end():
    maturing = Maturing(1, 1, (), 24)
    begin(maturing, 0, 0, [0.0])
    k = 1_000_000
    ts = np.random.default_rng(0).permutation(k) * 25 * MINUTE  # no two a season apart
    maturing.actual(np.zeros(k, dtype=np.int64), ts, np.ones(k))
    assert maturing.reference.scales(ints(0))[1][0] == UNKNOWN


def test_a_constant_series_has_no_scale():
    maturing = Maturing(1, 1, ())
    begin(maturing, 0, 0, [0.0])
    maturing.actual(np.zeros(300, dtype=np.int64), np.arange(1, 301) * MINUTE, np.ones(300))
    begin(maturing, 0, 400 * MINUTE, [0.0])
    scored = tick(maturing, 0, 401 * MINUTE, 1.0)
    assert scored.mae[0] == 1.0
    assert math.isnan(scored.mase[0])


@pytest.mark.parametrize("n", [20, 300])
def test_a_sum_of_changes_beyond_the_largest_float_is_no_scale(n):
    maturing = Maturing(1, 2, (90.0,))
    begin(maturing, 0, 0, [0.0, 0.0])
    for k in range(1, n):
        tick(maturing, 0, k * MINUTE, 1.5e308 * (k % 2))
    assert np.isnan(maturing.reference.scales(ints(0))[0]).all()


def test_room_grows_and_what_is_open_stays():
    maturing = Maturing(0, 2, (95.0,))
    maturing.grow(3)
    begin(maturing, 2, 0, [1.0, 1.0])
    maturing.grow(100_000)
    assert maturing.actual(ints(2, 2), ints(1, 2) * MINUTE, np.array([2.0, 2.0])).mae[0] == 1.0


def test_forecasts_of_another_shape_are_an_error():
    maturing = Maturing(1, 2, (95.0,))
    one = np.zeros((1, 1, 2))
    with pytest.raises(PipelineError, match=r"mean of the forecasts is \(1, 3\), needs \(1, 2\)"):
        maturing.open(ints(0), ints(0), np.zeros((1, 3)), one, one, 1)
    with pytest.raises(PipelineError, match="lo of the forecasts"):
        maturing.open(ints(0), ints(0), np.zeros((1, 2)), np.zeros((2, 1, 2)), one, 1)


@pytest.mark.parametrize(("h", "levels"), [(0, ()), (1, (0.0,)), (1, (100.0,))])
def test_shapes_that_cannot_be_are_errors(h, levels):
    with pytest.raises(PipelineError):
        Maturing(1, h, levels)


def dumped():
    maturing = Maturing(5, 2, (80.0,), 2)
    begin(maturing, 3, 0, [1.0, 2.0], who=("é" * 64, "m"))
    maturing.actual(np.full(5, 3), np.arange(5) * MINUTE // 9, np.arange(5.0))
    return maturing.dump()


def test_a_dump_is_the_same_after_it_was_loaded():
    data = dumped()
    assert Maturing.load(data).dump() == data
    assert Maturing.load(Maturing(0, 1, ()).dump()).shape == (1, ())


def test_bytes_that_are_no_dump_are_refused():
    data = dumped()
    for at in range(len(data)):
        with pytest.raises(PipelineError, match="cannot be read"):
            Maturing.load(data[:at])
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 200).tolist():
        with pytest.raises(PipelineError, match="cannot be read"):
            Maturing.load(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for junk in (b"", b"x", data + b"\0", b"FCSTMAT1" + bytes(64)):
        with pytest.raises(PipelineError, match="cannot be read"):
            Maturing.load(junk)
