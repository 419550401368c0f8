"""Thresholds hold what they promise: run lengths against the book, the Markov chain and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.kernels.drift_run_length import T5, pair
from forecast.kernels.philox import normals
from forecast.online.drift import DETECTORS, DriftBank, thresholds
from forecast.online.drift.run_lengths import _key, mean_run, simulate_arl0, simulate_runs
from forecast.online.drift.threshold_table import TABLE
from forecast.online.drift.thresholds import cusum_arl
from tests.oracles.drift import cusum_runs

TARGET = 1_440_000.0
NEVER = np.inf


def test_the_chain_gives_the_values_of_the_book():
    # Montgomery, Statistical Quality Control, table 9.3: k = 0.5; Hawkins 1993 has 167.7 and 465.4.
    assert cusum_arl(0.5, 4.0, np.inf) == pytest.approx(167.68, abs=0.01)
    assert cusum_arl(0.5, 5.0, np.inf) == pytest.approx(465.4, abs=0.05)
    # A clip that nothing reaches is none.
    assert cusum_arl(0.5, 5.0, 30.0) == pytest.approx(cusum_arl(0.5, 5.0, np.inf), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("h", "book"), [(4.0, 168.0), (5.0, 465.0)])
def test_the_book_and_plain_simulation_agree(h, book):
    runs = cusum_runs(0.5, h, 40_000, np.random.default_rng(int(h)))
    error = runs.std() / np.sqrt(len(runs))
    assert abs(runs.mean() - book) < 3 * error
    assert abs(runs.mean() - cusum_arl(0.5, h, np.inf)) < 3 * error


@pytest.mark.slow
def test_the_chain_and_the_simulated_bank_agree():
    mean, slow = np.array([3.5, 4.0, 5.0, 6.5, 8.0]), np.array([5.0, 8.0, 10.0, 12.0, 14.0])
    values = np.full((5, 6), NEVER)
    values[:, 0], values[:, 1] = mean, slow
    runs = simulate_arl0(values, streams=256, ticks=100_000, seed=1)
    for k, d, h in ((0.5, 0, mean), (0.25, 1, slow)):
        chain = np.array([cusum_arl(k, x) for x in h])
        assert (np.abs(runs.mean[:, d] - chain) < 3 * runs.error[:, d]).all()


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["gaussian", "t5"])
@pytest.mark.parametrize("arl0", [300.0, 10_000.0])
def test_every_detector_keeps_its_false_alarms_under_either_noise(noise, arl0):
    ticks = int(100 * arl0) // 2 * 2
    runs = simulate_arl0(thresholds(arl0).values[None], streams=48, ticks=ticks, noise=noise, seed=7)
    # 3 errors below, and 2 % for the straight lines between the points of the tables.
    assert (runs.mean[0] > 0.98 * arl0 - 3 * runs.error[0]).all()
    if noise == "gaussian":
        solved = runs.mean[0, :2], runs.error[0, :2]
        assert (np.abs(solved[0] - arl0) < 3.5 * solved[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["gaussian", "t5"])
def test_the_tables_can_be_made_again(noise):
    grid = np.full((2, 6), NEVER)
    rows = {d: [TABLE[name, noise][k] for k in (2, 5)] for d, name in enumerate(DETECTORS) if d > 1}
    for d, lines in rows.items():
        grid[:, d] = [height for height, _, _ in lines]
    runs = simulate_arl0(grid, streams=64, ticks=200_000, noise=noise, seed=99)
    for d, lines in rows.items():
        for k, (_, arl, error) in enumerate(lines):
            assert abs(runs.mean[k, d] - arl) < 4 * np.hypot(runs.error[k, d], error)


@pytest.mark.slow
def test_a_shift_of_one_sd_is_found_within_27_ticks():
    lengths = simulate_runs(thresholds(TARGET).values, streams=4000, limit=1000, calm=500, shift=1.0, seed=2)
    runs = mean_run(lengths, 1000)
    assert runs.mean[0] + 3 * runs.error[0] <= 27.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "detector", "within"),
    [
        ({"shift": -0.25}, "adaptive", 450),
        ({"shift": 0.5}, "slow", 110),
        ({"sd": 1.5}, "variance", 85),
        ({"sd": 0.5}, "variance", 100),
        ({"sd": 1.5}, "coverage", 110),
        ({"rho": 0.5}, "correlation", 130),
        ({"rho": -0.5}, "correlation", 130),
    ],
)
def test_every_detector_finds_what_it_is_for(change, detector, within):
    lengths = simulate_runs(thresholds(TARGET).values, streams=400, limit=3000, calm=100, seed=3, **change)
    d = DETECTORS.index(detector)
    assert (lengths[:, d] > 0).all()
    assert lengths[:, d].mean() < within


def test_thresholds_rise_with_the_run_length_and_say_how_they_were_found():
    values = np.array([thresholds(arl0).values for arl0 in (100, 1e3, 1e4, 1e5, TARGET, 1e7, 1e8, 1e9)])
    assert (np.diff(values, axis=0) > 0).all()
    np.testing.assert_array_equal(values, values.astype(np.float32))
    assert thresholds(TARGET).extrapolated == ()
    assert thresholds(1e8).extrapolated == DETECTORS[2:]
    # Beyond the table log ARL0 goes on as a straight line.
    steps = np.diff(values[-3:], axis=0)
    np.testing.assert_allclose(steps[0, 2:], steps[1, 2:], rtol=1e-5)
    text = thresholds(1e8).describe()
    assert "100,000,000 ticks" in text
    assert text.count("extrapolated") == 4
    assert text.count("Markov chain") == 2


@pytest.mark.parametrize("arl0", [99.0, 1.1e9, float("nan"), -5.0])
def test_run_lengths_beyond_what_is_known_are_refused(arl0):
    with pytest.raises(InputError, match="arl0 must be 100 to"):
        thresholds(arl0)


def test_solved_thresholds_give_back_the_run_length():
    for arl0 in (100.0, 465.0, 1e4, TARGET, 1e9):
        values = thresholds(arl0).values
        assert cusum_arl(0.5, values[0]) == pytest.approx(arl0, rel=1e-4)
        assert cusum_arl(0.25, values[1]) == pytest.approx(arl0, rel=1e-4)


def test_tables_rise_and_hold_their_range():
    for (name, _), rows in TABLE.items():
        height, arl, error = np.array(rows).T
        assert (np.diff(height) > 0).all()
        assert (np.diff(arl) > 0).all()
        assert (error / arl < (0.06 if name in DETECTORS else 0.17)).all()
        assert arl[-1] > TARGET


def test_simulation_is_the_bank_on_the_same_innovations():
    values, streams, ticks, seed = thresholds(150.0).values, 8, 600, 4
    counted = simulate_arl0(values[None], streams=streams, ticks=ticks, seed=seed)
    z = np.empty((streams, ticks))
    normals(_key(seed), 0, z)
    bank = DriftBank(streams, 150.0)
    told = bank.step(np.repeat(np.arange(streams), ticks), z.ravel())
    np.testing.assert_array_equal(np.bincount(told.detector, minlength=6), counted.alarms[0])
    lengths = simulate_runs(values, streams=streams, limit=ticks, seed=seed)
    for row in range(streams):
        for d in range(6):
            first = told.position[(told.row == row) & (told.detector == d)]
            assert lengths[row, d] == (first[0] - row * ticks + 1 if len(first) else 0)


def test_simulation_does_not_depend_on_threads():
    values = thresholds(200.0).values
    one = simulate_runs(values, streams=16, limit=100, calm=50, noise="t5", seed=1)
    np.testing.assert_array_equal(
        one, simulate_runs(values, streams=16, limit=100, calm=50, noise="t5", seed=1, threads=2)
    )


def test_the_noise_is_what_its_name_says():
    from scipy import stats

    key = _key(0)
    z = np.array([pair(key, stream, tick, T5) for stream in range(100) for tick in range(0, 200, 2)]).ravel()
    assert stats.kstest(z / np.sqrt(0.6), "t", (5,)).pvalue > 0.01
    assert np.var(z) == pytest.approx(1.0, abs=0.06)
    assert abs(np.corrcoef(np.abs(z[:-1]), np.abs(z[1:]))[0, 1]) < 0.03


def test_censored_runs_count_with_their_ticks():
    runs = mean_run(np.array([[10, 10, 0], [30, 0, 0]]), 100)
    np.testing.assert_array_equal(runs.mean, [20.0, 110.0, np.nan])
    np.testing.assert_array_equal(runs.alarms, [2, 1, 0])
    np.testing.assert_allclose(runs.error[:2], [10.0, 110.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: simulate_arl0(v[None], streams=7, ticks=10), "multiple of 8, got 7"),
        (lambda v: simulate_arl0(v[None], streams=8, ticks=11), "even number of ticks, got 11"),
        (lambda v: simulate_arl0(v[None], streams=8, ticks=10, noise="t4"), "unknown noise 't4'"),
        (lambda v: simulate_runs(v, streams=8, limit=10, rho=1.0), "rho must be inside"),
    ],
)
def test_simulations_that_cannot_be_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(thresholds(100.0).values)
