"""The pass over many streams finds what the formulas find, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.kernels import drift, octets
from forecast.kernels._jit import large_kernel
from forecast.online.drift.detectors import heights
from tests.oracles.drift import Stream

LOW = (4.0, 6.0, 3.0, 3.0, 2.0, 3.5)
NEVER = (np.inf,) * 6


def run(table, rows, z, thresholds, room=64):
    """(tick, row, detector, statistic) of every alarm."""
    out = np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room)
    limits, done, found = heights(np.array(thresholds)), 0, []
    rows, z = np.asarray(rows, np.int64), np.asarray(z, np.float64)
    while done < len(rows):
        done, count = drift.step_many(table, rows, z, drift.COEFFICIENTS, drift.WEIGHTS, limits, done, *out)
        found += [
            (int(i), int(rows[i]), int(d), float(v))
            for i, d, v in zip(*(a[:count] for a in out), strict=True)
        ]
    return found


def empty(n):
    return np.zeros((n, drift.COLUMNS), np.float32)


def innovations(n, seed=0):
    """Noise with jumps, gaps, infinities, absurd values and a stretch of zeros."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(3, n) * np.repeat(rng.uniform(0.3, 2.0, n // 50 + 1), 50)[:n]
    z += np.repeat(rng.normal(0, 0.7, n // 80 + 1), 80)[:n]
    z[rng.random(n) < 0.05] = np.nan
    z[rng.integers(0, n, 8)] = (np.inf, -np.inf, 1e300, -1e39, 3.0, 1.96, -1.96, 0.0)
    z[n // 2 : n // 2 + 40] = 0.0
    return z


@pytest.mark.parametrize("thresholds", [LOW, (11.0, 20.0, 9.0, 8.0, 8.0, 9.0), NEVER])
def test_the_kernel_finds_what_the_formulas_find(thresholds):
    streams, ticks = 3, 900
    z = np.stack([innovations(ticks, seed) for seed in range(streams)], axis=1)
    found = run(empty(streams), np.tile(np.arange(streams), ticks), z.ravel(), thresholds)
    oracles, wanted = [Stream(thresholds) for _ in range(streams)], []
    for tick in range(ticks):
        for row in range(streams):
            alarms = oracles[row].tick(z[tick, row])
            wanted += [(tick * streams + row, row, code, value) for code, value in alarms.items()]
    assert found == wanted
    codes = {code for _, _, code, _ in found}
    assert codes == (set() if thresholds == NEVER else set(range(6)))


@pytest.mark.slow
def test_windows_of_the_longest_blocks_follow_the_formula():
    ticks, thresholds = 5000, (*NEVER[:5], 40.0)
    z = np.random.default_rng(1).normal(0.0, 1.0, ticks)
    z[3300:] += 0.35
    table, oracle = empty(1), Stream(thresholds)
    for tick in range(ticks):
        alarms = oracle.tick(z[tick])
        found = run(table, [0], z[tick : tick + 1], thresholds)
        assert {code: value for _, _, code, value in found} == alarms
        if not alarms and tick % 37 == 0:
            # The kernel has begun new blocks where some have ended: compare a tick later only.
            copy = table.copy()
            limits = heights(np.array(NEVER))
            drift.update(copy, 0, drift.clipped(0.5), drift.COEFFICIENTS, drift.WEIGHTS, limits, 0)
            oracle.past.append(np.float32(0.5))
            assert drift.statistic(copy, 0, drift.ADAPTIVE, drift.WEIGHTS) == oracle.largest_window()
            oracle.past.pop()


def test_few_places_for_alarms_lose_none():
    rows, z = np.zeros(600, np.int64), innovations(600)
    assert run(empty(1), rows, z, LOW, room=drift.DETECTORS) == run(empty(1), rows, z, LOW, room=10_000)


def test_an_alarm_restarts_its_detector_and_no_other():
    table = empty(1)
    found = run(table, [0] * 12, [2.0] * 12, (9.0, *NEVER[1:]))
    # Each tick adds 1.5.
    assert [(tick, code, value) for tick, _, code, value in found] == [(5, 0, 9.0), (11, 0, 9.0)]
    assert table[0, drift.SUMS] == 0.0
    assert table[0, drift.SUMS + 2] == 12 * 1.75


def test_a_statistic_that_equals_its_threshold_alarms():
    twice = float(np.float32(np.log(3.0)) + np.float32(np.log(3.0)))
    assert run(empty(1), [0] * 2, [2.0] * 2, (*NEVER[:3], twice, *NEVER[:2])) == [(1, 0, 3, twice)]
    assert run(empty(1), [0] * 2, [2.0] * 2, (3.0, *NEVER[:5])) == [(1, 0, 0, 3.0)]


def test_missing_ticks_change_nothing():
    table = empty(1)
    run(table, [0] * 50, innovations(50), NEVER)
    before = table.copy()
    assert run(table, [0] * 3, [np.nan] * 3, LOW) == []
    np.testing.assert_array_equal(table, before)


def test_numbers_stay_finite_and_bounded_whatever_comes():
    table = empty(1)
    for value in (np.inf, -np.inf, 1e308):
        run(table, [0] * 3000, [value] * 3000, (12.0, 20.0, 12.0, 12.0, 12.0, 12.0))
        assert np.isfinite(table).all()


@large_kernel
def _lanes(x, y, out):
    a, b = octets.load(x, 0), octets.load(y, 0)
    octets.store(out, 0, octets.positive(a) + b)
    octets.store(out, 8, octets.spread(x[3]) * b)
    return octets.reaching(a, b)


def test_octets_by_hand():
    x = np.array([-1, 0, 2, 3, np.nan, 5, 6, 7], np.float32)
    y = np.array([-1, 1, 2, 2, 1, 9, 6, np.nan], np.float32)
    out = np.empty(16, np.float32)
    assert _lanes(x, y, out) == 0b0100_1101
    np.testing.assert_array_equal(out[:8], np.array([0, 0, 2, 3, 0, 5, 6, 7], np.float32) + y)
    np.testing.assert_array_equal(out[8:], np.float32(3) * y)
