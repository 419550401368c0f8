"""The drift bank: what a row finds depends on its own innovations alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArtifactError, InputError
from forecast.kernels import drift
from forecast.online.drift import DETECTORS, Alarms, DriftBank, thresholds
from tests.oracles.drift import Stream

# Alarms of every detector within some hundred ticks.
ARL0 = 120.0


def feed(bank, z, cuts=()):
    """Alarms as (tick, detector, statistic) by row, of (ticks, rows) innovations in calls cut at `cuts`."""
    ticks, n = z.shape
    found = {row: [] for row in range(n)}
    bounds = [0, *sorted(cuts), ticks]
    for begin, end in pairwise(bounds):
        rows = np.tile(np.arange(n), end - begin)
        told = bank.step(rows, z[begin:end].ravel())
        for i, row, code, value in zip(told.position, told.row, told.detector, told.statistic, strict=True):
            found[int(row)].append((begin + int(i) // n, int(code), float(value)))
    return found


def noise(ticks, n, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(ticks, n)) * 1.3 + 0.2
    z[rng.random((ticks, n)) < 0.1] = np.nan
    return z


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), cuts=st.sets(st.integers(1, 199), max_size=6))
def test_cuts_into_calls_and_other_rows_change_no_bit(seed, cuts):
    z = noise(200, 3, seed)
    whole, cut = DriftBank(3, ARL0), DriftBank(3, ARL0)
    found = feed(whole, z)
    assert feed(cut, z, cuts) == found
    assert cut.dump() == whole.dump()
    alone = DriftBank(1, ARL0)
    assert feed(alone, z[:, 1:2])[0] == found[1]
    assert alone.dump() == whole.dump([1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(0, 150))
def test_a_dump_and_load_change_no_bit(seed, at):
    z = noise(150, 2, seed)
    bank, first = DriftBank(2, ARL0), DriftBank(2, ARL0)
    feed(bank, z)
    feed(first, z[:at])
    again = DriftBank.load(first.dump(), ARL0)
    assert feed(again, z[at:]) == feed(DriftBank.load(memoryview(first.dump()), ARL0), z[at:])
    assert again.dump() == bank.dump()


def test_rows_in_any_order_find_what_the_oracle_finds():
    rng = np.random.default_rng(0)
    n, m = 7, 4000
    rows, z = rng.integers(0, n, m), rng.normal(0.1, 1.2, m)
    limits = thresholds(ARL0).values
    streams, wanted = [Stream(limits) for _ in range(n)], []
    for i in range(m):
        wanted += [(i, int(rows[i]), *alarm) for alarm in streams[rows[i]].tick(z[i]).items()]
    told = DriftBank(n, ARL0).step(rows, z)
    assert list(zip(*(getattr(told, key).tolist() for key in Alarms.__slots__), strict=True)) == wanted
    assert set(told.detector.tolist()) == set(range(6))
    assert (told.statistic >= limits[told.detector]).all()


def test_more_alarms_than_one_call_of_the_kernel_has_room_for():
    bank = DriftBank(20_000, 100.0)
    told = bank.step(np.tile(np.arange(20_000), 3), np.full(60_000, 3.0))
    assert len(told) > 3 * 4096
    assert (np.diff(told.position) >= 0).all()
    np.testing.assert_array_equal(told.row, told.position % 20_000)


def test_missing_ticks_change_nothing_and_infinite_ones_count_as_large():
    bank, other = DriftBank(1), DriftBank(1)
    bank.step([0], [1.0])
    other.step([0, 0, 0], [np.nan, 1.0, np.nan])
    assert bank.dump() == other.dump()
    bank.step([0, 0], [np.inf, -np.inf])
    other.step([0, 0], [3.0, -3.0])
    assert bank.dump() == other.dump()


def test_reset_rows_are_as_new():
    z = noise(100, 3, 5)
    bank = DriftBank(3)
    feed(bank, z)
    kept = bank.dump([0, 2])
    bank.reset([1])
    assert bank.dump([1]) == DriftBank(1).dump()
    assert bank.dump([0, 2]) == kept


def test_growing_keeps_rows_and_adds_some_at_rest():
    bank, n = DriftBank(), 0
    for n in (1, 2, 50, 51, 300):
        bank.grow(n)
        bank.step(np.arange(n), np.ones(n))
    assert bank.n == 300
    assert bank.dump([299]) == DriftBank.load(bank.dump()).dump([298])
    assert bank.dump([0]) != bank.dump([299])
    bank.grow(300)
    with pytest.raises(InputError, match="cannot shrink to 299"):
        bank.grow(299)


def test_only_watched_detectors_alarm():
    bank = DriftBank(1, ARL0, ["coverage", "mean"])
    assert bank.detectors == ("mean", "coverage")
    told = bank.step([0] * 400, np.tile([2.5, 2.5, -2.5, -2.4], 100))
    assert set(told.detector.tolist()) == {DETECTORS.index("mean"), DETECTORS.index("coverage")}
    assert np.isinf(bank.thresholds).sum() == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DriftBank(-1), "n must be a number of rows, 0 or more, got -1"),
        (lambda: DriftBank(2.5), "got 2.5"),
        (lambda: DriftBank(True), "got True"),
        (lambda: DriftBank(1, 99), "arl0 must be 100 to 1e"),
        (lambda: DriftBank(1, np.nan), "arl0 must be 100 to 1e.*, got nan"),
        (lambda: DriftBank(1, np.inf), "arl0 must be 100 to 1e.*, got inf"),
        (lambda: DriftBank(1, detectors=["means"]), "did you mean 'mean'"),
        (lambda: DriftBank(1, detectors=[]), "must be a list of some of mean, slow"),
        (lambda: DriftBank(1, detectors="mean"), "must be a list"),
        (lambda: DriftBank(2).step([2], [0.0]), "row 2 is not one of the 2 rows"),
        (lambda: DriftBank(2).step([0, -1], [0.0, 0.0]), "row -1 is not"),
        (lambda: DriftBank(2).step(np.array([2**64 - 1], np.uint64), [0.0]), "row 18446744073709551615 is"),
        (lambda: DriftBank(2).step([0.5], [0.0]), "whole numbers, got float64"),
        (lambda: DriftBank(2).step([[0]], [0.0]), "shape"),
        (lambda: DriftBank(2).step([0], [0.0, 1.0]), "1 rows, but z has shape"),
        (lambda: DriftBank(2).step([0], ["x"]), "z must be numbers"),
        (lambda: DriftBank(2).reset([2]), "row 2 is not"),
        (lambda: DriftBank(2).dump([-3]), "row -3 is not"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_refused_call_has_moved_nothing():
    bank = DriftBank(2)
    with pytest.raises(InputError):
        bank.step([0, 1, 2], [1.0, 1.0, 1.0])
    assert bank.dump() == DriftBank(2).dump()


def test_read_only_arrays_and_no_rows_are_taken():
    bank = DriftBank(2)
    rows, z = np.arange(2), np.ones(2)
    rows.flags.writeable = z.flags.writeable = False
    bank.step(rows, z)
    assert len(bank.step([], [])) == 0
    assert DriftBank.load(DriftBank(0).dump()).n == 0


def damaged(change):
    bank = DriftBank(3)
    feed(bank, noise(40, 3, 1))
    table = bank._table
    change(table)
    return bank.dump()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DRFT",
        b"XXXX" + DriftBank(1).dump()[4:],
        DriftBank(1).dump()[:4] + b"\x02" + DriftBank(1).dump()[5:],
        DriftBank(2).dump()[:-1],
        DriftBank(2).dump() + b"\0",
        DriftBank(2).dump()[:-1] + b"\1",
        # 2^60 rows announced.
        DriftBank(1).dump()[:8] + (2**60).to_bytes(8, "little") + DriftBank(1).dump()[16:],
    ],
)
def test_what_is_no_dump_is_refused(data):
    with pytest.raises(ArtifactError):
        DriftBank.load(data)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, -1.0),
        (drift.WINDOWS, np.nan),
        (drift.WINDOWS, 1e6),
        (drift.MISSES, np.inf),
        (drift.MISSES, -0.5),
        (drift.BEFORE, 4.0),
        (drift.TICKS, 2048.0),
        (drift.TICKS, -1.0),
        (drift.TICKS, 1.5),
    ],
)
def test_a_dump_of_numbers_that_cannot_be_is_refused(column, value):
    with pytest.raises(ArtifactError, match="no detector can"):
        DriftBank.load(damaged(lambda table: table.__setitem__((1, column), value)))


def test_every_state_that_occurs_can_be_loaded():
    bank = DriftBank(4)
    rng = np.random.default_rng(3)
    for scale in (0.0, 1.0, 1e9):
        for _ in range(30):
            bank.step(np.tile(np.arange(4), 100), rng.normal(0.5, 1.0, 400) * scale)
            assert DriftBank.load(bank.dump()).dump() == bank.dump()


def test_a_stream_takes_76_bytes():
    assert DriftBank.nbytes_per_stream == 76
    assert len(DriftBank(1000).dump()) == 20 + 76 * 1000
