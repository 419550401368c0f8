"""The bank: forecasts and intervals of the library after every tick, whatever the model and the calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import online
from forecast.errors import InputError
from forecast.kernels import slot_dump, slot_steps
from forecast.kernels._jit import COMPILED
from forecast.online.bank import LONG_GAP, Bank
from tests.forecast.online.bank_models import GIVEN, MODELS, NAN, build, waves
from tests.forecast.online.driven_bank import Driven, H, same
from tests.strategies import make_records

VALUES = st.one_of(st.floats(0.1, 5.0), st.just(NAN))
TICKS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2, 7]), VALUES), min_size=1, max_size=14
)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_forecasts_as_the_library_does(name):
    driven = Driven([name], h=9)
    driven.check([(0, 0, 1.5), (0, 0, NAN), (0, 2, 2.5), (0, 0, 1.0), (0, 9, 3.0)])
    driven.check([(0, 0, y) for y in (1.0, 2.0, 0.5, 3.0, 1.0, 2.0, 2.5, 1.0, 2.0, 1.5)])
    driven.check([(0, 60, NAN), (0, 0, 2.0)])


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(MODELS)), min_size=4, max_size=4), ticks=TICKS)
def test_any_ticks_of_any_models_are_forecast_as_the_library_does(names, ticks):
    Driven(names).check(ticks)


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(MODELS)), min_size=4, max_size=4),
    ticks=TICKS,
    cut=st.integers(1, 5),
)
def test_forecasts_do_not_depend_on_how_ticks_are_cut_into_calls(names, ticks, cut):
    whole, parts = Driven(names), Driven(names)
    want = whole.step(ticks)
    got = [parts.step(ticks[first : first + cut]) for first in range(0, len(ticks), cut)]
    for j, axis in ((0, 0), (1, 1), (2, 1), (3, 0)):
        np.testing.assert_array_equal(np.concatenate([ahead[j] for ahead in got], axis=axis), want[j])
    same(whole.bank.dump(whole.slots), parts.bank.dump(parts.slots))


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(MODELS)), min_size=4, max_size=4), before=TICKS, after=TICKS)
def test_a_state_that_was_dumped_and_loaded_goes_on_to_the_last_bit(names, before, after):
    stayed, loaded = Driven(names), Driven(names)
    stayed.step(before)
    data, ends = stayed.bank.dump(stayed.slots)
    loaded.bank.load(loaded.slots, data, ends)
    same(loaded.bank.dump(loaded.slots), (data, ends))
    same(loaded.step(after), stayed.step(after))
    same(loaded.bank.dump(loaded.slots), stayed.bank.dump(stayed.slots))


@settings(max_examples=30, deadline=None)
@given(model=st.sampled_from(sorted(MODELS)), y=st.lists(VALUES, min_size=1, max_size=12))
def test_the_standardised_innovation_is_that_of_a_tick(model, y):
    driven = Driven([model])
    state = online.init(driven.records)
    for value in y:
        tick = (0, 0, value)
        now = {name: column[0] for name, column in driven.exog([tick])[0].items()}
        got = driven.step([tick]).z[0]
        state, info = online.tick(driven.records, state, 0, value, now)
        np.testing.assert_allclose(got, NAN if info.z is None else info.z, rtol=1e-9, atol=1e-9)
        assert driven.bank.t(driven.slots).tolist() == [state.t]


@settings(max_examples=30, deadline=None)
@given(model=st.sampled_from(sorted(MODELS)), y=st.lists(VALUES, min_size=1, max_size=12))
def test_advancing_leaves_the_state_that_ticks_leave(model, y):
    ticked, moved = Driven([model]), Driven([model])
    ticked.step([(0, 0, value) for value in y])
    t = int(moved.bank.t(moved.slots)[0])
    exog = {name: column[None] for name, column in waves(t, len(y)).items()}
    moved.bank.advance(moved.slots, [[*y, 7.0]], [len(y)], {n: np.c_[x, [[0.0]]] for n, x in exog.items()})
    same(moved.bank.dump(moved.slots), ticked.bank.dump(ticked.slots))


def test_a_tick_by_hand():
    """w = 1 + w/2: from 2 the forecast is 2, 2, 2; the value 5 is a surprise of 3, halved at each step.

    One MA term keeps the variance free of that of the estimates: psi = 1, 1/2, 1/4, sigma2 = 4.
    """
    records = make_records(1, phi=[0.5], theta=[0.0], const=1.0, sigma2=4.0, levels=[2.0])
    bank = Bank(records, 3, (50,))
    found = bank.step(bank.add([0]), [0], [5.0])
    assert found.mean[0].tolist() == [3.5, 2.75, 2.375]
    assert found.z.tolist() == [1.5]
    sd = 2.0 * np.sqrt([1.0, 1.25, 1.3125])
    np.testing.assert_allclose(found.hi[0, 0] - found.mean[0], 0.6744897501960817 * sd, rtol=1e-12)
    np.testing.assert_allclose(found.mean[0] - found.lo[0, 0], 0.6744897501960817 * sd, rtol=1e-12)


def test_a_gap_by_hand():
    """Two steps without a value: the variance of the next is sigma2 (1 + 1/4 + 1/16)."""
    records = make_records(1, phi=[0.5], theta=[0.0], const=1.0, sigma2=4.0, levels=[4.0])
    bank = Bank(records, 1)
    slots = bank.add([0])
    bank.advance(slots, [[NAN, NAN]])
    data, ends = bank.dump(slots)
    assert data[:4].tolist() == [102.0, 0.0, 2.5, 0.0]
    assert data[4] == 5.0
    assert ends.tolist() == [7]
    found = bank.step(slots, [0], [3.25])
    assert found.z[0] == pytest.approx(1.0 / 5.25**0.5)
    assert found.mean[0, 0] == 2.625


def test_the_pool_of_covariances_grows_in_the_middle_of_a_call():
    n = 300  # 300 gaps of 9 levels are 13,500 numbers, the pool begins with 1,024
    records = build(*["seasonal ar"] * n)
    bank, alone = Bank(records, H), Bank(records, H)
    ticks = [2.0, NAN, 1.0]
    slots = bank.add(np.arange(n))
    got = bank.step(np.repeat(slots, 3), [1] * (3 * n), ticks * n)
    one = alone.add([0])
    want = alone.step(np.repeat(one, 3), [1] * 3, ticks)
    for j in range(n):
        np.testing.assert_array_equal(got.hi[:, 3 * j : 3 * j + 3], want.hi)


def test_covariances_that_nobody_needs_any_more_make_room():
    records = build("ar")
    bank = Bank(records, 1)
    slots = bank.add([0] * 50)
    for _ in range(40):  # 2,000 gaps of 3 numbers, one at a time: 150 at once are enough
        bank.step(slots, [1] * 50, [1.0] * 50)
        bank.step(slots, [0] * 50, [1.0] * 50)
    grown = bank.nbytes
    for _ in range(40):
        bank.remove(slots)
        slots = bank.add([0] * 50)
        bank.step(slots, [1] * 50, [NAN] * 50)
    assert bank.nbytes == grown


@pytest.mark.parametrize("model", ["ar", "arma", "arima", "exact", "season", "estimated"])
@pytest.mark.parametrize("wild", [np.inf, -np.inf, 1e300, -1e300, 1e308, -1e308])
def test_a_wild_value_counts_as_missing(model, wild):
    got, want = Driven([model]), Driven([model])
    same(got.step([(0, 0, wild), (0, 0, 2.0)]), want.step([(0, 0, NAN), (0, 0, 2.0)]))


@pytest.mark.parametrize("wild", [np.inf, -np.inf, -1.0, 0.0])
def test_what_has_no_logarithm_counts_as_missing(wild):
    got, want = Driven(["log"]), Driven(["log"])
    same(got.step([(0, 0, wild), (0, 0, 2.0)]), want.step([(0, 0, NAN), (0, 0, 2.0)]))


@pytest.mark.parametrize("model", sorted(MODELS))
def test_large_values_are_forgotten(model):
    """1e140 has a square that overflows; after many plain values forecasts are finite again."""
    driven = Driven([model])
    with np.errstate(all="raise"):
        driven.step([(0, 0, 1e140)])
        found = driven.step([(0, 0, 1.0 + 0.1 * (k % 3)) for k in range(300)])
    assert np.isfinite(found.mean[-1]).all()
    assert np.isfinite(found.hi[:, -1]).all() or np.isnan(driven.records.sigma2[0])


def test_slots_come_and_go():
    records = build("ar", "sarima", "no value", "waves")
    bank = Bank(records, 2)
    first = bank.add([0, 1, 2, 3, 1])
    assert len(bank) == 5
    bank.step(first, [0, 3, 0, 0, 3], [1.0, NAN, 1.0, 2.0, NAN])
    size = bank.nbytes
    bank.remove(first[1:4])
    assert len(bank) == 2
    with pytest.raises(InputError, match="not in use"):
        bank.t(first[1:2])
    again = bank.add([3, 2, 1])
    assert sorted(again) == sorted(first[1:4])
    assert bank.nbytes == size
    fresh = Bank(records, 2)
    same(bank.dump(again), fresh.dump(fresh.add([3, 2, 1])))
    many = bank.add(np.tile(np.arange(4), 500))
    same(bank.dump(many[:4]), fresh.dump(fresh.add(np.arange(4))))
    assert bank.t(first[:1]).tolist() == [101]


def test_a_slot_is_under_a_kilobyte():
    records = make_records(1, phi=[0.1] * 8, const=1.0, levels=[1.0] * 8)
    bank = Bank(records, 24, (95,))
    bank.add(np.zeros(50_000, np.int64))
    assert bank.nbytes < 1000 * 50_000


@pytest.mark.parametrize(
    "model", sorted(set(MODELS) - {"arx", "estimated arx", "arimax", "estimated arimax"})
)
def test_skipping_a_short_stretch_is_the_gap(model):
    skipped, gone = Driven([model]), Driven([model])
    skipped.bank.skip(skipped.slots, skipped.bank.t(skipped.slots) + 30)
    gone.bank.advance(gone.slots, [[NAN] * 30])
    same(skipped.bank.dump(skipped.slots), gone.bank.dump(gone.slots))


def test_skipping_a_long_stretch_keeps_the_season_and_is_uncertain():
    driven = Driven(["seasonal naive", "trend", "waves", "ar"])
    bank, slots = driven.bank, driven.slots
    t = bank.t(slots) + 10**7 + 1
    bank.skip(slots, t)
    np.testing.assert_array_equal(bank.t(slots), t)
    found = bank.step(slots, [0] * 4, [NAN] * 4)
    # 100 points of three values 2, 1, 3 newest first, then 10,000,002 more: the next is the one after 1.
    np.testing.assert_allclose(found.mean[0, :3], np.roll([3.0, 1.0, 2.0], -((10**7 + 2) % 3)))
    assert (found.hi - found.lo)[1, 0, 0] > 2 * 1.96 * np.sqrt(0.5 * LONG_GAP / 3)
    trend = (1.0 + 0.05 * (t[1] + 2)) / 0.3  # and a little behind, where it was two points before
    assert abs(found.mean[1, 0] / trend - 1) < 1e-4
    wide = found.hi[0, 3, 0] - found.lo[0, 3, 0]
    ar = Driven(["ar"])
    ar.bank.skip(ar.slots, ar.bank.t(ar.slots) + 500)
    near = ar.bank.step(ar.slots, [0], [NAN])
    assert wide == pytest.approx(near.hi[0, 0, 0] - near.lo[0, 0, 0], rel=0.01)  # of 100 seen, now many


def test_regressors_ahead_that_are_not_known_leave_what_follows_open():
    driven = Driven(["arx", "arimax"])
    now, ahead = driven.exog([(0, 0, 1.0), (1, 0, 1.0)])
    ahead["a"] = np.array(ahead["a"])
    ahead["a"][:, 3] = NAN
    found = driven.bank.step(driven.slots, [0, 0], [1.0, 1.0], now, ahead)
    assert np.isnan(found.mean).tolist() == [[False] * 3 + [True] * 3, [False] * 3 + [True] + [False] * 2]
    found = driven.bank.step(driven.slots, [0, 0], [1.0, 1.0], now)
    assert np.isnan(found.mean).all()
    assert np.isfinite(found.z).all()


def test_nothing_to_do_is_done():
    bank = Bank(build("ar"), 3, ())
    none = bank.add([])
    found = bank.step(none, [], [])
    assert found.mean.shape == (0, 3)
    assert found.lo.shape == (0, 0, 3)
    bank.remove(none)
    bank.advance(none, np.empty((0, 2)))
    bank.skip(none, [])
    bank.load(none, *bank.dump(none))
    assert len(bank) == 0
    assert bank.step(bank.add([0]), [0], [1.0]).hi.shape == (0, 1, 3)


def test_regressors_of_the_time_last_through_any_gap():
    driven = Driven(["wave errors", "calendar"])
    driven.check([(0, 200, NAN), (1, 170, 2.0), (0, 0, 1.0), (1, 1, 1.0)])


def test_whatever_the_arrays_nothing_is_compiled_again():
    """In the middle of a stream that would take half a minute."""
    for names in (["ar", "waves"], ["arx", "sarima"]):
        driven = Driven(names)
        bank, slots = driven.bank, driven.slots
        driven.step([(0, 0, 1.0), (1, 3, NAN)])
        data, ends = bank.dump(slots)
        bank.load(slots, np.frombuffer(b"a" + data.tobytes(), offset=1), ends.astype(np.int32))
        now, ahead = driven.exog([(0, 0, 1.0), (1, 0, 1.0)])
        bank.step(tuple(slots), np.zeros(2, np.uint8), np.zeros((2, 2))[:, 0], now, ahead)
        one = {name: np.frombuffer(np.ones(1).tobytes()) for name in GIVEN}
        bank.step(slots[:1], [0], one["a"], one)
        bank.skip(slots[:1], bank.t(slots[:1]) + 3, one)
        bank.advance(slots[:1], np.zeros((4, 1)).T, None, {name: np.zeros((4, 1)).T for name in GIVEN})
    if COMPILED:
        dumps = (slot_dump.dump_ends, slot_dump.dump_many, slot_dump.check_many, slot_dump.load_many)
        for kernel in (slot_steps.step_many, slot_steps.advance_many, *dumps):
            assert len(kernel.signatures) == 1, kernel.signatures
