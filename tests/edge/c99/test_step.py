import numpy as np
import pytest

from edge.fleet import Fleet
from forecast import online
from tests.edge.c99.cases import limit_of, random_fleet, values_of
from tests.edge.c99.compiler import Programs
from tests.edge.c99.test_forecast import assert_close
from tests.oracles.edge_c99 import Series, Stepper
from tests.strategies import make_records

H, TICKS = 7, 25


def ticks(records, fleet, rng, gaps):
    """Rows for the program, round the series TICKS times, with what the oracle says."""
    K, reach = len(fleet.names), fleet.max_lag
    x = rng.normal(size=(fleet.n, reach + TICKS + H, K))
    for i in range(fleet.n):  # what the record remembers of the regressors
        for k, name in enumerate(n for n in ("x", "z") if n in fleet.names):
            slot = ["x", "z", "unused"].index(name)
            x[i, :reach, fleet.names.index(name)] = records.exog_tail[i, slot, :reach][::-1]
            assert k >= 0
    movers = [Stepper(Series(records, i, fleet.names)) for i in range(fleet.n)]
    rows, imputed, want = [], [], []
    for k in range(TICKS):
        for i, mover in enumerate(movers):
            y = float(values_of(records, i, rng.normal() * (0.3 if records.transform[i] else 2.0)))
            y = np.nan if rng.random() < gaps else y
            y = -1.0 if records.transform[i] and gaps and k == 3 else y  # has no logarithm
            now = reach + k
            rows.append([*([i] if fleet.n > 1 else []), y, *x[i, now : now + 1 + H].ravel().tolist()])
            filled, means = mover.step(y, x[i], now, H)
            imputed.append(filled)
            want.append(means)
    return rows, np.array(imputed), np.array(want)


@pytest.mark.slow
@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_steps_are_those_of_the_definitions(tmp_path, seed, gaps):
    records, fleet = random_fleet(seed, 6, ma=True, d=False)
    programs = Programs(tmp_path, fleet, range(fleet.n), H)
    assert "model_forecast(" not in programs.header
    rows, imputed, want = ticks(records, fleet, np.random.default_rng(seed), gaps)
    which = np.tile(np.arange(fleet.n), TICKS)
    for kind, unit in (("FLOAT", 2e-6), ("DOUBLE", 1e-14)):
        filled, got, variance = programs.run(kind, "step", rows)
        _, size = limit_of(fleet, range(fleet.n), H)
        scale = np.where(fleet.log[which], np.abs(imputed), size[which])
        # Rounding of the state adds up over the ticks, at most as many times as there are.
        share = programs.define(f"TOLERANCE_{kind}") * TICKS
        assert (np.abs(filled - imputed) <= share * scale + unit).all()
        bound = share * np.where(fleet.log[which, None], np.abs(want), size[which, None]) + unit
        assert (np.abs(got - want) <= bound).all()
        expected = np.array([Series(records, i, fleet.names).variance(H) for i in range(fleet.n)])
        np.testing.assert_allclose(variance, expected[which], rtol=1e-6 if kind == "FLOAT" else 1e-12)


@pytest.mark.slow
def test_a_sarima_without_gaps_is_the_filter_s_own_answer(tmp_path):
    rng = np.random.default_rng(1)
    records = make_records(
        1, phi=[0.4], theta=[0.3], seasonal_theta=[-0.5], d=1, D=1, season_length=12,
        levels=rng.normal(size=14) + 100.0, innovations=rng.normal(size=13),
    )  # fmt: skip
    fleet = Fleet.of(records)
    programs = Programs(tmp_path, fleet, 0, 2)
    state, rows, ahead = online.init(records), [], []
    for y in 100.0 + np.cumsum(rng.normal(size=100)):
        state, info = online.tick(records, state, 0, float(y))
        rows.append([float(y)])
        ahead.append(info.mean)
    _, got, _ = programs.run("DOUBLE", "step", rows)
    np.testing.assert_allclose(got[:-1, 0], ahead[1:], rtol=1e-11)


@pytest.mark.slow
def test_a_gap_of_an_autoregression_is_imputed_as_the_filter_forecasts(tmp_path):
    records = make_records(1, phi=[0.5, 0.3], const=1.0, levels=[5.0, 4.0])
    fleet = Fleet.of(records)
    programs = Programs(tmp_path, fleet, 0, 3)
    filled, got, _ = programs.run("DOUBLE", "step", [[np.nan], [np.nan], [6.0]])
    assert filled.tolist() == pytest.approx([1 + 2.5 + 1.2, 1 + 0.5 * 4.7 + 1.5, 6.0])
    assert got[1, 0] == pytest.approx(1 + 0.5 * filled[1] + 0.3 * filled[0])
    # After the gap the filter would correct 4.85, which this form does not.
    assert got[2, 0] == pytest.approx(1 + 3.0 + 0.3 * filled[1])


@pytest.mark.slow
def test_steps_and_forecasts_of_an_autoregression_agree(tmp_path):
    records, fleet = random_fleet(5, 4, exog=False)
    programs = Programs(tmp_path, fleet, range(4), H)
    n_lags, rng = int(programs.define("LAGS")), np.random.default_rng(0)
    rows, requests = [], []
    for i in range(4):
        ys = values_of(records, i, rng.normal(size=n_lags + 3) * 0.3)
        rows += [[i, float(y)] for y in ys]
        t = int(records.nobs[i]) + len(ys)
        requests.append([i, *([t] if fleet.needs_t else []), *ys[::-1][:n_lags].tolist()])
    _, got, _ = programs.run("DOUBLE", "step", rows)
    last = np.arange(1, 5) * (n_lags + 3) - 1
    want, _ = programs.run("DOUBLE", "forecast", requests)
    assert_close(got[last], want, programs, "DOUBLE", fleet, np.arange(4))
