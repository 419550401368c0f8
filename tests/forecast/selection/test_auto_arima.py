"""AutoARIMA against R, against its reference backend, and on series that have no model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.models.certificate import certify
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.sarimax import Order, SarimaxFit
from forecast.selection.auto_arima import AutoARIMA, sound
from forecast.selection.difference_orders import difference_orders
from forecast.selection.lock_step import MIN_ROOT
from forecast.types import Status


def _panel(*series, exog=None):
    n = len(series)
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    return Panel(
        np.concatenate([np.array(y, float) for y in series]), np.cumsum([0, *map(len, series)]), ids,
        np.zeros(n, dtype=np.int64), Freq("1"), exog or {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def classic(fixtures):
    data = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    return lambda name: np.array([np.nan if v in (None, "NA") else v for v in data[name]["y"]], float)


def _aicc(r, i=0):
    k, n = int(r.n_params[i]), int(r.n_used[i])
    return -2 * r.loglik[i] + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _orders(r, i=0):
    return tuple(int(getattr(r, name)[i]) for name in ("p", "d", "q", "P", "D", "Q"))


def _seasonal(seed, n=96, s=4, gap=()):
    rng = np.random.default_rng(seed)
    e = rng.normal(size=n + s + 1)
    w = e[s + 1 :] - 0.5 * e[s:-1] - 0.4 * e[1:-s] + 0.2 * e[: -s - 1]
    y = np.zeros(n + s)
    for t in range(n):
        y[t + s] = y[t] + w[t] + 0.3
    y = y[s:]
    y[list(gap)] = np.nan
    return y


def test_roots_near_the_unit_circle_are_not_sound():
    def fit(phi, theta):
        return SarimaxFit(
            Order(len(phi), 0, len(theta)), np.array(phi), np.array(theta),
            np.zeros(0), np.zeros(0), np.zeros(0), 1.0, 0.0, 50, None, np.zeros(0, dtype=np.bool_), True,
        )  # fmt: skip

    assert sound(fit([0.98], [0.5]))  # root 1.02
    assert not sound(fit([0.995], []))  # root 1.005
    assert not sound(fit([], [-0.999]))


def test_differences_are_taken_of_what_regressors_leave():
    rng = np.random.default_rng(0)
    t = np.arange(80.0)
    y = 5.0 * t + rng.normal(size=80)
    assert difference_orders(_panel(y), 1, None, None, 2, 1)[0][0] > 0
    with_trend = _panel(y, exog={"t": t})
    assert [int(k[0]) for k in difference_orders(with_trend, 1, None, None, 2, 1)] == [0, 0]
    assert [int(k[0]) for k in difference_orders(with_trend, 4, 2, 1, 2, 1)] == [2, 1]


def test_differences_of_a_panel_are_those_of_r(shared):
    """pretests.csv: KPSS after the seasonal strength, 120 series."""
    import pandas as pd

    tests = pd.read_csv(shared / "goldens" / "r" / "pretests.csv")
    series = pd.read_csv(shared / "goldens" / "r" / "panel_series.csv")
    for s, rows in tests.groupby("season_length"):
        mine = series[series["season_length"] == s]
        keys = list(zip(rows["set"], rows["unique_id"], strict=True))
        values = [mine[(mine["set"] == a) & (mine["unique_id"] == b)]["y"].to_numpy() for a, b in keys]
        d, D = difference_orders(_panel(*values), int(s), None, None, 2, 1)
        assert d.tolist() == rows["ndiffs_kpss_after_seasonal"].astype(int).tolist()
        if s > 1:
            assert D.tolist() == rows["nsdiffs_seas"].astype(int).tolist()


@pytest.mark.parametrize(("name", "aicc"), [("lh", 65.3038), ("WWWusage", 514.5521), ("austres", 653.1321)])
def test_the_criterion_is_no_worse_than_that_of_r(classic, name, aicc):
    """auto_arima_classic.json; austres there has a seasonal term, left out here: (0, 2, 1) by itself."""
    r = AutoARIMA().fit(_panel(classic(name)))
    assert r.status[0] == Status.OK
    assert _aicc(r) <= aicc + 1e-3


@pytest.mark.parametrize("name", ["Nile", "LakeHuron", "presidents"])
def test_the_criterion_is_no_worse_than_that_of_r_on_more(classic, shared, name):
    fits = json.loads((shared / "goldens" / "r" / "auto_arima_classic.json").read_text())["fits"]
    want = min(f["aicc"] for f in fits if f["series"] == name and not f.get("xreg"))
    r = AutoARIMA().fit(_panel(classic(name)))
    assert _aicc(r) <= want + 0.1  # R's exact differenced likelihood is off by 1e-2


def test_the_reference_backend_finds_nothing_better():
    """statsmodels refuses what is at its best on the unit circle: the native search may only be lower."""
    spec = AutoARIMA(season_length=4, max_p=1, max_q=1, max_P=1, max_Q=1)
    panel = _panel(_seasonal(1, 60), _seasonal(2, 72, gap=(20, 21)), np.random.default_rng(5).normal(size=50))
    ours, theirs = spec.fit(panel), replace(spec, backend="statsmodels").fit(panel)
    for i in range(3):
        assert (ours.d[i], ours.D[i]) == (theirs.d[i], theirs.D[i])
        assert _aicc(ours, i) <= _aicc(theirs, i) + 1e-5
        if _orders(ours, i) == _orders(theirs, i):
            assert ours.loglik[i] == pytest.approx(theirs.loglik[i], abs=1e-4)


def test_models_keep_off_the_unit_circle():
    """Differenced once too often, the moving average would be best at 1."""
    y = np.random.default_rng(1).normal(size=80)
    r = AutoARIMA(d=1).fit(_panel(y))
    assert r.status[0] == Status.OK
    top = certify(-r.theta, r.q).max_pole[0]
    assert 0.98 < top < 1.0 / MIN_ROOT + 1e-9
    assert r.max_pole[0] < 1.0 / MIN_ROOT + 1e-9


def test_regressors_gaps_and_ends_are_searched_with():
    rng = np.random.default_rng(8)
    x = rng.normal(size=120)
    u = np.zeros(120)
    for t in range(1, 120):
        u[t] = 0.7 * u[t - 1] + rng.normal()
    y = 3.0 * x + u + 10.0
    y[[0, 1, 30, 31, 77, 119]] = np.nan
    r = AutoARIMA().fit(_panel(y, exog={"x": x}))
    assert r.d[0] == 0
    assert r.beta[0, 0] == pytest.approx(3.0, abs=0.5)
    assert r.n_used[0] == 114
    assert (
        r.status[0] in (Status.OK, Status.GAPS) if hasattr(Status, "GAPS") else r.status[0] < Status.GUARDED
    )


def test_threads_and_order_change_nothing():
    series = [_seasonal(k, 50 + 3 * k) for k in range(9)]
    spec = AutoARIMA(season_length=4, max_p=2, max_q=2)
    one, two = spec.fit(_panel(*series)), spec.fit(_panel(*series), jobs=2)
    back = spec.fit(_panel(*series[::-1]))
    for name in ("p", "q", "P", "Q", "phi", "theta", "sigma2", "loglik", "levels", "slope"):
        mine = getattr(one, name)
        np.testing.assert_array_equal(mine, getattr(two, name))
        np.testing.assert_array_equal(mine, getattr(back, name)[::-1])


def test_options_shape_the_search():
    panel = _panel(_seasonal(4, 160))
    free = AutoARIMA(season_length=4).fit(panel)
    full = AutoARIMA(season_length=4, stepwise=False, approximation=False).fit(panel)
    rough = AutoARIMA(season_length=4, approximation=True).fit(panel)
    assert (free.d[0], free.D[0]) == (full.d[0], full.D[0])
    assert abs(_aicc(rough) - _aicc(full)) < 4.0
    assert AutoARIMA(season_length=4, max_order=1, stepwise=False).fit(panel).n_params[0] <= 3
    short = AutoARIMA(season_length=4, truncate=60).fit(panel)
    assert short.n_used[0] == 160 - short.d[0] - 4 * short.D[0]  # the chosen one is fitted to all points
    trendless = AutoARIMA(season_length=4, D=1, d=0, allow_drift=False).fit(panel)
    assert trendless.slope[0] == 0.0
    zero = AutoARIMA(d=0, D=0, allow_mean=False).fit(_panel(np.random.default_rng(2).normal(size=60)))
    assert zero.const[0] == 0.0
    few = AutoARIMA(season_length=4, max_models=1, start_p=1, start_q=0, start_P=0, start_Q=0)
    assert few.fit(panel).status[0] == Status.OK


def test_hopeless_series_fall_back():
    for y, status in (([1.0, 2.0], Status.TOO_SHORT), ([3.0] * 30, Status.CONSTANT)):
        assert AutoARIMA().fit(_panel(y)).status[0] == status
    line = AutoARIMA().fit(_panel(np.arange(40.0)))
    assert line.status[0] >= Status.GUARDED
    assert line.messages[0]
    season = AutoARIMA(season_length=4).fit(_panel(np.tile([1.0, 5.0, 2.0, 7.0], 10), _seasonal(1, 40)))
    assert season.status[0] == Status.CONSTANT
    assert "constant after" in season.messages[0]
    assert season.status[1] == Status.OK  # the others are fitted all the same
    few = AutoARIMA(d=2).fit(_panel([1.0, 3.0, 2.0, 2.5]))
    assert few.status[0] == Status.TOO_SHORT
    assert "need 5 observed points, got 4" in few.messages[0]


@pytest.mark.parametrize(
    "arguments",
    [{"ic": "mse"}, {"max_p": -1}, {"backend": "x"}, {"season_length": 0}, {"d": -1}, {"max_q": 1.5},
     {"max_order": 99}, {"start_p": None}, {"max_models": 0}, {"truncate": 3}, {"approximation": "css"},
     {"allow_mean": 1}, {"stepwise": None}],
)  # fmt: skip
def test_values_without_a_meaning_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        AutoARIMA(**arguments)


def test_waves_and_the_calendar_are_regressors_that_nobody_supplies():
    rng = np.random.default_rng(4)
    t = np.arange(200)
    panel = _panel(5.0 * np.sin(2.0 * np.pi * t / 7.3) + rng.normal(size=200))
    plain, waves = AutoARIMA(max_p=2, max_q=2), AutoARIMA(max_p=2, max_q=2, fourier={7.3: 1})
    assert _aicc(waves.fit(panel)) < _aicc(plain.fit(panel)) - 20.0
    assert len(waves.fit(panel).exog) == 2
    with pytest.raises(InputError, match="fourier"):
        AutoARIMA(fourier={7.3: 0})
