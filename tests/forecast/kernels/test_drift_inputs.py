"""Regressors: windows against their reference, as the formulas say."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.kernels import drift_inputs as inputs
from tests.oracles.drift import Input


def run(table, values, rows, x, limits, every=1, room=8):
    out = np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room)
    rows, x, done, found = np.asarray(rows, np.int64), np.asarray(x, np.float64), 0, []
    while done < len(rows):
        done, count = inputs.step_many(table, values, rows, x, every, np.array(limits), done, *out)
        found += [(int(i), int(d), float(v)) for i, d, v in zip(*(a[:count] for a in out), strict=True)]
    return found


def empty(n):
    return np.zeros((n, inputs.COLUMNS)), np.zeros((n, inputs.REFERENCE))


SERIES = {
    "noise": lambda rng, n: rng.normal(size=n),
    "walk": lambda rng, n: rng.normal(size=n).cumsum(),
    "coarse": lambda rng, n: rng.poisson(1.0, n).astype(float),
    "constant then not": lambda rng, n: np.where(np.arange(n) < 300, 5.0, rng.normal(size=n)),
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n)),
}


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", SERIES)
def test_windows_are_those_of_the_formulas(kind, every):
    rng = np.random.default_rng(0)
    x = SERIES[kind](rng, 2500)
    x[rng.random(2500) < 0.03] = np.nan
    # Thresholds of 0: every window is told, and the row begins again.
    found = run(*empty(1), np.zeros(2500, np.int64), x, (0.0, 0.0), every)
    oracle, wanted = Input(every), []
    for tick, value in enumerate(x):
        both = oracle.tick(value)
        if both is not None:
            wanted += [(tick, code, statistic) for code, statistic in enumerate(both)]
            oracle.rest()
    assert [line[:2] for line in found] == [line[:2] for line in wanted]
    np.testing.assert_allclose(
        [line[2] for line in found], [line[2] for line in wanted], rtol=1e-12, atol=1e-13
    )
    assert len(found) == 2 * (6 if every == 1 else 2)


def test_a_row_that_does_not_alarm_keeps_its_reference():
    rng = np.random.default_rng(1)
    x = rng.normal(size=256 + 128 * 6)
    table, values = empty(1)
    oracle, seen = Input(), []
    for tick, value in enumerate(x):
        both = oracle.tick(value)
        if both is not None:
            seen.append((tick, both))
    highest = max(both[1] for _, both in seen)
    first = next(tick for tick, both in seen if both[1] == highest)
    found = run(table, values, np.zeros(len(x), np.int64), x, (np.inf, highest - 1e-12))
    assert [(tick, code) for tick, code, _ in found] == [(first, 1)]


def test_a_step_of_the_level_is_found_and_then_usual():
    rng = np.random.default_rng(2)
    x = rng.normal(size=3000)
    x[1000:] += 1.5
    found = run(*empty(1), np.zeros(3000, np.int64), x, (0.6, 0.35))
    assert {code for _, code, _ in found} == {0, 1}
    assert all(1000 < tick < 1000 + 2 * 128 for tick, _, _ in found)
