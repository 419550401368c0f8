"""Models fitted to real series, exported, and run on over what came after."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from edge.bundle.states import States
from edge.fleet import Fleet
from tests.edge.graph.step_worlds import Device, Library, errors
from tests.oracles import edge_step as oracle

TOLERANCE = 1e-12
KEPT, AHEAD = 40, 12


def series():
    """Nile and sunspots by the year, investment by the quarter, temperature by the month, CO2 by the week."""
    from statsmodels import datasets

    macro = datasets.macrodata.load_pandas().data
    nino = datasets.elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()
    co2 = datasets.co2.load_pandas().data["co2"].to_numpy()[:400]
    return {
        "nile": datasets.nile.load_pandas().data["volume"].to_numpy(),
        "sunspots": datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy() + 1.0,
        "investment": macro["realinv"].to_numpy(),
        "nino": nino[-240:],
        "co2": co2,
    }


def orders(seed, n):
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        p, q = rng.integers(0, 4), rng.integers(0, 3)
        d = rng.integers(0, 3)
        P, D, Q = rng.integers(0, 2, 3) if rng.random() < 0.5 else (0, 0, 0)
        out.append(((int(p), int(d), int(q)), (int(P), int(D), int(Q))))
    return out


def frame(y, **columns):
    return pd.DataFrame({"unique_id": "y", "ds": np.arange(1, len(y) + 1), "y": y, **columns})


def follow(records, y, x=None, seed=0):
    """Largest gaps, with a tenth of the values gone: to the library, and of both to 80-bit floats."""
    rng = np.random.default_rng(seed)
    device, library, model = Device(records, AHEAD), Library(records, AHEAD), oracle.Model(records, 0)
    at = {name: partial(_at, column) for name, column in (x or {}).items()}
    mean, cov, t = device.state[0], device.cov[0], int(records.nobs[0])
    off, ours, theirs = [], [], []
    for value in y:
        tick = np.array([np.nan if rng.random() < 0.1 else value])
        got, want = device.tick(tick, x or {}), library.tick(tick, x or {})
        truth = oracle.tick(model, mean, cov, t, float(tick[0]), at, AHEAD)
        mean, cov, t = truth["state"], truth["cov"], t + 1
        off.append(max(errors(got, want).values()))
        ours.append(distance(got, truth))
        theirs.append(distance(want, truth))
    return max(off), max(ours), max(theirs)


def _at(column, t):
    return column[0, t - 1]


def distance(found, truth):
    sd = np.sqrt(truth["variance"])
    mean = np.abs(found["mean"][0] - truth["mean"]) / np.maximum(np.abs(truth["mean"]), sd)
    variance = np.abs(found["variance"][0] - truth["variance"]) / truth["variance"]
    return float(max(mean.max(), variance.max()))


def assert_follows(records, y, x=None, seed=0):
    """As near as 1e-12; where float64 has not so many digits, no farther from the truth than the library."""
    off, ours, theirs = follow(records, y, x, seed)
    assert off < TOLERANCE or ours < 2 * theirs, (off, ours, theirs)
    assert off < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nile", "sunspots", "investment", "nino", "co2"])
def test_random_arima_fits_of_real_series_run_on_as_in_the_library(name):
    y = series()[name]
    s = {"nino": 12, "investment": 4}.get(name, 5)
    for k, (order, seasonal) in enumerate(orders(sum(map(ord, name)), 6)):
        model = fc.ARIMA(order=order, seasonal_order=seasonal, season_length=s if any(seasonal) else 1)
        records = fc.fit(frame(y[:-KEPT]), model, freq=1).records[0]
        assert_follows(records, y[-KEPT:], seed=k)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "seasonal"), [((1, 0, 1), (0, 0, 0)), ((2, 1, 1), (1, 0, 0)), ((0, 1, 1), (0, 1, 1))]
)
def test_regression_with_arima_errors_runs_on_as_in_the_library(order, seasonal):
    from statsmodels import datasets

    macro = datasets.macrodata.load_pandas().data
    y, columns = macro["realinv"].to_numpy(), {x: macro[x].to_numpy() for x in ("realgdp", "tbilrate")}
    n = len(y) - KEPT - AHEAD
    past = frame(y[:n], **{name: x[:n] for name, x in columns.items()})
    model = fc.ARIMA(order=order, seasonal_order=seasonal, season_length=4)
    records = fc.fit(past, model, freq=1, exog=list(columns)).records[0]
    x = {name: np.concatenate([x, x[-1:]])[None, :] for name, x in columns.items()}
    assert_follows(records, y[n : n + KEPT], x)


@pytest.mark.slow
def test_an_autoregression_in_logarithms_and_differences_runs_on_as_in_the_library():
    seen = set()
    for y in series().values():
        records = fc.fit(frame(y[:-KEPT]), fc.AutoAR(), freq=1).records[0]
        seen.add((int(records.transform[0]), int(records.d[0])))
        assert_follows(records, y[-KEPT:])
    assert len(seen) > 1


@pytest.mark.slow
def test_a_fleet_of_what_was_fitted_is_one_file():
    found = series()
    lengths = {name: len(y) - KEPT for name, y in found.items()}
    rows = [frame(y[: lengths[name]]).assign(unique_id=name) for name, y in found.items()]
    models = [fc.AutoAR(), fc.AR(lags=4), fc.ARIMA(order=(1, 1, 1)), fc.Naive()]
    fitted = fc.fit(pd.concat(rows), models, freq=1)
    for records, ticks in itertools.product(fitted.records, [np.array([1.0, np.nan])]):
        device, library = Device(records, AHEAD), Library(records, AHEAD)
        for k in range(KEPT):
            y = np.array([found[str(name)][lengths[str(name)] + k] for name in records.ids])
            y[k % len(y)] *= ticks[k % 2]
            off = errors(device.tick(y, {}), library.tick(y, {}))
            assert max(off.values()) < TOLERANCE, off


@pytest.mark.slow
def test_gaps_at_the_end_of_the_data_come_with_their_covariance():
    y = series()["co2"].copy()
    y[-6:] = np.nan
    records = fc.fit(frame(y), fc.ARIMA(order=(1, 1, 2)), freq=1).records[0]
    states = States.of(Fleet.of(records))
    assert states.cov_rows.tolist() == [0]
    assert states.cov.any()
    device, library = Device(records, AHEAD), Library(records, AHEAD)
    for value in [np.nan, 320.0, 321.0, np.nan, 320.5]:
        off = errors(device.tick(np.array([value]), {}), library.tick(np.array([value]), {}))
        assert max(off.values()) < TOLERANCE, off
