from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models.ar import AR
from forecast.models.baselines import Drift, Naive, SeasonalNaive
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.selection.backtest import backtest, cut, rolling_cutoffs
from forecast.types import Status

MODELS = [Naive(), SeasonalNaive(4), Drift()]


def panel_of(*series, exog=None, status=None):
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in series])]).astype(np.int64)
    n = len(series)
    return Panel(
        np.concatenate([np.asarray(y, dtype=float) for y in series]),
        indptr,
        np.array([f"s{i}" for i in range(n)], dtype=object),
        np.arange(n, dtype=np.int64),
        Freq("1"),
        exog or {},
        np.zeros(n, dtype=np.uint8) if status is None else np.array(status, dtype=np.uint8),
    )


@dataclass(frozen=True)
class Spy:
    """A naive model that writes down the panels it is fitted on."""

    seen: list = field(default_factory=list)
    alias: str = "Spy"

    def fit(self, panel, jobs=1):
        self.seen.append(panel)
        return Naive().fit(panel, jobs)


def test_windows_end_with_the_series():
    panel = panel_of(np.arange(20.0), np.arange(9.0))
    got = rolling_cutoffs(panel, h=3, n_windows=3, step_size=4)
    np.testing.assert_array_equal(got, [[9, -2], [13, 2], [17, 6]])
    np.testing.assert_array_equal(rolling_cutoffs(panel, h=3, n_windows=2), [[14, 3], [17, 6]])


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from([True, 2, 3]),
    st.sampled_from([None, 1, 6]),
)
def test_each_window_is_a_fit_on_its_past(lengths, h, n_windows, step, refit, input_size):
    rng = np.random.default_rng(sum(lengths))
    panel = panel_of(*(rng.normal(size=n) for n in lengths))
    if max(lengths) <= h:
        with pytest.raises(InputError, match="no series"):
            backtest(panel, MODELS, h, n_windows, step)
        return
    got = backtest(panel, MODELS, h, n_windows, step, refit=refit, input_size=input_size)
    row = 0
    for i in range(panel.n_series):
        first = 0
        for w in range(n_windows):
            origin = lengths[i] - h - (n_windows - 1 - w) * step
            if origin < 1:
                first = w + 1
                continue
            fitted_at = origin - (w - max(first, w - w % refit)) * step
            begin = 0 if input_size is None else max(0, fitted_at - input_size)
            past = panel_of(panel.series(i)[begin:fitted_at])
            assert (got.series[row], got.origin[row], got.window[row]) == (i, origin, w)
            np.testing.assert_array_equal(got.y[row], panel.series(i)[origin : origin + h])
            if fitted_at == origin:
                for model in MODELS:
                    want = forecast(model.fit(past), h, (80, 95))
                    np.testing.assert_allclose(
                        got.mean[model.alias][row], want.mean[0], rtol=1e-12, atol=1e-12
                    )
                    np.testing.assert_allclose(got.lo[model.alias][row], want.lo[0], rtol=1e-12, atol=1e-12)
                    np.testing.assert_allclose(got.hi[model.alias][row], want.hi[0], rtol=1e-12, atol=1e-12)
            else:  # moved on: the last value is the forecast, wherever the fit was
                np.testing.assert_allclose(got.mean["Naive"][row], panel.series(i)[origin - 1])
            row += 1
    assert row == len(got.series)


@pytest.mark.parametrize("refit", [True, False, 2])
@pytest.mark.parametrize("model", [*MODELS, AR(lags=2)], ids=lambda m: m.alias)
def test_what_comes_after_the_cutoff_changes_nothing(model, refit):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(2, 40)).cumsum(axis=1)
    for bad in (1e9, np.nan):
        base = backtest(panel_of(*y), [model], h=4, n_windows=3, step_size=3, refit=refit)
        for row in range(len(base.series)):
            changed = y.copy()
            changed[base.series[row], base.origin[row] :] = bad
            again = backtest(panel_of(*changed), [model], h=4, n_windows=3, step_size=3, refit=refit)
            for name in ("mean", "lo", "hi", "status"):
                before, after = getattr(base, name)[model.alias], getattr(again, name)[model.alias]
                np.testing.assert_array_equal(after[row], before[row])


def test_what_was_found_in_the_whole_series_is_not_told_of_its_past():
    spy = Spy()
    y = np.arange(12.0)
    backtest(panel_of(y, y, status=[Status.NOT_FINITE, Status.IRREGULAR_CLOCK]), [spy], h=2)
    assert spy.seen[0].status.tolist() == [Status.OK, Status.IRREGULAR_CLOCK]


def test_moving_on_is_filtering_the_longer_series():
    """AR(1) with fixed coefficients: after the first fit only the last value counts."""
    y = np.random.default_rng(1).normal(size=60)
    got = backtest(panel_of(y), [AR(lags=1)], h=1, n_windows=10, refit=False)
    record = AR(lags=1).fit(panel_of(y[:50]))
    want = record.const[0] + record.phi[0, 0] * y[49:59]
    np.testing.assert_allclose(got.mean["AR"][:, 0], want, rtol=1e-10)


@pytest.mark.parametrize(("refit", "fits"), [(True, 5), (False, 1), (1, 5), (2, 3), (4, 2), (9, 1)])
def test_refit_says_how_often_a_model_is_fitted(refit, fits):
    spy = Spy()
    backtest(panel_of(np.arange(30.0)), [spy], h=2, n_windows=5, refit=refit)
    assert len(spy.seen) == fits


def test_a_series_that_joins_late_is_fitted_when_it_joins():
    spy = Spy()
    got = backtest(panel_of(np.arange(6.0), np.arange(30.0)), [spy], h=2, n_windows=4, refit=False)
    assert [panel.ids.tolist() for panel in spy.seen] == [["s1"], ["s0"]]
    np.testing.assert_array_equal(got.mean["Spy"][:, 0], [1, 3, 21, 23, 25, 27])
    assert got.notes == {0: "6 points are enough for 2 of 4 windows"}


def test_input_size_bounds_the_training_data():
    spy = Spy()
    panel = panel_of(np.arange(10.0), np.arange(4.0))
    backtest(panel, [spy], h=1, n_windows=2, input_size=3)
    assert [p.values.tolist() for p in spy.seen] == [[5, 6, 7, 0, 1], [6, 7, 8, 0, 1, 2]]
    assert [p.start.tolist() for p in spy.seen] == [[5, 1], [6, 1]]


def test_a_piece_keeps_its_regressors_and_clock():
    panel = panel_of(np.arange(5.0), np.arange(10.0, 16.0), exog={"x": np.arange(11.0) * 2})
    piece = cut(panel, np.array([1, 0]), np.array([2, 0]), np.array([4, 1]))
    assert piece.values.tolist() == [12, 13, 0]
    assert piece.exog["x"].tolist() == [14, 16, 0]
    assert piece.start.tolist() == [3, 0]
    assert piece.ids.tolist() == ["s1", "s0"]


def test_threads_change_nothing_and_progress_is_told():
    rng = np.random.default_rng(4)
    panel = panel_of(*(rng.normal(size=30) for _ in range(200)))
    told = []
    one = backtest(panel, MODELS, h=2, n_windows=2, progress=lambda done, of: told.append((done, of)))
    two = backtest(panel, MODELS, h=2, n_windows=2, jobs=2)
    assert told == [(k, 6) for k in range(1, 7)]
    for name in ("Naive", "SeasonalNaive", "Drift"):
        np.testing.assert_array_equal(one.mean[name], two.mean[name])
        np.testing.assert_array_equal(one.hi[name], two.hi[name])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"h": 0}, "h must"),
        ({"n_windows": 0}, "n_windows"),
        ({"step_size": 0}, "step_size"),
        ({"refit": 0}, "refit"),
        ({"input_size": 0}, "input_size"),
        ({"models": [Naive(), Naive()]}, "alias"),
        ({"h": 30}, "lower h"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    with pytest.raises(InputError, match=word):
        backtest(panel_of(np.arange(30.0)), **{"models": MODELS, "h": 2, **arguments})
