from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models.decomposition import PERIODIC, decompose
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.stationarity import min_roots, ndiffs, nsdiffs, seasonal_strength, stationarity_table


def ragged(*series):
    return np.concatenate([np.asarray(y, float) for y in series]), np.cumsum([0, *map(len, series)])


def panel(*series):
    values, indptr = ragged(*series)
    ids = np.array([f"s{i}" for i in range(len(series))], dtype=object)
    return Panel(values, indptr, ids, np.ones(len(series), np.int64), Freq("1"))


@pytest.fixture(scope="module")
def pretests(shared):
    """Season length -> (values, indptr, rows of R's answers)."""
    with (shared / "goldens" / "r" / "panel_series.csv").open() as lines:
        series: dict[tuple[str, str], list[float]] = {}
        for row in csv.DictReader(lines):
            series.setdefault((row["set"], row["unique_id"]), []).append(float(row["y"]))
    with (shared / "goldens" / "r" / "pretests.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    found = {}
    for s in (1, 4, 12):
        chosen = [r for r in rows if int(r["season_length"]) == s]
        found[s] = (*ragged(*[series[r["set"], r["unique_id"]] for r in chosen]), chosen)
    assert sum(len(rows) for *_, rows in found.values()) == 120
    return found


@pytest.mark.shared
@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("test", ["kpss", "adf", "pp"])
def test_differences_are_those_of_r_on_120_series(pretests, test, trend):
    column = f"ndiffs_{test}" + ("_trend" if trend == "ct" else "")
    for values, indptr, rows in pretests.values():
        got = ndiffs(values, indptr, test, trend=trend)
        assert got.tolist() == [int(r[column]) for r in rows]


@pytest.mark.shared
@pytest.mark.parametrize("season_length", [4, 12])
def test_seasonal_strength_and_differences_are_those_of_r(pretests, season_length):
    values, indptr, rows = pretests[season_length]
    want = [float(r["seasonal_strength"]) for r in rows]
    # The same operations: 1e-13 here; 15 digits are printed.
    np.testing.assert_allclose(seasonal_strength(values, indptr, season_length), want, atol=1e-10)
    assert nsdiffs(values, indptr, season_length).tolist() == [int(r["nsdiffs_seas"]) for r in rows]


@pytest.mark.shared
@pytest.mark.parametrize("season_length", [1, 4, 12])
def test_the_table_suggests_the_differences_r_takes(pretests, season_length):
    values, indptr, rows = pretests[season_length]
    table = stationarity_table(panel(*np.split(values, indptr[1:-1])), season_length)
    assert table["d"].tolist() == [int(r["ndiffs_kpss_after_seasonal"]) for r in rows]
    want = [0 if r["nsdiffs_seas"] == "NA" else int(r["nsdiffs_seas"]) for r in rows]
    assert table["D"].tolist() == want


def test_classic_series_have_the_differences_of_r(fixtures):
    series = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    goldens = json.loads((fixtures / "r" / "unit_roots.json").read_text())["differences"]
    for name, golden in goldens.items():
        values, indptr = ragged(series[name]["y"])
        # Three of them have gaps, which R closes and we keep: the decision is the same.
        for test, want in golden["ndiffs"].items():
            assert ndiffs(values, indptr, test)[0] == want, (name, test)
        if golden["nsdiffs"]:
            assert nsdiffs(values, indptr, series[name]["frequency"])[0] == golden["nsdiffs"]["seas"], name
        if golden["seasonal_strength"] is not None:
            got = seasonal_strength(values, indptr, series[name]["frequency"])[0]
            assert got == pytest.approx(golden["seasonal_strength"], abs=1e-10)


def test_early_exits():
    line = 2.0 + 0.5 * np.arange(40)
    series = ([], [1.0], [np.nan] * 9, [5.0] * 30, line, [1.0, 2.0], line**2)
    values, indptr = ragged(*series)
    # A line is constant after one difference, a parabola after two; nothing can be said of one point.
    assert ndiffs(values, indptr).tolist() == [0, 0, 0, 0, 1, 0, 2]
    assert ndiffs(values, indptr, max_d=0).tolist() == [0] * 7
    assert nsdiffs(values, indptr, 12).tolist() == [0] * 7
    assert nsdiffs(values, indptr, 1).tolist() == [0] * 7
    season = np.tile(np.sin(np.arange(12.0)), 6)
    assert nsdiffs(*ragged(season, season[:24], season[:8]), 12, max_D=2).tolist() == [1, 0, 0]


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 3.0, 1e7]))
def test_decisions_depend_neither_on_units_nor_on_neighbours(seed, scale):
    rng = np.random.default_rng(seed)
    series = [rng.normal(size=n).cumsum() + np.tile(rng.normal(size=4), n)[:n] for n in (30, 61, 90)]
    series[1][rng.integers(61, size=3)] = np.nan
    values, indptr = ragged(*series)
    for test in ("kpss", "adf", "pp"):
        d = ndiffs(values, indptr, test)
        assert (ndiffs(scale * values, indptr, test) == d).all()
        assert [ndiffs(*ragged(y), test)[0] for y in series] == d.tolist()
    strength = seasonal_strength(values, indptr, 4)
    np.testing.assert_allclose(seasonal_strength(scale * values, indptr, 4), strength, atol=1e-9)
    assert [seasonal_strength(*ragged(y), 4)[0] for y in series] == strength.tolist()


def test_what_is_missing_at_the_ends_changes_nothing():
    y = np.random.default_rng(0).normal(size=60).cumsum()
    padded = ragged(np.r_[[np.nan] * 5, y, [np.nan] * 3])
    assert seasonal_strength(*padded, 4)[0] == seasonal_strength(*ragged(y), 4)[0]
    assert min_roots(*padded)[0] == min_roots(*ragged(y))[0]


def test_verdicts():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=300)
    series = {
        "stationary": noise,
        "unit root": noise.cumsum(),
        "trend stationary": noise + 0.2 * np.arange(300),
        "constant": np.full(30, 2.0),
        "all missing": np.full(30, np.nan),
        "too short": noise[:3],
    }
    table = stationarity_table(panel(*series.values()), 12)
    assert table["verdict"].tolist() == list(series)
    assert table["n"].tolist() == [300, 300, 300, 30, 30, 3]
    assert table["n_missing"].tolist() == [0, 0, 0, 0, 30, 0]
    assert table["d"].tolist() == [0, 1, 1, 0, 0, 0]
    assert {len(column) for column in table.values()} == {6}
    tested = np.array([True] * 3 + [False] * 3)
    for name in ("adf", "adf_p", "pp", "pp_p"):
        assert (np.isfinite(table[name]) == tested).all()
    np.testing.assert_array_equal(table["seasonal_strength"] < 0.5, tested)


def test_an_infinite_value_spoils_its_series_only():
    rng = np.random.default_rng(0)
    y = rng.normal(size=60)
    bad = y.copy()
    bad[7] = np.inf
    table, alone = stationarity_table(panel(y, bad, y), 4), stationarity_table(panel(y), 4)
    for name, column in table.items():
        assert column[0] == column[2] == alone[name][0], name
    assert table["verdict"][1] == "not finite"
    assert np.isnan([table["adf"][1], table["kpss"][1], table["pp"][1], table["seasonal_strength"][1]]).all()


def test_min_root_is_the_inverse_of_the_slowest_pole():
    rng = np.random.default_rng(0)
    y = np.zeros(20_000)
    e = rng.normal(size=len(y))
    for t in range(1, len(y)):
        y[t] = 0.98 * y[t - 1] + e[t]
    # 0.98 is known to sqrt((1 - 0.98^2) / 20000) = 0.0014; AIC may add lags that move the root a little.
    assert min_roots(*ragged(y))[0] == pytest.approx(1 / 0.98, abs=0.006)
    assert min_roots(*ragged([1.0] * 30, [np.nan] * 5, []))[0:3] == pytest.approx([np.nan] * 3, nan_ok=True)


def test_the_table_does_not_depend_on_threads():
    rng = np.random.default_rng(0)
    series = rng.normal(size=(300, 40)).cumsum(axis=1)
    one, many = stationarity_table(panel(*series), 4), stationarity_table(panel(*series), 4, jobs=3)
    for name, column in one.items():
        np.testing.assert_array_equal(column, many[name])


def test_a_decomposition_adds_up_and_a_periodic_season_repeats():
    rng = np.random.default_rng(0)
    season = np.array([3.0, -1.0, -2.0, 0.0])
    y = 0.1 * np.arange(60) + np.tile(season, 15) + 0.1 * rng.normal(size=60)
    y[[4, 31]] = np.nan
    values, indptr = ragged(y, [1.0] * 8)
    got = decompose(values, indptr, 4, PERIODIC)
    assert got.ok.tolist() == [True, False]
    assert np.isnan(got.trend[60:]).all()
    part = got.seasonal[:60].reshape(15, 4)
    np.testing.assert_allclose(part, np.broadcast_to(part[0], part.shape), atol=1e-9)
    np.testing.assert_allclose(part[0], season, atol=0.15)  # means of 15 points with error 0.1
    whole = got.trend + got.seasonal + got.remainder
    np.testing.assert_allclose(whole[:60], y, atol=1e-12)
    assert np.isnan(got.remainder[[4, 31]]).all()


def test_a_robust_decomposition_gives_an_outlier_no_weight():
    rng = np.random.default_rng(0)
    y = np.tile([3.0, -1.0, -2.0, 0.0], 15) + 0.1 * rng.normal(size=60)
    y[30] += 50
    got = decompose(*ragged(y), 4, robust=True)
    assert got.weight[30] == 0.0
    assert got.remainder[30] == pytest.approx(50, abs=0.6)
    assert np.median(got.weight) > 0.8


def test_wrong_arguments_are_named():
    y, p = ragged(np.arange(9.0))
    for wrong in ({"alpha": 0.2}, {"max_d": -1}, {"test": "kps"}, {"trend": "n"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            ndiffs(y, p, **wrong)
    with pytest.raises(InputError, match="max_D"):
        nsdiffs(y, p, 4, max_D=-1)
    with pytest.raises(InputError, match="season_length"):
        seasonal_strength(y, p, 0)
    with pytest.raises(InputError, match="season_length"):
        decompose(y, p, 1)
    with pytest.raises(InputError, match="odd"):
        decompose(y, p, 4, 8)
