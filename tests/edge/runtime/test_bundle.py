"""Forecasts of a bundle against the plain recursion and the textbook filter."""

from dataclasses import replace

import numpy as np
import pytest

from edge.runtime import Bundle
from edge.runtime.errors import (
    BundleError,
    ClockError,
    HistoryError,
    RegressorError,
    RequestError,
    UnknownSeriesError,
)
from tests.edge.runtime.bundles import (
    HOUR,
    KEY,
    Spec,
    ahead,
    files,
    filtered,
    manifest,
    members,
    npz,
    schema,
    signed,
    strict_json,
    write_folder,
)

PLAIN = Spec()
RICH = Spec(slope=0.1, beta=(2.0, 3.0), exog=("temp", "calendar(hour,3)"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    base = tmp_path_factory.mktemp("bundles")
    made = {}

    def open_(spec):
        at = base / str(len(made))
        if repr(spec) not in made:
            made[repr(spec)] = write_folder(at, members(spec))
        return Bundle.open(made[repr(spec)], public_key=KEY.public)

    return open_


def is_three(ts_ms):
    return float(ts_ms // HOUR % 24 == 3)


class Oracle:
    """A series of `Spec` carried by the textbook filter."""

    def __init__(self, spec, row):
        self.spec, self.row, self.t, self.ts = spec, row, spec.t, spec.last_ts_ms
        self.a, self.P = spec.levels_before[row], np.zeros((2, 2))

    def x(self, k, temp):
        """Regressors k points after the last one."""
        return np.array([temp, is_three(self.ts + k * HOUR)])[: len(self.spec.beta)]

    def step(self, y, temps):
        self.t, self.ts = self.t + 1, self.ts + HOUR
        m = self.spec.m(self.t, self.x(0, temps[0]))
        self.a, self.P, z = filtered(self.spec, self.row, self.a, self.P, y - m)
        return (*self.ahead(temps[1:]), z, self.a[0] + m)

    def ahead(self, temps):
        x = np.array([self.x(k + 1, temp) for k, temp in enumerate(temps)])
        return ahead(self.spec, self.row, self.a, self.P, self.t, x)


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["plain", "rich"])
@pytest.mark.parametrize("series", ["a", "b", 7, "7"], ids=repr)
def test_two_hundred_ticks_with_gaps_are_the_filter(opened, spec, series):
    rng, bundle = np.random.default_rng(3), opened(spec)
    oracle = Oracle(spec, {"a": 0, "b": 1}.get(series, 2))
    for _ in range(200):
        y = np.nan if rng.random() < 0.1 else rng.normal(spec.const, 3.0)
        temps = rng.normal(size=5)
        got = bundle.step(series, y, X={"temp": temps} if spec.beta else None)
        mean, variance, z, imputed = oracle.step(y, temps)
        np.testing.assert_allclose(got.mean, mean, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(got.variance, variance, rtol=1e-11)
        np.testing.assert_allclose(got.lo[0], mean - 1.6448536269514722 * np.sqrt(variance), rtol=1e-9)
        assert got.ts_ms == oracle.ts
        assert got.imputed == pytest.approx(imputed)
        assert (got.z is None) == np.isnan(z)
        # From where it stands, without a tick: the same path, and nothing moves.
        again = bundle.forecast(series, X={"temp": temps[1:]} if spec.beta else None)
        np.testing.assert_array_equal(again.mean, got.mean)
        np.testing.assert_array_equal(again.variance, got.variance)
        assert again.ts_ms == got.ts_ms


def test_before_the_first_tick_the_forecast_is_from_the_end_of_the_data(opened):
    got = opened(PLAIN).forecast("b")
    np.testing.assert_allclose(got.mean, PLAIN.path(1, PLAIN.levels_before[1], PLAIN.t, None))
    assert got.ts_ms == PLAIN.last_ts_ms


def test_a_gap_in_time_is_so_many_missing_ticks(opened):
    jumping, walking = opened(PLAIN), opened(PLAIN)
    for _ in range(5):
        walking.step("a", None)
    want = walking.step("a", 12.0)
    got = jumping.step(
        "a", 12.0, PLAIN.last_ts_ms + 6 * HOUR + 5 * 60_000
    )  # five minutes late is the same point
    np.testing.assert_array_equal(got.mean, want.mean)
    np.testing.assert_array_equal(got.variance, want.variance)
    assert got.ts_ms == PLAIN.last_ts_ms + 6 * HOUR
    assert got.gap == 0
    assert walking.step("a", None).gap == 1


@pytest.mark.parametrize("back", [0, 1, 50])
def test_a_clock_that_goes_back_or_stands_still_is_refused(opened, back):
    bundle = opened(PLAIN)
    bundle.step("a", 11.0, PLAIN.last_ts_ms + HOUR)
    before = bundle.forecast("a")
    with pytest.raises(ClockError, match="going back"):
        bundle.step("a", 12.0, PLAIN.last_ts_ms + (1 - back) * HOUR)
    np.testing.assert_array_equal(bundle.forecast("a").mean, before.mean)
    bundle.step("a", 12.0, PLAIN.last_ts_ms + 2 * HOUR)


def test_a_gap_over_the_cap_is_refused_and_moves_nothing(opened):
    bundle = opened(PLAIN)
    with pytest.raises(ClockError, match="raise the gap cap"):
        bundle.step("a", 12.0, PLAIN.last_ts_ms + 1002 * HOUR)
    assert bundle.step("a", 12.0, PLAIN.last_ts_ms + 1001 * HOUR).ts_ms == PLAIN.last_ts_ms + 1001 * HOUR


@pytest.mark.parametrize("ts", [10**18, -(10**18)])
def test_a_time_beyond_the_calendar_is_refused(opened, ts):
    with pytest.raises(ClockError, match="years"):
        opened(PLAIN).step("a", 1.0, ts)


@pytest.mark.parametrize("y", ["1", True, [1.0], 1j, float("inf"), -float("inf")], ids=repr)
def test_what_is_no_value_is_refused(opened, y):
    with pytest.raises(RequestError):
        opened(PLAIN).step("a", y)


def test_a_value_that_ruins_the_state_is_not_taken_in(opened):
    bundle = opened(PLAIN)
    before = bundle.forecast("a").mean
    got = bundle.step("a", 1e200)  # beyond 1e154: as missing
    assert got.z is None
    assert np.isfinite(got.mean).all()
    np.testing.assert_allclose(got.mean[:3], before[1:])


@pytest.mark.parametrize("series", ["c", "", 8, "A", None, ("a",)], ids=repr)
def test_a_wrong_series_is_refused(opened, series):
    bundle = opened(PLAIN)
    for ask in (lambda: bundle.step(series, 1.0), lambda: bundle.forecast(series, [1.0, 2.0])):
        with pytest.raises(UnknownSeriesError, match=r"a, b, 7"):
            ask()


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["plain", "rich"])
def test_a_forecast_of_a_history_is_the_recursion(opened, spec):
    rng, bundle = np.random.default_rng(1), opened(spec)
    for ahead_of_end in (-3, 0, 40):
        y, temps, t = rng.normal(spec.const, 2.0, 30), rng.normal(size=6), spec.t + ahead_of_end
        ts = spec.last_ts_ms + ahead_of_end * HOUR
        x = np.array([[temps[k], is_three(ts + (k - 1) * HOUR)] for k in range(6)])[:, : len(spec.beta)]
        u = [y[-1] - spec.m(t, x[1]), y[-2] - spec.m(t - 1, x[0])]
        got = bundle.forecast("b", y, {"temp": temps, "other": [1]} if spec.beta else None, ts)
        np.testing.assert_allclose(got.mean, spec.path(1, u, t, x[2:]), rtol=1e-12)
        np.testing.assert_allclose(got.variance, spec.variance()[1], rtol=1e-12)


def filled_by_hand(spec, row, y, x, t):
    """Every NaN by the one-step recursion; x (n, K) at the points of y, the last one at t."""
    y = y.copy()
    m = np.array([spec.m(t - len(y) + 1 + i, x[i]) for i in range(len(y))])
    for i in np.flatnonzero(np.isnan(y)):
        y[i] = m[i] + spec.phi[row][0] * (y[i - 1] - m[i - 1]) + spec.phi[row][1] * (y[i - 2] - m[i - 2])
    return y


@pytest.mark.parametrize("gaps", [(5,), (-1,), (-2, -1), (4, 5, 9, 10, 12), (2,)], ids=str)
@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["plain", "rich"])
def test_missing_values_are_filled_by_one_step_forecasts(opened, spec, gaps):
    rng, bundle = np.random.default_rng(2), opened(spec)
    y, temps = rng.normal(spec.const, 2.0, 20), rng.normal(size=24)
    y[list(gaps)] = np.nan
    ts = spec.last_ts_ms
    x = np.array([[temps[i], is_three(ts + (i - 19) * HOUR)] for i in range(20)])[:, : len(spec.beta)]
    whole = filled_by_hand(spec, 0, y, x, spec.t)
    X = {"temp": temps} if spec.beta else None
    got, want = bundle.forecast("a", y, X, ts), bundle.forecast("a", whole, X, ts)
    np.testing.assert_allclose(got.mean, want.mean, rtol=1e-12)


def test_only_what_the_forecast_needs_is_filled(opened, monkeypatch):
    bundle = opened(PLAIN)
    y = np.full(3000, 10.0)
    y[2:-5:3] = np.nan
    y[-3] = np.nan
    runs, run = [], bundle._one_step
    monkeypatch.setattr(bundle, "_one_step", lambda *args: runs.append(0) or run(*args))
    bundle.forecast("a", y)
    assert len(runs) <= 2


def test_a_run_of_nan_longer_than_the_lags_is_refused(opened):
    y = np.full(20, 10.0)
    gap = y.copy()
    gap[17:] = np.nan
    with pytest.raises(HistoryError, match="over 2 missing values in a row"):
        opened(PLAIN).forecast("a", gap)
    with pytest.raises(HistoryError, match="no 2 known values"):
        opened(PLAIN).forecast("a", np.where(np.arange(20) % 2, np.nan, 10.0))
    gap = y.copy()  # one that the lags have left behind does not matter
    gap[5:15] = np.nan
    np.testing.assert_array_equal(opened(PLAIN).forecast("a", gap).mean, opened(PLAIN).forecast("a", y).mean)
    leading = np.r_[np.full(10, np.nan), y]
    np.testing.assert_array_equal(
        opened(PLAIN).forecast("a", leading).mean, opened(PLAIN).forecast("a", y).mean
    )


@pytest.mark.parametrize(
    "history", [[], [1.0], [[1.0, 2.0]], ["x", "y"], [1.0, np.inf], 3.0, [None, "a"]], ids=range(7)
)
def test_a_history_that_will_not_do_is_refused(opened, history):
    with pytest.raises(HistoryError):
        opened(PLAIN).forecast("a", history)


def test_none_in_a_history_is_missing(opened):
    bundle = opened(PLAIN)
    np.testing.assert_array_equal(
        bundle.forecast("a", [10, 11, None]).mean, bundle.forecast("a", [10, 11, np.nan]).mean
    )


def test_missing_regressors_are_refused(opened):
    bundle, good = opened(RICH), np.zeros(6)
    for X, what in (
        (None, "missing"), ({}, "missing"), ({"tempo": good}, r"\['temp'\] are missing"),
        ({"temp": good[:5]}, "5 values"),
        ({"temp": [np.nan] * 6}, "finite"), ({"temp": "hot"}, "no number"),
        ({"temp": [[0.0]] * 6}, "finite numbers"),
        ([good], "must map"),
    ):  # fmt: skip
        with pytest.raises(RegressorError, match=what):
            bundle.forecast("a", [10.0, 10.0], X, RICH.last_ts_ms)
    for X in (None, {}, {"temp": []}, {"temp": None}, {"temp": [np.inf]}):
        with pytest.raises(RegressorError):
            bundle.step("a", 10.0, X=X)
    for X in (None, {}, {"temp": [1.0] * 3}):
        with pytest.raises(RegressorError):
            bundle.forecast("a", X=X)
    np.testing.assert_array_equal(bundle.step("a", 1.0, X={"temp": 1.0}).ts_ms, RICH.last_ts_ms + HOUR)


def test_regressors_that_end_early_stay_as_they_are(opened):
    one, other = opened(RICH), opened(RICH)
    np.testing.assert_array_equal(
        one.step("a", 9.0, X={"temp": [1.0, 2.0]}).mean,
        other.step("a", 9.0, X={"temp": [1.0, 2, 2, 2, 2, 7, 8]}).mean,
    )


def test_a_gap_whose_regressors_are_unknown_is_refused(opened):
    bundle = opened(RICH)
    with pytest.raises(RegressorError, match="1 points are missing"):
        bundle.step("a", 10.0, RICH.last_ts_ms + 2 * HOUR, {"temp": 1.0})
    bundle.step("a", None, RICH.last_ts_ms + HOUR, {"temp": 1.0})
    bundle.step("a", 10.0, RICH.last_ts_ms + 2 * HOUR, {"temp": 1.0})


def test_to_fill_a_history_its_regressors_are_needed(opened):
    y = np.full(20, 10.0)
    y[-1] = np.nan
    with pytest.raises(HistoryError, match="every point"):
        opened(RICH).forecast("a", y, {"temp": np.zeros(6)}, RICH.last_ts_ms)


def test_a_model_of_the_time_wants_the_time(opened):
    with pytest.raises(HistoryError, match="ts_ms"):
        opened(RICH).forecast("a", [10.0, 10.0], {"temp": np.zeros(6)})


def test_many_series_in_one_run(opened):
    bundle, rng = opened(PLAIN), np.random.default_rng(0)
    ids, y = [7, "a", "a", "b"], rng.normal(10, 1, (4, 9))
    got = bundle.forecast_many(ids, y)
    for i, name in enumerate(ids):
        np.testing.assert_allclose(got["mean"][i], bundle.forecast(name, y[i]).mean, rtol=1e-13)
        np.testing.assert_allclose(got["lo"][i], bundle.forecast(name, y[i]).lo, rtol=1e-13)
    with pytest.raises(HistoryError, match="shape"):
        bundle.forecast_many(ids, y[:3])
    with pytest.raises(HistoryError, match="shape"):
        bundle.forecast_many(ids, y[:, :1])
    y[2, -1] = np.nan
    with pytest.raises(RequestError, match="'a' is not finite"):
        bundle.forecast_many(ids, y)


def test_only_one_of_the_graphs(opened):
    closed, step = opened(replace(PLAIN, step=False)), opened(replace(PLAIN, closed=False))
    assert closed.forecast("a", [10.0, 11.0]).mean.shape == (4,)
    for ask in (lambda: closed.forecast("a"), lambda: closed.step("a", 1.0)):
        with pytest.raises(HistoryError, match="pass a history"):
            ask()
    assert step.step("a", 11.0).mean.shape == (4,)
    with pytest.raises(HistoryError, match="moving average"):
        step.forecast("a", [10.0, 11.0])


def test_without_levels(opened):
    got = opened(replace(PLAIN, levels=())).step("a", 10.0)
    assert got.lo.shape == got.hi.shape == (0, 4)


def rewritten(tmp_path, spec, **changed):
    content = files(spec) | changed
    return write_folder(tmp_path / "b", signed(manifest(spec, content)) | content)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "x"}, {"series": []}, {"series": ["a", "a", 7]}, {"series": ["7", "b", 7]},
        {"closed": [0, 0, 1]},
        {"closed": [0, 1]}, {"width": [3, 2, 2]},
        {"exog": [{"name": "calendar(minute,3)", "unit": "", "computed": True}]},
        {"freq": {}}, {"horizon": 5}, {"levels": [80]}, {"more": 1}, {"series": [1.5, 2, 3]},
        {"needs_t": 0},
        {"exog": [{"name": "x", "unit": "", "computed": False}] * 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_that_will_not_do_is_refused_though_signed(tmp_path, change):
    path = rewritten(tmp_path, PLAIN, **{"schema.json": strict_json.dumps(schema(PLAIN) | change)})
    with pytest.raises(BundleError):
        Bundle.open(path, public_key=KEY.public)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK\5\6" + bytes(18), npz(t=np.zeros(3), last_ts_ms=np.zeros(3, np.int64)), npz(t=np.zeros(2,
        np.int64)),
        npz(t=np.zeros(3, np.int64), last_ts_ms=np.zeros(3, np.int64), state=np.zeros((3, 5))),
        npz(t=np.zeros(3, np.int64), last_ts_ms=np.zeros(3, np.int64), state=np.zeros((3, 2), np.float32)),
    ],
    ids=range(6),
)  # fmt: skip
def test_states_that_will_not_do_are_refused_though_signed(tmp_path, data):
    path = rewritten(tmp_path, PLAIN, **{"states.npz": data})
    with pytest.raises(BundleError, match=r"states\.npz"):
        Bundle.open(path, public_key=KEY.public).step("a", 1.0)


def test_an_uncertain_state_begins_with_its_covariance(tmp_path):
    cov = np.array([[[0.7, 0.1], [0.1, 0.4]]])
    data = npz(
        t=np.full(3, 100),
        last_ts_ms=np.full(3, PLAIN.last_ts_ms),
        state=PLAIN.levels_before,
        cov_rows=np.array([1]),
        cov=cov,
    )
    bundle = Bundle.open(rewritten(tmp_path, PLAIN, **{"states.npz": data}), public_key=KEY.public)
    for row, series, P in ((0, "a", np.zeros((2, 2))), (1, "b", cov[0])):
        _, want = ahead(PLAIN, row, PLAIN.levels_before[row], P, PLAIN.t, None)
        np.testing.assert_allclose(bundle.forecast(series).variance, want, rtol=1e-12)


def test_a_model_that_does_not_load_is_refused_with_its_name(tmp_path):
    bundle = Bundle.open(rewritten(tmp_path, PLAIN, **{"step.onnx": b"no model"}), public_key=KEY.public)
    with pytest.raises(BundleError, match=r"step\.onnx cannot be loaded"):
        bundle.step("a", 1.0)
