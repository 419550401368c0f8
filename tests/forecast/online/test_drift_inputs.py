"""The bank of regressors: windows against references, row by row."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArtifactError, InputError
from forecast.kernels import drift_inputs
from forecast.online.drift import INPUT_DETECTORS, InputBank
from forecast.online.drift.inputs import _HEAD
from forecast.online.drift.run_lengths import simulate_input_arl0
from tests.oracles.drift import Input

ARL0 = 20_000.0


def series(ticks, n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ticks, n)) + np.where(np.arange(ticks) > ticks * 0.6, 1.0, 0.0)[:, None]
    x[rng.random((ticks, n)) < 0.05] = np.nan
    return x


def feed(bank, x, first=0):
    rows = np.tile(np.arange(x.shape[1]), len(x))
    told = bank.step(rows, x.ravel())
    tick = first + told.position // x.shape[1]
    return list(
        zip(tick.tolist(), told.row.tolist(), told.detector.tolist(), told.statistic.tolist(), strict=True)
    )


@pytest.mark.parametrize("every", [1, 2])
def test_rows_find_what_the_oracle_finds(every):
    x = series(3000, 3, 0)
    bank = InputBank(3, ARL0, every)
    found, wanted = feed(bank, x), []
    for row in range(3):
        oracle = Input(every)
        for tick, value in enumerate(x[:, row]):
            both = oracle.tick(value)
            told = [] if both is None else [d for d in (0, 1) if both[d] >= bank.thresholds[d]]
            wanted += [(tick, row, d, both[d]) for d in told]
            if told:
                oracle.rest()
    wanted.sort()
    assert [alarm[:3] for alarm in found] == [alarm[:3] for alarm in wanted]
    np.testing.assert_allclose([alarm[3] for alarm in found], [alarm[3] for alarm in wanted], rtol=1e-12)
    assert {alarm[2] for alarm in found} == {0, 1}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), cut=st.integers(0, 900), every=st.integers(1, 3))
def test_cuts_dumps_and_other_rows_change_no_bit(seed, cut, every):
    x = series(900, 2, seed)
    whole, first, alone = (InputBank(n, ARL0, every) for n in (2, 2, 1))
    found = feed(whole, x)
    begun = feed(first, x[:cut])
    again = InputBank.load(first.dump(), ARL0)
    assert begun + feed(again, x[cut:], cut) == found
    assert again.every == every
    assert again.dump() == whole.dump()
    assert [alarm for alarm in found if alarm[1] == 1] == [
        (tick, 1, d, value) for tick, _, d, value in feed(alone, x[:, 1:])
    ]
    assert alone.dump() == whole.dump([1])


def test_missing_values_change_nothing_and_reset_rows_are_as_new():
    bank = InputBank(2)
    bank.step([0, 1, 1], [1.0, 2.0, 3.0])
    before = bank.dump()
    bank.step([0, 1], [np.nan, np.nan])
    assert bank.dump() == before
    bank.reset([1])
    assert bank.dump([1]) == InputBank(1).dump()


def test_growing_keeps_rows():
    bank, x = InputBank(1, ARL0), series(900, 1, 3)
    found = feed(bank, x[:500])
    bank.grow(40)
    rest = bank.step(np.zeros(400, np.int64), x[500:, 0])
    assert len(found) + len(rest) == len(feed(InputBank(1, ARL0), x))
    with pytest.raises(InputError, match="cannot shrink"):
        bank.grow(2)


def test_any_unit_and_any_rising_function_of_the_values_find_the_same():
    x = series(2000, 1, 4)
    found = [feed(InputBank(1, ARL0), y) for y in (x, 1e9 * x, np.exp(x), -1e-12 + 1e-15 * x)]
    assert found[0]
    assert all(each == found[0] for each in found)


def test_constant_regressors_are_silent_until_they_move():
    x = np.full((2000, 1), 7.0)
    assert feed(InputBank(1, ARL0), x) == []
    for other in (8.0, 6.0):
        x[1000:] = other
        assert {tick for tick, *_ in feed(InputBank(1, ARL0), x)} == {256 + 128 * 6 - 1}


@pytest.mark.slow
def test_false_alarms_come_as_rarely_as_asked():
    limits = np.array([InputBank(0, ARL0).thresholds])
    apart = np.where(np.eye(2, dtype=bool), limits, np.inf)
    for phi in (0.0, 0.5, 0.8):
        runs = simulate_input_arl0(apart, streams=400, ticks=20_000, phi=phi, seed=3)
        mean, error = np.diag(runs.mean), np.diag(runs.error)
        assert (mean > 0.97 * ARL0 - 3 * error).all()
        if phi == 0.0:
            # The distance comes in steps: a threshold between two of them is worth the higher.
            assert mean[0] == pytest.approx(ARL0, abs=0.05 * ARL0 + 3 * error[0])
            assert mean[1] < 1.6 * ARL0


@pytest.mark.slow
def test_thinning_makes_slow_regressors_alarm_less():
    limits = np.array([InputBank(0, ARL0).thresholds])
    dense = simulate_input_arl0(limits, streams=80, ticks=100_000, phi=0.98, seed=1)
    thin = simulate_input_arl0(limits, streams=80, ticks=100_000, phi=0.98, every=25, seed=1)
    assert (thin.alarms < 0.2 * dense.alarms).all()


def test_thresholds_follow_what_is_kept():
    assert (InputBank(0, 1e6, 10).thresholds == InputBank(0, 1e5).thresholds).all()
    assert (InputBank(0, 1e6).thresholds > InputBank(0, 1e5).thresholds).all()
    only = InputBank(0, 1e6, detectors=["ks"]).thresholds
    assert np.isinf(only[INPUT_DETECTORS.index("psi")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: InputBank(1, 1000.0), "at least|must be 2000"),
        (lambda: InputBank(1, 1e6, 1000), "arl0 / every must be 2000"),
        (lambda: InputBank(1, every=0), "every must be 1 to"),
        (lambda: InputBank(1, every=1.5), "got 1.5"),
        (lambda: InputBank(1, detectors=["kss"]), "did you mean 'ks'"),
        (lambda: InputBank(1).step([1], [0.0]), "row 1 is not"),
        (lambda: InputBank(1).step([0], [[0.0]]), "one a row"),
        (lambda: InputBank(1).step([0], ["a"]), "values must be numbers"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def filled():
    bank = InputBank(3)
    bank.step([0] * 100 + [1] * 300, np.random.default_rng(0).normal(size=400))
    return bank


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DRFI",
        b"DRFT" + filled().dump()[4:],
        filled().dump()[:-8],
        filled().dump() + bytes(8),
        filled().dump()[:-1] + b"\x41",
        filled().dump()[:12] + struct.pack("<Q", 2**61) + filled().dump()[20:],
    ],
)
def test_what_is_no_dump_is_refused(data):
    with pytest.raises(ArtifactError):
        InputBank.load(data)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (0, drift_inputs.SEEN, 99.0),
        (0, drift_inputs.SEEN, 1e12),
        (0, drift_inputs.SEEN, -1.0),
        (0, drift_inputs.SKIP, 1.0),
        (1, drift_inputs.SEEN, 301.0),
        (1, drift_inputs.FACTOR, 0.0),
        (1, drift_inputs.FACTOR, np.nan),
        (1, drift_inputs.EDGES, 1e3),
        (1, drift_inputs.SHARES, 500.0),
        (1, drift_inputs.COUNTS, 0.5),
        (2, drift_inputs.COUNTS, -1.0),
    ],
)
def test_a_dump_of_numbers_that_cannot_be_is_refused(row, column, value):
    data = bytearray(filled().dump())
    struct.pack_into("<d", data, _HEAD.size + 8 * (drift_inputs.COLUMNS * row + column), value)
    head = list(_HEAD.unpack_from(data))
    head[6] = zlib.crc32(data[_HEAD.size :])
    _HEAD.pack_into(data, 0, *head)
    with pytest.raises(ArtifactError, match="input bank h"):
        InputBank.load(bytes(data))
